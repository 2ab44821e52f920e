//! What is filled, in which order, with what: everything is decided here, or refused, before the first row.

mod checks;
mod choose;
mod keys;
mod unique;

use std::collections::{BTreeMap, BTreeSet};

use self::choose::selected;
pub use self::choose::{chosen, find, outside};
use super::check::Ask;
use super::columns::{self, Draft};
use super::make::Make;
use super::prf::Prf;
use super::refer::{Reference, Target};
use super::wish::Wishes;
use crate::base::{Failure, Kind};
use crate::schema::quote;
use crate::schema::table::{ConstraintKind, Table, Tables};

/// How many rows a table gets of which nothing else is said.
pub const ROWS: u64 = 1000;

/// Schema and name of a table.
pub type Name = (String, String);

/// What is to be filled.
#[derive(Debug, Default)]
pub struct Request {
    /// The schemas whose tables are filled without being named.
    pub own: BTreeSet<String>,
    /// What is wished for.
    pub wishes: Wishes,
    /// Only these tables; all with none.
    pub only: Vec<String>,
    /// Not these tables.
    pub skip: Vec<String>,
    /// Whether tables that hold rows get more.
    pub append: bool,
    /// The number of the row that comes next in tables that hold rows.
    pub present: BTreeMap<Name, u64>,
}

/// Rows that were there before, which are pointed at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The table.
    pub table: Name,
    /// The columns that are pointed at.
    pub columns: Vec<String>,
    /// Their values as `COPY` writes them, row by row.
    pub rows: Vec<Vec<Vec<u8>>>,
}

/// A column that is written.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How its values are made.
    pub make: Make,
    /// How many in a hundred are NULL.
    pub nulls: u8,
    pub(super) prf: Prf,
}

/// A foreign key that is checked only when all rows are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// Its name.
    pub name: String,
    /// Whether it may be without being changed.
    pub deferrable: bool,
}

/// A table that is filled.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Its schema and name.
    pub name: Name,
    /// The columns that are written.
    pub columns: Vec<Column>,
    /// Its foreign keys.
    pub references: Vec<Reference>,
    /// The number of the first row.
    pub first: u64,
    /// How many rows.
    pub rows: u64,
    /// The foreign keys that cannot be checked at once.
    pub deferred: Vec<Deferred>,
    /// The columns that a sequence numbers, and the sequence where the default names it.
    pub sequences: Vec<(String, Option<String>)>,
    /// The triggers that will fire.
    pub triggers: Vec<String>,
}

impl Sheet {
    /// Schema and name, ready for SQL.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("{}.{}", quote::name(&self.name.0), quote::name(&self.name.1))
    }

    /// The columns in parentheses, ready for SQL.
    #[must_use]
    pub fn column_list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| quote::name(&column.name)).collect();
        format!("({})", names.join(", "))
    }
}

/// What is filled.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What all values are made of.
    pub seed: u64,
    /// The tables in the order in which they are filled.
    pub sheets: Vec<Sheet>,
    /// What was there before.
    pub pools: Vec<Pool>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// A table while it is planned.
struct Work<'a> {
    table: &'a Table,
    /// The drafts of the columns that are written, as they stand.
    columns: Vec<(String, Draft)>,
    references: Vec<Reference>,
    rows: u64,
    explicit: bool,
    first: u64,
    /// Columns and a list of those that are less than others, and of those that differ, with the check that asks it.
    pairs: Vec<(Ask, String)>,
}

impl Work<'_> {
    fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|(name, _)| name == column)
    }

    fn refuse(&self, what: &str, why: &str) -> Failure {
        let table = self.table.qualified();
        Failure::new(Kind::Data, format!("{table} cannot be filled: {what}: {why}"))
    }

    /// Whether a check has something to say of the column.
    fn is_bound(&self, column: &str) -> bool {
        let checks = self.table.constraints.iter().filter(|it| it.kind == ConstraintKind::Check);
        let domains = self.table.column(column).map_or(0, |column| column.shape.checks.len());
        domains > 0 || checks.flat_map(|it| &it.columns).any(|it| it == column)
    }
}

/// Decides on everything, or says everything that stands in the way.
pub fn plan(tables: &Tables, request: &Request, pools: Vec<Pool>) -> Result<Plan, Failure> {
    let seed = request.wishes.seed.unwrap_or(0);
    let chosen = selected(tables, request)?;
    if chosen.is_empty() {
        return Err(Failure::new(Kind::Usage, "there is no table to fill"));
    }
    let names: Vec<Name> = chosen.keys().cloned().collect();
    let mut planner = Planner {
        tables,
        request,
        seed,
        pools,
        names,
        works: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    planner.draft(&chosen);
    planner.stop()?;
    planner.refer();
    planner.stop()?;
    planner.fit();
    planner.stop()?;
    planner.unique();
    planner.compare();
    planner.referred_are_there();
    planner.stop()?;
    planner.finish()
}

struct Planner<'a> {
    tables: &'a Tables,
    request: &'a Request,
    seed: u64,
    pools: Vec<Pool>,
    names: Vec<Name>,
    works: Vec<Work<'a>>,
    problems: Vec<Failure>,
    notes: Vec<String>,
}

impl<'a> Planner<'a> {
    fn stop(&mut self) -> Result<(), Failure> {
        if self.problems.is_empty() { Ok(()) } else { Err(Failure::all(std::mem::take(&mut self.problems))) }
    }

    /// What is wished for of a table.
    fn wish(&self, name: &Name) -> Option<&'a super::wish::Wish> {
        let wishes = &self.request.wishes.tables;
        wishes
            .iter()
            .find(|(named, _)| find(self.tables, named).is_ok_and(|found| found == *name))
            .map(|(_, wish)| wish)
    }

    fn draft(&mut self, chosen: &BTreeMap<Name, (u64, bool)>) {
        let mut holding = Vec::new();
        for (name, (rows, explicit)) in chosen {
            let table = &self.tables[name];
            let first = self.request.present.get(name).copied().unwrap_or(0);
            if first > 0 && !self.request.append {
                holding.push(table.qualified());
            }
            let mut work = Work {
                table,
                columns: Vec::new(),
                references: Vec::new(),
                rows: *rows,
                explicit: *explicit,
                first,
                pairs: Vec::new(),
            };
            if table.partitioned {
                self.problems.push(
                    work.refuse("it is partitioned", "which rows its partitions take is not known")
                        .hint(format!("leave it out with `--skip {}`", table.name)),
                );
                continue;
            }
            for column in &table.columns {
                match columns::draft(table, column) {
                    Ok(Some(draft)) => work.columns.push((column.name.clone(), draft)),
                    Ok(None) => {}
                    Err(why) => {
                        // A wish may say what nothing else knows.
                        let draft = Draft { make: Make::Null, nulls: 0, wished: false };
                        let wished =
                            self.wish(name).is_some_and(|wish| wish.columns.contains_key(&column.name));
                        if wished {
                            work.columns.push((column.name.clone(), draft));
                        } else {
                            self.problems.push(
                                work.refuse(&format!("column `{}`", column.name), &why)
                                    .hint(values_hint(&table.name, &column.name)),
                            );
                        }
                    }
                }
            }
            if let Some(wish) = self.wish(name) {
                for (column, values) in &wish.columns {
                    let Some(at) = work.at(column) else {
                        let what = format!("column `{column}`");
                        self.problems.push(work.refuse(&what, "there is none that can be written"));
                        continue;
                    };
                    let array = table.column(column).is_some_and(|column| column.shape.array);
                    if let Err(why) = columns::wish(&mut work.columns[at].1, values, array) {
                        let what = format!("column `{column}`");
                        self.problems.push(work.refuse(&what, &why));
                    }
                }
            }
            let mut problems = checks::narrow(&mut work);
            self.problems.append(&mut problems);
            self.works.push(work);
        }
        if !holding.is_empty() {
            self.problems.push(
                Failure::new(Kind::Data, format!("there are rows already in {}", holding.join(", ")))
                    .hint("`--append` adds to them; `--only` and `--skip` choose tables"),
            );
        }
    }

    fn finish(mut self) -> Result<Plan, Failure> {
        self.no_circles();
        self.stop()?;
        let (order, deferred) = self.order();
        let place: BTreeMap<usize, usize> = order.iter().enumerate().map(|(to, from)| (*from, to)).collect();
        let mut sheets = Vec::new();
        for from in order {
            let work = &self.works[from];
            let table = work.table;
            let name = (table.schema.clone(), table.name.clone());
            let full = format!("{}.{}", name.0, name.1);
            let columns = work.columns.iter().map(|(column, draft)| Column {
                name: column.clone(),
                make: draft.make.clone(),
                nulls: draft.nulls,
                prf: Prf::new(self.seed, &full, column),
            });
            let mut references = work.references.clone();
            for reference in &mut references {
                if let Target::Sheet(sheet) = reference.target {
                    reference.target = Target::Sheet(place[&sheet]);
                }
            }
            let deferred = table.constraints.iter().filter(|it| deferred[from].contains(&it.name));
            let sequence = |column: &crate::schema::table::Column| {
                let default = column.default.as_deref().unwrap_or_default();
                let named = default.strip_prefix("nextval('").and_then(|it| it.split('\'').next());
                (column.identity.is_some() || named.is_some())
                    .then(|| (column.name.clone(), named.map(str::to_owned)))
            };
            sheets.push(Sheet {
                name,
                columns: columns.collect(),
                references,
                first: work.first,
                rows: work.rows,
                deferred: deferred
                    .map(|it| Deferred { name: it.name.clone(), deferrable: it.deferrable })
                    .collect(),
                sequences: table.columns.iter().filter_map(sequence).collect(),
                triggers: table.triggers.clone(),
            });
        }
        Ok(Plan { seed: self.seed, sheets, pools: self.pools, notes: self.notes })
    }
}

fn values_hint(table: &str, column: &str) -> String {
    format!(
        "say what it holds, under `x-devenv` in the compose file: `generate: {{tables: {{{table}: {{columns: {{{column}: [\u{2026}]}}}}}}}}`; or leave the table out with `--skip {table}`"
    )
}
