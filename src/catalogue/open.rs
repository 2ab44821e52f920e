//! Opening: quickly when all is well, and with a fresh file when it is not.
//!
//! A look at which files are there costs microseconds; the rest is SQLite's to find. Only when there is a sign of
//! damage is the file read as a whole. What is damaged is kept beside the fresh file. Making, migrating and mending
//! happen under a lock between processes; the file appears whole, by a rename, so that an empty one is always
//! damage.
//!
//! Nothing here opens the file but SQLite: closing a file frees all locks that this process has on it
//! (<https://sqlite.org/howtocorrupt.html>, 2.2).

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::error::User;
use super::{Damage, Error, Opened, Sign, schema};

/// How long a statement, or the lock for making and mending, waits for another process.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two attempts at the lock, and before a sign is believed.
const PAUSE: Duration = Duration::from_millis(10);

/// The file in a folder.
pub(super) fn file_in(folder: &Path) -> PathBuf {
    folder.join("catalogue.db")
}

/// A file that stands beside another one: `catalogue.db-wal`.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

pub(super) async fn open(folder: &Path, steps: &[&'static str]) -> Result<Opened, Error> {
    prepare(folder)?;
    let path = file_in(folder);
    if look(&path)? == Look::Well {
        match connect(&path, steps).await {
            Ok((connection, state)) if state.latest => {
                return Ok(Opened::of(connection, path, state.fresh, None));
            }
            Ok((connection, _)) => close(connection).await,
            Err(Error::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    mend(folder, steps).await
}

/// With nobody else at it: makes, migrates or mends the file, whichever it needs.
pub(super) async fn mend(folder: &Path, steps: &[&'static str]) -> Result<Opened, Error> {
    let path = file_in(folder);
    let _lock = lock(&folder.join("catalogue.lock"), &path, PATIENCE).await?;
    let mut seen = look(&path)?;
    if seen == Look::Damaged(Sign::LogLost) {
        // Another process that closes the file at this moment leaves the same sign for an instant.
        tokio::time::sleep(PAUSE).await;
        seen = look(&path)?;
    }
    let sign = match seen {
        Look::Missing => None,
        Look::Damaged(sign) => Some(sign),
        Look::Well => match whole(&path, steps).await {
            Ok((connection, state)) => return Ok(Opened::of(connection, path, state.fresh, None)),
            Err(Error::Damaged { source, .. }) => Some(Sign::Corrupt(said(&*source))),
            Err(other) => return Err(other),
        },
    };
    let repaired = match sign {
        Some(sign) => Some(Damage { sign, kept: set_aside(&path)? }),
        None => None,
    };
    make(&path, steps).await?;
    let (connection, state) = connect(&path, steps).await?;
    Ok(Opened::of(connection, path, state.fresh, repaired))
}

/// SQLite's own words.
fn said(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let sqlx = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    sqlx.map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Connects to a file that has no sign of damage, reads all of it, and brings it to the latest version.
async fn whole(path: &Path, steps: &[&'static str]) -> Result<(SqliteConnection, State), Error> {
    let (mut connection, state) = connect(path, steps).await?;
    match check_and_migrate(&mut connection, path, steps, state.latest).await {
        Ok(()) => Ok((connection, state)),
        Err(error) => {
            close(connection).await;
            Err(error)
        }
    }
}

async fn check_and_migrate(
    connection: &mut SqliteConnection,
    path: &Path,
    steps: &[&'static str],
    latest: bool,
) -> Result<(), Error> {
    let cannot = |source| Error::of(path, source);
    let report: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_all(&mut *connection).await.map_err(cannot)?;
    if report.first().is_none_or(|line| line != "ok") {
        let source = report.into_iter().next().unwrap_or_default().into();
        return Err(Error::Damaged { path: path.to_owned(), source });
    }
    if !latest {
        let version = schema::version(connection).await.map_err(cannot)?;
        schema::back_up(connection, path, version).await?;
        schema::migrate(connection, steps).await.map_err(cannot)?;
    }
    Ok(())
}

pub(super) async fn close(connection: SqliteConnection) {
    // The kernel would close it anyway; this only waits for it.
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing the catalogue");
    }
}

/// The folder is there, ours and nobody else's to read.
fn prepare(folder: &Path) -> Result<(), Error> {
    let cannot = |doing: &'static str| move |source| Error::io(doing, folder, source);
    let found = match fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot("make"))?;
            fs::metadata(folder).map_err(cannot("read"))?
        }
        found => found.map_err(cannot("read"))?,
    };
    ours(folder, &found)?;
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(cannot("close to others"))?;
    }
    // SQLite writes files beside its own.
    may(folder, Access::WRITE_OK | Access::EXEC_OK)
}

fn ours(path: &Path, found: &fs::Metadata) -> Result<(), Error> {
    let us = rustix::process::geteuid().as_raw();
    if found.uid() == us {
        return Ok(());
    }
    // Above all for root, who could: the owner could not read afterwards what root wrote.
    let (owner, us) = (User::numbered(found.uid()), User::numbered(us));
    Err(Error::Foreign { path: path.to_owned(), owner, us })
}

/// Takes from others what they may do with a file.
pub(super) fn private(path: &Path) -> Result<(), Error> {
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .map_err(|source| Error::io("close to others", path, source))
}

/// What can be seen without SQLite.
#[derive(Debug, PartialEq)]
enum Look {
    /// Nothing is there.
    Missing,
    /// There is no sign of damage.
    Well,
    /// There is.
    Damaged(Sign),
}

fn look(path: &Path) -> Result<Look, Error> {
    let there = |end: &str| fs::symlink_metadata(beside(path, end)).is_ok();
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A log without its file would be taken for the next file's.
            let lost = there("-wal") || there("-shm");
            return Ok(if lost { Look::Damaged(Sign::Missing) } else { Look::Missing });
        }
        found => found.map_err(|source| Error::io("read", path, source))?,
    };
    ours(path, &found)?;
    may(path, Access::READ_OK | Access::WRITE_OK)?;
    if found.len() == 0 {
        return Ok(Look::Damaged(Sign::Empty));
    }
    // SQLite makes the log before its index and takes the index away before the log.
    if there("-shm") && !there("-wal") && there("-shm") {
        return Ok(Look::Damaged(Sign::LogLost));
    }
    Ok(Look::Well)
}

fn may(path: &Path, access: Access) -> Result<(), Error> {
    rustix::fs::access(path, access).map_err(|errno| Error::io("use", path, errno.into()))
}

fn newer(path: &Path, found: i64, steps: &[&str]) -> Result<(), Error> {
    let known = schema::latest(steps);
    if found > known { Err(Error::Newer { path: path.to_owned(), found, known }) } else { Ok(()) }
}

/// What an open file is.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Of the latest version.
    latest: bool,
    /// Made, and nobody has looked yet whether the pool has data all the same.
    fresh: bool,
}

/// Connects to a file that is there.
async fn connect(path: &Path, steps: &[&'static str]) -> Result<(SqliteConnection, State), Error> {
    // Connecting reads nothing of the file yet.
    let options = options(path);
    let mut connection = options.connect().await.map_err(|source| Error::of(path, source))?;
    match settle(&mut connection, path, steps).await {
        Ok(state) => Ok((connection, state)),
        Err(error) => {
            // What closes later could take the log of the next file for its own.
            close(connection).await;
            Err(error)
        }
    }
}

async fn settle(
    connection: &mut SqliteConnection,
    path: &Path,
    steps: &[&'static str],
) -> Result<State, Error> {
    let cannot = |source| Error::of(path, source);
    let damaged = |why: &str| Error::Damaged { path: path.to_owned(), source: why.into() };
    // Before anything is set: a later release's file is left as it is.
    let question = "SELECT user_version, application_id, \
                    (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta') \
                    FROM pragma_user_version, pragma_application_id";
    let row = sqlx::raw_sql(question).fetch_one(&mut *connection).await.map_err(cannot)?;
    let answers = row.try_get(0).and_then(|version| Ok((version, row.try_get(1)?, row.try_get(2)?)));
    let (version, application, tables): (i64, i64, i64) = answers.map_err(cannot)?;
    if application != i64::from(schema::APPLICATION) {
        return Err(damaged("it is not a catalogue"));
    }
    newer(path, version, steps)?;
    if tables == 0 {
        return Err(damaged("it has no tables"));
    }
    sqlx::raw_sql(SETTINGS).execute(&mut *connection).await.map_err(cannot)?;
    let fresh = super::read::meta(connection, "new").await.map_err(cannot)?.is_some();
    Ok(State { latest: version == schema::latest(steps), fresh })
}

/// What is set in every connection: readers and one writer at once, and every commit on the disk.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE).disable_statement_logging()
}

/// Makes a new file, whole at once.
async fn make(path: &Path, steps: &[&'static str]) -> Result<(), Error> {
    let half = beside(path, ".new");
    for end in ["", "-wal", "-shm", "-journal"] {
        let leftover = beside(&half, end);
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("remove", &leftover, error));
            }
            _ => {}
        }
    }
    // SQLite gives the files that it makes the mode of this one.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half);
    made.map_err(|source| Error::io("make", &half, source))?;
    let cannot = |source| Error::of(&half, source);
    let mut connection = options(&half).connect().await.map_err(cannot)?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(cannot)?;
    schema::migrate(&mut connection, steps).await.map_err(cannot)?;
    super::write::new(&mut connection).await.map_err(cannot)?;
    // Closing writes the log into the file and takes it away.
    connection.close().await.map_err(cannot)?;
    let synced = File::open(&half).and_then(|file| file.sync_all());
    synced.and_then(|()| fs::rename(&half, path)).map_err(|source| Error::io("make", path, source))?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| Error::io("write in", folder, source))
}

/// Keeps a damaged file and what belongs to it under names of their own.
fn set_aside(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let ends = ["", "-wal", "-shm"];
    let named = |number: u32, end: &str| beside(path, &format!(".damaged-{number}{end}"));
    let taken = |number: u32| ends.iter().any(|end| fs::symlink_metadata(named(number, end)).is_ok());
    let number = (1..u32::MAX).find(|number| !taken(*number)).unwrap_or(u32::MAX);
    let mut kept = Vec::new();
    for end in ends {
        let to = named(number, end);
        match fs::rename(beside(path, end), &to) {
            Ok(()) => kept.push(to),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("keep", &to, error)),
        }
    }
    sync_folder(path)?;
    Ok(kept)
}

/// Held until dropped; the kernel frees it when the process ends.
pub(super) async fn lock(path: &Path, of: &Path, patience: Duration) -> Result<File, Error> {
    let cannot = |source: io::Error| Error::io("lock", path, source);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(cannot)?;
    let attempt = async {
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::Error(source)) => return Err(cannot(source)),
                Ok(()) => return Ok(()),
            }
        }
    };
    match tokio::time::timeout(patience, attempt).await {
        Ok(locked) => locked.map(|()| file),
        Err(_) => Err(Error::Busy { path: of.to_owned(), source: None }),
    }
}
