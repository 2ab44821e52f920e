//! The containers of all stacks at once, and what happens to them: what the gateway follows.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, StatsOptionsBuilder,
};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;

use super::Engine;
use super::error::{Doing, Error};
use crate::plan::labels;

/// Changes that are followed (Docker Engine API, `/events`).
const ACTIONS: [&str; 7] = ["create", "start", "die", "destroy", "rename", "connect", "disconnect"];

/// For so long after an event the engine's list may still tell what was before.
const LAG: Duration = Duration::from_secs(2);

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doings {
    /// It was never started.
    Created,
    /// It runs, or is paused.
    Running,
    /// It ended with this exit code.
    Ended(i64),
    /// It is between two runs, or on its way out.
    Changing,
}

/// A port of the engine's machine that leads to a container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The address of the machine, as the engine was asked; empty for all.
    pub address: String,
    /// The port of the machine; none where the engine chooses one at each start.
    pub port: Option<u16>,
    /// The container's port.
    pub target: u16,
}

/// A container, as far as it matters to who wants to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it does.
    pub doing: Doings,
    /// Where it is reached from the engine's machine, while it runs.
    pub address: Option<IpAddr>,
    /// The id of the container whose network it shares.
    pub shares: Option<String>,
    /// TCP ports that it exposes.
    pub ports: Vec<u16>,
    /// TCP ports that it publishes.
    pub bindings: Vec<Binding>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// `start`, `die`, …
    pub action: String,
    /// The container.
    pub container: String,
}

/// The stacks of an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stacks {
    engine: Engine,
    known: Arc<Mutex<HashMap<String, Member>>>,
    /// What something happened to a moment ago, which the list may not know yet.
    fresh: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Stacks {
    /// Those of an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, known: Arc::default(), fresh: Arc::default() }
    }

    /// All containers of all stacks, one-off ones left out. Each is asked about on its own, which is sure where the
    /// list lags, but only when it is new or something happened to it.
    pub async fn look(&self) -> Result<Vec<Member>, Error> {
        let filters = HashMap::from([("label", vec![labels::PROJECT])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.engine.docker.list_containers(Some(options)).await.doing("list containers")?;
        let fresh = {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.retain(|_, since| since.elapsed() < LAG);
            fresh.clone()
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut asked: Vec<String> = fresh.keys().cloned().collect();
        let mut listed = Vec::new();
        for container in found {
            let Some(id) = container.id else { continue };
            let word = container.state.map(|state| state.to_string()).unwrap_or_default();
            let runs = matches!(word.as_str(), "running" | "paused");
            let is_known = known.get(&id).is_some_and(|known| runs == (known.doing == Doings::Running));
            if !is_known && !fresh.contains_key(&id) {
                asked.push(id.clone());
            }
            listed.push(id);
        }
        let answers = join_all(asked.iter().map(|id| self.inspect(id))).await;
        for (id, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(member) if member.is_in_a_stack() => drop(known.insert(id.clone(), member)),
                Ok(_) => drop(known.remove(id)),
                Err(error) if error.is_not_found() => drop(known.remove(id)),
                Err(error) => return Err(error),
            }
        }
        known.retain(|id, _| listed.contains(id) || fresh.contains_key(id));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&known);
        let shared: Vec<(String, IpAddr)> =
            known.iter().filter_map(|(id, member)| Some((id.clone(), member.address?))).collect();
        Ok(known
            .into_values()
            .map(|mut member| {
                if let Some(other) = member.shares.as_ref().filter(|_| member.doing == Doings::Running) {
                    member.address = shared.iter().find(|(id, _)| id == other).map(|(_, address)| *address);
                }
                member
            })
            .collect())
    }

    async fn inspect(&self, id: &str) -> Result<Member, Error> {
        let found = self.engine.docker.inspect_container(id, None::<InspectContainerOptions>).await;
        Ok(member(found.doing("inspect a container")?))
    }

    /// A container that [`Stacks::look`] has seen.
    #[must_use]
    pub fn member(&self, id: &str) -> Option<Member> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// What happens from now on, to containers of stacks and to others; ends with the engine.
    #[must_use]
    pub fn happenings(&self) -> BoxStream<'static, Happening> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned(), "network".to_owned()]),
            ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let fresh = Arc::clone(&self.fresh);
        let events = self.engine.patient.clone().events(Some(options));
        let told = events.take_while(|event| std::future::ready(event.is_ok())).filter_map(move |event| {
            let happening = event.ok().and_then(|event| {
                let action = event.action?;
                let actor = event.actor?;
                // A network's events name the container among their attributes.
                let attributes = actor.attributes.unwrap_or_default();
                let container = match action.as_str() {
                    "connect" | "disconnect" => attributes.get("container").cloned()?,
                    _ => actor.id?,
                };
                Some(Happening { action, container })
            });
            if let Some(happening) = &happening {
                let mut fresh = fresh.lock().unwrap_or_else(PoisonError::into_inner);
                fresh.insert(happening.container.clone(), Instant::now());
            }
            std::future::ready(happening)
        });
        Box::pin(told)
    }

    /// Looks at a container anew the next time, whatever the engine tells until then.
    pub fn refresh(&self, id: &str) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), Instant::now());
    }

    /// Bytes that a container received and sent since it was started.
    pub async fn moved(&self, container: &str) -> Result<(u64, u64), Error> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = Box::pin(self.engine.docker.stats(container, Some(options)));
        let Some(stats) = stats.next().await else { return Ok((0, 0)) };
        let networks = stats.doing("measure a container")?.networks.unwrap_or_default();
        let sum = |(received, sent): (u64, u64), network: &bollard::models::ContainerNetworkStats| {
            (received + network.rx_bytes.unwrap_or(0), sent + network.tx_bytes.unwrap_or(0))
        };
        Ok(networks.values().fold((0, 0), sum))
    }
}

impl Member {
    fn is_in_a_stack(&self) -> bool {
        let label = |key: &str| self.labels.get(key).map(String::as_str).unwrap_or_default();
        !label(labels::PROJECT).is_empty()
            && !label(labels::SERVICE).is_empty()
            && label(labels::ONE_OFF) != "True"
    }
}

fn member(found: ContainerInspectResponse) -> Member {
    let state = found.state.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let doing = match state.status.unwrap_or(ContainerStateStatusEnum::CREATED) {
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED => Doings::Running,
        ContainerStateStatusEnum::CREATED => Doings::Created,
        ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD => {
            Doings::Ended(state.exit_code.unwrap_or(0))
        }
        _ => Doings::Changing,
    };
    let mode = host.network_mode.unwrap_or_default();
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut addresses: Vec<(String, IpAddr)> =
        networks.into_iter().filter_map(|(name, end)| Some((name, end.ip_address?.parse().ok()?))).collect();
    addresses.sort();
    let address = match mode.as_str() {
        "host" => Some(IpAddr::from([127, 0, 0, 1])),
        _ => addresses.first().map(|(_, address)| *address),
    };
    let tcp = |port: &str| match port.split_once('/') {
        Some((number, "tcp")) => number.parse::<u16>().ok(),
        Some(_) => None,
        None => port.parse().ok(),
    };
    let mut ports: Vec<u16> =
        config.exposed_ports.unwrap_or_default().iter().filter_map(|port| tcp(port)).collect();
    let mut bindings = Vec::new();
    for (target, all) in host.port_bindings.unwrap_or_default() {
        let Some(target) = tcp(&target) else { continue };
        ports.push(target);
        bindings.extend(all.unwrap_or_default().into_iter().map(|binding| Binding {
            address: binding.host_ip.unwrap_or_default(),
            port: binding.host_port.and_then(|port| port.parse().ok()).filter(|port| *port != 0),
            target,
        }));
    }
    ports.sort_unstable();
    ports.dedup();
    Member {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        doing,
        address: address.filter(|_| doing == Doings::Running),
        shares: mode.strip_prefix("container:").map(str::to_owned),
        ports,
        bindings,
    }
}
