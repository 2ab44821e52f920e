//! Connecting, which right after a start means asking until the server is ready.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::time::{Instant, sleep, timeout};

use crate::postgres::{Encryption, Error};

/// An open connection.
pub struct Database {
    pub(super) connection: PgConnection,
    /// What the database or the role sets for its sessions and sqlx sets otherwise.
    settings: Vec<(String, String)>,
}

impl Database {
    fn new(connection: PgConnection) -> Self {
        Self { connection, settings: Vec::new() }
    }

    /// Asks which of the settings that sqlx makes at the start of every session are the users' to make.
    pub(super) async fn learn_settings(&mut self) -> Result<(), Error> {
        let rows = sqlx::raw_sql(SETTINGS).fetch_all(&mut self.connection).await?;
        self.settings =
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<sqlx::Result<_>>()?;
        Ok(())
    }

    /// Makes the session as it is for any other program: what a file has set must not change what the next
    /// one does, and a time without a zone must mean the same as in `psql`.
    pub(super) async fn reset(&mut self) -> Result<(), Error> {
        sqlx::raw_sql("RESET ALL").execute(&mut self.connection).await?;
        for (name, value) in &self.settings {
            let query = sqlx::query("SELECT pg_catalog.set_config($1, $2, false)").bind(name).bind(value);
            query.persistent(false).execute(&mut self.connection).await?;
        }
        Ok(())
    }
}

/// The nearest `ALTER … SET` of a setting that sqlx sets by itself.
const SETTINGS: &str = "
SELECT DISTINCT ON (1) lower(split_part(c, '=', 1)), substr(c, strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_database d ON d.datname = current_database()
JOIN pg_catalog.pg_roles r ON r.rolname = session_user,
unnest(s.setconfig) c
WHERE s.setdatabase IN (0, d.oid) AND s.setrole IN (0, r.oid)
  AND lower(split_part(c, '=', 1)) IN ('timezone', 'datestyle', 'extra_float_digits')
ORDER BY 1, s.setrole <> 0 DESC, s.setdatabase <> 0 DESC";

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
    /// How the way to it is kept from others.
    pub encryption: Encryption,
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

    pub(super) fn reveal(&self) -> &str {
        &self.0
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
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .password(&self.password.0)
            .database(&self.database)
            .application_name("devenv")
            // Statements are users' files; they may be large, and hold secrets.
            .disable_statement_logging();
        self.encryption.apply(options)
    }
}

/// The pause between two attempts for the first second, and the longest one after that.
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
            Ok(Ok(connection)) => return Ok(Database::new(connection)),
            Ok(Err(error)) if may_pass(&error) => last = Some(error),
            Ok(Err(error)) if distrusts(&error) => {
                return Err(Error::Distrusted { address: target.address(), source: error });
            }
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
        if start.elapsed() > Duration::from_secs(1) {
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
}

/// How long a server is waited for that is asked for what is not needed.
const HASTE: Duration = Duration::from_secs(2);

/// Whether the role is allowed to ask for a checkpoint: asking in vain is an error in the server's log.
const MAY_CHECKPOINT: &str = "SELECT rolsuper OR EXISTS (SELECT FROM pg_roles AS it \
     WHERE it.rolname = 'pg_checkpoint' AND pg_has_role(it.oid, 'usage')) \
     FROM pg_roles WHERE rolname = current_user";

/// A commit that waits for the disk, which those before it that did not wait (`synchronous_commit = off`) reach with it.
const WRITE_COMMITS: [&str; 2] =
    ["SET synchronous_commit = on", "SELECT pg_logical_emit_message(true, 'devenv', '')"];

/// Asks a server to write out what it holds in memory: all of it where the role may (PostgreSQL documentation,
/// `CHECKPOINT`), and in any case what was committed. A copy that is made then has nothing to recover: with 200 to
/// 700 MB of log since the last checkpoint a copy took 3 to 7 s longer to begin, and the checkpoint takes 1 to 2 s.
pub async fn checkpoint(target: &Target, patience: Duration) -> Result<(), Error> {
    let work = async {
        let mut database = connect(target, patience.min(HASTE)).await?;
        let may = sqlx::raw_sql(MAY_CHECKPOINT).fetch_one(&mut database.connection).await?;
        if may.try_get(0)? {
            sqlx::raw_sql("CHECKPOINT").execute(&mut database.connection).await?;
        }
        for query in WRITE_COMMITS {
            sqlx::raw_sql(query).execute(&mut database.connection).await?;
        }
        // The server notices an end that is not told, and says so in its log.
        database.connection.close().await?;
        Ok(())
    };
    let slow = |_| Error::Unreachable { address: target.address(), waited: patience, source: None };
    timeout(patience, work).await.map_err(slow)?
}

/// Whether the same attempt may succeed a moment later.
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => !distrusts(error),
        // Starting up, shutting down, out of connections.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "57P03" | "53300"))
        }
        _ => false,
    }
}

/// Whether it is about TLS: the server speaks none, or its certificate is not the one that is wanted. rustls says that
/// of what it was sent by `InvalidData`.
fn distrusts(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}
