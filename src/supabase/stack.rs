//! `x-devenv.supabase` in a compose file: which services make up a Supabase-style stack.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::base::{Failure, Kind, Place, guess};

/// A Supabase-style stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The folder that `supabase init` makes, relative to the project's.
    pub directory: String,
    /// The database that gets roles, migrations and seeds.
    pub database: Database,
    /// The address of REST, Auth, Storage and all else.
    pub gateway: Option<End>,
    /// The Studio.
    pub studio: Option<End>,
    /// The mail catcher.
    pub mail: Option<End>,
    /// The service whose environment holds `JWT_SECRET`, `PUBLISHABLE_KEY` and `SECRET_KEY`.
    pub keys: Option<Keys>,
    /// Where uploaded objects are.
    pub storage: Option<Storage>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The service.
    pub service: String,
    /// The port inside its container.
    pub port: u16,
}

/// A database and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// The service.
    pub service: String,
    /// The port inside its container.
    pub port: u16,
    /// The role that owns what migrations make.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database.
    pub name: String,
}

/// A service by whose environment the keys are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The service.
    pub service: String,
}

/// A volume of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The service.
    pub service: String,
    /// The key of the volume.
    pub volume: Option<String>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({}:{} {} ***)", self.service, self.port, self.name)
    }
}

impl Stack {
    /// Reads what stands under `x-devenv`, its variables replaced; none when it names no such stack. `services`
    /// are the names of the project's services; `at` says where a path such as `x-devenv.supabase.mail` is
    /// written. All mistakes are told at once, each at its place and with what was probably meant.
    pub fn read(
        x_devenv: &Value,
        services: &[&str],
        at: &dyn Fn(&str) -> Option<Place>,
    ) -> Result<Option<Self>, Failure> {
        let reader = Reader { services, at, mistakes: RefCell::default() };
        let stack = reader.extension(x_devenv);
        let mistakes = reader.mistakes.into_inner();
        if mistakes.is_empty() { Ok(stack) } else { Err(Failure::all(mistakes)) }
    }
}

struct Reader<'a> {
    services: &'a [&'a str],
    at: &'a dyn Fn(&str) -> Option<Place>,
    mistakes: RefCell<Vec<Failure>>,
}

impl Reader<'_> {
    fn extension(&self, value: &Value) -> Option<Stack> {
        if value.is_null() {
            return None;
        }
        let known = [
            "branches",
            "dotenv",
            "gateway",
            "generate",
            "images",
            "masking",
            "memory",
            "merge",
            "migrations",
            "secrets",
            "seeds",
            "supabase",
            "urls",
        ];
        let members = self.mapping("x-devenv", value, &known)?;
        if let Some(branches) = members.get("branches") {
            self.list("x-devenv.branches", branches, "leave_out");
        }
        if let Some(dotenv) = members.get("dotenv")
            && !(dotenv.is_boolean() || dotenv.as_str().is_some_and(|name| !name.is_empty()))
        {
            let message = "`x-devenv.dotenv` is the name of a file, or true for `.env.local`".to_owned();
            self.mistake("x-devenv.dotenv", message, None);
        }
        if members.get("masking").is_some_and(|file| file.as_str().is_none_or(str::is_empty)) {
            self.mistake("x-devenv.masking", "`x-devenv.masking` is the name of a file".to_owned(), None);
        }
        if let Some(urls) = members.get("urls")
            && !matches!(urls.as_str(), Some("follow" | "keep"))
        {
            self.mistake("x-devenv.urls", "`x-devenv.urls` is follow or keep".to_owned(), None);
        }
        if members.get("migrations").is_some_and(|folder| folder.as_str().is_none_or(str::is_empty)) {
            self.mistake("x-devenv.migrations", "`x-devenv.migrations` is a folder".to_owned(), None);
        }
        if let Some(merge) = members.get("merge") {
            self.list("x-devenv.merge", merge, "tables");
        }
        if let Some(generate) = members.get("generate") {
            self.mapping("x-devenv.generate", generate, &["scale", "seed", "tables"]);
        }
        if let Some(seeds) = members.get("seeds") {
            self.sets(seeds);
        }
        self.stack(members.get("supabase")?)
    }

    /// Sets of seeds, by names that are the user's.
    fn sets(&self, value: &Value) {
        let is_set = |set: &Value| {
            set.is_string() || set.as_array().is_some_and(|paths| paths.iter().all(Value::is_string))
        };
        if !value.as_object().is_some_and(|sets| sets.values().all(is_set)) {
            let message = "`x-devenv.seeds` names sets, each a path or a list of paths".to_owned();
            self.mistake("x-devenv.seeds", message, None);
        }
    }

    /// What is listed is read where it is used; that it is well-formed is checked with all else.
    fn list(&self, path: &str, value: &Value, name: &str) {
        let Some(list) = self.mapping(path, value, &[name]).and_then(|members| members.get(name)) else {
            return;
        };
        if !list.as_array().is_some_and(|list| list.iter().all(Value::is_string)) {
            let what = if name == "tables" { "tables" } else { "volumes" };
            self.mistake(&format!("{path}.{name}"), format!("`{path}.{name}` is a list of {what}"), None);
        }
    }

    fn stack(&self, value: &Value) -> Option<Stack> {
        let path = "x-devenv.supabase";
        let known = ["directory", "database", "gateway", "studio", "mail", "keys", "storage"];
        let members = self.mapping(path, value, &known)?;
        let part = |name: &str| members.get(name).map(|value| (format!("{path}.{name}"), value));
        let end = |name: &str| {
            let (path, value) = part(name)?;
            let members = self.mapping(&path, value, &["service", "port"])?;
            let (service, port) = (self.service(&path, members), self.port(&path, members, None));
            Some(End { service: service?, port: port? })
        };
        let (gateway, studio, mail) = (end("gateway"), end("studio"), end("mail"));
        let keys = part("keys").and_then(|(path, value)| {
            let members = self.mapping(&path, value, &["service"])?;
            Some(Keys { service: self.service(&path, members)? })
        });
        let storage = part("storage").and_then(|(path, value)| {
            let members = self.mapping(&path, value, &["service", "volume"])?;
            let volume = self.text(&path, members, "volume");
            Some(Storage { service: self.service(&path, members)?, volume })
        });
        let database = match part("database") {
            Some((path, value)) => self.database(&path, value),
            None => self.missing(path, "database"),
        };
        let directory = self.text(path, members, "directory").unwrap_or_else(|| "./supabase".to_owned());
        Some(Stack { directory, database: database?, gateway, studio, mail, keys, storage })
    }

    fn database(&self, path: &str, value: &Value) -> Option<Database> {
        let members = self.mapping(path, value, &["service", "port", "user", "password", "name"])?;
        let text = |name: &str| self.text(path, members, name).unwrap_or_else(|| "postgres".to_owned());
        let (user, password, name) = (text("user"), text("password"), text("name"));
        let (service, port) = (self.service(path, members), self.port(path, members, Some(5432)));
        Some(Database { service: service?, port: port?, user, password, name })
    }

    fn port(&self, path: &str, members: &Map<String, Value>, usual: Option<u16>) -> Option<u16> {
        let Some(value) = members.get("port") else { return usual.or_else(|| self.missing(path, "port")) };
        // A variable gives text.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        if port.is_none() {
            let message = format!("`{path}.port` is a port from 1 to 65535, not `{text}`");
            self.mistake(&format!("{path}.port"), message, None);
        }
        port
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
    guess::closest(name, known.iter().copied(), |_| 2).map(guess::did_you_mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVICES: [&str; 3] = ["db", "api", "mail"];

    fn read(value: &Value) -> Result<Option<Stack>, Failure> {
        Stack::read(value, &SERVICES, &|_| None)
    }

    #[test]
    fn what_is_left_out_has_the_usual_value() {
        let value = json!({ "supabase": {
            "database": { "service": "db", "password": 123 }, "mail": { "service": "mail", "port": "1080" },
            "storage": { "service": "api" }, "keys": { "service": "api" },
        } });
        let stack = read(&value).unwrap().unwrap();
        assert_eq!((stack.directory.as_str(), stack.database.port), ("./supabase", 5432));
        assert_eq!((stack.database.user.as_str(), stack.database.password.as_str()), ("postgres", "123"));
        assert!(!format!("{stack:?}").contains("123"));
        assert_eq!(stack.mail.unwrap().port, 1080);
        assert_eq!(stack.gateway, None);
        for nothing in [json!({}), json!(null), json!({ "images": "auto" })] {
            assert_eq!(read(&nothing).unwrap(), None);
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        let told = |value: &Value| {
            let failure = read(value).unwrap_err();
            let one = |failure: &Failure| {
                std::iter::once(&failure.message)
                    .chain(&failure.hints)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(" | ")
            };
            std::iter::once(one(&failure))
                .chain(failure.others.iter().map(one))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let value = json!({ "image": "auto", "supabase": {
            "databse": {}, "database": { "service": "bd" }, "gateway": { "service": "api" },
            "studio": { "service": "api", "port": 99999 }, "mail": "mail", "keys": {}, "storage": { "service": [] },
        } });
        insta::assert_snapshot!(told(&value), @"
        `x-devenv.image` is not a known key | did you mean `images`?
        `x-devenv.supabase.databse` is not a known key | did you mean `database`?
        `x-devenv.supabase.gateway` lacks `port`
        `x-devenv.supabase.studio.port` is a port from 1 to 65535, not `99999`
        `x-devenv.supabase.mail` is a mapping with service, port
        `x-devenv.supabase.keys` lacks `service`
        `x-devenv.supabase.storage.service` is a text
        `x-devenv.supabase.database.service` names the service `bd`, which this project does not have | did you mean `db`?
        ");
        insta::assert_snapshot!(told(&json!({ "supabase": {} })), @"
        `x-devenv.supabase` lacks `database`
        ");
    }
}
