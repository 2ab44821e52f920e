//! `db snapshot`: named points to go back to.

use serde_json::json;

use super::capture::Capture;
use super::create::{self, Created};
use super::reset::{self, Reset};
use super::{Branches, adopt, failpoint, new_id, now};
use crate::base::Failure;
use crate::lineage::{KEPT, Reason, Record, Seconds, Snapshot, State};
use crate::ops::{Context, failures};

/// What is wanted of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What it is called; none for a name made of the branch and the time.
    pub name: Option<String>,
    /// What is said about it.
    pub message: String,
    /// The branch; none for the current one.
    pub branch: Option<String>,
    /// How long it is there, in seconds.
    pub ttl: Option<Seconds>,
    /// Although the pool is nearly full.
    pub force: bool,
}

/// Freezes a branch as it is now.
pub async fn save(context: &Context, options: &Options) -> Result<Snapshot, Failure> {
    let mut branches = Branches::change(context).await?;
    if let Some(name) = &options.name {
        branches.lineage.free_snapshot_name(name).map_err(failures::lineage)?;
    }
    adopt::adopt(&mut branches, None).await?;
    freeze(&mut branches, options, None).await
}

/// Freezes the current branch before something changes what it holds; kept for seven days.
pub(in crate::ops) async fn keep(branches: &mut Branches<'_>, before: &str) -> Result<Snapshot, Failure> {
    keep_of(branches, None, before).await
}

/// The same for a branch.
pub(in crate::ops) async fn keep_of(
    branches: &mut Branches<'_>,
    branch: Option<&str>,
    before: &str,
) -> Result<Snapshot, Failure> {
    let message = format!("what was there before `{}`", branches.context.command_line);
    let branch = branch.map(str::to_owned);
    let options = Options { message, branch, ttl: Some(KEPT), ..Options::default() };
    freeze(branches, &options, Some(before)).await
}

async fn freeze(
    branches: &mut Branches<'_>,
    options: &Options,
    before: Option<&str>,
) -> Result<Snapshot, Failure> {
    let branch = branches.named(options.branch.as_deref())?.clone();
    let created = now();
    let id = new_id()?;
    let detail = json!({ "snapshot": id });
    let intent = branches.begin("snapshot save", detail.clone()).await?;
    let sequence = intent.sequences().start;
    failpoint!("snapshot:save:begun");
    let snapshot = Snapshot {
        id,
        project: branch.project.clone(),
        branch: branch.id.clone(),
        name: options.name.clone().unwrap_or_else(|| match before {
            Some(before) => format!("{}-before-{before}-{sequence}", branch.name),
            None => format!("{}-{sequence}", branch.name),
        }),
        message: options.message.clone(),
        reason: if before.is_some() { Reason::Replaced } else { Reason::Asked },
        volumes: branch.volumes.clone(),
        sequence,
        created,
        expires: options.ttl.map(|ttl| created + ttl),
        attestation: None,
        state: State::Ready,
    };
    let manifest = branches.manifest(Record::Snapshot(snapshot.clone()));
    let what = Capture {
        from: branch.data.clone(),
        to: snapshot.id.clone(),
        frozen: true,
        force: options.force,
        manifest,
    };
    if let Err(failure) = branches.capture(intent, &detail, &branch.id, what, None).await {
        let _ = branches.take_back(intent, &[snapshot.id]).await;
        return Err(failure);
    }
    failpoint!("snapshot:save:copied");
    let changes = crate::lineage::Changes { put_snapshots: vec![snapshot.clone()], ..Default::default() };
    branches.finish(intent, &changes).await?;
    Ok(snapshot)
}

/// What became of a restore.
#[derive(Debug)]
pub enum Restored {
    /// The branch began again from it.
    Here(Box<Reset>),
    /// A new branch began there.
    As(Box<Created>),
}

/// Lets the current branch, or `branch`, begin again from a snapshot, or makes a new branch of it.
pub async fn restore(
    context: &Context,
    name: &str,
    branch: Option<&str>,
    as_branch: Option<&str>,
    force: bool,
) -> Result<Restored, Failure> {
    if let Some(new) = as_branch {
        let options = create::Options {
            name: new.to_owned(),
            from: Some(format!("snapshot:{name}")),
            force,
            ..create::Options::default()
        };
        return create::create(context, &options).await.map(|made| Restored::As(Box::new(made)));
    }
    let mut branches = Branches::change(context).await?;
    branches.lineage.snapshot(name).map_err(failures::lineage)?;
    let branch = branches.named(branch)?.clone();
    let to = format!("snapshot:{}", name.strip_prefix("snapshot:").unwrap_or(name));
    let done = reset::replace(&mut branches, branch, Some(&to), "snapshot restore", force).await?;
    Ok(Restored::Here(Box::new(done)))
}

/// Deletes a snapshot; it can be had back for seven days.
pub async fn delete(context: &Context, name: &str) -> Result<Snapshot, Failure> {
    let mut branches = Branches::change(context).await?;
    let snapshot = branches.lineage.snapshot(name).map_err(failures::lineage)?.clone();
    let changes = branches.lineage.delete_snapshot(&snapshot.id, branches.by()).map_err(failures::lineage)?;
    branches.apply_described(&changes).await?;
    Ok(snapshot)
}

/// Has a deleted snapshot back.
pub async fn undelete(context: &Context, name: &str, rename: Option<&str>) -> Result<Snapshot, Failure> {
    let mut branches = Branches::change(context).await?;
    let (snapshot, changes) = branches
        .lineage
        .undelete_snapshot(name, rename, branches.by())
        .map_err(failures::taken_when_had_back)?;
    branches.apply_described(&changes).await?;
    Ok(snapshot)
}
