//! Brings the database of a Supabase-style stack to where the project's files want it, and says where the
//! stack answers: what `up` does between the database and its dependents, and what `status -o env` prints.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Context, Subject, failures};
use crate::base::{Event, Failure, Kind, Place};
use crate::compose::dotenv;
use crate::compose::project::Project;
use crate::engine::Engine;
use crate::plan::observed::Container;
use crate::postgres::{Changed, Encryption, Migration, Password, Prepare, Prepared, Seed, Target, prepare};
use crate::supabase::stack::{Database, End, Stack};
use crate::supabase::status::{Keys, Status};
use crate::supabase::{Config, config, migrations, seeds};

/// How long a database that is healthy may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What is left out on request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Skip {
    /// `--no-migrate`.
    pub migrations: bool,
    /// `--no-seed`.
    pub seeds: bool,
}

/// The files of `supabase/`.
struct Folder {
    /// The folder itself, absolute.
    path: PathBuf,
    /// Where the migrations are, absolute.
    migrations: PathBuf,
    config: Config,
}

/// Applies roles, migrations and seeds that the database lacks; tells what was done.
pub async fn prepare_database(
    context: &Context,
    engine: &Engine,
    project: &Project,
    stack: &Stack,
    skip: Skip,
) -> Result<(), Failure> {
    let folder = Folder::open(context, project, stack)?;
    let target = target(engine, &project.name, &stack.database).await?;
    let request = folder.request(context, target, skip)?;
    let read = |path: &Path| std::fs::read(path);
    let prepared = prepare(&request, &read, &context.events).await?;
    tell_stubs(context, &request, &prepared);
    Ok(())
}

/// The seeds that `up` loads, in their order.
pub(super) fn seeds(context: &Context, project: &Project, stack: &Stack) -> Result<Vec<Seed>, Failure> {
    Ok(Folder::open(context, project, stack)?.seeds(context))
}

/// Says which extensions that the project's files use are only stubs, whenever something of them was run.
fn tell_stubs(context: &Context, request: &Prepare, prepared: &Prepared) {
    if prepared.stubs.is_empty() || (prepared.migrations.is_empty() && prepared.seeds.is_empty()) {
        return;
    }
    let migrations = request.migrations.iter().flatten().map(|migration| &migration.path);
    let files = migrations.chain(request.seeds.iter().map(|seed| &seed.path));
    // What could not be read has failed before.
    let texts: Vec<String> = files.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let used = prepared.stubs.iter().filter(|stub| texts.iter().any(|text| uses(text, &stub.name)));
    let names: Vec<String> = used.map(|stub| format!("{} ({})", stub.name, stub.comment)).collect();
    if !names.is_empty() {
        context
            .events
            .tell(Event::warning(format!("extensions that are only stubs here: {}", names.join(", "))));
    }
}

/// Whether SQL uses an extension: by its name, or by its schema, which is the name without its prefix
/// (`vault.` of `supabase_vault`, `net.` of `pg_net`).
fn uses(sql: &str, extension: &str) -> bool {
    let short = extension.trim_start_matches("supabase_").trim_start_matches("pg_");
    let stands = |needle: &str| {
        sql.match_indices(needle).any(|(at, _)| {
            !sql[..at].ends_with(|before: char| before.is_alphanumeric() || "_.-@".contains(before))
        })
    };
    stands(extension) || stands(&format!("{short}."))
}

impl Folder {
    fn open(context: &Context, project: &Project, stack: &Stack) -> Result<Self, Failure> {
        let path = project.working_dir.join(&stack.directory);
        let file = path.join("config.toml");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unreadable(&file, error)),
        };
        let own = Self::variables(context, &path)?;
        let variable = |name: &str| context.environment.get(name).or_else(|| own.get(name)).cloned();
        let name = project.working_dir.file_name().map(|name| name.to_string_lossy().into_owned());
        let (config, warnings) =
            Config::read(&context.shown(&file), &text, &name.unwrap_or_default(), &variable)?;
        for warning in &warnings {
            context.events.warn(warning);
        }
        let named = project.extensions.get("x-devenv").and_then(|it| it["migrations"].as_str());
        let migrations =
            named.map_or_else(|| path.join("migrations"), |named| project.working_dir.join(named));
        Ok(Self { path, migrations, config })
    }

    /// The variables of `supabase/.env`.
    fn variables(context: &Context, folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
        let file = folder.join(".env");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(unreadable(&file, error)),
        };
        let lookup = |name: &str| context.environment.get(name).cloned();
        let found = dotenv::parse(&text, dotenv::Format::Dotenv, &lookup).map_err(|error| {
            let excerpt =
                text.lines().nth(error.line.saturating_sub(1) as usize).unwrap_or_default().to_owned();
            let width = u32::try_from(excerpt.chars().count()).unwrap_or(1);
            let place = Place { path: context.shown(&file), line: error.line, column: 1, width, excerpt };
            Failure::new(Kind::Files, error.message).at(place)
        })?;
        Ok(found.values)
    }

    fn request(&self, context: &Context, target: Target, skip: Skip) -> Result<Prepare, Failure> {
        let roles = self.path.join("roles.sql");
        let vault: Vec<(String, Password)> = self
            .config
            .db
            .vault
            .iter()
            .map(|(name, secret): (&String, &config::Secret)| (name.clone(), Password::new(secret.reveal())))
            .collect();
        let migrations = if skip.migrations || !self.config.db.migrations {
            None
        } else {
            Some(self.migrations(context)?)
        };
        let seeds = if skip.seeds || !self.config.db.seeds { Vec::new() } else { self.seeds(context) };
        Ok(Prepare {
            target,
            patience: PATIENCE,
            roles: (!skip.migrations && roles.is_file()).then_some(roles),
            vault,
            migrations,
            seeds,
            changed: Changed::Tell,
        })
    }

    fn migrations(&self, context: &Context) -> Result<Vec<Migration>, Failure> {
        let folder = self.migrations.clone();
        let names = names_in(&folder).unwrap_or_default();
        let found = migrations::find(&context.shown(&folder), names.iter().map(|entry| entry.name.as_str()))?;
        for warning in &found.warnings {
            context.events.warn(warning);
        }
        let migration = |found: migrations::Migration| Migration {
            version: found.version,
            name: found.name,
            path: context.directory.join(found.path),
        };
        Ok(found.migrations.into_iter().map(migration).collect())
    }

    fn seeds(&self, context: &Context) -> Vec<Seed> {
        // Patterns start at the folder that holds `supabase`, whatever that one is really called.
        let inside = |path: &str| match path.strip_prefix("supabase") {
            Some(rest) => self.path.join(rest.trim_start_matches('/')),
            None => self.path.join("..").join(path),
        };
        let found = seeds::expand(&self.config.db.seed_paths, &|path| names_in(&inside(path)));
        for warning in &found.warnings {
            context.events.warn(warning);
        }
        let seed = |name: String| Seed { path: inside(&name), name };
        found.files.into_iter().map(seed).collect()
    }
}

fn names_in(folder: &Path) -> Option<Vec<seeds::Entry>> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let entry = |entry: std::fs::DirEntry| seeds::Entry {
        name: entry.file_name().to_string_lossy().into_owned(),
        directory: entry.path().is_dir(),
    };
    Some(entries.map(entry).collect())
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(Kind::Files, "cannot be read").at(Place::file(path)).source(error)
}

/// Where the database answers on this machine.
async fn target(engine: &Engine, project: &str, database: &Database) -> Result<Target, Failure> {
    let containers = engine.containers(project).await.map_err(failures::engine)?;
    let end = End { service: database.service.clone(), port: database.port };
    let Some((host, port)) = address(&containers, &end) else {
        return Err(Failure::new(
            Kind::Files,
            format!(
                "service `{}` does not publish its port {}, so migrations cannot reach it",
                end.service, end.port
            ),
        )
        .hint(format!("give it `ports: [\"127.0.0.1::{}\"]`", end.port)));
    };
    Ok(Target {
        host,
        port,
        user: database.user.clone(),
        password: Password::new(&database.password),
        database: database.name.clone(),
        encryption: Encryption::None,
    })
}

/// Host and port of a service's port on this machine, if it runs and publishes it.
fn address(containers: &[Container], end: &End) -> Option<(String, u16)> {
    let running =
        containers.iter().filter(|c| c.service() == end.service && c.state.is_up() && !c.is_one_off());
    let port = running
        .flat_map(|container| &container.ports)
        .find(|port| port.target == end.port && port.published > 0 && port.protocol == "tcp")?;
    Some((port.reachable_ip().to_owned(), port.published))
}

/// Where the stack answers and with which keys, of what runs.
pub async fn supabase_status(context: &Context) -> Result<Status, Failure> {
    let Subject { project, stack, .. } = context.subject(&[])?;
    let Some(stack) = stack else {
        return Err(Failure::new(
            Kind::Usage,
            format!("project `{}` is not a Supabase-style stack", project.name),
        )
        .hint("`x-devenv.supabase` in the compose file makes it one: see `devenv template show supabase`"));
    };
    let folder = Folder::open(context, &project, &stack)?;
    let engine = context.engine().await?;
    let containers = engine.containers(&project.name).await.map_err(failures::engine)?;
    let at = |end: &End| address(&containers, end);
    let url = |end: &Option<End>| {
        let (host, port) = at(end.as_ref()?)?;
        Some(format!("http://{host}:{port}"))
    };
    let database = &stack.database;
    let end = End { service: database.service.clone(), port: database.port };
    let Some((host, port)) = at(&end) else {
        return Err(Failure::new(Kind::Unhealthy, format!("service `{}` does not run", end.service))
            .hint("start the stack with `devenv up`"));
    };
    let Database { user, password, name, .. } = database;
    let api_url = url(&stack.gateway);
    let is_up = |service: &str| containers.iter().any(|c| c.service() == service && c.state.is_up());
    let api = api_url.is_some();
    Ok(Status {
        db_url: format!("postgresql://{user}:{}@{host}:{port}/{name}", percent(password)),
        rest: api && folder.config.api.enabled,
        functions: api && folder.config.edge_runtime.enabled && is_up("functions"),
        auth: api && folder.config.auth.enabled,
        storage_s3: api && folder.config.storage.enabled,
        studio_url: url(&stack.studio).filter(|_| folder.config.studio.enabled),
        mail_url: url(&stack.mail),
        api_url,
        keys: keys(&project, &stack),
    })
}

/// The keys in the environment of the service that the stack names; the fixed local ones where it is silent.
fn keys(project: &Project, stack: &Stack) -> Keys {
    let mut keys = Keys::local();
    let service = stack.keys.as_ref().and_then(|keys| project.services.get(&keys.service));
    let variable =
        |name: &str| service?.environment.get(name).cloned().flatten().filter(|value| !value.is_empty());
    let fields = [
        (&mut keys.jwt_secret, "JWT_SECRET"),
        (&mut keys.publishable, "PUBLISHABLE_KEY"),
        (&mut keys.secret, "SECRET_KEY"),
    ];
    for (field, name) in fields {
        if let Some(value) = variable(name) {
            *field = value;
        }
    }
    keys
}

/// A password inside an address (RFC 3986, 2.1).
pub(super) fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_used_by_name_or_by_schema() {
        assert!(uses("select vault.create_secret('a')", "supabase_vault"));
        assert!(uses("create extension pg_net;", "pg_net"));
        assert!(!uses("insert into t values ('me@example.net.'), ('pgnet.x')", "pg_net"));
    }

    #[test]
    fn a_password_survives_in_an_address() {
        assert_eq!(percent("a/b@c d"), "a%2Fb%40c%20d");
    }
}
