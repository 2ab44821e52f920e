//! `db branch create`: a writable copy, in the time of a snapshot.

use std::time::Instant;

use serde_json::{Value, json};

use super::capture::Capture;
use super::switch::Turned;
use super::{Branches, adopt, beside, failpoint, new_id, now, sweep};
use crate::base::{Event, Failure, Kind};
use crate::catalogue::IntentId;
use crate::lineage::{Branch, Changes, Lineage, Point, Reason, Record, Seconds, Snapshot, State};
use crate::ops::{Context, failures};
use crate::storage::protocol::Driver;

/// What is wanted of the new branch.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What it is called.
    pub name: String,
    /// The branch or snapshot that it begins as; none for the current branch.
    pub from: Option<String>,
    /// How long it is there, in seconds.
    pub ttl: Option<Seconds>,
    /// Leave the services on the branch where they are.
    pub no_switch: bool,
    /// Start its database beside.
    pub start: bool,
    /// With faster durability settings.
    pub fast: bool,
    /// Although the pool is nearly full.
    pub force: bool,
}

/// A new branch, and where it runs.
#[derive(Debug)]
pub struct Created {
    /// The branch.
    pub branch: Branch,
    /// What it was made from, by name.
    pub from: String,
    /// The services that were turned to it.
    pub turned: Option<Turned>,
    /// The environment in which its database was started beside.
    pub beside: Option<beside::Beside>,
}

/// Makes a branch.
pub async fn create(context: &Context, options: &Options) -> Result<Created, Failure> {
    let mut branches = Branches::change(context).await?;
    // Nothing is made for a name that cannot be given.
    branches.lineage.free_branch_name(&options.name).map_err(failures::lineage)?;
    adopt::adopt(&mut branches, Some(&options.name)).await?;
    let ((branch, from), apart) = if options.start {
        // The network of an environment beside takes as long as the copy.
        let (engine, base) = (branches.engine.clone(), branches.base().to_owned());
        let ahead = beside::ahead(context, &engine, &base, &options.name);
        let (made, apart) = tokio::join!(make(&mut branches, options), ahead);
        (made?, apart)
    } else {
        (make(&mut branches, options).await?, None)
    };
    let turned = if options.no_switch || options.start {
        None
    } else {
        let turned = branches.turn_to(&branch).await?;
        branches.tell_gateway().await;
        Some(turned)
    };
    let beside = if options.start { Some(beside::start(&mut branches, &branch, apart).await?) } else { None };
    sweep::quietly(&mut branches).await;
    Ok(Created { branch, from, turned, beside })
}

/// Copies, and makes the copy known.
pub(in crate::ops) async fn make(
    branches: &mut Branches<'_>,
    options: &Options,
) -> Result<(Branch, String), Failure> {
    let source = source(&branches.lineage, &branches.environment, options.from.as_deref())?;
    let began = Instant::now();
    let (id, fork) = (new_id()?, new_id()?);
    let detail = json!({ "branch": id, "fork": fork });
    // Awake, before anything is written down.
    branches.pool().await?;
    let created = now();
    let intent = branches.begin("branch create", detail.clone()).await?;
    let sequence = intent.sequences().start;
    failpoint!("branch:create:begun");
    let mut branch = Branch {
        volumes: source.volumes.clone(),
        parent: source.parent.clone(),
        sequence,
        expires: options.ttl.map(|ttl| created + ttl),
        fast: options.fast,
        ..Branch::new(id.clone(), &branches.project, &options.name, created)
    };
    let mut changes = Changes::default();
    let work = async {
        let begin = Begin { intent, detail: &detail, fork: &fork, force: options.force };
        changes.put_snapshots.extend(branches.begin_as(&begin, &source, &mut branch, sequence).await?);
        failpoint!("branch:create:copied");
        branches.settle(&branch).await
    };
    if let Err(failure) = work.await {
        // Nothing of it is left, so nothing is left to take back either; if that fails too, the next command does.
        let _ = branches.take_back(intent, &[id, fork]).await;
        return Err(failure);
    }
    changes.put_branches.push(branch.clone());
    branches.finish(intent, &changes).await?;
    failpoint!("branch:create:committed");
    let outcome = format!("made from {}", source.name);
    let took = began.elapsed();
    branches.context.events.tell(Event::Done { subject: format!("branch {}", branch.name), outcome, took });
    Ok((branch, source.name))
}

/// Where a branch begins.
pub(super) struct Source {
    /// What that is called.
    pub(super) name: String,
    data: String,
    pub(super) volumes: Vec<String>,
    /// The branch that it descends from.
    parent: Option<String>,
    /// The snapshot, if it begins as one.
    snapshot: Option<String>,
}

impl Source {
    /// A branch as it is now.
    pub(super) fn branch(branch: &Branch) -> Self {
        Self {
            name: branch.name.clone(),
            data: branch.data.clone(),
            volumes: branch.volumes.clone(),
            parent: Some(branch.id.clone()),
            snapshot: None,
        }
    }

    /// What a branch or a snapshot holds.
    pub(super) fn point(lineage: &Lineage, point: Point<'_>) -> Self {
        match point {
            Point::Branch(branch) => Self::branch(branch),
            Point::Snapshot(snapshot) => Self {
                name: snapshot.name.clone(),
                data: snapshot.id.clone(),
                volumes: snapshot.volumes.clone(),
                parent: lineage.branches.get(&snapshot.branch).map(|branch| branch.id.clone()),
                snapshot: Some(snapshot.id.clone()),
            },
        }
    }
}

fn source(lineage: &Lineage, environment: &str, from: Option<&str>) -> Result<Source, Failure> {
    match from {
        Some(from) => Ok(Source::point(lineage, lineage.point(from).map_err(failures::lineage)?)),
        None => lineage
            .current(environment)
            .map(Source::branch)
            .ok_or_else(|| Failure::new(Kind::Failed, "there is no branch to begin from")),
    }
}

/// How a branch begins.
pub(super) struct Begin<'a> {
    pub(super) intent: IntentId,
    pub(super) detail: &'a Value,
    /// The id of the frozen copy, should there be one.
    pub(super) fork: &'a str,
    /// Although the pool is nearly full.
    pub(super) force: bool,
}

impl Branches<'_> {
    /// Copies what `branch` begins as into its data, by way of a frozen copy that stays as its fork point. Gives the
    /// record of that, where one was made: a snapshot is one already, and where a copy costs its bytes, there is none.
    pub(super) async fn begin_as(
        &self,
        begin: &Begin<'_>,
        source: &Source,
        branch: &mut Branch,
        sequence: i64,
    ) -> Result<Option<Snapshot>, Failure> {
        let (intent, detail, force) = (begin.intent, begin.detail, begin.force);
        let parent = source.parent.as_deref().unwrap_or_default();
        let copy = |from: &str, branch: &Branch| Capture {
            from: from.to_owned(),
            to: branch.data.clone(),
            frozen: false,
            force,
            manifest: self.manifest(Record::Branch(branch.clone())),
        };
        branch.fork.clone_from(&source.snapshot);
        if source.snapshot.is_some() {
            self.copy(copy(&source.data, branch)).await?;
            return Ok(None);
        }
        if self.pool().await?.driver == Driver::Copy {
            self.capture(intent, detail, parent, copy(&source.data, branch), None).await?;
            return Ok(None);
        }
        let snapshot = Snapshot {
            id: begin.fork.to_owned(),
            project: branch.project.clone(),
            branch: parent.to_owned(),
            name: format!("fork of {} ({sequence})", branch.name),
            message: String::new(),
            reason: Reason::Fork,
            volumes: source.volumes.clone(),
            sequence: sequence + 1,
            created: branch.used,
            expires: None,
            attestation: None,
            state: State::Ready,
        };
        branch.fork = Some(snapshot.id.clone());
        let fork = Capture {
            from: source.data.clone(),
            to: snapshot.id.clone(),
            frozen: true,
            force,
            manifest: self.manifest(Record::Snapshot(snapshot.clone())),
        };
        let next = copy(&snapshot.id, branch);
        self.capture(intent, detail, parent, fork, Some(next)).await?;
        Ok(Some(snapshot))
    }
}
