//! `x-devenv` of a compose file: which service of the stack is what.

use std::fmt;

use serde_json::{Map, Value};

use crate::base::{Failure, Kind, Place};

/// What stands under `x-devenv` at the top of a compose file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extension {
    /// Where images come from.
    pub images: Images,
    /// The parts of a Supabase-like stack.
    pub supabase: Option<Stack>,
}

/// Where images come from when a service names an official one and a recipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Images {
    /// Official ones if a registry answers.
    #[default]
    Auto,
    /// Official ones.
    Official,
    /// Built here.
    Source,
}

/// The parts of a Supabase-like stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The folder of the Supabase CLI, relative to the project.
    pub directory: String,
    /// The PostgreSQL server.
    pub database: Option<Database>,
    /// REST, Auth and all else under one address.
    pub gateway: Option<Endpoint>,
    /// The studio.
    pub studio: Option<Endpoint>,
    /// The mail catcher's pages.
    pub mail: Option<Endpoint>,
    /// The service whose environment holds the keys.
    pub keys: Option<String>,
    /// Where uploaded files are.
    pub storage: Option<Storage>,
}

/// A port of a service, in its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The service.
    pub service: String,
    /// The port in the container.
    pub port: u16,
}

/// The PostgreSQL server and who migrates it.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The role that migrations run as.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database.
    pub name: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, user, password: _, name } = self;
        write!(f, "Database({user}:***@{}:{}/{name})", endpoint.service, endpoint.port)
    }
}

/// Where uploaded files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The service that keeps them.
    pub service: String,
    /// The volume they are in.
    pub volume: Option<String>,
}

/// Reads `x-devenv`, its variables replaced. `services` are the names of the project's services; `at` says
/// where a path such as `x-devenv.supabase.mail` is written. All mistakes are told at once.
pub fn read(
    extension: Option<&Value>,
    services: &[&str],
    at: &dyn Fn(&str) -> Option<Place>,
) -> Result<Extension, Failure> {
    let reader = Reader { services, at, mistakes: std::cell::RefCell::default() };
    let read = extension.filter(|value| !value.is_null()).map(|value| reader.extension(value));
    let mistakes = reader.mistakes.into_inner();
    if mistakes.is_empty() { Ok(read.unwrap_or_default()) } else { Err(Failure::all(mistakes)) }
}

struct Reader<'a> {
    services: &'a [&'a str],
    at: &'a dyn Fn(&str) -> Option<Place>,
    mistakes: std::cell::RefCell<Vec<Failure>>,
}

impl Reader<'_> {
    fn extension(&self, value: &Value) -> Extension {
        let path = "x-devenv";
        let Some(members) = self.mapping(path, value, &["images", "supabase"]) else {
            return Extension::default();
        };
        let images = match self.text(path, members, "images").as_deref() {
            None | Some("auto") => Images::Auto,
            Some("official") => Images::Official,
            Some("source") => Images::Source,
            Some(other) => {
                let message = format!("`x-devenv.images` is auto, official or source, not `{other}`");
                let choices = ["auto", "official", "source"];
                self.mistake("x-devenv.images", message, closest(other, &choices));
                Images::Auto
            }
        };
        Extension { images, supabase: members.get("supabase").and_then(|value| self.stack(value)) }
    }

    fn stack(&self, value: &Value) -> Option<Stack> {
        let path = "x-devenv.supabase";
        let known = ["directory", "database", "gateway", "studio", "mail", "keys", "storage"];
        let members = self.mapping(path, value, &known)?;
        let part = |name: &str| members.get(name).map(|value| (format!("{path}.{name}"), value));
        let endpoint = |name: &str| {
            let (path, value) = part(name)?;
            let members = self.mapping(&path, value, &["service", "port"])?;
            self.endpoint(&path, members, None)
        };
        Some(Stack {
            directory: self.text(path, members, "directory").unwrap_or_else(|| "./supabase".to_owned()),
            database: part("database").and_then(|(path, value)| self.database(&path, value)),
            gateway: endpoint("gateway"),
            studio: endpoint("studio"),
            mail: endpoint("mail"),
            keys: part("keys").and_then(|(path, value)| {
                let members = self.mapping(&path, value, &["service"])?;
                self.service(&path, members)
            }),
            storage: part("storage").and_then(|(path, value)| {
                let members = self.mapping(&path, value, &["service", "volume"])?;
                let volume = self.text(&path, members, "volume");
                Some(Storage { service: self.service(&path, members)?, volume })
            }),
        })
    }

    fn database(&self, path: &str, value: &Value) -> Option<Database> {
        let members = self.mapping(path, value, &["service", "port", "user", "password", "name"])?;
        let text = |name: &str| self.text(path, members, name).unwrap_or_else(|| "postgres".to_owned());
        let (user, password, name) = (text("user"), text("password"), text("name"));
        Some(Database { endpoint: self.endpoint(path, members, Some(5432))?, user, password, name })
    }

    fn endpoint(&self, path: &str, members: &Map<String, Value>, usual: Option<u16>) -> Option<Endpoint> {
        let service = self.service(path, members);
        let port = match members.get("port") {
            None => usual.or_else(|| self.missing(path, "port")),
            Some(value) => {
                // A variable gives text.
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let port = text.parse::<u16>().ok().filter(|port| *port > 0);
                if port.is_none() {
                    let message = format!("`{path}.port` is a port from 1 to 65535, not `{text}`");
                    self.mistake(&format!("{path}.port"), message, None);
                }
                port
            }
        };
        Some(Endpoint { service: service?, port: port? })
    }

    fn service(&self, path: &str, members: &Map<String, Value>) -> Option<String> {
        let Some(name) = self.text(path, members, "service") else {
            return if members.contains_key("service") { None } else { self.missing(path, "service") };
        };
        if !self.services.contains(&name.as_str()) {
            let message =
                format!("`{path}.service` names the service `{name}`, which this project does not have");
            self.mistake(&format!("{path}.service"), message, closest(&name, self.services));
            return None;
        }
        Some(name)
    }

    fn mapping<'v>(&self, path: &str, value: &'v Value, known: &[&str]) -> Option<&'v Map<String, Value>> {
        let Value::Object(members) = value else {
            let message = format!("`{path}` is a mapping with {}", known.join(", "));
            self.mistake(path, message, None);
            return None;
        };
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            let message = format!("`{path}.{key}` is not a known key");
            let hint = closest(key, known).unwrap_or_else(|| format!("known are {}", known.join(", ")));
            self.mistake(&format!("{path}.{key}"), message, Some(hint));
        }
        Some(members)
    }

    fn text(&self, path: &str, members: &Map<String, Value>, name: &str) -> Option<String> {
        match members.get(name)? {
            Value::String(text) => Some(text.clone()),
            // A password of digits alone.
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.mistake(&format!("{path}.{name}"), format!("`{path}.{name}` is a text"), None);
                None
            }
        }
    }

    fn missing<T>(&self, path: &str, name: &str) -> Option<T> {
        self.mistake(path, format!("`{path}` lacks `{name}`"), None);
        None
    }

    fn mistake(&self, path: &str, message: String, hint: Option<String>) {
        let mut failure = Failure::new(Kind::Files, message);
        failure.places.extend((self.at)(path));
        failure.hints.extend(hint);
        self.mistakes.borrow_mut().push(failure);
    }
}

fn closest(name: &str, known: &[&str]) -> Option<String> {
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, name);
    let nearest = known.iter().min_by_key(distance)?;
    (distance(&nearest) <= 2).then(|| format!("did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVICES: [&str; 3] = ["db", "api", "mail"];

    fn told(value: &Value) -> Vec<String> {
        let failure = read(Some(value), &SERVICES, &|_| None).unwrap_err();
        let one = |failure: &Failure| {
            std::iter::once(&failure.message).chain(&failure.hints).cloned().collect::<Vec<_>>().join(" | ")
        };
        std::iter::once(one(&failure)).chain(failure.others.iter().map(one)).collect()
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        assert_eq!(read(None, &SERVICES, &|_| None).unwrap(), Extension::default());
        let value = json!({ "supabase": {
            "database": { "service": "db", "password": 123 }, "mail": { "service": "mail", "port": "1080" },
            "storage": { "service": "api" }, "keys": { "service": "api" },
        } });
        let stack = read(Some(&value), &SERVICES, &|_| None).unwrap().supabase.unwrap();
        assert_eq!(stack.directory, "./supabase");
        assert_eq!(
            format!("{:?}", stack.database.as_ref().unwrap()),
            "Database(postgres:***@db:5432/postgres)"
        );
        assert_eq!(stack.database.unwrap().password, "123");
        assert_eq!(stack.mail.unwrap().port, 1080);
        assert_eq!(stack.gateway, None);
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        let value = json!({ "image": "auto", "images": "offical", "supabase": {
            "databse": {}, "database": { "service": "bd" }, "gateway": { "service": "api" },
            "studio": { "service": "api", "port": 99999 }, "mail": "mail", "keys": {}, "storage": { "service": [] },
        } });
        insta::assert_snapshot!(told(&value).join("\n"), @"
        `x-devenv.image` is not a known key | did you mean `images`?
        `x-devenv.images` is auto, official or source, not `offical` | did you mean `official`?
        `x-devenv.supabase.databse` is not a known key | did you mean `database`?
        `x-devenv.supabase.database.service` names the service `bd`, which this project does not have | did you mean `db`?
        `x-devenv.supabase.gateway` lacks `port`
        `x-devenv.supabase.studio.port` is a port from 1 to 65535, not `99999`
        `x-devenv.supabase.mail` is a mapping with service, port
        `x-devenv.supabase.keys` lacks `service`
        `x-devenv.supabase.storage.service` is a text
        ");
    }
}
