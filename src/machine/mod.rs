//! The machine that devenv runs on: facts about it, and the few things that are changed on it (packages, the
//! engine's start, the file system of the base image).
//!
//! Programs are found on the search path that was handed in and called with arguments only, never through a
//! shell; they see a small environment of their own, so that nothing secret of ours ends in a daemon.

pub mod apt;
pub mod authorities;
pub mod authority;
pub mod bootstrap;
pub mod dockerd;
pub mod lock;
pub mod network;
pub mod own;
pub mod ports;
pub mod program;
pub mod system;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use program::Programs;

/// Why a fact could not be had or a change could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A program is not on the search path.
    #[error("the program `{program}` is not installed")]
    ProgramMissing {
        /// Its name.
        program: String,
    },
    /// A program ended with a failure.
    #[error("`{program}` ended with {}", status.map_or_else(|| "a signal".to_owned(), |s| format!("status {s}")))]
    ProgramFailed {
        /// Its name and the arguments that matter.
        program: String,
        /// Its exit status; none when a signal ended it.
        status: Option<i32>,
        /// The last lines that it wrote.
        last: Vec<String>,
    },
    /// A program took longer than it may.
    #[error("`{program}` did not end within {} s", after.as_secs_f32())]
    ProgramSlow {
        /// Its name.
        program: String,
        /// How long was waited.
        after: Duration,
    },
    /// The engine ended while it started.
    #[error("the engine ended while it started; its log is {}", log.display())]
    EngineEnded {
        /// Its log.
        log: PathBuf,
        /// The lines of the log that tell why.
        last: Vec<String>,
    },
    /// The engine was started and does not answer.
    #[error("the engine does not answer {} s after its start; its log is {}", after.as_secs(), log.display())]
    EngineSlow {
        /// Its log.
        log: PathBuf,
        /// How long was waited.
        after: Duration,
        /// The lines of the log that tell why.
        last: Vec<String>,
    },
    /// A file or a process could not be used.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, in the form "cannot read".
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl MachineError {
    /// The lines of output that explain the error.
    #[must_use]
    pub fn evidence(&self) -> &[String] {
        match self {
            Self::ProgramFailed { last, .. }
            | Self::EngineEnded { last, .. }
            | Self::EngineSlow { last, .. } => last,
            _ => &[],
        }
    }
}

/// Runs `work` on a thread of its own and waits for it at most `limit`.
///
/// Unlike a task of the runtime, a thread that hangs (a dead network share, a dead name server) keeps nobody
/// from leaving.
pub async fn aside<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = tell.send(work());
    });
    tokio::time::timeout(limit, told).await.ok()?.ok()
}
