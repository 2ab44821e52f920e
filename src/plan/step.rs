//! What will be done: acts with their causes, each after those that it needs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Everything that a command will do, as data. Nothing has happened yet.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// In an order in which they could run one by one.
    pub steps: Vec<Step>,
    /// What the user should know before.
    pub warnings: Vec<String>,
}

/// One act, why, and after which others.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What is done.
    pub act: Act,
    /// Why.
    pub cause: Cause,
    /// Indices of steps that must have ended before.
    pub after: Vec<usize>,
}

/// A container by its name and, where it exists already, its id (names can be taken over, ids cannot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The service it belongs to.
    pub service: String,
    /// The container's name.
    pub name: String,
    /// The full id, when it is known.
    pub id: Option<String>,
}

impl Target {
    /// What the engine is told: the id, or else the name.
    #[must_use]
    pub fn handle(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// What a dependency has to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Its processes exist.
    Started,
    /// Its health check passes.
    Healthy,
    /// It ran to its end with exit code 0.
    Completed,
    /// Healthy where there is a health check, else running, or done with exit code 0.
    Ready,
}

/// One act on the engine (or, for [`Act::Prepare`], on the database).
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "act", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields' names say it")]
pub enum Act {
    /// Makes the network that stands under `key` in the compose file.
    CreateNetwork { key: String, name: String },
    /// Removes a network.
    RemoveNetwork { name: String, id: String },
    /// Makes the volume that stands under `key` in the compose file.
    CreateVolume { key: String, name: String },
    /// Removes a volume and what is in it.
    RemoveVolume { name: String },
    /// Gets an image from its registry.
    Pull { image: String, service: String },
    /// Builds the image of a service.
    Build { image: String, service: String },
    /// Removes an image.
    RemoveImage { image: String },
    /// Makes a container. `inherit` carries the anonymous volumes of the one it replaces, target → volume.
    Create {
        #[serde(flatten)]
        target: Target,
        number: u32,
        replaces: Option<String>,
        inherit: Vec<(String, String)>,
    },
    /// Gives a container its final name.
    Rename {
        #[serde(flatten)]
        target: Target,
        to: String,
    },
    /// Starts a container, its `post_start` hooks included.
    Start {
        #[serde(flatten)]
        target: Target,
    },
    /// Stops a container, its `pre_stop` hooks included. No `grace` means the container's own.
    Stop {
        #[serde(flatten)]
        target: Target,
        grace: Option<Duration>,
    },
    /// Stops and starts a container.
    Restart {
        #[serde(flatten)]
        target: Target,
        grace: Option<Duration>,
    },
    /// Sends a signal.
    Kill {
        #[serde(flatten)]
        target: Target,
        signal: String,
    },
    /// Freezes the processes of a container.
    Pause {
        #[serde(flatten)]
        target: Target,
    },
    /// Lets them go on.
    Unpause {
        #[serde(flatten)]
        target: Target,
    },
    /// Removes a container, with its anonymous volumes if `volumes`.
    Remove {
        #[serde(flatten)]
        target: Target,
        volumes: bool,
    },
    /// Waits until every container of a service has reached `goal`. When it is not `required`, not
    /// reaching it is a warning.
    Await { service: String, goal: Goal, required: bool },
    /// Applies roles, migrations and seeds to the database that `service` runs.
    Prepare { service: String },
}

/// Why a step is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", content = "detail", rename_all = "snake_case")]
pub enum Cause {
    /// It is not there.
    Missing,
    /// The user asked for just this.
    Asked,
    /// The service's configuration is not the one that the container was made from; in which fields, if they
    /// are known.
    ConfigChanged(Vec<String>),
    /// The service's image is another one now.
    ImageChanged,
    /// The network that it is attached to was changed or made again.
    NetworkChanged(String),
    /// A service whose namespace or volumes it uses, or that it depends on with `restart: true`, was replaced.
    DependencyReplaced(String),
    /// It is there, but does not run.
    NotRunning,
    /// The other steps of a replacement.
    Replaced,
    /// A command that was killed left it behind.
    LeftBehind,
    /// The service wants fewer containers.
    TooMany,
    /// No service of the compose file owns it.
    Orphan,
    /// The named service depends on it.
    NeededBy(String),
    /// The image's `pull_policy`, or `--pull`, says so.
    PullPolicy(String),
    /// `--build`, or `pull_policy: build`.
    BuildWanted,
    /// `up` ends when everything is ready.
    WaitForAll,
    /// Schema and data come before those who use them.
    BeforeDependents,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetwork { name, .. } => write!(f, "create network {name}"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::CreateVolume { name, .. } => write!(f, "create volume {name}"),
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::Pull { image, .. } => write!(f, "pull image {image}"),
            Self::Build { image, .. } => write!(f, "build image {image}"),
            Self::RemoveImage { image } => write!(f, "remove image {image}"),
            Self::Create { target, .. } => write!(f, "create container {}", target.name),
            Self::Rename { target, to } => write!(f, "rename container {} to {to}", target.name),
            Self::Start { target } => write!(f, "start container {}", target.name),
            Self::Stop { target, .. } => write!(f, "stop container {}", target.name),
            Self::Restart { target, .. } => write!(f, "restart container {}", target.name),
            Self::Kill { target, signal } => write!(f, "send {signal} to container {}", target.name),
            Self::Pause { target } => write!(f, "pause container {}", target.name),
            Self::Unpause { target } => write!(f, "unpause container {}", target.name),
            Self::Remove { target, .. } => write!(f, "remove container {}", target.name),
            Self::Await { service, goal, .. } => write!(f, "wait until {service} is {}", goal.word()),
            Self::Prepare { service } => write!(f, "apply migrations and seeds to {service}"),
        }
    }
}

impl Goal {
    /// The word for it in a sentence: "wait until db is …".
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
            Self::Ready => "ready",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not there"),
            Self::Asked => f.write_str("asked for"),
            Self::ConfigChanged(fields) if fields.is_empty() => f.write_str("configuration changed"),
            Self::ConfigChanged(fields) => write!(f, "configuration changed: {}", fields.join(", ")),
            Self::ImageChanged => f.write_str("image changed"),
            Self::NetworkChanged(network) => write!(f, "network {network} changed"),
            Self::DependencyReplaced(service) => write!(f, "{service} was replaced"),
            Self::NotRunning => f.write_str("not running"),
            Self::Replaced => f.write_str("replaced"),
            Self::LeftBehind => f.write_str("left behind by a command that was killed"),
            Self::TooMany => f.write_str("more containers than wanted"),
            Self::Orphan => f.write_str("no service owns it"),
            Self::NeededBy(service) => write!(f, "{service} depends on it"),
            Self::PullPolicy(policy) => write!(f, "pull policy {policy}"),
            Self::BuildWanted => f.write_str("build asked for"),
            Self::WaitForAll => f.write_str("up ends when all is ready"),
            Self::BeforeDependents => f.write_str("before its dependents start"),
        }
    }
}

impl fmt::Display for Plan {
    /// One line a step: number, act, cause, and the numbers of the steps before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acts: Vec<String> = self.steps.iter().map(|step| step.act.to_string()).collect();
        let width = acts.iter().map(|act| act.chars().count()).max().unwrap_or(0);
        for (index, (step, act)) in self.steps.iter().zip(&acts).enumerate() {
            write!(f, "{:>3}  {act:<width$}  # {}", index + 1, step.cause)?;
            if !step.after.is_empty() {
                let after: Vec<String> = step.after.iter().map(|i| (i + 1).to_string()).collect();
                write!(f, "; after {}", after.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Plan {
    /// Adds a step and says its index.
    pub fn add(&mut self, act: Act, cause: Cause, mut after: Vec<usize>) -> usize {
        after.sort_unstable();
        after.dedup();
        self.steps.push(Step { act, cause, after });
        self.steps.len() - 1
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
