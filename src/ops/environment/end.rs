//! The end of an environment, and having it back. What it had is kept for seven days: its branch of the data is deleted
//! and not taken away, and its record says which it was.

use serde::Serialize;
use serde_json::json;

use super::{Current, Standing, git, records};
use crate::base::{Failure, Kind};
use crate::catalogue::IntentId;
use crate::engine::Scope;
use crate::lineage::delete::By;
use crate::lineage::{Act, Audit, Changes, Children, Environment, Seconds, Sort, State};
use crate::ops::branch::{Branches, failpoint, now};
use crate::ops::{Context, down, failures, gateway};
use crate::plan;
use crate::storage::protocol::Ask;

/// What is left of an environment at the engine and in the pool after it was destroyed: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// What it was called.
    pub environment: String,
    /// Containers that carry its label.
    pub containers: usize,
    /// Networks that carry its label.
    pub networks: usize,
    /// Volumes that carry its label.
    pub volumes: usize,
    /// Branches of the data that it stands on.
    pub branches: usize,
    /// The branch of the data that was deleted with it, by name; it can be had back.
    pub deleted: Option<String>,
}

impl Proof {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.containers + self.networks + self.volumes + self.branches == 0
    }
}

/// Destroys an environment, by its compose project's name.
pub async fn destroy(context: &Context, name: &str, why: &str) -> Result<Proof, Failure> {
    let standing = context.standing()?;
    if name == standing.base {
        return Err(Failure::new(
            Kind::Conflict,
            format!("`{}` is the compose project itself, from which all others come", standing.default),
        )
        .hint("`devenv down --volumes` takes its containers and its data away"));
    }
    let record = find(context, standing, name).await?;
    let own = context.in_environment(standing, Some(&record), name);
    let mut branches = Branches::change(&own).await?;
    let mut deleted = None;
    if let Some(record) = branches.lineage.environment(name).cloned() {
        let mut changes = Changes::default();
        if let Some(id) = &record.branch {
            let mut without = branches.lineage.clone();
            without.environments.remove(name);
            let branch = without.branches.get(id).filter(|branch| branch.state == State::Ready).cloned();
            // Another environment goes on with it.
            if let Some(branch) = branch.filter(|branch| without.standing_on(&branch.id).is_empty()) {
                let deletion =
                    without.delete(&[id], Children::Keep, branches.by()).map_err(failures::lineage)?;
                changes.and(deletion.changes);
                deleted = Some(branch.name);
            }
        }
        let by = branches.by();
        changes.audit.push(audit(&record, standing, Act::Delete, why, by));
        changes.put_environments.push(Environment { state: State::Deleted { at: by.now }, ..record });
        let intent = branches.begin("env destroy", json!({ "environment": name })).await?;
        failpoint!("env:destroy:begun");
        // First it is gone for everybody, then in fact.
        let describing = branches.begin_describing(&changes.put_branches, &[]).await?;
        branches.apply(&changes).await?;
        failpoint!("env:destroy:deleted");
        branches.describe(&changes.put_branches, &[]).await?;
        branches.abandon(describing).await?;
        finish(&mut branches, intent).await?;
    }
    gateway::forget(&own, &branches.engine).await;
    let current = Current::read(&standing.folder);
    if current.pinned == Some(standing.label_of(name)) {
        // Nobody has to choose again for what is gone.
        Current { pinned: None, ..current }.write(&standing.folder)?;
    }
    if let (Some(repository), Some(branch)) = (&standing.repository, &record.git) {
        repository.remove_id(branch, name).map_err(git::failure)?;
    }
    Ok(Proof { deleted, environment: standing.label_of(name), ..proof(&branches).await? })
}

/// The record of an environment, a deleted one too.
async fn find(context: &Context, standing: &Standing, name: &str) -> Result<Environment, Failure> {
    let all = records(context, &standing.folder).await?;
    all.into_iter().find(|it| it.name == name).ok_or_else(|| {
        let label = standing.label_of(name);
        Failure::new(Kind::Failed, format!("there is no environment `{label}`"))
            .hint("`devenv env list` shows those that there are")
    })
}

fn audit(record: &Environment, standing: &Standing, act: Act, why: &str, by: By<'_>) -> Audit {
    Audit {
        at: by.now,
        project: record.project.clone(),
        sort: Sort::Environment,
        id: record.name.clone(),
        name: standing.label_of(&record.name),
        act,
        why: why.to_owned(),
        command: by.command.to_owned(),
    }
}

/// Takes away what the engine and the pool have of an environment that is deleted already.
pub(in crate::ops) async fn finish(branches: &mut Branches<'_>, intent: IntentId) -> Result<(), Failure> {
    // It may have been made again by somebody else meanwhile.
    if branches.lineage.environment(&branches.environment).is_none() {
        let wishes =
            plan::down::Wishes { volumes: true, remove_orphans: true, ..plan::down::Wishes::default() };
        down::of_environment(branches.context, &branches.engine, &wishes).await?;
        failpoint!("env:destroy:removed");
        if let Some(pool) = branches.existing_pool().await? {
            pool.ask(Ask::Unpoint { environment: branches.environment.clone() }).await?;
        }
        failpoint!("env:destroy:unpointed");
    }
    branches.abandon(intent).await
}

/// Looks for what is left.
async fn proof(branches: &Branches<'_>) -> Result<Proof, Failure> {
    let name = &branches.environment;
    let scope = Scope { project: name.clone(), ..Scope::default() };
    let left = branches.engine.observe(&scope).await.map_err(failures::engine)?;
    Ok(Proof {
        containers: left.containers.len(),
        volumes: left.volumes.len(),
        networks: left.networks.len(),
        branches: usize::from(branches.lineage.current(name).is_some()),
        ..Proof::default()
    })
}

/// Has an environment back that was destroyed, with its data. It is started by `up`.
pub async fn undelete(context: &Context, text: &str) -> Result<Environment, Failure> {
    let standing = context.standing()?;
    let all = records(context, &standing.folder).await?;
    let label = crate::lineage::which::label(text);
    let names = [standing.name_of(text), text.to_owned(), standing.name_of(&label)];
    let found = all.iter().find(|it| names.contains(&it.name) || it.git.as_deref() == Some(text));
    let record = found.ok_or_else(|| {
        Failure::new(
            Kind::Failed,
            format!("no environment `{}` was destroyed in the last seven days", text.escape_debug()),
        )
    })?;
    if record.state == State::Ready {
        return Err(Failure::new(
            Kind::Conflict,
            format!("environment `{}` is there", standing.label_of(&record.name)),
        ));
    }
    let own = context.in_environment(standing, Some(record), &record.name);
    let mut branches = Branches::change(&own).await?;
    let mut changes = Changes::default();
    if let Some(id) = &record.branch {
        let there = branches.lineage.branches.get(id).cloned().ok_or_else(|| {
            Failure::new(Kind::Data, "its data was taken away meanwhile")
                .hint("`devenv env create` makes a new environment of that name")
        })?;
        if there.state != State::Ready {
            let (_, back) =
                branches.lineage.undelete(id, None, branches.by()).map_err(failures::taken_when_had_back)?;
            changes.and(back);
        }
        let intent = branches.begin("branch beside", json!({ "environment": record.name })).await?;
        let ask = Ask::Point { environment: record.name.clone(), id: there.data.clone() };
        branches.pool().await?.ask(ask).await?;
        failpoint!("env:undelete:pointed");
        branches.abandon(intent).await?;
    }
    let by = branches.by();
    let back = Environment {
        state: State::Ready,
        expires: record.expires.filter(|expires| *expires > by.now),
        orphaned: None,
        ..record.clone()
    };
    changes.audit.push(audit(&back, standing, Act::Undelete, "asked for", by));
    changes.put_environments.push(back.clone());
    if changes.put_branches.is_empty() {
        branches.apply(&changes).await?;
    } else {
        branches.apply_described(&changes).await?;
    }
    if let (Some(repository), Some(branch)) = (&standing.repository, &back.git)
        && repository.has_branch(branch)
    {
        repository.add_id(branch, &back.name).map_err(git::failure)?;
    }
    Ok(back)
}

/// Gives an environment an end, or none.
pub async fn ttl(context: &Context, name: &str, ttl: Option<Seconds>) -> Result<Environment, Failure> {
    let standing = context.standing()?;
    if name == standing.base {
        return Err(Failure::new(Kind::Conflict, "the compose project itself has no end")
            .hint("`devenv env ttl` is for environments beside it"));
    }
    let record = find(context, standing, name).await?;
    let own = context.in_environment(standing, Some(&record), name);
    let mut branches = Branches::change(&own).await?;
    let Some(record) = branches.lineage.environment(name).cloned() else {
        return Err(Failure::new(
            Kind::Failed,
            format!("environment `{}` was destroyed", standing.label_of(name)),
        ));
    };
    let changed = Environment { expires: ttl.map(|ttl| now() + ttl), ..record };
    branches.apply(&Changes { put_environments: vec![changed.clone()], ..Changes::default() }).await?;
    Ok(changed)
}
