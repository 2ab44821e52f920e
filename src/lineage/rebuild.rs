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
                branch: branch.id.clone(),
                previous: None,
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
