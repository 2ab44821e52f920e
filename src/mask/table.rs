//! Tables as masking sees them: columns with what limits their values.

use serde::Serialize;

use crate::schema::table as schema;

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
    /// The outermost domain of that, in quotes where needed. The type says it already.
    #[serde(skip)]
    pub domain: Option<String>,
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
    /// `point` and other places, of `PostGIS` too.
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

/// The tables of a database as masking sees them. Partitions are their root's business.
#[must_use]
pub fn of(tables: &schema::Tables) -> Vec<Table> {
    tables.values().filter(|table| table.partition_of.is_none()).map(one).collect()
}

fn one(table: &schema::Table) -> Table {
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
    let places = |names: &[String]| names.iter().filter_map(place).collect::<Vec<_>>();
    let constraints =
        |kind: schema::ConstraintKind| table.constraints.iter().filter(move |it| it.kind == kind);
    let mut uniques: Vec<Vec<usize>> = Vec::new();
    for index in table.indexes.iter().filter(|index| index.unique) {
        // An index over `lower(email)` is about email.
        let in_expressions =
            table.columns.iter().enumerate().filter(|(_, column)| {
                index.expressions.iter().any(|expression| names(expression, &column.name))
            });
        let mut columns: Vec<usize> = index.columns.iter().flatten().filter_map(place).collect();
        columns.extend(in_expressions.map(|(place, _)| place));
        uniques.push(columns);
    }
    for constraint in constraints(schema::ConstraintKind::Exclusion) {
        uniques.push(places(&constraint.columns));
    }
    let references = constraints(schema::ConstraintKind::ForeignKey).filter_map(|constraint| {
        let to = constraint.references.as_ref()?;
        Some(Reference {
            columns: places(&constraint.columns),
            table: format!("{}.{}", to.schema, to.table),
            to: to.columns.clone(),
        })
    });
    let checks = constraints(schema::ConstraintKind::Check).map(|constraint| Check {
        name: constraint.name.clone(),
        columns: places(&constraint.columns),
        expression: constraint.definition.clone(),
    });
    Table {
        schema: table.schema.clone(),
        name: table.name.clone(),
        partitioned: table.partitioned,
        comment: table.comment.clone(),
        columns: table.columns.iter().map(column).collect(),
        references: references.collect(),
        checks: checks.collect(),
        rows: u64::try_from(table.rows).unwrap_or(0),
        uniques,
    }
}

/// Whether SQL names a column.
fn names(expression: &str, column: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    expression.match_indices(column).any(|(at, _)| {
        !expression[..at].ends_with(part) && !expression[at + column.len()..].starts_with(part)
    })
}

fn column(column: &schema::Column) -> Column {
    let shape = &column.shape;
    Column {
        name: column.name.clone(),
        kind: kind(shape),
        type_name: column.type_name.clone(),
        domain: shape.domains.first().cloned(),
        array: shape.array,
        length: shape.longest().and_then(|longest| usize::try_from(longest).ok()),
        not_null: column.not_null,
        has_default: column.default.is_some() || column.identity.is_some(),
        generated: column.generated.is_some(),
        labels: shape.labels.clone(),
        comment: column.comment.clone(),
    }
}

fn kind(shape: &schema::Shape) -> Kind {
    match shape.base.as_str() {
        "int2" | "int4" | "int8" => Kind::Integer,
        "numeric" | "float4" | "float8" | "money" => Kind::Number,
        "bool" => Kind::Boolean,
        "date" => Kind::Date,
        "timestamp" | "timestamptz" => Kind::Time,
        "uuid" => Kind::Uuid,
        "json" | "jsonb" => Kind::Json,
        "bytea" => Kind::Bytes,
        "inet" | "cidr" => Kind::Address,
        "point" | "geometry" | "geography" => Kind::Place,
        "citext" => Kind::Text,
        _ if !shape.labels.is_empty() => Kind::Choice,
        // `name` and `"char"` are PostgreSQL's own.
        "text" | "varchar" | "bpchar" | "name" => Kind::Text,
        _ => Kind::Other,
    }
}
