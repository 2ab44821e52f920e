//! What is told to a user while a command runs. `ui` decides how it looks; nobody else prints.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::base::Failure;

/// One thing that happened, named after the resource it happened to.
#[allow(missing_docs, reason = "the variants' comments name their fields")]
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Work on a resource began ("Container shop-db-1", "starting").
    Started { subject: String, doing: String },
    /// It goes on; `done` of `total` where that is known (bytes of a pull, steps of a build).
    Progress { subject: String, detail: String, done: Option<u64>, total: Option<u64> },
    /// It ended well ("Container shop-db-1", "healthy").
    Done { subject: String, outcome: String, took: Duration },
    /// It ended badly; the failure itself follows at the end of the command.
    Failed { subject: String, reason: String },
    /// A line of output of a build or a hook.
    Output { subject: String, line: String },
    /// Something the user should know and nothing stops for.
    Warning { message: String, place: Option<String>, hint: Option<String> },
    /// A plain message.
    Note { message: String },
}

impl Event {
    /// A warning without a place.
    #[must_use]
    pub fn warning(message: impl Into<String>) -> Self {
        Self::Warning { message: message.into(), place: None, hint: None }
    }

    /// A plain message.
    #[must_use]
    pub fn note(message: impl Into<String>) -> Self {
        Self::Note { message: message.into() }
    }
}

/// Where events go. Cheap to clone; may be called from any task.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Sends every event to `sink`.
    #[must_use]
    pub fn to(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Drops every event.
    #[must_use]
    pub fn nowhere() -> Self {
        Self::to(|_| ())
    }

    /// Tells one event.
    pub fn tell(&self, event: Event) {
        (self.0)(event);
    }

    /// Tells a warning that came as a [`Failure`] with places and hints.
    pub fn warn(&self, problem: &Failure) {
        self.tell(Event::Warning {
            message: problem.to_string(),
            place: problem.places.first().map(ToString::to_string),
            hint: problem.hints.first().cloned(),
        });
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}
