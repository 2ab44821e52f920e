//! What the engine was found to hold for one project. Filled by `engine::observe`, read by everyone else.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use crate::plan::labels;

/// Everything of one project at one moment.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Containers of the project, one-offs included, ordered by service and number.
    pub containers: Vec<Container>,
    /// Networks with the project's label, and those that the project names as external.
    pub networks: Vec<Network>,
    /// Volumes with the project's label, and those that the project names.
    pub volumes: Vec<Volume>,
    /// Local images by the reference that was asked for; a reference that is absent here is absent there.
    pub images: BTreeMap<String, Image>,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// The full id.
    pub id: String,
    /// The name, without the slash that the engine puts before it.
    pub name: String,
    /// The image as it was asked for.
    pub image: String,
    /// The id of the image that it runs.
    pub image_id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it does.
    pub state: State,
    /// What its health check says, if it has one.
    pub health: Option<Health>,
    /// The engine's own sentence ("Up 3 minutes (healthy)").
    pub status: String,
    /// Published and exposed ports.
    pub ports: Vec<Port>,
    /// Ids of the networks it is attached to, by network name.
    pub networks: BTreeMap<String, String>,
    /// Mounts, which is where anonymous volumes are found again.
    pub mounts: Vec<Mount>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// How it would be another one if it were made now; only asked for where the hash differs.
    pub made_differently: Option<Vec<Difference>>,
}

/// A setting in which a container differs from what it would be if it were made now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name as a compose file has it, such as `environment.TZ`.
    pub field: String,
    /// What the container was made with, as it is shown; a secret is not.
    pub was: String,
    /// What it would be made with now, as it is shown.
    pub is: String,
}

impl Difference {
    /// A difference between two values, of which one may be unset.
    #[must_use]
    pub fn new(field: &str, was: Option<&serde_json::Value>, is: Option<&serde_json::Value>) -> Self {
        let shown = |value: Option<&serde_json::Value>| match value {
            None => "unset".to_owned(),
            Some(value) => {
                let text = value.to_string();
                if is_secret(field, &text) { "***".to_owned() } else { text }
            }
        };
        Self { field: field.to_owned(), was: shown(was), is: shown(is) }
    }
}

/// Whether a value is better not shown: its name says so, or it holds words or an address that do.
fn is_secret(field: &str, value: &str) -> bool {
    const WORDS: [&str; 9] =
        ["secret", "passw", "token", "key", "credential", "private", "auth", "salt", "cookie"];
    let holds = |text: &str, words: &[&str]| {
        let text = text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    let has_login = value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    let named = field.starts_with("environment.") || field.starts_with("labels.");
    (named && holds(field, &WORDS)) || holds(value, &WORDS[..3]) || has_login
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.was, self.is)
    }
}

/// A published or exposed port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port {
    /// Address on this machine; empty when the port is only exposed.
    pub host_ip: String,
    /// Port on this machine, 0 when it is only exposed.
    pub published: u16,
    /// Port inside the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

impl Port {
    /// The address it is reached at from this machine: a wildcard stands for loopback too.
    #[must_use]
    pub fn reachable_ip(&self) -> &str {
        match self.host_ip.as_str() {
            "" | "0.0.0.0" | "::" => "127.0.0.1",
            ip => ip,
        }
    }
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`, …
    pub kind: String,
    /// The name of a volume, empty otherwise.
    pub name: String,
    /// The path on the host.
    pub source: String,
    /// The path inside the container.
    pub target: String,
}

/// One network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The full id.
    pub id: String,
    /// The name, which need not be unique at the engine.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How it would be another one if it were made now; only asked for where the hash is of another version.
    pub made_differently: Option<Vec<Difference>>,
}

/// One volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// The name, unique at the engine.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// One local image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// When it was last tagged or pulled here, for `pull_policy: daily` and its like.
    pub tagged: Option<SystemTime>,
    /// Whether the image brings a health check.
    pub has_healthcheck: bool,
    /// Paths that the image declares as volumes.
    pub volumes: Vec<String>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Made, never started.
    #[default]
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs under a restart policy.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended with this exit code.
    Exited(i64),
    /// Could not be removed.
    Dead,
}

impl State {
    /// The engine's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited(_) => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether its processes exist.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No verdict yet.
    Starting,
    /// The last probe passed.
    Healthy,
    /// `retries` probes in a row failed.
    Unhealthy,
}

impl Health {
    /// The engine's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl Container {
    fn label(&self, key: &str) -> &str {
        self.labels.get(key).map_or("", String::as_str)
    }

    /// The service it belongs to, or an empty string.
    #[must_use]
    pub fn service(&self) -> &str {
        self.label(labels::SERVICE)
    }

    /// Its number among the containers of the service, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.label(labels::NUMBER).parse().unwrap_or(0)
    }

    /// Whether `run` made it.
    #[must_use]
    pub fn is_one_off(&self) -> bool {
        self.label(labels::ONE_OFF) == "True"
    }

    /// The hash of the service as it was when the container was made.
    #[must_use]
    pub fn config_hash(&self) -> &str {
        self.label(labels::CONFIG_HASH)
    }

    /// Whether the hash is of a version of Compose whose hashes are not ours.
    #[must_use]
    pub fn is_of_another_version(&self) -> bool {
        self.label(labels::VERSION) != labels::COMPOSE_VERSION
    }

    /// Whether it ran to its end with exit code 0.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.state == State::Exited(0)
    }

    /// The first twelve characters of the id, as the engine prints it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

impl Observed {
    /// The containers of a service that are not one-offs, by number.
    pub fn of_service<'a, 'b>(
        &'a self,
        service: &'b str,
    ) -> impl Iterator<Item = &'a Container> + use<'a, 'b> {
        self.containers.iter().filter(move |c| c.service() == service && !c.is_one_off())
    }
}

/// Reads the engine's sentence about a container: the exit code of "Exited (137) 2 hours ago" and the
/// health of "Up 3 minutes (healthy)". The listing carries them nowhere else on engines before API 1.52
/// (moby `container/state.go`, `State.String`).
#[must_use]
pub fn read_status(word: &str, sentence: &str) -> (State, Option<Health>) {
    let state = match word {
        "running" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "removing" => State::Removing,
        "dead" => State::Dead,
        "exited" => {
            let code = sentence
                .strip_prefix("Exited (")
                .and_then(|rest| rest.split(')').next())
                .and_then(|code| code.parse().ok());
            State::Exited(code.unwrap_or(0))
        }
        _ => State::Created,
    };
    let health = [
        ("(healthy)", Health::Healthy),
        ("(unhealthy)", Health::Unhealthy),
        ("(health: starting)", Health::Starting),
    ];
    let health = health.into_iter().find(|(mark, _)| sentence.contains(mark)).map(|(_, health)| health);
    (state, health)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_sentence_is_read() {
        assert_eq!(read_status("exited", "Exited (137) 2 hours ago"), (State::Exited(137), None));
        assert_eq!(read_status("running", "Up 3 minutes (healthy)"), (State::Running, Some(Health::Healthy)));
        assert_eq!(
            read_status("running", "Up 1 second (health: starting)"),
            (State::Running, Some(Health::Starting))
        );
        assert_eq!(read_status("created", "Created"), (State::Created, None));
        assert_eq!(read_status("exited", ""), (State::Exited(0), None));
    }

    #[test]
    fn secrets_are_not_shown() {
        let value = |text: &str| serde_json::Value::from(text);
        let shown = |field: &str, text: &str| Difference::new(field, None, Some(&value(text))).to_string();
        assert_eq!(shown("environment.TZ", "UTC"), "environment.TZ: unset → \"UTC\"");
        assert_eq!(shown("environment.DB_PASSWORD", "x"), "environment.DB_PASSWORD: unset → ***");
        assert_eq!(shown("environment.DB", "pg://u:p@db/x"), "environment.DB: unset → ***");
        assert_eq!(shown("command", "serve --token=abc"), "command: unset → ***");
    }
}
