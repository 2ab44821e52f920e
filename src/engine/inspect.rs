//! Processes, events and disk: what the engine can be asked about running containers.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::query_parameters::{EventsOptionsBuilder, StatsOptionsBuilder};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Serialize;

use super::Engine;
use super::error::{Doing, Error};
use crate::plan::labels;

/// Whose files a container's are, and how old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The user that it runs as, as its image or its service has it: `user[:group]`.
    pub user: String,
    /// Which run of it this is: when it was started, as the engine writes it. None when it does not run.
    pub run: Option<String>,
    /// When its image was made, in seconds since 1970.
    pub image_made: i64,
}

/// Something that happened to one of the project's containers.
#[derive(Debug, Clone, Serialize)]
pub struct EngineEvent {
    /// When, in nanoseconds since 1970, by the engine's clock.
    pub time: i64,
    /// What: `create`, `start`, `die`, `health_status: healthy`, …
    pub action: String,
    /// The container's id.
    pub id: String,
    /// The container's name.
    pub container: String,
    /// The service.
    pub service: String,
    /// The image.
    pub image: String,
    /// All else that the engine says about it (exit code, signal), labels left out.
    pub attributes: BTreeMap<String, String>,
}

impl Engine {
    /// Column titles and rows of `ps` in a container.
    pub async fn processes(&self, container: &str) -> Result<(Vec<String>, Vec<Vec<String>>), Error> {
        let options = None::<bollard::query_parameters::TopOptions>;
        let top = self.docker.top_processes(container, options).await.doing("list processes")?;
        Ok((top.titles.unwrap_or_default(), top.processes.unwrap_or_default()))
    }

    /// What one has to know to write into a container.
    pub async fn within(&self, container: &str) -> Result<Within, Error> {
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        let found = self.docker.inspect_container(container, options).await.doing("inspect a container")?;
        let image = match &found.image {
            Some(image) => self.docker.inspect_image(image).await.doing("inspect an image").ok(),
            None => None,
        };
        let made: Option<SystemTime> = image.and_then(|image| image.created).map(Into::into);
        let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let state = found.state.filter(|state| state.running == Some(true));
        Ok(Within {
            user: found.config.and_then(|config| config.user).unwrap_or_default(),
            run: state.and_then(|state| state.started_at),
            image_made: i64::try_from(made.as_secs()).unwrap_or(0),
        })
    }

    /// Memory that a container holds now, in bytes, without what the kernel keeps of files for it; none when it does
    /// not run.
    pub async fn memory(&self, container: &str) -> Result<Option<u64>, Error> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = Box::pin(self.docker.stats(container, Some(options)));
        let Some(stats) = stats.next().await else { return Ok(None) };
        let Some(memory) = stats.doing("measure a container")?.memory_stats else { return Ok(None) };
        let files = ["inactive_file", "total_inactive_file"];
        let details = memory.stats.unwrap_or_default();
        let files = files.iter().find_map(|key| details.get(*key)).copied().unwrap_or(0);
        Ok(memory.usage.map(|usage| usage.saturating_sub(files)))
    }

    /// What happens to a project's containers from now on.
    #[must_use]
    pub fn events(&self, project: &str) -> BoxStream<'static, Result<EngineEvent, Error>> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{}={project}", labels::PROJECT)]),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let docker = self.patient.clone();
        let events = docker.events(Some(options)).map(|event| {
            let event = event.doing("listen to events")?;
            let actor = event.actor.unwrap_or_default();
            let mut attributes = actor.attributes.unwrap_or_default();
            let mut take = |key: &str| attributes.remove(key).unwrap_or_default();
            let (container, image, service) = (take("name"), take("image"), take(labels::SERVICE));
            Ok(EngineEvent {
                time: event.time_nano.unwrap_or(0),
                action: event.action.unwrap_or_default(),
                id: actor.id.unwrap_or_default(),
                container,
                service,
                image,
                attributes: attributes
                    .into_iter()
                    .filter(|(key, _)| {
                        ["exitCode", "signal", "execID", "execDuration"].contains(&key.as_str())
                    })
                    .collect(),
            })
        });
        Box::pin(events)
    }
}
