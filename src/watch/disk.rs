//! This machine's side: what a folder holds.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Root;
use crate::reload::{Entry, Kind, Tree};

/// How coarse a file system's clock may be: Linux' ticks are 1 to 10 ms apart.
const TICK: i64 = 20_000_000;

/// What stands at a path below a root; none where there is nothing, or nothing that can be written elsewhere.
pub(super) fn entry(path: &Path) -> io::Result<Option<Entry>> {
    Ok(found(path)?.as_ref().and_then(describe))
}

/// What stands at a path itself; none where nothing does, or where a folder above is none.
pub fn found(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn describe(found: &Metadata) -> Option<Entry> {
    let kind = match found.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Link,
        _ => return None,
    };
    let changed = found.ctime().saturating_mul(1_000_000_000).saturating_add(found.ctime_nsec());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fresh = i64::try_from(now.as_nanos()).is_ok_and(|now| now - changed < TICK);
    let mode = found.mode() & 0o7777;
    Some(Entry { kind, mode, size: found.size(), changed, number: found.ino(), fresh })
}

/// All at and below `below` that the root's rules want; `enter` is told each folder before it is read.
pub(super) fn walk(root: &Root, below: &str, enter: &mut dyn FnMut(&Path)) -> Tree {
    let mut tree = Tree::default();
    let start = if below.is_empty() { root.path.clone() } else { root.path.join(below) };
    let Ok(Some(first)) = entry(&start) else { return tree };
    if root.wants(below) {
        tree.insert(below, first);
    }
    if first.kind != Kind::Folder || !root.enters(below) {
        return tree;
    }
    let mut open = vec![(start, below.to_owned())];
    while let Some((folder, below)) = open.pop() {
        enter(&folder);
        // One that is gone by now, or that nobody may read, holds nothing for us.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for found in entries.flatten() {
            let name = found.file_name();
            // What is no text cannot be told to the other side.
            let Some(name) = name.to_str() else { continue };
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            let wanted = root.wants(&path);
            let is_folder = found.file_type().is_ok_and(|kind| kind.is_dir());
            let entered = is_folder && root.enters(&path);
            if !wanted && !entered {
                continue;
            }
            let Some(entry) = found.metadata().ok().as_ref().and_then(describe) else { continue };
            if wanted {
                tree.insert(&path, entry);
            }
            if entered && entry.kind == Kind::Folder {
                open.push((found.path(), path));
            }
        }
    }
    tree
}

/// A file to be read, its permissions, size, and when it was last written, in nanoseconds since 1970.
pub fn content(path: &Path) -> io::Result<(File, u32, u64, i64)> {
    // A pipe that took the file's place is not waited for.
    let flags = rustix::fs::OFlags::RDONLY
        | rustix::fs::OFlags::NOFOLLOW
        | rustix::fs::OFlags::NONBLOCK
        | rustix::fs::OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it is no file any more"));
    }
    let modified = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
    Ok((file, found.mode() & 0o7777, found.size(), modified))
}

/// What a link says.
pub fn read_link(path: &Path) -> io::Result<String> {
    let to = fs::read_link(path)?;
    to.into_os_string()
        .into_string()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it says no text"))
}

/// Why the file system at a path tells no changes that are made elsewhere (`statfs(2)`), if it is one of those.
pub(super) fn silent(path: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(path).ok()?;
    // By the low 32 bits, as the type's width differs from machine to machine.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers of 32 bits")]
    match found.f_type as u32 {
        0x6969 => Some("NFS"),
        0x0102_1997 => Some("9p"),
        0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x786f_4256 => Some("a folder of VirtualBox"),
        _ => None,
    }
}
