//! `db branch reset` and `db snapshot restore`: a branch begins again from other data. What it had is kept for seven
//! days as a snapshot.

use serde_json::json;

use super::create::{Begin, Source};
use super::{Branches, adopt, failpoint, new_id, now, sweep};
use crate::base::shell::argument;
use crate::base::{Failure, Kind};
use crate::lineage::{Branch, Changes, KEPT, Point, Reason, Record, Snapshot, State};
use crate::ops::{Context, failures};
use crate::storage::protocol::Ask;
use crate::storage::{Refusal, StorageError};

/// What a reset did.
#[derive(Debug, Clone)]
pub struct Reset {
    /// The branch, on its new data.
    pub branch: Branch,
    /// What it began again from, by name.
    pub from: String,
    /// What it had before; none where that was gone.
    pub kept: Option<Snapshot>,
    /// The services that were stopped and started for it.
    pub services: Vec<String>,
}

/// Resets the branch `name`, or the current one, to its parent as it is now, or to a snapshot or another branch.
pub async fn reset(
    context: &Context,
    name: Option<&str>,
    to: Option<&str>,
    force: bool,
) -> Result<Reset, Failure> {
    let mut branches = Branches::change(context).await?;
    adopt::adopt(&mut branches, None).await?;
    let branch = branches.named(name)?.clone();
    let to = match to {
        Some("parent") | None => None,
        Some(name) => Some(name.to_owned()),
    };
    let done = replace(&mut branches, branch, to.as_deref(), "branch reset", force).await?;
    sweep::quietly(&mut branches).await;
    Ok(done)
}

/// Lets `branch` begin again from `to`, or from its parent.
pub(super) async fn replace(
    branches: &mut Branches<'_>,
    branch: Branch,
    to: Option<&str>,
    verb: &str,
    force: bool,
) -> Result<Reset, Failure> {
    is_unprotected(&branch)?;
    let others: Vec<&str> = branches
        .lineage
        .standing_on(&branch.id)
        .into_iter()
        .filter(|environment| *environment != branches.environment)
        .collect();
    if let Some(other) = others.first() {
        return Err(Failure::new(
            Kind::Conflict,
            format!("branch `{}` runs beside, as `{other}`", branch.name),
        )
        .hint(format!("take that away first: `devenv --branch {} down`", argument(&branch.name))));
    }
    let target = match to {
        Some(name) => branches.lineage.point(name).map_err(failures::lineage)?,
        None => Point::Branch(branches.lineage.parent(&branch.id).ok_or_else(|| {
            Failure::new(Kind::Failed, format!("branch `{}` has no parent to go back to", branch.name))
                .hint("--to names a snapshot or a branch: `devenv db snapshot list` shows the snapshots")
        })?),
    };
    if matches!(target, Point::Branch(it) if it.id == branch.id) {
        return Err(Failure::new(Kind::Usage, format!("branch `{}` cannot be reset to itself", branch.name)));
    }
    let source = Source::point(&branches.lineage, target);
    let (data, fork) = (new_id()?, new_id()?);
    let mut detail = json!({ "data": data, "branch": branch.id, "fork": fork });
    let intent = branches.begin(verb, detail.clone()).await?;
    let sequence = intent.sequences().start;
    failpoint!("branch:reset:begun");
    let kept = kept(branches, &branch, verb, sequence);
    let mut renewed =
        Branch { data: data.clone(), volumes: source.volumes.clone(), used: now(), ..branch.clone() };
    let pool = branches.pool().await?;
    let looked = pool.client.ask(Ask::Look { id: branch.data.clone() }, |_, _| ()).await;
    // Somebody may have deleted it, which is why the branch begins again.
    let is_there = !matches!(looked, Err(StorageError::Refused(Refusal::Missing(_))));
    let put_snapshots = is_there.then(|| kept.clone()).into_iter().collect();
    let mut changes = Changes { put_snapshots, ..Changes::default() };
    let work = async {
        let begin = Begin { intent, detail: &detail, fork: &fork, force };
        changes.put_snapshots.extend(branches.begin_as(&begin, &source, &mut renewed, sequence).await?);
        failpoint!("branch:reset:copied");
        branches.complete(&mut renewed).await?;
        if renewed.parent.is_some() { branches.settle(&renewed).await } else { Ok(()) }
    };
    if let Err(failure) = work.await {
        let _ = branches.take_back(intent, &[data, fork]).await;
        return Err(failure);
    }
    changes.put_branches.push(renewed.clone());
    // Read again by who finds the intent, if this command ends before it has written them.
    detail["changes"] = json!({ "branches": changes.put_branches, "snapshots": changes.put_snapshots });
    let describing = branches.begin_describing(&[], std::slice::from_ref(&kept)).await?;
    let stands = branches.lineage.standing_on(&branch.id).contains(&branches.environment.as_str());
    let services = if stands {
        branches.on_other_data(intent, detail, &renewed.data.clone(), changes).await?
    } else {
        branches.finish(intent, &changes).await?;
        Vec::new()
    };
    failpoint!("branch:reset:committed");
    let kept = is_there.then_some(kept);
    branches.describe(&[], kept.as_slice()).await?;
    branches.abandon(describing).await?;
    Ok(Reset { branch: renewed, from: source.name, kept, services })
}

/// Fails where a branch is protected.
pub(in crate::ops) fn is_unprotected(branch: &Branch) -> Result<(), Failure> {
    if branch.protected {
        return Err(failures::lineage(crate::lineage::Error::Protected { name: branch.name.clone() }));
    }
    Ok(())
}

/// Fails where the environment's branch is protected.
pub fn may_be_emptied(branches: &Branches<'_>) -> Result<(), Failure> {
    branches.lineage.current(&branches.environment).map_or(Ok(()), is_unprotected)
}

/// Lets the environment's branch begin again from nothing, as `down --volumes` wants it; what it had is kept for seven
/// days. Nothing runs on it any more. Says what was kept; nothing where the environment has no branch.
pub async fn empty(branches: &mut Branches<'_>) -> Result<Option<Snapshot>, Failure> {
    let Some(branch) = branches.lineage.current(&branches.environment).cloned() else { return Ok(None) };
    is_unprotected(&branch)?;
    let data = new_id()?;
    let verb = "branch reset";
    let mut detail = json!({ "data": data, "branch": branch.id });
    let intent = branches.begin(verb, detail.clone()).await?;
    let sequence = intent.sequences().start;
    let kept = kept(branches, &branch, "down", sequence);
    let renewed = Branch { data: data.clone(), used: now(), ..branch };
    let manifest = branches.manifest(Record::Branch(renewed.clone()));
    let pool = branches.pool().await?;
    pool.ask(Ask::Make { id: data.clone(), folders: renewed.volumes.clone(), manifest }).await?;
    detail["changes"] = json!({ "branches": [renewed], "snapshots": [kept] });
    branches.advance(intent, "made", &detail).await?;
    let describing = branches.begin_describing(&[], std::slice::from_ref(&kept)).await?;
    failpoint!("branch:empty:made");
    pool.ask(Ask::Point { environment: branches.environment.clone(), id: data }).await?;
    let changes =
        Changes { put_branches: vec![renewed], put_snapshots: vec![kept.clone()], ..Changes::default() };
    branches.finish(intent, &changes).await?;
    branches.describe(&[], std::slice::from_ref(&kept)).await?;
    branches.abandon(describing).await?;
    Ok(Some(kept))
}

/// The record of what a branch had before something replaced it.
fn kept(branches: &Branches<'_>, branch: &Branch, verb: &str, sequence: i64) -> Snapshot {
    let at = now();
    Snapshot {
        id: branch.data.clone(),
        project: branch.project.clone(),
        branch: branch.id.clone(),
        name: format!("{}-before-{}-{sequence}", branch.name, verb.rsplit(' ').next().unwrap_or(verb)),
        message: format!("what {} had before `{}`", branch.name, branches.context.command_line),
        reason: Reason::Replaced,
        volumes: branch.volumes.clone(),
        sequence,
        created: at,
        expires: Some(at + KEPT),
        attestation: None,
        state: State::Ready,
    }
}
