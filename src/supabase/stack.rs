//! `x-devenv.supabase` in a compose file: which services make up a Supabase-style stack.

use serde::Deserialize;
use serde_json::Value;

use crate::base::{Failure, Kind};

/// A Supabase-style stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// The folder that `supabase init` makes, relative to the project's.
    #[serde(default = "default_directory")]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The service.
    pub service: String,
    /// The port inside its container.
    pub port: u16,
}

/// A database and how to log in.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The service.
    pub service: String,
    /// The port inside its container.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The role that owns what migrations make.
    #[serde(default = "default_user")]
    pub user: String,
    /// Its password.
    #[serde(default = "default_user")]
    pub password: String,
    /// The database.
    #[serde(default = "default_user")]
    pub name: String,
}

/// A service by whose environment the keys are known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The service.
    pub service: String,
}

/// A volume of a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The service.
    pub service: String,
    /// The key of the volume.
    pub volume: String,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({}:{} {} ***)", self.service, self.port, self.name)
    }
}

fn default_directory() -> String {
    "./supabase".to_owned()
}

fn default_port() -> u16 {
    5432
}

fn default_user() -> String {
    "postgres".to_owned()
}

impl Stack {
    /// Reads the value of the key `x-devenv`; none when it names no such stack.
    pub fn read(x_devenv: &Value) -> Result<Option<Self>, Failure> {
        let Some(section) = x_devenv.get("supabase") else { return Ok(None) };
        Self::deserialize(section).map(Some).map_err(|error| {
            Failure::new(Kind::Files, format!("x-devenv.supabase: {error}"))
                .hint("`devenv schema devenv` prints what can stand there")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_has_the_usual_value() {
        let stack =
            Stack::read(&json!({ "supabase": { "database": { "service": "db" } } })).unwrap().unwrap();
        assert_eq!((stack.directory.as_str(), stack.database.port), ("./supabase", 5432));
        assert_eq!(Stack::read(&json!({})).unwrap(), None);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let wrong = json!({ "supabase": { "database": { "service": "db" }, "gatway": {} } });
        let failure = Stack::read(&wrong).unwrap_err();
        assert!(failure.message.contains("gatway"), "{failure}");
    }
}
