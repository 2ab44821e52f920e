//! Asks the engine what it holds for a project.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{ContainerSummary, ImageInspect, Volume as EngineVolume};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use futures_util::future::{try_join_all, try_join3};

use super::Engine;
use super::error::{Doing, Error};
use crate::plan::labels;
use crate::plan::observed::{Container, Image, Mount, Network, Observed, Port, Volume, read_status};

/// What to look at besides what carries the project's label.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The project's name.
    pub project: String,
    /// Images to look for, by reference.
    pub images: BTreeSet<String>,
    /// Names of networks that may exist without our label (external ones, or made by hand).
    pub networks: BTreeSet<String>,
    /// Names of volumes that may exist without our label.
    pub volumes: BTreeSet<String>,
}

impl Engine {
    /// Everything of one project, asked for at once.
    pub async fn observe(&self, scope: &Scope) -> Result<Observed, Error> {
        let ((containers, images), networks, volumes) = try_join3(
            futures_util::future::try_join(self.containers(&scope.project), self.images(&scope.images)),
            self.networks(scope),
            self.volumes(scope),
        )
        .await?;
        Ok(Observed { containers, networks, volumes, images })
    }

    /// The containers of a project, one-offs included, ordered by service and number.
    pub async fn containers(&self, project: &str) -> Result<Vec<Container>, Error> {
        self.containers_with(&format!("{}={project}", labels::PROJECT)).await
    }

    /// All running containers, whoever they belong to.
    pub async fn running_containers(&self) -> Result<Vec<Container>, Error> {
        let options = ListContainersOptionsBuilder::default().build();
        let found = self.docker.list_containers(Some(options)).await.doing("list containers")?;
        Ok(found.into_iter().map(container).collect())
    }

    /// Containers that carry a label (`key` or `key=value`).
    pub async fn containers_with(&self, label: &str) -> Result<Vec<Container>, Error> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await.doing("list containers")?;
        let mut containers: Vec<Container> = found.into_iter().map(container).collect();
        containers
            .sort_by(|a, b| (a.service(), a.number(), &a.name).cmp(&(b.service(), b.number(), &b.name)));
        Ok(containers)
    }

    /// Local images by reference; those that are not there are left out.
    pub async fn images(&self, references: &BTreeSet<String>) -> Result<BTreeMap<String, Image>, Error> {
        let found = try_join_all(references.iter().map(async |reference| {
            match self.docker.inspect_image(reference).await.doing("inspect an image") {
                Ok(inspected) => Ok(Some((reference.clone(), image(inspected)))),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        }));
        Ok(found.await?.into_iter().flatten().collect())
    }

    async fn networks(&self, scope: &Scope) -> Result<Vec<Network>, Error> {
        let options = |key, values| {
            let filters = HashMap::from([(key, values)]);
            Some(ListNetworksOptionsBuilder::default().filters(&filters).build())
        };
        let label = format!("{}={}", labels::PROJECT, scope.project);
        let ours = self.docker.list_networks(options("label", vec![label]));
        let named: Vec<String> = scope.networks.iter().cloned().collect();
        let named_networks = async {
            if named.is_empty() {
                return Ok(Vec::new());
            }
            self.docker.list_networks(options("name", named)).await
        };
        let (ours, named) = futures_util::future::join(ours, named_networks).await;
        let mut networks: Vec<Network> = Vec::new();
        for found in ours.doing("list networks")?.into_iter().chain(named.doing("list networks")?) {
            let network = Network {
                id: found.id.unwrap_or_default(),
                name: found.name.unwrap_or_default(),
                labels: found.labels.unwrap_or_default().into_iter().collect(),
                made_differently: None,
            };
            // The filter by name matches parts of names too.
            let wanted = network.labels.get(labels::PROJECT) == Some(&scope.project)
                || scope.networks.contains(&network.name);
            if wanted && !networks.iter().any(|known| known.id == network.id) {
                networks.push(network);
            }
        }
        networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(networks)
    }

    async fn volumes(&self, scope: &Scope) -> Result<Vec<Volume>, Error> {
        let label = format!("{}={}", labels::PROJECT, scope.project);
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let ours = self.docker.list_volumes(Some(options)).await.doing("list volumes")?;
        let mut volumes: Vec<Volume> = ours.volumes.unwrap_or_default().into_iter().map(volume).collect();
        let unknown: Vec<&String> =
            scope.volumes.iter().filter(|name| !volumes.iter().any(|v| v.name == **name)).collect();
        let named = try_join_all(unknown.into_iter().map(async |name| {
            match self.docker.inspect_volume(name).await.doing("inspect a volume") {
                Ok(found) => Ok(Some(volume(found))),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        }));
        volumes.extend(named.await?.into_iter().flatten());
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }
}

fn container(found: ContainerSummary) -> Container {
    let word = found.state.map(|state| state.to_string()).unwrap_or_default();
    let status = found.status.unwrap_or_default();
    let (state, health) = read_status(&word, &status);
    let mut ports: Vec<Port> = found
        .ports
        .unwrap_or_default()
        .into_iter()
        .map(|port| Port {
            host_ip: port.ip.unwrap_or_default(),
            published: port.public_port.unwrap_or(0),
            target: port.private_port,
            protocol: port.typ.map(|kind| kind.to_string()).unwrap_or_default(),
        })
        .collect();
    ports.sort();
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Container {
        id: found.id.unwrap_or_default(),
        name: found
            .names
            .unwrap_or_default()
            .into_iter()
            // A link shows as a second name, `/other/alias`.
            .find(|name| name.matches('/').count() == 1)
            .map(|name| name.trim_start_matches('/').to_owned())
            .unwrap_or_default(),
        image: found.image.unwrap_or_default(),
        image_id: found.image_id.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        state,
        health,
        status,
        ports,
        networks: networks
            .into_iter()
            .map(|(name, end)| (name, end.network_id.unwrap_or_default()))
            .collect(),
        mounts: found
            .mounts
            .unwrap_or_default()
            .into_iter()
            .map(|mount| Mount {
                kind: mount.typ.unwrap_or_default(),
                name: mount.name.unwrap_or_default(),
                source: mount.source.unwrap_or_default(),
                target: mount.destination.unwrap_or_default(),
            })
            .collect(),
        created: found.created.unwrap_or(0),
        made_differently: None,
    }
}

fn image(found: ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    Image {
        id: found.id.unwrap_or_default(),
        tagged: found.metadata.and_then(|metadata| metadata.last_tag_time).map(Into::into),
        has_healthcheck: config
            .healthcheck
            .and_then(|check| check.test)
            .is_some_and(|test| test.first().is_some_and(|kind| kind != "NONE")),
        volumes: config.volumes.map(|volumes| volumes.into_iter().collect()).unwrap_or_default(),
    }
}

fn volume(found: EngineVolume) -> Volume {
    Volume { name: found.name, labels: found.labels.into_iter().collect() }
}
