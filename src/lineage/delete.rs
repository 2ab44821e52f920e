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

    /// Whether a branch may be deleted: it is not protected, and no environment stands on it.
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

#[cfg(test)]
mod tests {
    use super::super::sketch;
    use super::*;

    const BY: By<'_> = By { now: 100, command: "devenv db branch delete" };

    const FAMILY: &str = "
        main
          login
            login-fix
              deep
            careful protected
          search
            there
        s1: main fork
        dev @ there";

    fn deleted(names: &[&str], children: Children) -> String {
        let lineage = sketch::lineage(FAMILY);
        match lineage.delete(names, children, BY) {
            Ok(deletion) => {
                sketch::tree(&lineage.after(&deletion.changes)).lines().collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn children_are_kept_unless_asked() {
        let table = [
            // Deleted ones keep their place, the children of one that is deleted go up.
            (&["login-fix"][..], Children::Keep, "main ├─ login │  ├─ (login-fix) │  ├─ deep │  └─ careful"),
            (&["login"], Children::Keep, "main ├─ (login) ├─ login-fix │  └─ deep ├─ careful"),
            (&["login", "login-fix"], Children::Keep, "main ├─ (login) │  └─ (login-fix) ├─ deep ├─ careful"),
            (
                &["main"],
                Children::Keep,
                "(main) login ├─ login-fix │  └─ deep └─ careful search └─ there s1:",
            ),
            (&["login-fix"], Children::Refuse, "branch `login-fix` has deep made from it"),
            (&["login-fix", "deep"], Children::Refuse, "main ├─ login │  ├─ (login-fix) │  │  └─ (deep)"),
            (&["login-fix"], Children::Cascade, "main ├─ login │  ├─ (login-fix) │  │  └─ (deep)"),
            (&["login"], Children::Cascade, "branch `careful` is protected"),
            (&["careful"], Children::Keep, "branch `careful` is protected"),
            (&["there"], Children::Keep, "branch `there` is the current one of dev"),
            (&["search"], Children::Cascade, "branch `there` is the current one of dev"),
            (&["deep", "nothing"], Children::Keep, "no such branch: `nothing`"),
        ];
        for (names, children, expected) in table {
            let answer = deleted(names, children);
            assert!(answer.starts_with(expected), "{names:?} {children:?}\n{answer}\n{expected}");
        }
    }

    #[test]
    fn what_is_deleted_is_told_once_and_written_once() {
        let lineage = sketch::lineage(FAMILY);
        let deletion = lineage.delete(&["login-fix", "login-fix-id"], Children::Cascade, BY).unwrap();
        assert_eq!(
            sketch::told(&deletion.changes),
            "Delete branch login-fix: asked for\nDelete branch deep: asked for\n"
        );
        assert_eq!(deletion.changes.put_branches.len(), 2);
        assert_eq!(deletion.changes.audit[0].command, BY.command);
    }

    #[test]
    fn a_middle_one_of_a_long_chain_goes() {
        let text: String = (0..50).map(|number| format!("{}b{number}\n", " ".repeat(number))).collect();
        let lineage = sketch::lineage(&text);
        let deletion = lineage.delete(&["b25"], Children::Keep, BY).unwrap();
        assert_eq!(deletion.moved.len(), 1);
        let after = lineage.after(&deletion.changes);
        assert_eq!(after.branches["b26-id"].parent.as_deref(), Some("b24-id"));
        assert_eq!(after.ancestors("b49-id").len(), 48);
    }

    #[test]
    fn a_deleted_one_can_be_had_back() {
        let lineage = sketch::lineage(
            "main
               gone deleted=5
                 login deleted=6 expires=50
               login deleted=7",
        );
        let (back, changes) = lineage.undelete("login", None, BY).unwrap();
        assert_eq!((back.parent.as_deref(), back.expires, back.state), (Some("main-id"), None, State::Ready));
        assert_eq!(sketch::told(&changes), "Undelete branch login: asked for\n");
        let mut after = lineage.after(&changes);
        assert!(after.undelete("login", None, BY).is_err());
        after.branches.insert(
            "other".to_owned(),
            Branch { id: "other".to_owned(), state: State::Deleted { at: 9 }, ..back.clone() },
        );
        assert_eq!(
            after.undelete("login", None, BY).unwrap_err(),
            Error::NameTaken { sort: Sort::Branch, name: "login".to_owned(), id: "login-id".to_owned() }
        );
        assert_eq!(after.undelete("login", Some("login-2"), BY).unwrap().0.name, "login-2");
        assert!(after.undelete("login", Some("a b"), BY).is_err());
    }

    #[test]
    fn a_snapshot_that_a_branch_began_as_stays() {
        let lineage = sketch::lineage(
            "main
               login from=f
               named from=before
             f: main fork
             before: main asked expires=5",
        );
        let told = lineage.delete_snapshot("f", BY).unwrap_err().to_string();
        assert_eq!(told, "snapshot `f` is where login began");
        let after = lineage.after(&lineage.delete_snapshot("before", BY).unwrap());
        assert_eq!(after.snapshots["before-id"].state, State::Deleted { at: 100 });
        let (back, _) = after.undelete_snapshot("before", Some("earlier"), BY).unwrap();
        assert_eq!((back.name.as_str(), back.expires, back.state), ("earlier", None, State::Ready));
    }

    #[test]
    fn a_new_name_is_nobody_elses() {
        let lineage = sketch::lineage("main\n  login");
        assert_eq!(lineage.rename("login", "Login").unwrap().name, "Login");
        assert_eq!(lineage.rename("login", "login").unwrap().name, "login");
        assert!(lineage.rename("login", "main").is_err());
        assert!(lineage.rename("login", "-x").is_err());
    }
}
