//! Tables as masking sees them: columns with what limits their values.

use serde::Serialize;

/// A table that holds rows of its own, or the root of a partitioned one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether its rows lie in partitions.
    pub partitioned: bool,
    /// What is said about it.
    pub comment: Option<String>,
    /// The columns, in their order.
    pub columns: Vec<Column>,
    /// Columns that are unique together, by their place in [`Table::columns`].
    pub uniques: Vec<Vec<usize>>,
    /// References to other tables.
    pub references: Vec<Reference>,
    /// Its check constraints: the columns they read, and the expression.
    pub checks: Vec<Check>,
    /// About how many rows it has.
    pub rows: u64,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// The type as PostgreSQL writes it.
    pub type_name: String,
    /// Whether it is an array of that.
    pub array: bool,
    /// The most characters that a value may have.
    pub length: Option<usize>,
    /// Whether it takes no NULL.
    pub not_null: bool,
    /// Whether it has a value where none is given.
    pub has_default: bool,
    /// Whether it is computed from others; such a column is not copied.
    pub generated: bool,
    /// The values of an enumeration.
    pub labels: Vec<String>,
    /// What is said about it.
    pub comment: Option<String>,
}

/// What values are, as far as masking cares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text of any sort.
    Text,
    /// `smallint`, `integer`, `bigint`.
    Integer,
    /// `numeric`, `real`, `double precision`, `money`.
    Number,
    /// `boolean`.
    Boolean,
    /// `date`.
    Date,
    /// `timestamp`, with and without a zone.
    Time,
    /// `uuid`.
    Uuid,
    /// `json` and `jsonb`.
    Json,
    /// `bytea`.
    Bytes,
    /// `inet` and `cidr`.
    Address,
    /// `point` and other places, of PostGIS too.
    Place,
    /// An enumeration.
    Choice,
    /// Anything else.
    #[default]
    Other,
}

/// A foreign key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The columns here, by their place.
    pub columns: Vec<usize>,
    /// The table it leads to, as `schema.table`.
    pub table: String,
    /// The columns there, by name.
    pub to: Vec<String>,
}

/// A check constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// The columns that it reads, by their place.
    pub columns: Vec<usize>,
    /// What has to hold, as PostgreSQL writes it.
    pub expression: String,
}

impl Table {
    /// `schema.table`, as policies and messages name it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The place of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Whether a column refers to another table's.
    #[must_use]
    pub fn refers(&self, column: usize) -> bool {
        self.references.iter().any(|reference| reference.columns.contains(&column))
    }

    /// Whether a column is part of what has to be unique.
    #[must_use]
    pub fn is_unique(&self, column: usize) -> bool {
        self.uniques.iter().any(|columns| columns.contains(&column))
    }
}
