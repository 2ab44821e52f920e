//! A mistake of ours that ends a command at once: what is known of it goes into a file, for a report.

use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::base::{Failure, Kind};

/// What was seen where it happened; the last one counts.
static SEEN: Mutex<Option<String>> = Mutex::new(None);

/// Does the work; if it ends in a panic, that is a failure which names the report.
pub(super) fn caught<T>(
    environment: &BTreeMap<String, String>,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    std::panic::set_hook(Box::new(see));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(told(environment)))
}

fn see(panic: &PanicHookInfo<'_>) {
    let text = format!(
        "devenv {} {} {}\n{panic}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        Backtrace::force_capture()
    );
    tracing::error!(%text, "panic");
    *SEEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

fn told(environment: &BTreeMap<String, String>) -> Failure {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    let what = seen.lines().nth(2).unwrap_or("it does not say why").to_owned();
    let failure = Failure::new(Kind::Failed, format!("a mistake in devenv ended this command: {what}"))
        .hint("the same command goes on where this one stopped");
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let folders = [state.map(|state| state.join("devenv")), Some(std::env::temp_dir())];
    let written = folders.into_iter().flatten().find_map(|folder| write(&folder, &seen).ok());
    match written {
        Some(path) => failure.hint(format!("please report it, with {}", path.display())),
        None => failure.evidence(seen),
    }
}

fn write(folder: &Path, seen: &str) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("crash-{}.txt", std::process::id()));
    std::fs::write(&path, seen)?;
    Ok(path)
}
