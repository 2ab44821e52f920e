//! The pool's file: made, found, attached to a loop device, grown.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StorageError;
use super::protocol::Driver;

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
    Err(StorageError::NoPool { path: wish.file.clone() })
}

/// Takes the pool's file off its loop devices. One that is mounted goes when it is unmounted.
pub fn detach(file: &Path) -> Result<(), StorageError> {
    Err(StorageError::NoPool { path: file.to_owned() })
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

/// The size of a new pool on a disk with so many bytes free; none when the disk has no room for one.
#[must_use]
pub fn size(free: u64, total: u64, asked: Option<u64>) -> Option<u64> {
    let _ = (free, total, asked);
    None
}
