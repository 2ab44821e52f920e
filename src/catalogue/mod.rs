//! The record of all branches, snapshots and environments of this machine's user, and of what was begun and not
//! finished: one SQLite file in the state folder.
//!
//! Many commands may have it open at once. Each write is one transaction that is on the disk when it returns
//! (`synchronous=FULL`); reads see one moment. What a command is about to do is written down before it begins
//! ([`Catalogue::begin`]) and taken away together with its outcome ([`Catalogue::finish`]), so that whatever
//! happens in between, the next command knows.
//!
//! The file can be lost: the pool holds a manifest beside each piece of data, from which
//! [`crate::lineage::rebuild`] makes the records again. So a damaged file never stops anybody: it is kept under
//! another name and a fresh one takes its place ([`Damage`]).
//!
//! A record is written whole. Two commands that change the same one at the same time need a lock of their own; for
//! the one change that happens without any, there is [`Catalogue::used`].

mod error;
mod open;
mod read;
mod schema;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection, Transaction};
use tokio::sync::Mutex;

pub use error::{Error, User};

use crate::lineage::{Audit, Changes, Environment, Intent, Lineage, Project, Seconds};

/// The open catalogue.
#[derive(Debug)]
pub struct Catalogue {
    connection: Mutex<SqliteConnection>,
    path: PathBuf,
}

/// The catalogue, and what happened to it on the way.
#[derive(Debug)]
pub struct Opened {
    /// It.
    pub catalogue: Catalogue,
    /// What was wrong with the file, if a fresh one had to take its place in this moment.
    pub repaired: Option<Damage>,
    /// The file was made by this command or another one, and nobody has looked yet whether the pool has data all the
    /// same, from which the records are to be made again. So it stays, even if this command is killed, until
    /// [`Catalogue::replace`] or [`Catalogue::settle`].
    pub fresh: bool,
}

impl Opened {
    fn of(connection: SqliteConnection, path: PathBuf, fresh: bool, repaired: Option<Damage>) -> Self {
        let catalogue = Catalogue { connection: Mutex::new(connection), path };
        Self { catalogue, repaired, fresh }
    }
}

/// What was wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What was seen.
    pub sign: Sign,
    /// Where the damaged files are now.
    pub kept: Vec<PathBuf>,
}

/// A sign of damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Sign {
    /// It has nothing in it.
    #[error("it is empty")]
    Empty,
    /// Its log is there and it is not.
    #[error("it is gone, and its log is there")]
    Missing,
    /// Its log is gone without having been written into it.
    #[error("its log is gone")]
    LogLost,
    /// What SQLite said when it read it.
    #[error("{0}")]
    Corrupt(String),
}

/// What was begun and not finished.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenIntent {
    /// Its number.
    pub id: IntentId,
    /// What was written down.
    pub intent: Intent,
}

/// The number of something that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(i64);

/// For what the clock is looked at. Each has a last look of its own: one that saw a jump would hide it from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Branches and snapshots whose time is over.
    Branches,
    /// Environments whose time is over.
    Environments,
}

impl Clock {
    fn key(self) -> &'static str {
        match self {
            Self::Branches => "seen",
            Self::Environments => "seen-environments",
        }
    }
}

/// How many sequence numbers come with each [`IntentId`].
const NUMBERS: i64 = 8;

impl IntentId {
    /// Sequence numbers for the records that it makes; each call gives the same ones.
    #[must_use]
    pub fn sequences(self) -> std::ops::Range<i64> {
        self.0..self.0 + NUMBERS
    }

    /// The number as it stands in the catalogue.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

impl Catalogue {
    /// Opens the catalogue in a folder, which is made if it is not there.
    pub async fn open(folder: &Path) -> Result<Opened, Error> {
        open::open(folder, &schema::STEPS).await
    }

    /// Reads the whole file, after [`Error::Damaged`] or for `doctor`, and makes a fresh one if it is damaged.
    pub async fn mend(self) -> Result<Opened, Error> {
        let folder = self.path.parent().unwrap_or(&self.path).to_owned();
        self.close().await;
        open::mend(&folder, &schema::STEPS).await
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the file is closed.
    pub async fn close(self) {
        open::close(self.connection.into_inner()).await;
    }

    /// All projects, by name.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        read::projects(&mut *self.connection.lock().await).await.map_err(|error| self.failed(error))
    }

    /// The project with this id.
    pub async fn project(&self, id: &str) -> Result<Option<Project>, Error> {
        read::one_project(&mut *self.connection.lock().await, id).await.map_err(|error| self.failed(error))
    }

    /// Writes a project down.
    pub async fn save_project(&self, project: &Project) -> Result<(), Error> {
        let changes = Changes { put_projects: vec![project.clone()], ..Changes::default() };
        self.apply(&changes).await
    }

    /// All records of a project, as they were at one moment.
    pub async fn lineage(&self, project: &str) -> Result<Lineage, Error> {
        let mut connection = self.connection.lock().await;
        let read = async {
            let mut transaction = connection.begin().await?;
            let lineage = read::lineage(&mut transaction, project).await?;
            transaction.rollback().await?;
            Ok(lineage)
        };
        read.await.map_err(|error| self.failed(error))
    }

    /// The environments of all projects, deleted ones too.
    pub async fn environments(&self) -> Result<Vec<Environment>, Error> {
        read::environments(&mut *self.connection.lock().await).await.map_err(|error| self.failed(error))
    }

    /// A sequence number that nobody had.
    pub async fn next_sequence(&self) -> Result<i64, Error> {
        write::numbers(&mut *self.connection.lock().await, 1).await.map_err(|error| self.failed(error))
    }

    /// Writes changes down, all of them or none.
    pub async fn apply(&self, changes: &Changes) -> Result<(), Error> {
        let mut connection = self.connection.lock().await;
        let mut transaction = self.begin_write(&mut connection).await?;
        write::changes(&mut transaction, changes).await.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    /// Writes down what is about to be done.
    pub async fn begin(&self, intent: &Intent) -> Result<IntentId, Error> {
        let mut connection = self.connection.lock().await;
        let mut transaction = self.begin_write(&mut connection).await?;
        let write = async {
            let id = write::numbers(&mut transaction, NUMBERS).await?;
            write::put_intent(&mut transaction, id, intent).await?;
            transaction.commit().await?;
            Ok(IntentId(id))
        };
        write.await.map_err(|error| self.failed(error))
    }

    /// Writes down which step begins, and what is known by now if that is more than before.
    pub async fn advance(
        &self,
        id: IntentId,
        step: &str,
        detail: Option<&serde_json::Value>,
    ) -> Result<(), Error> {
        let query = sqlx::query("UPDATE intents SET step = ?, detail = coalesce(?, detail) WHERE id = ?")
            .bind(step.to_owned())
            .bind(detail.map(ToString::to_string))
            .bind(id.0);
        let mut connection = self.connection.lock().await;
        let done = query.execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        if done.rows_affected() == 0 { Err(Error::Ended { id: id.0 }) } else { Ok(()) }
    }

    /// Writes down what became of it, and that it is over, in one.
    pub async fn finish(&self, id: IntentId, changes: &Changes) -> Result<(), Error> {
        let mut connection = self.connection.lock().await;
        let mut transaction = self.begin_write(&mut connection).await?;
        let query = sqlx::query("DELETE FROM intents WHERE id = ?").bind(id.0);
        let done = query.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
        if done.rows_affected() == 0 {
            return Err(Error::Ended { id: id.0 });
        }
        write::changes(&mut transaction, changes).await.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    /// Nothing became of it, and nothing of it is left. It may be over already.
    pub async fn abandon(&self, id: IntentId) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM intents WHERE id = ?").bind(id.0);
        let mut connection = self.connection.lock().await;
        query.execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// What was begun and is not over, of one project or of all, the eldest first.
    pub async fn open_intents(&self, project: Option<&str>) -> Result<Vec<OpenIntent>, Error> {
        read::intents(&mut *self.connection.lock().await, project).await.map_err(|error| self.failed(error))
    }

    /// The last things that were taken away or had back, the newest first.
    pub async fn audit(&self, project: &str, at_most: u32) -> Result<Vec<Audit>, Error> {
        let mut connection = self.connection.lock().await;
        read::audit(&mut connection, project, at_most).await.map_err(|error| self.failed(error))
    }

    /// Services begin to work on a branch. Changes nothing else of its record.
    pub async fn used(&self, branch: &str, now: Seconds) -> Result<(), Error> {
        let query =
            sqlx::query("UPDATE branches SET used = ? WHERE id = ?").bind(now).bind(branch.to_owned());
        let mut connection = self.connection.lock().await;
        query.execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Writes down what the clock says, and answers what it said the last time that it was looked at for this. Within
    /// one minute it stays as it is, so that a command that only looks need not write.
    pub async fn see_clock(&self, of: Clock, now: Seconds) -> Result<Option<Seconds>, Error> {
        let mut connection = self.connection.lock().await;
        let see = async {
            let seen = read::meta(&mut connection, of.key()).await?;
            if seen.is_none_or(|seen| now.abs_diff(seen) >= 60) {
                write::see(&mut connection, of.key(), now).await?;
            }
            Ok(seen)
        };
        see.await.map_err(|error| self.failed(error))
    }

    /// Puts these records in the place of all that there are of these projects. What was begun and what was done
    /// stays, and sequence numbers go on behind `sequence`. The file is not fresh any more.
    pub async fn replace(
        &self,
        projects: &[Project],
        lineages: &BTreeMap<String, Lineage>,
        sequence: i64,
    ) -> Result<(), Error> {
        let mut changes = Changes { put_projects: projects.to_vec(), ..Changes::default() };
        for lineage in lineages.values() {
            changes.put_branches.extend(lineage.branches.values().cloned());
            changes.put_snapshots.extend(lineage.snapshots.values().cloned());
            changes.put_environments.extend(lineage.environments.values().cloned());
        }
        let mut connection = self.connection.lock().await;
        let mut transaction = self.begin_write(&mut connection).await?;
        let write = async {
            for project in projects {
                write::clear(&mut transaction, &project.id).await?;
            }
            write::changes(&mut transaction, &changes).await?;
            write::beyond(&mut transaction, sequence).await?;
            write::not_new(&mut transaction).await?;
            transaction.commit().await
        };
        write.await.map_err(|error| self.failed(error))
    }

    /// The pool was looked at: there is nothing that the records would have to be made again from.
    pub async fn settle(&self) -> Result<(), Error> {
        write::not_new(&mut *self.connection.lock().await).await.map_err(|error| self.failed(error))
    }

    /// Takes the right to write at once, so that two that read and then write do not meet half way.
    async fn begin_write<'a>(
        &self,
        connection: &'a mut SqliteConnection,
    ) -> Result<Transaction<'a, Sqlite>, Error> {
        connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: sqlx::Error) -> Error {
        Error::of(&self.path, error)
    }
}

#[cfg(test)]
mod tests;
