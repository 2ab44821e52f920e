//! `env list`, `show`, `current` and `diff`: what there is, as data.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde::Serialize;

use super::{Standing, orphans, stays};
use crate::base::Failure;
use crate::engine::Engine;
use crate::lineage::{Environment, Lineage, Project, Seconds, State};
use crate::ops::branch::beside;
use crate::ops::{Context, failures};
use crate::plan::labels;
use crate::plan::observed::Container;

/// Environments, as `--json` prints them.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// Of this document's form.
    pub version: u32,
    /// The default environment of each project first.
    pub environments: Vec<Row>,
}

/// One environment.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The project that it is an environment of.
    pub project: String,
    /// What it is called.
    pub environment: String,
    /// The compose project's name.
    pub name: String,
    /// Whether it is the compose project itself.
    pub default: bool,
    /// Whether commands in this folder mean it.
    pub current: bool,
    /// Who made it.
    pub owner: Option<String>,
    /// The git branch that it follows.
    pub git: Option<String>,
    /// The folder that it was last used from.
    pub worktree: Option<String>,
    /// The branch of the data that its services work on.
    pub branch: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created: Option<Seconds>,
    /// When it was last started or turned to.
    pub used: Option<Seconds>,
    /// When it ends by itself.
    pub expires: Option<Seconds>,
    /// Since when its git branch is gone.
    pub orphaned: Option<Seconds>,
    /// `running`, `partly`, `stopped` or `absent`; `destroyed` where it can be had back.
    pub state: &'static str,
    /// How many of its containers run.
    pub running: usize,
    /// How many containers it has.
    pub containers: usize,
    /// Memory that its containers hold now, in bytes; none when none runs.
    pub memory: Option<u64>,
    /// Bytes of the pool that its data alone takes; none where that is not known.
    pub disk: Option<u64>,
    /// The ports of this machine that it has instead of those that the file fixes.
    pub ports: BTreeMap<String, u16>,
}

/// What is wanted of a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Those of every project of this machine's user.
    pub all_projects: bool,
    /// Those too that were destroyed and can be had back.
    pub destroyed: bool,
}

/// All environments.
pub async fn list(context: &Context, options: Options) -> Result<Listing, Failure> {
    // Anywhere, also where there is no project.
    let standing = match context.standing() {
        Ok(standing) => Some(standing),
        Err(_) if options.all_projects => None,
        Err(failure) => return Err(failure),
    };
    if let Some(standing) = standing {
        orphans::finish(context).await?;
        orphans::look(context, standing).await?;
    }
    let engine = context.engine().await?;
    let containers = engine.containers_with(labels::PROJECT).await.map_err(failures::engine)?;
    let mut rows = Vec::new();
    let mut data: BTreeMap<String, String> = BTreeMap::new();
    let mut here_is_known = false;
    if context.has_catalogue() {
        let catalogue = context.catalogue(&engine).await?;
        let known = catalogue.projects().await.map_err(failures::catalogue)?;
        let here = standing.and_then(|it| super::identity::id_of(&it.folder, &known));
        for project in known.iter().filter(|it| it.engine == context.engine_name()) {
            let ours = here.as_ref() == Some(&project.id);
            if !ours && !options.all_projects {
                continue;
            }
            here_is_known |= ours;
            let lineage = catalogue.lineage(&project.id).await.map_err(failures::catalogue)?;
            let of = if ours { standing } else { None };
            rows.extend(of_project(project, &lineage, of, options, &mut data));
        }
    }
    if let (Some(standing), false) = (standing, here_is_known) {
        rows.insert(0, plain(&standing.base, &standing.default, Some(standing)));
    }
    for row in &mut rows {
        observe(row, &containers);
    }
    measure(&engine, &mut rows, &containers).await;
    weigh(context, &engine, &mut rows, &data).await;
    Ok(Listing { version: 1, environments: rows })
}

/// The compose project itself, of which nothing is recorded.
fn plain(base: &str, label: &str, standing: Option<&Standing>) -> Row {
    Row {
        project: base.to_owned(),
        environment: label.to_owned(),
        name: base.to_owned(),
        default: true,
        current: standing.is_some_and(Standing::is_default),
        owner: None,
        git: standing.and_then(|it| it.repository.as_ref()?.default_branch()),
        worktree: None,
        branch: None,
        created: None,
        used: None,
        expires: None,
        orphaned: None,
        state: "absent",
        running: 0,
        containers: 0,
        memory: None,
        disk: None,
        ports: BTreeMap::new(),
    }
}

fn of_project(
    project: &Project,
    lineage: &Lineage,
    standing: Option<&Standing>,
    options: Options,
    data: &mut BTreeMap<String, String>,
) -> Vec<Row> {
    let base = standing.map_or(project.name.as_str(), |standing| standing.base.as_str());
    let default = standing.map_or("main", |standing| standing.default.as_str());
    let mut rows = Vec::new();
    if !lineage.environments.contains_key(base) {
        rows.push(plain(base, default, standing));
    }
    let wanted = |it: &&Environment| it.state == State::Ready || (options.destroyed && stays(it));
    for record in lineage.environments.values().filter(wanted) {
        let is_default = record.name == base;
        let branch = record.branch.as_ref().and_then(|id| lineage.branches.get(id));
        if let Some(branch) = branch {
            data.insert(record.name.clone(), branch.data.clone());
        }
        let label =
            if is_default { default } else { beside::label(base, &record.name).unwrap_or(&record.name) };
        let known = |at: Seconds| (at > 0).then_some(at);
        let row = Row {
            environment: label.to_owned(),
            name: record.name.clone(),
            default: is_default,
            current: standing.is_some_and(|it| it.name == record.name) && record.state == State::Ready,
            owner: Some(record.owner.clone()).filter(|owner| !owner.is_empty()),
            git: record.git.clone(),
            worktree: record.worktree.clone(),
            branch: branch.map(|branch| branch.name.clone()),
            created: known(record.created),
            used: known(record.used),
            expires: orphans::ends(record),
            orphaned: record.orphaned,
            state: if record.state == State::Ready { "absent" } else { "destroyed" },
            ports: record.ports.clone(),
            ..plain(base, label, None)
        };
        let git = if is_default { plain(base, label, standing).git } else { None };
        rows.push(Row { git: row.git.clone().or(git), ..row });
    }
    rows.sort_by_key(|row| !row.default);
    rows
}

fn of<'a>(row: &'a Row, containers: &'a [Container]) -> impl Iterator<Item = &'a Container> {
    containers.iter().filter(|it| it.labels.get(labels::PROJECT) == Some(&row.name) && !it.is_one_off())
}

fn observe(row: &mut Row, containers: &[Container]) {
    row.containers = of(row, containers).count();
    row.running = of(row, containers).filter(|container| container.state.is_up()).count();
    if row.state != "destroyed" {
        row.state = match (row.running, row.containers) {
            (_, 0) => "absent",
            (0, _) => "stopped",
            (running, all) if running == all => "running",
            _ => "partly",
        };
    }
}

/// Asks every running container at once for its memory. What does not answer is not known.
async fn measure(engine: &Engine, rows: &mut [Row], containers: &[Container]) {
    for row in rows {
        let running = of(row, containers).filter(|container| container.state.is_up());
        let asked = join_all(running.map(|container| engine.memory(&container.id))).await;
        let known: Vec<u64> = asked.into_iter().filter_map(|memory| memory.ok().flatten()).collect();
        row.memory = (!known.is_empty()).then(|| known.iter().sum());
    }
}

async fn weigh(context: &Context, engine: &Engine, rows: &mut [Row], data: &BTreeMap<String, String>) {
    if data.is_empty() {
        return;
    }
    let Ok(Some(pool)) = context.pool(engine).await else { return };
    let Ok(sizes) = pool.client.sizes(data.values().cloned().collect()).await else { return };
    for row in rows {
        row.disk = data.get(&row.name).and_then(|id| sizes.get(id)).map(|size| size.own);
    }
}

/// One difference between two environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs.
    pub what: String,
    /// What the first one has.
    pub a: String,
    /// What the second one has.
    pub b: String,
}

/// How two environments differ, by their names.
pub async fn diff(context: &Context, a: &str, b: &str) -> Result<Vec<Difference>, Failure> {
    let listing = list(context, Options::default()).await?;
    let engine = context.engine().await?;
    let mut facts = Vec::new();
    for name in [a, b] {
        let mut of: BTreeMap<String, String> = BTreeMap::new();
        let row = listing.environments.iter().find(|row| row.name == name);
        if let Some(row) = row {
            let some = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            of.insert("git branch".to_owned(), some(&row.git));
            of.insert("branch of the data".to_owned(), some(&row.branch));
            of.insert("state".to_owned(), row.state.to_owned());
            of.insert("folder".to_owned(), some(&row.worktree));
        }
        for container in engine.containers(name).await.map_err(failures::engine)? {
            if container.is_one_off() {
                continue;
            }
            let service = container.service();
            of.insert(format!("image of {service}"), container.image.clone());
            let short = container.config_hash().get(..12).unwrap_or_default().to_owned();
            of.insert(format!("configuration of {service}"), short);
        }
        facts.push(of);
    }
    let (first, second) = (&facts[0], &facts[1]);
    let mut keys: Vec<&String> = first.keys().chain(second.keys()).collect();
    keys.sort();
    keys.dedup();
    let told = |of: &BTreeMap<String, String>, key: &String| {
        of.get(key).cloned().unwrap_or_else(|| "none".to_owned())
    };
    let differs = |key: &&String| first.get(*key) != second.get(*key);
    let all = keys.into_iter().filter(differs);
    Ok(all.map(|key| Difference { what: key.clone(), a: told(first, key), b: told(second, key) }).collect())
}
