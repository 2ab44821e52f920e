//! What is to be taken away without anybody asking: branches whose time is over, and the data of what was deleted
//! or replaced some days ago.
//!
//! Nothing goes in one step. A branch whose time is over is deleted first, and can be had back for as long as one
//! that a user deleted. A clock that jumped takes nothing away (faults 45): the run that sees the jump holds
//! everything back that depends on the time.

use std::collections::{BTreeMap, BTreeSet};

use super::delete::By;
use super::error::Sort;
use super::{Act, Branch, Changes, KEPT, Lineage, Reason, Seconds, Snapshot, State};

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
        (passed > JUMP || passed < -BACK).then_some(passed)
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

impl Lineage {
    /// What is due, and what is done about it.
    #[must_use]
    pub fn sweep(&self, tick: &Tick<'_>) -> Sweep {
        let mut run = Run { lineage: self, tick, left: tick.limit, sweep: Sweep::default() };
        run.branches();
        run.snapshots();
        run.changes();
        run.sweep
    }
}

struct Run<'a> {
    lineage: &'a Lineage,
    tick: &'a Tick<'a>,
    left: usize,
    sweep: Sweep,
}

impl Run<'_> {
    fn over(&self, at: Seconds) -> bool {
        self.tick.by.now.saturating_sub(at) > self.tick.kept
    }

    fn branches(&mut self) {
        let mut branches: Vec<&Branch> = self.lineage.branches.values().collect();
        branches.sort_by_key(|branch| branch.sequence);
        for branch in branches {
            let (due, act) = match branch.state {
                State::Ready => match branch.expires {
                    Some(since) if since <= self.tick.by.now => (Due::Expired { since }, Act::Delete),
                    _ => continue,
                },
                State::Deleted { at } if self.over(at) => (Due::Deleted { at }, Act::Remove),
                State::Deleted { .. } => continue,
            };
            let standing = self.lineage.standing_on(&branch.id);
            let stay = if !standing.is_empty() {
                Some(Stay::Current(standing.into_iter().map(str::to_owned).collect()))
            } else if branch.protected {
                Some(Stay::Protected)
            } else if self.tick.busy.contains(&branch.id) {
                Some(Stay::Busy)
            } else {
                None
            };
            self.decide(Sort::Branch, &branch.id, &branch.name, due, act, stay);
        }
    }

    fn snapshots(&mut self) {
        // A branch that is deleted still needs its fork, since it can be had back.
        let gone = self.going(Sort::Branch, Act::Remove);
        let mut needed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for branch in self.lineage.branches.values().filter(|branch| !gone.contains(&branch.id)) {
            if let Some(fork) = &branch.fork {
                needed.entry(fork).or_default().push(branch.name.clone());
            }
        }
        let mut snapshots: Vec<&Snapshot> = self.lineage.snapshots.values().collect();
        snapshots.sort_by_key(|snapshot| snapshot.sequence);
        for snapshot in snapshots {
            let begun = needed.get(snapshot.id.as_str());
            let expired = snapshot.expires.filter(|since| *since <= self.tick.by.now);
            let (due, act) = match (snapshot.state, snapshot.reason, expired) {
                (State::Deleted { at }, _, _) if self.over(at) => (Due::Deleted { at }, Act::Remove),
                (State::Ready, Reason::Fork, _) if begun.is_none() => (Due::Orphaned, Act::Remove),
                (State::Ready, Reason::Replaced, _) if self.over(snapshot.created) => {
                    (Due::Replaced { at: snapshot.created }, Act::Remove)
                }
                (State::Ready, Reason::Asked, Some(since)) => (Due::Expired { since }, Act::Delete),
                _ => continue,
            };
            // What is only marked as deleted is still there for those who began there.
            let stay = begun.filter(|_| act == Act::Remove).map(|names| Stay::Needed(names.clone()));
            self.decide(Sort::Snapshot, &snapshot.id, &snapshot.name, due, act, stay);
        }
    }

    fn decide(&mut self, sort: Sort, id: &str, name: &str, due: Due, act: Act, stay: Option<Stay>) {
        let stay = stay.or_else(|| self.tick.jump().map(Stay::ClockJumped));
        let stay = stay.or_else(|| (self.left == 0).then_some(Stay::Enough));
        let verdict = match stay {
            Some(stay) => Verdict::Stay(stay),
            None => {
                self.left -= 1;
                Verdict::Go(act)
            }
        };
        let (id, name) = (id.to_owned(), name.to_owned());
        self.sweep.decisions.push(Decision { sort, id, name, due, verdict });
    }

    fn going(&self, sort: Sort, act: Act) -> BTreeSet<String> {
        let of = |decision: &&Decision| decision.sort == sort && decision.verdict == Verdict::Go(act);
        self.sweep.decisions.iter().filter(of).map(|decision| decision.id.clone()).collect()
    }

    fn changes(&mut self) {
        let by = self.tick.by;
        let mut removed_data = Vec::new();
        let mut deleted = BTreeMap::new();
        let mut changes = Changes::default();
        for decision in &self.sweep.decisions {
            let Verdict::Go(act) = decision.verdict else { continue };
            let why = decision.due.to_string();
            let branch = self.lineage.branches.get(&decision.id).filter(|_| decision.sort == Sort::Branch);
            let snapshot =
                self.lineage.snapshots.get(&decision.id).filter(|_| decision.sort == Sort::Snapshot);
            match (branch, snapshot) {
                (Some(branch), _) if act == Act::Remove => {
                    changes.audit.push(by.branch(branch, act, &why));
                    changes.remove_branches.push(branch.id.clone());
                    removed_data.push(branch.data.clone());
                }
                (Some(branch), _) => {
                    deleted.insert(branch.id.as_str(), why);
                }
                (None, Some(snapshot)) => {
                    changes.audit.push(by.snapshot(snapshot, act, &why));
                    if act == Act::Remove {
                        changes.remove_snapshots.push(snapshot.id.clone());
                        removed_data.push(snapshot.id.clone());
                    } else {
                        let state = State::Deleted { at: by.now };
                        changes.put_snapshots.push(Snapshot { state, ..snapshot.clone() });
                    }
                }
                (None, None) => {}
            }
        }
        changes.and(self.lineage.without(&deleted, by).changes);
        // Whoever names a branch that is gone for good as parent names the next one above it that is left.
        let after = self.lineage.after(&changes);
        for branch in after.branches.values() {
            if branch.parent.as_ref().is_some_and(|parent| !after.branches.contains_key(parent)) {
                let left = |it: &&Branch| after.branches.contains_key(&it.id);
                let parent = self.lineage.ancestors(&branch.id).into_iter().find(left);
                let moved = Branch { parent: parent.map(|it| it.id.clone()), ..branch.clone() };
                changes.put_branches.retain(|it| it.id != moved.id);
                changes.put_branches.push(moved);
            }
        }
        // Whatever the records say, data that one of them still names is not taken away.
        let named: BTreeSet<&str> = after
            .branches
            .values()
            .map(|branch| branch.data.as_str())
            .chain(after.snapshots.keys().map(String::as_str))
            .collect();
        removed_data.retain(|data| !named.contains(data.as_str()));
        removed_data.sort();
        removed_data.dedup();
        self.sweep.changes = changes;
        self.sweep.data = removed_data;
    }
}
