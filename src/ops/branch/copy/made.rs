//! What a copy makes: data of the pool and a server in an environment of its own, which nobody knows before they are
//! whole, and which the next command takes away if this one is killed.

use std::collections::BTreeMap;

use serde_json::json;

use super::Options;
use super::carry::Done;
use crate::base::Failure;
use crate::catalogue::IntentId;
use crate::engine::Bindings;
use crate::lineage::{Act, Audit, Branch, Changes, Reason, Record, Snapshot, Sort, State};
use crate::ops::branch::beside::{self, Apart};
use crate::ops::branch::capture::Capture;
use crate::ops::branch::{Branches, failpoint, new_id, now};
use crate::ops::mask::Source;
use crate::storage::protocol::Ask;

/// What is being made: data of the pool that no record names yet, and the environment in which its server runs.
pub(super) struct Made {
    intent: IntentId,
    pub(super) branch: Branch,
    snapshot: String,
    pub(super) environment: String,
    pub(super) apart: Apart,
    pub(super) bindings: Bindings,
}

impl Made {
    /// Writes down what is about to be made, and makes its empty data.
    pub(super) async fn begin(branches: &mut Branches<'_>, name: &str) -> Result<Self, Failure> {
        let (id, snapshot) = (new_id()?, new_id()?);
        let environment = beside::named(branches.base(), &format!("copy-{}", &id[..8]));
        let detail = json!({ "branch": id, "snapshot": snapshot, "copying": environment });
        branches.pool().await?;
        let created = now();
        let intent = branches.begin("db copy", detail).await?;
        failpoint!("db:copy:begun");
        let volumes: Vec<String> = branches.data.volumes.keys().cloned().collect();
        let branch = Branch {
            volumes: volumes.clone(),
            sequence: intent.sequences().start,
            ..Branch::new(id.clone(), &branches.project, name, created)
        };
        let manifest = branches.manifest(Record::Branch(branch.clone()));
        let prepared = async {
            let pool = branches.pool().await?;
            pool.ask(Ask::Make { id: id.clone(), folders: volumes.clone(), manifest }).await?;
            pool.ask(Ask::Point { environment: environment.clone(), id: id.clone() }).await?;
            let bindings = pool.bindings(&environment, &volumes);
            let apart = Apart::load(branches.context, branches.base(), &environment, BTreeMap::new())?;
            Ok::<_, Failure>((bindings, apart))
        };
        match prepared.await {
            Ok((bindings, apart)) => Ok(Self { intent, branch, snapshot, environment, apart, bindings }),
            Err(failure) => {
                let _ = forget(branches, &environment).await;
                let _ = branches.take_back(intent, &[id, snapshot]).await;
                Err(failure)
            }
        }
    }

    pub(super) async fn take_back(&self, branches: &mut Branches<'_>) -> Result<(), Failure> {
        forget(branches, &self.environment).await?;
        branches.take_back(self.intent, &[self.branch.id.clone(), self.snapshot.clone()]).await
    }

    /// Freezes what was made, and makes it known.
    pub(super) async fn commit(
        mut self,
        branches: &mut Branches<'_>,
        done: Done,
        source: &Source,
        options: &Options,
    ) -> Result<(Snapshot, u64), Failure> {
        let rows = done.rows;
        let frozen = async {
            failpoint!("db:copy:carried");
            forget(branches, &self.environment).await?;
            failpoint!("db:copy:stopped");
            let snapshot = Snapshot {
                id: self.snapshot.clone(),
                project: self.branch.project.clone(),
                branch: self.branch.id.clone(),
                name: format!("{}-copied-{}", self.branch.name, self.branch.sequence + 1),
                message: format!(
                    "copied from {}{}",
                    source.name,
                    if options.subset.is_empty() { "" } else { ", a part" }
                ),
                reason: Reason::Asked,
                volumes: self.branch.volumes.clone(),
                sequence: self.branch.sequence + 1,
                created: now(),
                expires: None,
                attestation: done.attestation,
                state: State::Ready,
            };
            let what = Capture {
                from: self.branch.data.clone(),
                to: snapshot.id.clone(),
                frozen: true,
                force: options.force,
                manifest: branches.manifest(Record::Snapshot(snapshot.clone())),
            };
            branches.copy(what).await?;
            branches.settle(&self.branch).await?;
            self.branch.fork = Some(snapshot.id.clone());
            let manifest = branches.manifest(Record::Branch(self.branch.clone()));
            branches.pool().await?.ask(Ask::Describe { id: self.branch.data.clone(), manifest }).await?;
            failpoint!("db:copy:frozen");
            Ok::<_, Failure>(snapshot)
        };
        let snapshot = match frozen.await {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                let _ = self.take_back(branches).await;
                return Err(failure);
            }
        };
        let mut changes = Changes {
            put_branches: vec![self.branch.clone()],
            put_snapshots: vec![snapshot.clone()],
            ..Changes::default()
        };
        if !options.masked && !options.schema_only {
            changes.audit.push(Audit {
                at: now(),
                project: self.branch.project.clone(),
                sort: Sort::Branch,
                id: self.branch.id.clone(),
                name: self.branch.name.clone(),
                act: Act::Copy,
                why: format!("raw data of {}, confirmed by {}", source.name, branches.context.user()),
                command: branches.context.command_line.clone(),
            });
        }
        branches.finish(self.intent, &changes).await?;
        failpoint!("db:copy:committed");
        Ok((snapshot, rows))
    }
}

/// Takes the environment away in which a copy was made, whatever there is of it.
pub(in crate::ops::branch) async fn forget(
    branches: &mut Branches<'_>,
    environment: &str,
) -> Result<(), Failure> {
    let wishes = crate::plan::down::Wishes {
        volumes: true,
        remove_orphans: true,
        ..crate::plan::down::Wishes::default()
    };
    let context = beside::apart(branches.context, branches.base(), environment, BTreeMap::new());
    crate::ops::down::of_environment(&context, &branches.engine, &wishes).await?;
    branches.pool().await?.ask(Ask::Unpoint { environment: environment.to_owned() }).await.map(|_| ())
}
