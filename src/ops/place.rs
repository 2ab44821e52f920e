//! Writes files of a project so that a crash at any moment leaves each file either as it was or as it shall be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::base::{Failure, Kind, Place};
use crate::library::record::{self, Record};
use crate::library::writing::{Decision, Found, Step};

/// What stands at `path` in `folder`.
pub fn look(folder: &Path, path: &str) -> Result<Found, Failure> {
    let full = folder.join(path);
    let other = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(Found::Nothing),
        io::ErrorKind::NotADirectory => Ok(Found::Other("lies below something that is no folder")),
        _ => Err(unreadable(&full, error)),
    };
    match fs::metadata(&full) {
        Ok(there) if there.is_dir() => Ok(Found::Other("is a folder")),
        Ok(there) if !there.is_file() => Ok(Found::Other("is no ordinary file")),
        Ok(_) => match fs::read(&full) {
            Ok(bytes) => Ok(Found::File(bytes)),
            Err(error) => other(error),
        },
        // A link that leads nowhere is the user's too.
        Err(_) if fs::symlink_metadata(&full).is_ok_and(|there| there.is_symlink()) => {
            Ok(Found::Other("is a link that leads nowhere"))
        }
        Err(error) => other(error),
    }
}

/// What was written before into `part` of `folder`.
pub fn record(folder: &Path, part: &str) -> Result<Record, Failure> {
    Ok(match look(folder, &record::path(part))? {
        Found::File(bytes) => Record::read(&String::from_utf8_lossy(&bytes)),
        _ => Record::default(),
    })
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure::new(Kind::Files, "this cannot be read").at(Place::file(path)).source(error)
}

/// One command at a time writes into a folder. The lock is on the folder itself, so nothing is left of it.
pub fn lock(folder: &Path) -> Result<File, Failure> {
    let open = File::open(folder).map_err(|error| unreadable(folder, error))?;
    if let Err(fs::TryLockError::WouldBlock) = open.try_lock() {
        let message = format!("another devenv command writes into {}", folder.display());
        return Err(Failure::new(Kind::Conflict, message).hint("wait for it, then give this command again"));
    }
    // Some network file systems have no locks; the files are written safely all the same.
    Ok(open)
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// From the project's folder.
    pub path: String,
    /// Where the user's own was kept, if it was replaced.
    pub copy: Option<String>,
}

/// Does what was decided, in this order. When a file cannot be written, those that were made before it are taken
/// away again.
pub fn place(folder: &Path, decisions: &[Decision]) -> Result<Vec<Placed>, Failure> {
    let mut placed = Vec::new();
    let mut made: Vec<PathBuf> = Vec::new();
    let result = place_each(folder, decisions, &mut placed, &mut made);
    if result.is_err() {
        // Deepest last: each folder is empty when its turn comes, unless something else is in it.
        for path in made.iter().rev() {
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
    result.map(|()| placed)
}

fn place_each(
    folder: &Path,
    decisions: &[Decision],
    placed: &mut Vec<Placed>,
    made: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Storage,
                _ => Kind::Failed,
            };
            Failure::new(kind, format!("{} cannot be written", path.display())).source(error)
        }
    };
    let mut wholes: Vec<&str> = Vec::new();
    for decision in decisions.iter().filter(|decision| decision.step.writes()) {
        if let Some(whole) = &decision.whole {
            if !wholes.contains(&whole.as_str()) {
                wholes.push(whole);
                let target = folder.join(whole);
                let parts = decisions.iter().filter(|part| part.whole.as_ref() == Some(whole));
                place_whole(&target, folder, whole, parts).map_err(cannot(&target))?;
            }
            placed.push(Placed { path: decision.path.clone(), copy: None });
            continue;
        }
        let path = folder.join(&decision.path);
        if let Some(parent) = path.parent() {
            create_folders(parent, made).map_err(cannot(parent))?;
        }
        let copy = match decision.step {
            Step::Replace => Some(keep(folder, &decision.path).map_err(cannot(&path))?),
            _ => None,
        };
        write(&path, &decision.content, decision.executable).map_err(cannot(&path))?;
        if decision.step == Step::Create {
            made.push(path);
        }
        placed.push(Placed { path: decision.path.clone(), copy });
    }
    Ok(())
}

/// Makes the folders that are missing, and notes them.
pub fn create_folders(folder: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent, made)?;
    }
    match fs::create_dir(folder) {
        // Another command was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        other => other?,
    }
    if let Some(Owner { user, group }) = owner_beside(folder) {
        std::os::unix::fs::lchown(folder, Some(user), Some(group))?;
    }
    made.push(folder.to_owned());
    Ok(())
}

/// A folder with all that is in it appears at once: half a sample would be taken for the user's own.
fn place_whole<'a>(
    target: &Path,
    folder: &Path,
    whole: &str,
    parts: impl Iterator<Item = &'a Decision>,
) -> io::Result<()> {
    let waiting = folder.join(format!(".{}.devenv-new", whole.replace('/', "-")));
    match fs::remove_dir_all(&waiting) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let result = (|| {
        for part in parts {
            let inside = part.path.strip_prefix(whole).unwrap_or(&part.path).trim_start_matches('/');
            let path = waiting.join(inside);
            create_folders(path.parent().unwrap_or(&waiting), &mut Vec::new())?;
            write(&path, &part.content, part.executable)?;
        }
        if let Some(parent) = target.parent() {
            create_folders(parent, &mut Vec::new())?;
        }
        fs::rename(&waiting, target)
    })();
    if result.is_err() {
        let _ = fs::remove_dir_all(&waiting);
    }
    result
}

/// Whose something is.
struct Owner {
    user: u32,
    group: u32,
}

/// Whose a new file or folder is to be: where an administrator works in somebody's folder, as by `sudo devenv up`, that
/// person's, who could not change it otherwise.
fn owner_beside(path: &Path) -> Option<Owner> {
    let found = fs::metadata(path.parent()?).ok().filter(|_| rustix::process::geteuid().is_root())?;
    (found.uid() != 0).then(|| Owner { user: found.uid(), group: found.gid() })
}

/// Makes a file that is not there yet, with the owner that it is to have at `path`.
fn create(waiting: &Path, path: &Path, mode: u32) -> io::Result<File> {
    // What a command that was killed left.
    let _ = fs::remove_file(waiting);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(waiting)?;
    if let Some(Owner { user, group }) = owner_beside(path) {
        std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
    }
    Ok(file)
}

/// Writes a file under another name first. A link stays a link, and a file that is there keeps who may use it.
pub fn write(path: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let waiting = path.with_file_name(format!(".{name}.devenv-new"));
    let result = (|| {
        let mode = if executable { 0o777 } else { 0o666 };
        let mut file = create(&waiting, &path, mode)?;
        file.write_all(bytes)?;
        if let Ok(there) = fs::metadata(&path) {
            file.set_permissions(fs::Permissions::from_mode(there.permissions().mode() & 0o7777))?;
        }
        file.sync_all()?;
        fs::rename(&waiting, &path)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&waiting);
    }
    result
}

/// Writes a file that nobody else may read, under a name of this process first: of several that write it at once one
/// is the last, and none is in another's way.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let waiting = path.with_file_name(format!(".{name}.{}.devenv-new", std::process::id()));
    let result = (|| {
        let mut file = create(&waiting, &path, 0o600)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&waiting, &path)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&waiting);
    }
    result
}

/// Keeps what stands at `path` beside it, under a name that was free; gives that name.
pub fn keep(folder: &Path, path: &str) -> io::Result<String> {
    let copy = free_name(folder, path);
    fs::copy(folder.join(path), folder.join(&copy))?;
    Ok(copy)
}

/// `path.bak`, or with a number behind it.
#[must_use]
pub fn free_name(folder: &Path, path: &str) -> String {
    let free = |name: &str| fs::symlink_metadata(folder.join(name)).is_err();
    let mut name = format!("{path}.bak");
    let mut number = 1_u32;
    while !free(&name) {
        number += 1;
        name = format!("{path}.bak{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn decision(path: &str, step: Step, whole: Option<&str>) -> Decision {
        Decision {
            path: path.to_owned(),
            step,
            content: Cow::Borrowed(b"new"),
            executable: path == "s/b/run",
            whole: whole.map(str::to_owned),
        }
    }

    fn listing(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                names.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
        names.sort();
        names
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("c")).unwrap();
        let all = [decision("a/b/f", Step::Create, None), decision("c", Step::Create, None)];
        place(folder.path(), &all).unwrap_err();
        assert_eq!(listing(folder.path()), ["c"]);
    }

    #[test]
    fn what_is_replaced_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        for old in ["one", "two"] {
            fs::write(folder.path().join("f"), old).unwrap();
            place(folder.path(), &[decision("f", Step::Replace, None)]).unwrap();
        }
        assert_eq!(listing(folder.path()), ["f", "f.bak", "f.bak2"]);
        assert_eq!(fs::read_to_string(folder.path().join("f.bak")).unwrap(), "one");
    }

    #[test]
    fn a_folder_comes_as_a_whole_even_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".s.devenv-new")).unwrap();
        fs::write(folder.path().join(".s.devenv-new/half"), "").unwrap();
        let all = [decision("s/a", Step::Create, Some("s")), decision("s/b/run", Step::Create, Some("s"))];
        place(folder.path(), &all).unwrap();
        assert_eq!(listing(folder.path()), ["s", "s/a", "s/b", "s/b/run"]);
        let mode = fs::metadata(folder.path().join("s/b/run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o100, 0o100);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("real"), "old").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
        write(&folder.path().join("link"), b"new", false).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("real")).unwrap(), "new");
        assert!(fs::symlink_metadata(folder.path().join("link")).unwrap().is_symlink());
        assert_eq!(
            look(folder.path(), "link/x").unwrap(),
            Found::Other("lies below something that is no folder")
        );
    }
}
