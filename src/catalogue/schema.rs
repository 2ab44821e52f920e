//! The versions of the schema, and the way from each to the next.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row};

/// The step to version 1, the one to version 2, and so on. A released step never changes.
pub(super) const STEPS: [&str; 3] =
    [include_str!("schema-1.sql"), include_str!("schema-2.sql"), include_str!("schema-3.sql")];

/// Marks the file as ours: `dvnv`. It stands in the header.
pub(super) const APPLICATION: u32 = u32::from_be_bytes(*b"dvnv");

/// The version that these steps lead to.
pub(super) fn latest(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// The version that the file has now, whatever else it is.
pub(super) async fn version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::raw_sql("PRAGMA user_version").fetch_one(connection).await?.try_get(0)
}

/// Brings the file to the latest version, all of the way or not at all.
pub(super) async fn migrate(connection: &mut SqliteConnection, steps: &[&'static str]) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let from = version(&mut transaction).await?;
    for step in steps.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    let (application, latest) = (APPLICATION, latest(steps));
    let mark = format!("PRAGMA application_id = {application}; PRAGMA user_version = {latest}");
    sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Writes a copy of the whole file beside it, named after its version.
pub(super) async fn back_up(
    connection: &mut SqliteConnection,
    path: &Path,
    version: i64,
) -> Result<PathBuf, super::Error> {
    use super::Error;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}.bak"));
    let copy = PathBuf::from(name);
    let half = copy.with_extension("half");
    let _ = std::fs::remove_file(&half);
    let to = half.to_string_lossy().into_owned();
    let query = sqlx::query("VACUUM INTO ?").bind(to);
    query.execute(&mut *connection).await.map_err(|source| Error::of(path, source))?;
    super::open::private(&half)?;
    std::fs::File::open(&half)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&half, &copy))
        .map_err(|source| Error::io("write", &copy, source))?;
    Ok(copy)
}
