//! `db generate`: rows made up for the tables of a branch, sent with `COPY` in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::branch::{Branches, failpoint, reset, snapshot, url};
use super::migrate::{apply, open};
use super::{Context, Subject, failures};
use crate::base::{Event, Events, Failure, Kind};
use crate::generate::{self, Plan, Request, Sheet, Wish, Wishes, plan};
use crate::lineage::Snapshot;
use crate::postgres::{self, Database, PIECE, Scope};
use crate::schema::quote;
use crate::schema::table::Tables;

/// How rows are written where they do not go into the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// As `COPY … FROM stdin` with its data, as `pg_dump` does.
    Copy,
    /// As `INSERT`.
    Sql,
}

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is said on the command line, over what stands in the compose file.
    pub wishes: Wishes,
    /// Only these tables.
    pub only: Vec<String>,
    /// Not these tables.
    pub skip: Vec<String>,
    /// Also into tables that hold rows.
    pub append: bool,
    /// Not into the database.
    pub out: Option<Out>,
    /// Nothing is written anywhere.
    pub dry_run: bool,
    /// Whether all rows are hashed.
    pub digest: bool,
    /// Without a snapshot before.
    pub no_snapshot: bool,
    /// The branch; none for the current one.
    pub branch: Option<String>,
}

/// What was done, or would be.
#[derive(Debug, Default)]
pub struct Generated {
    /// What all values are made of.
    pub seed: u64,
    /// The tables in the order in which they are filled, and how many rows each got.
    pub tables: Vec<(String, u64)>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// The SHA-256 of all rows as `COPY` takes them.
    pub digest: Option<String>,
    /// What was there before.
    pub snapshot: Option<Snapshot>,
    /// How long writing took, in seconds.
    pub seconds: f64,
}

/// How many rows are looked at that are there and can be pointed at.
const POOL: u32 = 10_000;
/// How many rows are made at once.
const BATCH: u64 = 512;

/// Fills tables; `write` gets what goes to standard output.
pub async fn generate(
    context: &Context,
    options: &Options,
    write: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<Generated, Failure> {
    let fills = options.out.is_none() && !options.dry_run;
    let mut branches = if fills { Branches::change(context).await? } else { Branches::look(context).await? };
    let branch = match &options.branch {
        Some(named) => Some(branches.named(Some(named))?.clone()),
        None => branches.lineage.current(&branches.environment).cloned(),
    };
    if fills && let Some(branch) = &branch {
        reset::is_unprotected(branch)?;
    }
    let address = match &branch {
        Some(branch) => Some(url::of(&branches, branch).await?),
        None => url::in_environment(&branches, &branches.environment).await?,
    };
    let Some(address) = address else {
        return Err(Failure::new(Kind::Unhealthy, "the database does not run")
            .hint("start the stack with `devenv up`"));
    };
    let mut database = open(&address.target()).await?;
    let wishes = wishes(&branches.subject)?.with(options.wishes.clone());
    let plan = planned(&mut database, wishes, options).await?;
    let mut done = Generated { seed: plan.seed, notes: plan.notes.clone(), ..Generated::default() };
    done.tables = plan.sheets.iter().map(|sheet| (sheet.qualified(), sheet.rows)).collect();
    if let Some(out) = options.out
        && !options.dry_run
    {
        print(&plan, out, write);
    }
    if fills {
        failpoint!("generate:begun");
        done.snapshot = match &branch {
            Some(_) if !options.no_snapshot => {
                Some(snapshot::keep_of(&mut branches, options.branch.as_deref(), "generate").await?)
            }
            Some(_) => None,
            None => apply::before(&mut branches, "generate", options.no_snapshot).await?,
        };
        failpoint!("generate:kept");
        let begun = Instant::now();
        let filled = fill(&mut database, &plan, &context.events).await;
        // The whole of it was one transaction.
        filled.map_err(|failure| failure.evidence("nothing of it stays: all rows were one transaction"))?;
        done.seconds = begun.elapsed().as_secs_f64();
    }
    if options.digest {
        done.digest = Some(digest(&plan));
    }
    Ok(done)
}

/// What the compose file wishes for.
fn wishes(subject: &Subject) -> Result<Wishes, Failure> {
    let Some(written) = subject.project.extensions.get("x-devenv").and_then(|it| it.get("generate")) else {
        return Ok(Wishes::default());
    };
    serde_json::from_value(written.clone()).map_err(|error| {
        Failure::new(Kind::Files, format!("`x-devenv.generate` is not understood: {error}"))
            .hint("its form is `{seed: 42, tables: {users: 10k, orders: {rows: 50k, columns: {status: [new, paid]}}}}`")
    })
}

/// Reads what has to be known, and plans.
pub(super) async fn planned(
    database: &mut Database,
    wishes: Wishes,
    options: &Options,
) -> Result<Plan, Failure> {
    let own = database.tables(Scope::Own).await.map_err(failures::unread)?;
    let own: BTreeSet<String> = own.into_keys().map(|(schema, _)| schema).collect();
    let tables = database.tables(Scope::Managed).await.map_err(failures::unread)?;
    let mut request = Request {
        own,
        wishes,
        only: options.only.clone(),
        skip: options.skip.clone(),
        append: options.append,
        present: BTreeMap::new(),
    };
    for name in generate::plan::chosen(&tables, &request)? {
        let table = &tables[&name];
        let serial = serial(&tables, &name);
        let there = database.rows_there(&table.qualified(), serial).await.map_err(failures::unread)?;
        if there > 0 {
            request.present.insert(name, there);
        }
    }
    let mut pools = generate::outside(&tables, &request)?;
    for pool in &mut pools {
        let table = format!("{}.{}", quote::name(&pool.table.0), quote::name(&pool.table.1));
        pool.rows = database.first_rows(&table, &pool.columns, POOL).await.map_err(failures::unread)?;
    }
    plan(&tables, &request, pools)
}

/// The column that numbers a table's rows.
fn serial<'a>(tables: &'a Tables, name: &(String, String)) -> Option<&'a str> {
    let table = &tables[name];
    let [key] = table.primary_key() else { return None };
    let whole = |base: &str| ["int2", "int4", "int8", "numeric"].contains(&base);
    table.column(key).filter(|column| whole(&column.shape.base) && !column.shape.array).map(|_| key.as_str())
}

/// Writes all rows, in pieces.
fn pieces(plan: &Plan, sheet: usize, each: &mut dyn FnMut(&[u8])) {
    let rows = plan.sheets[sheet].rows;
    let mut piece = Vec::with_capacity(PIECE);
    let mut from = 0;
    while from < rows {
        let to = (from + BATCH).min(rows);
        piece.clear();
        plan.write(sheet, from..to, &mut piece);
        each(&piece);
        from = to;
    }
}

/// The SHA-256 of all rows.
#[must_use]
pub fn digest(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    for sheet in 0..plan.sheets.len() {
        hash.update(plan.sheets[sheet].qualified());
        pieces(plan, sheet, &mut |piece| hash.update(piece));
    }
    hex::encode(hash.finalize())
}

fn alter(sheet: &Sheet, how: &str) -> Vec<String> {
    let changed = sheet.deferred.iter().filter(|it| !it.deferrable);
    let statement = |name: &str| {
        format!("ALTER TABLE {} ALTER CONSTRAINT {} {how}", sheet.qualified(), quote::name(name))
    };
    changed.map(|it| statement(&it.name)).collect()
}

/// What is run before and behind the rows: references in circles are checked at the end.
fn around(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let mut before = Vec::new();
    let mut behind = Vec::new();
    for sheet in &plan.sheets {
        before.extend(alter(sheet, "DEFERRABLE"));
    }
    if plan.sheets.iter().any(|sheet| !sheet.deferred.is_empty()) {
        before.push("SET CONSTRAINTS ALL DEFERRED".into());
        behind.push("SET CONSTRAINTS ALL IMMEDIATE".into());
    }
    for sheet in &plan.sheets {
        behind.extend(alter(sheet, "NOT DEFERRABLE"));
        for (column, sequence) in &sheet.sequences {
            let name = quote::name(column);
            let found = match sequence {
                Some(named) => format!("{}::regclass", quote::text(named)),
                None => format!(
                    "pg_catalog.pg_get_serial_sequence({}, {})::regclass",
                    quote::text(&sheet.qualified()),
                    quote::text(column)
                ),
            };
            behind.push(format!(
                "SELECT pg_catalog.setval({found}, (SELECT max({name}) FROM {})::bigint) WHERE {found} IS NOT NULL \
                 AND EXISTS (SELECT FROM {} WHERE {name} > 0)",
                sheet.qualified(),
                sheet.qualified()
            ));
        }
    }
    (before, behind)
}

/// Puts the rows into the database.
pub async fn fill(database: &mut Database, plan: &Plan, events: &Events) -> Result<(), Failure> {
    fill_and(database, plan, events, None).await
}

/// The same, and records a seed of this name and hash in the same transaction.
pub(super) async fn fill_and(
    database: &mut Database,
    plan: &Plan,
    events: &Events,
    record: Option<(&str, &str)>,
) -> Result<(), Failure> {
    let failed = |error: postgres::Error| error.failing("the tables cannot be filled");
    let (before, behind) = around(plan);
    database.begin().await.map_err(failed)?;
    for statement in &before {
        database.run(statement).await.map_err(failed)?;
    }
    for (number, sheet) in plan.sheets.iter().enumerate() {
        let subject = format!("Table {}", sheet.qualified());
        let begun = Instant::now();
        events.tell(Event::Started { subject: subject.clone(), doing: "filling".into() });
        let statement = format!("COPY {} {} FROM STDIN", sheet.qualified(), sheet.column_list());
        let mut from = 0;
        let mut next = |piece: &mut Vec<u8>| {
            while from < sheet.rows && piece.len() < PIECE {
                let to = (from + BATCH).min(sheet.rows);
                plan.write(number, from..to, piece);
                from = to;
            }
            from < sheet.rows
        };
        if let Err(error) = database.copy_in(&statement, &mut next).await {
            let failure = error.failing(format!("{} cannot be filled", sheet.qualified()));
            events.tell(Event::Failed { subject, reason: failure.to_string() });
            let failure = match &sheet.triggers[..] {
                [] => failure,
                triggers => failure.hint(format!("its triggers ran too: {}", triggers.join(", "))),
            };
            return Err(failure);
        }
        let outcome = format!("{} rows", sheet.rows);
        events.tell(Event::Done { subject, outcome, took: begun.elapsed() });
        failpoint!("generate:table");
    }
    for statement in &behind {
        database.run(statement).await.map_err(failed)?;
    }
    if let Some((name, hash)) = record {
        database.record_seed(name, hash).await.map_err(failed)?;
    }
    database.run("COMMIT").await.map_err(failed)?;
    let names: Vec<String> = plan.sheets.iter().map(Sheet::qualified).collect();
    database.run(format!("ANALYZE {}", names.join(", "))).await.map_err(failed)
}

/// Writes the same as SQL.
fn print(plan: &Plan, out: Out, write: &mut (dyn FnMut(&[u8]) + Send)) {
    let (before, behind) = around(plan);
    write(format!("-- devenv db generate --seed {}\nBEGIN;\n", plan.seed).as_bytes());
    for statement in &before {
        write(format!("{statement};\n").as_bytes());
    }
    for (number, sheet) in plan.sheets.iter().enumerate() {
        let (table, columns) = (sheet.qualified(), sheet.column_list());
        if out == Out::Copy {
            write(format!("COPY {table} {columns} FROM stdin;\n").as_bytes());
            pieces(plan, number, &mut |piece| write(piece));
            write(b"\\.\n");
        } else {
            pieces(plan, number, &mut |piece| {
                let values: Vec<String> = String::from_utf8_lossy(piece).lines().map(inserted).collect();
                let statement = format!(
                    "INSERT INTO {table} {columns} OVERRIDING SYSTEM VALUE VALUES\n{};\n",
                    values.join(",\n")
                );
                write(statement.as_bytes());
            });
        }
    }
    for statement in &behind {
        write(format!("{statement};\n").as_bytes());
    }
    write(b"COMMIT;\n");
}

/// A row of `COPY` as a row of `VALUES`.
fn inserted(line: &str) -> String {
    let value = |value: &str| {
        if value == "\\N" {
            return "NULL".to_owned();
        }
        let mut text = String::new();
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            text.push(match c {
                '\\' => match chars.next() {
                    Some('t') => '\t',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    other => other.unwrap_or('\\'),
                },
                c => c,
            });
        }
        quote::text(&text)
    };
    let values: Vec<String> = line.split('\t').map(value).collect();
    format!("({})", values.join(", "))
}

/// The wishes of `--rows users=10k`.
pub fn rows(words: &[String]) -> Result<BTreeMap<String, Wish>, Failure> {
    let one = |word: &String| {
        let parts =
            word.rsplit_once('=').and_then(|(table, rows)| Some((table, generate::wish::count(rows)?)));
        parts
            .map(|(table, rows)| (table.to_owned(), Wish { rows: Some(rows), ..Wish::default() }))
            .ok_or_else(|| {
                Failure::new(Kind::Usage, format!("`{word}` is not a table and a number of rows"))
                    .hint("write it like `--rows users=10k`")
            })
    };
    words.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_copy_are_rows_of_values() {
        assert_eq!(inserted("1\t\\N\tit's\ta\\\\b\\tc"), "('1', NULL, 'it''s', E'a\\\\b\tc')");
        assert_eq!(rows(&["a.b=2k".to_owned()]).unwrap()["a.b"].rows, Some(2000));
        assert!(rows(&["users".to_owned()]).is_err());
    }
}
