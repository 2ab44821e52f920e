//! A branch that runs beside its parent: an environment of its own, with its own containers, network and ports.

use serde_json::json;

use super::url::{self, Address};
use super::{Branches, bind, failpoint};
use crate::base::shell::argument;
use crate::base::{Event, Failure, Kind};
use crate::compose::project::Service;
use crate::engine::{Bindings, Engine};
use crate::lineage::{Branch, Changes, names};
use crate::ops::{Context, Subject, down, up};
use crate::plan;
use crate::plan::data::data;
use crate::storage::protocol::Ask;

/// Where a branch runs beside.
#[derive(Debug, Clone)]
pub struct Beside {
    /// The environment: the compose project's name.
    pub environment: String,
    /// The services that were started for it.
    pub services: Vec<String>,
    /// Its database, if it has one.
    pub database: Option<Address>,
}

/// A compose project's name may be longer than a container's may be with the service behind it.
const LONGEST: usize = 40;

impl Branches<'_> {
    /// The environment in which a branch runs: the one that stands on it, this one first, or the name of one beside.
    #[must_use]
    pub fn home(&self, branch: &Branch) -> (String, bool) {
        let standing = self.lineage.standing_on(&branch.id);
        if standing.contains(&self.environment.as_str()) {
            return (self.environment.clone(), true);
        }
        if let Some(other) = standing.first() {
            return ((*other).to_owned(), true);
        }
        let name = called(&self.environment, &branch.name);
        let taken = self.lineage.environments.contains_key(&name);
        (if taken { format!("{name}-{}", &branch.id[..6]) } else { name }, false)
    }
}

/// What the environment of a branch beside is called.
fn called(environment: &str, branch: &str) -> String {
    let mut base = environment.to_owned();
    base.truncate(LONGEST);
    format!("{base}-{}", names::slug(branch))
}

/// The project as an environment beside has it.
pub(super) struct Apart {
    context: Context,
    subject: Subject,
}

impl Apart {
    fn load(context: &Context, base: &str, environment: &str) -> Result<Self, Failure> {
        let context = apart(context, base, environment);
        Ok(Self { subject: context.subject(&[])?, context })
    }

    /// The services that are started beside: the databases; where there are none, all that have data.
    fn services(&self) -> Vec<String> {
        let databases = url::databases(&self.subject);
        if !databases.is_empty() {
            return databases.into_iter().map(|database| database.service).collect();
        }
        let project = &self.subject.project;
        let data = data(project);
        let holds =
            |service: &Service| service.volumes.iter().any(|it| data.volumes.contains_key(&it.source));
        project.services.iter().filter(|(_, service)| holds(service)).map(|(name, _)| name.clone()).collect()
    }
}

/// Makes the networks of an environment beside ahead of its containers. Whatever does not work is done, or told,
/// when these are made.
pub(super) async fn ahead(
    context: &Context,
    engine: &Engine,
    environment: &str,
    branch: &str,
) -> Option<Apart> {
    let apart = Apart::load(context, environment, &called(environment, branch)).ok()?;
    if let Err(failure) = up::make_networks(engine, &apart.subject, &apart.services()).await {
        tracing::debug!(%failure, "no network ahead");
    }
    Some(apart)
}

/// The same command for the branch `name`: where it is the current one nothing changes, else all is done in the
/// environment beside, which `create` makes.
pub async fn context(context: &Context, name: &str, create: bool) -> Result<Context, Failure> {
    let mut branches =
        if create { Branches::change(context).await? } else { Branches::look(context).await? };
    let branch = branches.named(Some(name))?.clone();
    let (environment, stands) = branches.home(&branch);
    if environment == branches.environment {
        return Ok(context.clone());
    }
    if !stands {
        if !create {
            return Err(Failure::new(Kind::Failed, format!("branch `{name}` does not run beside")).hint(
                format!(
                    "`devenv --branch {0} up` starts it, `devenv db branch switch {0}` turns to it",
                    argument(name)
                ),
            ));
        }
        stand(&mut branches, &branch, &environment).await?;
    }
    Ok(apart(context, &branches.environment, &environment))
}

/// The context of an environment beside.
fn apart(context: &Context, base: &str, environment: &str) -> Context {
    let mut apart = context.clone();
    let suffix = environment.strip_prefix(base).unwrap_or(environment).trim_start_matches('-').to_owned();
    apart.choice.project = Some(environment.to_owned());
    apart.choice.apart = Some(suffix);
    apart
}

/// Lets an environment stand on a branch.
async fn stand(branches: &mut Branches<'_>, branch: &Branch, environment: &str) -> Result<Bindings, Failure> {
    let intent = branches.begin("branch beside", json!({ "environment": environment })).await?;
    let bindings = bind::ready(branches, environment, branch.clone()).await?;
    failpoint!("branch:beside:pointed");
    let put_environments = vec![branches.standing(environment, &branch.id)];
    branches.finish(intent, &Changes { put_environments, ..Changes::default() }).await?;
    Ok(bindings)
}

/// Starts the databases of a branch beside its parent; where there are none, all services that have data. What was
/// loaded ahead is used if it is of the right environment.
pub(super) async fn start(
    branches: &mut Branches<'_>,
    branch: &Branch,
    ahead: Option<Apart>,
) -> Result<Beside, Failure> {
    let (environment, stands) = branches.home(branch);
    if environment == branches.environment {
        let database = url::of(branches, branch).await.ok();
        return Ok(Beside { environment, services: Vec::new(), database });
    }
    let bindings = if stands {
        bind::ready(branches, &environment, branch.clone()).await?
    } else {
        stand(branches, branch, &environment).await?
    };
    failpoint!("branch:beside:stands");
    let beside = match ahead.filter(|ahead| ahead.subject.project.name == environment) {
        Some(ahead) => ahead,
        None => Apart::load(branches.context, &branches.environment, &environment)?,
    };
    let services = beside.services();
    up::start_again(&beside.context, &branches.engine, &beside.subject, &services, &bindings).await?;
    let database = url::of(branches, branch).await.ok();
    Ok(Beside { environment, services, database })
}

/// Forgets an environment beside of which the engine has nothing any more.
pub async fn forget(context: &Context, subject: Subject, engine: Engine) -> Result<(), Failure> {
    let mut branches = Branches::of(context, subject, engine).await?;
    let environment = branches.environment.clone();
    forget_in(&mut branches, &environment).await
}

async fn forget_in(branches: &mut Branches<'_>, environment: &str) -> Result<(), Failure> {
    let intent = branches.begin("branch beside", json!({ "environment": environment })).await?;
    branches.pool().await?.ask(Ask::Unpoint { environment: environment.to_owned() }).await?;
    failpoint!("branch:beside:unpointed");
    let remove_environments = vec![(branches.project.id.clone(), environment.to_owned())];
    branches.finish(intent, &Changes { remove_environments, ..Changes::default() }).await
}

/// Takes an environment beside away: containers, networks, volumes (whose content stays in the pool). The caller holds
/// its lock too, so that nobody starts there meanwhile what is taken away.
pub async fn end(branches: &mut Branches<'_>, environment: &str) -> Result<(), Failure> {
    let context = apart(branches.context, &branches.environment, environment);
    let wishes = plan::down::Wishes { volumes: true, remove_orphans: true, ..plan::down::Wishes::default() };
    down::of_environment(&context, &branches.engine, &wishes).await?;
    forget_in(branches, environment).await?;
    branches.context.events.tell(Event::note(format!("environment `{environment}` was taken away")));
    Ok(())
}

impl Context {
    /// Frees a loaded project of what the environment beside which it runs has.
    pub(in crate::ops) fn set_apart(&self, project: &mut crate::compose::Project) {
        let Some(suffix) = &self.choice.apart else { return };
        for moved in plan::beside::set_apart(project, suffix) {
            tracing::debug!(what = moved.what, was = moved.was, is = moved.is, "set apart");
        }
    }
}
