//! What a database says about itself in one round trip: what was applied, and which extensions are stubs.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use sqlx::{Either, Row};

use crate::postgres::{Database, Error};

/// An extension of which the stack has only the names, not the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// The extension.
    pub name: String,
    /// Its comment, which says what is missing.
    pub comment: String,
}

/// What was applied to a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The versions in the history.
    pub migrations: BTreeSet<String>,
    /// The seeds that were loaded, and the hashes that they had.
    pub seeds: BTreeMap<String, String>,
    /// The installed extensions that are stubs.
    pub stubs: Vec<Stub>,
    /// The columns of the two tables, as `table.column`.
    pub(super) columns: BTreeSet<String>,
}

impl State {
    /// Whether both tables have the columns that are written.
    pub(super) fn provisioned(&self) -> bool {
        COLUMNS.iter().all(|column| self.columns.contains(*column))
    }
}

const COLUMNS: [&str; 5] = [
    "schema_migrations.version",
    "schema_migrations.name",
    "schema_migrations.statements",
    "seed_files.path",
    "seed_files.hash",
];

// The control file's comment is asked for: a restored dump may have set the extension's own to the original's.
const ABOUT: &str = "
SELECT 'stub', e.extname::text, a.comment
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
WHERE a.comment LIKE 'devenv stub%'
UNION ALL
SELECT 'column', c.relname::text, a.attname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.oid IN (pg_catalog.to_regclass('supabase_migrations.schema_migrations'),
                pg_catalog.to_regclass('supabase_migrations.seed_files'))
  AND a.attnum > 0 AND NOT a.attisdropped
";
const MIGRATIONS: &str = "SELECT 'migration', version, '' FROM supabase_migrations.schema_migrations";
const SEEDS: &str = "SELECT 'seed', path, hash FROM supabase_migrations.seed_files";

/// PostgreSQL has no such table.
const UNDEFINED_TABLE: &str = "42P01";

/// Asks a database what was applied to it. One round trip, so that an `up` with nothing to do stays fast.
pub async fn state(database: &mut Database) -> Result<State, Error> {
    let mut state = State::default();
    match ask(database, [ABOUT, MIGRATIONS, SEEDS].join(";"), &mut state).await {
        // The answers before the missing table have arrived; only seeds without any migration are still unread.
        Err(Error::Refused(refusal)) if refusal.code == UNDEFINED_TABLE => {
            if !state.columns.contains(COLUMNS[0]) && state.columns.contains(COLUMNS[3]) {
                ask(database, SEEDS.to_owned(), &mut state).await?;
            }
        }
        answered => answered?,
    }
    Ok(state)
}

async fn ask(database: &mut Database, sql: String, state: &mut State) -> Result<(), Error> {
    // Constants of this file, joined.
    let query = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    let mut answers = query.fetch_many(&mut database.connection);
    while let Some(answer) = answers.try_next().await? {
        let Either::Right(row) = answer else { continue };
        let (name, value): (String, String) = (row.try_get(1)?, row.try_get(2)?);
        match row.try_get(0)? {
            "stub" => state.stubs.push(Stub { name, comment: value }),
            "column" => {
                state.columns.insert(format!("{name}.{value}"));
            }
            "migration" => {
                state.migrations.insert(name);
            }
            _ => {
                state.seeds.insert(name, value);
            }
        }
    }
    Ok(())
}
