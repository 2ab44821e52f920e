//! Deleting, having back and renaming. What is deleted stays in the pool until [`super::sweep`] takes it away.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Error, Sort};
use super::{Act, Audit, Branch, Changes, Lineage, Reason, Seconds, Snapshot, State};

/// What becomes of the branches that were made from one that is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Children {
    /// They go on as they are, as children of its parent.
    #[default]
    Keep,
    /// Nothing is deleted when there are any.
    Refuse,
    /// They are deleted too.
    Cascade,
}

/// What deleting does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletion {
    /// What is to be written down.
    pub changes: Changes,
    /// The branches that go, parents before children.
    pub deleted: Vec<Branch>,
    /// The branches that are children of another one now.
    pub moved: Vec<Branch>,
}

/// Who does something, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// The time.
    pub now: Seconds,
    /// The command as it was typed.
    pub command: &'a str,
}

impl By<'_> {
    pub(super) fn branch(self, branch: &Branch, act: Act, why: &str) -> Audit {
        self.audit((&branch.project, Sort::Branch, &branch.id, &branch.name), act, why)
    }

    pub(super) fn snapshot(self, snapshot: &Snapshot, act: Act, why: &str) -> Audit {
        self.audit((&snapshot.project, Sort::Snapshot, &snapshot.id, &snapshot.name), act, why)
    }

    fn audit(self, (project, sort, id, name): (&str, Sort, &str, &str), act: Act, why: &str) -> Audit {
        Audit {
            at: self.now,
            project: project.to_owned(),
            sort,
            id: id.to_owned(),
            name: name.to_owned(),
            act,
            why: why.to_owned(),
            command: self.command.to_owned(),
        }
    }
}

impl Lineage {
    /// Deletes the branches that are called so or have these ids, all of them or none.
    pub fn delete(&self, named: &[&str], children: Children, by: By<'_>) -> Result<Deletion, Error> {
        let mut going: Vec<&Branch> = Vec::new();
        for named in named {
            let branch = self.branch(named)?;
            going.push(branch);
            if children == Children::Cascade {
                going.extend(self.descendants(&branch.id));
            }
        }
        let mut unique = BTreeSet::new();
        going.retain(|branch| unique.insert(&branch.id));
        for branch in &going {
            self.may_go(branch)?;
            let staying: Vec<String> = self
                .children(&branch.id)
                .into_iter()
                .filter(|child| !unique.contains(&child.id))
                .map(|child| child.name.clone())
                .collect();
            if children == Children::Refuse && !staying.is_empty() {
                return Err(Error::HasChildren { name: branch.name.clone(), children: staying });
            }
        }
        let why = going.iter().map(|branch| (branch.id.as_str(), "asked for".to_owned())).collect();
        Ok(self.without(&why, by))
    }

    /// Whether a branch may be deleted or have its data replaced by somebody who did not name it as protected.
    pub fn may_go(&self, branch: &Branch) -> Result<(), Error> {
        if branch.protected {
            return Err(Error::Protected { name: branch.name.clone() });
        }
        let standing = self.standing_on(&branch.id);
        if standing.is_empty() {
            return Ok(());
        }
        let environments = standing.into_iter().map(str::to_owned).collect();
        Err(Error::Current { name: branch.name.clone(), environments })
    }

    /// Marks the branches with these ids as deleted, for these reasons, and gives their children to whom is left.
    pub(super) fn without(&self, going: &BTreeMap<&str, String>, by: By<'_>) -> Deletion {
        let mut deletion = Deletion::default();
        let parents = |branch: &Branch| {
            let mut ancestors = self.ancestors(&branch.id).into_iter();
            ancestors.find(|it| it.state == State::Ready && !going.contains_key(it.id.as_str()))
        };
        // In the order of the tree, so that parents come before children.
        for row in self.rows(false) {
            let branch = row.branch;
            if let Some(why) = going.get(branch.id.as_str()) {
                let deleted = Branch { state: State::Deleted { at: by.now }, ..branch.clone() };
                deletion.changes.audit.push(by.branch(branch, Act::Delete, why));
                deletion.deleted.push(deleted);
            } else if branch.parent.as_deref().is_some_and(|parent| going.contains_key(parent)) {
                let parent = parents(branch).map(|parent| parent.id.clone());
                deletion.moved.push(Branch { parent, ..branch.clone() });
            }
        }
        deletion.changes.put_branches = deletion.deleted.iter().chain(&deletion.moved).cloned().collect();
        deletion
    }

    /// Deletes a snapshot. One that a branch was made from by name keeps its data for as long as the branch is.
    pub fn delete_snapshot(&self, named: &str, by: By<'_>) -> Result<Changes, Error> {
        let snapshot = self.snapshot(named)?;
        if snapshot.reason == Reason::Fork {
            let branches: Vec<String> = self
                .ready()
                .filter(|branch| branch.fork.as_ref() == Some(&snapshot.id))
                .map(|branch| branch.name.clone())
                .collect();
            if !branches.is_empty() {
                return Err(Error::Needed { name: snapshot.name.clone(), branches });
            }
        }
        let deleted = Snapshot { state: State::Deleted { at: by.now }, ..snapshot.clone() };
        let audit = vec![by.snapshot(snapshot, Act::Delete, "asked for")];
        Ok(Changes { put_snapshots: vec![deleted], audit, ..Changes::default() })
    }

    /// Has a deleted branch back, under another name if one is given. One whose time is over has no end any more.
    pub fn undelete(
        &self,
        named: &str,
        rename: Option<&str>,
        by: By<'_>,
    ) -> Result<(Branch, Changes), Error> {
        let branch = self.deleted_branch(named)?;
        let name = rename.unwrap_or(&branch.name);
        self.free_branch_name(name)?;
        let back = Branch {
            name: name.to_owned(),
            parent: self.parent(&branch.id).map(|parent| parent.id.clone()),
            expires: branch.expires.filter(|expires| *expires > by.now),
            state: State::Ready,
            ..branch.clone()
        };
        let audit = vec![by.branch(&back, Act::Undelete, "asked for")];
        Ok((back.clone(), Changes { put_branches: vec![back], audit, ..Changes::default() }))
    }

    /// Has a deleted snapshot back, under another name if one is given.
    pub fn undelete_snapshot(
        &self,
        named: &str,
        rename: Option<&str>,
        by: By<'_>,
    ) -> Result<(Snapshot, Changes), Error> {
        let snapshot = self.deleted_snapshot(named)?;
        let name = rename.unwrap_or(&snapshot.name);
        self.free_snapshot_name(name)?;
        let back = Snapshot {
            name: name.to_owned(),
            expires: snapshot.expires.filter(|expires| *expires > by.now),
            state: State::Ready,
            ..snapshot.clone()
        };
        let audit = vec![by.snapshot(&back, Act::Undelete, "asked for")];
        Ok((back.clone(), Changes { put_snapshots: vec![back], audit, ..Changes::default() }))
    }

    /// Calls a branch something else.
    pub fn rename(&self, named: &str, name: &str) -> Result<Branch, Error> {
        let branch = self.branch(named)?;
        if branch.name != name {
            self.free_branch_name(name)?;
        }
        Ok(Branch { name: name.to_owned(), ..branch.clone() })
    }
}
