//! What `up` needs to know of branches: to which folder of the pool each volume of the environment is bound.

use super::{Branches, adopt, now};
use crate::base::shell::argument;
use crate::base::{Failure, Kind};
use crate::engine::{Bindings, Engine};
use crate::lineage::{Branch, Changes};
use crate::ops::{Context, Subject, failures};
use crate::plan::data::data;
use crate::plan::observed::Container;
use crate::plan::{Observed, labels};
use crate::storage::protocol::{Ask, Outcome};
use crate::storage::{Refusal, StorageError};

/// What binding came to.
#[derive(Debug, Default)]
pub struct Bound {
    /// To what the volumes are bound; nothing when the environment works on plain volumes.
    pub bindings: Bindings,
    /// Whether containers or volumes were taken away, so that what was observed is not so any more.
    pub changed: bool,
}

/// The bindings of the environment: none when it works on plain volumes. The pool is awake when this returns, and
/// the data is there. The caller holds the project's lock, and may have recovered the branches already.
pub async fn bind(
    context: &Context,
    engine: &Engine,
    subject: &Subject,
    observed: &Observed,
    recovered: Option<Branches<'_>>,
) -> Result<Bound, Failure> {
    let volumes = data(&subject.project).volumes;
    if volumes.is_empty() {
        return Ok(Bound::default());
    }
    let find = |name: &String| observed.volumes.iter().find(|volume| volume.name == *name);
    let any_there = volumes.values().any(|name| find(name).is_some());
    let any_bound = volumes.values().filter_map(find).any(|volume| volume.labels.contains_key(labels::BOUND));
    if !context.has_catalogue() && !any_bound {
        // Nobody has made a branch here; a new stack begins in the pool if there is one.
        if any_there || !context.seems_to_have_pool(engine).await? {
            return Ok(Bound::default());
        }
    }
    let mut branches = match recovered {
        Some(branches) => branches,
        None => {
            let mut branches = Branches::of(context, subject.clone(), engine.clone()).await?;
            super::recover::recover(&mut branches).await?;
            branches
        }
    };
    if branches.lineage.current(&branches.environment).is_none() {
        if any_bound {
            return Err(unknown(&branches.environment));
        }
        if any_there || branches.existing_pool().await?.is_none() {
            return Ok(Bound::default());
        }
        adopt::adopt(&mut branches, None).await?;
    }
    let branch = branches.current()?.clone();
    // A volume of that name which is not bound was made by another tool while ours was gone.
    for (key, name) in volumes.iter().filter(|(key, _)| branch.volumes.contains(key)) {
        if find(name).is_some_and(|volume| !volume.labels.contains_key(labels::BOUND))
            && engine
                .own_volume(name)
                .await
                .map_err(failures::engine)?
                .is_some_and(|it| !it.labels.contains_key(labels::BOUND))
        {
            return Err(Failure::new(
                Kind::Data,
                format!("volume `{name}` is not the data of branch `{}`: another tool made it anew", branch.name),
            )
            .hint(format!(
                "the branch's own `{key}` is safe in the pool: `docker volume rm {name}` (after `devenv down`), then `devenv up`"
            )));
        }
    }
    let environment = branches.environment.clone();
    let bindings = ready(&mut branches, &environment, branch).await?;
    // One that is held has the right data: the link has not been turned since the engine came up.
    let changed = forget_stale(&branches).await? != Stale::None;
    Ok(Bound { bindings, changed })
}

/// The volumes are of a branch, and no record says of which.
pub(super) fn unknown(environment: &str) -> Failure {
    Failure::new(
        Kind::Data,
        format!("the volumes of `{environment}` hold data of a branch that the records do not know"),
    )
    .hint("`devenv state rebuild` makes the records again from the pool")
}

/// What became of volumes that were bound while another keeper had the pool mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stale {
    /// There were none, or they are in use.
    None,
    /// They and their containers were taken away, to be made again.
    Renewed,
    /// The engine holds this one mounted and does not let it go before it is started again; containers were taken
    /// away.
    Held(String),
}

/// The environment's volumes that were bound while another keeper had the pool mounted.
async fn stale(branches: &Branches<'_>) -> Result<Vec<String>, Failure> {
    let Some(pool) = branches.existing_pool().await? else { return Ok(Vec::new()) };
    let mut stale = Vec::new();
    for name in branches.data.volumes.values() {
        let volume = branches.engine.own_volume(name).await.map_err(failures::engine)?;
        let keeper = volume.and_then(|volume| volume.labels.get(labels::BOUND).cloned());
        if keeper.is_some_and(|keeper| keeper != pool.keeper) {
            stale.push(name.clone());
        }
    }
    Ok(stale)
}

/// Whether [`forget_stale`] has something to do, as soon as nobody uses it.
pub(super) async fn has_stale(branches: &Branches<'_>) -> Result<bool, Failure> {
    Ok(!stale(branches).await?.is_empty())
}

/// Takes away volumes, with the containers that have them mounted, that were bound while another keeper had the pool
/// mounted, unless they are in use.
///
/// Docker 20.10 counts a start that failed while it came up, as that of a container with a restart policy does before
/// the pool is mounted, as a use that never ends: from its first start on the volume stays mounted on the data that the
/// link led to then, and whatever starts on it later works on that, wherever the link leads.
pub(super) async fn forget_stale(branches: &Branches<'_>) -> Result<Stale, Failure> {
    let stale = stale(branches).await?;
    if stale.is_empty() {
        return Ok(Stale::None);
    }
    let engine = &branches.engine;
    let containers = engine.containers(&branches.environment).await.map_err(failures::engine)?;
    let mut found = Stale::None;
    for name in stale {
        let users: Vec<&Container> =
            containers.iter().filter(|it| it.mounts.iter().any(|mount| mount.name == name)).collect();
        if users.iter().any(|user| user.state.is_up()) {
            continue;
        }
        for user in users {
            engine.remove_container(&user.id, false).await.map_err(failures::engine)?;
        }
        match engine.remove_volume(&name).await {
            Ok(()) if found == Stale::None => found = Stale::Renewed,
            Ok(()) => {}
            Err(error) if error.is_conflict() || error.to_string().contains("active mounts") => {
                found = Stale::Held(name);
            }
            Err(error) => return Err(failures::volume(&name, error)),
        }
    }
    Ok(found)
}

/// The bindings of an environment that stands on `branch`, its link turned there; fails when data of it is gone.
pub(super) async fn ready(
    branches: &mut Branches<'_>,
    environment: &str,
    branch: Branch,
) -> Result<Bindings, Failure> {
    let wanted: Vec<String> = branches.data.volumes.keys().cloned().collect();
    let pool = branches.pool().await?;
    let looked = pool.client.ask(Ask::Look { id: branch.data.clone() }, |_, _| ()).await;
    let folders = match looked {
        Ok(Outcome::Items(items)) => items.into_iter().next().map(|item| item.folders).unwrap_or_default(),
        Ok(_) | Err(StorageError::Refused(Refusal::Missing(_))) => Vec::new(),
        Err(error) => return Err(failures::storage(error)),
    };
    let gone: Vec<&String> = branch.volumes.iter().filter(|key| !folders.contains(key)).collect();
    if !gone.is_empty() {
        let names: Vec<String> = gone.iter().map(|key| format!("`{key}`")).collect();
        let mut failure = Failure::new(
            Kind::Data,
            format!("the data of branch `{}` is gone from the pool: {}", branch.name, names.join(", ")),
        );
        let snapshots = branches.lineage.ready_snapshots().filter(|snapshot| snapshot.branch == branch.id);
        failure = match snapshots.max_by_key(|snapshot| snapshot.sequence) {
            Some(last) => failure.hint(format!(
                "`devenv db snapshot restore {}` brings back what it was",
                argument(&last.name)
            )),
            None => failure.hint("`devenv db branch list` shows what else there is"),
        };
        return Err(failure.hint("nothing was started in its place"));
    }
    pool.ask(Ask::Point { environment: environment.to_owned(), id: branch.data.clone() }).await?;
    let new: Vec<String> = wanted.iter().filter(|key| !branch.volumes.contains(key)).cloned().collect();
    let bindings = pool.bindings(environment, &wanted);
    if !new.is_empty() {
        pool.ask(Ask::Extend { id: branch.data.clone(), folders: new.clone() }).await?;
    }
    if !new.is_empty() || now() - branch.used > 60 {
        let volumes = branch.volumes.iter().chain(&new).cloned().collect();
        let branch = Branch { volumes, used: now(), ..branch };
        if !new.is_empty() {
            branches.describe(std::slice::from_ref(&branch), &[]).await?;
        }
        branches.apply(&Changes { put_branches: vec![branch], ..Changes::default() }).await?;
    }
    Ok(bindings)
}
