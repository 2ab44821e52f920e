//! What can go wrong between us and the engine.

use thiserror::Error;

/// An engine call that did not work.
#[derive(Debug, Error)]
pub enum Error {
    /// The engine answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status (Docker Engine API: 404 not there, 409 conflict, 500 anything).
        status: u16,
        /// The engine's own sentence.
        message: String,
    },
    /// The engine did not answer, or the connection broke.
    #[error("the engine went away while we asked it to {doing}")]
    Lost {
        /// What was asked of it.
        doing: &'static str,
        /// The transport's error.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// The engine answered something that is not in its own API.
    #[error("the engine's answer to {doing} was not understood")]
    Nonsense {
        /// What was asked of it.
        doing: &'static str,
        /// The decoder's error.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// The event stream ended while something was waited for.
    #[error("the engine ended its event stream")]
    EventsEnded,
    /// A file on this side could not be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something that this engine cannot do.
    #[error("{what} needs engine API {needs}, this engine has {has}")]
    TooOld {
        /// The attribute or feature.
        what: String,
        /// The first API version that has it.
        needs: String,
        /// The version of this engine.
        has: String,
    },
    /// A `post_start` or `pre_stop` command did not end well.
    #[error("`{command}` exited with {code}{}{said}", if said.is_empty() { "" } else { ": " })]
    Hook {
        /// The command.
        command: String,
        /// Its exit code.
        code: i64,
        /// What it wrote.
        said: String,
    },
    /// A configuration that no engine can carry out.
    #[error("{0}")]
    Impossible(String),
}

impl Error {
    /// Sorts bollard's error, naming what was being done.
    pub(super) fn from_bollard(doing: &'static str, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as E;
        match error {
            E::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message: tidy(&message) }
            }
            E::DockerStreamError { error } | E::DockerContainerWaitError { error, .. } => {
                Self::Refused { status: 500, message: tidy(&error) }
            }
            E::JsonDataError { .. } | E::JsonSerdeError { .. } | E::StrParseError { .. } => {
                Self::Nonsense { doing, source: Box::new(error) }
            }
            _ => Self::Lost { doing, source: Box::new(error) },
        }
    }

    /// Whether the thing asked about is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether a folder that was to be bound into a container is not there (no API says so but by this text).
    #[must_use]
    pub fn is_missing_folder(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("bind source path does not exist"))
    }

    /// Whether the name is taken, or the thing is in the wrong state.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// Whether the engine itself cannot be talked to.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::EventsEnded)
    }
}

/// The engine wraps its sentences in those of the tools below it; the innermost says most, but the outer
/// ones name the container, so only noise is cut.
fn tidy(message: &str) -> String {
    message.trim().trim_start_matches("Error response from daemon: ").to_owned()
}

/// Names what was being done when bollard failed.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, bollard::errors::Error> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error::from_bollard(doing, error))
    }
}
