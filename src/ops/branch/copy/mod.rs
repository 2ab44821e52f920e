//! `db copy`: data from another database, or another branch, into a new branch; masked on the way, or, after a typed
//! confirmation, as it is.
//!
//! Masked data never shares a byte with raw data: it goes through this process's memory into a cluster that
//! PostgreSQL made empty, so that neither heap nor write-ahead log nor an old extent of the pool ever held anything
//! else. The new branch is known to nobody before it is whole: until then it is data of the pool that an intent
//! names, and an environment of its own, which the next command takes away.

pub(super) mod carry;
mod made;
mod schema;
pub(super) mod server;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};

use self::carry::{Done, Work};
pub(super) use self::made::{Made, Told};
pub(super) use self::made::{Served, forget};
use super::{Branches, adopt, now};
use crate::base::{Event, Failure, Kind};
use crate::lineage::{Attestation, Branch, Snapshot};
use crate::mask::residual::Residual;
use crate::mask::scan;
use crate::mask::subset::{self, Narrowed, Rule};
use crate::mask::{Masked, Plan, Table};
use crate::ops::mask::{self, Source, discreet, keys};
use crate::ops::{Context, failures};
use crate::postgres::Database;
use crate::supabase::history;

/// How long a new server may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);

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
    /// What stays of tables, as [`subset::Rule::read`] reads it; none for all.
    pub subset: Vec<String>,
    /// No rows at all, but for those that say which migrations were applied.
    pub schema_only: bool,
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
    if !options.masked && !options.schema_only && options.confirmed.as_deref() != Some(options.to.as_str()) {
        return Err(Failure::new(Kind::Usage, "raw data is copied only after its target's name was typed")
            .hint(format!("`--confirm {}` says so without a terminal; `--masked` needs none", options.to)));
    }
    let source = mask::find(context, options.from.as_deref()).await?;
    let mut database = mask::connect(&source).await?;
    let mut tables = mask::tables(&mut database).await?;
    let masking = if options.masked {
        Some(masking(context, options, &source, &mut database, &tables).await?)
    } else {
        None
    };
    only(&mut tables, &options.tables)?;
    if options.schema_only {
        for table in tables.iter_mut().filter(|table| !history::is_record(&table.schema, &table.name)) {
            table.columns.clear();
        }
    }
    let narrowed = narrowed(&mut database, options, &tables, masking.as_ref()).await?;
    let mut branches = Branches::change(context).await?;
    may_be_made(&branches, &options.to)?;
    adopt::adopt(&mut branches, Some(&options.to)).await?;
    let made = Made::begin(&mut branches, &options.to).await?;
    let work = Work {
        branches: &branches,
        made: &made,
        source: &source,
        tables: &tables,
        narrowed: &narrowed,
        sequences: !options.schema_only,
    };
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
    let part = if options.subset.is_empty() { "" } else { ", a part" };
    let audit = (!options.masked && !options.schema_only)
        .then(|| format!("raw data of {}, confirmed by {}", source.name, context.user()));
    let Done { rows, attestation } = done;
    let message = format!("copied from {}{part}", source.name);
    let told = Told { word: "copied", message, attestation, audit, force: options.force };
    let (branch, snapshot) = made.commit(&mut branches, told).await?;
    let took = began.elapsed();
    let outcome = format!("{rows} rows of {} tables from {}", tables.len(), source.name);
    let subject = format!("branch {}", options.to);
    context.events.tell(Event::Done { subject, outcome, took });
    Ok(Copied { branch, snapshot, from: source.name, tables: tables.len(), rows, took })
}

/// Whether a branch of this name can be made. Nothing is ever copied over what is there.
pub(super) fn may_be_made(branches: &Branches<'_>, name: &str) -> Result<(), Failure> {
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
async fn masking(
    context: &Context,
    options: &Options,
    source: &Source,
    database: &mut Database,
    tables: &[Table],
) -> Result<Masking, Failure> {
    let read = mask::policy(context, options.policy.as_deref())?;
    let key = keys::key(context)?;
    let plan =
        crate::mask::plan(tables, &read.policy, &key).map_err(|problems| mask::refused(&read, &problems))?;
    let problems = mask::tried(database, tables, &plan).await?;
    if !problems.is_empty() {
        return Err(mask::refused(&read, &problems));
    }
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

/// How the rows of each table are asked for, where not all of them are wanted. What the source says against a rule it
/// says here.
async fn narrowed(
    database: &mut Database,
    options: &Options,
    tables: &[Table],
    masking: Option<&Masking>,
) -> Result<Vec<Option<Narrowed>>, Failure> {
    if options.subset.is_empty() {
        return Ok(vec![None; tables.len()]);
    }
    let wrong = |wrong: subset::Wrong| {
        let failure = Failure::new(Kind::Usage, wrong.to_string());
        failure.hint(
            "`--subset users:500`, `--subset users:10%` or `--subset \"users:created_at > '2026-01-01'\"`",
        )
    };
    let rules = options.subset.iter().map(|text| Rule::read(text)).collect::<Result<Vec<_>, _>>();
    let copied: Vec<bool> = (0..tables.len())
        .map(|at| !tables[at].columns.is_empty() && masking.is_none_or(|it| it.plan.tables[at].rows))
        .collect();
    let found = rules.and_then(|rules| subset::narrow(tables, &rules, &copied)).map_err(wrong)?;
    let failed = |error| discreet(error, "the subset cannot be asked for");
    database.run("SET default_transaction_read_only = on; SET search_path = ''").await.map_err(failed)?;
    for (table, narrowed) in tables.iter().zip(&found) {
        let Some(Narrowed { with, condition }) = narrowed else { continue };
        let sql = format!("EXPLAIN {with}SELECT FROM {} WHERE {condition}", subset::from(table));
        database.ask(sql).await.map_err(failed)?;
    }
    database.run("RESET default_transaction_read_only; RESET search_path").await.map_err(failed)?;
    Ok(found)
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
}
