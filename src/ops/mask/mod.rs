//! `db mask`: what becomes of every column when data is copied, as a file that people read and tests hold. Nothing
//! here, and no error of it, ever says a value.

pub mod keys;
pub mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::branch::url;
use super::{Context, Subject};
use crate::base::{Failure, Kind, Place};
use crate::mask::plan::{Problem, What};
use crate::mask::policy::{self, Decision, Policy};
use crate::mask::scan::{self, Finding, Samples};
use crate::mask::{Key, Plan, Table, shape, table, trial};
use crate::postgres::{self, Database, Scope, Target, Unread};
use crate::schema::quote;

/// How long a database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many characters of a value are looked at.
const SAMPLED: usize = 400;

/// Where data is read.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called in messages: a branch, or an address without its password.
    pub name: String,
    /// Where it answers.
    pub target: Target,
    /// Its container, where it is one of this project's.
    pub container: Option<String>,
}

/// What several commands of `db mask` take.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The branch, or the address, of the database; none for the current branch.
    pub from: Option<String>,
    /// The policy's file; none for the one that the compose file names, or the one beside it.
    pub policy: Option<PathBuf>,
    /// How many values of each column are looked at; none for none.
    pub sample: usize,
}

/// A policy as it was read.
#[derive(Debug, Clone)]
pub struct Read {
    /// Its file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says.
    pub policy: Policy,
}

impl Read {
    /// What is known of it in an attestation: a hash of its text.
    #[must_use]
    pub fn hash(&self) -> String {
        use sha2::{Digest, Sha256};
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }
}

/// Finds the database that `from` names: an address, `env:NAME` for one in a variable, or a branch.
pub async fn find(context: &Context, from: Option<&str>) -> Result<Source, Failure> {
    let variable = from.and_then(|from| from.strip_prefix("env:"));
    let address = match variable {
        Some(name) => Some(context.environment.get(name).cloned().ok_or_else(|| {
            Failure::new(Kind::Usage, format!("the variable {name} is not set"))
                .hint("it holds the address of the database: postgresql://user:password@host/name")
        })?),
        None => from.filter(|from| from.contains("://")).map(str::to_owned),
    };
    if let Some(address) = address {
        let target = Target::read(&address).map_err(|unread| {
            let failure = Failure::new(Kind::Usage, unread.to_string());
            match unread {
                Unread::Form => failure.hint("write postgresql://user:password@host:port/name"),
                Unread::Mode(_) => failure
                    .hint("there are disable, require, verify-ca and verify-full; far servers get require"),
                Unread::Parameter(_) => failure.hint("log in with a password, or open a tunnel with ssh"),
            }
        })?;
        let name = format!("{}:{}/{}", target.host, target.port, target.database);
        return Ok(Source { name, target, container: None });
    }
    let address = url::url(context, from, false).await?;
    let name = from.map_or_else(|| "the current branch".to_owned(), |from| format!("branch {from}"));
    Ok(Source { name, target: address.target(), container: Some(address.container) })
}

/// Connects.
pub async fn connect(place: &Source) -> Result<Database, Failure> {
    postgres::connect(&place.target, PATIENCE).await.map_err(|error| {
        let hint = match &error {
            postgres::Error::Denied { .. } => {
                Some("the address needs a user and a password that the server takes")
            }
            postgres::Error::Distrusted { .. } => Some(
                "`sslrootcert=FILE` in the address names the certificate to trust; `sslmode=require` encrypts to \
                 whoever answers, and `sslmode=disable` goes in the clear",
            ),
            _ => None,
        };
        let failure = error.failing(format!("{} cannot be read", place.name));
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// An answer of a database that may hold values: only its code is told.
pub(in crate::ops) fn discreet(error: postgres::Error, what: impl Into<String>) -> Failure {
    match error {
        postgres::Error::Refused(refusal) => {
            // Of data exceptions and broken constraints the message may quote what was refused.
            let quotes = refusal.code.starts_with("22") || refusal.code.starts_with("23");
            let said = if quotes { "a value was refused".to_owned() } else { refusal.message.clone() };
            let constraint = refusal.message.split('"').nth(1).filter(|_| refusal.code.starts_with("23"));
            let mut failure = Failure::new(Kind::Data, what);
            failure = failure.evidence(format!("{said} (SQLSTATE {})", refusal.code));
            match constraint {
                Some(constraint) => failure.evidence(format!("the constraint is {constraint}")),
                None => failure,
            }
        }
        other => other.failing(what),
    }
}

/// The tables of a database.
pub async fn tables(database: &mut Database) -> Result<Vec<Table>, Failure> {
    let found = database.tables(Scope::Managed).await;
    let found = found.map_err(|error| error.failing("the tables cannot be read"))?;
    Ok(table::of(&found))
}

/// The project, where there is one: an address needs none.
fn subject(context: &Context) -> Option<Subject> {
    context.subject(&[]).ok()
}

/// Where the policy is: the file that was named, the one of `x-devenv.masking`, or `masking.yaml` beside the compose
/// file.
pub fn policy_path(context: &Context, named: Option<&Path>) -> PathBuf {
    if let Some(named) = named {
        return context.directory.join(named);
    }
    let Some(subject) = subject(context) else { return context.directory.join(policy::FILE) };
    let section = subject.project.extensions.get("x-devenv");
    let file = section.and_then(|section| section.get("masking")).and_then(|file| file.as_str());
    let folder = subject.files.first().and_then(|file| file.parent()).unwrap_or(&context.directory);
    folder.join(file.unwrap_or(policy::FILE))
}

/// Reads the policy.
pub fn policy(context: &Context, named: Option<&Path>) -> Result<Read, Failure> {
    let path = policy_path(context, named);
    let shown = context.shown(&path);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::new(Kind::Data, "there is no masking policy yet")
                .at(Place::file(shown))
                .hint("`devenv db mask init` proposes one from what the database holds"));
        }
        Err(error) => {
            return Err(Failure::new(Kind::Files, "the masking policy cannot be read")
                .at(Place::file(shown))
                .source(error));
        }
    };
    let policy = Policy::read(&shown, &text)?;
    Ok(Read { path: shown, text, policy })
}

/// Values of each column, as few as they are.
async fn sample(database: &mut Database, tables: &[Table], most: usize) -> Result<Samples, Failure> {
    let mut samples = Samples::new();
    if most == 0 {
        return Ok(samples);
    }
    let failed = |error| discreet(error, "values cannot be sampled");
    database.run("SET statement_timeout = '20s'; SET row_security = on").await.map_err(failed)?;
    for table in tables {
        let looked = |column: &&crate::mask::Column| {
            use crate::mask::Kind as K;
            !matches!(column.kind, K::Boolean | K::Bytes | K::Place | K::Choice)
        };
        let columns: Vec<_> = table.columns.iter().filter(looked).collect();
        if columns.is_empty() {
            continue;
        }
        let list: Vec<String> = columns
            .iter()
            .map(|column| format!("left({}::pg_catalog.text, {SAMPLED})", quote::name(&column.name)))
            .collect();
        // A few pages of a large table, wherever they are, instead of its oldest rows.
        let part = if table.rows > 100_000 && !table.partitioned { " TABLESAMPLE SYSTEM (1)" } else { "" };
        let sql = format!(
            "SELECT {} FROM {}.{}{part} LIMIT {most}",
            list.join(", "),
            quote::name(&table.schema),
            quote::name(&table.name)
        );
        // What this role may not read is judged by its name.
        let rows = match database.ask(sql).await {
            Ok(rows) => rows,
            Err(error) if error.refusal().is_some() => continue,
            Err(error) => return Err(failed(error)),
        };
        for (place, column) in columns.iter().enumerate() {
            let values: Vec<String> = rows.iter().filter_map(|row| row.get(place)?.clone()).collect();
            samples.insert((table.path(), column.name.clone()), values);
        }
    }
    Ok(samples)
}

/// What each column is taken for.
#[derive(Debug, Serialize)]
pub struct Scanned {
    /// Of this document's form.
    pub version: u32,
    /// What the scanner knows.
    pub scanner: u32,
    /// How many tables there are.
    pub tables: usize,
    /// How many columns.
    pub columns: usize,
    /// How long it took, in seconds, the sampling included.
    pub seconds: f64,
    /// One for each column.
    pub findings: Vec<Finding>,
}

/// Looks at a database and proposes.
pub async fn scan(context: &Context, options: &Options) -> Result<Scanned, Failure> {
    let began = std::time::Instant::now();
    let place = find(context, options.from.as_deref()).await?;
    let mut database = connect(&place).await?;
    let tables = tables(&mut database).await?;
    let samples = sample(&mut database, &tables, options.sample).await?;
    let findings = scan::scan(&tables, &samples);
    Ok(Scanned {
        version: 1,
        scanner: scan::VERSION,
        tables: tables.len(),
        columns: findings.len(),
        seconds: began.elapsed().as_secs_f64(),
        findings,
    })
}

/// A policy that was proposed.
#[derive(Debug, Serialize)]
pub struct Proposed {
    /// Of this document's form.
    pub version: u32,
    /// Its file.
    pub path: PathBuf,
    /// How many columns it decides on.
    pub columns: usize,
    /// How many of these it masks.
    pub masked: usize,
}

/// Writes a policy that decides on every column as the scan proposes. A file that is there is left alone.
pub async fn init(context: &Context, options: &Options, force: bool) -> Result<Proposed, Failure> {
    let path = policy_path(context, options.policy.as_deref());
    let shown = context.shown(&path);
    if path.exists() && !force {
        return Err(Failure::new(Kind::Conflict, "there is a masking policy already")
            .at(Place::file(shown))
            .hint("`devenv db mask coverage` says what it lacks; `--force` writes it anew"));
    }
    let scanned = scan(context, options).await?;
    let text = scan::policy(&scanned.findings);
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Files, "the masking policy cannot be written")
            .at(Place::file(&shown))
            .source(error)
    };
    let half = path.with_extension("yaml.half");
    std::fs::write(&half, text).map_err(failed)?;
    std::fs::rename(&half, &path).map_err(failed)?;
    let masked = scanned.findings.iter().filter(|it| matches!(it.decision, Decision::Mask(_))).count();
    Ok(Proposed { version: 1, path: shown, columns: scanned.columns, masked })
}

/// What a policy decides on, and what it does not.
#[derive(Debug, Serialize)]
pub struct Coverage {
    /// Of this document's form.
    pub version: u32,
    /// One for each column.
    pub columns: Vec<Covered>,
    /// What does not fit: columns that nobody decided on among it.
    pub problems: Vec<String>,
}

/// A column, and what was decided on it.
#[derive(Debug, Serialize)]
pub struct Covered {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The decision; none where there is none.
    pub decision: Option<String>,
    /// What the scan takes it for.
    pub tier: scan::Tier,
    /// Whether it is kept although the scan takes it for personal or secret.
    pub doubtful: bool,
}

/// A policy against a database.
pub struct Checked {
    /// The tables.
    pub tables: Vec<Table>,
    /// The policy.
    pub read: Read,
    /// What it comes to, or what does not fit.
    pub plan: Result<Plan, Vec<Problem>>,
}

/// Reads tables and policy, and compares them.
pub async fn check(context: &Context, options: &Options, key: &Key) -> Result<Checked, Failure> {
    let read = policy(context, options.policy.as_deref())?;
    let place = find(context, options.from.as_deref()).await?;
    let mut database = connect(&place).await?;
    let tables = tables(&mut database).await?;
    let mut plan = crate::mask::plan(&tables, &read.policy, key);
    if let Ok(made) = &plan {
        let problems = tried(&mut database, &tables, made).await?;
        if !problems.is_empty() {
            plan = Err(problems);
        }
    }
    Ok(Checked { tables, read, plan })
}

/// Tries what rules make against the checks and domains of a database's columns, without a row of it.
pub(in crate::ops) async fn tried(
    database: &mut Database,
    tables: &[Table],
    plan: &Plan,
) -> Result<Vec<Problem>, Failure> {
    let failed = |error| discreet(error, "the rules cannot be tried");
    database.run("SET default_transaction_read_only = on; SET search_path = ''").await.map_err(failed)?;
    let mut problems = Vec::new();
    for trial in trial::trials(tables, plan) {
        match database.one(trial.sql.as_str()).await {
            Ok(None) => {}
            Ok(Some(refused)) => problems.push(trial.problem(Some(&refused))),
            // A domain says so itself (SQLSTATE classes 22, data exception, and 23, integrity constraint violation).
            Err(postgres::Error::Refused(refusal))
                if refusal.code.starts_with("22") || refusal.code.starts_with("23") =>
            {
                problems.push(trial.problem(None));
            }
            // Who may read the rows may not call every function of a check; the copy itself holds to it all the same.
            Err(postgres::Error::Refused(refusal)) => tracing::debug!(%refusal, "not tried"),
            Err(error) => return Err(failed(error)),
        }
    }
    database.run("RESET default_transaction_read_only; RESET search_path").await.map_err(failed)?;
    Ok(problems)
}

/// Problems of a policy as one failure that lists them all, each with its place in the file.
#[must_use]
pub fn refused(read: &Read, problems: &[Problem]) -> Failure {
    // Of a table that the policy does not have, nothing is said column by column.
    let whole = |problem: &Problem| {
        problem.what == What::Undecided && !read.policy.tables.contains_key(&problem.table)
    };
    let first = |problem: &&Problem| {
        !whole(problem)
            || problems.iter().find(|other| whole(other) && other.table == problem.table) == Some(*problem)
    };
    let failures = problems.iter().filter(first).map(|problem| {
        let table = Problem { column: None, ..problem.clone() };
        let problem = if whole(problem) { &table } else { problem };
        let at = Policy::place(&read.text, &problem.table, problem.column.as_deref())
            .or_else(|| Policy::place(&read.text, &problem.table, None));
        let mut failure = Failure::new(Kind::Data, problem.to_string());
        failure = match at {
            Some(at) => failure.at(Place::in_text(&read.path, &read.text, &at)),
            None => failure.at(Place::file(&read.path)),
        };
        match problem.what {
            What::Undecided => {
                failure.hint("decide: keep, drop, or a rule; `devenv db mask scan` proposes one")
            }
            What::Unknown => {
                failure.hint("it was renamed or dropped: take it out, and decide on what came in its place")
            }
            What::Impossible(_) => failure,
        }
    });
    let failures: Vec<Failure> = failures.collect();
    let count = failures.len();
    let text = match count {
        1 => "the masking policy does not fit the database".to_owned(),
        _ => format!("the masking policy does not fit the database in {count} places"),
    };
    let mut failure = Failure::new(Kind::Data, text);
    failure.others = failures;
    failure
}

/// What is decided on, and what is not.
pub async fn coverage(context: &Context, options: &Options) -> Result<Coverage, Failure> {
    // Nothing is masked here, so any key does.
    let checked = check(context, options, &Key::new([0; Key::BYTES])).await?;
    let findings = scan::scan(&checked.tables, &Samples::new());
    let columns = findings.iter().map(|finding| {
        let decision = checked.read.policy.decision(&finding.table, &finding.column);
        let kept = matches!(decision, Some(Decision::Keep | Decision::Public));
        Covered {
            table: finding.table.clone(),
            column: finding.column.clone(),
            decision: decision.as_ref().map(scan::write),
            tier: finding.tier,
            doubtful: kept && finding.tier.is_sensitive(),
        }
    });
    let problems = checked.plan.err().unwrap_or_default();
    Ok(Coverage {
        version: 1,
        columns: columns.collect(),
        problems: problems.iter().map(ToString::to_string).collect(),
    })
}

/// A few rows of a table as they will be.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// Of this document's form.
    pub version: u32,
    /// The table.
    pub table: String,
    /// Row by row, column by column.
    pub rows: Vec<Vec<Previewed>>,
}

/// A value as it will be, and the form of the one that it is made of.
#[derive(Debug, Serialize)]
pub struct Previewed {
    /// The column.
    pub column: String,
    /// The rule; none where it is kept.
    pub rule: Option<String>,
    /// The form of the value that is there, which is never shown itself.
    pub form: Option<String>,
    /// What it becomes; none for NULL, and for what is kept, which is not shown either.
    pub becomes: Option<String>,
}

/// Masks a few rows of a table and shows them.
pub async fn preview(
    context: &Context,
    options: &Options,
    wanted: &str,
    rows: usize,
) -> Result<Preview, Failure> {
    quiet_core();
    let key = keys::key(context)?;
    let checked = check(context, options, &key).await?;
    let plan = checked.plan.map_err(|problems| refused(&checked.read, &problems))?;
    let found = checked.tables.iter().position(|table| table.path() == wanted || table.name == wanted);
    let Some(index) = found else {
        let names: Vec<String> = checked.tables.iter().map(Table::path).collect();
        let bare = checked.tables.iter().map(|table| table.name.as_str());
        let known = names.iter().map(String::as_str).chain(bare);
        let near = crate::base::guess::closest(wanted, known, |_| 3);
        let failure = Failure::new(Kind::Usage, format!("there is no table `{wanted}`"));
        return Err(match near {
            Some(near) => failure.hint(crate::base::guess::did_you_mean(near)),
            None => failure,
        });
    };
    let (table, masked) = (&checked.tables[index], &plan.tables[index]);
    if masked.columns.is_empty() {
        return Ok(Preview { version: 1, table: table.path(), rows: Vec::new() });
    }
    let mut database = connect(&find(context, options.from.as_deref()).await?).await?;
    let mut masker = masked.masker();
    let copy =
        format!("COPY (SELECT {} FROM {} LIMIT {rows}) TO STDOUT", list(table, &masked.columns), name(table));
    let mut shown = Vec::new();
    let mut ragged = None;
    let read = database.read_rows(&copy, |line| {
        let mut out = Vec::new();
        if let Err(error) = masker.row(line, &mut out, None) {
            ragged = Some(error);
            return;
        }
        let (raw, made) = (String::from_utf8_lossy(line), String::from_utf8_lossy(&out));
        let fields = raw.split('\t').zip(made.trim_end_matches('\n').split('\t')).enumerate();
        let value = |field: &str| (field != "\\N").then(|| field.to_owned());
        shown.push(
            fields
                .map(|(place, (raw, made))| {
                    let rule = masked.rule(place).map(str::to_owned);
                    Previewed {
                        column: table.columns[masked.columns[place]].name.clone(),
                        form: value(raw).map(|raw| shape::shape(&raw)),
                        becomes: value(made).filter(|_| rule.is_some()),
                        rule,
                    }
                })
                .collect(),
        );
    });
    read.await.map_err(|error| discreet(error, format!("rows of {} cannot be read", table.path())))?;
    if let Some(ragged) = ragged {
        return Err(
            Failure::new(Kind::Data, format!("rows of {} are not as expected", table.path())).source(ragged)
        );
    }
    Ok(Preview { version: 1, table: table.path(), rows: shown })
}

/// The columns of a table, for SQL.
pub(in crate::ops) fn list(table: &Table, columns: &[usize]) -> String {
    let names: Vec<String> = columns.iter().map(|place| quote::name(&table.columns[*place].name)).collect();
    names.join(", ")
}

/// The table, for SQL.
pub(in crate::ops) fn name(table: &Table) -> String {
    format!("{}.{}", quote::name(&table.schema), quote::name(&table.name))
}

/// Keeps raw values out of core dumps (prctl(2), `PR_SET_DUMPABLE`; getrlimit(2), `RLIMIT_CORE`).
pub(in crate::ops) fn quiet_core() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    // Where the system knows neither, it writes no core of ours either.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
