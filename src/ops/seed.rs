//! `db seed`: sets of files that fill a branch, each loaded once, whole or not at all.
//!
//! What `up` loads is a set too, the one without a name: the same files are recorded under the same names and hashes,
//! by the same code ([`prepare`]), so that each does what the other has left.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::branch::{Branches, reset, snapshot, url};
use super::migrate::open;
use super::{Context, Subject, database, generate};
use crate::base::{Event, Failure, Kind, Place};
use crate::generate::files::{self, Form};
use crate::lineage::Snapshot;
use crate::postgres::{self, Changed, Database, Prepare, Scope, Seed, prepare, state};
use crate::schema::table::Table;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The sets; none for what `up` loads.
    pub sets: Vec<String>,
    /// All tables are emptied first.
    pub reset: bool,
    /// Nothing is done where any table holds a row.
    pub only_empty: bool,
    /// Without a snapshot before.
    pub no_snapshot: bool,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Seeded {
    /// The files that were loaded.
    pub loaded: Vec<String>,
    /// Those that had been before.
    pub before: Vec<String>,
    /// What was there before.
    pub snapshot: Option<Snapshot>,
    /// Whether nothing was done because tables hold rows.
    pub left: bool,
}

/// Loads what the current branch's database lacks of sets.
pub async fn seed(context: &Context, options: &Options) -> Result<Seeded, Failure> {
    let mut branches = Branches::change(context).await?;
    let files = files(context, &branches.subject, &options.sets)?;
    let branch = branches.lineage.current(&branches.environment).cloned();
    let address = match &branch {
        Some(branch) => Some(url::of(&branches, branch).await?),
        None => url::in_environment(&branches, &branches.environment).await?,
    };
    let target = address.map(|address| address.target()).ok_or_else(|| {
        Failure::new(Kind::Unhealthy, "the database does not run").hint("start the stack with `devenv up`")
    })?;
    let lost = |error: postgres::Error| error.failing("the database cannot be seeded");
    let mut open_database = open(&target).await?;
    let mut done = Seeded::default();
    if options.only_empty && !held(&mut open_database).await?.is_empty() {
        done.left = true;
        return Ok(done);
    }
    if options.reset {
        if let Some(branch) = &branch {
            reset::is_unprotected(branch)?;
            if !options.no_snapshot {
                done.snapshot = Some(snapshot::keep_of(&mut branches, None, "seed").await?);
            }
        }
        let names: Vec<String> = files.iter().map(|it| it.name.clone()).collect();
        empty(&mut open_database, &names).await?;
    }
    for file in files {
        let form = Form::of(&file.path).unwrap_or(Form::Sql);
        let known = state(&mut open_database).await.map_err(lost)?;
        if form == Form::Generator {
            let bytes = std::fs::read(&file.path).map_err(|error| unreadable(&file.path, error))?;
            let hash = hex::encode(Sha256::digest(&bytes));
            if known.seeds.get(&file.name) == Some(&hash) {
                done.before.push(file.name);
                continue;
            }
            let wishes = files::wishes(&context.shown(&file.path), &String::from_utf8_lossy(&bytes))?;
            let only = wishes.tables.keys().cloned().collect();
            let wanted = generate::Options { only, ..generate::Options::default() };
            let plan = generate::planned(&mut open_database, wishes, &wanted).await?;
            open_database.begin_migrating(&context.events).await.map_err(lost)?;
            let record = Some((file.name.as_str(), hash.as_str()));
            generate::fill_and(&mut open_database, &plan, &context.events, record).await?;
            done.loaded.push(file.name);
            continue;
        }
        let read = |path: &Path| {
            let bytes = std::fs::read(path)?;
            if form == Form::Sql {
                return Ok(bytes);
            }
            let text = String::from_utf8(bytes)
                .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
            let sql = files::sql(path, form, &text);
            sql.map(String::into_bytes)
                .map_err(|failure| std::io::Error::new(std::io::ErrorKind::InvalidData, failure.to_string()))
        };
        if form != Form::Sql {
            // What is wrong with it is better said before it is read as SQL.
            let bytes = std::fs::read(&file.path).map_err(|error| unreadable(&file.path, error))?;
            files::sql(&context.shown(&file.path), form, &String::from_utf8_lossy(&bytes))?;
        }
        let name = file.name.clone();
        let request = Prepare {
            target: target.clone(),
            patience: database::PATIENCE,
            roles: None,
            vault: Vec::new(),
            migrations: None,
            seeds: vec![file],
            changed: Changed::Tell,
        };
        let prepared = prepare(&request, &read, &context.events).await?;
        if prepared.seeds.is_empty() { done.before.push(name) } else { done.loaded.push(name) }
    }
    Ok(done)
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(Kind::Files, "cannot be read").at(Place::file(path)).source(error)
}

/// The files of sets, in their order.
fn files(context: &Context, subject: &Subject, sets: &[String]) -> Result<Vec<Seed>, Failure> {
    let base = &subject.project.working_dir;
    if sets.is_empty() {
        if let Some(stack) = &subject.stack {
            return database::seeds(context, &subject.project, stack);
        }
        return in_set(context, base, &base.join("seeds"), "seeds");
    }
    let named = subject.project.extensions.get("x-devenv").and_then(|it| it.get("seeds"));
    let mut found = Vec::new();
    for set in sets {
        let paths: Vec<String> = match named.and_then(|it| it.get(set)) {
            Some(serde_json::Value::String(path)) => vec![path.clone()],
            Some(serde_json::Value::Array(paths)) => {
                paths.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
            }
            _ => vec![format!("seeds/{set}")],
        };
        for path in paths {
            found.extend(in_set(context, base, &base.join(&path), &path)?);
        }
    }
    Ok(found)
}

/// A file, or those of a folder in the order of their names.
fn in_set(context: &Context, base: &Path, path: &Path, named: &str) -> Result<Vec<Seed>, Failure> {
    let mut paths: Vec<PathBuf> = if path.is_file() {
        vec![path.to_owned()]
    } else {
        let entries = std::fs::read_dir(path).map_err(|error| {
            Failure::new(Kind::Usage, format!("there is no seed set `{named}`"))
                .at(Place::file(context.shown(path)))
                .source(error)
                .hint("a set is a folder of files in `seeds`, or what `x-devenv.seeds` in the compose file names")
        })?;
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
    };
    paths.retain(|path| Form::of(path).is_some());
    paths.sort();
    if paths.is_empty() {
        context.events.tell(Event::warning(format!("there is no seed file in `{named}`")));
    }
    let seed = |path: PathBuf| {
        let name = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
        Seed { name, path }
    };
    Ok(paths.into_iter().map(seed).collect())
}

/// The users' tables that hold rows.
async fn held(database: &mut Database) -> Result<Vec<String>, Failure> {
    let lost = |error: postgres::Error| error.failing("the tables cannot be read");
    let tables = database.tables(Scope::Own).await.map_err(lost)?;
    let mut held = Vec::new();
    for table in tables.values().filter(|table| table.partition_of.is_none()) {
        if database.holds_rows(&table.qualified()).await.map_err(lost)? {
            held.push(table.qualified());
        }
    }
    Ok(held)
}

/// Empties the users' tables, and forgets that `files` were loaded.
async fn empty(database: &mut Database, files: &[String]) -> Result<(), Failure> {
    let lost = |error: postgres::Error| error.failing("the tables cannot be emptied");
    let tables = database.tables(Scope::Own).await.map_err(lost)?;
    let names: Vec<String> = tables.values().map(Table::qualified).collect();
    database.begin().await.map_err(lost)?;
    if !names.is_empty() {
        let truncate = format!("TRUNCATE {} RESTART IDENTITY CASCADE", names.join(", "));
        database.run(truncate).await.map_err(lost)?;
    }
    database.forget_seeds(files).await.map_err(lost)?;
    database.run("COMMIT").await.map_err(lost)
}
