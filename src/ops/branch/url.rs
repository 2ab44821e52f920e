//! Where the database of a branch answers, and being in it.

use std::time::Duration;

use super::{Branches, beside};
use crate::base::shell::argument;
use crate::base::{Failure, Kind};
use crate::compose::project::Service;
use crate::engine::stream::Command;
use crate::lineage::Branch;
use crate::ops::database::percent;
use crate::ops::run::{self, Terminal};
use crate::ops::{Context, Subject, failures};
use crate::plan::observed::Container;
use crate::postgres::{self, Encryption, Password, Target};

/// A PostgreSQL server of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The service.
    pub service: String,
    /// The port inside its container.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password, which an address has to show.
    pub password: String,
    /// The database.
    pub database: String,
}

/// Where a server of a branch answers on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The server.
    pub server: Server,
    /// Its container.
    pub container: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// As a connection URI (PostgreSQL documentation, 34.1.1.2).
    #[must_use]
    pub fn uri(&self) -> String {
        let Server { user, password, database, .. } = &self.server;
        let login = format!("{}:{}", percent(user), percent(password));
        format!("postgresql://{login}@{}:{}/{}", self.host, self.port, percent(database))
    }

    /// As the variables of libpq (PostgreSQL documentation, 34.15), and `DATABASE_URL`.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", self.uri()),
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.server.user.clone()),
            ("PGPASSWORD", self.server.password.clone()),
            ("PGDATABASE", self.server.database.clone()),
        ]
    }

    /// As keywords and values (PostgreSQL documentation, 34.1.1.1).
    #[must_use]
    pub fn dsn(&self) -> String {
        let quoted = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
        let Server { user, password, database, .. } = &self.server;
        format!(
            "host={} port={} user={} password={} dbname={}",
            self.host,
            self.port,
            quoted(user),
            quoted(password),
            quoted(database)
        )
    }

    pub(in crate::ops) fn target(&self) -> Target {
        Target {
            host: self.host.clone(),
            port: self.port,
            user: self.server.user.clone(),
            password: Password::new(&self.server.password),
            database: self.server.database.clone(),
            encryption: Encryption::None,
        }
    }
}

/// The PostgreSQL servers of a stack: the one that it names, else those whose image or environment tells.
#[must_use]
pub fn databases(subject: &Subject) -> Vec<Server> {
    if let Some(stack) = &subject.stack {
        let database = &stack.database;
        return vec![Server {
            service: database.service.clone(),
            port: database.port,
            user: database.user.clone(),
            password: database.password.clone(),
            database: database.name.clone(),
        }];
    }
    subject.project.services.iter().filter_map(|(name, service)| server(name, service)).collect()
}

/// What the official image makes of its variables (docker-library/postgres, `docker-entrypoint.sh`).
fn server(name: &str, service: &Service) -> Option<Server> {
    const IMAGES: [&str; 4] = ["postgres", "postgis", "pgvector", "timescaledb"];
    let variable =
        |name: &str| service.environment.get(name).cloned().flatten().filter(|value| !value.is_empty());
    let image = service.image.rsplit('/').next().unwrap_or_default();
    let image = image.split([':', '@']).next().unwrap_or_default();
    let password = variable("POSTGRES_PASSWORD");
    let trusts = variable("POSTGRES_HOST_AUTH_METHOD").is_some();
    let holds = service.volumes.iter().any(|mount| mount.target.starts_with("/var/lib/postgresql"));
    if !IMAGES.contains(&image) && !(holds && (password.is_some() || trusts)) {
        return None;
    }
    let user = variable("POSTGRES_USER").unwrap_or_else(|| "postgres".to_owned());
    Some(Server {
        service: name.to_owned(),
        port: 5432,
        database: variable("POSTGRES_DB").unwrap_or_else(|| user.clone()),
        user,
        password: password.unwrap_or_default(),
    })
}

/// Where a branch's database answers, in the environment that stands on it.
pub async fn of(branches: &Branches<'_>, branch: &Branch) -> Result<Address, Failure> {
    let (environment, stands) = branches.home(branch);
    let found = if stands { in_environment(branches, &environment).await? } else { None };
    found.ok_or_else(|| {
        Failure::new(Kind::Unhealthy, format!("the database of branch `{}` does not run", branch.name)).hint(
            format!(
                "`devenv db url {0} --start` starts it beside, `devenv db branch switch {0}` turns to it",
                argument(&branch.name)
            ),
        )
    })
}

/// Where the database of an environment answers; none when it does not run.
pub(in crate::ops) async fn in_environment(
    branches: &Branches<'_>,
    environment: &str,
) -> Result<Option<Address>, Failure> {
    let servers = databases(&branches.subject);
    if servers.is_empty() {
        return Err(Failure::new(Kind::Failed, "this project has no PostgreSQL server that devenv knows")
            .hint("`devenv port SERVICE PORT` says where any service answers"));
    }
    let containers = branches.engine.containers(environment).await.map_err(failures::engine)?;
    for server in servers {
        let runs = |container: &&Container| container.service() == server.service && container.state.is_up();
        let Some(container) = containers.iter().find(runs) else { continue };
        return match address(server, container) {
            Ok(address) => Ok(Some(address)),
            Err(server) => Err(Failure::new(
                Kind::Files,
                format!("service `{}` does not publish its port {}", server.service, server.port),
            )
            .hint(format!("give it `ports: [\"127.0.0.1::{}\"]`", server.port))),
        };
    }
    Ok(None)
}

/// Where a server answers that runs in this container; the server again when it publishes no port.
pub(in crate::ops) fn address(server: Server, container: &Container) -> Result<Address, Server> {
    let port = container.ports.iter().find(|port| port.target == server.port && port.published > 0);
    match port {
        Some(port) => Ok(Address {
            container: container.id.clone(),
            host: port.reachable_ip().to_owned(),
            port: port.published,
            server,
        }),
        None => Err(server),
    }
}

/// The address of a branch's database, started beside if it does not run and that is wanted.
pub async fn url(context: &Context, name: Option<&str>, start: bool) -> Result<Address, Failure> {
    let branches = Branches::look(context).await?;
    // Without branches the database is just the one that runs.
    let Some(current) = branches.lineage.current(&branches.environment) else {
        if let Some(name) = name {
            branches.lineage.branch(name).map_err(failures::lineage)?;
        }
        let found = in_environment(&branches, &branches.environment).await?;
        return found.ok_or_else(|| {
            Failure::new(Kind::Unhealthy, "the database does not run")
                .hint("start the stack with `devenv up`")
        });
    };
    let branch = match name {
        Some(name) => branches.lineage.branch(name).map_err(failures::lineage)?.clone(),
        None => current.clone(),
    };
    match of(&branches, &branch).await {
        Err(failure) if start && failure.kind == Kind::Unhealthy => {}
        other => return other,
    }
    drop(branches);
    let mut branches = Branches::change(context).await?;
    let started = beside::start(&mut branches, &branch, None).await?;
    match started.database {
        Some(address) => Ok(address),
        None => of(&branches, &branch).await,
    }
}

/// Opens `psql` where the database runs; its exit code becomes ours.
pub async fn psql(
    context: &Context,
    name: Option<&str>,
    arguments: &[String],
    terminal: Terminal,
) -> Result<(), Failure> {
    let address = url(context, name, true).await?;
    let Server { user, password, database, service, .. } = &address.server;
    let mut argv: Vec<String> = ["psql", "-U", user, "-d", database].map(str::to_owned).into();
    argv.extend_from_slice(arguments);
    let command = Command {
        argv,
        environment: vec![format!("PGPASSWORD={password}")],
        tty: terminal.tty,
        stdin: terminal.stdin,
        ..Command::default()
    };
    let engine = context.engine().await?;
    run::exec_in(&engine, &address.container, service, &command, terminal).await
}

/// Asks the databases among these containers to write out what they hold. It only makes a copy cheaper: one that
/// does not answer is left alone.
pub(super) async fn checkpoint(branches: &Branches<'_>, containers: &[&Container], patience: Duration) {
    let ask = databases(&branches.subject).into_iter().map(async |server| {
        let container = containers.iter().find(|container| container.service() == server.service)?;
        let address = address(server, container).ok()?;
        let asked = postgres::checkpoint(&address.target(), patience).await;
        if let Err(error) = &asked {
            tracing::debug!(%error, "no checkpoint before a copy");
        }
        asked.ok()
    });
    futures_util::future::join_all(ask).await;
}
