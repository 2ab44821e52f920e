//! `db branch list`, `show`, `current` and `db snapshot list`: what there is, as data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Branches, url};
use crate::base::Failure;
use crate::lineage::{Attestation, Branch, Reason, Seconds, Snapshot, State};
use crate::ops::{Context, failures};
use crate::storage::protocol::Size;

/// The branches of a project, as `--json` prints them.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// Of this document's form.
    pub version: u32,
    /// The project's name.
    pub project: String,
    /// Each parent before its children.
    pub branches: Vec<Row>,
}

/// One branch.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The parent's name.
    pub parent: Option<String>,
    /// Whether this environment's services work on it.
    pub current: bool,
    /// The environments whose services work on it.
    pub environments: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created: Seconds,
    /// When services last began to work on it.
    pub used: Seconds,
    /// When it ends by itself.
    pub expires: Option<Seconds>,
    /// Refuses to be deleted or reset.
    pub protected: bool,
    /// Runs with faster durability settings.
    pub fast: bool,
    /// When it was deleted, if it was.
    pub deleted: Option<Seconds>,
    /// Its volumes.
    pub volumes: Vec<String>,
    /// How large it is, where that was asked for.
    pub size: Option<Size>,
    /// The lines of the tree before its name.
    #[serde(skip)]
    pub lines: String,
}

/// What is wanted of a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// With sizes, for which the pool is asked.
    pub sizes: bool,
    /// Those that were deleted and can be had back too.
    pub deleted: bool,
}

/// All branches.
pub async fn list(context: &Context, options: Options) -> Result<Listing, Failure> {
    let branches = Branches::look(context).await?;
    let tree = branches.lineage.rows(options.deleted);
    let mut sizes = BTreeMap::new();
    if options.sizes
        && let Some(pool) = branches.existing_pool().await?
    {
        let ids = tree.iter().map(|row| row.branch.data.clone()).collect();
        sizes = pool.client.sizes(ids).await.map_err(failures::storage)?;
    }
    let rows = tree
        .iter()
        .map(|row| Row {
            size: sizes.get(&row.branch.data).copied(),
            lines: row.lines(),
            ..one(&branches, row.branch)
        })
        .collect();
    Ok(Listing { version: 1, project: branches.environment.clone(), branches: rows })
}

fn one(branches: &Branches<'_>, branch: &Branch) -> Row {
    let environments: Vec<String> =
        branches.lineage.standing_on(&branch.id).into_iter().map(str::to_owned).collect();
    Row {
        id: branch.id.clone(),
        name: branch.name.clone(),
        parent: branches.lineage.parent(&branch.id).map(|parent| parent.name.clone()),
        current: environments.contains(&branches.environment),
        environments,
        created: branch.created,
        used: branch.used,
        expires: branch.expires,
        protected: branch.protected,
        fast: branch.fast,
        deleted: branch.state.deleted(),
        volumes: branch.volumes.clone(),
        size: None,
        lines: String::new(),
    }
}

/// All that is known of one branch.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Of this document's form.
    pub version: u32,
    /// The branch.
    #[serde(flatten)]
    pub row: Row,
    /// What it began as: the snapshot's id.
    pub fork: Option<String>,
    /// The branches that were made from it.
    pub children: Vec<String>,
    /// Its snapshots.
    pub snapshots: Vec<String>,
    /// The services that are its databases.
    pub databases: Vec<String>,
    /// Where its database answers, without the password; none when it does not run.
    pub address: Option<String>,
    /// Memory that its database's container holds now, in bytes; none when it does not run.
    pub memory: Option<u64>,
}

/// Shows one branch, or the current one.
pub async fn show(context: &Context, name: Option<&str>) -> Result<Shown, Failure> {
    let branches = Branches::look(context).await?;
    let branch = branches.named(name)?;
    let mut row = one(&branches, branch);
    if let Some(pool) = branches.existing_pool().await? {
        let sizes = pool.client.sizes(vec![branch.data.clone()]).await.map_err(failures::storage)?;
        row.size = sizes.get(&branch.data).copied();
    }
    let lineage = &branches.lineage;
    let address = url::of(&branches, branch).await.ok();
    let memory = match &address {
        Some(address) => branches.engine.memory(&address.container).await.map_err(failures::engine)?,
        None => None,
    };
    Ok(Shown {
        version: 1,
        row,
        fork: branch.fork.clone(),
        children: lineage.children(&branch.id).into_iter().map(|child| child.name.clone()).collect(),
        snapshots: lineage
            .ready_snapshots()
            .filter(|snapshot| snapshot.branch == branch.id && snapshot.reason != Reason::Fork)
            .map(|snapshot| snapshot.name.clone())
            .collect(),
        databases: url::databases(&branches.subject).into_iter().map(|server| server.service).collect(),
        address: address.map(|address| format!("{}:{}", address.host, address.port)),
        memory,
    })
}

/// The name of the current branch.
pub async fn current(context: &Context) -> Result<Branch, Failure> {
    Branches::look(context).await?.current().cloned()
}

/// The snapshots of a project, as `--json` prints them.
#[derive(Debug, Serialize)]
pub struct Snapshots {
    /// Of this document's form.
    pub version: u32,
    /// The oldest first.
    pub snapshots: Vec<SnapshotRow>,
}

/// One snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The branch that it was taken of, by name.
    pub branch: Option<String>,
    /// Why it was taken.
    pub reason: Reason,
    /// What was said about it.
    pub message: String,
    /// When it was taken, in seconds since 1970.
    pub created: Seconds,
    /// When it ends by itself.
    pub expires: Option<Seconds>,
    /// When it was deleted, if it was.
    pub deleted: Option<Seconds>,
    /// How its data was masked, if it was.
    pub attestation: Option<Attestation>,
    /// How large it is, where that was asked for.
    pub size: Option<Size>,
}

/// All snapshots; those at which branches began only with `all`.
pub async fn snapshots(context: &Context, all: bool, sizes: bool) -> Result<Snapshots, Failure> {
    let branches = Branches::look(context).await?;
    let wanted =
        |snapshot: &&Snapshot| all || (snapshot.state == State::Ready && snapshot.reason != Reason::Fork);
    let mut found: Vec<&Snapshot> = branches.lineage.snapshots.values().filter(wanted).collect();
    found.sort_by_key(|snapshot| snapshot.sequence);
    let mut known = BTreeMap::new();
    if sizes && let Some(pool) = branches.existing_pool().await? {
        let ids = found.iter().map(|snapshot| snapshot.id.clone()).collect();
        known = pool.client.sizes(ids).await.map_err(failures::storage)?;
    }
    let row = |snapshot: &&Snapshot| snapshot_row(&branches, snapshot, known.get(&snapshot.id).copied());
    Ok(Snapshots { version: 1, snapshots: found.iter().map(row).collect() })
}

/// One snapshot.
pub async fn snapshot(context: &Context, name: &str) -> Result<SnapshotRow, Failure> {
    let branches = Branches::look(context).await?;
    let snapshot = branches.lineage.snapshot(name).map_err(failures::lineage)?;
    let mut size = None;
    if let Some(pool) = branches.existing_pool().await? {
        let sizes = pool.client.sizes(vec![snapshot.id.clone()]).await.map_err(failures::storage)?;
        size = sizes.get(&snapshot.id).copied();
    }
    Ok(snapshot_row(&branches, snapshot, size))
}

fn snapshot_row(branches: &Branches<'_>, snapshot: &Snapshot, size: Option<Size>) -> SnapshotRow {
    SnapshotRow {
        id: snapshot.id.clone(),
        name: snapshot.name.clone(),
        branch: branches.lineage.branches.get(&snapshot.branch).map(|branch| branch.name.clone()),
        reason: snapshot.reason,
        message: snapshot.message.clone(),
        created: snapshot.created,
        expires: snapshot.expires,
        deleted: snapshot.state.deleted(),
        attestation: snapshot.attestation.clone(),
        size,
    }
}
