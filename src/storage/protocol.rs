//! What is said between the command line and the pool's keeper: one JSON document a line, each way.
//!
//! The keeper runs beside the engine, in a container; several commands may be attached to it at once and every one
//! of them hears every answer, so each picks its own out by `id`. A line is written whole and stays below what a
//! pipe takes in one piece (`PIPE_BUF`, pipe(7)) on the way in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::size::bytes;
use crate::talk;

/// The version of this protocol; a keeper of an older one is replaced.
pub const VERSION: u32 = 2;

/// One question.
pub type Request = talk::Request<Ask>;

/// One line of an answer. The last one is `Done` or `Failed`.
pub type Reply = talk::Reply<Answer>;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// So many bytes of so many are copied.
    Progress {
        /// Copied by now.
        done: u64,
        /// To copy in all.
        total: u64,
    },
    /// It was done.
    Done(Box<Outcome>),
    /// It was not done, and nothing of it is left.
    Failed(Refusal),
}

/// What was found or done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing but that it was done.
    Nothing,
    /// To [`Ask::Status`].
    Status(Status),
    /// To [`Ask::List`] and [`Ask::Look`].
    Items(Vec<Item>),
    /// To [`Ask::Sizes`], by id.
    Sizes(BTreeMap<String, Size>),
    /// To [`Ask::Live`]: the data that each environment's link leads to; the link may dangle.
    Live(BTreeMap<String, String>),
    /// To [`Ask::Check`]: what is wrong, as sentences.
    Problems(Vec<String>),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The pool has less free than its floor, or than what is asked for.
    #[error("the pool is full: {} are free, and {} have to stay so", bytes(*free), bytes(*needed))]
    Full {
        /// Free bytes.
        free: u64,
        /// What there has to be.
        needed: u64,
    },
    /// The pool's file system can only be read, as after an error of the disk.
    #[error("the pool can only be read")]
    ReadOnly,
    /// No such data.
    #[error("the pool has no data `{0}`")]
    Missing(String),
    /// The name is taken.
    #[error("the pool has data `{0}` already")]
    Exists(String),
    /// The data spans places that cannot be frozen at one instant.
    #[error("{path} leads out of the data (a tablespace or a log directory elsewhere)")]
    LeadsOut {
        /// The link, below the data.
        path: String,
    },
    /// An answer of the operating system.
    #[error("{doing}: {why}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        why: String,
    },
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// What the pool is, and how full.
    Status,
    /// All data that is here, foreign things too.
    List,
    /// One piece of data.
    Look {
        /// The data.
        id: String,
    },
    /// Writes settings for the PostgreSQL servers whose data is in there, behind those that they have
    /// (`postgresql.auto.conf`), in the place of what was written so before.
    Settle {
        /// The data.
        id: String,
        /// Settings and their values.
        settings: BTreeMap<String, String>,
    },
    /// New data: an empty folder for each volume.
    Make {
        /// Its id.
        id: String,
        /// The folders, one for each volume.
        folders: Vec<String>,
        /// Its manifest.
        manifest: serde_json::Value,
    },
    /// Adds folders to data, for volumes that the compose file names only now.
    Extend {
        /// The data.
        id: String,
        /// Folders that there have to be.
        folders: Vec<String>,
    },
    /// Writes the manifests of data that is about to be made, by id, so that no time goes into them while services
    /// stand still. One that no data follows is a leftover.
    Announce {
        /// The manifests.
        manifests: BTreeMap<String, serde_json::Value>,
    },
    /// A copy of all folders of `from` as they are now, which nothing may write to meanwhile, unless the driver
    /// copies in one instant. Built under a temporary name, synced, renamed.
    Capture {
        /// What is copied.
        from: String,
        /// The copy's id.
        id: String,
        /// Whether the copy can never be written.
        frozen: bool,
        /// Goes on below the floor.
        force: bool,
        /// The copy's manifest.
        manifest: serde_json::Value,
    },
    /// Copies folders from elsewhere in the keeper's file system: an engine's volume becomes data of the pool.
    Import {
        /// The new data.
        id: String,
        /// Where each folder comes from, by folder.
        folders: BTreeMap<String, String>,
        /// The manifest.
        manifest: serde_json::Value,
    },
    /// Writes a manifest anew.
    Describe {
        /// The data.
        id: String,
        /// The manifest.
        manifest: serde_json::Value,
    },
    /// Lets an environment's link lead to this data, in one step.
    Point {
        /// The environment.
        environment: String,
        /// The data.
        id: String,
    },
    /// Takes an environment's link away.
    Unpoint {
        /// The environment.
        environment: String,
    },
    /// Where the links lead.
    Live,
    /// Takes data away for good.
    Remove {
        /// The data.
        id: String,
    },
    /// How large data is.
    Sizes {
        /// Which.
        ids: Vec<String>,
    },
    /// Enlarges the pool to this many bytes.
    Grow {
        /// The whole size.
        bytes: u64,
    },
    /// Looks for damage, and for leftovers, which it takes away.
    Check,
    /// Writes everything out.
    Sync,
}

/// What the pool is, and how full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`] of the keeper.
    pub version: u32,
    /// How it copies.
    pub driver: Driver,
    /// Size of the file system, in bytes.
    pub total: u64,
    /// What can still be written, in bytes.
    pub free: u64,
    /// What has to stay free before a new branch is made, in bytes.
    pub floor: u64,
    /// What the engine's disk below the pool has free, in bytes.
    pub host_free: u64,
    /// Size of the pool's file, in bytes; none where the pool is a plain folder.
    pub image: Option<u64>,
    /// Whether all of the pool's file is allocated.
    pub allocated: bool,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// How a pool copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// Snapshots of btrfs subvolumes, whole and at one instant.
    Btrfs,
    /// Files that share their blocks (`FICLONE`), one by one.
    Reflink,
    /// Files copied byte by byte; works everywhere.
    Copy,
}

impl Driver {
    /// Its name as it is typed and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Btrfs => "btrfs",
            Self::Reflink => "reflink",
            Self::Copy => "copy",
        }
    }
}

/// One thing in the pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its name in the pool.
    pub id: String,
    /// Its folders.
    pub folders: Vec<String>,
    /// What stands in its manifest; none for what devenv did not make, which is never touched. A manifest that is no
    /// JSON any more comes as text.
    pub manifest: Option<serde_json::Value>,
}

/// How large data is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Bytes that only this data holds.
    pub own: u64,
    /// Bytes that it shares with other data.
    pub shared: u64,
}
