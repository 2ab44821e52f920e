//! Who descends from whom, and the order in which a tree of branches is listed.
//!
//! Nothing here recurses, and no circle of parents (which only a damaged catalogue could hold) keeps it busy.

use std::collections::{BTreeMap, BTreeSet};

use super::{Branch, Environment, Lineage, State};

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
        self.branches.get(self.environment(environment)?.branch.as_ref()?)
    }

    /// The environment with this name, if it is there.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments.get(name).filter(|environment| environment.state == State::Ready)
    }

    /// The environments that are there, by name.
    pub fn ready_environments(&self) -> impl Iterator<Item = &Environment> {
        self.environments.values().filter(|environment| environment.state == State::Ready)
    }

    /// The environments whose services work on a branch, by name.
    #[must_use]
    pub fn standing_on(&self, branch: &str) -> Vec<&str> {
        let on = self.ready_environments().filter(|it| it.branch.as_deref() == Some(branch));
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

#[cfg(test)]
mod tests {
    use super::super::sketch;
    use super::*;

    const FAMILY: &str = "
        main
          login
            login-fix
            gone deleted=3
              orphan
          search
        lone
        dev @ login
        qa @ login";

    fn names(branches: &[&Branch]) -> String {
        branches.iter().map(|branch| branch.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_tree_is_listed_in_the_order_of_birth() {
        let lineage = sketch::lineage(FAMILY);
        let lines = |deleted| {
            let rows = lineage.rows(deleted).into_iter();
            rows.map(|row| format!("{}{}\n", row.lines(), row.branch.name)).collect::<String>()
        };
        assert_eq!(lines(false), "main\n├─ login\n│  ├─ login-fix\n│  └─ orphan\n└─ search\nlone\n");
        assert_eq!(
            lines(true),
            "main\n├─ login\n│  ├─ login-fix\n│  └─ gone\n│     └─ orphan\n└─ search\nlone\n"
        );
    }

    #[test]
    fn who_descends_from_whom() {
        let lineage = sketch::lineage(FAMILY);
        assert_eq!(names(&lineage.children("main-id")), "login search");
        assert_eq!(names(&lineage.descendants("main-id")), "login search login-fix orphan");
        assert_eq!(names(&lineage.ancestors("orphan-id")), "gone login main");
        assert_eq!(lineage.parent("orphan-id").unwrap().name, "login");
        assert_eq!(lineage.parent("main-id"), None);
        assert_eq!(lineage.current("dev").unwrap().name, "login");
        assert_eq!(lineage.current("nobody"), None);
        assert_eq!(lineage.standing_on("login-id"), ["dev", "qa"]);
    }

    #[test]
    fn a_circle_is_listed_and_left() {
        let mut lineage = sketch::lineage("main\n  a\n    b\n      c deleted=1");
        lineage.branches.get_mut("a-id").unwrap().parent = Some("c-id".to_owned());
        assert_eq!(names(&lineage.rows(true).iter().map(|row| row.branch).collect::<Vec<_>>()), "main a b c");
        assert_eq!(lineage.rows(false).len(), 3);
        assert_eq!(names(&lineage.ancestors("b-id")), "a c");
        assert_eq!(names(&lineage.descendants("a-id")), "b");
    }

    #[test]
    fn many_branches_and_long_chains() {
        // Faults 67; ten chains of fifty.
        let text: String = (0..500).map(|number| format!("{}b{number}\n", " ".repeat(number % 50))).collect();
        let lineage = sketch::lineage(&text);
        let rows = lineage.rows(false);
        assert_eq!(rows.len(), 500);
        assert_eq!(rows.iter().map(Row::depth).max(), Some(49));
        assert_eq!(lineage.ancestors("b49-id").len(), 49);
        assert_eq!(lineage.descendants("b0-id").len(), 49);
    }
}
