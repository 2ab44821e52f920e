//! What is told about keys of a file that do not act, or not on this engine.

use super::{Context, Subject};
use crate::base::{Event, Failure, Kind};
use crate::compose::project::{FileReference, Project};
use crate::compose::support::{Use, uses};
use crate::compose::{Loaded, Places};
use crate::engine::{Created, Engine};

impl Context {
    /// Tells the loader's warnings and those about keys without effect; with an engine, also what it lacks.
    ///
    /// # Errors
    /// With `--strict`, all of them at once.
    pub(super) fn judge(&self, loaded: &mut Loaded, engine: Option<&Engine>) -> Result<(), Failure> {
        let uses = uses(&loaded.project, &loaded.places);
        let mut warnings: Vec<Failure> = std::mem::take(&mut loaded.warnings);
        for used in &uses {
            warnings.extend(used.warning());
            if let Some(Ok(warning)) = engine.and_then(|engine| used.lack(engine.api_minor())) {
                warnings.push(warning);
            }
        }
        warnings.extend(bound(&loaded.project, &loaded.places));
        self.warn(warnings)
    }

    /// Passes on what the engine warned about when it made a container.
    pub(super) fn pass_on(&self, container: &str, made: &Created) {
        for warning in &made.warnings {
            self.events.tell(Event::warning(format!("container {container}: {warning}")));
        }
    }
}

/// Fails when something is to be started with a key that devenv refuses, or that needs another engine.
pub(super) fn refuse(subject: &Subject, engine: &Engine) -> Result<(), Failure> {
    let lacks = subject.uses.iter().filter_map(|used| used.lack(engine.api_minor())?.err());
    // The file is right, the engine is not the one for it.
    let lacks = lacks.map(|failure| Failure { kind: Kind::Failed, ..failure.hint("upgrade the engine") });
    let refusals: Vec<Failure> = subject.uses.iter().filter_map(Use::refusal).chain(lacks).collect();
    if refusals.is_empty() { Ok(()) } else { Err(Failure::all(refusals)) }
}

/// Secrets and configs whose owner or mode cannot be given, since the engine copies nothing into a container
/// with a read-only root.
fn bound(project: &Project, places: &Places) -> Vec<Failure> {
    let mut warnings = Vec::new();
    for (name, service) in project.services.iter().filter(|(_, service)| service.read_only) {
        let secrets =
            service.secrets.iter().map(|one| (one, project.secrets.get(&one.source).map(|s| &s.file)));
        let configs =
            service.configs.iter().map(|one| (one, project.configs.get(&one.source).map(|c| &c.file)));
        let sections = [("secrets", secrets.collect::<Vec<_>>()), ("configs", configs.collect())];
        for (section, references) in sections {
            for (number, (reference, file)) in references.into_iter().enumerate() {
                let keys = keys(reference);
                if keys.is_empty() || file.is_none_or(String::is_empty) {
                    continue;
                }
                let path = format!("services.{name}.{section}[{number}]");
                let message = format!(
                    "`{}` of `{path}` has no effect: the container is read-only, so that the file is mounted as it is",
                    keys.join("`, `")
                );
                let warning = Failure::new(Kind::Files, message);
                warnings.push(places.at(&path).into_iter().fold(warning, Failure::at));
            }
        }
    }
    warnings
}

fn keys(reference: &FileReference) -> Vec<&'static str> {
    let given = [
        ("uid", !reference.uid.is_empty()),
        ("gid", !reference.gid.is_empty()),
        ("mode", reference.mode.is_some()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
}
