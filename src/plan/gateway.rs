//! What a compose file wants of the gateway: `x-devenv.gateway`, which is true, false, or what follows.
//!
//! ```yaml
//! x-devenv:
//!   gateway:
//!     idle: 30m                  # environments of this project sleep after so long without traffic, or `never`
//!     ports: {"5432": db, "8080": "api:3000/http"}   # ports of the machine that lead to the current environment
//! ```

use std::collections::BTreeMap;

use serde_json::Value;

use super::mistake::Mistake;
use crate::base::ports::{POSTGRES, USUAL_FOR_HTTP};
use crate::compose::project::{Duration, Project};

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether a gateway is wanted; none where nothing is said of it.
    pub on: Option<bool>,
    /// After how long without traffic environments of the project sleep.
    pub idle: Option<Idle>,
    /// Ports of the machine, and where they lead in the current environment.
    pub ports: BTreeMap<u16, Leads>,
}

/// After how long without traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// After so many seconds.
    Seconds(u64),
    /// They stay awake.
    Never,
}

/// Where a port leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// The service.
    pub service: String,
    /// The container's port.
    pub container_port: u16,
    /// What is spoken there.
    pub speaks: Speaks,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1: a request may wake an environment, and is passed on with its `Host`.
    Http,
    /// PostgreSQL's protocol: a connection may name a branch or an environment.
    Postgres,
    /// Anything.
    Tcp,
}

impl Speaks {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Postgres => "postgres",
            Self::Tcp => "tcp",
        }
    }
}

const PATH: &str = "x-devenv.gateway";

/// Reads what a project wants; its mistakes are told all at once.
pub fn read(project: &Project) -> Result<Wanted, Vec<Mistake>> {
    let Some(value) = project.extensions.get("x-devenv").and_then(|own| own.get("gateway")) else {
        return Ok(Wanted::default());
    };
    let mut mistakes = Vec::new();
    let mut mistake = |path: String, why: String| mistakes.push(Mistake { path, why });
    let members = match value {
        Value::Null => return Ok(Wanted::default()),
        Value::Bool(on) => return Ok(Wanted { on: Some(*on), ..Wanted::default() }),
        Value::Object(members) => members,
        _ => {
            mistake(PATH.to_owned(), format!("`{PATH}` is true, false, or a mapping with idle, ports"));
            return Err(mistakes);
        }
    };
    let mut wanted = Wanted { on: Some(true), ..Wanted::default() };
    for (key, value) in members {
        let path = format!("{PATH}.{key}");
        match key.as_str() {
            "idle" => match idle(&text(value)) {
                Ok(idle) => wanted.idle = Some(idle),
                Err(why) => mistake(path, why),
            },
            "ports" => {
                let Some(ports) = value.as_object() else {
                    mistake(path.clone(), format!("`{path}` is a mapping of ports to services"));
                    continue;
                };
                for (port, value) in ports {
                    match one(project, port, &text(value)) {
                        Ok((port, leads)) => drop(wanted.ports.insert(port, leads)),
                        Err(why) => mistake(format!("{path}.{port}"), why),
                    }
                }
            }
            _ => {
                let why = format!("`{path}` is not a known key; known are idle, ports");
                mistake(path, why);
            }
        }
    }
    if mistakes.is_empty() { Ok(wanted) } else { Err(mistakes) }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads a span: `30m`, `4h`, `2d`, or `never`.
pub fn idle(text: &str) -> Result<Idle, String> {
    if text == "never" {
        return Ok(Idle::Never);
    }
    let seconds = Duration::parse(text).ok().map(|span| span.as_std().as_secs());
    seconds
        .filter(|seconds| *seconds > 0)
        .map(Idle::Seconds)
        .ok_or_else(|| format!("`{text}` is no span: write it as `30m`, `4h`, `2d` or `never`"))
}

fn one(project: &Project, port: &str, text: &str) -> Result<(u16, Leads), String> {
    let number = port.parse::<u16>().ok().filter(|port| *port > 0);
    let number = number.ok_or_else(|| format!("`{port}` is not a port from 1 to 65535"))?;
    leads(project, text).map(|leads| (number, leads))
}

/// Reads where a port leads: `SERVICE[:PORT][/http|postgres|tcp]`. Without a port, the service's only one; without a
/// protocol, PostgreSQL's for its registered port, HTTP for a port on which that is usual, else anything.
pub fn leads(project: &Project, text: &str) -> Result<Leads, String> {
    let (rest, word) = text.split_once('/').map_or((text, None), |(rest, word)| (rest, Some(word)));
    let (name, port) = rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port)));
    let Some(service) = project.services.get(name) else {
        let known: Vec<&str> = project.services.keys().map(String::as_str).collect();
        return Err(format!("there is no service `{name}`; there are {}", known.join(", ")));
    };
    let container_port = match port {
        Some(text) => {
            let read = text.parse::<u16>().ok().filter(|port| *port > 0);
            read.ok_or_else(|| format!("`{text}` is not a port from 1 to 65535"))?
        }
        None => {
            let exposed = service.expose.iter().filter_map(|text| text.split('/').next()?.parse().ok());
            let published = service.ports.iter().filter(|port| port.protocol != "udp");
            let mut all: Vec<u16> =
                exposed.chain(published.filter_map(|port| u16::try_from(port.target).ok())).collect();
            all.sort_unstable();
            all.dedup();
            match all.as_slice() {
                [only] => *only,
                [] => return Err(format!("the file names no port of `{name}`: write `{name}:PORT`")),
                _ => return Err(format!("`{name}` has several ports: write `{name}:PORT`")),
            }
        }
    };
    let speaks = match word {
        None if container_port == POSTGRES => Speaks::Postgres,
        None if USUAL_FOR_HTTP.contains(&container_port) => Speaks::Http,
        None | Some("tcp") => Speaks::Tcp,
        Some("http") => Speaks::Http,
        Some("postgres") => Speaks::Postgres,
        Some(other) => return Err(format!("`{other}` is not spoken: http, postgres and tcp are")),
    };
    Ok(Leads { service: name.to_owned(), container_port, speaks })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compose::project::{Port, Service};

    fn project(gateway: &Value) -> Project {
        let exposes = |ports: &[&str]| Service {
            expose: ports.iter().map(|port| (*port).to_owned()).collect(),
            ..Service::default()
        };
        let published = Port { target: 3000, published: "80".to_owned(), ..Port::default() };
        let mut project = Project::default();
        project.services.insert("db".to_owned(), exposes(&["5432"]));
        project.services.insert("api".to_owned(), exposes(&["80", "443"]));
        project.services.insert("web".to_owned(), Service { ports: vec![published], ..Service::default() });
        project.services.insert("job".to_owned(), Service::default());
        project.extensions.insert("x-devenv".to_owned(), json!({ "gateway": gateway }));
        project
    }

    fn told(gateway: &Value) -> Vec<String> {
        let all = read(&project(gateway)).unwrap_err();
        all.into_iter().map(|mistake| format!("{}: {}", mistake.path, mistake.why)).collect()
    }

    #[test]
    fn what_is_said_and_what_is_not() {
        assert_eq!(read(&project(&json!(true))), Ok(Wanted { on: Some(true), ..Wanted::default() }));
        assert_eq!(read(&project(&json!(false))).unwrap().on, Some(false));
        let all = read(&project(&json!({ "idle": "30m",
            "ports": { "5432": "db", "8080": "api:443/tcp", "3000": "web", "9": "job:7" } })));
        let all = all.unwrap();
        assert_eq!((all.on, all.idle), (Some(true), Some(Idle::Seconds(1800))));
        let led = |port: u16| (all.ports[&port].service.as_str(), all.ports[&port].container_port);
        assert_eq!(
            [led(5432), led(8080), led(3000), led(9)],
            [("db", 5432), ("api", 443), ("web", 3000), ("job", 7)]
        );
        let speaks: Vec<&str> = all.ports.values().map(|leads| leads.speaks.word()).collect();
        assert_eq!(speaks, ["tcp", "http", "postgres", "tcp"], "9, 3000, 5432, 8080");
        assert_eq!(read(&project(&json!({ "idle": "never" }))).unwrap().idle, Some(Idle::Never));
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        assert_eq!(
            told(&json!("yes please")),
            ["x-devenv.gateway: `x-devenv.gateway` is true, false, or a mapping with idle, ports"]
        );
        let all = told(&json!({ "idel": "1h", "idle": "soon", "ports": {
            "0": "db", "1": "bd", "2": "api", "3": "job", "4": "db:x", "5": "db/udp" } }));
        let starts = [
            "x-devenv.gateway.idel: `x-devenv.gateway.idel` is not a known key",
            "x-devenv.gateway.idle: `soon` is no span",
            "x-devenv.gateway.ports.0: `0` is not a port",
            "x-devenv.gateway.ports.1: there is no service `bd`; there are",
            "x-devenv.gateway.ports.2: `api` has several ports: write `api:PORT`",
            "x-devenv.gateway.ports.3: the file names no port of `job`",
            "x-devenv.gateway.ports.4: `x` is not a port",
            "x-devenv.gateway.ports.5: `udp` is not spoken",
        ];
        assert_eq!(all.len(), starts.len(), "{all:#?}");
        for (told, start) in all.iter().zip(starts) {
            assert!(told.starts_with(start), "{told}");
        }
    }
}
