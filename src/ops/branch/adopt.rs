//! The first branch of an environment: its volumes, as the engine made them, become data of the pool, once. After
//! that they are bound to the pool, under the same names and labels, so that any tool goes on working with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::{Branches, beside, failpoint, new_id, now};
use crate::base::{Event, Failure, Kind};
use crate::catalogue::IntentId;
use crate::engine::Deployment;
use crate::engine::own::Own;
use crate::lineage::{Branch, Changes, Record};
use crate::ops::pool::program_image;
use crate::ops::{failures, up};
use crate::plan::data::Why;
use crate::plan::observed::Container;
use crate::plan::turn::Turn;
use crate::plan::{Observed, labels};
use crate::storage::protocol::{Answer, Ask, Reply};

/// What the first branch of a project is called, unless a branch of that name is about to be made.
const FIRST: [&str; 3] = ["main", "trunk", "root"];

/// Gives the environment its first branch, if it has none. `taken` is a name that it must not have.
pub async fn adopt(branches: &mut Branches<'_>, taken: Option<&str>) -> Result<(), Failure> {
    adopt_from(branches, taken, None).await
}

/// The same with the volumes of another compose project, `old`, which keeps them: they are copied once.
pub async fn adopt_from(
    branches: &mut Branches<'_>,
    taken: Option<&str>,
    old: Option<&str>,
) -> Result<(), Failure> {
    if branches.lineage.current(&branches.environment).is_some() {
        return Ok(());
    }
    if branches.context.choice.apart.is_some()
        && branches.lineage.environment(&branches.environment).is_none()
    {
        let label = beside::label(branches.base(), &branches.environment).unwrap_or(&branches.environment);
        return Err(Failure::new(Kind::Failed, format!("there is no environment `{label}` yet"))
            .hint("`devenv up` makes it, with a copy of the data of the one that it comes from"));
    }
    is_possible(branches)?;
    let mut first = first_branch(branches, taken)?;
    first.volumes = branches.data.volumes.keys().cloned().collect();
    let names: BTreeSet<&String> = branches.data.volumes.values().collect();
    let observed = super::super::observe(&branches.engine, &branches.subject.project).await?;
    let bound = |name: &String| {
        let found = observed.volumes.iter().find(|volume| volume.name == *name);
        found.is_some_and(|volume| volume.labels.contains_key(labels::BOUND))
    };
    if branches.data.volumes.values().any(bound) {
        return Err(super::bind::unknown(&branches.environment));
    }
    let plain: BTreeMap<String, String> = branches
        .data
        .volumes
        .iter()
        .filter(|(_, name)| observed.volumes.iter().any(|volume| volume.name == **name))
        .map(|(key, name)| (key.clone(), name.clone()))
        .collect();
    let plain = match old {
        Some(old) => volumes_of(branches, old, &plain).await?,
        None => plain,
    };
    let users = users(branches, &observed, &names).await?;
    let running: Vec<String> =
        users.iter().filter(|user| user.state.is_up()).map(|user| user.service().to_owned()).collect();
    let detail = json!({ "data": first.data, "volumes": plain, "services": running });
    let intent = branches.begin("adopt", detail.clone()).await?;
    first.sequence = intent.sequences().start;
    failpoint!("branch:adopt:begun");
    let manifest = branches.manifest(Record::Branch(first.clone()));
    if plain.is_empty() {
        let ask = Ask::Make { id: first.data.clone(), folders: first.volumes.clone(), manifest };
        branches.pool().await?.ask(ask).await?;
    } else {
        branches.turn(&users, &running, &Turn::Stop).await?;
        failpoint!("branch:adopt:stopped");
        if let Err(failure) = import(branches, &first, &plain, &manifest).await {
            branches.turn(&users, &running, &Turn::Start).await?;
            branches.take_back(intent, &[first.data.clone()]).await?;
            return Err(failure);
        }
        failpoint!("branch:adopt:imported");
        let missing: Vec<String> =
            first.volumes.iter().filter(|key| !plain.contains_key(*key)).cloned().collect();
        if !missing.is_empty() {
            branches.pool().await?.ask(Ask::Extend { id: first.data.clone(), folders: missing }).await?;
        }
    }
    commit(branches, intent, detail, &first).await
}

/// From here on the data of the pool is what counts.
async fn commit(
    branches: &mut Branches<'_>,
    intent: IntentId,
    detail: Value,
    first: &Branch,
) -> Result<(), Failure> {
    let point = Ask::Point { environment: branches.environment.clone(), id: first.data.clone() };
    branches.pool().await?.ask(point).await?;
    let changes = Changes {
        put_branches: vec![first.clone()],
        put_environments: vec![branches.standing(&branches.environment, &first.id)],
        ..Changes::default()
    };
    branches.catalogue.apply(&changes).await.map_err(failures::catalogue)?;
    branches.lineage = branches.lineage.after(&changes);
    branches.advance(intent, "bound", &detail).await?;
    failpoint!("branch:adopt:bound");
    rebind(branches, &detail).await?;
    branches.finish(intent, &Changes::default()).await
}

/// Takes the volumes away whose content the pool has, puts bound ones in their place, and starts what ran on them.
pub(super) async fn rebind(branches: &Branches<'_>, detail: &Value) -> Result<(), Failure> {
    let observed = super::super::observe(&branches.engine, &branches.subject.project).await?;
    let names: BTreeSet<&String> = branches.data.volumes.values().collect();
    let mut removed = false;
    for (key, name) in &branches.data.volumes {
        let Some(volume) = observed.volumes.iter().find(|volume| volume.name == *name) else { continue };
        if volume.labels.contains_key(labels::BOUND) {
            continue;
        }
        // Only what was copied: another tool may have made a volume anew meanwhile.
        if detail["volumes"].get(key).is_none() {
            continue;
        }
        if !removed {
            removed = true;
            for user in users(branches, &observed, &names).await? {
                branches.engine.remove_container(&user.id, false).await.map_err(failures::engine)?;
            }
            failpoint!("branch:adopt:cleared");
        }
        branches.engine.remove_volume(name).await.map_err(|error| failures::volume(name, error))?;
        failpoint!("branch:adopt:removed");
    }
    let pool = branches.pool().await?;
    let mut deployment =
        Deployment::new(branches.subject.project.clone(), Vec::new(), Vec::new(), &Observed::default());
    deployment.bindings = pool.bindings(&branches.environment, branches.data.volumes.keys());
    for (key, name) in &branches.data.volumes {
        let there = branches.engine.own_volume(name).await.map_err(failures::engine)?;
        if there.is_none() {
            let made = branches.engine.create_volume(&deployment, key).await;
            made.map_err(|error| failures::volume(name, error))?;
        }
    }
    let services: Vec<String> = detail["services"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .filter(|name| branches.subject.project.services.contains_key(name))
        .collect();
    if services.is_empty() {
        return Ok(());
    }
    let subject = branches.subject.clone();
    up::start_again(branches.context, &branches.engine, &subject, &services, &deployment.bindings).await
}

/// Fails where two environments would work on one folder of this machine.
pub fn is_unshared(branches: &Branches<'_>) -> Result<(), Failure> {
    if branches.data.unheld.iter().any(|unheld| unheld.bind.is_some()) {
        is_possible(branches)
    } else {
        Ok(())
    }
}

/// Fails where a branch would lack what is missed most.
fn is_possible(branches: &Branches<'_>) -> Result<(), Failure> {
    let data = &branches.data;
    if let Some(unheld) = data.unheld.first() {
        let (place, hint) = match &unheld.bind {
            Some(bind) => (
                format!("in {bind}, a folder of this machine"),
                "keep it in a volume: declare one under `volumes:` and mount that instead",
            ),
            None => (
                "in a volume without a name, or in the container itself".to_owned(),
                "keep it in a volume with a name: declare one under `volumes:` and mount it there",
            ),
        };
        return Err(Failure::new(
            Kind::Data,
            format!("service `{}` keeps its data {place}: no branch can hold it", unheld.service),
        )
        .hint(hint));
    }
    if data.volumes.is_empty() {
        return Err(Failure::new(Kind::Data, "this project has no data that a branch could hold")
            .hint("branches hold named volumes: declare them under `volumes:` and mount them"));
    }
    for out in data.left_out.iter().filter(|out| out.why != Why::Asked) {
        let why = match out.why {
            Why::External => "it is external",
            _ => "its driver keeps it elsewhere",
        };
        branches.note(format!("volume `{}` belongs to no branch: {why}", out.volume));
    }
    Ok(())
}

/// The volumes of another compose project that are called as this one's are; nothing runs on them.
async fn volumes_of(
    branches: &Branches<'_>,
    old: &str,
    own: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    if let Some(name) = own.values().next() {
        return Err(Failure::new(
            Kind::Conflict,
            format!("environment `{}` has data of its own already: volume `{name}`", branches.environment),
        )
        .hint("`devenv down --volumes` takes it away; then adopt again"));
    }
    let engine = &branches.engine;
    let running = engine.running_containers().await.map_err(failures::engine)?;
    let mut found = BTreeMap::new();
    for key in branches.data.volumes.keys() {
        let name = format!("{old}_{key}");
        if engine.own_volume(&name).await.map_err(failures::engine)?.is_none() {
            continue;
        }
        let users = engine.users_of(&name).await.map_err(failures::engine)?;
        if let Some(user) = running.iter().find(|container| users.contains(&container.id)) {
            return Err(Failure::new(
                Kind::Conflict,
                format!("container {} writes to volume `{name}`", user.name),
            )
            .hint(format!("stop the old project first: `docker compose -p {old} stop`")));
        }
        found.insert(key.clone(), name);
    }
    if found.is_empty() {
        let wanted: Vec<String> = branches.data.volumes.keys().map(|key| format!("{old}_{key}")).collect();
        return Err(Failure::new(
            Kind::Data,
            format!("project `{old}` has none of the volumes of this one: {}", wanted.join(", ")),
        )
        .hint("`docker volume ls` shows what there is"));
    }
    Ok(found)
}

fn first_branch(branches: &Branches<'_>, taken: Option<&str>) -> Result<Branch, Failure> {
    let free = |name: &&str| taken != Some(*name) && branches.lineage.free_branch_name(name).is_ok();
    let name = FIRST.iter().find(|name| free(name)).map_or(branches.environment.as_str(), |name| *name);
    branches.lineage.free_branch_name(name).map_err(failures::lineage)?;
    Ok(Branch::new(new_id()?, &branches.project, name, now()))
}

/// The containers that have any of the volumes mounted; one of another project is in the way.
async fn users(
    branches: &Branches<'_>,
    observed: &Observed,
    names: &BTreeSet<&String>,
) -> Result<Vec<Container>, Failure> {
    let uses = |container: &&Container| container.mounts.iter().any(|mount| names.contains(&mount.name));
    let ours: Vec<Container> = observed.containers.iter().filter(uses).cloned().collect();
    for name in names {
        let all = branches.engine.users_of(name).await.map_err(failures::engine)?;
        if let Some(other) = all.iter().find(|id| !ours.iter().any(|container| container.id == **id)) {
            return Err(Failure::new(
                Kind::Conflict,
                format!(
                    "volume `{name}` is used by a container of somebody else ({})",
                    &other[..12.min(other.len())]
                ),
            )
            .hint("remove that container, or leave the volume out with `x-devenv.branches.leave_out`"));
        }
    }
    Ok(ours)
}

/// Copies volumes into the pool, in a container that has both.
async fn import(
    branches: &Branches<'_>,
    first: &Branch,
    plain: &BTreeMap<String, String>,
    manifest: &Value,
) -> Result<(), Failure> {
    let began = Instant::now();
    let subject = "data".to_owned();
    let events = &branches.context.events;
    events.tell(Event::Started { subject: subject.clone(), doing: "moving into the pool, once".to_owned() });
    let pool = branches.pool().await?;
    let image = program_image(branches.context, &branches.engine).await?;
    let mut arguments: Vec<String> =
        ["__keeper", "import", "--root", "/pool", "--driver", pool.driver.word(), "--id", &first.data]
            .map(str::to_owned)
            .into();
    arguments.extend(["--manifest".to_owned(), manifest.to_string()]);
    for (at, key) in plain.keys().enumerate() {
        arguments.extend(["--folder".to_owned(), format!("{key}=/from/{at}")]);
    }
    let mut volumes = pool.volumes();
    volumes.extend(plain.values().enumerate().map(|(at, name)| (name.clone(), format!("/from/{at}"), true)));
    let name = format!("{}-import-{}", pool.name, first.data);
    let own = Own { name, image, arguments, volumes, files: true, ..Own::default() };
    let mut refused = None;
    let told = |line: &str| match serde_json::from_str::<Reply>(line).map(|reply| reply.answer) {
        Ok(Answer::Progress { done, total }) => events.tell(Event::Progress {
            subject: subject.clone(),
            detail: "copying".to_owned(),
            done: Some(done),
            total: Some(total),
        }),
        Ok(Answer::Failed(refusal)) => refused = Some(refusal),
        _ => {}
    };
    let (code, _, said) = branches.engine.run_own(&own, told).await.map_err(failures::engine)?;
    if let Some(refusal) = refused {
        return Err(failures::storage(refusal.into()));
    }
    if code != 0 {
        return Err(Failure::new(Kind::Storage, format!("the data could not be copied: {}", said.trim())));
    }
    events.tell(Event::Done { subject, outcome: "in the pool".to_owned(), took: began.elapsed() });
    Ok(())
}
