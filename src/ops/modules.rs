//! `module`: adds a ready-made service to a project, and takes it away again.
//!
//! The result is loaded in memory before anything is written, so a project that works goes on working.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::files::Disk;
use super::look::running;
use super::run::{self, Terminal};
use super::{Context, place};
use crate::base::{Event, Failure, Kind, Place};
use crate::compose::{self, FileKind, Files, Loaded};
use crate::engine::stream::Command;
use crate::library::include::ComposeText;
use crate::library::writing::{self, Found, Step};
use crate::library::{self, Module, record};

/// What was done to a project, or would be.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The compose file.
    pub compose_file: PathBuf,
    /// Each module.
    pub modules: Vec<Changed>,
}

/// What was done about a module.
#[derive(Debug, Serialize)]
pub struct Changed {
    /// The module.
    pub module: Module,
    /// Whether anything changed.
    pub changed: bool,
    /// Its files: written, or removed.
    pub files: Vec<String>,
    /// Where the user's own files are now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<String>,
}

/// Which modules the project here has; none where no project is.
#[must_use]
pub fn present(context: &Context) -> Vec<String> {
    let Ok(project) = Project::open(context) else { return Vec::new() };
    let Ok(text) = ComposeText::read(&project.file, &project.text) else { return Vec::new() };
    library::module_names()
        .filter(|name| text.includes(&format!("compose/{name}/compose.yaml")))
        .map(str::to_owned)
        .collect()
}

/// A project whose compose file is to be edited.
struct Project {
    folder: PathBuf,
    file: PathBuf,
    text: String,
}

impl Project {
    fn open(context: &Context) -> Result<Self, Failure> {
        if context.choice.files.iter().any(|file| file == "-") {
            return Err(Failure::new(Kind::Usage, "what comes from standard input cannot be edited")
                .hint("name the compose file with -f"));
        }
        let loaded = context.load_quietly(&[])?;
        let Some(file) = loaded.files.first().cloned() else {
            return Err(Failure::new(Kind::Files, "there is no compose file"));
        };
        let bytes = fs::read(&file).map_err(|error| {
            Failure::new(Kind::Files, "this cannot be read").at(Place::file(&file)).source(error)
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Failure::new(Kind::Files, "only UTF-8 can be edited").at(Place::file(&file)).source(error)
        })?;
        Ok(Self { folder: loaded.project.working_dir, file, text })
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        place::write(&self.file, text.as_bytes(), false).map_err(|error| {
            Failure::new(Kind::Failed, format!("{} cannot be written", self.file.display())).source(error)
        })
    }

    /// The project as it would be with `text` and `files`.
    fn imagine(
        &self,
        context: &Context,
        text: &str,
        files: BTreeMap<PathBuf, Vec<u8>>,
    ) -> Result<Loaded, Failure> {
        let mut pending = files;
        pending.insert(self.file.clone(), text.as_bytes().to_vec());
        compose::load(&context.request(&[]), &Pending { files: pending })
            .map_err(|failure| self.relocated(failure))
    }

    /// The failure with the lines of the file as it is: the one it speaks of was never written.
    fn relocated(&self, mut failure: Failure) -> Failure {
        let lines: Vec<&str> = self.text.lines().collect();
        for place in failure.places.iter_mut().filter(|place| place.path == self.file && place.line > 0) {
            let line = place.line as usize;
            let same = (0..lines.len()).filter(|at| lines[*at] == place.excerpt);
            match same.min_by_key(|at| (at + 1).abs_diff(line)).and_then(|at| u32::try_from(at + 1).ok()) {
                Some(line) => place.line = line,
                None => *place = Place::file(&self.file),
            }
        }
        failure.others = failure.others.into_iter().map(|other| self.relocated(other)).collect();
        failure
    }
}

/// The disk as it would be.
struct Pending {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Files for Pending {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).map_or_else(|| Disk.read(path), |bytes| Ok(bytes.clone()))
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        if self.files.contains_key(path) {
            return Some(FileKind::File);
        }
        let holds = || self.files.keys().any(|file| file.starts_with(path));
        Disk.kind(path).or_else(|| holds().then_some(FileKind::Directory))
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Disk.real_path(path).or_else(|error| match self.kind(path) {
            Some(_) => Ok(path.to_owned()),
            None => Err(error),
        })
    }

    fn stdin(&self) -> io::Result<Vec<u8>> {
        Disk.stdin()
    }
}

fn chosen(names: &[String]) -> Result<Vec<Module>, Failure> {
    let mut modules: Vec<Module> = Vec::new();
    for name in names {
        let module = library::module(name)?;
        if !modules.iter().any(|known| known.name == module.name) {
            modules.push(module);
        }
    }
    Ok(modules)
}

/// Adds modules to the project.
pub fn add(context: &Context, names: &[String], force: bool, dry_run: bool) -> Result<Done, Failure> {
    let modules = chosen(names)?;
    let project = Project::open(context)?;
    let _lock = place::lock(&project.folder)?;
    let mut text = project.text.clone();
    let mut decisions = Vec::new();
    let mut files = BTreeMap::new();
    for module in &modules {
        let record = place::record(&project.folder, &module.folder())?;
        for decision in
            writing::decide(module.wanted(), force, &record, &|path| place::look(&project.folder, path))?
        {
            if decision.step != Step::Unchanged {
                files.insert(project.folder.join(&decision.path), decision.content.to_vec());
            }
            decisions.push(decision);
        }
        text = ComposeText::read(&project.file, &text)?.with_include(&module.include())?;
    }
    let blocked: Vec<String> = decisions
        .iter()
        .filter_map(|decision| match &decision.step {
            Step::Conflict(reason) => Some(format!("{} {reason}", decision.path)),
            _ => None,
        })
        .collect();
    if !blocked.is_empty() {
        let mut failure = Failure::new(Kind::Conflict, "files are in the way; nothing was added");
        failure.evidence = blocked;
        return Err(failure.hint("--force writes them anew and keeps each of yours as NAME.bak"));
    }
    let loaded = project.imagine(context, &text, files).map_err(|mut failure| {
        failure.message = format!("nothing was added: {}", failure.message);
        failure.hint("the project would not load with it; a service of the same name is the usual reason")
    })?;
    for warning in &loaded.warnings {
        context.events.warn(warning);
    }
    let placed = if dry_run { Vec::new() } else { place::place(&project.folder, &decisions)? };
    let newly = |module: &Module| {
        !ComposeText::read(&project.file, &project.text).is_ok_and(|text| text.includes(&module.include()))
    };
    let modules = modules
        .into_iter()
        .map(|module| {
            let own = |path: &String| path.starts_with(&format!("{}/", module.folder()));
            let written = decisions.iter().filter(|decision| decision.step.writes());
            let files: Vec<String> = written.map(|decision| decision.path.clone()).filter(own).collect();
            let copies = placed.iter().filter(|placed| own(&placed.path));
            Changed {
                changed: !files.is_empty() || newly(&module),
                files,
                copies: copies.filter_map(|placed| placed.copy.clone()).collect(),
                module,
            }
        })
        .collect();
    // Last: a project that names a file has it.
    if !dry_run && text != project.text {
        project.write(&text)?;
    }
    Ok(Done { compose_file: project.file, modules })
}

/// Takes modules out of the project. What is in their volumes stays.
pub fn remove(context: &Context, names: &[String], force: bool, dry_run: bool) -> Result<Done, Failure> {
    let modules = chosen(names)?;
    let project = Project::open(context)?;
    let _lock = place::lock(&project.folder)?;
    let mut text = project.text.clone();
    let mut changes = Vec::new();
    for module in modules {
        let folder = project.folder.join(module.folder());
        let read = ComposeText::read(&project.file, &text)?;
        let (included, there) = (read.includes(&module.include()), folder.is_dir());
        if !included && !there {
            return Err(Failure::new(
                Kind::Usage,
                format!("this project does not have the module `{}`", module.name),
            )
            .hint("see what it has with `devenv module list`"));
        }
        text = read.without_include(&module.include())?;
        let mut files = Vec::new();
        if there {
            below(&folder, &module.folder(), &mut files)?;
        }
        let own = own_changes(&project.folder, &module, &files)?;
        if !own.is_empty() && !force {
            let mut failure = Failure::new(
                Kind::Conflict,
                format!("files of the module `{}` are not as they came; nothing was removed", module.name),
            );
            failure.evidence = own;
            return Err(
                failure.hint(format!("--force removes it and keeps the folder as {}.bak", module.folder()))
            );
        }
        let copies = if own.is_empty() {
            Vec::new()
        } else {
            vec![place::free_name(&project.folder, &module.folder())]
        };
        changes.push(Changed { changed: true, files, copies, module });
    }
    project.imagine(context, &text, BTreeMap::new()).map_err(|mut failure| {
        failure.message = format!("nothing was removed: {}", failure.message);
        failure.hint("the project would not load without it; take away what refers to it first")
    })?;
    if !dry_run {
        // First: a project never names a file that is gone.
        if text != project.text {
            project.write(&text)?;
        }
        for change in &changes {
            let folder = project.folder.join(change.module.folder());
            let result = match change.copies.first() {
                Some(copy) => fs::rename(&folder, project.folder.join(copy)),
                None if folder.is_dir() => fs::remove_dir_all(&folder),
                None => Ok(()),
            };
            result.map_err(|error| {
                Failure::new(Kind::Failed, format!("{} cannot be removed", folder.display()))
                    .source(error)
                    .hint("the project no longer uses it; give the command again, or remove it yourself")
            })?;
        }
        // Only if it is empty.
        let _ = fs::remove_dir(project.folder.join("compose"));
        context.events.tell(Event::note("containers that run stay until `devenv up --remove-orphans` or `devenv down`; volumes stay until `devenv down --volumes`"));
    }
    Ok(Done { compose_file: project.file, modules: changes })
}

/// Every file below a folder, by its path from the project.
fn below(folder: &Path, name: &str, files: &mut Vec<String>) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        Failure::new(Kind::Files, "this cannot be read").at(Place::file(folder)).source(error)
    };
    let mut entries: Vec<_> =
        fs::read_dir(folder).map_err(cannot)?.collect::<Result<_, _>>().map_err(cannot)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(cannot)?.is_dir() {
            below(&entry.path(), &name, files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}

/// The files that differ from the module's, of this version or the one that was written, or are none of it.
fn own_changes(folder: &Path, module: &Module, files: &[String]) -> Result<Vec<String>, Failure> {
    let record = place::record(folder, &module.folder())?;
    let wanted = module.wanted();
    let mut changes = Vec::new();
    for path in files {
        let Found::File(bytes) = place::look(folder, path)? else {
            changes.push(format!("{path} is no ordinary file"));
            continue;
        };
        if record.knows(path, &bytes) || *path == record::path(&module.folder()) {
            continue;
        }
        match wanted.iter().find(|wanted| wanted.path == *path) {
            Some(wanted) if *wanted.content == *bytes => {}
            Some(_) => changes.push(format!("{path} differs")),
            None => changes.push(format!("{path} is not part of the module")),
        }
    }
    Ok(changes)
}
/// Runs the one-line tests of modules in their containers; all failures are told. None named: all that the
/// project has.
pub async fn test(context: &Context, names: &[String]) -> Result<(), Failure> {
    let names = if names.is_empty() { present(context) } else { names.to_vec() };
    let engine = context.engine().await?;
    let mut failures = Vec::new();
    for name in &names {
        let module = library::module(name)?;
        let Some(test) = module.test else { continue };
        let service = &test.service;
        let container = running(context, &engine, service, None).await?;
        // The image of its makers may have other programs than ours.
        let official = test.official_command.filter(|_| !container.image.starts_with(library::OUR_IMAGES));
        let argv = official.unwrap_or(test.command);
        let command = Command { argv, ..Command::default() };
        let terminal = Terminal { tty: false, stdin: false, size: || None };
        let began = Instant::now();
        let subject = format!("module {name}");
        match run::exec(context, service, None, &command, terminal).await {
            Ok(()) => {
                let took = began.elapsed();
                context.events.tell(Event::Done { subject, outcome: "works".to_owned(), took });
            }
            Err(failure) => failures.push(
                Failure::new(Kind::Unhealthy, format!("{subject}: its test {failure}"))
                    .hint(format!("see what service `{service}` says: `devenv logs {service}`")),
            ),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::all(failures)) }
}
