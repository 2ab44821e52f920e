//! What a copy makes: data of the pool and a server in an environment of its own, which nobody knows before they are
//! whole, and which the next command takes away if this one is killed.

use std::collections::BTreeMap;

use serde_json::json;

use super::server::{empty, superuser};
use crate::base::{Failure, Kind};
use crate::catalogue::IntentId;
use crate::engine::Bindings;
use crate::lineage::{Act, Attestation, Audit, Branch, Changes, Reason, Record, Snapshot, Sort, State};
use crate::ops::branch::beside::{self, Apart};
use crate::ops::branch::capture::Capture;
use crate::ops::branch::{Branches, failpoint, new_id, now, url};
use crate::ops::up;
use crate::postgres::Target;
use crate::storage::protocol::Ask;

/// What is being made: data of the pool that no record names yet, and the environment in which its server runs.
pub(in crate::ops::branch) struct Made {
    intent: IntentId,
    pub(in crate::ops::branch) branch: Branch,
    snapshot: String,
    environment: String,
    apart: Apart,
    bindings: Bindings,
}

/// The server of what is being made.
pub(in crate::ops::branch) struct Served {
    /// Its empty database, as who may make everything in it.
    pub(in crate::ops::branch) target: Target,
    /// Its container.
    pub(in crate::ops::branch) container: String,
    /// Its port in there.
    pub(in crate::ops::branch) port: u16,
}

/// What is said of what was made.
pub(in crate::ops::branch) struct Told {
    /// How it came about, in the name of the snapshot that it begins as.
    pub(in crate::ops::branch) word: &'static str,
    /// The snapshot's message.
    pub(in crate::ops::branch) message: String,
    /// How it was masked, if it was.
    pub(in crate::ops::branch) attestation: Option<Attestation>,
    /// Why it is in the audit, if it is.
    pub(in crate::ops::branch) audit: Option<String>,
    /// Although the pool is nearly full.
    pub(in crate::ops::branch) force: bool,
}

impl Made {
    /// Writes down what is about to be made, and makes its empty data.
    pub(in crate::ops::branch) async fn begin(
        branches: &mut Branches<'_>,
        name: &str,
    ) -> Result<Self, Failure> {
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

    pub(in crate::ops::branch) async fn take_back(&self, branches: &mut Branches<'_>) -> Result<(), Failure> {
        forget(branches, &self.environment).await?;
        branches.take_back(self.intent, &[self.branch.id.clone(), self.snapshot.clone()]).await
    }

    /// Starts its server, with an empty database.
    pub(in crate::ops::branch) async fn serve(&self, branches: &Branches<'_>) -> Result<Served, Failure> {
        let engine = &branches.engine;
        let server = url::databases(&branches.subject).into_iter().next().ok_or_else(|| {
            Failure::new(Kind::Failed, "this project has no PostgreSQL server that devenv knows")
        })?;
        let services = std::slice::from_ref(&server.service);
        up::start_again(&self.apart.context, engine, &self.apart.subject, services, &self.bindings).await?;
        failpoint!("db:copy:started");
        let address = url::in_environment(branches, &self.environment).await?.ok_or_else(|| {
            Failure::new(Kind::Unhealthy, "the new server does not answer")
                .hint("`devenv doctor` may know why")
        })?;
        let target = superuser(&address.target()).await?;
        empty(&target, &server.user).await?;
        Ok(Served { target, container: address.container, port: server.port })
    }

    /// Freezes what was made, and makes it known.
    pub(in crate::ops::branch) async fn commit(
        mut self,
        branches: &mut Branches<'_>,
        told: Told,
    ) -> Result<(Branch, Snapshot), Failure> {
        let frozen = async {
            failpoint!("db:copy:carried");
            forget(branches, &self.environment).await?;
            failpoint!("db:copy:stopped");
            let snapshot = Snapshot {
                id: self.snapshot.clone(),
                project: self.branch.project.clone(),
                branch: self.branch.id.clone(),
                name: format!("{}-{}-{}", self.branch.name, told.word, self.branch.sequence + 1),
                message: told.message.clone(),
                reason: Reason::Asked,
                volumes: self.branch.volumes.clone(),
                sequence: self.branch.sequence + 1,
                created: now(),
                expires: None,
                attestation: told.attestation.clone(),
                state: State::Ready,
            };
            let what = Capture {
                from: self.branch.data.clone(),
                to: snapshot.id.clone(),
                frozen: true,
                force: told.force,
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
        if let Some(why) = told.audit {
            changes.audit.push(Audit {
                at: now(),
                project: self.branch.project.clone(),
                sort: Sort::Branch,
                id: self.branch.id.clone(),
                name: self.branch.name.clone(),
                act: Act::Copy,
                why,
                command: branches.context.command_line.clone(),
            });
        }
        branches.finish(self.intent, &changes).await?;
        failpoint!("db:copy:committed");
        Ok((self.branch, snapshot))
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
