//! `db backup`: dumps that count. One counts only after it was restored into a throw-away server and compared, table by
//! table and object by object, with what the database held at the instant of the dump.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::copy::Made;
use super::copy::server::superuser;
use super::dump::{Beside, Form, whole, write};
use super::restore::{self, Restored, fill};
use super::{Branches, failpoint, now, url};
use crate::base::digest::sha256;
use crate::base::{Event, Failure, Kind, Place};
use crate::lineage::keep::{Keep, kept};
use crate::ops::mask::{discreet, list, name, tables};
use crate::ops::{Context, place};
use crate::postgres::{self, Database, Scope};
use crate::schema::quote;
use crate::supabase::history::version;

/// What a table held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How many rows.
    pub rows: u64,
    /// The sum of the rows' hashes, in whatever order they come.
    pub sum: String,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Of this document's form.
    pub version: u32,
    /// What it is called.
    pub name: String,
    /// The project.
    pub project: String,
    /// The branch that it was made of.
    pub branch: String,
    /// When, in seconds since 1970.
    pub created: i64,
    /// The dump's size.
    pub bytes: u64,
    /// The dump's hash (SHA-256).
    pub hash: String,
    /// A hash of the schema's objects.
    pub schema: String,
    /// What the tables held.
    pub tables: BTreeMap<String, Held>,
    /// When it was restored and compared; none if it never was.
    pub verified: Option<i64>,
}

impl Backup {
    /// How many rows it holds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|held| held.rows).sum()
    }
}

/// Where a project's backups are.
fn folder(context: &Context) -> Result<(PathBuf, String), Failure> {
    let project = context.load_quietly(&[])?.project.name;
    Ok((context.state_directory()?.join("backups").join(&project), project))
}

fn dump_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.dump"))
}

fn failed(file: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| {
        Failure::new(Kind::Failed, "the backup cannot be read or written").at(Place::file(file)).source(error)
    }
}

/// What the tables of a database hold: of each the number of rows and the sum of their hashes. With `instant`, a
/// snapshot that another session keeps, it is that of then.
async fn held(database: &mut Database, instant: Option<&str>) -> Result<BTreeMap<String, Held>, Failure> {
    let failed = |error| discreet(error, "what the tables hold cannot be counted");
    let found = tables(database).await?;
    // The settings are those that rows are written as text with.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''; \
                 SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL intervalstyle = 'iso_8601'; \
                 SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL timezone = 'UTC'; \
                 SET LOCAL row_security = off";
    let begin = match instant {
        Some(instant) => {
            let snapshot = format!("; SET TRANSACTION SNAPSHOT {}; SET LOCAL search", quote::text(instant));
            begin.replacen("; SET LOCAL search", &snapshot, 1)
        }
        None => begin.to_owned(),
    };
    database.run(begin).await.map_err(failed)?;
    let mut all = BTreeMap::new();
    for table in &found {
        let columns: Vec<usize> = (0..table.columns.len()).collect();
        let only = if table.partitioned { "" } else { "ONLY " };
        let sql = format!(
            "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(ROW({})::text, 0)), 0) \
             FROM {only}{}",
            list(table, &columns),
            name(table)
        );
        let row = database.ask(sql).await.map_err(failed)?.into_iter().next().unwrap_or_default();
        let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        all.insert(table.path(), Held { rows: text(0).parse().unwrap_or(0), sum: text(1) });
    }
    database.run("COMMIT").await.map_err(failed)?;
    Ok(all)
}

async fn schema(database: &mut Database) -> Result<String, Failure> {
    let model = database.schema(Scope::Own).await.map_err(crate::ops::failures::unread)?;
    let objects: Vec<_> = model.objects.values().map(|object| (&object.id, &object.properties)).collect();
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(&objects).unwrap_or_default())))
}

/// Makes a backup of a branch, and, unless it is not to be, verifies it.
pub async fn create(context: &Context, branch: Option<&str>, verified: bool) -> Result<Backup, Failure> {
    let (folder, project) = folder(context)?;
    let mut make = fs::DirBuilder::new();
    make.recursive(true).mode(0o700).create(&folder).map_err(failed(&folder))?;
    let address = url::url(context, branch, false).await?;
    let target = superuser(&address.target()).await?;
    let name_of = match branch {
        Some(branch) => branch.to_owned(),
        None => super::list::current(context).await?.name,
    };
    let created = now();
    let plain: String =
        name_of.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let name = format!("{plain}-{}", version(created));
    let doing = |doing: &str| {
        let subject = format!("backup {name}");
        context.events.tell(Event::Started { subject, doing: doing.to_owned() });
    };
    let unread = |error| discreet(error, "the database cannot be read");
    let patience = std::time::Duration::from_secs(10);
    let mut database = postgres::connect(&target, patience).await.map_err(unread)?;
    let schema = schema(&mut database).await?;
    // The dump and the sums are of one instant.
    let mut instant = postgres::connect(&target, patience).await.map_err(unread)?;
    instant.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(unread)?;
    let snapshot = instant.one("SELECT pg_catalog.pg_export_snapshot()").await.map_err(unread)?;
    let snapshot = snapshot.unwrap_or_default();
    doing("dumping");
    let engine = context.engine().await?;
    let beside = Beside::new(&address.container, &target, address.server.port);
    let file = dump_of(&folder, &name);
    let more = [format!("--snapshot={snapshot}")];
    let bytes = whole(&file, async |part| {
        let bytes = write(&engine, &beside, Form::Custom, &more, part).await?;
        failpoint!("db:backup:dumped");
        Ok(bytes)
    })
    .await?;
    doing("counting");
    let tables = held(&mut database, Some(&snapshot)).await?;
    drop(instant);
    let hash = hash(&file).map_err(failed(&file))?;
    let mut backup = Backup {
        version: 1,
        name: name.clone(),
        project,
        branch: name_of,
        created,
        bytes,
        hash,
        schema,
        tables,
        verified: None,
    };
    record(&folder, &backup)?;
    failpoint!("db:backup:recorded");
    if verified {
        verify_one(context, &folder, &mut backup).await?;
    }
    Ok(backup)
}

fn record(folder: &Path, backup: &Backup) -> Result<(), Failure> {
    let path = folder.join(format!("{}.json", backup.name));
    let text = serde_json::to_vec_pretty(backup).unwrap_or_default();
    place::write_private(&path, &text).map_err(failed(&path))
}

fn hash(file: &Path) -> io::Result<String> {
    sha256(File::open(file)?)
}

/// All backups of the project, the newest first.
pub fn all(context: &Context) -> Result<Vec<Backup>, Failure> {
    let (folder, _) = folder(context)?;
    let mut found: Vec<Backup> = Vec::new();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed(&folder)(error)),
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|it| it == "json") {
            let text = fs::read(&path).map_err(failed(&path))?;
            found.extend(serde_json::from_slice::<Backup>(&text).ok());
        }
    }
    found.sort_by(|a, b| (b.created, &b.name).cmp(&(a.created, &a.name)));
    Ok(found)
}

/// The backup of a name, or the latest.
fn named(context: &Context, name: &str) -> Result<Backup, Failure> {
    let all = all(context)?;
    let found = if name == "latest" { all.first() } else { all.iter().find(|backup| backup.name == name) };
    found.cloned().ok_or_else(|| {
        let failure = Failure::new(Kind::Usage, format!("there is no backup `{name}`"));
        failure.hint("`devenv db backup list` says which there are; `devenv db backup create` makes one")
    })
}

/// Restores a backup into a throw-away server and compares.
pub async fn verify(context: &Context, name: &str) -> Result<Backup, Failure> {
    let (folder, _) = folder(context)?;
    let mut backup = named(context, name)?;
    verify_one(context, &folder, &mut backup).await?;
    Ok(backup)
}

async fn verify_one(context: &Context, folder: &Path, backup: &mut Backup) -> Result<(), Failure> {
    let file = dump_of(folder, &backup.name);
    unharmed(&file, backup)?;
    let mut branches = Branches::change(context).await?;
    let made = Made::begin(&mut branches, &format!("verify {}", backup.name)).await?;
    let compared = async {
        let mut database = fill(&branches, &made, &file, Form::Custom).await?;
        let found = (schema(&mut database).await?, held(&mut database, None).await?);
        failpoint!("db:backup:compared");
        Ok::<_, Failure>(found)
    };
    let compared = compared.await;
    let gone = made.take_back(&mut branches).await;
    let (schema, tables) = compared?;
    gone?;
    let mut wrong: Vec<String> = Vec::new();
    if schema != backup.schema {
        wrong.push("the schema is another".to_owned());
    }
    for (table, held) in &backup.tables {
        match tables.get(table) {
            None => wrong.push(format!("{table} is not there")),
            Some(found) if found.rows != held.rows => {
                wrong.push(format!("{table} has {} rows instead of {}", found.rows, held.rows));
            }
            Some(found) if found != held => wrong.push(format!("{table} has other rows")),
            Some(_) => {}
        }
    }
    backup.verified = wrong.is_empty().then(now);
    record(folder, backup)?;
    if wrong.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(Kind::Data, format!("the backup {} is not what it was made of", backup.name));
    Err(wrong
        .into_iter()
        .take(10)
        .fold(failure, Failure::evidence)
        .hint("make another: `devenv db backup create`"))
}

/// Whether the file is the one that was written.
fn unharmed(file: &Path, backup: &Backup) -> Result<(), Failure> {
    if hash(file).map_err(failed(file))? == backup.hash {
        return Ok(());
    }
    Err(Failure::new(Kind::Data, "the backup's file is not the one that was written")
        .at(Place::file(file))
        .hint("take another backup: `devenv db backup list`"))
}

/// Restores a backup into a new branch.
pub async fn restored(context: &Context, name: &str, to: &str, force: bool) -> Result<Restored, Failure> {
    let (folder, _) = folder(context)?;
    let backup = named(context, name)?;
    let file = dump_of(&folder, &backup.name);
    unharmed(&file, &backup)?;
    restore::restore(context, &file, to, force).await
}

/// Takes those away that need not be kept; with `dry_run`, only says which. The newest that was verified always stays.
pub fn prune(context: &Context, rules: &[Keep], dry_run: bool) -> Result<Vec<Backup>, Failure> {
    let (folder, _) = folder(context)?;
    let all = all(context)?;
    let mut stays = vec![false; all.len()];
    for branch in all.iter().map(|backup| &backup.branch).collect::<std::collections::BTreeSet<_>>() {
        let of: Vec<usize> = (0..all.len()).filter(|at| all[*at].branch == *branch).collect();
        let times: Vec<i64> = of.iter().map(|at| all[*at].created).collect();
        for (at, keep) in of.iter().zip(kept(&times, rules)) {
            stays[*at] = keep;
        }
        if let Some(at) = of.iter().find(|at| all[**at].verified.is_some()) {
            stays[*at] = true;
        }
    }
    let gone: Vec<Backup> =
        all.into_iter().zip(stays).filter(|(_, stays)| !stays).map(|(backup, _)| backup).collect();
    for backup in gone.iter().filter(|_| !dry_run) {
        // The record first: a dump without one is no backup.
        for file in [folder.join(format!("{}.json", backup.name)), dump_of(&folder, &backup.name)] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&file)(error)),
                _ => {}
            }
        }
    }
    Ok(gone)
}
