//! Finding a branch or a snapshot by what the user typed: its name, its id or the start of its id.
//!
//! A name comes before an id. `:` stands in no name, so `branch:NAME` and `snapshot:NAME` say which is meant where
//! either would do.

use super::error::{Error, Sort};
use super::names;
use super::{Branch, Lineage, Snapshot, State};

/// The fewest characters of an id that find something.
const PREFIX: usize = 4;
/// How many names are told when one is not known.
const TOLD: usize = 12;

/// Something that a branch can begin at or go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point<'a> {
    /// A branch as it is now.
    Branch(&'a Branch),
    /// A snapshot.
    Snapshot(&'a Snapshot),
}

/// What branches and snapshots have in common here.
trait Named {
    const SORT: Sort;
    fn id(&self) -> &str;
    fn name(&self) -> &str;
    fn state(&self) -> State;
    fn sequence(&self) -> i64;
}

impl Named for Branch {
    const SORT: Sort = Sort::Branch;
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn state(&self) -> State {
        self.state
    }
    fn sequence(&self) -> i64 {
        self.sequence
    }
}

impl Named for Snapshot {
    const SORT: Sort = Sort::Snapshot;
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn state(&self) -> State {
        self.state
    }
    fn sequence(&self) -> i64 {
        self.sequence
    }
}

impl Lineage {
    /// The branch that is called so, or has that id, or the only one whose id starts so. Not a deleted one.
    pub fn branch(&self, named: &str) -> Result<&Branch, Error> {
        let named = named.strip_prefix("branch:").unwrap_or(named);
        find(|| self.branches.values(), named, false)
    }

    /// The snapshot that is called so, or has that id, or the only one whose id starts so. Not a deleted one.
    pub fn snapshot(&self, named: &str) -> Result<&Snapshot, Error> {
        let named = named.strip_prefix("snapshot:").unwrap_or(named);
        find(|| self.snapshots.values(), named, false)
    }

    /// The branch that was called so and was deleted; of several, the one that was deleted last.
    pub fn deleted_branch(&self, named: &str) -> Result<&Branch, Error> {
        find(|| self.branches.values(), named, true)
    }

    /// The snapshot that was called so and was deleted; of several, the one that was deleted last.
    pub fn deleted_snapshot(&self, named: &str) -> Result<&Snapshot, Error> {
        find(|| self.snapshots.values(), named, true)
    }

    /// The branch or the snapshot that is meant, where either would do.
    pub fn point(&self, named: &str) -> Result<Point<'_>, Error> {
        if named.starts_with("branch:") {
            return self.branch(named).map(Point::Branch);
        }
        if named.starts_with("snapshot:") {
            return self.snapshot(named).map(Point::Snapshot);
        }
        // A name comes before an id here too: the snapshot `abcd` before the branch whose id starts so.
        let called = |name: &str| name == named;
        let branch = self.ready().find(|branch| called(&branch.name));
        let snapshot = self.ready_snapshots().find(|snapshot| called(&snapshot.name));
        match (branch, snapshot) {
            (Some(branch), Some(snapshot)) => Err(Error::Both {
                name: named.to_owned(),
                branch: branch.id.clone(),
                snapshot: snapshot.id.clone(),
            }),
            (Some(branch), None) => Ok(Point::Branch(branch)),
            (None, Some(snapshot)) => Ok(Point::Snapshot(snapshot)),
            (None, None) => match (self.branch(named), self.snapshot(named)) {
                (Ok(branch), Err(_)) => Ok(Point::Branch(branch)),
                (Err(_), Ok(snapshot)) => Ok(Point::Snapshot(snapshot)),
                (Ok(branch), Ok(snapshot)) => Err(Error::Ambiguous {
                    prefix: named.to_owned(),
                    ids: vec![
                        (branch.id.clone(), branch.name.clone()),
                        (snapshot.id.clone(), snapshot.name.clone()),
                    ],
                }),
                (Err(of_branch), Err(of_snapshot)) => Err(neither(of_branch, of_snapshot)),
            },
        }
    }

    /// The branches that are there.
    pub fn ready(&self) -> impl Iterator<Item = &Branch> {
        self.branches.values().filter(|branch| branch.state == State::Ready)
    }

    /// The snapshots that are there.
    pub fn ready_snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.snapshots.values().filter(|snapshot| snapshot.state == State::Ready)
    }

    /// Whether a new branch can be called so.
    pub fn free_branch_name(&self, name: &str) -> Result<(), Error> {
        free(self.ready(), name)
    }

    /// Whether a new snapshot can be called so.
    pub fn free_snapshot_name(&self, name: &str) -> Result<(), Error> {
        free(self.ready_snapshots(), name)
    }
}

fn free<'a, T: Named + 'a>(all: impl Iterator<Item = &'a T>, name: &str) -> Result<(), Error> {
    names::check(name).map_err(|why| Error::BadName { sort: T::SORT, name: name.to_owned(), why })?;
    match all.into_iter().find(|it| it.name() == name) {
        Some(it) => Err(Error::NameTaken { sort: T::SORT, name: name.to_owned(), id: it.id().to_owned() }),
        None => Ok(()),
    }
}

fn find<'a, T: Named + 'a, I: Iterator<Item = &'a T>>(
    all: impl Fn() -> I,
    named: &str,
    deleted: bool,
) -> Result<&'a T, Error> {
    let those = || all().filter(|it| it.state().deleted().is_some() == deleted);
    let called = those().filter(|it| it.name() == named);
    if let Some(it) = called.max_by_key(|it| (it.state().deleted(), it.sequence())) {
        return Ok(it);
    }
    if let Some(it) = those().find(|it| it.id() == named) {
        return Ok(it);
    }
    let mut starting: Vec<&T> = Vec::new();
    if named.len() >= PREFIX {
        starting.extend(those().filter(|it| it.id().starts_with(named)));
    }
    match starting.as_slice() {
        [it] => Ok(it),
        [] => Err(unknown(those, named, all().filter(|it| it.name() == named || it.id() == named))),
        several => Err(Error::Ambiguous {
            prefix: named.to_owned(),
            ids: several.iter().map(|it| (it.id().to_owned(), it.name().to_owned())).collect(),
        }),
    }
}

fn unknown<'a, T: Named + 'a, I: Iterator<Item = &'a T>>(
    those: impl Fn() -> I,
    named: &str,
    same: impl Iterator<Item = &'a T>,
) -> Error {
    let lower = named.to_lowercase();
    // A third of the letters may be wrong, and two at least.
    let far = (named.chars().count() / 3).max(2);
    let near = those()
        .map(|it| (strsim::damerau_levenshtein(&it.name().to_lowercase(), &lower), it.name()))
        .filter(|(distance, name)| *distance <= far && *distance < name.chars().count())
        .min();
    let mut known: Vec<String> = those().take(TOLD + 1).map(|it| it.name().to_owned()).collect();
    if known.len() > TOLD {
        known.clear();
    }
    known.sort();
    Error::Unknown {
        sort: Some(T::SORT),
        name: named.to_owned(),
        meant: near.map(|(_, name)| name.to_owned()),
        known,
        deleted: same.filter_map(|it| it.state().deleted()).max(),
    }
}

/// Neither a branch nor a snapshot.
fn neither(of_branch: Error, of_snapshot: Error) -> Error {
    match (of_branch, of_snapshot) {
        (
            Error::Unknown { name, meant, mut known, deleted, .. },
            Error::Unknown { meant: other, known: others, deleted: other_deleted, .. },
        ) => {
            known.extend(others);
            Error::Unknown {
                sort: None,
                name,
                meant: meant.or(other),
                known,
                deleted: deleted.max(other_deleted),
            }
        }
        (Error::Unknown { .. }, other) | (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sketch;
    use super::*;

    fn found(lineage: &Lineage, named: &str) -> String {
        match lineage.point(named) {
            Ok(Point::Branch(branch)) => format!("branch {}", branch.name),
            Ok(Point::Snapshot(snapshot)) => format!("snapshot {}", snapshot.name),
            Err(Error::Unknown { meant: Some(meant), .. }) => format!("no, {meant}?"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_name_comes_before_an_id() {
        let lineage = sketch::lineage(
            "main
               login
               logout
               old deleted=5
             before: main asked
             login: main asked
             logi: main asked
             gone: main asked deleted=7",
        );
        let table = [
            ("main", "branch main"),
            ("main-id", "branch main"),
            ("main-", "branch main"),
            ("mai", "no, main?"),
            ("before", "snapshot before"),
            ("before-i", "snapshot before"),
            ("login", "`login` is a branch and a snapshot"),
            ("branch:login", "branch login"),
            ("snapshot:login", "snapshot login"),
            ("logi", "snapshot logi"),
            ("logou", "branch logout"),
            ("login-", "`login-` is the start of 2 ids"),
            ("logn", "no, login?"),
            ("MAIN", "no, main?"),
            ("old", "no such branch or snapshot: `old`"),
            ("gone", "no such branch or snapshot: `gone`"),
            ("something-else", "no such branch or snapshot: `something-else`"),
            ("\u{1b}[2J", "no such branch or snapshot: `\\u{1b}[2J`"),
        ];
        for (named, expected) in table {
            assert_eq!(found(&lineage, named), expected, "{named}");
        }
        let Err(Error::Unknown { deleted, known, .. }) = lineage.branch("old") else { panic!() };
        assert_eq!((deleted, known.join(" ").as_str()), (Some(5), "login logout main"));
        assert_eq!(lineage.deleted_branch("old").unwrap().name, "old");
        assert_eq!(lineage.deleted_snapshot("gone").unwrap().name, "gone");
        assert!(lineage.deleted_branch("main").is_err());
    }

    #[test]
    fn twins_are_not_mixed_up() {
        let lineage = sketch::lineage("caf\u{e9}\ncafe\u{301}\nFeature/A\nfeature/a");
        for name in ["caf\u{e9}", "cafe\u{301}", "Feature/A", "feature/a"] {
            assert_eq!(lineage.branch(name).unwrap().name, name);
        }
    }

    #[test]
    fn a_new_name_is_allowed_and_free() {
        let lineage = sketch::lineage("main\n  old deleted=5\nbefore: main asked");
        assert_eq!(lineage.free_branch_name("old"), Ok(()));
        assert_eq!(lineage.free_branch_name("before"), Ok(()));
        assert_eq!(lineage.free_snapshot_name("main"), Ok(()));
        let told = |result: Result<(), Error>| result.unwrap_err().to_string();
        assert_eq!(told(lineage.free_branch_name("main")), "there is a branch `main` already");
        assert_eq!(told(lineage.free_snapshot_name("before")), "there is a snapshot `before` already");
        assert_eq!(
            told(lineage.free_branch_name("a\u{1b}b")),
            "`a\\u{1b}b` cannot be the name of a branch: it has the control character \\u{1b}"
        );
    }
}
