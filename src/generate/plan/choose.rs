//! Which tables are filled, and with how many rows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Name, Planner, Pool, ROWS, Request};
use crate::base::{Failure, Kind};
use crate::generate::refer::Target;
use crate::schema::table::Tables;

/// The table that a name means.
pub fn find(tables: &Tables, named: &str) -> Result<Name, Failure> {
    let found: Vec<&Name> =
        tables.keys().filter(|(schema, name)| name == named || format!("{schema}.{name}") == named).collect();
    let public = found.iter().find(|(schema, _)| schema == "public");
    match (&found[..], public) {
        ([one], _) => Ok((*one).clone()),
        (_, Some(public)) => Ok((**public).clone()),
        ([], _) => {
            let names = tables.keys().map(|(_, name)| name.as_str());
            let mut failure = Failure::new(Kind::Usage, format!("there is no table `{named}`"));
            if let Some(near) = crate::base::guess::closest(named, names, |_| 2) {
                failure = failure.hint(crate::base::guess::did_you_mean(near));
            }
            Err(failure)
        }
        _ => Err(Failure::new(Kind::Usage, format!("`{named}` is a table of several schemas"))
            .hint("name it with its schema, as in `public.users`")),
    }
}

/// The tables that are filled and how many rows each gets; whether that number was asked for.
pub(super) fn selected(tables: &Tables, request: &Request) -> Result<BTreeMap<Name, (u64, bool)>, Failure> {
    let names = |all: &[String]| all.iter().map(|it| find(tables, it)).collect::<Result<BTreeSet<_>, _>>();
    let (only, skip) = (names(&request.only)?, names(&request.skip)?);
    let scale = request.wishes.scale.unwrap_or(1.0);
    if !scale.is_finite() || scale <= 0.0 {
        return Err(Failure::new(Kind::Usage, format!("{scale} is no scale")).hint("give a number above 0"));
    }
    let mut asked = BTreeMap::new();
    for (name, wish) in &request.wishes.tables {
        asked.insert(find(tables, name)?, wish.rows);
    }
    let mut found = BTreeMap::new();
    for (name, table) in tables {
        let rows = asked.get(name).copied().flatten();
        let wanted = rows.is_some()
            || asked.contains_key(name)
            || only.contains(name)
            || request.own.contains(&name.0);
        let left_out = skip.contains(name) || (!only.is_empty() && !only.contains(name));
        if !wanted || left_out || table.partition_of.is_some() || rows == Some(0) {
            continue;
        }
        found.insert(name.clone(), (scaled(rows.unwrap_or(ROWS), scale), rows.is_some()));
    }
    Ok(found)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of rows, far below where either happens"
)]
fn scaled(rows: u64, scale: f64) -> u64 {
    ((rows as f64 * scale).round() as u64).max(1)
}

/// The tables that are filled.
pub fn chosen(tables: &Tables, request: &Request) -> Result<Vec<Name>, Failure> {
    Ok(selected(tables, request)?.into_keys().collect())
}

/// What has to be read before a plan can be made: the columns of rows that are there and will be pointed at.
pub fn outside(tables: &Tables, request: &Request) -> Result<Vec<Pool>, Failure> {
    let chosen = selected(tables, request)?;
    let mut pools: Vec<Pool> = Vec::new();
    for name in chosen.keys() {
        for key in tables[name].constraints.iter().filter_map(|it| it.references.as_ref()) {
            let target = (key.schema.clone(), key.table.clone());
            let known = pools.iter().any(|pool| pool.table == target && pool.columns == key.columns);
            if !chosen.contains_key(&target) && !known {
                pools.push(Pool { table: target, columns: key.columns.clone(), rows: Vec::new() });
            }
        }
    }
    Ok(pools)
}

impl Planner<'_> {
    /// Sets the numbers of rows, and lowers those that nobody asked for to what there is room for.
    pub(super) fn fit(&mut self) {
        for _ in 0..=self.works.len() {
            self.count();
            let mut lowered = false;
            for work in &mut self.works {
                let Some((room, unique)) = work.room() else { continue };
                if room >= work.first + work.rows {
                    continue;
                }
                if work.explicit || room <= work.first {
                    let why = format!("there is room for {room} rows, not for {}", work.first + work.rows);
                    let what = format!("unique `{unique}`");
                    self.problems.push(
                        work.refuse(&what, &why)
                            .hint("ask for fewer rows of it, or more of those that it points at"),
                    );
                    return;
                }
                work.rows = room - work.first;
                lowered = true;
                let note =
                    format!("{}: {room} rows, as many as `{unique}` has room for", work.table.qualified());
                self.notes.retain(|it| !it.starts_with(&format!("{}: ", work.table.qualified())));
                self.notes.push(note);
            }
            if !lowered {
                break;
            }
        }
    }

    fn count(&mut self) {
        let totals: Vec<u64> = self.works.iter().map(|work| work.first + work.rows).collect();
        for (work, total) in self.works.iter_mut().zip(&totals) {
            for reference in &mut work.references {
                reference.children = *total;
                if let Target::Sheet(sheet) = reference.target {
                    reference.parents = totals[sheet];
                }
            }
        }
    }
}
