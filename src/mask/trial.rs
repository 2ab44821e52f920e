//! Trials: what rules make of made-up values, asked against the checks and domains of the columns that it is for, so
//! that a rule whose values a column refuses is known before a row is read.

use super::plan::{Plan, Problem, What};
use super::table::{Column, Table};
use crate::schema::quote;

/// One question to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Asks for a value that is refused; answers with none where all are taken. A domain answers with an error.
    pub sql: String,
    table: String,
    column: String,
    rule: &'static str,
    limit: String,
}

impl Trial {
    /// What does not fit, should a value be refused: the one that was, where it is known.
    #[must_use]
    pub fn problem(&self, refused: Option<&str>) -> Problem {
        let such = refused.map_or_else(String::new, |value| format!(", such as {value}"));
        let why = format!("`{}` makes values that {} refuses{such}", self.rule, self.limit);
        Problem { table: self.table.clone(), column: Some(self.column.clone()), what: What::Impossible(why) }
    }
}

/// All that can be asked: of checks that read one column, and of domains.
#[must_use]
pub fn trials(tables: &[Table], plan: &Plan) -> Vec<Trial> {
    let mut found = Vec::new();
    for (table, masked) in tables.iter().zip(&plan.tables) {
        for (at, place) in masked.columns.iter().enumerate() {
            let (column, values) = (&table.columns[*place], masked.trials(at));
            let (Some(rule), false) = (masked.rule(at), values.is_empty()) else { continue };
            let trial = |sql: String, limit: String| Trial {
                sql,
                table: table.path(),
                column: column.name.clone(),
                rule,
                limit,
            };
            let count = values.len();
            let values: Vec<String> = values.iter().map(|value| quote::text(value)).collect();
            let values = format!("pg_catalog.unnest(ARRAY[{}]::text[]) AS made(value)", values.join(", "));
            if let Some(domain) = &column.domain {
                // Every value has to be made one of the domain's for its number to come out.
                let sql = format!(
                    "SELECT NULLIF(pg_catalog.count({}), {count})::text FROM {values}",
                    as_value(column)
                );
                found.push(trial(sql, format!("the domain {domain}")));
            }
            for check in table.checks.iter().filter(|check| check.columns == [*place]) {
                let Some(expression) = condition(&check.expression) else { continue };
                let name = quote::name(&column.name);
                let sql = format!(
                    "SELECT pg_catalog.min(value) FROM (SELECT made.value, {} AS {name} FROM {values}) AS {} \
                     WHERE NOT ({expression})",
                    as_value(column),
                    quote::name(&table.name)
                );
                found.push(trial(sql, format!("the check `{}`", check.name)));
            }
        }
    }
    found
}

/// A made value as one of the column's.
fn as_value(column: &Column) -> String {
    let kind = &column.type_name;
    if column.array { format!("ARRAY[made.value]::{kind}") } else { format!("made.value::{kind}") }
}

/// What has to hold, of a check as `ADD CONSTRAINT` takes it.
fn condition(definition: &str) -> Option<&str> {
    let rest = definition.strip_prefix("CHECK ")?;
    let rest = rest.strip_suffix(" NOT VALID").unwrap_or(rest);
    Some(rest.strip_suffix(" NO INHERIT").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::super::table::Check;
    use super::super::{Key, Kind, Policy, plan};
    use super::*;

    #[test]
    fn checks_of_one_column_and_domains_are_tried() {
        let column = |name: &str, domain: Option<&str>| Column {
            name: name.to_owned(),
            kind: Kind::Text,
            type_name: domain.unwrap_or("text").to_owned(),
            domain: domain.map(str::to_owned),
            ..Column::default()
        };
        let check = |columns: &[usize]| Check {
            name: "short".to_owned(),
            columns: columns.to_vec(),
            expression: "CHECK ((length(mail) < 9)) NOT VALID".to_owned(),
        };
        let table = Table {
            schema: "public".to_owned(),
            name: "users".to_owned(),
            columns: vec![column("mail", None), column("code", Some("shop.code"))],
            checks: vec![check(&[0]), check(&[0, 1])],
            ..Table::default()
        };
        let text = "version: 1\ntables:\n  public.users:\n    mail: email\n    code: hash\n";
        let policy = Policy::read(std::path::Path::new("masking.yaml"), text).unwrap();
        let tables = [table];
        let plan = plan(&tables, &policy, &Key::new([1; Key::BYTES])).unwrap();
        let found = trials(&tables, &plan);
        assert_eq!(found.len(), 2);
        assert!(found[0].sql.ends_with("AS users WHERE NOT (((length(mail) < 9)))"), "{}", found[0].sql);
        assert!(found[0].sql.contains("made.value::text AS mail"), "{}", found[0].sql);
        assert!(
            found[1].sql.contains("NULLIF(pg_catalog.count(made.value::shop.code), 8)"),
            "{}",
            found[1].sql
        );
        assert_eq!(
            found[0].problem(Some("x@example.com")).to_string(),
            "public.users.mail: `email` makes values that the check `short` refuses, such as x@example.com"
        );
    }
}
