//! `db branch switch`: the services go on, on other data. Their containers stay as they are: what they mount leads
//! through one link in the pool, which is turned while those that have it mounted are stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bind::{self, Stale};
use super::{Branches, failpoint, now, url};
use crate::base::{Failure, Kind};
use crate::catalogue::IntentId;
use crate::lineage::{Branch, Changes};
use crate::ops::apply::apply;
use crate::ops::up::Hands;
use crate::ops::{Context, failures, up};
use crate::plan::observed::Container;
use crate::plan::turn::{self, Turn};
use crate::plan::{Observed, Order, down};
use crate::storage::protocol::Ask;

/// How long services may take to be ready on their new data.
const PATIENCE: Duration = Duration::from_mins(5);

/// The step of an intent while services may still have the data before mounted, whatever the link leads to.
pub(super) const STOPPING: &str = "stopping";
/// From here on none has.
const POINTED: &str = "pointed";

/// What became of the services that go first.
enum Lead {
    /// They run on the other data.
    On,
    /// The link leads to the other data, and they did not become ready.
    Ill,
    /// Their volumes have to be made again, when all services are stopped.
    Stale,
    /// The link could not be turned.
    Refused(Failure),
}

/// Services that were turned to another branch.
#[derive(Debug, Clone)]
pub struct Turned {
    /// The branch that they work on now.
    pub branch: Branch,
    /// The services that were stopped and started for it.
    pub services: Vec<String>,
    /// How long that took.
    pub took: Duration,
}

/// Turns the environment to the branch with this name; `-` is the one before.
pub async fn switch(context: &Context, name: &str) -> Result<Turned, Failure> {
    let mut branches = Branches::change(context).await?;
    let branch = if name == "-" {
        let environment = branches.lineage.environments.get(&branches.environment);
        let previous = environment.and_then(|environment| environment.previous.clone());
        let previous =
            previous.and_then(|id| branches.lineage.ready().find(|branch| branch.id == id).cloned());
        previous.ok_or_else(|| {
            Failure::new(Kind::Failed, "there is no branch before this one")
                .hint("`devenv db branch list` shows those that there are")
        })?
    } else {
        branches.named(Some(name))?.clone()
    };
    let turned = branches.turn_to(&branch).await?;
    branches.tell_gateway().await;
    Ok(turned)
}

impl Branches<'_> {
    /// Turns the environment to a branch.
    pub async fn turn_to(&mut self, branch: &Branch) -> Result<Turned, Failure> {
        let began = Instant::now();
        if self.lineage.current(&self.environment).is_some_and(|current| current.id == branch.id) {
            return Ok(Turned { branch: branch.clone(), services: Vec::new(), took: began.elapsed() });
        }
        let detail = json!({ "environment": self.environment, "to": branch.id });
        let intent = self.begin("branch switch", detail.clone()).await?;
        failpoint!("branch:switch:begun");
        let mut branch = Branch { used: now(), ..branch.clone() };
        self.complete(&mut branch).await?;
        let environment = self.standing(&self.environment, &branch.id);
        let changes = Changes {
            put_branches: vec![branch.clone()],
            put_environments: vec![environment],
            ..Changes::default()
        };
        let services = self.on_other_data(intent, detail, &branch.data.clone(), changes).await?;
        Ok(Turned { branch, services, took: began.elapsed() })
    }

    /// Stops the services that have the environment's data mounted, lets the link lead to other data, writes that
    /// down, and starts them again. Says which they were.
    pub async fn on_other_data(
        &mut self,
        intent: IntentId,
        mut detail: Value,
        data: &str,
        changes: Changes,
    ) -> Result<Vec<String>, Failure> {
        let workers = self.workers_of(&self.environment).await?;
        let running: Vec<Container> = workers
            .into_iter()
            .filter(|container| container.state.is_up() && !container.is_one_off())
            .collect();
        let mut services: Vec<String> = running.iter().map(|worker| worker.service().to_owned()).collect();
        services.sort();
        services.dedup();
        detail["services"] = json!(services);
        self.advance(intent, STOPPING, &detail).await?;
        // In the end the others wait for the databases; so these go on without waiting for the others to stop.
        let databases = self.databases();
        let (databases, others): (Vec<String>, Vec<String>) =
            services.iter().cloned().partition(|service| databases.contains(service));
        let (first, rest) = if databases.is_empty() { (others, databases) } else { (databases, others) };
        let (first, stopped) =
            tokio::join!(self.lead(&running, &first, data), self.turn(&running, &rest, &Turn::Stop));
        let first = first?;
        stopped?;
        if matches!(first, Lead::On | Lead::Ill) {
            self.advance(intent, POINTED, &detail).await?;
        }
        let started = match first {
            Lead::On => self.turn(&[], &rest, &Turn::Start).await,
            // Maybe it needs one of the others.
            Lead::Ill => self.turn(&[], &services, &Turn::Start).await,
            Lead::Stale => {
                if let Err(failure) = self.renew(data).await {
                    self.make_again(&services).await?;
                    self.abandon(intent).await?;
                    return Err(failure);
                }
                self.advance(intent, POINTED, &detail).await?;
                self.make_again(&services).await
            }
            Lead::Refused(failure) => {
                self.turn(&[], &services, &Turn::Start).await?;
                self.abandon(intent).await?;
                return Err(failure);
            }
        };
        self.finish(intent, &changes).await?;
        failpoint!("branch:switch:committed");
        started?;
        Ok(services)
    }

    /// Stops services, lets the link lead to other data, and starts them again, unless their volumes are not fit for it.
    async fn lead(&self, running: &[Container], services: &[String], data: &str) -> Result<Lead, Failure> {
        let (stopped, stale) = tokio::join!(self.turn(running, services, &Turn::Stop), bind::has_stale(self));
        stopped?;
        failpoint!("branch:switch:stopped");
        if stale? {
            return Ok(Lead::Stale);
        }
        if let Err(failure) = self.point(data).await {
            return Ok(Lead::Refused(failure));
        }
        failpoint!("branch:switch:pointed");
        let started = self.turn(&[], services, &Turn::Start).await;
        Ok(if started.is_ok() { Lead::On } else { Lead::Ill })
    }

    /// Takes away volumes that were bound while another keeper had the pool mounted, and lets the link lead to other
    /// data. The services are stopped.
    async fn renew(&self, data: &str) -> Result<(), Failure> {
        if let Stale::Held(volume) = bind::forget_stale(self).await? {
            return Err(Failure::new(
                Kind::Conflict,
                format!("the engine holds `{volume}` mounted on the data of the branch before, and does not let it go"),
            )
            .hint("start the engine again (`sudo systemctl restart docker`), then do this again")
            .hint("Docker 20.10 does so when a container of `restart: always` could not start while the engine came up"));
        }
        self.point(data).await?;
        failpoint!("branch:switch:pointed");
        Ok(())
    }

    /// Lets the link lead to other data; where that fails, it leads where it led.
    async fn point(&self, data: &str) -> Result<(), Failure> {
        let ask = Ask::Point { environment: self.environment.clone(), id: data.to_owned() };
        self.pool().await?.ask(ask).await.map(|_| ())
    }

    /// The services that are databases.
    fn databases(&self) -> BTreeSet<String> {
        url::databases(&self.subject).into_iter().map(|database| database.service).collect()
    }

    /// Makes containers of services again, on volumes bound to what the link leads to now, and starts them.
    async fn make_again(&self, services: &[String]) -> Result<(), Failure> {
        let pool = self.pool().await?;
        let bindings = pool.bindings(&self.environment, self.data.volumes.keys());
        up::start_again(self.context, &self.engine, &self.subject, services, &bindings).await
    }

    /// Stops or starts services of the environment that have its data mounted, all at once; but databases start before
    /// the others, since those wait for them, and the engine starts one container sooner than two. A service that
    /// cannot be started before another one is there is started again after it.
    pub async fn turn(
        &self,
        containers: &[Container],
        services: &[String],
        turn: &Turn,
    ) -> Result<(), Failure> {
        if services.is_empty() {
            return Ok(());
        }
        let mut databases = self.databases();
        databases.retain(|name| services.contains(name));
        let needs = |service: &String| {
            if *turn == Turn::Start && !databases.contains(service) {
                databases.clone()
            } else {
                BTreeSet::new()
            }
        };
        let needs: BTreeMap<String, BTreeSet<String>> =
            services.iter().map(|service| (service.clone(), needs(service))).collect();
        let at_once = Order::from_edges(needs, &[], true);
        let mut observed = Observed { containers: containers.to_vec(), ..Observed::default() };
        if *turn == Turn::Start {
            observed.containers =
                self.engine.containers(&self.environment).await.map_err(failures::engine)?;
        }
        match self.turn_in(&at_once, &observed, services, turn).await {
            Err(failure) if *turn == Turn::Start && failure.kind == Kind::Unhealthy => {
                observed.containers =
                    self.engine.containers(&self.environment).await.map_err(failures::engine)?;
                let ordered = down::order(Some(&self.subject.project), &observed);
                self.turn_in(&ordered, &observed, services, turn).await
            }
            other => other,
        }
    }

    async fn turn_in(
        &self,
        order: &Order,
        observed: &Observed,
        services: &[String],
        turn: &Turn,
    ) -> Result<(), Failure> {
        let plan = turn::plan(observed, order, services, turn, None, *turn == Turn::Start);
        let hands = Hands::new(self.context, self.engine.clone(), &self.subject, observed, PATIENCE).soon();
        apply(&plan, &hands, &self.context.events).await.map(|_| ())
    }
}
