//! The pool: the place beside the engine that holds the data of all branches and snapshots, and makes copies of it
//! that cost nothing.
//!
//! Two sides. The **keeper** ([`serve`]) runs in a container that has the pool mounted and does what [`protocol`]
//! names; the command line asks it through [`Client`]. Where the pool is a file ([`image`]), a container that ends
//! at once attaches it to a loop device before the keeper is started.
//!
//! # How a pool copies
//! - `btrfs` ([`btrfs`]): a snapshot of a subvolume, whole and at one instant, in the same time whatever its size.
//! - `reflink` ([`tree`] on XFS): file by file, each sharing its blocks; time grows with the number of files. A
//!   database runs on it as fast as on a plain disk.
//! - `copy` ([`tree`]): file by file and byte by byte, in a plain folder. Needs no privilege, works everywhere.
//!
//! # What lies below the root
//! `format.json` (what this is) · `data/ID/FOLDER` (one folder for each volume; `data/ID` is a subvolume on btrfs,
//! which nobody can write when it is frozen) · `manifests/ID.json` (what devenv knows of it; data without one is
//! somebody else's and is never touched) · `live/ENVIRONMENT` (a symbolic link to `../data/ID`, which the engine's
//! volumes bind: turning it is a switch, and where it dangles nothing starts on an empty folder instead) · `tmp`
//! (what is being made or taken away).
//!
//! Everything is built below `tmp`, synced, described by its manifest, and then renamed into `data`: a crash leaves
//! nothing or the whole. What lies in the data was written by containers and is not to be trusted: no path through
//! it ever follows a symbolic link.

mod btrfs;
pub mod client;
#[cfg(test)]
mod contract;
mod driver;
pub mod image;
mod ioctl;
mod loops;
mod name;
mod pool;
mod postgres;
pub mod protocol;
pub mod serve;
mod superblock;
mod tree;
mod walk;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::size;

pub use client::Client;
pub use protocol::{Driver, Refusal};

/// Why the pool did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The keeper refused, or could not; nothing of it is left.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The keeper ended, or its line was cut, before it answered.
    #[error("the pool's keeper ended before it answered")]
    Gone,
    /// The keeper says nothing.
    #[error("the pool's keeper has said nothing for {} s", after.as_secs())]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// The keeper answered what was not asked, as one of another version may.
    #[error("the pool's keeper answered something else than what it was asked")]
    Unexpected,
    /// There is no pool, where there was one or one was to be opened.
    #[error("there is no pool at {}", path.display())]
    NoPool {
        /// Its file.
        path: PathBuf,
    },
    /// The pool's file holds no file system of ours; nothing is ever made over it.
    #[error("{} is no pool of devenv ({why})", path.display())]
    Foreign {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The pool's file was cut off.
    #[error("{} was cut off: it has {has} bytes, and its file system {needs}", path.display())]
    Truncated {
        /// Its file.
        path: PathBuf,
        /// Bytes of the file.
        has: u64,
        /// Bytes of the file system.
        needs: u64,
    },
    /// It is another pool than the one that was asked for.
    #[error("{} is the pool {found}, not {expected}", path.display())]
    Other {
        /// Its file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The disk below the pool has too little free.
    #[error("the disk has {} free, and {} are needed", size::bytes(*free), size::bytes(*needed))]
    NoRoom {
        /// Free bytes.
        free: u64,
        /// What there has to be.
        needed: u64,
    },
    /// An answer of the operating system.
    #[error("cannot {doing}")]
    System {
        /// What was being done.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

impl StorageError {
    /// An answer of the operating system to `doing`.
    fn system(doing: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let doing = doing.into();
        move |errno| Self::System { doing, source: errno.into() }
    }
}
