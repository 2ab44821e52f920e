//! From a source into an empty server: the schema, the rows of all tables at one instant, and then what makes use of
//! them; and, of a masked copy, the proof that it is one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::made::{Made, Served};
use super::schema::{Dumper, harmless};
use super::server::{roles, sequences, views};
use super::{Masking, PATIENCE};
use crate::base::{Event, Failure, Kind};
use crate::lineage::Attestation;
use crate::mask::subset::{self, Narrowed};
use crate::mask::{Masked, Plan, Table};
use crate::ops::branch::{Branches, failpoint};
use crate::ops::mask::verify::Verified;
use crate::ops::mask::{self, Source, discreet, list, verify};
use crate::postgres::{self, Database, Target, carry};
use crate::schema::quote;

/// How many tables are carried at a time.
const AT_ONCE: usize = 3;

/// What was carried.
pub(super) struct Done {
    pub(super) rows: u64,
    pub(super) attestation: Option<Attestation>,
}

/// All that carrying needs.
pub(super) struct Work<'a> {
    pub(super) branches: &'a Branches<'a>,
    pub(super) made: &'a Made,
    pub(super) source: &'a Source,
    pub(super) tables: &'a [Table],
    /// How the rows of each are asked for, where not all of them are wanted.
    pub(super) narrowed: &'a [Option<Narrowed>],
    /// Whether sequences go on where they are.
    pub(super) sequences: bool,
}

impl Work<'_> {
    fn tell(&self, doing: &str) {
        let subject = format!("branch {}", self.made.branch.name);
        self.branches.context.events.tell(Event::Started { subject, doing: doing.to_owned() });
    }

    pub(super) async fn carry_out(
        &self,
        source: &mut Database,
        masking: Option<Masking>,
    ) -> Result<Done, Failure> {
        let engine = &self.branches.engine;
        self.tell("starting an empty server");
        let Served { target, container, .. } = self.made.serve(self.branches).await?;
        // One instant of the source for the schema and for every table.
        let failed = |error| discreet(error, format!("{} cannot be read", self.source.name));
        source.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
        let instant = source.one("SELECT pg_catalog.pg_export_snapshot()").await.map_err(failed)?;
        let instant = instant.unwrap_or_default();
        self.tell("copying the schema");
        let dumper = Dumper { engine, work: self, target: &container, instant: &instant };
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
        if self.sequences {
            sequences(source, &mut database).await?;
        }
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
        let from = match &self.narrowed[at] {
            Some(Narrowed { with, condition }) => format!(
                "COPY ({with}SELECT {columns} FROM {} WHERE {condition}) TO STDOUT ({format})",
                subset::from(table)
            ),
            None if table.partitioned => {
                format!("COPY (SELECT {columns} FROM {only}{name}) TO STDOUT ({format})")
            }
            None => format!("COPY {name} ({columns}) TO STDOUT ({format})"),
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

pub(super) fn failing(error: postgres::Error, what: &str) -> Failure {
    discreet(error, format!("the new database cannot be {what}"))
}
