//! Brings a database to where a project's files want it: roles, then migrations, then seeds.
//!
//! With nothing to do it costs a connection and one question. With something to do it takes a lock first, so
//! that two `devenv up` at once do it once.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::Row;
use tokio::time::{Instant, sleep};

use crate::base::{Event, Events, Failure, Kind, Place};
use crate::postgres::script::{Record, Script, record_seed, simple};
use crate::postgres::state::{State, Stub, state};
use crate::postgres::{Database, Error, Password, Target, connect};

/// Reads a file; this room opens none itself.
pub type Read<'a> = &'a (dyn Fn(&Path) -> io::Result<Vec<u8>> + Send + Sync);

/// What a database shall hold.
#[derive(Debug, Clone)]
pub struct Prepare {
    /// Where it is.
    pub target: Target,
    /// How long it may take to answer.
    pub patience: Duration,
    /// `supabase/roles.sql`, when there is one: run once, before everything else.
    pub roles: Option<PathBuf>,
    /// The secrets of `[db.vault]`, written before migrations are applied, as the CLI does.
    pub vault: Vec<(String, Password)>,
    /// The migrations in their order; none when they are switched off.
    pub migrations: Option<Vec<Migration>>,
    /// The seeds in their order.
    pub seeds: Vec<Seed>,
    /// What to do with a seed that changed since it was loaded.
    pub changed: Changed,
}

/// A migration file.
#[derive(Debug, Clone)]
pub struct Migration {
    /// What the history knows it by.
    pub version: String,
    /// What follows the version in its name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// A seed file.
#[derive(Debug, Clone)]
pub struct Seed {
    /// What it is recorded under: `supabase/seed.sql`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// What to do with a seed that changed since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Changed {
    /// Say so, and leave data and record as they are.
    #[default]
    Tell,
    /// Run it again; it must be written so that this works.
    Run,
    /// Take it as loaded, which is what the Supabase CLI does.
    Record,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// Whether the roles were run.
    pub roles: bool,
    /// The versions that were applied.
    pub migrations: Vec<String>,
    /// The seeds that were loaded.
    pub seeds: Vec<String>,
    /// The versions in the history that have no file.
    pub unknown: Vec<String>,
    /// The installed extensions that are stubs.
    pub stubs: Vec<Stub>,
}

/// The name under which `roles.sql` is recorded, among the seeds.
const ROLES: &str = "supabase/roles.sql";
/// The key of the advisory lock; "devenv" in ASCII.
const LOCK: i64 = 0x6465_7665_6e76;
/// How often a lock that another holds is asked for. Waiting for it inside PostgreSQL would be a running
/// statement, for which `CREATE INDEX CONCURRENTLY` of the other would wait in turn.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Roles, migrations and seeds that a database lacks are applied to it; `read` reads their files.
pub async fn prepare(request: &Prepare, read: Read<'_>, events: &Events) -> Result<Prepared, Failure> {
    let lost = |error: Error| error.failing("the database cannot be prepared");
    let database = &mut connect(&request.target, request.patience).await.map_err(lost)?;
    let mut known = state(database).await.map_err(lost)?;
    let mut work = Work::of(request, &known, read)?;
    let mut prepared = Prepared::default();
    if !work.is_empty() {
        lock(database, events).await.map_err(lost)?;
        // Another run may have done it while this one waited.
        known = state(database).await.map_err(lost)?;
        work = Work::of(request, &known, read)?;
        if !work.is_empty() {
            if !known.provisioned() {
                provision(database).await.map_err(lost)?;
            }
            database.learn_settings().await.map_err(lost)?;
            work.carry_out(database, request, &known, read, events, &mut prepared).await?;
            // An extension may have been installed.
            known = state(database).await.map_err(lost)?;
        }
    }
    work.tell_changes(events);
    prepared.unknown = unknown(request, &known);
    if !prepared.unknown.is_empty() {
        events.tell(Event::Warning {
            message: format!(
                "the database has migrations without a file here: {}",
                prepared.unknown.join(", ")
            ),
            place: None,
            hint: Some(
                "take the files over from the git branch that they came from, or start from fresh data"
                    .into(),
            ),
        });
    }
    prepared.stubs = known.stubs;
    Ok(prepared)
}

/// What is to be done, and what only to be told.
#[derive(Default)]
struct Work<'a> {
    roles: Option<(&'a Path, String)>,
    migrations: Vec<&'a Migration>,
    seeds: Vec<(&'a Seed, String)>,
    /// Seeds whose new hash is recorded without running them.
    recorded: Vec<(&'a Seed, String)>,
    /// Files that changed since they were run, and stay as they are.
    changed: Vec<&'a Path>,
}

impl<'a> Work<'a> {
    fn of(request: &'a Prepare, known: &State, read: Read<'_>) -> Result<Self, Failure> {
        let mut work = Self::default();
        if let Some(path) = &request.roles {
            let hash = hash(path, read)?;
            match known.seeds.get(ROLES) {
                None => work.roles = Some((path, hash)),
                Some(before) if *before != hash => work.changed.push(path),
                Some(_) => {}
            }
        }
        let files = request.migrations.iter().flatten();
        work.migrations = files.filter(|file| !known.migrations.contains(&file.version)).collect();
        for seed in &request.seeds {
            let hash = hash(&seed.path, read)?;
            match (known.seeds.get(&seed.name), request.changed) {
                (Some(before), _) if *before == hash => {}
                (None, _) | (Some(_), Changed::Run) => work.seeds.push((seed, hash)),
                (Some(_), Changed::Record) => work.recorded.push((seed, hash)),
                (Some(_), Changed::Tell) => work.changed.push(&seed.path),
            }
        }
        Ok(work)
    }

    fn is_empty(&self) -> bool {
        self.roles.is_none()
            && self.migrations.is_empty()
            && self.seeds.is_empty()
            && self.recorded.is_empty()
    }

    fn tell_changes(&self, events: &Events) {
        for path in &self.changed {
            let message = format!("`{}` changed since it was run, and is not run again", path.display());
            events.warn(
                &Failure::new(Kind::Data, message)
                    .at(Place::file(*path))
                    .hint("to have it run, start from fresh data: `devenv down --volumes`, then `devenv up`"),
            );
        }
    }

    async fn carry_out(
        &self,
        database: &mut Database,
        request: &Prepare,
        known: &State,
        read: Read<'_>,
        events: &Events,
        prepared: &mut Prepared,
    ) -> Result<(), Failure> {
        // Every migration is understood before the first is applied.
        let mut texts = Vec::new();
        for migration in &self.migrations {
            texts.push(text(&migration.path, read)?);
        }
        let mut scripts = Vec::new();
        for (migration, sql) in self.migrations.iter().zip(&texts) {
            scripts.push(Script::new(&migration.path, sql)?);
        }
        if let Some((path, hash)) = &self.roles {
            prepared.roles = roles(database, path, hash, known, read, events).await?;
        }
        if !self.migrations.is_empty() {
            for (name, secret) in &request.vault {
                let failed =
                    |error: Error| error.failing(format!("the vault secret `{name}` cannot be written"));
                keep_secret(database, name, secret).await.map_err(failed)?;
            }
        }
        let newest = known.migrations.last();
        for (migration, script) in self.migrations.iter().zip(&scripts) {
            let file = shown(&migration.path);
            if newest.is_some_and(|newest| migration.version < *newest) {
                events.tell(Event::Warning {
                    message: format!("migration `{file}` is older than the newest that was applied"),
                    place: Some(migration.path.display().to_string()),
                    hint: Some("give it a new time if it depends on what is newer".to_owned()),
                });
            }
            let record = Record::Migration(&migration.version, &migration.name);
            let told = Told::start(events, format!("Migration {file}"), "applying");
            told.end(script.run(database, &record, &format!("migration `{file}`")).await, "applied")?;
            prepared.migrations.push(migration.version.clone());
        }
        for (seed, hash) in &self.seeds {
            let sql = text(&seed.path, read)?;
            let script = Script::new(&seed.path, &sql)?;
            let told = Told::start(events, format!("Seed {}", seed.name), "loading");
            let run =
                script.run(database, &Record::Seed(&seed.name, hash), &format!("seed `{}`", seed.name)).await;
            told.end(run, "loaded")?;
            prepared.seeds.push(seed.name.clone());
        }
        for (seed, hash) in &self.recorded {
            let failed = |error: Error| error.failing(format!("seed `{}` cannot be recorded", seed.name));
            record_seed(database, &seed.name, hash).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Runs `roles.sql`. Roles belong to the whole server, so that a database which the Supabase CLI has set up
/// has them already; then the file counts as run.
async fn roles(
    database: &mut Database,
    path: &Path,
    hash: &str,
    known: &State,
    read: Read<'_>,
    events: &Events,
) -> Result<bool, Failure> {
    let sql = text(path, read)?;
    let script = Script::new(path, &sql)?;
    let told = Told::start(events, format!("Roles {}", shown(path)), "creating");
    match script.run(database, &Record::Seed(ROLES, hash), &format!("`{}`", shown(path))).await {
        Err(failure) if !known.migrations.is_empty() && says(&failure, "42710") => {
            let recorded = record_seed(database, ROLES, hash).await;
            told.end(
                recorded.map_err(|error| error.failing("the roles cannot be recorded")),
                "there already",
            )?;
            Ok(false)
        }
        run => told.end(run, "created").map(|()| true),
    }
}

/// Writes a secret into the vault, over the one of that name.
async fn keep_secret(database: &mut Database, name: &str, secret: &Password) -> Result<(), Error> {
    let update = "SELECT vault.update_secret(id, $2) FROM vault.secrets WHERE name = $1";
    let query = sqlx::query(update).bind(name).bind(secret.reveal());
    if query.persistent(false).fetch_all(&mut database.connection).await?.is_empty() {
        let query = sqlx::query("SELECT vault.create_secret($2, $1)").bind(name).bind(secret.reveal());
        query.persistent(false).execute(&mut database.connection).await?;
    }
    Ok(())
}

fn says(failure: &Failure, code: &str) -> bool {
    let error = failure.source.as_ref().and_then(|source| source.downcast_ref::<Error>());
    error.and_then(Error::refusal).is_some_and(|refusal| refusal.code == code)
}

/// Something that was told to have begun.
pub(super) struct Told<'a> {
    events: &'a Events,
    subject: String,
    start: Instant,
}

impl<'a> Told<'a> {
    pub(super) fn start(events: &'a Events, subject: String, doing: &str) -> Self {
        events.tell(Event::Started { subject: subject.clone(), doing: doing.to_owned() });
        Self { events, subject, start: Instant::now() }
    }

    pub(super) fn end(self, result: Result<(), Failure>, outcome: &str) -> Result<(), Failure> {
        let subject = self.subject;
        self.events.tell(match &result {
            Ok(()) => Event::Done { subject, outcome: outcome.to_owned(), took: self.start.elapsed() },
            Err(failure) => Event::Failed { subject, reason: failure.to_string() },
        });
        result
    }
}

/// The versions in the history that have no file.
fn unknown(request: &Prepare, known: &State) -> Vec<String> {
    let Some(files) = &request.migrations else { return Vec::new() };
    let versions: BTreeSet<&str> = files.iter().map(|file| file.version.as_str()).collect();
    known.migrations.iter().filter(|version| !versions.contains(version.as_str())).cloned().collect()
}

/// Takes the lock that the connection holds until it ends.
pub(super) async fn lock(database: &mut Database, events: &Events) -> Result<(), Error> {
    let mut told = false;
    loop {
        let query = sqlx::query("SELECT pg_catalog.pg_try_advisory_lock($1)").bind(LOCK);
        let row = query.persistent(false).fetch_one(&mut database.connection).await?;
        if row.try_get(0)? {
            return Ok(());
        }
        if !told {
            events.tell(Event::note("waiting for another devenv that prepares this database"));
            told = true;
        }
        sleep(LOCK_PAUSE).await;
    }
}

/// Makes the tables as the Supabase CLI makes them.
pub(super) async fn provision(database: &mut Database) -> Result<(), Error> {
    let made = simple(
        database,
        "BEGIN;
SET LOCAL lock_timeout = '4s';
CREATE SCHEMA IF NOT EXISTS supabase_migrations;
CREATE TABLE IF NOT EXISTS supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY);
ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS statements text[];
ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS name text;
CREATE TABLE IF NOT EXISTS supabase_migrations.seed_files (path text NOT NULL PRIMARY KEY, hash text NOT NULL);
COMMIT",
    )
    .await;
    if made.is_err() {
        let _ = simple(database, "ROLLBACK").await;
    }
    made
}

pub(super) fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn bytes(path: &Path, read: Read<'_>) -> Result<Vec<u8>, Failure> {
    read(path).map_err(|error| {
        Failure::new(Kind::Files, format!("`{}` cannot be read", path.display()))
            .at(Place::file(path))
            .source(error)
    })
}

/// The hash under which the CLI records a seed.
fn hash(path: &Path, read: Read<'_>) -> Result<String, Failure> {
    Ok(hex::encode(Sha256::digest(bytes(path, read)?)))
}

/// The text of a file, without the mark that some editors put before it.
fn text(path: &Path, read: Read<'_>) -> Result<String, Failure> {
    let mut text = String::from_utf8(bytes(path, read)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        Failure::new(Kind::Files, format!("`{}` is not UTF-8", path.display()))
            .at(Place::in_text(path, &before, &(valid..valid)))
            .hint("save the file as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}
