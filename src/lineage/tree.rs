//! Who descends from whom, and the order in which a tree of branches is listed.
//!
//! Nothing here recurses, and no circle of parents (which only a damaged catalogue could hold) keeps it busy.

use std::collections::{BTreeMap, BTreeSet};

use super::{Branch, Lineage, State};

/// One line of `list --tree`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// The branch.
    pub branch: &'a Branch,
    /// For each ancestor that is listed and then the branch itself: whether a sibling follows further down. The
    /// roots have one entry, so its length is the depth and one.
    pub follows: Vec<bool>,
}

impl Row<'_> {
    /// How many of its ancestors are listed.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.follows.len().saturating_sub(1)
    }

    /// The lines of the tree before the name: `│  └─ `.
    #[must_use]
    pub fn lines(&self) -> String {
        let Some(((last, before), 1..)) = self.follows.split_last().map(|split| (split, self.depth())) else {
            return String::new();
        };
        let mut lines: String =
            before.iter().skip(1).map(|follows| if *follows { "│  " } else { "   " }).collect();
        lines.push_str(if *last { "├─ " } else { "└─ " });
        lines
    }
}

impl Lineage {
    /// The branch that an environment's services work on.
    #[must_use]
    pub fn current(&self, environment: &str) -> Option<&Branch> {
        self.branches.get(&self.environments.get(environment)?.branch)
    }

    /// The environments whose services work on a branch, by name.
    #[must_use]
    pub fn standing_on(&self, branch: &str) -> Vec<&str> {
        let on = self.environments.values().filter(|environment| environment.branch == branch);
        on.map(|environment| environment.name.as_str()).collect()
    }

    /// The branches that were made from a branch and are there, the eldest first.
    #[must_use]
    pub fn children(&self, branch: &str) -> Vec<&Branch> {
        let mut children: Vec<&Branch> =
            self.ready().filter(|child| child.parent.as_deref() == Some(branch)).collect();
        children.sort_by_key(|child| child.sequence);
        children
    }

    /// The branches that were made from a branch, from those and so on, and are there; parents before children.
    #[must_use]
    pub fn descendants(&self, branch: &str) -> Vec<&Branch> {
        let families = self.families(|_| true);
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([branch]);
        let mut next = 0;
        let mut of = branch;
        loop {
            for child in families.get(&Some(of)).into_iter().flatten() {
                if seen.insert(&child.id) {
                    found.push(*child);
                }
            }
            match found.get(next) {
                Some(child) => of = child.id.as_str(),
                None => break,
            }
            next += 1;
        }
        found.retain(|branch| branch.state == State::Ready);
        found
    }

    /// The parent of a branch, its parent and so on, the nearest first; deleted ones too.
    #[must_use]
    pub fn ancestors(&self, branch: &str) -> Vec<&Branch> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([branch]);
        let mut at = self.branches.get(branch);
        while let Some(parent) = at.and_then(|branch| self.branches.get(branch.parent.as_deref()?)) {
            if !seen.insert(&parent.id) {
                break;
            }
            found.push(parent);
            at = Some(parent);
        }
        found
    }

    /// The nearest ancestor of a branch that is there.
    #[must_use]
    pub fn parent(&self, branch: &str) -> Option<&Branch> {
        self.ancestors(branch).into_iter().find(|parent| parent.state == State::Ready)
    }

    /// All branches that are there, and the deleted ones if they are wanted: each parent before its children, the
    /// elder before the younger.
    #[must_use]
    pub fn rows<'a>(&'a self, deleted: bool) -> Vec<Row<'a>> {
        let wanted = |branch: &Branch| deleted || branch.state == State::Ready;
        let families = self.families(wanted);
        let mut rows = Vec::new();
        let mut seen = BTreeSet::new();
        // What is still to be listed, the next one last.
        let mut open: Vec<(&Branch, Vec<bool>)> = Vec::new();
        let list = |of: Option<&str>, above: &[bool], open: &mut Vec<(&'a Branch, Vec<bool>)>| {
            let children = families.get(&of).map_or(&[][..], Vec::as_slice);
            for (index, child) in children.iter().enumerate().rev() {
                let mut follows = above.to_vec();
                follows.push(index + 1 < children.len());
                open.push((child, follows));
            }
        };
        list(None, &[], &mut open);
        // A circle hangs below no root; its eldest is listed as one.
        let mut all: Vec<&Branch> = self.branches.values().filter(|branch| wanted(branch)).collect();
        all.sort_by_key(|branch| branch.sequence);
        let mut rest = all.into_iter();
        loop {
            while let Some((branch, follows)) = open.pop() {
                if seen.insert(branch.id.as_str()) {
                    list(Some(&branch.id), &follows, &mut open);
                    rows.push(Row { branch, follows });
                }
            }
            match rest.find(|branch| !seen.contains(branch.id.as_str())) {
                Some(branch) => open.push((branch, vec![false])),
                None => return rows,
            }
        }
    }

    /// The wanted branches by their nearest wanted ancestor, the eldest first.
    fn families(&self, wanted: impl Fn(&Branch) -> bool) -> BTreeMap<Option<&str>, Vec<&Branch>> {
        let mut families: BTreeMap<Option<&str>, Vec<&Branch>> = BTreeMap::new();
        for branch in self.branches.values().filter(|branch| wanted(branch)) {
            let mut parent = branch.parent.as_deref().and_then(|id| self.branches.get(id));
            let mut steps = 0;
            while let Some(it) = parent.filter(|it| !wanted(it)) {
                parent = it.parent.as_deref().and_then(|id| self.branches.get(id));
                steps += 1;
                if steps > self.branches.len() {
                    parent = None;
                }
            }
            families.entry(parent.map(|parent| parent.id.as_str())).or_default().push(branch);
        }
        for children in families.values_mut() {
            children.sort_by_key(|child| child.sequence);
        }
        families
    }
}
