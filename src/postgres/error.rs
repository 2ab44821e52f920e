//! What goes wrong between us and a database, as data.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use thiserror::Error;

use crate::base::{Failure, Kind};

/// Why a database could not be reached, or what it answered.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody answered until the deadline.
    #[error("no database answers at {address} (waited {:.1} s)", waited.as_secs_f32())]
    Unreachable {
        /// Host and port.
        address: String,
        /// How long it was tried.
        waited: Duration,
        /// The last attempt's error.
        source: Option<sqlx::Error>,
    },
    /// It answered, and did not let us in.
    #[error("the database at {address} refuses user `{user}`")]
    Denied {
        /// Host and port.
        address: String,
        /// The user.
        user: String,
        /// What it said.
        source: Box<Refusal>,
    },
    /// It answered, and not over TLS as it should.
    #[error("no encrypted connection to the database at {address} can be trusted")]
    Distrusted {
        /// Host and port.
        address: String,
        /// Why.
        source: sqlx::Error,
    },
    /// It refused a statement.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The connection broke, or something was said on it that we do not understand.
    #[error("the connection to the database was lost")]
    Lost(#[source] sqlx::Error),
}

/// PostgreSQL's own words on a statement that it refused.
#[derive(Debug, Clone, Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct Refusal {
    /// Its message.
    pub message: String,
    /// Its SQLSTATE.
    pub code: String,
    /// Its DETAIL.
    pub detail: Option<String>,
    /// Its HINT.
    pub hint: Option<String>,
    /// Its CONTEXT: which function or line of data it happened in.
    pub context: Option<String>,
    /// The character of the statement that it points at, from 1.
    pub position: Option<usize>,
}

impl Refusal {
    fn of(error: &PgDatabaseError) -> Self {
        let position = match error.position() {
            Some(PgErrorPosition::Original(position)) => Some(position),
            _ => None,
        };
        Self {
            message: error.message().to_owned(),
            code: error.code().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            context: error.r#where().map(str::to_owned),
            position,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let refused = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
            .map(|error| Box::new(Refusal::of(error)));
        refused.map_or(Self::Lost(error), Self::Refused)
    }
}

impl Error {
    /// What PostgreSQL said, when it said something.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::Denied { source: refusal, .. } => Some(refusal),
            Self::Unreachable { .. } | Self::Distrusted { .. } | Self::Lost(_) => None,
        }
    }

    /// The failure of `what` ("the migrations cannot be read").
    #[must_use]
    pub fn failing(self, what: impl Into<String>) -> Failure {
        let kind = match self {
            Self::Unreachable { .. } | Self::Denied { .. } | Self::Distrusted { .. } | Self::Lost(_) => {
                Kind::Unreachable
            }
            Self::Refused(_) => Kind::Data,
        };
        let mut failure = Failure::new(kind, what);
        if let Some(refusal) = self.refusal() {
            failure.evidence.extend(refusal.detail.as_ref().map(|detail| format!("DETAIL: {detail}")));
            failure.evidence.extend(refusal.context.as_ref().map(|context| format!("CONTEXT: {context}")));
            failure.hints.extend(refusal.hint.clone());
        }
        // The sources of an error are not told with it; what PostgreSQL or the system said is the point.
        let mut cause = std::error::Error::source(&self);
        while let Some(source) = cause {
            failure.evidence.push(source.to_string());
            cause = source.source();
        }
        failure.source(self)
    }
}
