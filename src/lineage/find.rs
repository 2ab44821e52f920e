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
