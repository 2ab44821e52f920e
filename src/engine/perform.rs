//! Carries out single steps. Decides nothing: what to do, and in which order, stands in the plan.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::models::{
    ContainerStateStatusEnum, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListNetworksOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
    RenameContainerOptionsBuilder, RestartContainerOptionsBuilder, StopContainerOptionsBuilder,
};

use super::Engine;
use super::error::{Doing, Error};
use super::translate::Made;
use crate::compose;
use crate::compose::project::{Project, Service};
use crate::plan::observed::Observed;
use crate::plan::{Target, labels, names, up};

/// How often, and how long after, a name is tried again that the engine is still giving to a container of a
/// command that was killed.
const TRIES_FOR_A_NAME: usize = 20;
const PAUSE_FOR_A_NAME: Duration = Duration::from_millis(100);

/// What the steps of one command share: the project, and what is known of its objects by now.
pub struct Deployment {
    /// What is deployed.
    pub project: Project,
    /// Compose files, absolute, for the containers' labels.
    pub config_files: Vec<PathBuf>,
    /// Files of `--env-file`, absolute, for the containers' labels.
    pub env_files: Vec<PathBuf>,
    /// Volumes whose content is data of a branch.
    pub bindings: Bindings,
    /// Labels by which containers say of which project and environment they are.
    pub place: Vec<(&'static str, String)>,
    /// The engine's ids of containers by service, lowest number first, and of images by reference.
    known: Mutex<Known>,
}

/// Volumes whose content is data of a branch.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// The folder on the engine's machine, by the volume's key.
    pub folders: BTreeMap<String, String>,
    /// Which keeper had the pool mounted when they were bound.
    pub keeper: String,
}

#[derive(Default)]
struct Known {
    containers: BTreeMap<String, BTreeMap<u32, (String, String)>>,
    images: BTreeMap<String, String>,
}

/// What a container is made for.
#[derive(Debug, Clone, Default)]
pub struct Purpose<'a> {
    /// The number among the service's containers.
    pub number: u32,
    /// The final name, when this container is to take the place of another.
    pub replaces: Option<&'a str>,
    /// Anonymous volumes carried over, target → volume.
    pub inherit: &'a [(String, String)],
    /// For a one-off of `run`: the random part of its name.
    pub one_off: Option<&'a str>,
    /// A one-off answers to the service's name too (`run --use-aliases`).
    pub use_aliases: bool,
    /// The caller's terminal is attached.
    pub interactive: bool,
}

/// A container that was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What the engine warned about, such as a limit that its kernel does not know.
    pub warnings: Vec<String>,
}

impl Deployment {
    /// Starts from what was observed.
    #[must_use]
    pub fn new(
        project: Project,
        config_files: Vec<PathBuf>,
        env_files: Vec<PathBuf>,
        observed: &Observed,
    ) -> Self {
        let mut known = Known::default();
        for container in observed.containers.iter().filter(|container| !container.is_one_off()) {
            let service = known.containers.entry(container.service().to_owned()).or_default();
            service.insert(container.number(), (container.id.clone(), container.name.clone()));
        }
        known.images =
            observed.images.iter().map(|(reference, image)| (reference.clone(), image.id.clone())).collect();
        Self {
            project,
            config_files,
            env_files,
            bindings: Bindings::default(),
            place: Vec::new(),
            known: Mutex::new(known),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the first container of a service.
    fn container_id(&self, service: &str) -> Option<String> {
        self.known().containers.get(service)?.values().next().map(|(id, _)| id.clone())
    }

    /// The ids and names of a service's containers.
    #[must_use]
    pub fn containers_of(&self, service: &str) -> Vec<(String, String)> {
        self.known().containers.get(service).map(|c| c.values().cloned().collect()).unwrap_or_default()
    }

    fn note_container(&self, service: &str, number: u32, id: &str, name: &str) {
        let mut known = self.known();
        known
            .containers
            .entry(service.to_owned())
            .or_default()
            .insert(number, (id.to_owned(), name.to_owned()));
    }

    /// Records an image that was built or pulled.
    pub fn note_image(&self, reference: &str, id: &str) {
        self.known().images.insert(reference.to_owned(), id.to_owned());
    }

    /// `container:alias` for every link of a service: the names that the reference gives (docker/compose
    /// `pkg/compose/convergence.go`, `getLinks`), where the number is that of the container that links.
    pub(super) fn links(&self, service: &Service, number: u32) -> Vec<String> {
        let mut links = Vec::new();
        for link in &service.links {
            let (other, alias) = link.split_once(':').unwrap_or((link, link));
            for (_, name) in self.containers_of(other) {
                links.push(format!("{name}:{alias}"));
                links.push(format!("{name}:{other}-{number}"));
                links.push(format!("{name}:{}-{other}-{number}", self.project.name));
            }
        }
        let external = service.external_links.iter().map(|link| match link.split_once(':') {
            Some(_) => link.clone(),
            None => format!("{link}:{link}"),
        });
        links.extend(external);
        links
    }

    fn labels(
        &self,
        name: &str,
        hashed: &Service,
        image_id: &str,
        purpose: &Purpose<'_>,
    ) -> HashMap<String, String> {
        let project = &self.project;
        let paths = |paths: &[PathBuf]| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
        };
        let service = &project.services[name];
        let mut all: HashMap<String, String> =
            service.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let depends_on: Vec<String> = service
            .depends_on
            .iter()
            .map(|(other, dependency)| format!("{other}:{}:{}", dependency.condition, dependency.restart))
            .collect();
        let one_off = if purpose.one_off.is_some() { "True" } else { "False" };
        let ours = [
            (labels::PROJECT, project.name.clone()),
            (labels::SERVICE, name.to_owned()),
            (labels::VERSION, labels::COMPOSE_VERSION.to_owned()),
            (labels::ONE_OFF, one_off.to_owned()),
            (labels::NUMBER, purpose.number.to_string()),
            (labels::CONFIG_HASH, up::hash(hashed)),
            (labels::IMAGE, image_id.to_owned()),
            (labels::DEPENDS_ON, depends_on.join(",")),
            (labels::WORKING_DIR, project.working_dir.display().to_string()),
            (labels::CONFIG_FILES, paths(&self.config_files)),
        ];
        all.extend(ours.map(|(key, value)| (key.to_owned(), value)));
        // The file may say it otherwise.
        for (key, value) in &self.place {
            all.entry((*key).to_owned()).or_insert_with(|| value.clone());
        }
        if !self.env_files.is_empty() {
            all.insert(labels::ENVIRONMENT_FILE.to_owned(), paths(&self.env_files));
        }
        if let Some(slug) = purpose.one_off {
            all.insert(labels::SLUG.to_owned(), slug.to_owned());
        }
        if let Some(replaced) = purpose.replaces {
            all.insert(labels::REPLACE.to_owned(), replaced.to_owned());
        }
        all
    }
}

/// How often a container that cannot be paused is tried again.
const FREEZES: u32 = 25;

impl Engine {
    /// Makes a container for a service. Secrets and configs that have no file on this side
    /// are copied in before anything runs.
    pub async fn create_container(
        &self,
        deployment: &Deployment,
        service_name: &str,
        service: &Service,
        container_name: &str,
        purpose: &Purpose<'_>,
    ) -> Result<Created, Error> {
        let project = &deployment.project;
        let resolved = up::resolve(service, |other| deployment.container_id(other)).ok_or_else(|| {
            Error::Impossible(format!("service `{service_name}` uses a container that is not there"))
        })?;
        let image = names::image(&project.name, service_name, service);
        let image_id = deployment.known().images.get(&image).cloned();
        let image_id = match image_id {
            Some(id) => id,
            None => self.docker.inspect_image(&image).await.doing("inspect an image")?.id.unwrap_or_default(),
        };
        let made = Made {
            project,
            service_name,
            service: &resolved,
            image: &image,
            container_name,
            labels: deployment.labels(service_name, &resolved, &image_id, purpose),
            inherit: purpose.inherit,
            links: deployment.links(service, purpose.number),
            use_aliases: purpose.one_off.is_none() || purpose.use_aliases,
            all_networks_at_once: self.speaks(1, 44),
            interactive: purpose.interactive,
        };
        let body = made.body()?;
        let options =
            CreateContainerOptionsBuilder::default().name(container_name).platform(&service.platform).build();
        let mut created = self.patient.create_container(Some(options.clone()), body.clone()).await;
        for _ in 0..TRIES_FOR_A_NAME {
            let conflict = matches!(
                &created,
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 409, .. })
            );
            if !conflict || !self.clear_name(container_name, &project.name, service_name).await? {
                break;
            }
            tokio::time::sleep(PAUSE_FOR_A_NAME).await;
            created = self.patient.create_container(Some(options.clone()), body.clone()).await;
        }
        let created = created.doing("create a container")?;
        let created = Created { id: created.id, warnings: created.warnings };
        let id = created.id.clone();
        let finished = async {
            for (network, endpoint) in made.later_networks() {
                let request =
                    NetworkConnectRequest { container: id.clone(), endpoint_config: Some(endpoint) };
                self.patient.connect_network(&network, request).await.doing("connect a network")?;
            }
            self.copy_secrets_and_configs(project, &resolved, &id).await
        };
        if let Err(error) = finished.await {
            // Half a container would be started by the next `up` as if it were whole.
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let _ = self.patient.remove_container(&id, Some(options)).await;
            return Err(error);
        }
        if purpose.one_off.is_none() {
            deployment.note_container(service_name, purpose.number, &id, container_name);
        }
        Ok(created)
    }

    /// Frees a name that a command had asked for which was killed meanwhile: the engine goes on making its
    /// container, which is in no list yet. Says whether to try again.
    async fn clear_name(&self, name: &str, project: &str, service: &str) -> Result<bool, Error> {
        let found = match self.inspect(name).await {
            Ok(found) => found,
            // Reserved, and not there yet.
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) => return Err(error),
        };
        let worn = found.config.and_then(|config| config.labels).unwrap_or_default();
        let is = |label: &str, value: &str| worn.get(label).is_some_and(|found| found == value);
        let unused = found.state.and_then(|state| state.status) == Some(ContainerStateStatusEnum::CREATED);
        if !(unused && is(labels::PROJECT, project) && is(labels::SERVICE, service)) {
            return Ok(false);
        }
        self.remove_container(name, true).await?;
        Ok(true)
    }

    /// Makes a network of the compose file. The engine allows several of one name, and ends a request of a command
    /// that was killed meanwhile: of several of ours, one is left.
    pub async fn create_network(&self, project: &Project, key: &str) -> Result<(), Error> {
        let network = &project.networks[key];
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<HashMap<_, _>>()
        };
        let mut all = pairs(&network.labels);
        let ours = [
            (labels::PROJECT, project.name.clone()),
            (labels::NETWORK, key.to_owned()),
            (labels::VERSION, labels::COMPOSE_VERSION.to_owned()),
            (labels::CONFIG_HASH, compose::network_hash(network)),
        ];
        all.extend(ours.map(|(key, value)| (key.to_owned(), value)));
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let pools: Vec<IpamConfig> = network
            .ipam
            .config
            .iter()
            .map(|pool| IpamConfig {
                subnet: text(&pool.subnet),
                ip_range: text(&pool.ip_range),
                gateway: text(&pool.gateway),
                auxiliary_addresses: Some(pairs(&pool.aux_addresses)).filter(|map| !map.is_empty()),
            })
            .collect();
        let request = NetworkCreateRequest {
            name: network.name.clone(),
            driver: text(&network.driver),
            internal: Some(network.internal),
            attachable: Some(network.attachable),
            ipam: Some(Ipam {
                driver: text(&network.ipam.driver),
                config: Some(pools).filter(|pools| !pools.is_empty()),
                options: Some(pairs(&network.ipam.options)).filter(|options| !options.is_empty()),
            }),
            enable_ipv4: network.enable_ipv4,
            enable_ipv6: network.enable_ipv6,
            options: Some(pairs(&network.driver_opts)),
            labels: Some(all),
            ..NetworkCreateRequest::default()
        };
        self.patient.create_network(request).await.doing("create a network")?;
        let label = format!("{}={}", labels::PROJECT, project.name);
        let filters = HashMap::from([("label", vec![label]), ("name", vec![network.name.clone()])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let mut found = self.docker.list_networks(Some(options)).await.doing("list networks")?;
        // The filter by name matches parts of names too.
        found.retain(|found| found.name.as_ref() == Some(&network.name));
        // The oldest stays: so say all who look, whenever they do.
        found.sort_by_key(|network| network.created);
        for id in found.into_iter().skip(1).filter_map(|double| double.id) {
            self.remove_network(&id).await?;
        }
        Ok(())
    }

    /// Makes a volume of the compose file. One that is bound to data is that folder of the engine's machine under
    /// the volume's name, by the engine's own driver: what is not there cannot be mounted, so that no service ever
    /// starts on an empty folder in its place.
    pub async fn create_volume(&self, deployment: &Deployment, key: &str) -> Result<(), Error> {
        let project = &deployment.project;
        let volume = &project.volumes[key];
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<HashMap<_, _>>()
        };
        // A mount may bring labels for the volume that it makes; one that is declared is made here.
        let mounts = project.services.values().flat_map(|service| &service.volumes);
        let own = mounts.filter(|mount| mount.kind == "volume" && mount.source == key);
        let mut all: HashMap<String, String> =
            own.filter_map(|mount| mount.volume.as_ref()).flat_map(|volume| pairs(&volume.labels)).collect();
        all.extend(pairs(&volume.labels));
        let ours = [
            (labels::PROJECT, project.name.clone()),
            (labels::VOLUME, key.to_owned()),
            (labels::VERSION, labels::COMPOSE_VERSION.to_owned()),
            (labels::CONFIG_HASH, compose::volume_hash(volume)),
        ];
        all.extend(ours.map(|(key, value)| (key.to_owned(), value)));
        let mut options = pairs(&volume.driver_opts);
        if let Some(device) = deployment.bindings.folders.get(key) {
            let bound = [("type", "none"), ("o", "bind"), ("device", device)];
            options = bound.map(|(option, value)| (option.to_owned(), value.to_owned())).into();
            all.insert(labels::BOUND.to_owned(), deployment.bindings.keeper.clone());
        }
        let request = VolumeCreateRequest {
            name: Some(volume.name.clone()),
            driver: Some(volume.driver.clone()).filter(|driver| !driver.is_empty()),
            driver_opts: Some(options),
            labels: Some(all),
            ..VolumeCreateRequest::default()
        };
        self.patient.create_volume(request).await.doing("create a volume")?;
        Ok(())
    }

    /// Removes a network; one that is not there is as good as removed.
    pub async fn remove_network(&self, id: &str) -> Result<(), Error> {
        gone(self.patient.remove_network(id).await.doing("remove a network"))
    }

    /// Removes a volume with all that is in it; one that is not there is as good as removed.
    pub async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let options = RemoveVolumeOptionsBuilder::default().build();
        gone(self.patient.remove_volume(name, Some(options)).await.doing("remove a volume"))
    }

    /// Removes an image by one of its names.
    pub async fn remove_image(&self, image: &str) -> Result<(), Error> {
        let options = RemoveImageOptionsBuilder::default().build();
        gone(self.patient.remove_image(image, Some(options), None).await.doing("remove an image").map(|_| ()))
    }

    /// Starts a container; starting one that runs is no mistake.
    pub async fn start(&self, container: &str) -> Result<(), Error> {
        let options = None::<bollard::query_parameters::StartContainerOptions>;
        self.patient.start_container(container, options).await.doing("start a container")
    }

    /// Stops a container within `grace`, or within its own grace period.
    pub async fn stop(&self, container: &str, grace: Option<Duration>) -> Result<(), Error> {
        let mut options = StopContainerOptionsBuilder::default();
        if let Some(grace) = grace {
            options = options.t(whole_seconds(grace));
        }
        gone(self.patient.stop_container(container, Some(options.build())).await.doing("stop a container"))
    }

    /// Stops and starts a container.
    pub async fn restart(&self, container: &str, grace: Option<Duration>) -> Result<(), Error> {
        let mut options = RestartContainerOptionsBuilder::default();
        if let Some(grace) = grace {
            options = options.t(whole_seconds(grace));
        }
        self.patient.restart_container(container, Some(options.build())).await.doing("restart a container")
    }

    /// Sends a signal to a container's first process.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<(), Error> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        self.patient.kill_container(container, Some(options)).await.doing("signal a container")
    }

    /// Freezes a container's processes.
    pub async fn pause(&self, container: &str) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            match self.patient.pause_container(container).await.doing("pause a container") {
                // The freezer of the older control groups gives up now and then while processes are being started.
                Err(error) if tries < FREEZES && error.to_string().contains("unable to freeze") => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Lets them go on.
    pub async fn unpause(&self, container: &str) -> Result<(), Error> {
        self.patient.unpause_container(container).await.doing("unpause a container")
    }

    /// Gives a container another name.
    pub async fn rename(&self, target: &Target, to: &str) -> Result<(), Error> {
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        self.patient.rename_container(target.handle(), options).await.doing("rename a container")
    }

    /// Removes a container, running or not; one that is not there is as good as removed.
    pub async fn remove_container(&self, container: &str, volumes: bool) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(volumes).build();
        let removed =
            self.patient.remove_container(container, Some(options)).await.doing("remove a container");
        match removed {
            // Somebody else's removal of it is under way.
            Err(error) if error.is_conflict() => Ok(()),
            other => gone(other),
        }
    }
}

fn gone(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

fn whole_seconds(span: Duration) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "clamped")]
    let seconds = span.as_secs_f64().ceil().min(f64::from(i32::MAX)) as i32;
    seconds
}
