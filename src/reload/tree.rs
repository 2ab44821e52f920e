//! What a folder was seen to hold, and in what it differs from what it held before.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, as such.
    Link,
}

/// One path of a tree, as the file system describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its permissions.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed in any way, in nanoseconds since 1970.
    pub changed: i64,
    /// Which file it is.
    pub number: u64,
    /// Whether it was looked at so soon after it was changed that another change may bear the same time.
    pub fresh: bool,
}

impl Entry {
    /// Whether it may be another one than `before`.
    #[must_use]
    pub fn differs(&self, before: &Self) -> bool {
        if self.kind == Kind::Folder && before.kind == Kind::Folder {
            // What a folder holds changes its time, and is told by itself.
            return self.mode != before.mode;
        }
        before.fresh || Self { fresh: false, ..*self } != Self { fresh: false, ..*before }
    }
}

/// Entries by their path, relative to the tree's root and separated by `/`; the root itself is the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<Box<str>, Entry>);

impl Tree {
    /// Puts an entry in.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        self.0.insert(path.into(), entry);
    }

    /// The entry at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    /// All entries, folders before what they hold.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (&**path, entry))
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths at and below `path`.
    fn below(&self, path: &str) -> Vec<Box<str>> {
        if path.is_empty() {
            return self.0.keys().cloned().collect();
        }
        let from = format!("{path}/");
        let inside = self.0.range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded));
        let inside = inside.map(|(path, _)| path).take_while(|path| path.starts_with(&from)).cloned();
        self.0.contains_key(path).then(|| path.into()).into_iter().chain(inside).collect()
    }

    /// Puts what was found at and below `path` in the place of what was known there; says which paths differ.
    pub fn replace(&mut self, path: &str, found: Self) -> Vec<String> {
        let mut differ = Vec::new();
        for known in self.below(path) {
            if !found.0.contains_key(&known) {
                self.0.remove(&known);
                differ.push(known.into());
            }
        }
        for (path, entry) in found.0 {
            if self.set(&path, entry) {
                differ.push(path.into());
            }
        }
        differ
    }

    /// The same for one path alone; says whether it differs.
    pub fn set(&mut self, path: &str, entry: Entry) -> bool {
        match self.0.get_mut(path) {
            Some(before) => {
                let differs = entry.differs(before);
                *before = entry;
                differs
            }
            None => {
                self.0.insert(path.into(), entry);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, changed: i64) -> Entry {
        Entry { kind, mode: 0o644, size: 1, changed, number: 7, fresh: false }
    }

    fn tree(paths: &[(&str, Kind, i64)]) -> Tree {
        let mut tree = Tree::default();
        for (path, kind, changed) in paths {
            tree.insert(path, entry(*kind, *changed));
        }
        tree
    }

    #[test]
    fn a_part_is_replaced_and_the_differences_are_told() {
        use Kind::{File, Folder};
        let mut known = tree(&[
            ("a", Folder, 1),
            ("a/gone", File, 1),
            ("a/kept", File, 1),
            ("a/old", File, 1),
            ("a-b", File, 1),
            ("z", File, 1),
        ]);
        let found = tree(&[("a", Folder, 9), ("a/kept", File, 1), ("a/new", File, 2), ("a/old", File, 2)]);
        assert_eq!(known.replace("a", found), ["a/gone", "a/new", "a/old"]);
        assert!(known.get("a-b").is_some() && known.get("a/gone").is_none());
        assert_eq!(known.replace("a", Tree::default()), ["a", "a/kept", "a/new", "a/old"]);
        assert_eq!(known.len(), 2);
        assert_eq!(known.replace("", Tree::default()), ["a-b", "z"]);
        assert!(known.is_empty());
    }

    #[test]
    fn what_was_looked_at_too_soon_is_taken_for_another() {
        let before = Entry { fresh: true, ..entry(Kind::File, 1) };
        let now = entry(Kind::File, 1);
        assert!(now.differs(&before));
        assert!(!now.differs(&now) && !before.differs(&now));
        let folder = Entry { fresh: true, ..entry(Kind::Folder, 1) };
        assert!(!entry(Kind::Folder, 2).differs(&folder));
        assert!(Entry { mode: 0o700, ..folder }.differs(&folder));
    }
}
