//! Whether a masked database is one: nothing that was masked stands anywhere in what was kept, and no e-mail address
//! leads out.

use serde::Serialize;

use super::{Options, connect, discreet, find, keys, list, name, policy, quiet_core, refused, tables};
use crate::base::Failure;
use crate::mask::find::{Sort, find as find_in};
use crate::mask::residual::Residual;
use crate::mask::{Plan, Table};
use crate::ops::Context;
use crate::postgres::Database;

/// What was found where nothing should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// In how many rows.
    pub rows: u64,
    /// What it is.
    pub what: &'static str,
}

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Of this document's form.
    pub version: u32,
    /// How many columns were searched.
    pub columns: usize,
    /// How many rows were read.
    pub rows: u64,
    /// Whether raw values were known to search for.
    pub against: bool,
    /// What was found.
    pub hits: Vec<Hit>,
}

/// Searches a masked database. With `against`, the database that it was made from, it is searched for every value that
/// the policy masks there.
pub async fn verify(
    context: &Context,
    options: &Options,
    against: Option<&str>,
) -> Result<Verified, Failure> {
    quiet_core();
    let key = keys::key(context)?;
    let read = policy(context, options.policy.as_deref())?;
    let mut database = connect(&find(context, options.from.as_deref()).await?).await?;
    let found = tables(&mut database).await?;
    let plan = crate::mask::plan(&found, &read.policy, &key).map_err(|problems| refused(&read, &problems))?;
    let seen = match against {
        Some(source) => {
            let mut source = connect(&find(context, Some(source)).await?).await?;
            let raw = tables(&mut source).await?;
            let raw_plan =
                crate::mask::plan(&raw, &read.policy, &key).map_err(|problems| refused(&read, &problems))?;
            let seen = Residual::new(&key);
            remember(&mut source, &raw, &raw_plan, &seen).await?;
            Some(seen)
        }
        None => None,
    };
    search(&mut database, &found, &plan, seen.as_ref()).await
}

/// Reads all that is masked and remembers it.
async fn remember(
    source: &mut Database,
    tables: &[Table],
    plan: &Plan,
    seen: &Residual,
) -> Result<(), Failure> {
    for (table, masked) in tables.iter().zip(&plan.tables).filter(|(_, masked)| !masked.is_plain()) {
        let copy = format!("COPY (SELECT {} FROM {}) TO STDOUT", list(table, &masked.columns), name(table));
        let (mut masker, mut out) = (masked.masker(), Vec::new());
        let read = source.read_rows(&copy, |line| {
            out.clear();
            // Rows of this very table have its columns.
            let _ = masker.row(line, &mut out, Some(seen));
        });
        read.await.map_err(|error| discreet(error, format!("rows of {} cannot be read", table.path())))?;
    }
    Ok(())
}

/// Searches all that was kept.
pub(in crate::ops) async fn search(
    database: &mut Database,
    tables: &[Table],
    plan: &Plan,
    seen: Option<&Residual>,
) -> Result<Verified, Failure> {
    let mut verified =
        Verified { version: 1, columns: 0, rows: 0, against: seen.is_some(), hits: Vec::new() };
    for (table, masked) in tables.iter().zip(&plan.tables) {
        if masked.searched.is_empty() {
            continue;
        }
        verified.columns += masked.searched.len();
        let copy = format!("COPY (SELECT {} FROM {}) TO STDOUT", list(table, &masked.searched), name(table));
        let mut copies = vec![0_u64; masked.searched.len()];
        let mut leading_out = vec![0_u64; masked.searched.len()];
        let redacted: Vec<bool> = masked
            .searched
            .iter()
            .map(|place| {
                let at = masked.columns.iter().position(|column| column == place);
                at.is_some_and(|at| masked.rule(at).is_some())
            })
            .collect();
        let read = database.read_rows(&copy, |line| {
            for (place, field) in line.split(|byte| *byte == b'\t').enumerate() {
                if place >= copies.len() || field.len() < crate::mask::residual::SHORTEST || field == b"\\N" {
                    continue;
                }
                if seen.is_some_and(|seen| seen.count(field) > 0) {
                    copies[place] += 1;
                }
                if redacted[place] {
                    let mut real = false;
                    find_in(field, |sort, at| real |= sort == Sort::Email && !is_reserved(&field[at]));
                    leading_out[place] += u64::from(real);
                }
            }
        });
        let rows = read.await;
        verified.rows +=
            rows.map_err(|error| discreet(error, format!("{} cannot be searched", table.path())))?;
        for (place, column) in masked.searched.iter().enumerate() {
            let column = &table.columns[*column].name;
            let hit = |rows: u64, what| Hit { table: table.path(), column: column.clone(), rows, what };
            verified
                .hits
                .extend((copies[place] > 0).then(|| hit(copies[place], "values that are masked elsewhere")));
            verified.hits.extend(
                (leading_out[place] > 0).then(|| hit(leading_out[place], "e-mail addresses that lead out")),
            );
        }
    }
    Ok(verified)
}

/// Whether an e-mail address leads nowhere (RFC 2606).
fn is_reserved(address: &[u8]) -> bool {
    let lower = address.to_ascii_lowercase();
    let ends = [
        &b"@example.com"[..],
        b"@example.org",
        b"@example.net",
        b".example",
        b".test",
        b".invalid",
        b".localhost",
    ];
    ends.iter().any(|end| lower.ends_with(end))
}

/// What was found, as a failure; none where nothing was.
#[must_use]
pub fn judged(verified: &Verified) -> Option<Failure> {
    if verified.hits.is_empty() {
        return None;
    }
    let mut failure = Failure::new(crate::base::Kind::Data, "raw values are left in columns that are kept");
    for hit in &verified.hits {
        failure =
            failure.evidence(format!("{}.{}: {} in {} rows", hit.table, hit.column, hit.what, hit.rows));
    }
    Some(failure.hint("mask or redact these columns, or say `public` for one whose values are no secret"))
}
