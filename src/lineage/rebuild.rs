//! The records made again from what the pool knows: a manifest beside each piece of data, and the link of each
//! environment to the data that it works on (faults 64).
//!
//! What only the catalogue knew is lost and said to be: the branch before the current one, and whatever was written
//! down and not yet described in the pool.

use std::collections::{BTreeMap, BTreeSet};

use super::{Branch, Environment, Lineage, Manifest, Project, Record, Snapshot, State};

/// The version of manifests that is known here.
pub const VERSION: u32 = 1;

/// The records of all projects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// The projects.
    pub projects: Vec<Project>,
    /// Their records, by [`Project::id`].
    pub lineages: BTreeMap<String, Lineage>,
    /// The largest sequence number that any record has.
    pub sequence: i64,
    /// What could not be had as it was, the worst first.
    pub notes: Vec<Note>,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Note {
    /// An environment works on data that no manifest describes.
    #[error("environment `{environment}` works on data `{data}`, which nothing describes")]
    UnknownData {
        /// The environment.
        environment: String,
        /// The name in the pool.
        data: String,
    },
    /// A manifest of a later release.
    #[error("`{name}` is described by a later release of devenv (version {version})")]
    Newer {
        /// The branch or snapshot.
        name: String,
        /// The manifest's version.
        version: u32,
    },
    /// Two pieces of data claim to be one branch.
    #[error("branch `{name}` has two pieces of data; `{used}` is used, `{other}` is left alone")]
    TwoData {
        /// The branch.
        name: String,
        /// The data that is taken as its own.
        used: String,
        /// The other.
        other: String,
    },
    /// Two branches or snapshots had one name.
    #[error("a second `{name}` is called `{now}` now")]
    Renamed {
        /// The name that both had.
        name: String,
        /// The name that the younger one got.
        now: String,
    },
    /// The parent is not there.
    #[error("the parent of branch `{name}` is gone")]
    NoParent {
        /// The branch.
        name: String,
    },
    /// The fork point is not there.
    #[error("the snapshot that branch `{name}` began as is gone")]
    NoFork {
        /// The branch.
        name: String,
    },
}

/// Makes the records again from `manifests` and from which data each environment's link leads to.
#[must_use]
pub fn rebuild(manifests: &[Manifest], live: &BTreeMap<String, String>) -> Rebuilt {
    let mut rebuilt = Rebuilt::default();
    let mut projects: BTreeMap<&str, (i64, &Project)> = BTreeMap::new();
    let in_use: BTreeSet<&str> = live.values().map(String::as_str).collect();
    for manifest in manifests {
        let (name, sequence) = match &manifest.record {
            Record::Branch(branch) => (&branch.name, branch.sequence),
            Record::Snapshot(snapshot) => (&snapshot.name, snapshot.sequence),
        };
        if manifest.version > VERSION {
            rebuilt.notes.push(Note::Newer { name: name.clone(), version: manifest.version });
            continue;
        }
        rebuilt.sequence = rebuilt.sequence.max(sequence);
        // The youngest record knows best where the checkout is.
        let known = projects.entry(&manifest.project.id).or_insert((sequence, &manifest.project));
        if sequence > known.0 {
            *known = (sequence, &manifest.project);
        }
        let lineage = rebuilt.lineages.entry(manifest.project.id.clone()).or_default();
        match &manifest.record {
            Record::Snapshot(snapshot) => {
                lineage.snapshots.insert(snapshot.id.clone(), snapshot.clone());
            }
            Record::Branch(branch) => {
                let other = lineage.branches.insert(branch.id.clone(), branch.clone());
                let Some(other) = other.filter(|other| other.data != branch.data) else { continue };
                // A reset was on its way: what services work on is the branch's, else what was used last.
                let rank = |it: &Branch| (in_use.contains(it.data.as_str()), it.used, it.data.clone());
                let (used, left) =
                    if rank(&other) > rank(branch) { (&other, branch) } else { (branch, &other) };
                rebuilt.notes.push(Note::TwoData {
                    name: used.name.clone(),
                    used: used.data.clone(),
                    other: left.data.clone(),
                });
                lineage.branches.insert(used.id.clone(), used.clone());
            }
        }
    }
    rebuilt.projects = projects.into_values().map(|(_, project)| project.clone()).collect();
    for lineage in rebuilt.lineages.values_mut() {
        lineage.mend(&mut rebuilt.notes);
    }
    for (environment, data) in live {
        let on = rebuilt.lineages.values().flat_map(|lineage| lineage.branches.values());
        let found =
            on.filter(|branch| branch.data == *data).max_by_key(|branch| branch.state == State::Ready);
        let Some(branch) = found.cloned() else {
            let (environment, data) = (environment.clone(), data.clone());
            rebuilt.notes.push(Note::UnknownData { environment, data });
            continue;
        };
        let lineage = rebuilt.lineages.entry(branch.project.clone()).or_default();
        lineage.environments.insert(
            environment.clone(),
            Environment {
                name: environment.clone(),
                project: branch.project.clone(),
                branch: Some(branch.id.clone()),
                created: branch.created,
                used: branch.used,
                ..Environment::default()
            },
        );
    }
    rebuilt.notes.sort();
    rebuilt
}

impl Lineage {
    /// Makes records that come from different moments agree with one another.
    fn mend(&mut self, notes: &mut Vec<Note>) {
        let ids: BTreeSet<String> = self.branches.keys().cloned().collect();
        for branch in self.branches.values_mut() {
            if branch.parent.as_ref().is_some_and(|parent| !ids.contains(parent)) {
                branch.parent = None;
                notes.push(Note::NoParent { name: branch.name.clone() });
            }
            if branch.fork.as_ref().is_some_and(|fork| !self.snapshots.contains_key(fork)) {
                branch.fork = None;
                notes.push(Note::NoFork { name: branch.name.clone() });
            }
        }
        // Nobody is an ancestor of itself.
        for id in &ids {
            let around = |it: &&Branch| it.parent.as_ref() == Some(id);
            if self.ancestors(id).into_iter().any(|it| around(&it))
                && let Some(branch) = self.branches.get_mut(id)
            {
                branch.parent = None;
                notes.push(Note::NoParent { name: branch.name.clone() });
            }
        }
        let mut branches: Vec<&mut Branch> =
            self.branches.values_mut().filter(|branch| branch.state == State::Ready).collect();
        branches.sort_by_key(|branch| branch.sequence);
        rename_twins(branches.into_iter().map(|branch| &mut branch.name).collect(), notes);
        let mut snapshots: Vec<&mut Snapshot> =
            self.snapshots.values_mut().filter(|snapshot| snapshot.state == State::Ready).collect();
        snapshots.sort_by_key(|snapshot| snapshot.sequence);
        rename_twins(snapshots.into_iter().map(|snapshot| &mut snapshot.name).collect(), notes);
    }
}

/// Gives all but the first of equal names another one.
fn rename_twins(names: Vec<&mut String>, notes: &mut Vec<Note>) {
    let mut taken: BTreeSet<String> = names.iter().map(|name| (*name).clone()).collect();
    let mut seen = BTreeSet::new();
    for name in names {
        if seen.insert(name.clone()) {
            continue;
        }
        let mut now = name.clone();
        let mut number = 2;
        while taken.contains(&now) {
            now = format!("{name}-{number}");
            number += 1;
        }
        taken.insert(now.clone());
        seen.insert(now.clone());
        notes.push(Note::Renamed { name: name.clone(), now: now.clone() });
        *name = now;
    }
}

#[cfg(test)]
mod tests {
    use super::super::difference::difference;
    use super::super::sketch;
    use super::*;

    fn shop() -> Project {
        Project {
            id: "shop".to_owned(),
            name: "shop".to_owned(),
            directory: "/home/a/shop".to_owned(),
            engine: "E".to_owned(),
        }
    }

    /// What the pool would hold.
    fn manifests(lineage: &Lineage) -> Vec<Manifest> {
        let branches = lineage.branches.values().cloned().map(Record::Branch);
        let snapshots = lineage.snapshots.values().cloned().map(Record::Snapshot);
        let records = branches.chain(snapshots);
        records.map(|record| Manifest { version: VERSION, project: shop(), record }).collect()
    }

    fn live(lineage: &Lineage) -> BTreeMap<String, String> {
        let of =
            |it: &Environment| (it.name.clone(), lineage.branches[it.branch.as_ref().unwrap()].data.clone());
        lineage.environments.values().map(of).collect()
    }

    fn told(notes: &[Note]) -> Vec<String> {
        notes.iter().map(ToString::to_string).collect()
    }

    const FAMILY: &str = "
        main
          login from=f
            fix deleted=5
        f: main fork
        before: main asked
        dev @ login
        qa @ main";

    #[test]
    fn everything_comes_back() {
        let lineage = sketch::lineage(FAMILY);
        let rebuilt = rebuild(&manifests(&lineage), &live(&lineage));
        assert_eq!(rebuilt.notes, []);
        assert_eq!(rebuilt.projects, [shop()]);
        assert_eq!(rebuilt.sequence, 5);
        assert_eq!(rebuilt.lineages["shop"], lineage);
        assert_eq!(difference(("a", &lineage), ("b", &rebuilt.lineages["shop"])), [""; 0]);
        assert_eq!(rebuild(&[], &BTreeMap::new()), Rebuilt::default());
    }

    #[test]
    fn what_does_not_agree_is_mended_and_told() {
        let lineage = sketch::lineage(FAMILY);
        let mut all = manifests(&lineage);
        // The parent and the fork point of `login` are gone.
        all.retain(|manifest| match &manifest.record {
            Record::Branch(branch) => branch.name != "main",
            Record::Snapshot(snapshot) => snapshot.name != "f",
        });
        let mut twin = lineage.branches["login-id"].clone();
        (twin.id, twin.data, twin.parent, twin.fork) = ("twin".to_owned(), "twin".to_owned(), None, None);
        twin.sequence = 9;
        let mut other = lineage.branches["login-id"].clone();
        (other.data, other.used) = ("new-data".to_owned(), 50);
        let mut newer = manifests(&lineage).remove(0);
        newer.version = VERSION + 1;
        let of = |branch| Manifest { version: VERSION, project: shop(), record: Record::Branch(branch) };
        all.extend([of(twin), of(other), newer]);
        let rebuilt = rebuild(&all, &live(&lineage));
        assert_eq!(
            told(&rebuilt.notes),
            [
                "environment `qa` works on data `main-id`, which nothing describes",
                "`fix` is described by a later release of devenv (version 2)",
                // An environment's link leads to the old one, so the reset had not come that far.
                "branch `login` has two pieces of data; `login-id` is used, `new-data` is left alone",
                "a second `login` is called `login-2` now",
                "the parent of branch `login` is gone",
                "the snapshot that branch `login` began as is gone",
            ]
        );
        let rebuilt = &rebuilt.lineages["shop"];
        assert_eq!(sketch::tree(rebuilt), "login\n└─ (fix)\nlogin-2\nbefore:\n");
        assert_eq!(rebuilt.current("dev").unwrap().data, "login-id");
        // Nobody stands on it: what was used last.
        let rebuilt = super::rebuild(&all, &BTreeMap::new());
        assert_eq!(rebuilt.lineages["shop"].branches["login-id"].data, "new-data");
    }

    #[test]
    fn the_order_of_manifests_does_not_matter() {
        let lineage = sketch::lineage("main\n  a\n  b\nx @ a");
        let mut all = manifests(&lineage);
        for manifest in &mut all {
            if let Record::Branch(branch) = &mut manifest.record {
                branch.name = "same".to_owned();
            }
        }
        let one = rebuild(&all, &live(&lineage));
        all.reverse();
        assert_eq!(rebuild(&all, &live(&lineage)), one);
        assert_eq!(sketch::tree(&one.lineages["shop"]), "same\n├─ same-2\n└─ same-3\n");
    }

    #[test]
    fn a_circle_is_opened() {
        let mut lineage = sketch::lineage("main\n  a\n    b");
        lineage.branches.get_mut("main-id").unwrap().parent = Some("b-id".to_owned());
        let rebuilt = rebuild(&manifests(&lineage), &BTreeMap::new());
        assert_eq!(rebuilt.notes.len(), 1);
        assert_eq!(rebuilt.lineages["shop"].rows(true).len(), 3);
        assert!(rebuilt.lineages["shop"].branches.values().any(|branch| branch.parent.is_none()));
    }

    #[test]
    fn differences_are_sentences() {
        let here = sketch::lineage("main\n  login\n  only-here\ns: main asked\ndev @ main");
        let there =
            sketch::lineage("main protected\nlogin expires=5\ns: main fork\nt: main asked\ndev @ login");
        assert_eq!(
            difference(("the catalogue", &here), ("the pool", &there)),
            [
                "branch `login`: its parent is `main` in the catalogue and none in the pool",
                "branch `login`: its end is never in the catalogue and at 5 in the pool",
                "branch `main`: its protection is off in the catalogue and on in the pool",
                "branch `only-here` is only in the catalogue",
                "snapshot `s`: its reason is asked in the catalogue and fork in the pool",
                "snapshot `t` is only in the pool",
                "environment `dev`: its branch is `main` in the catalogue and `login` in the pool",
            ]
        );
    }
}
