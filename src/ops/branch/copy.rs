//! `db copy`: data from another database, or another branch, into a new branch; masked on the way, or, after a typed
//! confirmation, as it is.
//!
//! Masked data never shares a byte with raw data: it goes through this process's memory into a cluster that
//! PostgreSQL made empty, so that neither heap nor write-ahead log nor an old extent of the pool ever held anything
//! else. The new branch is known to nobody before it is whole: until then it is data of the pool that an intent
//! names, and an environment of its own, which the next command takes away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::beside::{self, Apart};
use super::capture::Capture;
use super::url::{self, Server};
use super::{Branches, adopt, failpoint, new_id, now};
use crate::base::{Event, Failure, Kind};
use crate::catalogue::IntentId;
use crate::engine::stream::{Channel, Command, Piece};
use crate::engine::{Bindings, Engine};
use crate::lineage::{Act, Attestation, Audit, Branch, Changes, Reason, Record, Snapshot, Sort, State};
use crate::mask::residual::Residual;
use crate::mask::scan;
use crate::mask::{Masked, Plan, Table};
use crate::ops::mask::verify::Verified;
use crate::ops::mask::{self, Source, discreet, keys, list, verify};
use crate::ops::{Context, failures, up};
use crate::postgres::{self, Database, Target, carry};
use crate::schema::quote;
use crate::storage::protocol::Ask;

/// How long a new server may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many tables are carried at a time.
const AT_ONCE: usize = 3;

/// What is wanted of a copy.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The branch, or the address, that is copied; none for the current branch.
    pub from: Option<String>,
    /// What the new branch is called.
    pub to: String,
    /// Whether it is masked; else it is copied as it is.
    pub masked: bool,
    /// The name of the new branch once more, typed by whoever wants raw data in it.
    pub confirmed: Option<String>,
    /// The policy's file, if it is not where it is looked for.
    pub policy: Option<PathBuf>,
    /// The tables whose rows are copied; none for all.
    pub tables: Vec<String>,
    /// Although the pool is nearly full.
    pub force: bool,
}

/// What a copy came to.
#[derive(Debug)]
pub struct Copied {
    /// The new branch.
    pub branch: Branch,
    /// What it begins as.
    pub snapshot: Snapshot,
    /// What was copied, by name.
    pub from: String,
    /// How many tables.
    pub tables: usize,
    /// How many rows.
    pub rows: u64,
    /// How long it took.
    pub took: Duration,
}

/// How values are changed on the way, if they are.
struct Masking {
    plan: Plan,
    seen: Residual,
    attestation: Attestation,
}

/// Copies.
pub async fn copy(context: &Context, options: &Options) -> Result<Copied, Failure> {
    mask::quiet_core();
    // What was typed may hold a password, and is written down with what is done.
    let mut context = context.clone();
    context.command_line = without_passwords(&context.command_line);
    let context = &context;
    let began = Instant::now();
    if !options.masked && options.confirmed.as_deref() != Some(options.to.as_str()) {
        return Err(Failure::new(Kind::Usage, "raw data is copied only after its target's name was typed")
            .hint(format!("`--confirm {}` says so without a terminal; `--masked` needs none", options.to)));
    }
    let source = mask::find(context, options.from.as_deref()).await?;
    let mut database = mask::connect(&source).await?;
    let mut tables = mask::tables(&mut database).await?;
    let masking = if options.masked { Some(masking(context, options, &source, &tables)?) } else { None };
    only(&mut tables, &options.tables)?;
    let mut branches = Branches::change(context).await?;
    may_be_made(&branches, &options.to)?;
    adopt::adopt(&mut branches, Some(&options.to)).await?;
    let server = url::databases(&branches.subject).into_iter().next().ok_or_else(|| {
        Failure::new(Kind::Failed, "this project has no PostgreSQL server that devenv knows")
    })?;
    let made = Made::begin(&mut branches, &options.to).await?;
    let work = Work { branches: &branches, made: &made, source: &source, server: &server, tables: &tables };
    let done = match work.carry_out(&mut database, masking).await {
        Ok(done) => done,
        Err(failure) => {
            // What cannot be taken back now, the next command takes back.
            if let Err(second) = made.take_back(&mut branches).await {
                context.events.warn(&second);
            }
            return Err(failure);
        }
    };
    let (snapshot, rows) = made.commit(&mut branches, done, &source, options).await?;
    let took = began.elapsed();
    let outcome = format!("{rows} rows of {} tables from {}", tables.len(), source.name);
    let subject = format!("branch {}", options.to);
    context.events.tell(Event::Done { subject, outcome, took });
    let branch = branches.named(Some(&options.to))?.clone();
    Ok(Copied { branch, snapshot, from: source.name, tables: tables.len(), rows, took })
}

/// Whether a branch of this name can be made. Nothing is ever copied over what is there.
fn may_be_made(branches: &Branches<'_>, name: &str) -> Result<(), Failure> {
    if let Some(branch) = branches.lineage.ready().find(|branch| branch.name == name) {
        let hint = if branch.protected {
            "it is protected; give the copy another name".to_owned()
        } else {
            format!("give the copy another name, or delete that one: `devenv db branch delete {name}`")
        };
        return Err(Failure::new(Kind::Conflict, format!("there is a branch `{name}` already")).hint(hint));
    }
    branches.lineage.free_branch_name(name).map_err(failures::lineage)
}

/// Everything that can be refused is, before a row is read.
fn masking(
    context: &Context,
    options: &Options,
    source: &Source,
    tables: &[Table],
) -> Result<Masking, Failure> {
    let read = mask::policy(context, options.policy.as_deref())?;
    let key = keys::key(context)?;
    let plan =
        crate::mask::plan(tables, &read.policy, &key).map_err(|problems| mask::refused(&read, &problems))?;
    let schema = serde_json::to_string(&tables.iter().map(described).collect::<Vec<_>>()).unwrap_or_default();
    let masked = |masked: &Masked| (0..masked.columns.len()).filter(|at| masked.rule(*at).is_some()).count();
    let attestation = Attestation {
        policy: read.hash(),
        schema: hex::encode(Sha256::digest(schema.as_bytes())),
        key: key.id(),
        scanner: scan::VERSION,
        source: source.name.clone(),
        at: now(),
        tables: plan.tables.iter().filter(|table| table.rows).count(),
        rows: 0,
        masked: plan.tables.iter().map(masked).sum(),
        searched: 0,
        verified: Vec::new(),
    };
    Ok(Masking { plan, seen: Residual::new(&key), attestation })
}

/// What a schema's hash is about: not how many rows there are.
fn described(table: &Table) -> serde_json::Value {
    json!([table.path(), table.columns, table.uniques, table.references])
}

/// Leaves the rows of other tables out, but for those that the wanted ones refer to.
fn only(tables: &mut [Table], wanted: &[String]) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut kept: BTreeSet<String> = BTreeSet::new();
    let mut next = Vec::new();
    for name in wanted {
        match tables.iter().find(|table| *name == table.name || *name == table.path()) {
            Some(table) => next.push(table.path()),
            None => return Err(Failure::new(Kind::Usage, format!("there is no table `{name}`"))),
        }
    }
    while let Some(path) = next.pop() {
        let table = tables.iter().find(|table| table.path() == path);
        if let (Some(table), true) = (table, kept.insert(path)) {
            next.extend(table.references.iter().map(|reference| reference.table.clone()));
        }
    }
    // The plan goes by the places of all tables, so that those without rows stay, without columns.
    for table in tables.iter_mut().filter(|table| !kept.contains(&table.path())) {
        table.columns.clear();
    }
    Ok(())
}

/// What is being made: data of the pool that no record names yet, and the environment in which its server runs.
struct Made {
    intent: IntentId,
    branch: Branch,
    snapshot: String,
    environment: String,
    apart: Apart,
    bindings: Bindings,
}

impl Made {
    /// Writes down what is about to be made, and makes its empty data.
    async fn begin(branches: &mut Branches<'_>, name: &str) -> Result<Self, Failure> {
        let (id, snapshot) = (new_id()?, new_id()?);
        let environment = beside::named(branches.base(), &format!("copy-{}", &id[..8]));
        let detail = json!({ "branch": id, "snapshot": snapshot, "copying": environment });
        branches.pool().await?;
        let created = now();
        let intent = branches.begin("db copy", detail).await?;
        failpoint!("db:copy:begun");
        let volumes: Vec<String> = branches.data.volumes.keys().cloned().collect();
        let branch = Branch {
            volumes: volumes.clone(),
            sequence: intent.sequences().start,
            ..Branch::new(id.clone(), &branches.project, name, created)
        };
        let manifest = branches.manifest(Record::Branch(branch.clone()));
        let prepared = async {
            let pool = branches.pool().await?;
            pool.ask(Ask::Make { id: id.clone(), folders: volumes.clone(), manifest }).await?;
            pool.ask(Ask::Point { environment: environment.clone(), id: id.clone() }).await?;
            let bindings = pool.bindings(&environment, &volumes);
            let apart = Apart::load(branches.context, branches.base(), &environment, BTreeMap::new())?;
            Ok::<_, Failure>((bindings, apart))
        };
        match prepared.await {
            Ok((bindings, apart)) => Ok(Self { intent, branch, snapshot, environment, apart, bindings }),
            Err(failure) => {
                let _ = forget(branches, &environment).await;
                let _ = branches.take_back(intent, &[id, snapshot]).await;
                Err(failure)
            }
        }
    }

    async fn take_back(&self, branches: &mut Branches<'_>) -> Result<(), Failure> {
        forget(branches, &self.environment).await?;
        branches.take_back(self.intent, &[self.branch.id.clone(), self.snapshot.clone()]).await
    }

    /// Freezes what was made, and makes it known.
    async fn commit(
        mut self,
        branches: &mut Branches<'_>,
        done: Done,
        source: &Source,
        options: &Options,
    ) -> Result<(Snapshot, u64), Failure> {
        let rows = done.rows;
        let frozen = async {
            failpoint!("db:copy:carried");
            forget(branches, &self.environment).await?;
            failpoint!("db:copy:stopped");
            let snapshot = Snapshot {
                id: self.snapshot.clone(),
                project: self.branch.project.clone(),
                branch: self.branch.id.clone(),
                name: format!("{}-copied-{}", self.branch.name, self.branch.sequence + 1),
                message: format!("copied from {}", source.name),
                reason: Reason::Asked,
                volumes: self.branch.volumes.clone(),
                sequence: self.branch.sequence + 1,
                created: now(),
                expires: None,
                attestation: done.attestation,
                state: State::Ready,
            };
            let what = Capture {
                from: self.branch.data.clone(),
                to: snapshot.id.clone(),
                frozen: true,
                force: options.force,
                manifest: branches.manifest(Record::Snapshot(snapshot.clone())),
            };
            branches.copy(what).await?;
            branches.settle(&self.branch).await?;
            self.branch.fork = Some(snapshot.id.clone());
            let manifest = branches.manifest(Record::Branch(self.branch.clone()));
            branches.pool().await?.ask(Ask::Describe { id: self.branch.data.clone(), manifest }).await?;
            failpoint!("db:copy:frozen");
            Ok::<_, Failure>(snapshot)
        };
        let snapshot = match frozen.await {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                let _ = self.take_back(branches).await;
                return Err(failure);
            }
        };
        let mut changes = Changes {
            put_branches: vec![self.branch.clone()],
            put_snapshots: vec![snapshot.clone()],
            ..Changes::default()
        };
        if !options.masked {
            changes.audit.push(Audit {
                at: now(),
                project: self.branch.project.clone(),
                sort: Sort::Branch,
                id: self.branch.id.clone(),
                name: self.branch.name.clone(),
                act: Act::Copy,
                why: format!("raw data of {}, confirmed by {}", source.name, branches.context.user()),
                command: branches.context.command_line.clone(),
            });
        }
        branches.finish(self.intent, &changes).await?;
        failpoint!("db:copy:committed");
        Ok((snapshot, rows))
    }
}

/// Takes the environment away in which a copy was made, whatever there is of it.
pub(super) async fn forget(branches: &mut Branches<'_>, environment: &str) -> Result<(), Failure> {
    let wishes = crate::plan::down::Wishes {
        volumes: true,
        remove_orphans: true,
        ..crate::plan::down::Wishes::default()
    };
    let context = beside::apart(branches.context, branches.base(), environment, BTreeMap::new());
    crate::ops::down::of_environment(&context, &branches.engine, &wishes).await?;
    branches.pool().await?.ask(Ask::Unpoint { environment: environment.to_owned() }).await.map(|_| ())
}

/// What was carried.
struct Done {
    rows: u64,
    attestation: Option<Attestation>,
}

/// All that carrying needs.
struct Work<'a> {
    branches: &'a Branches<'a>,
    made: &'a Made,
    source: &'a Source,
    server: &'a Server,
    tables: &'a [Table],
}

impl Work<'_> {
    fn tell(&self, doing: &str) {
        let subject = format!("branch {}", self.made.branch.name);
        self.branches.context.events.tell(Event::Started { subject, doing: doing.to_owned() });
    }

    async fn carry_out(&self, source: &mut Database, masking: Option<Masking>) -> Result<Done, Failure> {
        let engine = &self.branches.engine;
        self.tell("starting an empty server");
        let services = std::slice::from_ref(&self.server.service);
        let apart = &self.made.apart;
        up::start_again(&apart.context, engine, &apart.subject, services, &self.made.bindings).await?;
        failpoint!("db:copy:started");
        let address = url::in_environment(self.branches, &self.made.environment).await?.ok_or_else(|| {
            Failure::new(Kind::Unhealthy, "the new server does not answer")
                .hint("`devenv doctor` may know why")
        })?;
        let target = superuser(&address.target()).await?;
        empty(&target, &address.server.user).await?;
        // One instant of the source for the schema and for every table.
        let failed = |error| discreet(error, format!("{} cannot be read", self.source.name));
        source.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
        let instant = source.one("SELECT pg_catalog.pg_export_snapshot()").await.map_err(failed)?;
        let instant = instant.unwrap_or_default();
        self.tell("copying the schema");
        let dumper = Dumper { engine, work: self, target: &address.container, instant: &instant };
        let (before, after) = tokio::join!(dumper.section("pre-data"), dumper.section("post-data"));
        let (before, after) = (harmless(&before?), harmless(&after?));
        let mut database =
            postgres::connect(&target, PATIENCE).await.map_err(|error| failing(error, "connected to"))?;
        roles(source, &mut database, &[&before, &after]).await?;
        database.run(before.as_str()).await.map_err(|error| failing(error, "given its tables"))?;
        failpoint!("db:copy:schema");
        self.tell("copying rows");
        let rows = self.rows(masking.as_ref(), &target, &instant).await?;
        failpoint!("db:copy:rows");
        sequences(source, &mut database).await?;
        self.tell("building indexes and checking references");
        database
            .run("SET maintenance_work_mem = '256MB'; SET search_path = ''")
            .await
            .map_err(|error| failing(error, "set"))?;
        // What one SQL text holds is one transaction, in which no index is built concurrently; `pg_dump` writes none.
        database
            .run(after.as_str())
            .await
            .map_err(|error| failing(error, "given its indexes and constraints"))?;
        views(&mut database).await?;
        database.run("ANALYZE").await.map_err(|error| failing(error, "analysed"))?;
        let attestation = match masking {
            Some(masking) => Some(self.attest(&mut database, masking, rows, &[&before, &after]).await?),
            None => None,
        };
        // The source's transaction is over with its connection; the target writes out what it has.
        database.run("CHECKPOINT").await.map_err(|error| failing(error, "written out"))?;
        Ok(Done { rows, attestation })
    }

    /// Carries every table's rows, several at a time.
    async fn rows(&self, masking: Option<&Masking>, target: &Target, instant: &str) -> Result<u64, Failure> {
        let mut order: Vec<usize> = (0..self.tables.len())
            .filter(|at| !self.tables[*at].columns.is_empty())
            .filter(|at| masking.is_none_or(|masking| masking.plan.tables[*at].rows))
            .collect();
        // The largest first, so that none is waited for at the end.
        order.sort_by_key(|at| std::cmp::Reverse(self.tables[*at].rows));
        let queue = Arc::new(Mutex::new(VecDeque::from(order)));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let worker = async || {
            let mut carried = 0;
            let Some(mut at) = next() else { return Ok(0) };
            let mut source = mask::connect(self.source).await?;
            let failed = |error| discreet(error, format!("{} cannot be read", self.source.name));
            let begin = format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; \
                 SET LOCAL row_security = off; SET LOCAL search_path = ''; SET LOCAL datestyle = 'ISO, MDY'; \
                 SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL extra_float_digits = 3; \
                 SET LOCAL bytea_output = 'hex'; SET LOCAL statement_timeout = 0",
                quote::text(instant)
            );
            source.run(begin).await.map_err(failed)?;
            let mut database =
                postgres::connect(target, PATIENCE).await.map_err(|error| failing(error, "connected to"))?;
            let ready = "SET search_path = ''; SET datestyle = 'ISO, MDY'; SET intervalstyle = 'iso_8601'; \
                         SET synchronous_commit = off";
            database.run(ready).await.map_err(|error| failing(error, "set"))?;
            loop {
                carried += self.table(masking, at, &mut source, &mut database).await?;
                match next() {
                    Some(other) => at = other,
                    None => return Ok::<u64, Failure>(carried),
                }
            }
        };
        let done = join_all((0..AT_ONCE).map(|_| worker())).await;
        done.into_iter().sum()
    }

    async fn table(
        &self,
        masking: Option<&Masking>,
        at: usize,
        source: &mut Database,
        target: &mut Database,
    ) -> Result<u64, Failure> {
        let table = &self.tables[at];
        let masked = masking.map(|masking| &masking.plan.tables[at]);
        let columns = match masked {
            Some(masked) => masked.columns.clone(),
            None => (0..table.columns.len()).filter(|place| !table.columns[*place].generated).collect(),
        };
        if columns.is_empty() {
            return Ok(0);
        }
        let (name, columns) = (mask::name(table), list(table, &columns));
        let masker = masked.filter(|masked| !masked.is_plain()).map(Masked::masker);
        // The binary format is quicker where nobody looks into it.
        let format = if masker.is_some() { "FORMAT text" } else { "FORMAT binary" };
        // `ONLY`: what inherits from a table is a table of its own.
        let only = if table.partitioned { "" } else { "ONLY " };
        let from = if table.partitioned {
            format!("COPY (SELECT {columns} FROM {only}{name}) TO STDOUT ({format})")
        } else {
            format!("COPY {name} ({columns}) TO STDOUT ({format})")
        };
        let freeze = if table.partitioned { "" } else { ", FREEZE" };
        let into = format!("COPY {name} ({columns}) FROM STDIN ({format}{freeze})");
        let failed = |error| discreet(error, format!("the rows of {} cannot be copied", table.path()));
        // In the transaction that made, or emptied, a table its rows need no write-ahead log with `wal_level` minimal,
        // and are frozen from the start.
        target.run(format!("BEGIN; TRUNCATE {only}{name}")).await.map_err(failed)?;
        let seen = masking.map(|masking| &masking.seen);
        let carried = carry(source, &from, target, &into, masker, seen).await.map_err(failed)?;
        target.run("COMMIT").await.map_err(failed)?;
        failpoint!("db:copy:table");
        let detail = format!("{}: {} rows", table.path(), carried.rows);
        let subject = format!("branch {}", self.made.branch.name);
        self.branches.context.events.tell(Event::Progress { subject, detail, done: None, total: None });
        Ok(carried.rows)
    }

    /// Makes sure of what a masked copy promises.
    async fn attest(
        &self,
        database: &mut Database,
        masking: Masking,
        rows: u64,
        schema: &[&String],
    ) -> Result<Attestation, Failure> {
        self.tell("searching for what was masked");
        let Masking { plan, seen, mut attestation } = masking;
        let plan = Plan { tables: without(&plan, self.tables) };
        let verified: Verified = verify::search(database, self.tables, &plan, Some(&seen)).await?;
        if let Some(failure) = verify::judged(&verified) {
            return Err(failure);
        }
        for text in schema {
            let count = seen.count(text.as_bytes());
            if count > 0 {
                let text = format!(
                    "the schema says raw values itself, in {count} places: in a default, a check, a view or a function"
                );
                return Err(Failure::new(Kind::Data, text)
                    .hint("take them out of the schema, or mask nothing of which the schema speaks"));
            }
        }
        attestation.rows = rows;
        attestation.searched = verified.columns;
        attestation.verified = vec![
            "every column is decided on".to_owned(),
            "foreign keys, unique indexes and checks hold".to_owned(),
            "no masked value was found in a column that is kept, nor in the schema".to_owned(),
        ];
        Ok(attestation)
    }
}

/// The plan without what is not copied of tables that were not asked for.
fn without(plan: &Plan, tables: &[Table]) -> Vec<Masked> {
    let mut masked = plan.tables.clone();
    for (masked, table) in masked.iter_mut().zip(tables) {
        if table.columns.is_empty() {
            masked.searched.clear();
            masked.columns.clear();
        }
    }
    masked
}

fn failing(error: postgres::Error, what: &str) -> Failure {
    discreet(error, format!("the new database cannot be {what}"))
}

/// Who may make everything in a new server: the stack's own user, or else the superuser that the image made with the
/// same password.
async fn superuser(target: &Target) -> Result<Target, Failure> {
    let failed = |error| failing(error, "asked who may do what");
    let mut database = postgres::connect(target, PATIENCE).await.map_err(failed)?;
    let asked = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin \
                 ORDER BY rolname <> current_user, oid";
    for name in database.ask(asked).await.map_err(failed)?.into_iter().flatten().flatten() {
        if name == target.user {
            break;
        }
        let admin = Target { user: name, ..target.clone() };
        if postgres::connect(&admin, Duration::from_secs(2)).await.is_ok() {
            return Ok(admin);
        }
    }
    Ok(target.clone())
}

/// Makes the database anew, without what the image's own scripts put there: the schema comes from the source. The
/// roles that they made stay, and so do the settings that they gave to the database.
async fn empty(admin: &Target, owner: &str) -> Result<(), Failure> {
    let failed = |error| failing(error, "made");
    let mut database =
        postgres::connect(&admin.with_database("template1"), PATIENCE).await.map_err(failed)?;
    let (name, text) = (quote::name(&admin.database), quote::text(&admin.database));
    let asked = format!(
        "SELECT pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) \
         FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, \
         pg_catalog.unnest(s.setconfig) c WHERE d.datname = {text} AND s.setrole = 0"
    );
    let settings = database.ask(asked).await.map_err(failed)?;
    // A worker of an extension may come back at once.
    for turn in 0..20 {
        match database.run(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await {
            Ok(()) => break,
            Err(error) if turn == 19 => return Err(failed(error)),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    let owner = quote::name(owner);
    database.run(format!("CREATE DATABASE {name} TEMPLATE template0 OWNER {owner}")).await.map_err(failed)?;
    for row in settings {
        if let [Some(setting), Some(value)] = row.as_slice() {
            let setting: Vec<String> = setting.split('.').map(quote::name).collect();
            let sql = format!("ALTER DATABASE {name} SET {} = {}", setting.join("."), quote::text(value));
            database.run(sql).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Roles that the schema names and the new server does not have; nobody can log in as them.
async fn roles(source: &mut Database, target: &mut Database, texts: &[&String]) -> Result<(), Failure> {
    let names = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'";
    let there = target.ask(names).await.map_err(|error| failing(error, "asked for its roles"))?;
    let wanted = source.ask(names).await.map_err(|error| discreet(error, "the roles cannot be read"))?;
    let mut sql = String::new();
    for name in wanted.iter().filter(|row| !there.contains(row)).flatten().flatten() {
        let quoted = quote::name(name);
        let named = |text: &&String| {
            text.contains(&format!("TO {quoted}"))
                || text.contains(&format!("ROLE {quoted}"))
                || text.contains(&format!("AUTHORIZATION {quoted}"))
        };
        if texts.iter().any(named) {
            let _ = writeln!(sql, "CREATE ROLE {quoted} NOLOGIN;");
        }
    }
    target.run(sql).await.map_err(|error| failing(error, "given its roles"))
}

/// Lets sequences go on where they are.
async fn sequences(source: &mut Database, target: &mut Database) -> Result<(), Failure> {
    let asked = "SELECT schemaname, sequencename, last_value FROM pg_catalog.pg_sequences WHERE last_value IS NOT NULL";
    let found = source.ask(asked).await.map_err(|error| discreet(error, "the sequences cannot be read"))?;
    let mut sql = String::new();
    for row in &found {
        if let [Some(schema), Some(name), Some(value)] = row.as_slice() {
            let name = quote::text(&format!("{}.{}", quote::name(schema), quote::name(name)));
            let _ = writeln!(
                sql,
                "SELECT pg_catalog.setval(pg_catalog.to_regclass({name}), {value}) WHERE pg_catalog.to_regclass({name}) IS NOT NULL;"
            );
        }
    }
    target.run(sql).await.map_err(|error| failing(error, "given its sequences"))
}

/// Fills materialised views from what was copied; one may be made of another.
async fn views(database: &mut Database) -> Result<(), Failure> {
    let asked =
        "SELECT schemaname, matviewname FROM pg_catalog.pg_matviews WHERE NOT ispopulated ORDER BY 1, 2";
    for _ in 0..20 {
        let left = database.ask(asked).await.map_err(|error| failing(error, "asked for its views"))?;
        if left.is_empty() {
            break;
        }
        for row in &left {
            if let [Some(schema), Some(name)] = row.as_slice() {
                let name = format!("{}.{}", quote::name(schema), quote::name(name));
                // One that reads an empty one is refused, and has its turn again.
                if let Err(error) = database.run(format!("REFRESH MATERIALIZED VIEW {name}")).await {
                    tracing::debug!(view = name, %error, "not filled yet");
                }
            }
        }
    }
    Ok(())
}

/// Asks `pg_dump` for the schema.
struct Dumper<'a> {
    engine: &'a Engine,
    work: &'a Work<'a>,
    /// The new server's container.
    target: &'a str,
    instant: &'a str,
}

impl Dumper<'_> {
    async fn section(&self, section: &str) -> Result<String, Failure> {
        let (container, environment) = self.place().await?;
        let snapshot = format!("--snapshot={}", self.instant);
        let section = format!("--section={section}");
        let argv = [
            "pg_dump",
            "--schema-only",
            &section,
            &snapshot,
            "--no-comments",
            "--no-publications",
            "--no-subscriptions",
            "--no-security-labels",
            "--no-tablespaces",
            "--no-password",
        ];
        let command = Command { argv: argv.map(str::to_owned).to_vec(), environment, ..Command::default() };
        let (code, out, said) = exec(self.engine, &container, &command).await?;
        if code != 0 {
            let mut failure = Failure::new(Kind::Data, "the schema cannot be read");
            for line in said.lines().take(5) {
                failure = failure.evidence(line);
            }
            return Err(failure);
        }
        Ok(out)
    }

    /// Where `pg_dump` runs, and how it reaches the source: beside the source where that is a container of this engine,
    /// beside the target where it is elsewhere.
    async fn place(&self) -> Result<(String, Vec<String>), Failure> {
        let source = self.work.source;
        let mut target = source.target.clone();
        if !target.is_here() {
            return Ok((self.target.to_owned(), target.variables()));
        }
        let running = self.engine.running_containers().await.map_err(failures::engine)?;
        let found = running.iter().find_map(|container| {
            let port = container.ports.iter().find(|port| port.published == target.port)?;
            Some((container.id.clone(), port.target))
        });
        let Some((container, port)) = found else {
            return Err(Failure::new(
                Kind::Unreachable,
                format!(
                    "nothing beside {} can run pg_dump: it is not in a container of this engine",
                    source.name
                ),
            )
            .hint("name it by an address that containers reach too, such as this machine's own"));
        };
        "127.0.0.1".clone_into(&mut target.host);
        target.port = port;
        Ok((container, target.variables()))
    }
}

/// Runs a command in a container: its exit code, what it printed, and what it complained of.
async fn exec(engine: &Engine, container: &str, command: &Command) -> Result<(i64, String, String), Failure> {
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let each = |piece: Piece| match piece.channel {
        Channel::Out => out.extend_from_slice(&piece.bytes),
        Channel::Err => said.extend_from_slice(&piece.bytes),
    };
    let code = engine.run(container, command, each).await;
    let code = code.map_err(|error| failures::step("entered", container, error))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((code, text(out), text(said)))
}

/// How statements begin that are about other servers.
const ELSEWHERE: [&str; 7] = [
    "CREATE USER MAPPING",
    "ALTER USER MAPPING",
    "CREATE SERVER",
    "ALTER SERVER",
    "CREATE FOREIGN ",
    "ALTER FOREIGN ",
    "GRANT ALL ON FOREIGN ",
];

/// A schema without what belongs to the source alone: how it reaches other servers, and as whom. `pg_dump` puts each
/// statement at the beginning of a line.
fn harmless(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut left_out = false;
    for line in sql.lines() {
        let begins = |words: &str| line.starts_with(words);
        left_out |= ELSEWHERE.iter().any(|words| begins(words));
        // psql's own, which newer versions write.
        let own = begins("\\restrict") || begins("\\unrestrict") || begins("CREATE SCHEMA public;");
        if !left_out && !own {
            out.push_str(line);
            out.push('\n');
        }
        if line.ends_with(';') {
            left_out = false;
        }
    }
    out
}

/// A command as it was typed, without the passwords of addresses in it (RFC 3986, 3.2.1).
fn without_passwords(command: &str) -> String {
    let hidden = command.split(' ').map(|word| {
        let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
        let end = rest.find('/').unwrap_or(rest.len());
        match rest[..end].rsplit_once('@') {
            Some((login, host)) => {
                let user = login.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}:***@{host}{}", &rest[end..])
            }
            None => word.to_owned(),
        }
    });
    hidden.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_written_down() {
        let typed = "devenv db copy --from postgres://ann:s3cret@db.example.com/shop --to base --masked";
        let told = without_passwords(typed);
        assert!(!told.contains("s3cret") && told.contains("ann:***@db.example.com/shop --to base"), "{told}");
        assert_eq!(without_passwords("devenv up"), "devenv up");
    }

    #[test]
    fn what_leads_elsewhere_stays_behind() {
        let sql = "CREATE TABLE a ();\nCREATE USER MAPPING FOR x SERVER y OPTIONS (\n    password 'z'\n);\nSELECT 1;\n\\restrict a\n";
        assert_eq!(harmless(sql), "CREATE TABLE a ();\nSELECT 1;\n");
    }
}
