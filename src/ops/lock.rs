//! One command at a time changes a project: the others wait.
//!
//! The lock is the kernel's (`flock(2)`) on a file per project and user, so that it is free again the moment
//! its holder dies. What stands in the file is only told, never trusted.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Context;
use crate::base::{Event, Failure, Kind};

/// How long to wait before the lock is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// Held until dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "closing the file frees the lock")] File);

impl Context {
    /// Waits for the lock of a project.
    pub async fn lock(&self, project: &str) -> Result<Lock, Failure> {
        self.lock_named(&format!("project `{project}`"), project).await
    }

    /// Waits for the lock of a pool. No project's name has a dot in it.
    pub async fn lock_pool(&self, pool: &str) -> Result<Lock, Failure> {
        self.lock_named(&format!("the pool `{pool}`"), &format!("pool.{pool}")).await
    }

    /// Waits for the lock of what follows git in a checkout.
    pub async fn lock_checkout(&self, hash: &str) -> Result<Lock, Failure> {
        self.lock_named("the environment of this checkout", &format!("checkout.{hash}")).await
    }

    /// Waits for the lock of a gateway.
    pub async fn lock_gateway(&self, gateway: &str) -> Result<Lock, Failure> {
        self.lock_named(&format!("the gateway `{gateway}`"), &format!("gateway.{gateway}")).await
    }

    /// Waits for the lock of the records of all projects.
    pub async fn lock_catalogue(&self) -> Result<Lock, Failure> {
        self.lock_named("what devenv knows of branches", "the.catalogue").await
    }

    /// The lock of a project, if nobody has it.
    pub fn lock_now(&self, project: &str) -> Result<Option<Lock>, Failure> {
        let (path, file) = self.lock_file(project)?;
        match file.try_lock() {
            Ok(()) => self.held(&path, file).map(Some),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(cannot_lock(&path, source)),
        }
    }

    /// Opens the file of a lock.
    fn lock_file(&self, name: &str) -> Result<(PathBuf, File), Failure> {
        let path = self.lock_path(name);
        let cannot = |source| cannot_lock(&path, source);
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot)?;
        }
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(cannot)?;
        Ok((path, file))
    }

    async fn lock_named(&self, what: &str, name: &str) -> Result<Lock, Failure> {
        let (path, file) = self.lock_file(name)?;
        let began = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::Error(source)) => return Err(cannot_lock(&path, source)),
                Err(fs::TryLockError::WouldBlock) => {}
            }
            let holder = || {
                let text = fs::read_to_string(&path).unwrap_or_default();
                if text.is_empty() { "another devenv command".to_owned() } else { text.trim().to_owned() }
            };
            if began.elapsed() >= self.lock_timeout {
                return Err(Failure::new(Kind::Conflict, format!("{what} is being changed by {}", holder()))
                    .hint("wait for it, or end it; --lock-timeout says how long to wait"));
            }
            if !told && began.elapsed() > Duration::from_millis(200) {
                told = true;
                self.events.tell(Event::note(format!("waiting for {}", holder())));
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.held(&path, file)
    }

    /// Says in the file of a lock who has it.
    fn held(&self, path: &Path, mut file: File) -> Result<Lock, Failure> {
        let line = format!("process {}: {}\n", std::process::id(), self.command_line);
        let written =
            file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(line.as_bytes()));
        written.map_err(|source| cannot_lock(path, source))?;
        Ok(Lock(file))
    }

    /// The same project at another engine is another project, and so are projects of other users.
    fn lock_path(&self, name: &str) -> PathBuf {
        let directory = match self.environment.get("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
            Some(directory) => PathBuf::from(directory).join("devenv"),
            None => {
                let temporary = self.environment.get("TMPDIR").map_or("/tmp", String::as_str);
                PathBuf::from(temporary).join(format!("devenv-{}", rustix::process::getuid().as_raw()))
            }
        };
        let hash = hex::encode(&Sha256::digest(self.engine_name())[..4]);
        directory.join(format!("{name}-{hash}.lock"))
    }
}

fn cannot_lock(path: &Path, source: std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("the lock {} cannot be made", path.display())).source(source)
}
