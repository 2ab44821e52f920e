//! The rows of a table as they are compared and merged: by their key, each as a whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::schema::merge::Prefer;
use crate::schema::quote::{name, text};

/// A row's values as text, in the order of the columns.
pub type Values = Vec<Option<String>>;

/// Rows by the values of their key.
pub type Rows = BTreeMap<Values, Values>;

/// What is known of a table whose rows are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Its name with its schema, ready for SQL.
    pub table: String,
    /// The columns of its key.
    pub key: Vec<String>,
    /// All columns that can be written.
    pub columns: Vec<String>,
    /// Whether one of them is numbered by PostgreSQL always.
    pub numbered: bool,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its key.
    pub key: Values,
    /// What it was; none for a new one.
    pub before: Option<Values>,
    /// What it is; none where it is gone.
    pub after: Option<Values>,
}

/// A row of which both sides made something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Its key.
    pub key: Values,
    /// What it was.
    pub base: Option<Values>,
    /// What ours made of it.
    pub ours: Option<Values>,
    /// What theirs made of it.
    pub theirs: Option<Values>,
}

/// What turns the rows of `from` into those of `to`.
#[must_use]
pub fn diff(from: &Rows, to: &Rows) -> Vec<Change> {
    let keys: BTreeSet<&Values> = from.keys().chain(to.keys()).collect();
    let changed = keys.into_iter().filter(|key| from.get(*key) != to.get(*key));
    changed
        .map(|key| Change { key: key.clone(), before: from.get(key).cloned(), after: to.get(key).cloned() })
        .collect()
}

/// What `ours` lacks of what `theirs` made of `base`, and what both made something of.
#[must_use]
pub fn merge(base: &Rows, ours: &Rows, theirs: &Rows, prefer: Prefer) -> (Vec<Change>, Vec<Conflict>) {
    let (mut changes, mut conflicts) = (Vec::new(), Vec::new());
    for Change { key, before, after } in diff(base, theirs) {
        let here = ours.get(&key).cloned();
        if here == after {
            continue;
        }
        if here != before && prefer == Prefer::None {
            conflicts.push(Conflict { key, base: before, ours: here, theirs: after });
        } else if here == before || prefer == Prefer::Theirs {
            changes.push(Change { key, before: here, after });
        }
    }
    (changes, conflicts)
}

impl Change {
    /// The statement that does it.
    #[must_use]
    pub fn sql(&self, shape: &Shape) -> String {
        let value = |value: &Option<String>| value.as_deref().map_or_else(|| "NULL".to_owned(), text);
        let pairs = shape.key.iter().zip(&self.key);
        let key: Vec<String> =
            pairs.map(|(column, it)| format!("{} = {}", name(column), value(it))).collect();
        let (table, key) = (&shape.table, key.join(" AND "));
        match (&self.before, &self.after) {
            (_, None) => format!("DELETE FROM {table} WHERE {key}"),
            (None, Some(after)) => {
                let columns: Vec<String> = shape.columns.iter().map(|column| name(column)).collect();
                let values: Vec<String> = after.iter().map(value).collect();
                let over = if shape.numbered { " OVERRIDING SYSTEM VALUE" } else { "" };
                format!("INSERT INTO {table} ({}){over} VALUES ({})", columns.join(", "), values.join(", "))
            }
            (Some(before), Some(after)) => {
                let all = shape.columns.iter().zip(before.iter().zip(after));
                let new = all.filter(|(_, (before, after))| before != after);
                let sets: Vec<String> =
                    new.map(|(column, (_, it))| format!("{} = {}", name(column), value(it))).collect();
                format!("UPDATE {table} SET {} WHERE {key}", sets.join(", "))
            }
        }
    }
}

/// The statements of all changes of several tables: rows come in the order of the tables, and go the other way round.
#[must_use]
pub fn script(tables: &[(Shape, Vec<Change>)]) -> String {
    let mut sql = String::new();
    for (shape, changes) in tables.iter().rev() {
        for change in changes.iter().filter(|it| it.after.is_none()) {
            sql.push_str(&format!("{};\n", change.sql(shape)));
        }
    }
    for (shape, changes) in tables {
        for change in changes.iter().filter(|it| it.after.is_some()) {
            sql.push_str(&format!("{};\n", change.sql(shape)));
        }
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(all: &[(&str, &str)]) -> Rows {
        let some = |text: &str| Some(text.to_owned());
        all.iter().map(|(key, value)| (vec![some(key)], vec![some(key), some(value)])).collect()
    }

    fn shape() -> Shape {
        let columns = vec!["code".to_owned(), "Name".to_owned()];
        Shape { table: "public.kinds".to_owned(), key: vec!["code".to_owned()], columns, numbered: false }
    }

    #[test]
    fn rows_that_one_side_changed_are_taken() {
        let base = rows(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let (ours, theirs) =
            (rows(&[("a", "2"), ("b", "1"), ("c", "1")]), rows(&[("a", "1"), ("b", "it's"), ("d", "4")]));
        let (changes, conflicts) = merge(&base, &ours, &theirs, Prefer::None);
        assert!(conflicts.is_empty());
        assert_eq!(
            script(&[(shape(), changes)]),
            "DELETE FROM public.kinds WHERE code = 'c';\n\
             UPDATE public.kinds SET \"Name\" = 'it''s' WHERE code = 'b';\n\
             INSERT INTO public.kinds (code, \"Name\") VALUES ('d', '4');\n"
        );
    }

    #[test]
    fn rows_that_both_changed_differently_are_conflicts() {
        let base = rows(&[("a", "1"), ("b", "1")]);
        let (ours, theirs) = (rows(&[("a", "2"), ("b", "3")]), rows(&[("a", "3"), ("b", "3")]));
        let (changes, conflicts) = merge(&base, &ours, &theirs, Prefer::None);
        assert_eq!((changes.len(), conflicts.len()), (0, 1));
        assert_eq!(merge(&base, &ours, &theirs, Prefer::Ours), (Vec::new(), Vec::new()));
        let (changes, _) = merge(&base, &ours, &theirs, Prefer::Theirs);
        assert_eq!(changes[0].sql(&shape()), "UPDATE public.kinds SET \"Name\" = '3' WHERE code = 'a'");
    }
}
