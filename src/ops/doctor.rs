//! `devenv doctor`: is this machine ready, and what would make it so?
//!
//! `gather` collects facts from the edges side by side, each with a time limit; `judge` decides what they
//! mean (pure); `fix` acts. Without `--fix` nothing is changed and the answer comes within 10 seconds
//! whatever hangs.

mod fix;
mod gather;
mod judge;
mod report;

use std::ffi::OsString;
use std::path::PathBuf;

pub use judge::{Engine, Facts, Registry};
pub use report::{Check, Overall, Report, Status};

use crate::base::{Event, Events};
use crate::engine::endpoint;
use crate::machine::dockerd;

/// The environment variables whose values [`Request::environment`] is made of: what other programs and the
/// engine need to reach the world from here.
pub const ENVIRONMENT: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What `doctor` is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Also change what can be fixed.
    pub fix: bool,
    /// What the environment says about the engine.
    pub engine: endpoint::Settings,
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// Those of [`ENVIRONMENT`] that are set.
    pub environment: Vec<(OsString, OsString)>,
    /// Where the command was called.
    pub directory: PathBuf,
    /// Ports of this machine that the project would publish.
    pub ports: Vec<Port>,
    /// What the pool of branches is called.
    pub pool: String,
    /// How an engine is started on a machine without systemd.
    pub start: dockerd::Start,
}

/// A port that is wanted on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// By whom it is wanted: the name of the service.
    pub wanted_by: String,
}

/// Looks at the machine, with `fix` also changes it; what goes on is told through `events`.
pub async fn doctor(request: &Request, events: &Events) -> Report {
    if !request.fix {
        return Report::new(judge::checks(&gather::gather(request, true).await), Vec::new());
    }
    let fixed = fix::fix(request, events).await;
    let facts = match fixed.unchanged {
        Some(facts) => facts,
        None => gather::gather(request, true).await,
    };
    let mut checks = judge::checks(&facts);
    for (id, failure) in fixed.failures {
        if let Some(check) = checks.iter_mut().find(|check| check.id == id) {
            check.status = Status::Failed;
            check.found = failure.to_string();
            check.details = failure.evidence;
            check.hint = failure.hints.into_iter().next().or(check.hint.take());
        }
    }
    let report = Report::new(checks, fixed.done);
    if report.fixed.is_empty() && report.status == Overall::Ok {
        events.tell(Event::note("everything is in order; nothing was changed"));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn can_be_spawned(_: impl Future<Output = Report> + Send) {}

    #[test]
    fn doctor_can_run_on_any_thread() {
        can_be_spawned(doctor(&Request::default(), &Events::nowhere()));
    }
}
