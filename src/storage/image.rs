//! The pool's file: made, found, attached to a loop device, grown.
//!
//! It is allocated as a whole when it is made: a sparse file on a disk that fills up turns every branch read-only at
//! once. Its file system comes out of a template that is part of this program (`templates/make.sh`), so nobody needs
//! `mkfs`, and grows into the file when the keeper first mounts it. Nothing is ever made over a file that is there.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use rustix::fs::{CWD, FallocateFlags, FlockOperation, IFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::driver::refusal;
use super::protocol::{Driver, Refusal};
use super::{StorageError, loops, superblock};

/// The file's name in the engine's volume.
pub const NAME: &str = "pool.img";

/// How a pool's file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The file.
    pub file: PathBuf,
    /// Makes it when it is not there; otherwise that is an error. Never over a file that is there.
    pub create: Option<Create>,
    /// The pool that it has to be; none for any.
    pub uuid: Option<String>,
}

/// How a pool's file is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Its file system; not [`Driver::Copy`].
    pub driver: Driver,
    /// Its size in bytes; none for one that fits the disk ([`size`]).
    pub bytes: Option<u64>,
}

/// A pool's file on its loop device: what `devenv __keeper attach` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The device, as the engine's machine calls it: `/dev/loop3`.
    pub device: String,
    /// Whether the file was made just now.
    pub created: bool,
    /// What is in it.
    pub driver: Driver,
    /// Which pool it is.
    pub uuid: String,
    /// Size of the file.
    pub bytes: u64,
}

/// Opens or makes the pool's file and attaches it to a loop device, the one that it has already if there is one.
pub fn attach(wish: &Wish) -> Result<Attached, StorageError> {
    let path = &wish.file;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Two at once would make two pools, or attach one twice.
    let lock = File::open(folder).map_err(|source| cannot("open", folder, source))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(StorageError::system("lock the pool"))?;
    let created = match (std::fs::symlink_metadata(path), &wish.create) {
        (Ok(_), _) => false,
        (Err(error), Some(create)) if error.kind() == ErrorKind::NotFound => {
            make(folder, path, create)?;
            true
        }
        (Err(error), None) if error.kind() == ErrorKind::NotFound => {
            return Err(StorageError::NoPool { path: path.clone() });
        }
        (Err(source), _) => return Err(cannot("look at", path, source)),
    };
    let file =
        File::options().read(true).write(true).open(path).map_err(|source| cannot("open", path, source))?;
    let found = verify(path, &file)?;
    if let Some(expected) = wish.uuid.as_ref().filter(|uuid| **uuid != found.uuid) {
        return Err(StorageError::Other {
            path: path.clone(),
            found: found.uuid,
            expected: expected.clone(),
        });
    }
    let bytes = file.metadata().map_err(|source| cannot("look at", path, source))?.len();
    let device = loops::attach(&file, path)?;
    Ok(Attached { device, created, driver: found.driver, uuid: found.uuid, bytes })
}

/// How the pool in a folder copies; none where there is no pool. A file in the place of a pool's that is none is an
/// error: nothing is made over it.
pub fn find(folder: &Path) -> Result<Option<Driver>, StorageError> {
    let path = folder.join(NAME);
    match File::open(&path) {
        Ok(file) => verify(&path, &file).map(|found| Some(found.driver)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(folder.join(super::pool::FORMAT).exists().then_some(Driver::Copy))
        }
        Err(source) => Err(cannot("open", &path, source)),
    }
}

/// Takes the pool's file off its loop devices. One that is mounted goes when it is unmounted.
pub fn detach(file: &Path) -> Result<(), StorageError> {
    let open = File::open(file).map_err(|source| match source.kind() {
        ErrorKind::NotFound => StorageError::NoPool { path: file.to_owned() },
        _ => cannot("open", file, source),
    })?;
    loops::detach(&open)
}

/// Takes away the folder of a pool that is mounted nowhere any more, with all that is in it.
pub fn clear(folder: &Path) -> Result<(), StorageError> {
    match detach(&folder.join(NAME)) {
        Ok(()) | Err(StorageError::NoPool { .. }) => {}
        Err(error) => return Err(error),
    }
    std::fs::remove_dir_all(folder).map_err(|source| cannot("remove", folder, source))
}

/// Looks whether the file is a whole pool.
fn verify(path: &Path, file: &File) -> Result<superblock::Found, StorageError> {
    let meta = file.metadata().map_err(|source| cannot("look at", path, source))?;
    let foreign = |why: &str| StorageError::Foreign { path: path.to_owned(), why: why.to_owned() };
    if !meta.is_file() {
        return Err(foreign("it is no file"));
    }
    let found = superblock::look(file).map_err(|source| cannot("read", path, source))?;
    let found = found.ok_or_else(|| foreign("it begins with no file system that a pool has"))?;
    if meta.len() < found.bytes {
        let (has, needs) = (meta.len(), found.bytes);
        return Err(StorageError::Truncated { path: path.to_owned(), has, needs });
    }
    Ok(found)
}

/// The type and the mount options for the engine's volume (`type=`, `o=`); none for a plain folder.
#[must_use]
pub fn options(driver: Driver) -> Option<(&'static str, &'static str)> {
    match driver {
        // Without checksums and without copying on every write, a database reads as fast as elsewhere; what is
        // allocated for the pool stays so (`nodiscard`).
        Driver::Btrfs => Some(("btrfs", "noatime,nodatacow,nodiscard,user_subvol_rm_allowed")),
        // All pools begin as one template, whose uuid XFS would take for one file system mounted twice.
        Driver::Reflink => Some(("xfs", "noatime,nodiscard,nouuid")),
        Driver::Copy => None,
    }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The smallest pool that can be asked for.
pub const SMALLEST: u64 = 256 * MIB;

/// The size of a new pool on a disk of `total` bytes with so many free: a quarter of what is free, between 1 GiB and
/// 64 GiB, or what was asked for, with [`kept`] beside it. None when there is no room for that.
#[must_use]
pub fn size(free: u64, total: u64, asked: Option<u64>) -> Option<u64> {
    let most = free.saturating_sub(kept(total));
    let bytes = match asked {
        Some(asked) => asked,
        None => (free / 4).clamp(GIB, 64 * GIB).min(most.max(GIB)),
    };
    let bytes = bytes / MIB * MIB;
    (SMALLEST..=most).contains(&bytes).then_some(bytes)
}

/// What stays free on a disk of `total` bytes for all else that writes there: a twentieth, and no more than 4 GiB, as a
/// share alone would be tens of gigabytes of a disk that is large and nearly full.
fn kept(total: u64) -> u64 {
    (total / 20).min(4 * GIB)
}

/// The file systems that pools begin as; see `templates/make.sh`.
fn template(driver: Driver, bytes: u64) -> Option<&'static [u8]> {
    match driver {
        Driver::Btrfs => Some(include_bytes!("templates/btrfs.gz")),
        Driver::Reflink if bytes >= 4 * GIB => Some(include_bytes!("templates/xfs-4g.gz")),
        Driver::Reflink => Some(include_bytes!("templates/xfs-300m.gz")),
        Driver::Copy => None,
    }
}

/// Makes the file aside and gives it its name when it is whole.
fn make(folder: &Path, path: &Path, create: &Create) -> Result<(), StorageError> {
    let disk = rustix::fs::statvfs(folder)
        .map_err(StorageError::system(format!("look at the disk of {}", folder.display())))?;
    let (free, total) =
        (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    let bytes = size(free, total, create.bytes).ok_or_else(|| StorageError::NoRoom {
        free,
        needed: create.bytes.unwrap_or(GIB).max(SMALLEST).saturating_add(kept(total)),
    })?;
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(source) if source.kind() != ErrorKind::NotFound => return Err(cannot("remove", &new, source)),
        _ => {}
    }
    let done = fill(&new, create.driver, bytes).and_then(|()| {
        // Never over a pool, whoever made it meanwhile.
        match rustix::fs::renameat_with(CWD, &new, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::NOSYS) if !path.exists() => {
                std::fs::rename(&new, path).map_err(|source| cannot("rename", &new, source))
            }
            Err(errno) => Err(cannot("rename", &new, errno.into())),
        }
    });
    if done.is_err() {
        let _ = std::fs::remove_file(&new);
        return done;
    }
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| cannot("write out", folder, source))
}

fn fill(new: &Path, driver: Driver, bytes: u64) -> Result<(), StorageError> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(new)
        .map_err(|source| cannot("make", new, source))?;
    // On a disk that copies on write, what is allocated would be none of what is written. Elsewhere the flag is
    // unknown, and nobody needs it.
    if let Ok(flags) = rustix::fs::ioctl_getflags(&file) {
        let _ = rustix::fs::ioctl_setflags(&file, flags | IFlags::NOCOW);
    }
    allocate(&file, 0, bytes).map_err(|source| cannot("allocate", new, source))?;
    let packed = template(driver, bytes).ok_or_else(|| StorageError::Foreign {
        path: new.to_owned(),
        why: format!("the driver {} needs no file", driver.word()),
    })?;
    unpack(packed, &file, bytes).map_err(|source| cannot("format", new, source))?;
    superblock::name(&file, driver, random()?).map_err(|source| cannot("format", new, source))?;
    file.sync_all().map_err(|source| cannot("write out", new, source))
}

/// Allocates a part of a file, for good, also where the file system has no word for it.
fn allocate(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), from, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        answer => return Ok(answer?),
    }
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let length = zeros.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
        file.write_all_at(&zeros[..length], from + at)?;
        at += length as u64;
    }
    Ok(())
}

/// Writes a template's blocks to their places.
fn unpack(packed: &[u8], file: &File, room: u64) -> io::Result<()> {
    let mut packed = GzDecoder::new(packed);
    let mut number = [0; 8];
    packed.read_exact(&mut number)?;
    if u64::from_le_bytes(number) > room {
        return Err(io::Error::new(ErrorKind::StorageFull, "this file system needs a larger pool"));
    }
    let mut block = [0; 4096];
    loop {
        match packed.read_exact(&mut number) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            answer => answer?,
        }
        packed.read_exact(&mut block)?;
        file.write_all_at(&block, u64::from_le_bytes(number) * 4096)?;
    }
}

/// Enlarges the file and lets its loop devices see it, where [`kept`] stays free below.
pub(super) fn grow(path: &Path, bytes: u64) -> Result<(), Refusal> {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| system("open the pool's file", &error))?;
    let has = file.metadata().map_err(|error| system("look at the pool's file", &error))?.len();
    if bytes < has {
        return Err(Refusal::System {
            doing: "enlarge the pool".to_owned(),
            why: format!("it has {has} bytes already, and does not shrink"),
        });
    }
    if bytes > has {
        let disk = rustix::fs::fstatvfs(&file).map_err(refusal("look at the disk below the pool"))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = (bytes - has).saturating_add(kept(disk.f_blocks.saturating_mul(disk.f_frsize)));
        if free < needed {
            return Err(Refusal::Full { free, needed });
        }
        if let Err(error) = allocate(&file, has, bytes - has) {
            // A part of it may be there.
            let _ = file.set_len(has);
            return Err(system("allocate the pool's file", &error));
        }
        file.sync_all().map_err(|error| system("write the pool's file out", &error))?;
    }
    loops::refresh(&file)
        .map_err(|error| Refusal::System { doing: "enlarge the pool's device".to_owned(), why: told(&error) })
}

/// An error with its cause.
fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

pub(super) fn system(doing: &str, error: &io::Error) -> Refusal {
    Refusal::System { doing: doing.to_owned(), why: error.to_string() }
}

fn cannot(doing: &str, path: &Path, source: io::Error) -> StorageError {
    StorageError::System { doing: format!("{doing} {}", path.display()), source }
}

fn random() -> Result<[u8; 16], StorageError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(StorageError::system("make a random id"))?;
    // Version 4 of RFC 9562: random.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes)
}

/// A random id, as it is written.
pub(super) fn random_uuid() -> Result<String, StorageError> {
    random().map(superblock::uuid_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_what_is_free_within_bounds() {
        let giga = |free: u64, total: u64| size(free * GIB, total * GIB, None).map(|bytes| bytes / MIB);
        assert_eq!(giga(40, 100), Some(10 * 1024));
        assert_eq!(giga(2000, 4000), Some(64 * 1024), "at most");
        assert_eq!(giga(3, 10), Some(1024), "at least");
        assert_eq!(giga(25, 252), Some(6400), "a large disk that is nearly full");
        assert_eq!(giga(5, 252), Some(1024), "what is kept is 4 GiB");
        assert_eq!(giga(4, 252), None);
        assert_eq!(giga(2, 20), Some(1024), "what is kept is a twentieth");
        assert_eq!(giga(1, 20), None);
        assert_eq!(giga(0, 0), None);
        assert_eq!(size(GIB, GIB, Some(256 * MIB)), Some(256 * MIB));
        assert_eq!(size(GIB, GIB, Some(255 * MIB)), None, "no file system fits");
        assert_eq!(size(GIB, GIB, Some(GIB)), None);
        assert_eq!(size(100 * GIB, 100 * GIB, Some(80 * GIB)), Some(80 * GIB));
    }

    fn wish(file: PathBuf) -> Wish {
        Wish { file, create: None, uuid: None }
    }

    #[test]
    fn a_file_is_a_whole_file_system_with_its_own_id() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, driver| {
            let path = dir.path().join(name);
            fill(&path, driver, 320 * MIB).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            (verify(&path, &file), path, file)
        };
        for driver in [Driver::Btrfs, Driver::Reflink] {
            let (one, path, file) = make(&format!("{}-1", driver.word()), driver);
            let (other, ..) = make(&format!("{}-2", driver.word()), driver);
            let (one, other) = (one.unwrap(), other.unwrap());
            assert_eq!((one.driver, other.driver), (driver, driver));
            assert_ne!(one.uuid, other.uuid);
            assert!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512 >= 320 * MIB);
            file.set_len(100 * MIB).unwrap();
            let cut = verify(&path, &file);
            assert!(matches!(cut, Err(StorageError::Truncated { has, .. }) if has == 100 * MIB), "{cut:?}");
            let start = if driver == Driver::Btrfs { 64 << 10 } else { 0 };
            file.write_all_at(b"?", start + 200).unwrap();
            assert!(matches!(verify(&path, &file), Err(StorageError::Foreign { .. })));
        }
    }

    #[test]
    fn nothing_is_made_over_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        assert!(matches!(attach(&wish(path.clone())), Err(StorageError::NoPool { .. })));
        std::fs::write(&path, "mine").unwrap();
        let create = Some(Create { driver: Driver::Btrfs, bytes: Some(SMALLEST) });
        let answer = attach(&Wish { create: create.clone(), ..wish(path.clone()) });
        assert!(matches!(answer, Err(StorageError::Foreign { .. })), "{answer:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
        assert!(attach(&Wish { create, ..wish(path) }).is_err());
    }
}
