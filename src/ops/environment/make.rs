//! Making an environment: a record with a name, a branch of the data and ports of its own. Its containers and networks
//! are what `up` makes of that.
//!
//! What is killed on the way leaves at most a branch of the data that nobody stands on, which the next attempt takes.

use serde_json::json;

use super::{Current, Standing, called, git, orphans, ports, records};
use crate::base::{Event, Failure, Kind};
use crate::engine::Scope;
use crate::lineage::which::{Origin, label};
use crate::lineage::{Branch, Changes, Environment, Seconds, State};
use crate::ops::branch::{Branches, adopt, copy, create, failpoint, now};
use crate::ops::{Context, failures};
use crate::plan::beside::{Moved, set_apart};
use crate::storage::protocol::Ask;

/// What is wanted of a new environment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The environment that it comes from; none for the one whose git branch parted last from this one's.
    pub from: Option<String>,
    /// What its data begins as.
    pub data: Data,
    /// How long it is there, in seconds.
    pub ttl: Option<Seconds>,
}

/// What the data of a new environment begins as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Data {
    /// The data of the environment that it comes from.
    #[default]
    Copy,
    /// A branch or a snapshot.
    Of(String),
    /// This very branch, on which no environment stands.
    Standing(String),
    /// The schema of the environment that it comes from, without rows.
    Schema,
    /// Nothing.
    Empty,
}

/// A new environment.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its record.
    pub record: Environment,
    /// What it is called.
    pub label: String,
    /// The environment that it comes from.
    pub from: String,
    /// The branch of the data that it stands on, by name.
    pub branch: Option<String>,
    /// What the file fixes and it has otherwise.
    pub moved: Vec<Moved>,
}

/// For `up`: the environment that the context means is there when this returns, its ports are known, and it is this
/// folder's current one.
pub async fn ensure(context: &Context) -> Result<Context, Failure> {
    let context = &apart_from_others(context).await?;
    let Some(standing) = &context.standing else { return Ok(context.clone()) };
    // What these name is the project's, not a folder's.
    if matches!(standing.origin, Origin::Branch | Origin::Project) {
        return Ok(context.clone());
    }
    // Its own result counts, not what became of others.
    if let Err(failure) = orphans::sweep(context, Some(&standing.name), false).await {
        context.events.warn(&failure);
    }
    let mut ready = context.clone();
    if !standing.is_default() {
        let all = records(context, &standing.folder).await?;
        let found = all.into_iter().find(|it| it.name == standing.name && it.state == State::Ready);
        let record = match found {
            Some(record) => {
                used(context, standing, ports::complete(context, standing, record).await?).await?
            }
            None => {
                let made = make(context, &Options::default()).await?;
                tell(context, &made);
                made.record
            }
        };
        note_git_branch(context, standing);
        warn_of_end(context, standing, &record);
        ready = context.in_environment(standing, Some(&record), &standing.name);
        if let Some(there) = &mut ready.standing {
            there.git.clone_from(&standing.git);
        }
    }
    let before = Current::read(&standing.folder);
    // A folder without git has one environment as a rule, and nothing to remember.
    if standing.repository.is_some() || !standing.is_default() || before != Current::default() {
        let (base, git) = (Some(standing.base.clone()), standing.git.clone());
        let written = Current { base, git, ..before.now(&standing.label) }.write(&standing.folder);
        // Its services come up in a folder that cannot be written all the same.
        written.unwrap_or_else(|failure| context.events.warn(&failure));
    }
    Ok(ready)
}

/// After a port turned out to be taken: the context with other ports, where the environment's are devenv's to choose
/// and one of them is.
pub async fn with_other_ports(context: &Context) -> Result<Option<Context>, Failure> {
    let Some(standing) = context.standing.as_ref().filter(|standing| !standing.is_default()) else {
        return Ok(None);
    };
    let all = records(context, &standing.folder).await?;
    let found = all.into_iter().find(|it| it.name == standing.name && it.state == State::Ready);
    let Some(before) = found else { return Ok(None) };
    let record = ports::complete(context, standing, before.clone()).await?;
    Ok((record.ports != before.ports)
        .then(|| context.in_environment(standing, Some(&record), &standing.name)))
}

/// The context under a name that no compose project of somebody else has: `shop-admin` may be a project, and not what
/// the git branch `admin` of `shop` has to have.
async fn apart_from_others(context: &Context) -> Result<Context, Failure> {
    let Some(standing) = context.standing.as_ref().filter(|it| !it.is_there) else {
        return Ok(context.clone());
    };
    let all = records(context, &standing.folder).await?;
    // What was destroyed may not be swept yet.
    if all.iter().any(|it| it.name == standing.name) {
        return Ok(context.clone());
    }
    let engine = context.engine().await?;
    let scope = Scope { project: standing.name.clone(), ..Scope::default() };
    let there = engine.observe(&scope).await.map_err(failures::engine)?;
    if there.containers.is_empty() && there.volumes.is_empty() && there.networks.is_empty() {
        return Ok(context.clone());
    }
    let Some(branch) = &standing.git else {
        return Err(Failure::new(
            Kind::Conflict,
            format!("somebody else's compose project is called `{}`", standing.name),
        )
        .hint("choose another name for the environment"));
    };
    // `:` stands in no git branch's name.
    let name = standing.name_of(&label(&format!("{branch}:apart")));
    let record = all.iter().find(|it| it.name == name && it.state == State::Ready);
    let mut other = context.in_environment(standing, record, &name);
    if let Some(there) = &mut other.standing {
        there.git.clone_from(&standing.git);
        context.events.tell(Event::note(format!(
            "somebody else's compose project is called `{}`: the environment is {}",
            standing.name, there.label
        )));
    }
    Ok(other)
}

/// How long before its end an environment says so.
const WARNING: Seconds = 24 * 60 * 60;

fn warn_of_end(context: &Context, standing: &Standing, record: &Environment) {
    let left = orphans::ends(record).map(|end| end - now()).filter(|left| *left < WARNING);
    let Some(left) = left else { return };
    let name = crate::base::shell::argument(&standing.label);
    let when = if left > 0 {
        format!("in {} min", (left + 59) / 60)
    } else {
        "as soon as it is not used".to_owned()
    };
    context.events.tell(Event::warning(format!(
        "environment {name} ends {when}: `devenv env ttl {name} 7d` gives it longer"
    )));
}

/// Writes down that an environment is used now, and from where; not more often than once a minute.
async fn used(context: &Context, standing: &Standing, record: Environment) -> Result<Environment, Failure> {
    let worktree = Some(standing.folder.display().to_string());
    if now() - record.used < 60 && record.worktree == worktree {
        return Ok(record);
    }
    let record = Environment { used: now(), worktree, ..record };
    let changes = Changes { put_environments: vec![record.clone()], ..Changes::default() };
    let catalogue = context.opened_catalogue().await?.catalogue;
    catalogue.apply(&changes).await.map_err(failures::catalogue)?;
    Ok(record)
}

/// What would be made, for a dry run; none where it is there.
pub async fn would_make(context: &Context) -> Result<Option<(String, String)>, Failure> {
    let Some(standing) = &context.standing else { return Ok(None) };
    if standing.is_default() {
        return Ok(None);
    }
    let all = records(context, &standing.folder).await?;
    if all.iter().any(|it| it.name == standing.name && it.state == State::Ready) {
        return Ok(None);
    }
    let from = nearest(standing, &all);
    Ok(Some((standing.label.clone(), standing.label_of(&from))))
}

/// Says what was made, and once what of the file it has otherwise.
pub fn tell(context: &Context, made: &Made) {
    let on =
        made.branch.as_ref().map(|branch| format!(" on branch {branch} of the data")).unwrap_or_default();
    let tell = |text: String| context.events.tell(Event::note(text));
    tell(format!("environment {} is made from {}{on}", made.label, made.from));
    for moved in &made.moved {
        tell(format!("  {}: {} here, {} in the file", moved.what, moved.is, moved.was));
    }
}

/// Makes the environment that the context means.
pub async fn make(context: &Context, options: &Options) -> Result<Made, Failure> {
    let context = &apart_from_others(context).await?;
    let standing = context.standing()?;
    let _own = context.lock(&standing.name).await?;
    let all = records(context, &standing.folder).await?;
    if all.iter().any(|it| it.name == standing.name && it.state == State::Ready) {
        return existing(context, standing, &all);
    }
    let from = match &options.from {
        Some(text) => called(standing, &all, text)?.0,
        None => nearest(standing, &all),
    };
    let record = all.iter().find(|it| it.name == from && it.state == State::Ready);
    let parent = context.in_environment(standing, record, &from);
    let data = match &options.data {
        Data::Schema => schema(&parent, wanted_name(standing)).await?,
        other => other.clone(),
    };
    let mut branches = Branches::change(&parent).await?;
    let branch = match data {
        _ if branches.data.volumes.is_empty() => {
            adopt::is_unshared(&branches)?;
            None
        }
        Data::Empty => None,
        _ => Some(branch_of(&mut branches, wanted_name(standing), &data).await?),
    };
    failpoint!("env:create:data");
    // No two environments are given one port.
    let ports_lock = context.lock_catalogue().await?;
    let project = context.load_quietly(&[])?.project;
    let ports = ports::assign(&branches, &standing.name, &project).await?;
    let record = Environment {
        branch: branch.as_ref().map(|branch| branch.id.clone()),
        git: standing.git.clone(),
        worktree: Some(standing.folder.display().to_string()),
        expires: options.ttl.map(|ttl| now() + ttl),
        ports,
        ..branches.new_environment(&standing.name)
    };
    let changes = Changes { put_environments: vec![record.clone()], ..Changes::default() };
    // From here on it is listed.
    let intent = branches.begin("branch beside", json!({ "environment": standing.name })).await?;
    if let Some(branch) = &branch {
        let ask = Ask::Point { environment: standing.name.clone(), id: branch.data.clone() };
        branches.pool().await?.ask(ask).await?;
    }
    failpoint!("env:create:pointed");
    branches.finish(intent, &changes).await?;
    drop(ports_lock);
    failpoint!("env:create:committed");
    note_git_branch(context, standing);
    Ok(Made {
        label: standing.label.clone(),
        from: standing.label_of(&from),
        branch: branch.map(|branch| branch.name),
        moved: moved(context, standing, &record)?,
        record,
    })
}

/// Another command made it meanwhile.
fn existing(context: &Context, standing: &Standing, all: &[Environment]) -> Result<Made, Failure> {
    let found = all.iter().find(|it| it.name == standing.name && it.state == State::Ready);
    let record =
        found.cloned().ok_or_else(|| Failure::new(Kind::Conflict, "the environment is gone again"))?;
    Ok(Made {
        label: standing.label.clone(),
        from: standing.label.clone(),
        branch: None,
        moved: moved(context, standing, &record)?,
        record,
    })
}

fn moved(context: &Context, standing: &Standing, record: &Environment) -> Result<Vec<Moved>, Failure> {
    let own = context.in_environment(standing, Some(record), &record.name);
    let mut project = own.load_quietly(&[])?.project;
    let suffix = own.choice.apart.map(|apart| apart.suffix).unwrap_or_default();
    Ok(set_apart(&mut project, &suffix, &record.ports))
}

/// What the branch of its data is called, where that is free.
fn wanted_name(standing: &Standing) -> &str {
    standing.git.as_deref().unwrap_or(&standing.label)
}

/// Makes a branch that has the schema of the current one of `parent`, and nothing of its rows.
async fn schema(parent: &Context, name: &str) -> Result<Data, Failure> {
    let branches = Branches::look(parent).await?;
    if branches.data.volumes.is_empty() {
        let message = "there is no volume that a schema without rows could be in";
        return Err(Failure::new(Kind::Failed, message).hint("`--data none` begins with nothing"));
    }
    let is_taken = |name: &str| branches.lineage.ready().any(|branch| branch.name == name);
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    let to = std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name));
    let options = copy::Options { to: to.unwrap_or_default(), schema_only: true, ..copy::Options::default() };
    drop(branches);
    Ok(Data::Standing(copy::copy(parent, &options).await?.branch.name))
}

/// The branch of the data for a new environment.
async fn branch_of(branches: &mut Branches<'_>, name: &str, data: &Data) -> Result<Branch, Failure> {
    adopt::adopt(branches, Some(name)).await?;
    if let Data::Standing(name) = data {
        return branches.named(Some(name)).cloned();
    }
    let mut wanted = name.to_owned();
    let mut number = 1_u32;
    while let Some(there) = branches.lineage.ready().find(|branch| branch.name == wanted) {
        // One that is waiting for it, or that was made before a command was killed.
        if *data == Data::Copy && wanted == name && branches.lineage.standing_on(&there.id).is_empty() {
            return Ok(there.clone());
        }
        number += 1;
        wanted = format!("{name}-{number}");
    }
    let from = match data {
        Data::Of(from) => Some(from.clone()),
        Data::Copy | Data::Standing(_) | Data::Schema | Data::Empty => None,
    };
    let options = create::Options { name: wanted, from, ..create::Options::default() };
    create::make(branches, &options).await.map(|(branch, _)| branch)
}

/// The environment whose git branch parted last from this one's. Where that does not tell them apart, the one that was
/// current, then the default one.
fn nearest(standing: &Standing, all: &[Environment]) -> String {
    let (Some(repository), Some(branch)) = (&standing.repository, &standing.git) else {
        return standing.base.clone();
    };
    let current = Current::read(&standing.folder).current.map(|label| standing.name_of(&label));
    let ready = all.iter().filter(|it| it.state == State::Ready && it.name != standing.base);
    let others = ready.filter_map(|it| Some((it.name.clone(), it.git.clone()?)));
    let default = repository.default_branch().map(|default| (standing.base.clone(), default));
    let found =
        others.chain(default).filter(|(name, _)| *name != standing.name).filter_map(|(name, other)| {
            let since = repository.fork(branch, &other)?.since;
            Some((since, current.as_ref() != Some(&name), name != standing.base, name))
        });
    found.min().map_or_else(|| standing.base.clone(), |(.., name)| name)
}

/// Lets the git branch's own configuration name its environment, so that it is found after the git branch was renamed.
fn note_git_branch(context: &Context, standing: &Standing) {
    let (Some(repository), Some(branch)) = (&standing.repository, &standing.git) else { return };
    let noted = || repository.ids().get(branch).is_some_and(|ids| ids.contains(&standing.name));
    if standing.is_default() || !repository.has_branch(branch) || noted() {
        return;
    }
    if let Err(error) = repository.add_id(branch, &standing.name) {
        context.events.warn(&git::failure(error));
    }
}
