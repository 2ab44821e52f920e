//! `hooks install`, `uninstall` and `status`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::text::{self, OLD};
use super::{FOLDER, HOOKS};
use crate::base::{Failure, Kind, Place};
use crate::git::Repository;
use crate::ops::environment::git::failure;
use crate::ops::{Context, place};

/// What stands where git looks for a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Nothing of ours.
    Missing,
    /// A file of ours alone.
    Own,
    /// Our part in somebody else's script.
    Part,
    /// A file of ours that runs the one that was there before.
    Wrapper,
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub hook: &'static str,
    /// Its file.
    pub path: PathBuf,
    /// What stands there.
    pub found: Found,
}

/// The hooks of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Of this document's form.
    pub version: u32,
    /// Who else keeps hooks here: `husky`, `lefthook`.
    pub manager: Option<&'static str>,
    /// Whether they lie outside of the repository, where other repositories use them too.
    pub shared: bool,
    /// Each hook.
    pub hooks: Vec<Row>,
    /// Where what the environment does in the background is written.
    pub log: PathBuf,
}

/// Where hooks are kept here.
struct Kept {
    repository: Repository,
    folder: PathBuf,
    directory: PathBuf,
    manager: Option<&'static str>,
}

impl Kept {
    fn look(context: &Context) -> Result<Self, Failure> {
        let folder = match context.load_quietly(&[]) {
            Ok(loaded) => loaded.project.working_dir,
            Err(failure) => return Err(failure),
        };
        let repository = Repository::find(&folder).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("{} is in no git repository", folder.display()))
                .hint("`git init` makes one")
        })?;
        let mut directory = repository.hooks_path().map_err(failure)?;
        let mut manager = None;
        let has = |name: &str| repository.root.join(name).exists();
        // Husky 9 keeps what it makes itself in `_`; what people write lies above it.
        if directory.ends_with(".husky/_") {
            directory.pop();
        }
        if directory.ends_with(".husky") {
            manager = Some("husky");
        } else if ["lefthook.yml", ".lefthook.yml", "lefthook.yaml", "lefthook.toml", "lefthook.json"]
            .into_iter()
            .any(has)
        {
            manager = Some("lefthook");
        }
        Ok(Self { folder: folder.canonicalize().unwrap_or(folder), repository, directory, manager })
    }

    /// The project's folder from the top of the working tree.
    fn below(&self) -> String {
        let below = self.folder.strip_prefix(&self.repository.root).unwrap_or(Path::new(""));
        if below.as_os_str().is_empty() { ".".to_owned() } else { below.display().to_string() }
    }

    fn row(&self, hook: &'static str) -> Row {
        let path = self.directory.join(hook);
        let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let found = match text {
            Ok(text) if text::is_wrapper(&text) => Found::Wrapper,
            Ok(text) if text::without_part(&text).is_some_and(|rest| rest == "#!/bin/sh\n") => Found::Own,
            Ok(text) if text::has_part(&text) => Found::Part,
            _ => Found::Missing,
        };
        Row { hook, path, found }
    }

    fn installed(&self) -> Installed {
        let inside = |path: &Path| {
            path.starts_with(self.repository.main_root()) || path.starts_with(&self.repository.root)
        };
        let directory = self.directory.canonicalize().unwrap_or_else(|_| self.directory.clone());
        Installed {
            version: 1,
            manager: self.manager,
            shared: !inside(&directory) && !directory.starts_with(&self.repository.common_dir),
            hooks: HOOKS.into_iter().map(|hook| self.row(hook)).collect(),
            log: self.folder.join(super::LOG),
        }
    }
}

fn cannot(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| {
        let hint = "`ls -l` says whose it is: devenv has to be able to write there";
        Failure::new(Kind::Failed, "the hook cannot be written")
            .at(Place::file(path))
            .source(error)
            .hint(hint)
    }
}

/// What there is.
pub fn status(context: &Context) -> Result<Installed, Failure> {
    Ok(Kept::look(context)?.installed())
}

/// Puts our part into every hook, beside what stands there.
pub fn install(context: &Context, program: &Path, dry_run: bool) -> Result<Installed, Failure> {
    let kept = Kept::look(context)?;
    if dry_run {
        return Ok(kept.installed());
    }
    let program = program.display().to_string();
    place::create_folders(&kept.directory, &mut Vec::new()).map_err(cannot(&kept.directory))?;
    for hook in HOOKS {
        let path = kept.directory.join(hook);
        // A newer devenv may say it otherwise, or be elsewhere.
        remove(&path, hook).map_err(cannot(&path))?;
        add(&path, hook, &program, kept.manager == Some("husky")).map_err(cannot(&path))?;
    }
    let below = kept.below();
    if !kept.repository.folders().contains(&below) {
        kept.repository.add(FOLDER, &below).map_err(failure)?;
    }
    Ok(kept.installed())
}

/// Takes our part out again: each file is as it was, byte for byte.
pub fn uninstall(context: &Context, dry_run: bool) -> Result<Installed, Failure> {
    let kept = Kept::look(context)?;
    if dry_run {
        return Ok(kept.installed());
    }
    let below = kept.below();
    let mut left = kept.repository.folders();
    left.retain(|folder| *folder != below);
    kept.repository.replace(FOLDER, &left).map_err(failure)?;
    // Another project of the repository goes on with them.
    if left.is_empty() {
        for hook in HOOKS {
            let path = kept.directory.join(hook);
            remove(&path, hook).map_err(cannot(&path))?;
        }
    }
    Ok(kept.installed())
}

fn add(path: &Path, hook: &str, program: &str, husky: bool) -> io::Result<()> {
    let executable = Permissions::from_mode(0o755);
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        // A link that leads nowhere is kept as it is.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            place::write(path, text::whole(hook, program).as_bytes(), true)?;
            return fs::set_permissions(path, executable);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let is_file = path.symlink_metadata()?.is_file();
    let runs = is_file && (husky || path.metadata()?.permissions().mode() & 0o111 != 0);
    let script = String::from_utf8(bytes).ok().filter(|_| runs);
    let with = script.and_then(|script| text::with_part(&script, &text::part(hook, program), husky));
    if let Some(with) = with {
        return place::write(path, with.as_bytes(), true);
    }
    fs::rename(path, old(path, hook))?;
    place::write(path, text::wrapper(hook, program).as_bytes(), true)?;
    fs::set_permissions(path, executable)
}

fn old(path: &Path, hook: &str) -> PathBuf {
    path.with_file_name(format!("{hook}.{OLD}"))
}

fn remove(path: &Path, hook: &str) -> io::Result<()> {
    let Ok(script) = fs::read_to_string(path) else { return Ok(()) };
    if text::is_wrapper(&script) {
        let old = old(path, hook);
        // A rename takes our file's place at once.
        return if old.symlink_metadata().is_ok() { fs::rename(old, path) } else { fs::remove_file(path) };
    }
    match text::without_part(&script) {
        Some(rest) if rest == "#!/bin/sh\n" => fs::remove_file(path),
        Some(rest) => place::write(path, rest.as_bytes(), true),
        None => Ok(()),
    }
}
