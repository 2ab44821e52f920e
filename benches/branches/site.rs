//! A project whose data is in a pool, and devenv working on it as a user lets it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bollard::Docker;

use super::servers::{self, Connection, close, first_query, shell};
use super::{Bench, POOL, PREFIX, XFS, told};
use crate::{Options, process};

/// A compose project.
pub(super) struct Site<'a> {
    bench: &'a Bench<'a>,
    /// The compose project's name.
    pub(super) project: String,
    directory: PathBuf,
    variables: Vec<(String, String)>,
}

/// Sizes of the pools in MiB: they hold all that will be in them, and little more.
pub(super) fn sizes(options: &Options) -> [(&'static str, &'static str, u64); 2] {
    let (ours, xfs) = match (options.quick, options.full) {
        (true, _) => (1100, 1100),
        (_, false) => (7 << 10, 7 << 10),
        (_, true) => (12 << 10, 14 << 10),
    };
    [(POOL, "btrfs", ours), (XFS, "reflink", xfs)]
}

/// The pools, before anything needs them.
pub(super) fn make_pools(bench: &Bench<'_>) -> Result<(), String> {
    for (pool, driver, size) in sizes(bench.options) {
        let site = Site::new(bench, pool, pool)?;
        site.devenv(&["pool", "create", "--driver", driver, "--size", &format!("{size}M")])?;
    }
    Ok(())
}

impl<'a> Site<'a> {
    /// A folder for a project, and what its commands are given.
    pub(super) fn new(bench: &'a Bench<'a>, name: &str, pool: &str) -> Result<Self, String> {
        let directory = bench.directory.join(name);
        std::fs::create_dir_all(&directory).map_err(told)?;
        let state = bench.directory.join("state").to_string_lossy().into_owned();
        let variables =
            vec![("DEVENV_POOL".to_owned(), pool.to_owned()), ("XDG_STATE_HOME".to_owned(), state)];
        Ok(Self { bench, project: format!("{PREFIX}{name}"), directory, variables })
    }

    /// Variables of the compose file too.
    #[must_use]
    pub(super) fn with(mut self, variables: Vec<(String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// A PostgreSQL server in a pool, filled by pgbench.
    pub(super) async fn database(
        bench: &'a Bench<'a>,
        name: &str,
        pool: &str,
        scale: u32,
    ) -> Result<Self, String> {
        let site = Self::new(bench, name, pool)?;
        let text = format!(
            "name: {}
services:
  db:
    image: {}
    environment: {{POSTGRES_PASSWORD: {}}}
    volumes: ['db:/var/lib/postgresql/data']
    ports: ['127.0.0.1::5432']
    shm_size: 256m
volumes: {{db: {{}}}}
",
            site.project,
            servers::IMAGE,
            servers::PASSWORD
        );
        site.write("compose.yaml", &text)?;
        site.devenv(&["up"])?;
        servers::fill(bench.engine, &site.container(), scale).await?;
        // One that is not counted: the records are made, caches get warm.
        let (_, connection) = site.branch("warm", &["--start"]).await?;
        close(connection).await;
        site.forget("warm")?;
        Ok(site)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.directory.join(name);
        let folder = path.parent().unwrap_or(&self.directory);
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)).map_err(told)
    }

    /// Runs a command of devenv; says how long it took and what it printed.
    pub(super) fn devenv(&self, arguments: &[&str]) -> Result<(Duration, String), String> {
        process::run(&self.bench.programs.devenv, arguments, &self.directory, &self.variables)
    }

    /// Makes a branch with its database beside; the time to its first answer, and the connection that asked.
    pub(super) async fn branch(&self, name: &str, more: &[&str]) -> Result<(Duration, Connection), String> {
        let mut arguments = vec!["db", "branch", "create", name];
        arguments.extend(more);
        let began = Instant::now();
        let (_, printed) = self.devenv(&arguments)?;
        let connection = first_query(printed.lines().next().unwrap_or_default()).await?;
        Ok((began.elapsed(), connection))
    }

    /// Takes a branch away for good, as far as that goes: what was deleted is kept for seven days, which is not what
    /// is measured, and only takes room.
    pub(super) fn forget(&self, branch: &str) -> Result<(), String> {
        self.devenv(&["db", "branch", "delete", branch])?;
        std::thread::sleep(Duration::from_millis(1500));
        if let Err(why) = self.devenv(&["gc", "--older", "1s", "--yes"]) {
            eprintln!("{}: {}", self.project, why.lines().next().unwrap_or_default());
        }
        Ok(())
    }

    /// The database's container.
    pub(super) fn container(&self) -> String {
        format!("{}-db-1", self.project)
    }

    /// The container of a branch's database beside.
    pub(super) fn beside(&self, branch: &str) -> String {
        format!("{}-{branch}-db-1", self.project)
    }
}

/// Clients that write to a server, at a pace that leaves the machine room: the copies are compared, not the load.
pub(super) struct Load<'a> {
    engine: &'a Docker,
    container: String,
}

impl<'a> Load<'a> {
    const MARK: &'static str = "/tmp/devenv-bench-load";

    pub(super) async fn begin(engine: &'a Docker, container: String) -> Result<Self, String> {
        // The shell waits for it: a PostgreSQL that is the container's first process takes the end of an orphan for
        // the crash of a server process, and begins anew.
        let line = format!(
            "pgbench -n -c 4 -R 400 -T 600 -U {} {} >/dev/null 2>&1 & echo $! > {}; wait",
            servers::ADMIN,
            servers::DATABASE,
            Self::MARK
        );
        servers::leave_to_run(engine, &container, &line).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Self { engine, container })
    }

    pub(super) async fn end(self) -> Result<(), String> {
        let line = format!("kill $(cat {0}); rm {0}", Self::MARK);
        shell(self.engine, &self.container, &line).await.map(|_| ())
    }
}
