//! Connecting, which right after a start means asking until the server is ready.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep, timeout};

use crate::postgres::Error;

/// An open connection.
pub struct Database(pub(super) PgConnection);

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

/// Which database, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// A host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// The database.
    pub database: String,
}

/// A password, which no message shows.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Hides `password`.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Target {
    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .password(&self.password.0)
            .database(&self.database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("devenv")
            // Statements are users' files; they may be large, and hold secrets.
            .disable_statement_logging()
    }
}

/// The first and the longest pause between two attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// Connects to `target`, asking until `patience` is over while it does not answer or is still starting.
pub async fn connect(target: &Target, patience: Duration) -> Result<Database, Error> {
    let options = target.options();
    let start = Instant::now();
    let mut pause = PAUSES[0];
    let mut last = None;
    loop {
        let left = patience.saturating_sub(start.elapsed()).max(PAUSES[1]);
        match timeout(left, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => return Ok(Database(connection)),
            Ok(Err(error)) if may_pass(&error) => last = Some(error),
            Ok(Err(error)) => {
                return Err(match Error::from(error) {
                    Error::Refused(source) => {
                        Error::Denied { address: target.address(), user: target.user.clone(), source }
                    }
                    other => other,
                });
            }
            Err(_) => {}
        }
        if start.elapsed() + pause >= patience {
            let address = target.address();
            return Err(Error::Unreachable { address, waited: start.elapsed(), source: last });
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}

/// Whether the same attempt may succeed a moment later.
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Starting up, shutting down, out of connections.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "57P03" | "53300"))
        }
        _ => false,
    }
}
