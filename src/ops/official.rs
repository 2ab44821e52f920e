//! Official images or images built from our recipes: a service of a template can name both, the official one
//! as `x-devenv.official`, a fragment that is laid over the service by the rules of the Compose Specification.
//!
//! Which one is used is decided from what is there, so that a choice once made stays when the network comes
//! and goes: what runs, then what is here, then whether a registry answers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::files::Disk;
use super::{Context, failures};
use crate::base::{Event, Failure, Kind};
use crate::compose::project::{Project, Service};
use crate::compose::{self, FileKind, Files, Loaded};
use crate::engine::Engine;
use crate::machine::network;
use crate::plan::names;
use crate::plan::observed::{Container, Image};

/// What the user chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Images {
    /// Whatever is there, else whatever can be had.
    #[default]
    Auto,
    /// Those that the services' makers publish.
    Official,
    /// Those that are built here.
    Source,
}

/// The file that stands for the fragments; it is on no disk.
const OVERLAY: &str = "x-devenv.official.yaml";

/// How long a registry may take to answer.
const REGISTRY_PATIENCE: Duration = Duration::from_millis(1500);

/// The project with the images that were chosen.
pub(super) async fn choose(
    context: &Context,
    engine: &Engine,
    loaded: Loaded,
    targets: &[String],
    wanted: Images,
) -> Result<Loaded, Failure> {
    let fragments = fragments(&loaded.project);
    if fragments.is_empty() {
        return match wanted {
            Images::Official => {
                Err(Failure::new(Kind::Usage, "no service of this project names an official image")
                    .hint("a service names it with `x-devenv.official`"))
            }
            _ => Ok(loaded),
        };
    }
    let wanted = match wanted {
        Images::Auto => in_file(&loaded.project)?,
        chosen => chosen,
    };
    if wanted == Images::Source {
        return Ok(loaded);
    }
    let official = overlaid(context, &loaded, &fragments, targets)?;
    if wanted == Images::Official {
        return Ok(official);
    }
    let containers = engine.containers(&loaded.project.name).await.map_err(failures::engine)?;
    let of = |project: &Project| -> std::collections::BTreeSet<String> {
        fragments
            .keys()
            .filter_map(|name| Some(names::image(&project.name, name, project.services.get(name)?)))
            .collect()
    };
    let (source_names, official_names) = (of(&loaded.project), of(&official.project));
    let mut both = source_names.clone();
    both.extend(official_names.iter().cloned());
    let local = engine.images(&both).await.map_err(failures::engine)?;
    let decided = from_what_is_there(&containers, &local, &source_names, &official_names);
    let choice = match decided {
        Some(choice) => choice,
        None if network::reach("registry-1.docker.io", 443, REGISTRY_PATIENCE).await.is_ok() => {
            Images::Official
        }
        None => Images::Source,
    };
    if decided.is_none() {
        context.events.tell(Event::note(match choice {
            Images::Official => "a registry answers: official images are used where there are some (--images source builds them)",
            _ => "no registry answers: images are built from source (--images official insists on the others)",
        }));
    }
    Ok(if choice == Images::Official { official } else { loaded })
}

/// What containers run decides, then what images are here.
fn from_what_is_there(
    containers: &[Container],
    local: &BTreeMap<String, Image>,
    source: &std::collections::BTreeSet<String>,
    official: &std::collections::BTreeSet<String>,
) -> Option<Images> {
    let own = |names: &std::collections::BTreeSet<String>,
               others: &std::collections::BTreeSet<String>,
               name: &str| { names.contains(name) && !others.contains(name) };
    for container in containers {
        if own(source, official, &container.image) {
            return Some(Images::Source);
        }
        if own(official, source, &container.image) {
            return Some(Images::Official);
        }
    }
    let all_here =
        |names: &std::collections::BTreeSet<String>| names.iter().all(|name| local.contains_key(name));
    if all_here(source) {
        Some(Images::Source)
    } else if all_here(official) {
        Some(Images::Official)
    } else {
        None
    }
}

/// `x-devenv.images` of the file.
fn in_file(project: &Project) -> Result<Images, Failure> {
    let word = project.extensions.get("x-devenv").and_then(|section| section.get("images"));
    match word.map(|word| word.as_str().unwrap_or_default()) {
        None | Some("auto") => Ok(Images::Auto),
        Some("official") => Ok(Images::Official),
        Some("source") => Ok(Images::Source),
        Some(other) => Err(Failure::new(Kind::Files, format!("x-devenv.images is `{other}`"))
            .hint("write `auto`, `official` or `source`")),
    }
}

/// The official fragments by service.
fn fragments(project: &Project) -> BTreeMap<String, Value> {
    let fragment = |service: &Service| service.extensions.get("x-devenv")?.get("official").cloned();
    project.services.iter().filter_map(|(name, service)| Some((name.clone(), fragment(service)?))).collect()
}

/// The project with the fragments laid over it. A fragment that names an image takes the recipe's place.
fn overlaid(
    context: &Context,
    loaded: &Loaded,
    fragments: &BTreeMap<String, Value>,
    targets: &[String],
) -> Result<Loaded, Failure> {
    let services = fragments.iter().map(|(name, fragment)| {
        let mut text = json!(fragment).to_string();
        if fragment.get("image").is_some() && fragment.get("build").is_none() && text.ends_with('}') {
            // JSON is YAML, but for this tag.
            text.truncate(text.len() - 1);
            text.push_str(", \"build\": !reset null}");
        }
        format!("{}: {text}", json!(name))
    });
    let text = format!("services: {{ {} }}\n", services.collect::<Vec<_>>().join(", "));
    let path = loaded.project.working_dir.join(OVERLAY);
    let mut request = context.request(targets);
    request.files = loaded.files.iter().map(|file| file.display().to_string()).collect();
    request.files.push(path.display().to_string());
    request.project_directory = Some(loaded.project.working_dir.clone());
    request.project_name = Some(loaded.project.name.clone());
    let mut official = compose::load(&request, &WithOverlay { path: path.clone(), text })?;
    official.files.retain(|file| *file != path);
    Ok(official)
}

/// The disk, and one file that is not on it.
struct WithOverlay {
    path: PathBuf,
    text: String,
}

impl Files for WithOverlay {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.path { Ok(self.text.clone().into_bytes()) } else { Disk.read(path) }
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        if path == self.path { Some(FileKind::File) } else { Disk.kind(path) }
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        if path == self.path { Ok(path.to_path_buf()) } else { Disk.real_path(path) }
    }

    fn stdin(&self) -> io::Result<Vec<u8>> {
        Disk.stdin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn decide(running: &[&str], here: &[&str]) -> Option<Images> {
        let container = |image: &&str| Container { image: (*image).to_owned(), ..Container::default() };
        let containers: Vec<Container> = running.iter().map(container).collect();
        let local = here.iter().map(|&name| (name.to_owned(), Image::default())).collect();
        from_what_is_there(&containers, &local, &set(&["ours/a", "ours/b"]), &set(&["official/a", "ours/b"]))
    }

    #[test]
    fn what_runs_decides_before_what_is_here() {
        assert_eq!(decide(&["official/a"], &["ours/a", "ours/b"]), Some(Images::Official));
        assert_eq!(decide(&["ours/b", "ours/a"], &[]), Some(Images::Source));
    }

    #[test]
    fn what_is_here_decides_before_the_registry() {
        assert_eq!(decide(&[], &["ours/a", "ours/b"]), Some(Images::Source));
        assert_eq!(decide(&[], &["official/a", "ours/b"]), Some(Images::Official));
        assert_eq!(decide(&["ours/b"], &["ours/a"]), None);
    }
}
