//! Single acts on the migrations of a database: applying one, taking one back, saying that one was applied.
//!
//! [`prepare`](crate::postgres::prepare()) does what `up` needs; this is what `db migrate` is made of.

use std::path::Path;

use sqlx::Row;

use crate::base::{Events, Failure};
use crate::postgres::prepare::{Migration, Told, lock, provision, shown};
use crate::postgres::script::{Record, Script, simple};
use crate::postgres::state::state;
use crate::postgres::{Database, Error};

/// A row of the history: version, name, statements.
pub type History = Vec<(String, Option<String>, Option<Vec<String>>)>;

/// The statements of a migration as the history holds them.
pub fn statements(path: &Path, sql: &str) -> Result<Vec<String>, Failure> {
    Ok(Script::new(path, sql)?.statements().into_iter().map(str::to_owned).collect())
}

const UNDEFINED: [&str; 3] = ["42P01", "3F000", "42703"];

impl Database {
    /// What was applied; nothing where the history was never begun.
    pub async fn history(&mut self) -> Result<History, Error> {
        let sql =
            "SELECT version, name, statements FROM supabase_migrations.schema_migrations ORDER BY version";
        let answer = sqlx::query(sql).persistent(false).fetch_all(&mut self.connection).await;
        let rows = match answer.map_err(Error::from) {
            // A table without these columns is one that only holds versions.
            Err(Error::Refused(refusal)) if UNDEFINED.contains(&refusal.code.as_str()) => {
                let versions = state(self).await?.migrations;
                return Ok(versions.into_iter().map(|version| (version, None, None)).collect());
            }
            answer => answer?,
        };
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }

    /// Makes this connection the one that changes the schema, until it ends, and the tables of the history be there.
    pub async fn begin_migrating(&mut self, events: &Events) -> Result<(), Error> {
        lock(self, events).await?;
        if !state(self).await?.provisioned() {
            provision(self).await?;
        }
        self.learn_settings().await
    }

    /// Applies a migration and records it, both or neither where PostgreSQL can.
    pub async fn apply(&mut self, migration: &Migration, sql: &str, events: &Events) -> Result<(), Failure> {
        let file = shown(&migration.path);
        let script = Script::new(&migration.path, sql)?;
        let record = Record::Migration(&migration.version, &migration.name);
        let told = Told::start(events, format!("Migration {file}"), "applying");
        told.end(script.run(self, &record, &format!("migration `{file}`")).await, "applied")
    }

    /// Takes a migration back with the file `path`, and its row out of the history.
    pub async fn revert(
        &mut self,
        version: &str,
        path: &Path,
        sql: &str,
        events: &Events,
    ) -> Result<(), Failure> {
        let file = shown(path);
        let script = Script::new(path, sql)?;
        let told = Told::start(events, format!("Migration {file}"), "taking back");
        told.end(
            script.run(self, &Record::Reverted(version), &format!("rollback `{file}`")).await,
            "taken back",
        )
    }

    /// Runs a script that nothing records.
    pub async fn run_script(&mut self, path: &Path, sql: &str) -> Result<(), Failure> {
        Script::new(path, sql)?.run(self, &Record::Nothing, &format!("`{}`", shown(path))).await
    }

    /// Changes what the history says, and nothing else: rows that are added (or written anew) and versions that go.
    pub async fn rewrite_history(
        &mut self,
        add: &[(String, String, Vec<String>)],
        remove: &[String],
    ) -> Result<(), Error> {
        simple(self, "BEGIN").await?;
        let work = async {
            let sql = "DELETE FROM supabase_migrations.schema_migrations WHERE version = ANY ($1)";
            sqlx::query(sql).bind(remove).persistent(false).execute(&mut self.connection).await?;
            for (version, name, statements) in add {
                let sql = "INSERT INTO supabase_migrations.schema_migrations(version, name, statements) \
                           VALUES($1, $2, $3) ON CONFLICT (version) DO UPDATE \
                           SET name = EXCLUDED.name, statements = EXCLUDED.statements";
                let query = sqlx::query(sql).bind(version).bind(name).bind(statements);
                query.persistent(false).execute(&mut self.connection).await?;
            }
            Ok(())
        };
        let done: Result<(), Error> = work.await;
        simple(self, if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        done
    }

    /// Takes away all that users made, and the history with it, so that migrations find what a new database holds.
    pub async fn clear(&mut self) -> Result<(), Error> {
        simple(self, include_str!("clear.sql")).await
    }
}
