//! The tables of a database, for those who read and write their rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::schema::quote;

/// A table that holds rows: ordinary, partitioned, or a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is partitioned: it holds rows only through its partitions.
    pub partitioned: bool,
    /// The table that it is a partition of, as schema and name.
    pub partition_of: Option<(String, String)>,
    /// How many rows the planner takes it to have; negative when it was never analysed.
    pub rows: i64,
    /// Its size on disk in bytes, without indexes.
    pub bytes: i64,
    /// What is said about it.
    pub comment: Option<String>,
    /// Whether row security applies.
    pub row_security: bool,
    /// Its columns as they stand.
    pub columns: Vec<Column>,
    /// Its constraints by name.
    pub constraints: Vec<Constraint>,
    /// Its indexes by name, those of constraints too.
    pub indexes: Vec<Index>,
    /// The names of the triggers that users made and that fire.
    pub triggers: Vec<String>,
}

impl Table {
    /// Schema and name, ready for SQL.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("{}.{}", quote::name(&self.schema), quote::name(&self.name))
    }

    /// The columns of the primary key in their order; none without one.
    #[must_use]
    pub fn primary_key(&self) -> &[String] {
        let key = self.constraints.iter().find(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
        key.map_or(&[], |key| &key.columns)
    }

    /// A column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its number, from 1; dropped columns leave gaps.
    pub number: i16,
    /// Its type as SQL writes it, with its modifier: `character varying(20)`, `extensions.citext`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What the type comes down to.
    pub shape: Shape,
    /// Whether it refuses NULL, by itself or by its domain.
    pub not_null: bool,
    /// Its default as SQL.
    pub default: Option<String>,
    /// Whether PostgreSQL numbers it: always (`a`) or by default (`d`).
    pub identity: Option<String>,
    /// The expression that it is generated from; such a column cannot be written.
    pub generated: Option<String>,
    /// What is said about it.
    pub comment: Option<String>,
    /// Its collation, if it is not the type's.
    pub collation: Option<String>,
}

/// What the type of a column comes down to, through domains and arrays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The name of the type below all domains and arrays (`pg_type.typname`): `int4`, `text`, `citext`.
    pub base: String,
    /// The schema of that type.
    pub schema: String,
    /// Its category (`pg_type.typcategory`): `N` numeric, `S` text, `D` date and time, `U` user-defined …
    pub category: String,
    /// How many dimensions of array are around it: 0 or 1.
    pub array: bool,
    /// The modifier, which is the length and 4 for `varchar(n)` and `char(n)`; -1 for none.
    pub modifier: i32,
    /// The domains from the outermost on, as `schema.name`, in quotes where needed.
    pub domains: Vec<String>,
    /// The labels, if it is an enumeration.
    pub labels: Vec<String>,
    /// The checks of all its domains as SQL, about `VALUE`.
    pub checks: Vec<String>,
}

impl Shape {
    /// The longest text that fits, in characters.
    #[must_use]
    pub fn longest(&self) -> Option<u32> {
        let limited = matches!(self.base.as_str(), "varchar" | "bpchar") && self.modifier > 4;
        limited.then(|| u32::try_from(self.modifier - 4).unwrap_or(0))
    }
}

/// A constraint of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ConstraintKind,
    /// Its columns in their order; those that a check names.
    pub columns: Vec<String>,
    /// It as SQL, as `ADD CONSTRAINT name …` takes it.
    pub definition: String,
    /// What a foreign key points at.
    pub references: Option<References>,
    /// Whether it holds for the rows that were there before it.
    pub validated: bool,
    /// Whether it may be checked at the end of a transaction.
    pub deferrable: bool,
}

/// What a constraint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConstraintKind {
    /// A primary key.
    PrimaryKey,
    /// A unique constraint.
    Unique,
    /// A check.
    Check,
    /// A foreign key.
    ForeignKey,
    /// An exclusion constraint.
    Exclusion,
    /// A constraint trigger.
    Trigger,
}

/// What a foreign key points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// The schema of the other table.
    pub schema: String,
    /// The other table.
    pub table: String,
    /// Its columns, in the order of the key's own.
    pub columns: Vec<String>,
    /// What becomes of it on delete: `a` nothing, `r` refused, `c` cascade, `n` null, `d` default.
    pub on_delete: String,
    /// And on update.
    pub on_update: String,
    /// Whether a key that is partly NULL is refused (`MATCH FULL`).
    pub full: bool,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Whether it is unique.
    pub unique: bool,
    /// Whether NULLs are equal to it.
    pub nulls_equal: bool,
    /// Its key columns; none where it has an expression.
    pub columns: Vec<Option<String>>,
    /// Its expressions as SQL, in their order among those that are no column.
    pub expressions: Vec<String>,
    /// The rows that it is about, as SQL.
    pub predicate: Option<String>,
    /// It as SQL.
    pub definition: String,
    /// Whether a constraint made it.
    pub of_constraint: bool,
}

/// Tables by schema and name.
pub type Tables = BTreeMap<(String, String), Table>;
