//! Opening: quickly when all is well, and with a fresh file when it is not.
//!
//! A look at the header and at which files are there costs microseconds and finds most damage; only when there is
//! a sign of it, or SQLite itself stumbles, is the file read as a whole. What is damaged is kept beside the fresh
//! file. Making, migrating and mending happen under a lock between processes; the file appears whole, by a rename,
//! so that an empty one is always damage.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    if look(&path, steps)? == Look::Well {
        match connect(&path, steps).await {
            Ok((connection, true)) => return Ok(Opened::well(connection, path)),
            Ok((connection, false)) => {
                close(connection).await;
            }
            Err(Error::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    slowly(folder, steps).await
}

/// Looks whether the file of an open catalogue is damaged, and makes a fresh one if it is.
pub(super) async fn mend(folder: &Path, steps: &[&'static str]) -> Result<Opened, Error> {
    slowly(folder, steps).await
}

/// With nobody else at it: makes, migrates or mends the file.
async fn slowly(folder: &Path, steps: &[&'static str]) -> Result<Opened, Error> {
    let path = file_in(folder);
    let _lock = lock(&folder.join("catalogue.lock"), &path, PATIENCE).await?;
    let mut seen = look(&path, steps)?;
    if let Look::Damaged(Sign::LogLost | Sign::Truncated) = seen {
        // Another process that closes the file at this moment leaves the same sign for an instant.
        tokio::time::sleep(PAUSE).await;
        seen = look(&path, steps)?;
    }
    let sign = match seen {
        Look::Missing => {
            make(&path, steps).await?;
            let (connection, _) = connect(&path, steps).await?;
            return Ok(Opened { fresh: true, ..Opened::well(connection, path) });
        }
        Look::Damaged(sign) => sign,
        Look::Well => match whole(&path, steps).await {
            Ok(connection) => return Ok(Opened::well(connection, path)),
            Err(Error::Damaged { source, .. }) => Sign::Corrupt(source.to_string()),
            Err(other) => return Err(other),
        },
    };
    let kept = set_aside(&path)?;
    make(&path, steps).await?;
    let (connection, _) = connect(&path, steps).await?;
    let damage = Some(Damage { sign, kept });
    Ok(Opened { repaired: damage, fresh: true, ..Opened::well(connection, path) })
}

/// Connects to a file that has no sign of damage, reads all of it, and brings it to the latest version.
async fn whole(path: &Path, steps: &[&'static str]) -> Result<SqliteConnection, Error> {
    let (mut connection, latest) = connect(path, steps).await?;
    match check_and_migrate(&mut connection, path, steps, latest).await {
        Ok(()) => Ok(connection),
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
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)
        .map_err(|errno| Error::io("write in", folder, errno.into()))
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

/// The start of the header (<https://sqlite.org/fileformat.html>).
const MAGIC: &[u8] = b"SQLite format 3\0";

fn look(path: &Path, steps: &[&str]) -> Result<Look, Error> {
    let cannot = |source| Error::io("read", path, source);
    let there = |end: &str| fs::symlink_metadata(beside(path, end)).is_ok();
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A log without its file would be taken for the next file's.
            let lost = there("-wal") || there("-shm");
            return Ok(if lost { Look::Damaged(Sign::Missing) } else { Look::Missing });
        }
        Err(error) => {
            if let Ok(found) = fs::metadata(path) {
                ours(path, &found)?;
            }
            return Err(cannot(error));
        }
        Ok(file) => file,
    };
    let mut header = [0; 100];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let empty = file.metadata().is_ok_and(|found| found.len() == 0);
            return Ok(Look::Damaged(if empty { Sign::Empty } else { Sign::Truncated }));
        }
        Err(error) => return Err(cannot(error)),
    }
    let found = file.metadata().map_err(cannot)?;
    ours(path, &found)?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if !header.starts_with(MAGIC) || number(68) != schema::APPLICATION {
        return Ok(Look::Damaged(Sign::NotOurs));
    }
    newer(path, i64::from(number(60)), steps)?;
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        size => u64::from(size),
    };
    let log = fs::symlink_metadata(beside(path, "-wal")).is_ok();
    // While there is a log, the rest of the pages may still be in it.
    if !log && found.len() < page * u64::from(number(28)) {
        return Ok(Look::Damaged(Sign::Truncated));
    }
    // SQLite makes the log before its index and takes the index away before the log.
    if there("-shm") && !there("-wal") && there("-shm") {
        return Ok(Look::Damaged(Sign::LogLost));
    }
    Ok(Look::Well)
}

fn newer(path: &Path, found: i64, steps: &[&str]) -> Result<(), Error> {
    let known = schema::latest(steps);
    if found > known { Err(Error::Newer { path: path.to_owned(), found, known }) } else { Ok(()) }
}

/// Connects to a file that is there, and says whether it is of the latest version.
async fn connect(path: &Path, steps: &[&'static str]) -> Result<(SqliteConnection, bool), Error> {
    // Connecting reads nothing of the file yet.
    let options = options(path);
    let mut connection = options.connect().await.map_err(|source| Error::of(path, source))?;
    match settle(&mut connection, path, steps).await {
        Ok(latest) => Ok((connection, latest)),
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
) -> Result<bool, Error> {
    let cannot = |source| Error::of(path, source);
    sqlx::raw_sql(SETTINGS).execute(&mut *connection).await.map_err(cannot)?;
    // The newest version may still be in the log, where the header does not show it.
    let question = "SELECT user_version, (SELECT count(*) FROM sqlite_schema WHERE type = 'table') \
                    FROM pragma_user_version";
    let row = sqlx::raw_sql(question).fetch_one(connection).await.map_err(cannot)?;
    let (version, tables): (i64, i64) =
        row.try_get(0).and_then(|version| Ok((version, row.try_get(1)?))).map_err(cannot)?;
    newer(path, version, steps)?;
    if version == 0 || tables == 0 {
        let source = "it has no tables".into();
        return Err(Error::Damaged { path: path.to_owned(), source });
    }
    Ok(version == schema::latest(steps))
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
