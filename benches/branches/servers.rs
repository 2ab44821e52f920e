//! PostgreSQL servers by plain requests to the engine, and what is asked of any server here.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig, PortBinding, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions, StatsOptionsBuilder,
};
use futures_util::StreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection as _};

use super::site::Site;
use super::{Bench, PREFIX, PROJECT, told};

pub(super) const IMAGE: &str = "devenv.local/supabase/postgres:17";
pub(super) const PASSWORD: &str = "bench";
pub(super) const ADMIN: &str = "supabase_admin";
/// The database with pgbench's tables: nothing else is connected to it, which copies by `createdb -T` need.
pub(super) const DATABASE: &str = "bench";
const DATA: &str = "/var/lib/postgresql/data";
const PORT: &str = "5432/tcp";
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_millis(3);

/// An open connection.
pub(super) type Connection = PgConnection;

/// Connects as soon as that is possible, and asks.
pub(super) async fn first_query(uri: &str) -> Result<Connection, String> {
    let options: PgConnectOptions = uri.parse().map_err(|error| format!("{uri}: {error}"))?;
    let options = options.ssl_mode(PgSslMode::Disable).disable_statement_logging();
    let until = Instant::now() + PATIENCE;
    loop {
        let ask = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::raw_sql("SELECT 1").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match tokio::time::timeout(Duration::from_secs(2), ask).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if Instant::now() > until => return Err(format!("{uri}: {error}")),
            Err(_) if Instant::now() > until => return Err(format!("{uri} is silent")),
            _ => tokio::time::sleep(SOON).await,
        }
    }
}

pub(super) async fn ask(connection: &mut Connection, sql: &'static str) -> Result<(), String> {
    sqlx::raw_sql(sql).execute(connection).await.map(|_| ()).map_err(|error| format!("{sql}: {error}"))
}

pub(super) async fn close(connection: Connection) {
    let _ = connection.close().await;
}

/// Runs a command in a container; says what it printed, or why it failed.
pub(super) async fn exec(engine: &Docker, container: &str, argv: &[&str]) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{} in {container}: {error}", argv.join(" "));
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(argv.iter().map(|&word| word.to_owned()).collect()),
        ..ExecConfig::default()
    };
    let patient = engine.clone().with_timeout(Duration::from_mins(30));
    let id = patient.create_exec(container, config).await.map_err(|error| failed(&error))?.id;
    let started = patient.start_exec(&id, None::<StartExecOptions>).await.map_err(|error| failed(&error))?;
    let mut text = String::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(piece) = output.next().await {
            let piece = piece.map_err(|error| failed(&error))?;
            text.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
        }
    }
    match engine.inspect_exec(&id).await.map_err(told)?.exit_code {
        Some(0) => Ok(text),
        code => Err(failed(&format!("{code:?}: {}", text.trim()))),
    }
}

/// The same for a line of the shell.
pub(super) async fn shell(engine: &Docker, container: &str, line: &str) -> Result<String, String> {
    exec(engine, container, &["sh", "-ec", line]).await
}

/// The same without waiting for its end.
pub(super) async fn leave_to_run(engine: &Docker, container: &str, line: &str) -> Result<(), String> {
    let argv = ["sh", "-ec", line].map(str::to_owned).to_vec();
    let config = ExecConfig { cmd: Some(argv), ..ExecConfig::default() };
    let id = engine.create_exec(container, config).await.map_err(told)?.id;
    let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
    engine.start_exec(&id, Some(options)).await.map(|_| ()).map_err(told)
}

/// Makes the database with pgbench's tables.
pub(super) async fn fill(engine: &Docker, container: &str, scale: u32) -> Result<(), String> {
    let line = format!(
        "createdb -U {ADMIN} {DATABASE}
         pgbench -i -q -s {scale} -U {ADMIN} {DATABASE}
         psql -q -U {ADMIN} -c CHECKPOINT {DATABASE}"
    );
    shell(engine, container, &line).await.map(|_| ())
}

/// Memory that a container holds, without what the kernel keeps of files for it.
pub(super) async fn memory(engine: &Docker, container: &str) -> Result<u64, String> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut stats = Box::pin(engine.stats(container, Some(options)));
    let stats = stats.next().await.ok_or("no figures")?.map_err(told)?;
    let memory = stats.memory_stats.ok_or("no figures of memory")?;
    let details = memory.stats.unwrap_or_default();
    let files = ["inactive_file", "total_inactive_file"].iter().find_map(|key| details.get(*key));
    Ok(memory.usage.unwrap_or(0).saturating_sub(files.copied().unwrap_or(0)))
}

/// A server's container, made by plain requests on the same image with the same settings.
#[derive(Clone)]
pub(super) struct Server {
    engine: Docker,
    body: ContainerCreateBody,
}

/// One that runs.
pub(super) struct Running {
    pub(super) name: String,
    port: u16,
}

impl Running {
    pub(super) fn uri(&self, database: &str) -> String {
        format!("postgresql://{ADMIN}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Server {
    /// Copies what devenv made.
    pub(super) async fn like(bench: &Bench<'_>, site: &Site<'_>) -> Result<Self, String> {
        let found = bench
            .engine
            .inspect_container(&site.container(), None::<InspectContainerOptions>)
            .await
            .map_err(told)?;
        let config = found.config.unwrap_or_default();
        let body = ContainerCreateBody {
            image: config.image,
            env: config.env,
            cmd: config.cmd,
            host_config: Some(HostConfig {
                shm_size: found.host_config.and_then(|host| host.shm_size),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        Ok(Self::of(bench, body))
    }

    /// Of any image.
    pub(super) fn of(bench: &Bench<'_>, mut body: ContainerCreateBody) -> Self {
        body.exposed_ports = Some(vec![PORT.to_owned()]);
        body.labels = Some(HashMap::from([(PROJECT.to_owned(), format!("{PREFIX}raw"))]));
        Self { engine: bench.engine.clone(), body }
    }

    /// With settings on the command line, which count before all files.
    #[must_use]
    pub(super) fn with(mut self, settings: &[&str]) -> Self {
        let words = settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
        self.body.cmd.get_or_insert_default().extend(words);
        self
    }

    /// Makes and starts it on a folder or a volume. It may not answer yet.
    pub(super) async fn start(&self, name: &str, data: &str, port: u16) -> Result<Running, String> {
        let mut body = self.body.clone();
        let host = body.host_config.get_or_insert_default();
        host.binds = Some(vec![format!("{data}:{DATA}")]);
        let binding =
            PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
        host.port_bindings = Some(HashMap::from([(PORT.to_owned(), Some(vec![binding]))]));
        let name = format!("{PREFIX}raw-{name}");
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        self.engine.create_container(Some(options), body).await.map_err(told)?;
        self.engine.start_container(&name, None::<StartContainerOptions>).await.map_err(told)?;
        Ok(Running { name, port })
    }

    pub(super) async fn remove(&self, running: Running) -> Result<(), String> {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        self.engine.remove_container(&running.name, Some(options)).await.map_err(told)
    }
}

/// A port that nobody has now.
pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(told)?;
    listener.local_addr().map(|address| address.port()).map_err(told)
}

/// The same data in a server on a volume of the engine's own disk, made without devenv.
pub(super) struct Plain {
    pub(super) server: Server,
    pub(super) running: Running,
    pub(super) volume: String,
}

impl Plain {
    pub(super) async fn make(bench: &Bench<'_>, site: &Site<'_>, scale: u32) -> Result<Self, String> {
        let server = Server::like(bench, site).await?;
        let volume = volume(bench.engine, &format!("plain{scale}")).await?;
        let running = server.start(&format!("plain{scale}"), &volume, free_port()?).await?;
        close(first_query(&running.uri("postgres")).await?).await;
        fill(bench.engine, &running.name, scale).await?;
        Ok(Self { server, running, volume })
    }
}

/// A volume on the engine's own disk; its name.
pub(super) async fn volume(engine: &Docker, name: &str) -> Result<String, String> {
    let name = format!("{PREFIX}{name}");
    let volume = VolumeCreateRequest { name: Some(name.clone()), ..VolumeCreateRequest::default() };
    engine.create_volume(volume).await.map_err(told)?;
    Ok(name)
}

/// Where the content of a volume is.
pub(super) async fn place(engine: &Docker, volume: &str) -> Result<std::path::PathBuf, String> {
    let volume = engine.inspect_volume(volume).await.map_err(told)?;
    Ok(Path::new(&volume.mountpoint).to_path_buf())
}
