//! Going through folders that a container filled: every step by descriptor and never through a symbolic link, and
//! without recursion, since they may be deep.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result};

/// What went wrong, and where below the root.
#[derive(Debug)]
pub(super) struct Trouble {
    /// What was being done.
    pub(super) doing: &'static str,
    /// With what.
    pub(super) path: PathBuf,
    /// What the system said.
    pub(super) errno: Errno,
}

impl Trouble {
    /// An answer of the system, as in `map_err(Trouble::at("read", path))`.
    pub(super) fn at(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> Self {
        let path = path.into();
        move |errno| Self { doing, path, errno }
    }
}

impl From<Trouble> for super::Refusal {
    fn from(trouble: Trouble) -> Self {
        // A name may hold anything; what is told is one line of text.
        let doing = format!("{} {:?}", trouble.doing, trouble.path.to_string_lossy());
        super::driver::refusal(doing)(trouble.errno)
    }
}

/// Opens a folder by its name in another, or the root by its path.
pub(super) fn open_folder(folder: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// Opens the folder at a path of our own.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// What stands in a folder, sorted, so that two walks go the same way.
pub(super) fn names(folder: impl AsFd) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A name as part of a path.
pub(super) fn part(name: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(name.to_bytes()))
}

/// One thing of a walk.
pub(super) struct Met<'a> {
    /// The folder that it stands in.
    pub(super) folder: BorrowedFd<'a>,
    /// Its name there.
    pub(super) name: &'a CStr,
    /// What it is.
    pub(super) stat: Stat,
    /// Its path below the root.
    pub(super) path: PathBuf,
    /// Whether it is a folder that everything in it has been met of; it is met once before that too.
    pub(super) is_left: bool,
}

/// Whether to go into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Into it.
    Into,
    /// Past it.
    Past,
}

/// A folder on the way from the root to where a walk is.
struct Level {
    fd: OwnedFd,
    names: std::vec::IntoIter<CString>,
    path: PathBuf,
    /// Its own name, and what it is; none for the root.
    own: Option<(CString, Stat)>,
}

/// Meets everything below `root`, each folder before and after what is in it.
pub(super) fn walk<E: From<Trouble>>(
    root: BorrowedFd<'_>,
    mut meet: impl FnMut(&Met<'_>) -> std::result::Result<Turn, E>,
) -> std::result::Result<(), E> {
    let level = |fd: OwnedFd, path: PathBuf, own| -> std::result::Result<Level, Trouble> {
        let names = names(&fd).map_err(Trouble::at("read", &path))?.into_iter();
        Ok(Level { fd, names, path, own })
    };
    let fd = open_folder(root, c".").map_err(Trouble::at("open", "."))?;
    let mut levels = vec![level(fd, PathBuf::new(), None)?];
    while let Some(top) = levels.last_mut() {
        let Some(name) = top.names.next() else {
            let Some(Level { path, own, .. }) = levels.pop() else { break };
            if let (Some(above), Some((name, stat))) = (levels.last(), own) {
                meet(&Met { folder: above.fd.as_fd(), name: &name, stat, path, is_left: true })?;
            }
            continue;
        };
        let path = top.path.join(part(&name));
        let stat = match rustix::fs::statat(&top.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Gone since the folder was read.
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(Trouble { doing: "look at", path, errno }.into()),
        };
        let turn =
            meet(&Met { folder: top.fd.as_fd(), name: &name, stat, path: path.clone(), is_left: false })?;
        if turn == Turn::Into && FileType::from_raw_mode(stat.st_mode).is_dir() {
            let below = open_folder(top.fd.as_fd(), &*name).map_err(Trouble::at("open", &path))?;
            levels.push(level(below, path, Some((name, stat)))?);
        }
    }
    Ok(())
}
