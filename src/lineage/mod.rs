//! Branches and snapshots as records: who descends from whom, what they are called, when they end. Pure: it is
//! handed the records and the time, and answers what is to be frozen, copied, kept or taken away.

pub mod archive;
pub mod changes;
pub mod common;
pub mod delete;
pub mod difference;
pub mod due;
pub mod error;
pub mod find;
pub mod keep;
pub mod names;
pub mod rebuild;
pub mod sweep;
pub mod tree;
pub mod which;

use std::collections::BTreeMap;

pub use changes::{Act, Audit, Changes, Intent};
pub use delete::{By, Children, Deletion};
pub use due::{Decision, Due, Stay, Sweep, Tick, Verdict};
pub use error::{Error, Sort};
pub use find::Point;
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970 (UTC).
pub type Seconds = i64;

/// A checkout of the user's whose stack has data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Random, kept in the checkout's `.devenv/project`, so that a checkout can move.
    pub id: String,
    /// The compose project's name.
    pub name: String,
    /// The checkout's folder when it was last seen.
    pub directory: String,
    /// The engine's own id (`/info`, `ID`), since data lies beside the engine.
    pub engine: String,
}

/// One copy of a project that runs or can be started, named as its compose project is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The compose project's name, which is what its containers and volumes are labelled with.
    pub name: String,
    /// [`Project::id`].
    pub project: String,
    /// The branch that its services work on; none where the project has no data that a branch could hold.
    pub branch: Option<String>,
    /// The branch before that, for `switch -`.
    pub previous: Option<String>,
    /// The git branch that it follows, if it follows one.
    pub git: Option<String>,
    /// The folder of the checkout that it was last used from.
    pub worktree: Option<String>,
    /// The user who made it.
    pub owner: String,
    /// When it was made.
    pub created: Seconds,
    /// When it was last started or turned to.
    pub used: Seconds,
    /// When it ends by itself.
    pub expires: Option<Seconds>,
    /// Since when the git branch that it follows is gone.
    pub orphaned: Option<Seconds>,
    /// The ports of this machine that it has instead of those that the compose file fixes, by what they are for:
    /// `SERVICE ADDRESS:PORT:TARGET/PROTOCOL`.
    pub ports: BTreeMap<String, u16>,
    /// Whether it is there.
    pub state: State,
}

/// A writable copy of the stack's data. Its data in the pool has the branch's id as name until the branch is reset
/// or restored, which gives it other data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Random, never used twice.
    pub id: String,
    /// [`Project::id`].
    pub project: String,
    /// As the user wrote it; unique among the project's branches that are not deleted.
    pub name: String,
    /// The name of its data in the pool.
    pub data: String,
    /// The folders of its data: the keys of the volumes in the compose file.
    pub volumes: Vec<String>,
    /// The branch that it was made from; none for the first one, or when that is gone for good.
    pub parent: Option<String>,
    /// The frozen copy that it began as, kept for as long as the branch is: the fork point.
    pub fork: Option<String>,
    /// Grows with every record of the catalogue; what is older has the smaller one, whatever the clock did.
    pub sequence: i64,
    /// When it was made.
    pub created: Seconds,
    /// When its services last began to work on it.
    pub used: Seconds,
    /// When it ends by itself.
    pub expires: Option<Seconds>,
    /// Refuses to be deleted or reset.
    pub protected: bool,
    /// Runs with durability settings that a power cut may cost data under.
    pub fast: bool,
    /// Whether it is there.
    pub state: State,
}

impl Branch {
    /// One that is there from `created` on, whose data has its id as name, and that descends from none.
    #[must_use]
    pub fn new(id: String, project: &Project, name: &str, created: Seconds) -> Self {
        Self {
            data: id.clone(),
            id,
            project: project.id.clone(),
            name: name.to_owned(),
            volumes: Vec::new(),
            parent: None,
            fork: None,
            sequence: 0,
            created,
            used: created,
            expires: None,
            protected: false,
            fast: false,
            state: State::Ready,
        }
    }
}

/// A frozen copy of a branch's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Random, never used twice; the name of its data in the pool too.
    pub id: String,
    /// [`Project::id`].
    pub project: String,
    /// The branch that it was taken of.
    pub branch: String,
    /// As the user wrote it, or one that devenv gave; unique among the project's snapshots that are not deleted.
    pub name: String,
    /// What the user said about it.
    pub message: String,
    /// Why it was taken.
    pub reason: Reason,
    /// The folders of its data.
    pub volumes: Vec<String>,
    /// As in [`Branch::sequence`].
    pub sequence: i64,
    /// When it was taken.
    pub created: Seconds,
    /// When it ends by itself.
    pub expires: Option<Seconds>,
    /// How its data was masked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
    /// Whether it is there.
    pub state: State,
}

/// How data was masked, and what was looked at afterwards. It names no value and no key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The hash of the policy's text (SHA-256, hexadecimal).
    pub policy: String,
    /// The hash of the tables as they were read.
    pub schema: String,
    /// The beginning of a hash of the key.
    pub key: String,
    /// The version of the scanner.
    pub scanner: u32,
    /// Where the data came from, without a password.
    pub source: String,
    /// When it was read.
    pub at: Seconds,
    /// How many tables were copied.
    pub tables: usize,
    /// How many rows.
    pub rows: u64,
    /// How many columns were masked.
    pub masked: usize,
    /// How many columns that were kept were searched for what was masked elsewhere; nothing was found.
    pub searched: usize,
    /// What else was made sure of, in words.
    pub verified: Vec<String>,
}

/// Why a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The user asked for it.
    Asked,
    /// A branch began here.
    Fork,
    /// What a reset, a restore or another destructive command replaced; kept for some days.
    Replaced,
}

/// Whether a branch, a snapshot or an environment is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    #[default]
    Ready,
    /// It was deleted at this time and can be had back until its data is taken away, seven days later.
    Deleted {
        /// When.
        at: Seconds,
    },
}

/// How long what was deleted or replaced is kept: seven days.
pub const KEPT: Seconds = 7 * 24 * 60 * 60;

/// What a manifest in the pool says, one beside each piece of data, so that the catalogue can be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub version: u32,
    /// The project, whole.
    pub project: Project,
    /// What the data is.
    pub record: Record,
}

/// What data is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A branch's.
    Branch(Branch),
    /// A snapshot's.
    Snapshot(Snapshot),
}

/// All records of one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Branches by id, deleted ones too.
    pub branches: BTreeMap<String, Branch>,
    /// Snapshots by id, deleted ones too.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// Environments by name.
    pub environments: BTreeMap<String, Environment>,
}

#[cfg(test)]
mod sketch;
