//! `status`: what runs, how it is, and where it answers.

use serde::Serialize;

use super::official::{self, Images};
use super::{Context, Subject, branch, failures};
use crate::base::Failure;
use crate::engine::Engine;
use crate::plan::observed::{Container, Health, Port, State};
use crate::plan::{labels, up};

/// The state of a project, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Of this document's form.
    pub version: u32,
    /// The project's name.
    pub project: String,
    /// The environment that the command means; none where only a project was named.
    pub environment: Option<Meant>,
    /// The branch of the data that its services work on; none where there are no branches.
    pub branch: Option<String>,
    /// Its services, by name and number.
    pub services: Vec<Row>,
}

/// Which environment a command means, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Meant {
    /// What it is called.
    pub name: String,
    /// Whether it is the compose project itself.
    pub default: bool,
    /// What says so.
    pub origin: String,
    /// The git branch that it follows.
    pub git: Option<String>,
}

impl Meant {
    fn of(context: &Context) -> Option<Self> {
        let standing = context.standing.as_ref()?;
        Some(Self {
            name: standing.label.clone(),
            default: standing.is_default(),
            origin: standing.origin.to_string(),
            git: standing.git.clone(),
        })
    }
}

/// One container, or a service without one.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The service.
    pub service: String,
    /// The container's name; empty when there is none.
    pub container: String,
    /// The container's id; empty when there is none.
    pub id: String,
    /// The image it runs.
    pub image: String,
    /// `running`, `exited`, …, or `missing`.
    pub state: &'static str,
    /// The exit code of one that ended.
    pub exit_code: Option<i64>,
    /// What its health check says, if it has one.
    pub health: Option<Health>,
    /// The engine's sentence.
    pub status: String,
    /// Where it answers on this machine.
    pub addresses: Vec<String>,
    /// The same as numbers.
    pub ports: Vec<Port>,
    /// Whether it was made from another configuration than the one that stands in the file now.
    pub drifted: bool,
    /// No service of the file owns it.
    pub orphan: bool,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

impl Row {
    /// One word for people: the health where there is one, else the state.
    #[must_use]
    pub fn word(&self) -> String {
        match (self.health, self.exit_code) {
            (Some(health), _) if self.state == "running" => health.word().to_owned(),
            (_, Some(0)) => "completed".to_owned(),
            (_, Some(code)) => format!("exited ({code})"),
            _ => self.state.to_owned(),
        }
    }

    /// Whether it is as it should be: healthy, running without a check, or done.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(self.word().as_str(), "healthy" | "running" | "completed")
    }
}

/// Looks at the project. With `all`, containers that ended are listed too; services without any always are.
pub async fn status(context: &Context, services: &[String], all: bool) -> Result<Status, Failure> {
    let loaded = match context.load(&[]) {
        Ok(loaded) => loaded,
        Err(failure) => {
            let subject = context.name_only(failure)?;
            return of(&context.engine().await?, &subject, services, all).await;
        }
    };
    let engine = context.engine().await?;
    let containers = engine.containers(&loaded.project.name).await.map_err(failures::engine)?;
    // What runs may have been made with official images; where nothing runs, none are looked for.
    let images = if containers.is_empty() { Images::Source } else { context.choice.images };
    let loaded = official::choose(context, &engine, loaded, &[], images).await?;
    let subject = context.subject_of(loaded)?;
    subject.knows(services)?;
    let status = of_containers(&subject, &containers, services, all);
    Ok(Status {
        branch: branch::current_name(context, &engine, subject).await,
        environment: Meant::of(context),
        ..status
    })
}

/// The same for a project that has been read.
pub async fn of(
    engine: &Engine,
    subject: &Subject,
    services: &[String],
    all: bool,
) -> Result<Status, Failure> {
    let containers = engine.containers(&subject.project.name).await.map_err(failures::engine)?;
    Ok(of_containers(subject, &containers, services, all))
}

fn of_containers(subject: &Subject, containers: &[Container], services: &[String], all: bool) -> Status {
    let project = &subject.project;
    let wanted = |name: &str| services.is_empty() || services.iter().any(|service| service == name);
    let mut rows: Vec<Row> = Vec::new();
    for container in containers.iter().filter(|c| wanted(c.service()) && (all || !c.is_one_off())) {
        let first = |other: &str| containers.iter().find(|c| c.service() == other && !c.is_one_off());
        let service = project.services.get(container.service());
        let drifted = service.is_some_and(|service| {
            container.labels.get(labels::VERSION).is_some_and(|v| v == labels::COMPOSE_VERSION)
                && up::resolve(service, |other| first(other).map(|c| c.id.clone()))
                    .is_none_or(|resolved| up::hash(&resolved) != container.config_hash())
        });
        let known =
            !subject.is_written() || project.all_services().any(|(name, _)| name == container.service());
        rows.push(row(container, drifted, !known));
    }
    for name in project.services.keys().filter(|name| wanted(name)) {
        if !containers.iter().any(|container| container.service() == name) {
            rows.push(missing(name));
        }
    }
    rows.sort_by(|a, b| (&a.service, &a.container).cmp(&(&b.service, &b.container)));
    Status { version: 1, project: project.name.clone(), environment: None, branch: None, services: rows }
}

fn row(container: &Container, drifted: bool, orphan: bool) -> Row {
    let mut addresses: Vec<String> =
        container.ports.iter().filter(|port| port.published > 0).map(address).collect();
    addresses.sort();
    addresses.dedup();
    Row {
        service: container.service().to_owned(),
        container: container.name.clone(),
        id: container.id.clone(),
        image: container.image.clone(),
        state: container.state.word(),
        exit_code: match container.state {
            State::Exited(code) => Some(code),
            _ => None,
        },
        health: container.health.filter(|_| container.state.is_up()),
        status: container.status.clone(),
        addresses,
        ports: container.ports.clone(),
        drifted,
        orphan,
        created: container.created,
    }
}

fn missing(service: &str) -> Row {
    Row {
        service: service.to_owned(),
        container: String::new(),
        id: String::new(),
        image: String::new(),
        state: "missing",
        exit_code: None,
        health: None,
        status: String::new(),
        addresses: Vec::new(),
        ports: Vec::new(),
        drifted: false,
        orphan: false,
        created: 0,
    }
}

/// An address to click or to paste.
fn address(port: &Port) -> String {
    let host = match port.reachable_ip() {
        ip if ip.contains(':') => format!("[{ip}]"),
        ip => ip.to_owned(),
    };
    let suffix = if port.protocol == "tcp" { String::new() } else { format!("/{}", port.protocol) };
    format!("{host}:{}{suffix}", port.published)
}
