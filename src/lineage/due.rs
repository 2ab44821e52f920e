//! What a run of [`super::sweep`] is given, and what it decides, each with its reason.

use std::collections::BTreeSet;

use super::delete::By;
use super::error::Sort;
use super::{Act, Changes, KEPT, Seconds};

/// How far the clock may go between two looks at it without anybody wondering.
pub const JUMP: Seconds = 24 * 60 * 60;
/// How far it may go back: what a time server corrects.
pub const BACK: Seconds = 60;
/// How much is deleted and removed in one run that nobody asked for.
pub const AT_ONCE: usize = 20;

/// What one run is given.
#[derive(Debug, Clone)]
pub struct Tick<'a> {
    /// Who does it and what the clock says now.
    pub by: By<'a>,
    /// What the clock said when the catalogue last looked at it.
    pub last_seen: Option<Seconds>,
    /// How long what was deleted or replaced is kept: [`KEPT`], unless the user says otherwise.
    pub kept: Seconds,
    /// How many branches and snapshots may be deleted and removed: [`AT_ONCE`].
    pub limit: usize,
    /// Ids of branches that somebody works on at this moment, without an environment standing on them.
    pub busy: BTreeSet<String>,
}

impl<'a> Tick<'a> {
    /// A run that nobody asked for.
    #[must_use]
    pub fn new(by: By<'a>, last_seen: Option<Seconds>) -> Self {
        Self { by, last_seen, kept: KEPT, limit: AT_ONCE, busy: BTreeSet::new() }
    }

    /// How far the clock jumped since the catalogue last looked at it; less than nothing when back.
    #[must_use]
    pub fn jump(&self) -> Option<Seconds> {
        let passed = self.by.now.saturating_sub(self.last_seen?);
        (!(-BACK..=JUMP).contains(&passed)).then_some(passed)
    }
}

/// What is to be done with one branch or snapshot. What is not due has no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What it is.
    pub sort: Sort,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why it is due.
    pub due: Due,
    /// What is done.
    pub verdict: Verdict,
}

/// Why something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Due {
    /// Its time is over.
    #[error("its time is over")]
    Expired {
        /// Since when.
        since: Seconds,
    },
    /// It was deleted some days ago.
    #[error("it was deleted some days ago")]
    Deleted {
        /// When.
        at: Seconds,
    },
    /// It was replaced some days ago.
    #[error("it was replaced some days ago")]
    Replaced {
        /// When.
        at: Seconds,
    },
    /// It is where a branch began that is gone for good.
    #[error("no branch that began there is left")]
    Orphaned,
}

/// What is done with what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Go(Act),
    /// It is left for now.
    Stay(Stay),
}

/// Why something is left although it is due.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stay {
    /// Environments stand on it.
    #[error("{} stands on it", .0.join(", "))]
    Current(Vec<String>),
    /// It is protected.
    #[error("it is protected")]
    Protected,
    /// Somebody works on it.
    #[error("somebody is connected to it")]
    Busy,
    /// Branches began there; their names.
    #[error("{} began there", .0.join(", "))]
    Needed(Vec<String>),
    /// The clock went that far since it was last looked at.
    #[error("the clock jumped by {0} s since it was last looked at")]
    ClockJumped(Seconds),
    /// Enough was taken away in this run.
    #[error("enough was taken away in this run")]
    Enough,
}

/// What one run takes away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Each branch and snapshot that is due, the eldest first.
    pub decisions: Vec<Decision>,
    /// What is to be written down, after the data is gone.
    pub changes: Changes,
    /// The data that the pool is to take away.
    pub data: Vec<String>,
}
