//! From what is there to what the compose file wants.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use crate::base::{Failure, Kind};
use crate::compose;
use crate::compose::project::{Project, Service};
use crate::plan::observed::{Container, Network, Observed, State};
use crate::plan::{Act, Cause, Goal, Order, Plan, Target, images, labels, names};

/// What the command line of `up` says.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Services named; none means all.
    pub targets: Vec<String>,
    /// Leave the dependencies of the named services alone.
    pub no_deps: bool,
    /// When a container is replaced.
    pub recreate: Recreate,
    /// Make containers but do not start them.
    pub no_start: bool,
    /// Remove containers that no service owns.
    pub remove_orphans: bool,
    /// Replaced containers get new anonymous volumes.
    pub renew_anonymous_volumes: bool,
    /// How long a container may take to stop, instead of its own grace period.
    pub grace: Option<Duration>,
    /// End when every service is ready.
    pub wait: bool,
    /// The service whose database gets migrations and seeds before its dependents start.
    pub prepare: Option<String>,
    /// The service that `run` makes a container of its own for: all that it needs is planned, itself not.
    pub one_off: Option<String>,
    /// What it says about images.
    pub images: images::Wishes,
}

/// When a container is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recreate {
    /// When its configuration or its image is another one now.
    #[default]
    Diverged,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The services that a command on `targets` concerns, dependencies first.
#[must_use]
pub fn order(project: &Project, targets: &[String], no_deps: bool) -> Order {
    Order::of(project, targets, !no_deps)
}

/// What has to be done.
pub fn plan(project: &Project, observed: &Observed, wishes: &Wishes) -> Result<Plan, Failure> {
    let order = order(project, &wishes.targets, wishes.no_deps);
    let mut plan = Plan::default();
    let images = images::add_steps(&mut plan, project, &order.services, &observed.images, &wishes.images)?;
    let mut work = Work {
        project,
        observed,
        wishes,
        images,
        plan,
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        created: BTreeMap::new(),
        started: BTreeMap::new(),
        replaced: BTreeSet::new(),
        awaited: BTreeMap::new(),
        prepared: None,
    };
    // Images come first: one that cannot be had leaves no network or volume behind.
    work.plan_networks(&order)?;
    work.plan_volumes(&order)?;
    for name in &order.services {
        if wishes.one_off.as_ref() == Some(name) {
            work.conditions(name, &project.services[name]);
        } else {
            work.plan_service(name, &order)?;
        }
    }
    if wishes.wait && !wishes.no_start {
        work.wait_for_all(&order);
    }
    work.plan_orphans();
    Ok(work.plan)
}

/// How far a network is from what is wanted, and the step that makes it so.
enum NetworkState {
    /// It is as wanted, once these steps have removed others of its name.
    Kept { id: String, after: Vec<usize> },
    /// This step makes it.
    Made(usize),
    /// It has to be removed and made again; the containers on it go first, and this step comes last.
    Remade { old: Vec<Network>, step: Option<usize> },
}

struct Work<'a> {
    project: &'a Project,
    observed: &'a Observed,
    wishes: &'a Wishes,
    images: BTreeMap<String, usize>,
    plan: Plan,
    networks: BTreeMap<String, NetworkState>,
    volumes: BTreeMap<String, usize>,
    /// Steps after which the containers of a service exist.
    created: BTreeMap<String, Vec<usize>>,
    /// Steps after which they have been started; empty when they were already up.
    started: BTreeMap<String, Vec<usize>>,
    /// Services of which a container is replaced or started anew.
    replaced: BTreeSet<String>,
    awaited: BTreeMap<(String, Goal), usize>,
    prepared: Option<usize>,
}

/// Containers of one service, sorted out.
struct Crew<'a> {
    /// The one that counts, by number.
    kept: BTreeMap<u32, &'a Container>,
    /// Containers that a killed command left behind.
    left_behind: Vec<&'a Container>,
    /// Containers that only lack their final name.
    unnamed: Vec<(&'a Container, String)>,
}

impl<'a> Work<'a> {
    // ── networks and volumes ────────────────────────────────────────────────────────────────────────────

    fn plan_networks(&mut self, order: &Order) -> Result<(), Failure> {
        let project = self.project;
        let used: BTreeSet<&String> =
            order.services.iter().flat_map(|name| project.services[name].networks.keys()).collect();
        for key in used {
            let Some(wanted) = project.networks.get(key) else { continue };
            let found: Vec<&Network> =
                self.observed.networks.iter().filter(|network| network.name == wanted.name).collect();
            if wanted.external {
                // An external network may also be named by its id.
                let by_id = || self.observed.networks.iter().find(|network| network.id == wanted.name);
                let network = found.first().copied().or_else(by_id);
                let Some(network) = network else {
                    if ["host", "none", "bridge", "default"].contains(&wanted.name.as_str()) {
                        continue;
                    }
                    return Err(Failure::new(
                        Kind::Failed,
                        format!("network `{}` is declared as external, but could not be found", wanted.name),
                    )
                    .hint(format!(
                        "make it with `docker network create {}`, or take `external` away",
                        wanted.name
                    )));
                };
                self.networks
                    .insert(key.clone(), NetworkState::Kept { id: network.id.clone(), after: Vec::new() });
                continue;
            }
            let ours: Vec<&Network> = found
                .iter()
                .copied()
                .filter(|network| network.labels.get(labels::PROJECT) == Some(&project.name))
                .collect();
            if ours.is_empty()
                && let Some(foreign) = found.first()
            {
                return Err(Failure::new(
                    Kind::Conflict,
                    format!("network `{}` exists and belongs to {}", wanted.name, owner(&foreign.labels)),
                )
                .hint("give the network another `name`, or declare it as `external: true`"));
            }
            let hash = compose::network_hash(wanted);
            let current = |network: &Network| {
                network.labels.get(labels::CONFIG_HASH).is_none_or(|found| *found == hash)
                    || network.made_differently.as_ref().is_some_and(Vec::is_empty)
            };
            let in_use = |network: &Network| {
                let mut containers = self.observed.containers.iter();
                containers.any(|container| container.networks.values().any(|id| *id == network.id))
            };
            // Of two the one that containers are on already, so that they stay as they are.
            let used = ours.iter().find(|network| current(network) && in_use(network));
            let state = match used.or_else(|| ours.iter().find(|network| current(network))) {
                Some(network) => {
                    // The engine ends what a command asked for that was killed meanwhile, also when the next one
                    // has made a network of that name. Of two it can join containers to neither.
                    let doubles: Vec<Network> = ours
                        .iter()
                        .filter(|other| other.id != network.id)
                        .map(|&other| other.clone())
                        .collect();
                    let after = self.retire(&doubles, &Cause::LeftBehind);
                    NetworkState::Kept { id: network.id.clone(), after }
                }
                None if ours.is_empty() => {
                    let act = Act::CreateNetwork { key: key.clone(), name: wanted.name.clone() };
                    let after = self.images.values().copied().collect();
                    NetworkState::Made(self.plan.add(act, Cause::Missing, after))
                }
                None => NetworkState::Remade { old: ours.into_iter().cloned().collect(), step: None },
            };
            self.networks.insert(key.clone(), state);
        }
        self.remake_networks();
        Ok(())
    }

    /// A network that changed is made again, which every container on it has to leave first.
    fn remake_networks(&mut self) {
        let keys: Vec<String> = self
            .networks
            .iter()
            .filter(|(_, state)| matches!(state, NetworkState::Remade { .. }))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let Some(NetworkState::Remade { old, .. }) = self.networks.get(&key) else { continue };
            let old = old.clone();
            let name = self.project.networks[&key].name.clone();
            let cause = Cause::ConfigChanged(Vec::new());
            let removed = self.retire(&old, &cause);
            let act = Act::CreateNetwork { key: key.clone(), name };
            let step = self.plan.add(act, cause, removed);
            self.networks.insert(key, NetworkState::Remade { old, step: Some(step) });
        }
    }

    /// Removes networks, and the containers on them before.
    fn retire(&mut self, old: &[Network], cause: &Cause) -> Vec<usize> {
        let mut gone = Vec::new();
        for container in &self.observed.containers {
            let on = |id: &String| old.iter().find(|network| network.id == *id);
            if let Some(network) = container.networks.values().find_map(on) {
                let cause = Cause::NetworkChanged(network.name.clone());
                let stop = self.stop(container, cause.clone(), Vec::new());
                gone.push(self.remove(container, cause, vec![stop]));
            }
        }
        old.iter()
            .map(|network| {
                let act = Act::RemoveNetwork { name: network.name.clone(), id: network.id.clone() };
                self.plan.add(act, cause.clone(), gone.clone())
            })
            .collect()
    }

    /// Steps after which the networks of a service are as wanted.
    fn networked(&self, service: &Service) -> Vec<usize> {
        let mut steps = Vec::new();
        for key in service.networks.keys() {
            match self.networks.get(key) {
                Some(NetworkState::Kept { after, .. }) => steps.extend(after),
                Some(NetworkState::Made(step)) => steps.push(*step),
                Some(NetworkState::Remade { step, .. }) => steps.extend(step),
                None => {}
            }
        }
        steps
    }

    fn plan_volumes(&mut self, order: &Order) -> Result<(), Failure> {
        let project = self.project;
        let used: BTreeSet<&String> = order
            .services
            .iter()
            .flat_map(|name| &project.services[name].volumes)
            .filter(|mount| mount.kind == "volume" && !mount.source.is_empty())
            .map(|mount| &mount.source)
            .collect();
        for key in used {
            let Some(wanted) = project.volumes.get(key) else { continue };
            let found = self.observed.volumes.iter().find(|volume| volume.name == wanted.name);
            match found {
                None if wanted.external => {
                    return Err(Failure::new(
                        Kind::Failed,
                        format!("volume `{}` is declared as external, but could not be found", wanted.name),
                    )
                    .hint(format!(
                        "make it with `docker volume create {}`, or take `external` away",
                        wanted.name
                    )));
                }
                None => {
                    let act = Act::CreateVolume { key: key.clone(), name: wanted.name.clone() };
                    let step = self.plan.add(act, Cause::Missing, self.images.values().copied().collect());
                    self.volumes.insert(key.clone(), step);
                }
                Some(_) if wanted.external => {}
                Some(volume) if volume.labels.get(labels::PROJECT) != Some(&project.name) => {
                    self.plan.warnings.push(format!(
                        "volume `{}` exists and belongs to {}; its data is used as it is (declare it as `external: true` to say so)",
                        wanted.name,
                        owner(&volume.labels),
                    ));
                }
                Some(volume) => {
                    let hash = compose::volume_hash(wanted);
                    if volume.labels.get(labels::CONFIG_HASH).is_some_and(|found| *found != hash) {
                        self.plan.warnings.push(format!(
                            "the definition of volume `{}` changed; its data is kept and the volume stays as it was made",
                            wanted.name
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    // ── services ────────────────────────────────────────────────────────────────────────────────────────

    fn plan_service(&mut self, name: &str, order: &Order) -> Result<(), Failure> {
        let project = self.project;
        let service = &project.services[name];
        if service.provider.is_some() {
            return Err(Failure::new(
                Kind::Failed,
                format!("service `{name}` is run by a provider, which devenv does not do"),
            )
            .hint("run the provider yourself and take the service out with a profile"));
        }
        let replicas = u32::try_from(service.replicas().max(0)).unwrap_or(u32::MAX);
        if replicas > 1 && !service.container_name.is_empty() {
            return Err(Failure::new(
                Kind::Files,
                format!("service `{name}` wants {replicas} containers, but `container_name` allows one"),
            )
            .hint("take `container_name` away, or `scale`"));
        }
        let crew = self.muster(name);
        // Their names may be the ones that new containers are to have.
        let mut cleared = Vec::new();
        for container in &crew.left_behind {
            let stop = container.state.is_up().then(|| self.stop(container, Cause::LeftBehind, Vec::new()));
            cleared.push(self.remove(container, Cause::LeftBehind, stop.into_iter().collect()));
        }
        let mut named = BTreeMap::new();
        for (container, to) in &crew.unnamed {
            let act = Act::Rename { target: target(container), to: to.clone() };
            named.insert(container.id.clone(), self.plan.add(act, Cause::LeftBehind, Vec::new()));
        }
        for (_, container) in crew.kept.iter().filter(|(number, _)| **number > replicas) {
            let stop = self.stop(container, Cause::TooMany, Vec::new());
            self.remove(container, Cause::TooMany, vec![stop]);
        }
        let hash = self.hash(service);
        let mut created = Vec::new();
        let mut to_start = Vec::new();
        for number in 1..=replicas {
            let Some(&container) = crew.kept.get(&number) else {
                let step = self.create(name, number, None, Vec::new(), &cleared);
                created.push(step);
                let container = names::container(&project.name, name, service, number);
                let target = Target { service: name.to_owned(), name: container, id: None };
                to_start.push((target, Cause::Missing, vec![step]));
                continue;
            };
            let rename = named.get(&container.id).copied();
            if let Some(cause) = self.divergence(name, service, container, hash.as_deref()) {
                let (target, last) = self.replace(name, service, container, number, &cause, &cleared);
                created.push(last);
                to_start.push((target, cause, vec![last]));
                self.replaced.insert(name.to_owned());
            } else {
                let mut target = target(container);
                target.name = names::container(&project.name, name, service, number);
                match container.state {
                    State::Running | State::Restarting => {}
                    State::Paused => {
                        let act = Act::Unpause { target };
                        let step = self.plan.add(act, Cause::NotRunning, rename.into_iter().collect());
                        self.started.entry(name.to_owned()).or_default().push(step);
                    }
                    State::Exited(0) if self.stays_done(name, order) => {}
                    _ => {
                        let after = rename.into_iter().chain(self.networked(service)).collect();
                        to_start.push((target, Cause::NotRunning, after));
                    }
                }
            }
        }
        self.created.insert(name.to_owned(), created);
        if self.wishes.no_start {
            return Ok(());
        }
        if !to_start.is_empty() {
            let conditions = self.conditions(name, service);
            for (target, cause, mut after) in to_start {
                after.extend(&conditions);
                let step = self.plan.add(Act::Start { target }, cause, after);
                self.started.entry(name.to_owned()).or_default().push(step);
            }
            self.replaced.insert(name.to_owned());
        } else if let Some(cause) = self.restart_cause(service) {
            let conditions = self.conditions(name, service);
            for container in crew.kept.values().filter(|container| container.state.is_up()) {
                let act = Act::Restart { target: target(container), grace: self.wishes.grace };
                let step = self.plan.add(act, cause.clone(), conditions.clone());
                self.started.entry(name.to_owned()).or_default().push(step);
            }
        }
        if self.wishes.prepare.as_deref() == Some(name) {
            let mut after = self.started.get(name).cloned().unwrap_or_default();
            after.extend(self.reach(name, Goal::Ready, true, Cause::BeforeDependents));
            let act = Act::Prepare { service: name.to_owned() };
            self.prepared = Some(self.plan.add(act, Cause::BeforeDependents, after));
        }
        Ok(())
    }

    /// Sorts the containers of a service by number. Of two with one number the one with the final name
    /// counts, as the other is a replacement that was cut short; when the other is alone, the replacement
    /// had got past removing the old one, and only its name is missing.
    fn muster(&self, name: &str) -> Crew<'a> {
        let project = self.project;
        let service = &project.services[name];
        let mut crew = Crew { kept: BTreeMap::new(), left_behind: Vec::new(), unnamed: Vec::new() };
        let all: Vec<&Container> = self.observed.of_service(name).filter(|c| !self.is_going(c)).collect();
        let (temporary, settled): (Vec<_>, Vec<_>) = all.into_iter().partition(|container| {
            container.labels.contains_key(labels::REPLACE) && names::is_while_replacing(&container.name)
        });
        for container in settled {
            if let Some(other) = crew.kept.insert(container.number().max(1), container) {
                crew.left_behind.push(other);
            }
        }
        for container in temporary {
            let number = container.number().max(1);
            match crew.kept.entry(number) {
                Entry::Occupied(_) => crew.left_behind.push(container),
                Entry::Vacant(free) => {
                    free.insert(container);
                    crew.unnamed.push((container, names::container(&project.name, name, service, number)));
                }
            }
        }
        crew
    }

    /// Whether a step of this plan already removes it (its network is made again).
    fn is_going(&self, container: &Container) -> bool {
        self.plan
            .steps
            .iter()
            .any(|step| matches!(&step.act, Act::Remove { target, .. } if target.id.as_ref() == Some(&container.id)))
    }

    /// The hash of a service; `None` when it uses the namespace of a container that does not exist yet.
    fn hash(&self, service: &Service) -> Option<String> {
        let resolved = resolve(service, |other| {
            if self.replaced.contains(other) {
                return None;
            }
            self.observed.of_service(other).next().map(|container| container.id.clone())
        })?;
        Some(hash(&resolved))
    }

    /// Why a container has to be replaced.
    fn divergence(
        &self,
        name: &str,
        service: &Service,
        container: &Container,
        hash: Option<&str>,
    ) -> Option<Cause> {
        match self.wishes.recreate {
            Recreate::Never => return None,
            Recreate::Always
                if self.wishes.targets.is_empty() || self.wishes.targets.iter().any(|t| t == name) =>
            {
                return Some(Cause::Asked);
            }
            _ => {}
        }
        let Some(hash) = hash else {
            let replaced = shared_with(service).find(|other| self.replaced.contains(*other));
            return Some(replaced.map_or(Cause::ConfigChanged(Vec::new()), |other| {
                Cause::DependencyReplaced(other.to_owned())
            }));
        };
        if container.config_hash() != hash {
            // Versions of Compose hash differently: then the container itself decides.
            let same = container.made_differently.as_ref().is_some_and(Vec::is_empty);
            if !(same && container.is_of_another_version()) {
                let fields = container.made_differently.iter().flatten();
                return Some(Cause::ConfigChanged(fields.map(|one| one.field.clone()).collect()));
            }
        }
        let image = names::image(&self.project.name, name, service);
        if let (Some(made_from), Some(now)) =
            (container.labels.get(labels::IMAGE), self.observed.images.get(&image))
            && *made_from != now.id
        {
            return Some(Cause::ImageChanged);
        }
        for key in service.networks.keys() {
            let Some(network) = self.project.networks.get(key) else { continue };
            let attached = container.networks.get(&network.name);
            let same = match (self.networks.get(key), attached) {
                (Some(NetworkState::Kept { id, .. }), Some(attached)) => {
                    attached.is_empty() || attached == id
                }
                (None, _) => true,
                // The network is new; or the container is not attached at all, as its creation was cut short
                // between the first network and the others.
                (Some(_), _) => false,
            };
            if !same {
                return Some(Cause::NetworkChanged(network.name.clone()));
            }
        }
        None
    }

    /// A one-shot that others wait for and that ended well stays done as long as nothing that it depends on
    /// was replaced or started anew. (The reference runs it again at every `up`, which is most of what an
    /// `up` with nothing to do costs there: compose.md 3.)
    fn stays_done(&self, name: &str, order: &Order) -> bool {
        let awaited = order.needed_by(name).any(|other| {
            self.project.services[other]
                .depends_on
                .get(name)
                .is_some_and(|d| goal(&d.condition) == Goal::Completed)
        });
        awaited && !order.needs(name).any(|dependency| self.replaced.contains(dependency))
    }

    /// Why a running container has to be restarted: a dependency with `restart: true` was replaced.
    fn restart_cause(&self, service: &Service) -> Option<Cause> {
        let mut dependencies = service.depends_on.iter();
        let (name, _) = dependencies.find(|(name, d)| d.restart && self.replaced.contains(*name))?;
        Some(Cause::DependencyReplaced(name.clone()))
    }

    /// Steps that have to end before a container of this service starts.
    fn conditions(&mut self, name: &str, service: &Service) -> Vec<usize> {
        if self.wishes.no_deps {
            return Vec::new();
        }
        let mut steps = Vec::new();
        for (dependency, condition) in &service.depends_on {
            if !self.project.services.contains_key(dependency) {
                continue;
            }
            let goal = goal(&condition.condition);
            steps.extend(self.started.get(dependency).into_iter().flatten());
            if goal != Goal::Started {
                let cause = Cause::NeededBy(name.to_owned());
                steps.extend(self.reach(dependency, goal, condition.required, cause));
            }
            if self.wishes.prepare.as_ref() == Some(dependency) {
                steps.extend(self.prepared);
            }
        }
        steps
    }

    /// The step that waits for a service to reach `goal`, or none when it has been seen there and stays.
    fn reach(&mut self, name: &str, goal: Goal, required: bool, cause: Cause) -> Option<usize> {
        if let Some(&step) = self.awaited.get(&(name.to_owned(), goal)) {
            return Some(step);
        }
        let after = self.started.get(name).cloned().unwrap_or_default();
        let untouched = after.is_empty() && !self.replaced.contains(name);
        let reached = |container: &Container| match goal {
            Goal::Started => container.state.is_up(),
            Goal::Healthy => container.health == Some(crate::plan::observed::Health::Healthy),
            Goal::Completed => container.has_succeeded(),
            Goal::Ready => {
                container.has_succeeded()
                    || (container.state.is_up()
                        && container.health.is_none_or(|h| h == crate::plan::observed::Health::Healthy))
            }
        };
        let mut containers = self.observed.of_service(name).peekable();
        let none_wanted = self.project.services.get(name).is_some_and(|service| service.replicas() <= 0);
        if none_wanted || (untouched && containers.peek().is_some() && containers.all(reached)) {
            return None;
        }
        let act = Act::Await { service: name.to_owned(), goal, required };
        let step = self.plan.add(act, cause, after);
        self.awaited.insert((name.to_owned(), goal), step);
        Some(step)
    }

    fn wait_for_all(&mut self, order: &Order) {
        for name in &order.services {
            let done = [Goal::Healthy, Goal::Completed]
                .iter()
                .any(|goal| self.awaited.contains_key(&(name.clone(), *goal)));
            if !done {
                self.reach(name, Goal::Ready, true, Cause::WaitForAll);
            }
        }
    }

    fn plan_orphans(&mut self) {
        let orphans: Vec<&Container> = self
            .observed
            .containers
            .iter()
            .filter(|c| !c.is_one_off() && self.project.all_services().all(|(name, _)| name != c.service()))
            .collect();
        if orphans.is_empty() {
            return;
        }
        if !self.wishes.remove_orphans {
            let names: Vec<&str> = orphans.iter().map(|container| container.name.as_str()).collect();
            self.plan.warnings.push(format!(
                "no service owns {}: remove with `devenv up --remove-orphans` if a service was renamed or removed",
                names.join(", ")
            ));
            return;
        }
        for container in orphans {
            let stop = self.stop(container, Cause::Orphan, Vec::new());
            self.remove(container, Cause::Orphan, vec![stop]);
        }
    }

    // ── single steps ────────────────────────────────────────────────────────────────────────────────────

    fn create(
        &mut self,
        name: &str,
        number: u32,
        replaces: Option<&Container>,
        inherit: Vec<(String, String)>,
        cleared: &[usize],
    ) -> usize {
        let project = self.project;
        let service = &project.services[name];
        let mut after: Vec<usize> = self.images.get(name).copied().into_iter().collect();
        after.extend(cleared);
        after.extend(self.networked(service));
        let sources = service.volumes.iter().map(|mount| &mount.source);
        after.extend(sources.filter_map(|source| self.volumes.get(source)));
        for other in shared_with(service) {
            after.extend(self.created.get(other).into_iter().flatten());
        }
        if names_a_container(service) {
            // It may be one of this project, which only `depends_on` can say.
            for other in service.depends_on.keys() {
                after.extend(self.created.get(other).into_iter().flatten());
            }
        }
        let container = names::container(&project.name, name, service, number);
        let (container, replaces) = match replaces {
            Some(old) => (names::while_replacing(old.short_id(), &container), Some(container)),
            None => (container, None),
        };
        let target = Target { service: name.to_owned(), name: container, id: None };
        let cause = if replaces.is_some() { Cause::Replaced } else { Cause::Missing };
        self.plan.add(Act::Create { target, number, replaces, inherit }, cause, after)
    }

    /// New container beside the old one, stop and remove the old one, take over its name. Says the new
    /// container's handle and the last step.
    fn replace(
        &mut self,
        name: &str,
        service: &Service,
        old: &Container,
        number: u32,
        cause: &Cause,
        cleared: &[usize],
    ) -> (Target, usize) {
        let inherit =
            if self.wishes.renew_anonymous_volumes { Vec::new() } else { anonymous_volumes(old, service) };
        let create = self.create(name, number, Some(old), inherit, cleared);
        self.plan.steps[create].cause = cause.clone();
        let stop = if old.state.is_up() { self.stop(old, Cause::Replaced, vec![create]) } else { create };
        let remove = self.remove(old, Cause::Replaced, vec![stop]);
        let to = names::container(&self.project.name, name, service, number);
        let temporary =
            Target { service: name.to_owned(), name: names::while_replacing(old.short_id(), &to), id: None };
        let act = Act::Rename { target: temporary, to: to.clone() };
        let rename = self.plan.add(act, Cause::Replaced, vec![remove]);
        (Target { service: name.to_owned(), name: to, id: None }, rename)
    }

    fn stop(&mut self, container: &Container, cause: Cause, after: Vec<usize>) -> usize {
        let act = Act::Stop { target: target(container), grace: self.wishes.grace };
        self.plan.add(act, cause, after)
    }

    fn remove(&mut self, container: &Container, cause: Cause, after: Vec<usize>) -> usize {
        self.plan.add(Act::Remove { target: target(container), volumes: false }, cause, after)
    }
}

/// A container as the target of a step.
pub(super) fn target(container: &Container) -> Target {
    Target {
        service: container.service().to_owned(),
        name: container.name.clone(),
        id: Some(container.id.clone()),
    }
}

/// What a `depends_on` condition waits for.
fn goal(condition: &str) -> Goal {
    match condition {
        "service_healthy" => Goal::Healthy,
        "service_completed_successfully" => Goal::Completed,
        _ => Goal::Started,
    }
}

/// The services whose namespaces or volumes a service uses.
fn shared_with(service: &Service) -> impl Iterator<Item = &str> {
    let modes = [&service.network_mode, &service.ipc, &service.pid];
    let modes = modes.into_iter().filter_map(|mode| mode.strip_prefix("service:"));
    let volumes = service.volumes_from.iter().filter(|from| !from.starts_with("container:"));
    let links = service.links.iter();
    modes.chain(volumes.chain(links).map(|entry| entry.split(':').next().unwrap_or(entry)))
}

/// Whether a service uses a namespace or the volumes of a container that it names, which has to be there first.
fn names_a_container(service: &Service) -> bool {
    let mut used =
        [&service.network_mode, &service.ipc, &service.pid].into_iter().chain(&service.volumes_from);
    used.any(|used| used.starts_with("container:"))
}

/// The service with `service:x` replaced by the container that runs it, as the engine wants it and as it is
/// hashed. `None` when such a container does not exist.
pub fn resolve(service: &Service, container_of: impl Fn(&str) -> Option<String>) -> Option<Service> {
    let mut resolved = service.clone();
    for mode in [&mut resolved.network_mode, &mut resolved.ipc, &mut resolved.pid] {
        if let Some(other) = mode.strip_prefix("service:") {
            *mode = format!("container:{}", container_of(other)?);
        }
    }
    for from in &mut resolved.volumes_from {
        if from.starts_with("container:") {
            continue;
        }
        let (other, mode) = from.split_once(':').map_or((from.as_str(), None), |(s, m)| (s, Some(m)));
        let id = container_of(other)?;
        *from = mode.map_or(id.clone(), |mode| format!("{id}:{mode}"));
    }
    Some(resolved)
}

/// The hash of a resolved service. That of the reference knows nothing of how `volumes_from` mounts (docker/compose
/// `pkg/compose/convergence.go`, `resolveVolumeFrom`).
pub fn hash(resolved: &Service) -> String {
    if resolved.volumes_from.is_empty() {
        return compose::service_hash(resolved);
    }
    let mut plain = resolved.clone();
    for from in &mut plain.volumes_from {
        let source = from.strip_prefix("container:").unwrap_or(from);
        *from = source.split_once(':').map_or(source, |(source, _)| source).to_owned();
    }
    compose::service_hash(&plain)
}

/// Volumes of a container that the compose file does not name: their data moves to the replacement.
fn anonymous_volumes(container: &Container, service: &Service) -> Vec<(String, String)> {
    container
        .mounts
        .iter()
        .filter(|mount| mount.kind == "volume" && !mount.name.is_empty())
        .filter(|mount| {
            !service.volumes.iter().any(|wanted| wanted.target == mount.target && !wanted.source.is_empty())
        })
        .map(|mount| (mount.target.clone(), mount.name.clone()))
        .collect()
}

fn owner(found: &BTreeMap<String, String>) -> String {
    found.get(labels::PROJECT).map_or_else(
        || "something that is not a compose project".to_owned(),
        |project| format!("project `{project}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::observed::Difference;

    fn causes(version: &str, made_differently: Option<Vec<Difference>>) -> Vec<String> {
        let mut project = Project { name: "shop".into(), ..Project::default() };
        project.services.insert("web".into(), Service { image: "i".into(), ..Service::default() });
        let labels = [
            (labels::SERVICE, "web"),
            (labels::NUMBER, "1"),
            (labels::VERSION, version),
            (labels::CONFIG_HASH, "another"),
        ];
        let container = Container {
            id: "0123456789abcdef".into(),
            name: "shop-web-1".into(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            state: State::Running,
            made_differently,
            ..Container::default()
        };
        let image = crate::plan::observed::Image { id: "sha256:1".into(), ..Default::default() };
        let observed = Observed {
            containers: vec![container],
            images: BTreeMap::from([("i".to_owned(), image)]),
            ..Observed::default()
        };
        let wishes = Wishes {
            targets: Vec::new(),
            no_deps: false,
            recreate: Recreate::Diverged,
            no_start: false,
            remove_orphans: false,
            renew_anonymous_volumes: false,
            grace: None,
            wait: false,
            prepare: None,
            one_off: None,
            images: images::Wishes { build: None, pull: None, now: std::time::SystemTime::UNIX_EPOCH },
        };
        let plan = plan(&project, &observed, &wishes).unwrap();
        let creations = plan.steps.iter().filter(|step| matches!(step.act, Act::Create { .. }));
        creations.map(|step| step.cause.to_string()).collect()
    }

    #[test]
    fn the_hash_of_another_version_decides_only_where_the_container_does_not() {
        let change = Difference { field: "environment.A".into(), was: "unset".into(), is: "\"1\"".into() };
        assert_eq!(causes("2.26.1", Some(Vec::new())), [""; 0]);
        assert_eq!(causes("2.26.1", Some(vec![change])), ["configuration changed: environment.A"]);
        assert_eq!(causes("2.26.1", None), ["configuration changed"]);
        assert_eq!(causes(labels::COMPOSE_VERSION, Some(Vec::new())), ["configuration changed"]);
    }
}

#[cfg(test)]
/// Plans as text: what a person would read with `--dry-run`.
mod plans {
    use super::*;
    use crate::compose::project::{Dependency, ServiceNetwork};
    use crate::plan::observed::{Health, Image};
    use std::time::SystemTime;

    /// `api` waits for `db` to be healthy; both on the default network.
    fn project() -> Project {
        let service = |image: &str| Service {
            image: image.into(),
            networks: BTreeMap::from([("default".to_owned(), None::<ServiceNetwork>)]),
            ..Service::default()
        };
        let mut api = service("app:1");
        let waits =
            Dependency { condition: "service_healthy".into(), required: true, ..Dependency::default() };
        api.depends_on.insert("db".into(), waits);
        let network = crate::compose::project::Network { name: "shop_default".into(), ..Default::default() };
        Project {
            name: "shop".into(),
            services: BTreeMap::from([("api".to_owned(), api), ("db".to_owned(), service("pg:17"))]),
            networks: BTreeMap::from([("default".to_owned(), network)]),
            ..Project::default()
        }
    }

    fn container(project: &Project, service: &str, health: Option<Health>) -> Container {
        let definition = &project.services[service];
        let labels = [
            (labels::PROJECT, "shop".to_owned()),
            (labels::SERVICE, service.to_owned()),
            (labels::NUMBER, "1".to_owned()),
            (labels::VERSION, labels::COMPOSE_VERSION.to_owned()),
            (labels::CONFIG_HASH, compose::service_hash(definition)),
            (labels::IMAGE, format!("sha256:{}", definition.image)),
        ];
        Container {
            id: format!("{service:0<64}"),
            name: format!("shop-{service}-1"),
            state: State::Running,
            health,
            labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
            networks: BTreeMap::from([("shop_default".to_owned(), "net".to_owned())]),
            ..Container::default()
        }
    }

    fn images() -> BTreeMap<String, Image> {
        let image =
            |name: &str| (name.to_owned(), Image { id: format!("sha256:{name}"), ..Image::default() });
        BTreeMap::from([image("app:1"), image("pg:17")])
    }

    fn running(project: &Project) -> Observed {
        let ours = [(labels::PROJECT, "shop"), (labels::NETWORK, "default")];
        Observed {
            containers: vec![
                container(project, "api", None),
                container(project, "db", Some(Health::Healthy)),
            ],
            networks: vec![Network {
                id: "net".into(),
                name: "shop_default".into(),
                labels: ours.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                ..Network::default()
            }],
            images: images(),
            ..Observed::default()
        }
    }

    fn wishes() -> Wishes {
        Wishes {
            targets: Vec::new(),
            no_deps: false,
            recreate: Recreate::Diverged,
            no_start: false,
            remove_orphans: false,
            renew_anonymous_volumes: false,
            grace: None,
            wait: true,
            prepare: None,
            one_off: None,
            images: images::Wishes { build: None, pull: None, now: SystemTime::UNIX_EPOCH },
        }
    }

    #[test]
    fn from_nothing_everything_is_made_and_started_along_the_graph() {
        let nothing = Observed { images: images(), ..Observed::default() };
        insta::assert_snapshot!(plan(&project(), &nothing, &wishes()).unwrap(), @"
          1  create network shop_default  # not there
          2  create container shop-db-1   # not there; after 1
          3  start container shop-db-1    # not there; after 2
          4  create container shop-api-1  # not there; after 1
          5  wait until db is healthy     # api depends on it; after 3
          6  start container shop-api-1   # not there; after 3, 4, 5
          7  wait until api is ready      # up ends when all is ready; after 6
        ");
    }

    #[test]
    fn what_is_as_wanted_is_left_alone() {
        let project = project();
        let plan = plan(&project, &running(&project), &wishes()).unwrap();
        assert!(plan.is_empty() && plan.warnings.is_empty(), "{plan}{:?}", plan.warnings);
    }

    #[test]
    fn a_changed_service_is_replaced_and_nothing_else() {
        let mut project = project();
        let observed = running(&project);
        project.services.get_mut("api").unwrap().hostname = "other".into();
        insta::assert_snapshot!(plan(&project, &observed, &wishes()).unwrap(), @"
          1  create container api000000000_shop-api-1                # configuration changed
          2  stop container shop-api-1                               # replaced; after 1
          3  remove container shop-api-1                             # replaced; after 2
          4  rename container api000000000_shop-api-1 to shop-api-1  # replaced; after 3
          5  start container shop-api-1                              # configuration changed; after 4
          6  wait until api is ready                                 # up ends when all is ready; after 5
        ");
    }

    #[test]
    fn a_replacement_that_was_cut_short_is_cleared_away() {
        let project = project();
        let mut observed = running(&project);
        let mut left = container(&project, "api", None);
        left.id = "f".repeat(64);
        left.name = names::while_replacing("0123456789ab", "shop-api-1");
        left.state = State::Created;
        left.labels.insert(labels::REPLACE.to_owned(), "shop-api-1".to_owned());
        observed.containers.push(left);
        insta::assert_snapshot!(plan(&project, &observed, &wishes()).unwrap(), @"
          1  remove container 0123456789ab_shop-api-1  # left behind by a command that was killed
          2  wait until api is ready                   # up ends when all is ready
        ");
    }

    #[test]
    fn an_orphan_is_told_and_removed_on_request() {
        let project = project();
        let mut observed = running(&project);
        let mut orphan = container(&project, "db", None);
        orphan.id = "e".repeat(64);
        orphan.name = "shop-old-1".into();
        orphan.labels.insert(labels::SERVICE.to_owned(), "old".to_owned());
        observed.containers.push(orphan);
        let told = plan(&project, &observed, &wishes()).unwrap();
        assert!(told.is_empty() && told.warnings[0].contains("shop-old-1"), "{:?}", told.warnings);
        let removed = plan(&project, &observed, &Wishes { remove_orphans: true, ..wishes() }).unwrap();
        insta::assert_snapshot!(removed, @"
          1  stop container shop-old-1    # no service owns it
          2  remove container shop-old-1  # no service owns it; after 1
        ");
    }
}
