//! From the rooms' errors to what a user is told: the situation is known here, so the hint can be useful.

use crate::base::shell::argument;
use crate::base::{Failure, Kind, guess};
use crate::catalogue;
use crate::compose::Project;
use crate::engine::error::Error;
use crate::engine::reach::Unreached;
use crate::lineage;
use crate::plan::Goal;
use crate::storage::{Refusal, StorageError};

/// The engine did not do what it was asked.
#[must_use]
pub fn engine(error: Error) -> Failure {
    let kind = match &error {
        _ if error.is_lost() => Kind::Unreachable,
        Error::Refused { status: 409, .. } => Kind::Conflict,
        Error::Impossible(_) => Kind::Files,
        _ => Kind::Failed,
    };
    let mut failure = Failure::new(kind, error.to_string());
    if error.is_lost() {
        failure = failure
            .hint("look at the engine with `devenv doctor`, then do this again: it goes on where it stopped");
    }
    // What the error itself says is the message; what lies behind it is the source.
    match error {
        Error::Lost { source, .. } | Error::Nonsense { source, .. } => failure.source = Some(source),
        Error::File { source, .. } => failure = failure.source(source),
        _ => {}
    }
    failure
}

/// A database's schema, or what it has of rows, cannot be read.
#[must_use]
pub fn unread(error: crate::postgres::Error) -> Failure {
    error.failing("the schema cannot be read")
}

/// A step on a container failed.
#[must_use]
pub fn step(doing: &str, container: &str, error: Error) -> Failure {
    let mut failure = engine(error);
    let taken = ["port is already allocated", "address already in use"];
    if taken.iter().any(|words| failure.message.contains(words)) {
        failure.kind = Kind::Conflict;
        failure = failure.hint("`devenv doctor` says who holds a port; free it, or publish another one");
    }
    failure.message = format!("container `{container}` could not be {doing}: {}", failure.message);
    failure
}

/// A service will not be what its dependents wait for.
#[must_use]
pub fn unreached(
    service: &str,
    container: &str,
    goal: Goal,
    why: &Unreached,
    needed_by: Option<&str>,
) -> Failure {
    let waits = needed_by.map_or_else(String::new, |dependent| {
        let goal = match goal {
            Goal::Healthy => "to be healthy",
            Goal::Completed => "to complete",
            Goal::Started | Goal::Ready => "to start",
        };
        format!(", and `{dependent}` waits for it {goal}")
    });
    let mut failure = Failure::new(Kind::Unhealthy, format!("service `{service}` {}{waits}", why.state));
    if let Some(probe) = &why.last_probe {
        failure = failure.evidence(format!("last health probe: {probe}"));
    }
    if why.last_lines.is_empty() {
        failure = failure.evidence(format!("{container} wrote nothing"));
    } else {
        failure = failure.evidence(format!("last lines of {container}:"));
        for line in &why.last_lines {
            failure = failure.evidence(format!("  {line}"));
        }
    }
    if why.out_of_memory {
        failure = failure.hint("it was killed for using more memory than it may: raise its `mem_limit`");
    }
    failure.hint(format!("see all of it with `devenv logs {service}`"))
}

/// A network could not be made or removed.
#[must_use]
pub fn network(name: &str, error: Error) -> Failure {
    let mut failure = engine(error);
    if failure.message.contains("has active endpoints") {
        failure = failure.hint(format!("see who uses it with `docker network inspect {name}`"));
    } else if failure.message.contains("could not find an available") {
        failure = failure.hint("all address pools are in use: remove networks with `docker network prune`");
    } else if failure.message.contains("verlaps") {
        failure = failure.hint("another network has these addresses: choose another `subnet`");
    }
    failure.message = format!("network `{name}`: {}", failure.message);
    failure
}

/// A volume could not be made or removed.
#[must_use]
pub fn volume(name: &str, error: Error) -> Failure {
    let mut failure = engine(error);
    if failure.kind == Kind::Conflict {
        failure = failure
            .hint("a container still uses it; see `docker ps -a --filter volume=".to_owned() + name + "`");
    }
    failure.message = format!("volume `{name}`: {}", failure.message);
    failure
}

/// The records could not be read or written.
#[must_use]
pub fn catalogue(error: catalogue::Error) -> Failure {
    use catalogue::Error as E;
    let mut failure = Failure::new(error.kind(), error.to_string());
    failure = match &error {
        E::Newer { .. } => failure.hint("upgrade devenv; nothing was written"),
        E::Foreign { .. } | E::Denied { .. } => failure
            .hint("run devenv as the same user each time, without sudo; or give the folder back with chown"),
        E::Busy { .. } | E::Conflict { .. } | E::Ended { .. } => failure.hint("do this again"),
        E::Full { .. } => failure.hint("make room on the disk of your home directory"),
        E::Damaged { .. } => failure.hint("`devenv state rebuild` makes the records again from the pool"),
        E::Io { .. } | E::Other { .. } => failure,
    };
    match error {
        E::Denied { source, .. } | E::Damaged { source, .. } => failure.source = Some(source),
        E::Io { source, .. } => failure = failure.source(source),
        E::Other { source, .. } | E::Full { source, .. } | E::Conflict { source } => {
            failure = failure.source(source);
        }
        _ => {}
    }
    failure
}

/// Branches and snapshots do not allow it.
#[must_use]
pub fn lineage(error: lineage::Error) -> Failure {
    use lineage::Error as E;
    let kind = match &error {
        E::BadName { .. } | E::Unknown { .. } | E::Ambiguous { .. } | E::Both { .. } => Kind::Usage,
        _ => Kind::Conflict,
    };
    let failure = Failure::new(kind, error.to_string());
    match error {
        E::BadName { .. } => {
            failure.hint("what git allows as the name of a branch is allowed (git help check-ref-format)")
        }
        E::NameTaken { sort: lineage::Sort::Branch, name, .. } => {
            let name = argument(&name);
            failure.hint(format!(
                "`devenv db branch switch {name}` turns to it; choose another name, or `devenv db branch delete {name}` first"
            ))
        }
        E::NameTaken { name, .. } => failure
            .hint(format!("choose another name, or `devenv db snapshot delete {}` first", argument(&name))),
        E::Unknown { deleted: Some(_), sort, name, .. } => failure.hint(format!(
            "it was deleted: `devenv db {} undelete {}` has it back",
            sort.map_or("branch", lineage::Sort::word),
            argument(&name)
        )),
        E::Unknown { meant: Some(meant), .. } => failure.hint(format!("did you mean `{meant}`?")),
        E::Unknown { known, .. } if !known.is_empty() => {
            failure.hint(format!("there are {}", known.join(", ")))
        }
        E::Unknown { .. } => {
            failure.hint("`devenv db branch list` and `devenv db snapshot list` show what there is")
        }
        E::Ambiguous { ids, .. } => {
            let ids: Vec<String> = ids.iter().map(|(id, name)| format!("{id} ({name})")).collect();
            failure.hint(format!("type more of it: {}", ids.join(", ")))
        }
        E::Both { name, .. } => failure.hint(format!("say `branch:{name}` or `snapshot:{name}`")),
        E::Protected { name } => {
            failure.hint(format!("`devenv db branch unprotect {}` allows it", argument(&name)))
        }
        E::Current { .. } => failure.hint("turn to another one first: `devenv db branch switch NAME`"),
        E::HasChildren { .. } => {
            failure.hint("`--children keep` leaves them whole, `--children cascade` deletes them too")
        }
        E::Needed { .. } => failure.hint("it goes when they are gone for good"),
    }
}

/// The same, where what was deleted is to come back.
#[must_use]
pub fn taken_when_had_back(error: lineage::Error) -> Failure {
    let taken = matches!(error, lineage::Error::NameTaken { .. });
    let failure = lineage(error);
    if taken { failure.hint("--rename NAME has it back under another name") } else { failure }
}

/// The pool did not do what it was asked.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "as the others, for `map_err`")]
pub fn storage(error: StorageError) -> Failure {
    let failure = Failure::new(Kind::Storage, error.to_string());
    match &error {
        StorageError::Refused(Refusal::Full { .. }) => failure
            .hint("`devenv gc` takes away what was deleted, `devenv pool grow` makes the pool larger"),
        StorageError::Refused(Refusal::ReadOnly) => failure
            .hint("an error of the disk makes a file system read-only: `devenv pool check` says more"),
        StorageError::Refused(Refusal::LeadsOut { .. }) => failure.hint(
            "PostgreSQL has to be copied with all its tablespaces at once: move them back below the data directory              (https://www.postgresql.org/docs/current/manage-ag-tablespaces.html)",
        ),
        StorageError::Gone | StorageError::Silent { .. } => {
            failure.hint("do this again: the keeper is started anew").hint("`devenv doctor` looks at the engine")
        }
        _ => failure,
    }
}

/// A service was named that the compose file does not have.
#[must_use]
pub fn no_service(name: &str, project: &Project) -> Failure {
    let failure = Failure::new(Kind::Usage, format!("no such service: {name}"));
    let names: Vec<&str> = project.all_services().map(|(known, _)| known.as_str()).collect();
    match guess::closest(name, names.iter().copied(), |_| 2) {
        Some(known) => failure.hint(guess::did_you_mean(known)),
        None => failure.hint(format!("the services are {}", names.join(", "))),
    }
}
