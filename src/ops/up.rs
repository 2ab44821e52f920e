//! `up`: starts the environment. Also home of the hands that carry out every plan on the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;

use super::apply::{Outcome, Perform, Times, apply};
use super::branch::failpoint;
use super::database::Skip;
use super::{Context, Subject, branch, environment, explain, failures, gateway, memory, observe};
use crate::base::{Event, Failure, Kind};
use crate::compose::Project;
use crate::engine::reach::{Reached, Unreached};
use crate::engine::watch::Watch;
use crate::engine::{Bindings, Deployment, Engine, Purpose};
use crate::plan::observed::{Container, State};
use crate::plan::{Act, Cause, Goal, Observed, Plan, Step, images, labels, up};
use crate::postgres;
use crate::supabase::Stack;

/// The options of `up`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Services named; none means all.
    pub services: Vec<String>,
    /// Leave dependencies alone.
    pub no_deps: bool,
    /// When containers are replaced.
    pub recreate: up::Recreate,
    /// `--build` or `--no-build`.
    pub build: Option<bool>,
    /// `--pull`.
    pub pull: Option<String>,
    /// Make containers but do not start them.
    pub no_start: bool,
    /// Remove containers that no service owns.
    pub remove_orphans: bool,
    /// New anonymous volumes for replaced containers.
    pub renew_anonymous_volumes: bool,
    /// How long a container may take to stop.
    pub grace: Option<Duration>,
    /// End when every service is ready.
    pub wait: bool,
    /// How long to wait for that.
    pub wait_timeout: Duration,
    /// `--scale SERVICE=N`.
    pub scale: BTreeMap<String, i64>,
    /// Leave migrations out.
    pub no_migrate: bool,
    /// Leave seeds out.
    pub no_seed: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What `up` did or would do.
#[derive(Debug)]
pub struct Done {
    /// What was subject.
    pub subject: Subject,
    /// Where it was done.
    pub engine: Engine,
    /// The steps.
    pub plan: Plan,
    /// The containers that it replaces, and why.
    pub replaced: Vec<explain::Replaced>,
    /// How long each service took to be ready; those that nothing was done to are not there.
    pub times: Times,
    /// The context from here on, where the environment has another port than before: somebody was faster.
    pub moved: Option<Context>,
}

/// Starts the environment.
pub async fn up(context: &Context, options: &Options) -> Result<Done, Failure> {
    let failure = match once(context, options).await {
        Err(failure) if failure.kind == Kind::Conflict && !options.dry_run => failure,
        other => return other,
    };
    // A port that devenv chose may be another one, once.
    match environment::make::with_other_ports(context).await? {
        Some(moved) => Ok(Done { moved: Some(moved.clone()), ..once(&moved, options).await? }),
        None => Err(failure),
    }
}

async fn once(context: &Context, options: &Options) -> Result<Done, Failure> {
    let engine = context.engine().await?;
    let mut subject = context.subject_with_images(&engine, &options.services).await?;
    for (name, replicas) in &options.scale {
        let Some(service) = subject.project.services.get_mut(name) else {
            return Err(failures::no_service(name, &subject.project));
        };
        service.scale = Some(*replicas);
    }
    let _lock = if options.dry_run { None } else { Some(context.lock(&subject.project.name).await?) };
    let recovered =
        if options.dry_run { None } else { branch::recover::first(context, &engine, &subject).await? };
    let mut observed = observe(&engine, &subject.project).await?;
    let wishes = up::Wishes { prepare: database_service(&subject, options), ..wishes(options) };
    if !options.dry_run {
        observed = refresh_images(context, &engine, &subject, observed, &wishes).await?;
    }
    explain::compare(&engine, &subject, &mut observed).await;
    let mut plan = up::plan(&subject.project, &observed, &wishes)?;
    super::support::refuse(&subject, &engine)?;
    let replaced = explain::replaced(&plan, &observed);
    if options.dry_run {
        return Ok(Done { subject, engine, plan, replaced, times: Times::new(), moved: None });
    }
    let skip = Skip { migrations: options.no_migrate, seeds: options.no_seed };
    // What runs has its data; only what is made or started asks where it is.
    let bound = if plan.is_empty() {
        branch::bind::Bound::default()
    } else {
        branch::bind::bind(context, &engine, &subject, &observed, recovered).await?
    };
    if bound.changed {
        observed = observe(&engine, &subject.project).await?;
        plan = up::plan(&subject.project, &observed, &wishes)?;
    }
    let hands = Hands::new(context, engine.clone(), &subject, &observed, options.wait_timeout)
        .preparing(subject.stack.clone(), skip)
        .bound(bound.bindings);
    hands.is_possible(&plan).await?;
    let running = gateway::running(context, &engine).await;
    if let Some(gateway) = running.as_ref().filter(|_| !plan.is_empty()) {
        gateway::release(context, gateway, &subject.project.name).await;
    }
    memory::make_room(context, &engine, &subject, &observed, &plan, running.as_ref()).await?;
    let gateway = gateway::ensure(context, &engine, &subject.project, running);
    let (times, gateway) = tokio::join!(apply(&plan, &hands, &context.events), gateway);
    let times = match times {
        Err(failure) if failure.kind == Kind::Conflict => {
            let here = context.engine_is_here();
            return Err(super::ports::was_taken(&engine, &subject.project, &plan, here, failure).await);
        }
        other => other?,
    };
    if let Some(gateway) = gateway {
        let branch = branch::current_name(context, &engine, subject.clone()).await;
        gateway::announce(context, &gateway, branch.as_deref()).await;
        gateway::declare(context, &gateway, &subject.project).await;
    }
    if options.wait {
        hands.all_still_run(&times).await?;
    }
    Ok(Done { subject, engine, plan, replaced, times, moved: None })
}

/// Starts services as `up` does, without what they depend on, on the data that they are bound to. The caller holds
/// the environment's lock, or nobody else knows the environment yet.
pub(super) async fn start_again(
    context: &Context,
    engine: &Engine,
    subject: &Subject,
    services: &[String],
    bindings: &Bindings,
) -> Result<(), Failure> {
    let observed = observe(engine, &subject.project).await?;
    let options = Options {
        services: services.to_vec(),
        no_deps: true,
        wait: true,
        ..Options::for_run("", true, false, PATIENCE)
    };
    let plan = up::plan(&subject.project, &observed, &wishes(&options))?;
    let hands =
        Hands::new(context, engine.clone(), subject, &observed, PATIENCE).bound(bindings.clone()).soon();
    hands.is_possible(&plan).await?;
    apply(&plan, &hands, &context.events).await.map(|_| ())
}

/// Makes the networks that services need and that are not there.
pub(super) async fn make_networks(
    engine: &Engine,
    subject: &Subject,
    services: &[String],
) -> Result<(), Failure> {
    let project = &subject.project;
    let observed = observe(engine, project).await?;
    let wanted: BTreeSet<&String> = services
        .iter()
        .filter_map(|name| project.services.get(name))
        .flat_map(|service| service.networks.keys())
        .collect();
    for key in wanted {
        let Some(network) = project.networks.get(key) else { continue };
        if !network.external && !observed.networks.iter().any(|there| there.name == network.name) {
            let made = engine.create_network(project, key).await;
            made.map_err(|error| failures::network(&network.name, error))?;
        }
    }
    Ok(())
}

/// How long a database is asked by us alone, before its own health check is asked as well.
const ASKED: Duration = Duration::from_secs(2);

/// How long services that are started again may take to be ready.
const PATIENCE: Duration = Duration::from_mins(5);

/// The service whose database is to be prepared, unless nothing of it is wanted.
fn database_service(subject: &Subject, options: &Options) -> Option<String> {
    let wanted = !(options.no_start || (options.no_migrate && options.no_seed));
    subject.stack.as_ref().filter(|_| wanted).map(|stack| stack.database.service.clone())
}

impl Options {
    /// What the dependencies of a one-off container need.
    #[must_use]
    pub fn for_run(service: &str, no_deps: bool, build: bool, wait_timeout: Duration) -> Self {
        Self {
            services: vec![service.to_owned()],
            no_deps,
            recreate: up::Recreate::Diverged,
            build: build.then_some(true),
            pull: None,
            no_start: false,
            remove_orphans: false,
            renew_anonymous_volumes: false,
            grace: None,
            wait: false,
            wait_timeout,
            scale: BTreeMap::new(),
            no_migrate: false,
            no_seed: false,
            dry_run: false,
        }
    }
}

/// What is planned before a one-off container of `service` can be made.
pub(super) fn plan_for_run(
    project: &Project,
    observed: &Observed,
    service: &str,
    options: &Options,
) -> Result<Plan, Failure> {
    let wishes = up::Wishes { one_off: Some(service.to_owned()), ..wishes(options) };
    up::plan(project, observed, &wishes)
}

fn wishes(options: &Options) -> up::Wishes {
    up::Wishes {
        targets: options.services.clone(),
        no_deps: options.no_deps,
        recreate: options.recreate,
        no_start: options.no_start,
        remove_orphans: options.remove_orphans,
        renew_anonymous_volumes: options.renew_anonymous_volumes,
        grace: options.grace,
        wait: options.wait,
        prepare: None,
        one_off: None,
        images: images::Wishes { build: options.build, pull: options.pull.clone(), now: SystemTime::now() },
    }
}

/// Whether a container has to be replaced can depend on an image that is yet to be built or pulled. Where
/// a service with containers is concerned, images come first, and the plan is made with what they became.
async fn refresh_images(
    context: &Context,
    engine: &Engine,
    subject: &Subject,
    mut observed: Observed,
    wishes: &up::Wishes,
) -> Result<Observed, Failure> {
    let order = up::order(&subject.project, &wishes.targets, wishes.no_deps);
    let existing: Vec<String> =
        order.services.into_iter().filter(|name| observed.of_service(name).next().is_some()).collect();
    let mut plan = Plan::default();
    images::add_steps(&mut plan, &subject.project, &existing, &observed.images, &wishes.images)?;
    if plan.is_empty() {
        return Ok(observed);
    }
    let hands = Hands::new(context, engine.clone(), subject, &observed, Duration::MAX);
    apply(&plan, &hands, &context.events).await?;
    observed.images =
        engine.images(&super::scope(&subject.project).images).await.map_err(failures::engine)?;
    Ok(observed)
}

/// Carries out steps on the engine.
pub struct Hands<'a> {
    context: &'a Context,
    engine: Engine,
    deployment: Deployment,
    watch: Watch,
    wait_timeout: Duration,
    /// What [`Act::Prepare`] works on.
    stack: Option<(Stack, Skip)>,
    /// Whether health checks are asked without waiting for the engine's intervals.
    soon: bool,
    /// The databases, which can be asked themselves.
    databases: Vec<branch::url::Server>,
}

impl<'a> Hands<'a> {
    /// For a project that was subject.
    #[must_use]
    pub fn new(
        context: &'a Context,
        engine: Engine,
        subject: &Subject,
        observed: &Observed,
        wait_timeout: Duration,
    ) -> Self {
        let mut deployment = Deployment::new(
            subject.project.clone(),
            subject.files.clone(),
            subject.env_files.clone(),
            observed,
        );
        if let Some((project, environment)) = gateway::place(context) {
            deployment.place = vec![(labels::GATEWAY_PROJECT, project), (labels::ENVIRONMENT, environment)];
        }
        let watch = engine.watch(&subject.project.name);
        Self {
            context,
            engine,
            deployment,
            watch,
            wait_timeout,
            stack: None,
            soon: false,
            databases: branch::url::databases(subject),
        }
    }

    /// Lets it prepare the database of a stack.
    #[must_use]
    fn preparing(mut self, stack: Option<Stack>, skip: Skip) -> Self {
        self.stack = stack.map(|stack| (stack, skip));
        self
    }

    /// Asks health checks without waiting for the engine's intervals.
    #[must_use]
    pub(super) fn soon(mut self) -> Self {
        self.soon = true;
        self
    }

    /// Binds volumes that it makes to data of a branch.
    #[must_use]
    fn bound(mut self, bindings: Bindings) -> Self {
        self.deployment.bindings = bindings;
        self
    }

    /// What the steps share.
    pub(super) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    async fn start(&self, target: &crate::plan::Target) -> Result<Outcome, Failure> {
        failpoint!("up:start");
        self.engine
            .start(target.handle())
            .await
            .map_err(|error| failures::step("started", &target.name, error))?;
        let service = self.deployment.project.services.get(&target.service);
        for hook in service.iter().flat_map(|service| &service.post_start) {
            self.engine
                .hook(target.handle(), hook)
                .await
                .map_err(|error| failures::step("made ready by its post_start hook", &target.name, error))?;
        }
        Ok(Outcome::Done("started"))
    }

    async fn before_stop(&self, target: &crate::plan::Target) {
        let service = self.deployment.project.services.get(&target.service);
        for hook in service.iter().flat_map(|service| &service.pre_stop) {
            if let Err(error) = self.engine.hook(target.handle(), hook).await {
                self.context.events.tell(Event::warning(format!(
                    "the pre_stop hook of container {} failed: {error}",
                    target.name
                )));
            }
        }
    }

    async fn reach(&self, service: &str, goal: Goal, cause: &Cause) -> Result<&'static str, Failure> {
        let needed_by = match cause {
            Cause::NeededBy(other) => Some(other.as_str()),
            _ => None,
        };
        let mut word = "ready";
        for (id, name) in self.deployment.containers_of(service) {
            let failed = |why: &Unreached| failures::unreached(service, &name, goal, why, needed_by);
            // Whoever starts a process to ask takes time from the server that is asked.
            let patience = if self.can_be_asked(service) { ASKED } else { Duration::ZERO };
            let reach = async {
                if !self.soon {
                    return self.engine.reach(&self.watch, &id, goal).await;
                }
                tokio::select! {
                    reached = self.engine.reach_soon(&self.watch, &id, goal, patience) => reached,
                    () = self.answers(service), if matches!(goal, Goal::Ready | Goal::Healthy) => {
                        Ok(Ok(Reached::Healthy))
                    }
                }
            };
            let reached = match tokio::time::timeout(self.wait_timeout, reach).await {
                Ok(reached) => reached.map_err(|error| failures::step("waited for", &name, error))?,
                Err(_) => {
                    let why = self.engine.explain_delay(&id).await.map_err(failures::engine)?;
                    let seconds = self.wait_timeout.as_secs_f64();
                    return Err(
                        failed(&why).hint(format!("{seconds} s were waited; --wait-timeout gives it longer"))
                    );
                }
            };
            word = match reached.map_err(|why| failed(&why))? {
                Reached::Healthy => "healthy",
                Reached::Running => "running",
                Reached::Completed => "completed",
            };
        }
        Ok(word)
    }
}

impl Hands<'_> {
    /// Whether a service is a database that can be asked on this machine.
    fn can_be_asked(&self, service: &str) -> bool {
        let published = |port: u16| {
            let ports = self.deployment.project.services.get(service).map(|service| &service.ports);
            ports.is_some_and(|ports| ports.iter().any(|it| it.target == u64::from(port)))
        };
        self.databases.iter().any(|server| server.service == service && published(server.port))
    }

    /// Ends when the database that a service is answers on this machine; never for any other service.
    async fn answers(&self, service: &str) {
        let Some(server) = self.databases.iter().find(|server| server.service == service) else {
            return std::future::pending().await;
        };
        loop {
            let containers = self.engine.containers(&self.deployment.project.name).await.unwrap_or_default();
            let running = containers.iter().find(|c| c.service() == service && c.state.is_up());
            let address = running.and_then(|container| branch::url::address(server.clone(), container).ok());
            if let Some(address) = address
                && postgres::connect(&address.target(), PATIENCE).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A service without a health check counts as ready the moment it runs; one that has ended badly since
    /// was not ready.
    async fn all_still_run(&self, worked_on: &Times) -> Result<(), Failure> {
        let project = &self.deployment.project.name;
        let containers = self.engine.containers(project).await.map_err(failures::engine)?;
        let ended = |state| matches!(state, State::Exited(code) if code != 0) || state == State::Restarting;
        let services: BTreeSet<&str> = containers
            .iter()
            .filter(|c| ended(c.state) && !c.is_one_off() && worked_on.contains_key(c.service()))
            .map(Container::service)
            .collect();
        let looks = services.into_iter().map(|name| self.reach(name, Goal::Ready, &Cause::WaitForAll));
        let failures: Vec<Failure> = join_all(looks).await.into_iter().filter_map(Result::err).collect();
        if failures.is_empty() { Ok(()) } else { Err(Failure::all(failures)) }
    }
}

impl Perform for Hands<'_> {
    async fn perform(&self, step: &Step) -> Result<Outcome, Failure> {
        let engine = &self.engine;
        let deployment = &self.deployment;
        let project = &deployment.project;
        let done = match &step.act {
            Act::CreateNetwork { key, name } => {
                let made = engine.create_network(project, key).await;
                made.map_err(|error| failures::network(name, error)).map(|()| "created")
            }
            Act::RemoveNetwork { name, id } => {
                let removed = engine.remove_network(id).await;
                removed.map_err(|error| failures::network(name, error)).map(|()| "removed")
            }
            Act::CreateVolume { key, name } => {
                let made = engine.create_volume(deployment, key).await;
                made.map_err(|error| failures::volume(name, error)).map(|()| "created")
            }
            Act::RemoveVolume { name } => {
                let removed = engine.remove_volume(name).await;
                removed.map_err(|error| failures::volume(name, error)).map(|()| "removed")
            }
            Act::RemoveImage { image } => {
                engine.remove_image(image).await.map_err(failures::engine).map(|()| "removed")
            }
            Act::Pull { image, service } => {
                super::images::pull(self.context, engine, deployment, image, service).await.map(|()| "pulled")
            }
            Act::Build { image, service } => {
                super::images::build(self.context, engine, deployment, image, service).await.map(|()| "built")
            }
            Act::Create { target, number, replaces, inherit } => {
                let purpose =
                    Purpose { number: *number, replaces: replaces.as_deref(), inherit, ..Purpose::default() };
                let service = &project.services[&target.service];
                engine
                    .create_container(deployment, &target.service, service, &target.name, &purpose)
                    .await
                    .map_err(|error| failures::step("created", &target.name, error))
                    .map(|made| {
                        self.context.pass_on(&target.name, &made);
                        "created"
                    })
            }
            Act::Rename { target, to } => {
                let renamed = engine.rename(target, to).await;
                renamed.map_err(|error| failures::step("renamed", &target.name, error)).map(|()| "renamed")
            }
            Act::Start { target } => return self.start(target).await,
            Act::Stop { target, grace } => {
                self.before_stop(target).await;
                let stopped = engine.stop(target.handle(), *grace).await;
                stopped.map_err(|error| failures::step("stopped", &target.name, error)).map(|()| "stopped")
            }
            Act::Restart { target, grace } => {
                self.before_stop(target).await;
                let restarted = engine.restart(target.handle(), *grace).await;
                restarted
                    .map_err(|error| failures::step("restarted", &target.name, error))
                    .map(|()| "restarted")
            }
            Act::Kill { target, signal } => {
                let killed = engine.kill(target.handle(), signal).await;
                killed.map_err(|error| failures::step("signalled", &target.name, error)).map(|()| "signalled")
            }
            Act::Pause { target } => {
                let paused = engine.pause(target.handle()).await;
                paused.map_err(|error| failures::step("paused", &target.name, error)).map(|()| "paused")
            }
            Act::Unpause { target } => {
                let resumed = engine.unpause(target.handle()).await;
                resumed.map_err(|error| failures::step("unpaused", &target.name, error)).map(|()| "running")
            }
            Act::Remove { target, volumes } => {
                let removed = engine.remove_container(target.handle(), *volumes).await;
                removed.map_err(|error| failures::step("removed", &target.name, error)).map(|()| "removed")
            }
            Act::Await { service, goal, required } => match self.reach(service, *goal, &step.cause).await {
                Err(failure) if !required && failure.kind == Kind::Unhealthy => {
                    return Ok(Outcome::Excused(format!("{failure}; it is not required")));
                }
                other => other,
            },
            Act::Prepare { .. } => self.prepare().await.map(|()| "up to date"),
        };
        done.map(Outcome::Done)
    }
}

impl Hands<'_> {
    async fn prepare(&self) -> Result<(), Failure> {
        let Some((stack, skip)) = &self.stack else { return Ok(()) };
        let project = &self.deployment.project;
        super::database::prepare_database(self.context, &self.engine, project, stack, *skip).await
    }

    /// Fails when a container of the plan would find its port taken, or a file or a variable missing.
    pub(super) async fn is_possible(&self, plan: &Plan) -> Result<(), Failure> {
        let here = self.context.engine_is_here();
        super::inputs::are_there(&self.deployment.project, plan, here)?;
        super::ports::are_free(&self.engine, &self.deployment.project, plan, here).await
    }
}
