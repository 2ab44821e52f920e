//! A branch that runs beside its parent: an environment of its own, with its own containers, network and ports.

use std::collections::BTreeMap;

use serde_json::json;

use super::url::{self, Address};
use super::{Branches, bind, failpoint};
use crate::base::shell::argument;
use crate::base::{Event, Failure, Kind};
use crate::compose::project::Service;
use crate::engine::{Bindings, Engine};
use crate::lineage::{Branch, Changes, names};
use crate::ops::{self, Context, Subject, down, up};
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
        let name = called(self.base(), &branch.name);
        let taken = self.lineage.environment(&name).is_some();
        (if taken { format!("{name}-{}", &branch.id[..6]) } else { name }, false)
    }

    /// The compose project itself, which other environments are named after.
    #[must_use]
    pub fn base(&self) -> &str {
        match (&self.context.choice.apart, &self.context.standing) {
            (Some(_), Some(standing)) => &standing.base,
            _ => &self.environment,
        }
    }

    /// The ports that an environment has instead of those that the file fixes.
    #[must_use]
    pub fn ports(&self, environment: &str) -> BTreeMap<String, u16> {
        self.lineage.environment(environment).map(|it| it.ports.clone()).unwrap_or_default()
    }
}

/// What the environment beside a compose project is called that is made for a branch, of the data or of git.
fn called(base: &str, branch: &str) -> String {
    named(base, &names::slug(branch))
}

/// The compose project's name of the environment with this label.
#[must_use]
pub fn named(base: &str, label: &str) -> String {
    format!("{}-{label}", head(base))
}

/// What stands before the label in the names of a project's environments.
fn head(base: &str) -> String {
    if base.len() <= LONGEST { base.to_owned() } else { names::slug(base) }
}

/// The label in the name of an environment; none for the compose project itself and for what is not its own.
#[must_use]
pub fn label<'a>(base: &str, environment: &'a str) -> Option<&'a str> {
    environment.strip_prefix(&head(base))?.strip_prefix('-').filter(|label| !label.is_empty())
}

/// The project as an environment beside has it.
pub(in crate::ops) struct Apart {
    pub(super) context: Context,
    pub(super) subject: Subject,
}

impl Apart {
    pub(super) fn load(
        context: &Context,
        base: &str,
        environment: &str,
        ports: BTreeMap<String, u16>,
    ) -> Result<Self, Failure> {
        let context = apart(context, base, environment, ports);
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
pub(super) async fn ahead(context: &Context, engine: &Engine, base: &str, branch: &str) -> Option<Apart> {
    let apart = Apart::load(context, base, &called(base, branch), BTreeMap::new()).ok()?;
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
    let ports = branches.ports(&environment);
    Ok(apart(context, branches.base(), &environment, ports))
}

/// The context of an environment beside.
pub fn apart(context: &Context, base: &str, environment: &str, ports: BTreeMap<String, u16>) -> Context {
    let mut apart = context.clone();
    let suffix = label(base, environment).unwrap_or(environment).to_owned();
    if let Some(standing) = &mut apart.standing {
        environment.clone_into(&mut standing.name);
        standing.label.clone_from(&suffix);
    }
    apart.choice.project = Some(environment.to_owned());
    apart.choice.apart = Some(ops::Apart { suffix, ports });
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
pub(in crate::ops) async fn start(
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
        None => {
            let ports = branches.ports(&environment);
            Apart::load(branches.context, branches.base(), &environment, ports)?
        }
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
    let context = apart(branches.context, branches.base(), environment, BTreeMap::new());
    let wishes = plan::down::Wishes { volumes: true, remove_orphans: true, ..plan::down::Wishes::default() };
    down::of_environment(&context, &branches.engine, &wishes).await?;
    forget_in(branches, environment).await?;
    branches.context.events.tell(Event::note(format!("environment `{environment}` was taken away")));
    Ok(())
}

impl Context {
    /// Frees a loaded project of what the environment beside which it runs has.
    pub(in crate::ops) fn set_apart(&self, project: &mut crate::compose::Project) {
        let Some(apart) = &self.choice.apart else { return };
        for moved in plan::beside::set_apart(project, &apart.suffix, &apart.ports) {
            tracing::debug!(what = moved.what, was = moved.was, is = moved.is, "set apart");
        }
    }
}
