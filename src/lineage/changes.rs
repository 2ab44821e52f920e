//! What is written down together: the records that a command changes, what it took away, and what it is about to
//! do.

use super::{Branch, Environment, Lineage, Project, Seconds, Snapshot, Sort};

/// Records to be written and removed, all of them or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Projects, whole, new or changed.
    pub put_projects: Vec<Project>,
    /// Branches, whole, new or changed.
    pub put_branches: Vec<Branch>,
    /// Snapshots, whole, new or changed.
    pub put_snapshots: Vec<Snapshot>,
    /// Environments, whole, new or changed.
    pub put_environments: Vec<Environment>,
    /// Ids of branches that are gone for good.
    pub remove_branches: Vec<String>,
    /// Ids of snapshots that are gone for good.
    pub remove_snapshots: Vec<String>,
    /// Environments that are gone: [`Environment::project`] and [`Environment::name`].
    pub remove_environments: Vec<(String, String)>,
    /// What is said about it for later.
    pub audit: Vec<Audit>,
}

impl Changes {
    /// Adds what `other` changes, which comes later.
    pub fn and(&mut self, other: Self) {
        self.put_projects.extend(other.put_projects);
        self.put_branches.extend(other.put_branches);
        self.put_snapshots.extend(other.put_snapshots);
        self.put_environments.extend(other.put_environments);
        self.remove_branches.extend(other.remove_branches);
        self.remove_snapshots.extend(other.remove_snapshots);
        self.remove_environments.extend(other.remove_environments);
        self.audit.extend(other.audit);
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One line on what was taken away, had back, or copied from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When.
    pub at: Seconds,
    /// [`Project::id`].
    pub project: String,
    /// What it was done to.
    pub sort: Sort,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What was done.
    pub act: Act,
    /// Why, in words.
    pub why: String,
    /// The command that did it, as it was typed.
    pub command: String,
}

/// What was done to a branch or a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Deleted: it can be had back.
    Delete,
    /// Had back.
    Undelete,
    /// Taken away for good.
    Remove,
    /// Data from elsewhere was copied into it as it is.
    Copy,
}

/// What a command is about to do, written down before it begins, so that another one can finish it or take it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// [`Project::id`].
    pub project: String,
    /// [`Environment::name`], when it is one environment's affair.
    pub environment: Option<String>,
    /// The verb, as `branch create`.
    pub verb: String,
    /// The last step that was begun; the verb's own word.
    pub step: String,
    /// What the verb needs to know to go on or back.
    pub detail: serde_json::Value,
    /// The command as it was typed.
    pub command: String,
    /// When it began.
    pub started: Seconds,
    /// The process that does it.
    pub pid: u32,
}

impl Lineage {
    /// These records after `changes`, those of other projects left out.
    #[must_use]
    pub fn after(&self, changes: &Changes) -> Self {
        let mut after = self.clone();
        for id in &changes.remove_branches {
            after.branches.remove(id);
        }
        for id in &changes.remove_snapshots {
            after.snapshots.remove(id);
        }
        for (_, name) in &changes.remove_environments {
            after.environments.remove(name);
        }
        after.branches.extend(changes.put_branches.iter().map(|branch| (branch.id.clone(), branch.clone())));
        after
            .snapshots
            .extend(changes.put_snapshots.iter().map(|snapshot| (snapshot.id.clone(), snapshot.clone())));
        after.environments.extend(
            changes
                .put_environments
                .iter()
                .map(|environment| (environment.name.clone(), environment.clone())),
        );
        after
    }
}
