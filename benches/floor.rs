//! The floor: the same containers made by plain requests to the engine, in the best order that their
//! dependencies allow, by a program that already runs and knows everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, NetworkCreateRequest, NetworkingConfig, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptions,
};
use futures_util::StreamExt;
use futures_util::future::{try_join, try_join_all};
use tokio::sync::watch;

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// What has to be made, copied from a project that runs.
pub struct Floor {
    engine: Docker,
    project: String,
    networks: Vec<NetworkCreateRequest>,
    volumes: Vec<VolumeCreateRequest>,
    containers: BTreeMap<String, Blueprint>,
}

struct Blueprint {
    name: String,
    body: ContainerCreateBody,
    has_check: bool,
    needs: Vec<(String, Goal)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Started,
    Healthy,
    Completed,
}

/// What the events told of a container.
#[derive(Debug, Clone, Default)]
struct Seen {
    started: bool,
    healthy: bool,
    exited: Option<i64>,
}

impl Seen {
    fn is(&self, goal: Goal) -> bool {
        match goal {
            Goal::Started => self.started,
            Goal::Healthy => self.healthy,
            Goal::Completed => self.exited == Some(0),
        }
    }
}

type Filters = HashMap<&'static str, Vec<String>>;

pub fn of_project(project: &str) -> Filters {
    HashMap::from([("label", vec![format!("{PROJECT}={project}")])])
}

fn told(error: impl std::fmt::Display) -> String {
    format!("raw API: {error}")
}

impl Floor {
    /// Copies what devenv or Compose made.
    pub async fn copy(engine: &Docker, project: &str) -> Result<Self, String> {
        let filters = of_project(project);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found = engine.list_networks(Some(options)).await.map_err(told)?;
        let networks = found.into_iter().map(|network| NetworkCreateRequest {
            name: network.name.unwrap_or_default(),
            driver: network.driver,
            labels: network.labels,
            ..NetworkCreateRequest::default()
        });
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let found = engine.list_volumes(Some(options)).await.map_err(told)?;
        let volumes = found.volumes.unwrap_or_default().into_iter().map(|volume| VolumeCreateRequest {
            name: Some(volume.name),
            driver: Some(volume.driver),
            labels: Some(volume.labels),
            ..VolumeCreateRequest::default()
        });
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let mut containers = BTreeMap::new();
        for found in engine.list_containers(Some(options)).await.map_err(told)? {
            let (service, blueprint) = Blueprint::copy(engine, &found.id.unwrap_or_default()).await?;
            containers.insert(service, blueprint);
        }
        Ok(Self {
            engine: engine.clone(),
            project: project.to_owned(),
            networks: networks.collect(),
            volumes: volumes.collect(),
            containers,
        })
    }

    /// Makes and starts all, and ends when all are ready.
    pub async fn up(&self) -> Result<(), String> {
        let (seen, reader) = self.listen();
        let networks = try_join_all(self.networks.iter().map(async |network| {
            self.engine.create_network(network.clone()).await.map(|_| ()).map_err(told)
        }));
        let volumes =
            try_join_all(self.volumes.iter().map(async |volume| {
                self.engine.create_volume(volume.clone()).await.map(|_| ()).map_err(told)
            }));
        try_join(networks, volumes).await?;
        let all = self.containers.values().map(|blueprint| self.run(blueprint, seen.clone()));
        let done = try_join_all(all).await;
        reader.abort();
        done.map(|_| ())
    }

    async fn run(
        &self,
        blueprint: &Blueprint,
        mut seen: watch::Receiver<BTreeMap<String, Seen>>,
    ) -> Result<(), String> {
        let options = CreateContainerOptionsBuilder::default().name(&blueprint.name).build();
        self.engine.create_container(Some(options), blueprint.body.clone()).await.map_err(told)?;
        let met = |all: &BTreeMap<String, Seen>, needs: &[(String, Goal)]| {
            needs.iter().all(|(service, goal)| {
                all.get(&self.containers[service].name).is_some_and(|seen| seen.is(*goal))
            })
        };
        seen.wait_for(|all| met(all, &blueprint.needs)).await.map_err(told)?;
        self.engine.start_container(&blueprint.name, None::<StartContainerOptions>).await.map_err(told)?;
        if blueprint.has_check {
            let healthy =
                |all: &BTreeMap<String, Seen>| all.get(&blueprint.name).is_some_and(|seen| seen.healthy);
            seen.wait_for(healthy).await.map_err(told)?;
        }
        Ok(())
    }

    /// Looks whether there is something to do.
    pub async fn look(&self) -> Result<(), String> {
        let options =
            ListContainersOptionsBuilder::default().all(true).filters(&of_project(&self.project)).build();
        let found = self.engine.list_containers(Some(options)).await.map_err(told)?;
        if found.len() == self.containers.len() {
            Ok(())
        } else {
            Err("raw API: something is missing".to_owned())
        }
    }

    /// Which containers are not as ready as they should be.
    pub async fn unready(&self) -> Result<Vec<String>, String> {
        let options =
            ListContainersOptionsBuilder::default().all(true).filters(&of_project(&self.project)).build();
        let found = self.engine.list_containers(Some(options)).await.map_err(told)?;
        let completed = |name: &str| {
            let asked = |b: &Blueprint| {
                b.needs.iter().any(|(s, g)| *g == Goal::Completed && self.containers[s].name == name)
            };
            self.containers.values().any(asked)
        };
        let ready = |blueprint: &&Blueprint| {
            let name = format!("/{}", blueprint.name);
            let found = found.iter().find(|c| c.names.as_ref().is_some_and(|names| names.contains(&name)));
            let status = found.and_then(|c| c.status.clone()).unwrap_or_default();
            if blueprint.has_check {
                status.contains("(healthy)")
            } else if completed(&blueprint.name) {
                status.starts_with("Exited (0)")
            } else {
                status.starts_with("Up")
            }
        };
        Ok(self.containers.values().filter(|b| !ready(b)).map(|b| b.name.clone()).collect())
    }

    /// Stops dependents before what they depend on, and removes each as soon as it has stopped.
    pub async fn down(&self) -> Result<(), String> {
        let (stopped, seen) = watch::channel(BTreeSet::<String>::new());
        let stopped = &stopped;
        try_join_all(self.containers.iter().map(async |(service, blueprint)| {
            let mut seen = seen.clone();
            let dependents: Vec<&String> = self
                .containers
                .iter()
                .filter(|(_, other)| other.needs.iter().any(|(needed, _)| needed == service))
                .map(|(name, _)| name)
                .collect();
            seen.wait_for(|all| dependents.iter().all(|name| all.contains(*name))).await.map_err(told)?;
            self.engine.stop_container(&blueprint.name, None::<StopContainerOptions>).await.map_err(told)?;
            stopped.send_modify(|all| {
                all.insert(service.clone());
            });
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            self.engine.remove_container(&blueprint.name, Some(options)).await.map_err(told)
        }))
        .await?;
        try_join_all(
            self.networks
                .iter()
                .map(async |network| self.engine.remove_network(&network.name).await.map_err(told)),
        )
        .await
        .map(|_| ())
    }

    fn listen(&self) -> (watch::Receiver<BTreeMap<String, Seen>>, tokio::task::JoinHandle<()>) {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", vec![format!("{PROJECT}={}", self.project)]),
            ("event", ["start", "die", "health_status"].map(str::to_owned).to_vec()),
        ]);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let since = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let (sender, receiver) = watch::channel(BTreeMap::<String, Seen>::new());
        let mut events =
            Box::pin(self.engine.clone().with_timeout(Duration::from_mins(10)).events(Some(options)));
        let reader = tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
                let Some(name) = attributes.get("name").cloned() else { continue };
                sender.send_modify(|all| {
                    let seen = all.entry(name).or_default();
                    match event.action.as_deref().unwrap_or_default() {
                        "start" => seen.started = true,
                        "die" => seen.exited = attributes.get("exitCode").and_then(|code| code.parse().ok()),
                        "health_status: healthy" => seen.healthy = true,
                        _ => {}
                    }
                });
            }
        });
        (receiver, reader)
    }
}

impl Blueprint {
    async fn copy(engine: &Docker, id: &str) -> Result<(String, Self), String> {
        let found = engine
            .inspect_container(id, None::<bollard::query_parameters::InspectContainerOptions>)
            .await
            .map_err(told)?;
        let config = found.config.unwrap_or_default();
        let labels = config.labels.clone().unwrap_or_default();
        let service = labels.get(SERVICE).cloned().unwrap_or_default();
        let goal = |word: &str| match word {
            "service_healthy" => Goal::Healthy,
            "service_completed_successfully" => Goal::Completed,
            _ => Goal::Started,
        };
        let needs = labels.get(DEPENDS_ON).map_or("", String::as_str).split(',').filter_map(|need| {
            let mut parts = need.split(':');
            Some((parts.next().filter(|name| !name.is_empty())?.to_owned(), goal(parts.next()?)))
        });
        let has_check = found.state.and_then(|state| state.health).is_some();
        let short = id.get(..12).unwrap_or(id).to_owned();
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let endpoints = networks.into_iter().map(|(name, endpoint)| {
            let aliases =
                endpoint.aliases.map(|all| all.into_iter().filter(|alias| *alias != short).collect());
            (name, EndpointSettings { aliases, ..EndpointSettings::default() })
        });
        // The engine answers with what it was asked, in the same words.
        let mut body = serde_json::to_value(&config).map_err(told)?;
        let fields = body.as_object_mut().ok_or("raw API: no configuration")?;
        if fields.get("Hostname").and_then(|name| name.as_str()) == Some(&short) {
            fields.remove("Hostname");
        }
        let mut body: ContainerCreateBody = serde_json::from_value(body).map_err(told)?;
        body.host_config = found.host_config;
        body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints.collect()) });
        let name = found.name.unwrap_or_default().trim_start_matches('/').to_owned();
        let needs = needs.collect();
        Ok((service, Self { name, body, has_check, needs }))
    }
}
