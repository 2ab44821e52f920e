//! A part of a database whose foreign keys hold: a row stays if the rule of its table lets it and if everything that it
//! refers to stays. Written as SQL, so that the source itself leaves the rest out.
//!
//! What goes is a least fixed point, also where tables refer to one another in a circle: rows that a rule leaves out,
//! and then those that refer to one that goes. A circle is asked by one recursive query; all else by one after another.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use thiserror::Error;

use super::table::{Reference, Table};
use crate::schema::quote;

/// What stays of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The table, with or without its schema.
    pub table: String,
    /// What stays.
    pub part: Part,
}

/// What stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// So many rows, the first by key.
    Rows(u64),
    /// So many in a hundred, chosen by their key: the same ones each time.
    Percent(u32),
    /// Those for which this SQL holds.
    Where(String),
}

/// Why a rule is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Wrong {
    /// It does not say which table, or what.
    #[error("`{0}` does not say which part of which table stays")]
    Form(String),
    /// There is no such table.
    #[error("there is no table `{0}`")]
    Table(String),
}

impl Rule {
    /// Reads `TABLE:500`, `TABLE:10%` or `TABLE:CONDITION`.
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::Form(text.to_owned());
        let (table, part) = text.split_once(':').ok_or_else(wrong)?;
        let (table, part) = (table.trim(), part.trim());
        if table.is_empty() || part.is_empty() {
            return Err(wrong());
        }
        let percent = part.strip_suffix('%').map(|number| number.trim().parse::<u32>());
        let part = match (percent, part.parse::<u64>()) {
            (Some(Ok(percent @ 1..=100)), _) => Part::Percent(percent),
            (Some(Ok(_)), _) => return Err(wrong()),
            (_, Ok(rows)) => Part::Rows(rows),
            _ => Part::Where(part.to_owned()),
        };
        Ok(Self { table: table.to_owned(), part })
    }
}

/// How the rows of a table are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// What stands before `SELECT`.
    pub with: String,
    /// What stands behind `WHERE`, about the table under its own name.
    pub condition: String,
}

/// For each table, how its rows are asked for; none where all of them stay. `copied` says of which tables there are
/// rows at all: what refers to another has no such reference either.
pub fn narrow(tables: &[Table], rules: &[Rule], copied: &[bool]) -> Result<Vec<Option<Narrowed>>, Wrong> {
    let mut own: Vec<Vec<String>> = vec![Vec::new(); tables.len()];
    for rule in rules {
        let found = tables.iter().position(|table| rule.table == table.path()).or_else(|| {
            let mut named = (0..tables.len()).filter(|at| tables[*at].name == rule.table);
            let first = named.next();
            first.filter(|_| named.next().is_none())
        });
        let at = found.ok_or_else(|| Wrong::Table(rule.table.clone()))?;
        own[at].push(part(&tables[at], &rule.part));
    }
    let work = Work::new(tables, copied, own);
    Ok((0..tables.len()).map(|at| work.touched.contains(&at).then(|| work.narrowed(at))).collect())
}

/// A table as it stands behind `FROM`, under its own name.
#[must_use]
pub fn from(table: &Table) -> String {
    let only = if table.partitioned { "" } else { "ONLY " };
    let name = quote::name(&table.name);
    format!("{only}{}.{name} AS {name}", quote::name(&table.schema))
}

fn part(table: &Table, part: &Part) -> String {
    let name = quote::name(&table.name);
    let key = match table.uniques.iter().min_by_key(|columns| columns.len()) {
        Some(columns) if !columns.is_empty() => columns.iter().map(|at| column(table, *at)).collect(),
        _ => vec![format!("{name}.ctid")],
    };
    let key = key.join(", ");
    match part {
        Part::Where(condition) => format!("({condition})"),
        Part::Rows(rows) => format!(
            "({name}.tableoid, {name}.ctid) IN (SELECT {name}.tableoid, {name}.ctid FROM {} ORDER BY {key} LIMIT {rows})",
            from(table)
        ),
        Part::Percent(percent) => {
            format!("pg_catalog.abs(pg_catalog.hashtextextended(ROW({key})::text, 0) % 100) < {percent}")
        }
    }
}

fn column(table: &Table, place: usize) -> String {
    format!("{}.{}", quote::name(&table.name), quote::name(&table.columns[place].name))
}

struct Work<'a> {
    tables: &'a [Table],
    own: Vec<Vec<String>>,
    /// For each table, the tables that it refers to, with how.
    references: Vec<Vec<(usize, &'a Reference)>>,
    /// What is not copied whole.
    touched: BTreeSet<usize>,
    /// For each table, all that it leads to; itself if there is a way back.
    leads: Vec<BTreeSet<usize>>,
}

impl<'a> Work<'a> {
    fn new(tables: &'a [Table], copied: &[bool], own: Vec<Vec<String>>) -> Self {
        let there = |at: &usize| copied.get(*at).copied().unwrap_or(true);
        let references: Vec<Vec<(usize, &Reference)>> = tables
            .iter()
            .map(|table| {
                let found = table.references.iter().filter_map(|reference| {
                    let at = tables.iter().position(|other| other.path() == reference.table)?;
                    there(&at).then_some((at, reference))
                });
                found.collect()
            })
            .collect();
        let leads = |from: usize| {
            let (mut found, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(at) = next.pop() {
                next.extend(references[at].iter().map(|(to, _)| *to).filter(|to| found.insert(*to)));
            }
            found
        };
        let leads: Vec<BTreeSet<usize>> = (0..tables.len()).map(leads).collect();
        let ruled = |at: &usize| !own[*at].is_empty();
        let touched = (0..tables.len()).filter(there);
        let touched = touched.filter(|at| ruled(at) || leads[*at].iter().any(ruled)).collect();
        Self { tables, own, references, touched, leads }
    }

    /// The tables that stand in a circle with one, itself among them; none where it stands in none.
    fn circle(&self, at: usize) -> Vec<usize> {
        let within = |other: &usize| {
            self.touched.contains(other) && self.leads[*other].contains(&at) && self.leads[at].contains(other)
        };
        (0..self.tables.len()).filter(within).collect()
    }

    fn narrowed(&self, at: usize) -> Narrowed {
        let (mut queries, mut done) = (Vec::new(), BTreeSet::new());
        let condition = self.condition(at, &mut queries, &mut done);
        let with = if queries.is_empty() {
            String::new()
        } else {
            format!("WITH RECURSIVE {} ", queries.join(", "))
        };
        Narrowed { with, condition }
    }

    /// What holds of the rows of a table that stay; the queries that it speaks of come before.
    fn condition(&self, at: usize, queries: &mut Vec<String>, done: &mut BTreeSet<String>) -> String {
        let circle = self.circle(at);
        let Some(first) = circle.first().copied() else { return self.plain(at, &[], queries, done) };
        let gone = format!("devenv_gone_{first}");
        if done.insert(gone.clone()) {
            let mut begin = Vec::new();
            let mut follow = Vec::new();
            for member in &circle {
                let name = quote::name(&self.tables[*member].name);
                let stays = self.plain(*member, &circle, queries, done);
                begin.push(format!(
                    "SELECT {member}, {name}.tableoid, {name}.ctid::text FROM {} WHERE ({stays}) IS NOT TRUE",
                    from(&self.tables[*member])
                ));
                for (to, reference) in self.references[*member].iter().filter(|(to, _)| circle.contains(to)) {
                    let table = &self.tables[*member];
                    let same = pairs(&self.tables[*to], table, reference, "child", "parent");
                    let other = bare(&self.tables[*to]);
                    follow.push(format!(
                        "SELECT {member} AS place, child.tableoid AS part, child.ctid::text AS id \
                         FROM {} AS child JOIN {other} AS parent ON {same} \
                         WHERE gone.place = {to} AND parent.tableoid = gone.part AND parent.ctid = gone.id::tid",
                        bare(table)
                    ));
                }
            }
            queries.push(format!(
                "{gone} (place, part, id) AS ({} UNION SELECT more.place, more.part, more.id FROM {gone} AS gone \
                 CROSS JOIN LATERAL ({}) AS more)",
                begin.join(" UNION ALL "),
                follow.join(" UNION ALL ")
            ));
        }
        let name = quote::name(&self.tables[at].name);
        format!(
            "NOT EXISTS (SELECT FROM {gone} AS gone WHERE gone.place = {at} AND gone.part = {name}.tableoid \
             AND gone.id = {name}.ctid::text)"
        )
    }

    /// What a table's own rules and its references to others than `circle` ask.
    fn plain(
        &self,
        at: usize,
        circle: &[usize],
        queries: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> String {
        let table = &self.tables[at];
        let mut all = self.own[at].clone();
        for (to, reference) in &self.references[at] {
            if !self.touched.contains(to) || circle.contains(to) {
                continue;
            }
            let kept = format!("devenv_kept_{to}");
            if !done.contains(&kept) {
                let condition = self.condition(*to, queries, done);
                done.insert(kept.clone());
                queries
                    .push(format!("{kept} AS (SELECT * FROM {} WHERE {condition})", from(&self.tables[*to])));
            }
            let name = quote::name(&table.name);
            let mut asked = String::new();
            for place in &reference.columns {
                let _ = write!(asked, "{} IS NULL OR ", column(table, *place));
            }
            let same = pairs(&self.tables[*to], table, reference, &name, "parent");
            all.push(format!("({asked}EXISTS (SELECT FROM {kept} AS parent WHERE {same}))"));
        }
        if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
    }
}

/// A table without a name of its own for the query.
fn bare(table: &Table) -> String {
    let only = if table.partitioned { "" } else { "ONLY " };
    format!("{only}{}.{}", quote::name(&table.schema), quote::name(&table.name))
}

/// That a child's columns are those of the parent that they refer to.
fn pairs(parent: &Table, child: &Table, reference: &Reference, its: &str, other: &str) -> String {
    let pairs = reference.columns.iter().zip(&reference.to).filter(|(_, to)| parent.column(to).is_some());
    let same = pairs.map(|(own, to)| {
        format!("{other}.{} = {its}.{}", quote::name(to), quote::name(&child.columns[*own].name))
    });
    same.collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::super::table::Column;
    use super::*;

    fn table(name: &str, references: &[&str]) -> Table {
        let named = |name: String| Column { name, ..Column::default() };
        let mut columns = vec![named("id".to_owned())];
        columns.extend(references.iter().map(|to| named(format!("{to}_id"))));
        let reference = |(at, to): (usize, &&str)| Reference {
            columns: vec![at + 1],
            table: format!("public.{to}"),
            to: vec!["id".to_owned()],
        };
        Table {
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns,
            uniques: vec![vec![0]],
            references: references.iter().enumerate().map(reference).collect(),
            ..Table::default()
        }
    }

    #[test]
    fn rules_are_read() {
        let part = |text: &str| Rule::read(text).map(|rule| rule.part);
        assert_eq!(part("users:500"), Ok(Part::Rows(500)));
        assert_eq!(part("shop.users: 10%"), Ok(Part::Percent(10)));
        assert_eq!(part("t:at::date > now()"), Ok(Part::Where("at::date > now()".to_owned())));
        for wrong in ["users", "users:", ":5", "users:0%", "users:300%"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_leads_to_less_becomes_less() {
        let tables = [table("users", &[]), table("orders", &["users"]), table("kinds", &[])];
        let rules = [Rule::read("users:id < 10").unwrap()];
        let found = narrow(&tables, &rules, &[true; 3]).unwrap();
        assert_eq!(found[0], Some(Narrowed { with: String::new(), condition: "(id < 10)".to_owned() }));
        let orders = found[1].clone().unwrap();
        assert_eq!(
            orders.with,
            "WITH RECURSIVE devenv_kept_0 AS (SELECT * FROM ONLY public.users AS users WHERE (id < 10)) "
        );
        assert_eq!(
            orders.condition,
            "(orders.users_id IS NULL OR EXISTS (SELECT FROM devenv_kept_0 AS parent WHERE parent.id = orders.users_id))"
        );
        assert_eq!(found[2], None);
        // What refers to rows that are not copied has lost that reference.
        assert_eq!(narrow(&tables, &rules, &[false, true, true]).unwrap()[1], None);
        let unknown = [Rule::read("nobody:1").unwrap()];
        assert_eq!(narrow(&tables, &unknown, &[]), Err(Wrong::Table("nobody".to_owned())));
    }

    #[test]
    fn a_circle_is_asked_at_once() {
        let tables = [table("users", &["teams", "users"]), table("teams", &["users"])];
        let found = narrow(&tables, &[Rule::read("teams:1").unwrap()], &[]).unwrap();
        for narrowed in found.into_iter().flatten() {
            assert!(narrowed.with.starts_with("WITH RECURSIVE devenv_gone_0 (place, part, id) AS ("));
            assert_eq!(narrowed.with.matches("AS child JOIN").count(), 3, "{}", narrowed.with);
            assert!(narrowed.condition.starts_with("NOT EXISTS"), "{}", narrowed.condition);
        }
    }
}
