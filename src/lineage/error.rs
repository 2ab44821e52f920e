//! What lineage refuses, as data.

use super::names::Refused;
use super::{Seconds, State};

/// What a name was looked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A branch.
    Branch,
    /// A snapshot.
    Snapshot,
    /// An environment.
    Environment,
}

impl Sort {
    /// Its name as it is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Snapshot => "snapshot",
            Self::Environment => "environment",
        }
    }
}

/// Why something cannot be done with branches and snapshots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that nothing can have.
    #[error("`{}` cannot be the name of a {}: {why}", .name.escape_debug(), .sort.word())]
    BadName {
        /// Of what.
        sort: Sort,
        /// The name.
        name: String,
        /// Why not.
        why: Refused,
    },
    /// A name that something has already.
    #[error("there is a {} `{name}` already", .sort.word())]
    NameTaken {
        /// Of what.
        sort: Sort,
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// Nothing has that name or id.
    #[error("no such {}: `{}`", .sort.map_or("branch or snapshot", Sort::word), .name.escape_debug())]
    Unknown {
        /// What was looked for; none when either would do.
        sort: Option<Sort>,
        /// What was given.
        name: String,
        /// The name that may have been meant.
        meant: Option<String>,
        /// The names that there are, when they are few.
        known: Vec<String>,
        /// When it was deleted, if it was and can be had back.
        deleted: Option<Seconds>,
    },
    /// The start of more than one id.
    #[error("`{prefix}` is the start of {} ids", .ids.len())]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// The ids and names that it could be.
        ids: Vec<(String, String)>,
    },
    /// A branch and a snapshot have that name.
    #[error("`{name}` is a branch and a snapshot")]
    Both {
        /// The name.
        name: String,
        /// The branch's id.
        branch: String,
        /// The snapshot's id.
        snapshot: String,
    },
    /// It is protected.
    #[error("branch `{name}` is protected")]
    Protected {
        /// The branch.
        name: String,
    },
    /// Services work on it.
    #[error("branch `{name}` is the current one of {}", .environments.join(", "))]
    Current {
        /// The branch.
        name: String,
        /// The environments that stand on it.
        environments: Vec<String>,
    },
    /// Others were made from it and that was to be respected.
    #[error("branch `{name}` has {} made from it", .children.join(", "))]
    HasChildren {
        /// The branch.
        name: String,
        /// Their names.
        children: Vec<String>,
    },
    /// A branch began there and needs it.
    #[error("snapshot `{name}` is where {} began", .branches.join(", "))]
    Needed {
        /// The snapshot.
        name: String,
        /// The names of the branches.
        branches: Vec<String>,
    },
}

impl State {
    /// When it was deleted, if it was.
    #[must_use]
    pub fn deleted(self) -> Option<Seconds> {
        match self {
            Self::Ready => None,
            Self::Deleted { at } => Some(at),
        }
    }
}
