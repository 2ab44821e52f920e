//! What a schema is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::schema::quote::name;

/// What an object is. The order is the one in which objects are made where nothing else decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A schema.
    Schema,
    /// An installed extension. What belongs to it is no object of its own.
    Extension,
    /// An enumeration.
    Enum,
    /// A range type.
    Range,
    /// A composite type.
    Composite,
    /// A domain.
    Domain,
    /// A check of a domain.
    DomainCheck,
    /// A sequence; those of identity columns belong to the column.
    Sequence,
    /// A table, partition or partitioned table, without what stands in it.
    Table,
    /// A column of a table.
    Column,
    /// The default of a column.
    Default,
    /// The column that a sequence ends with.
    SequenceOwner,
    /// A function or procedure.
    Function,
    /// An aggregate.
    Aggregate,
    /// A primary key, unique, check, exclusion or foreign key constraint.
    Constraint,
    /// An index that no constraint made.
    Index,
    /// Extended statistics.
    Statistics,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// What was said, or granted, on a single column of a view.
    ViewColumn,
    /// A rule.
    Rule,
    /// A trigger.
    Trigger,
    /// A row security policy.
    Policy,
    /// A trigger on events of the database.
    EventTrigger,
    /// A publication.
    Publication,
    /// A table of a publication.
    PublicationTable,
    /// A schema whose tables are all part of a publication.
    PublicationSchema,
    /// What is granted on objects that a role will make (`ALTER DEFAULT PRIVILEGES`).
    DefaultPrivileges,
}

impl Kind {
    /// The kind in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Extension => "extension",
            Self::Enum => "enum",
            Self::Range => "range type",
            Self::Composite => "composite type",
            Self::Domain => "domain",
            Self::DomainCheck => "check of domain",
            Self::Sequence => "sequence",
            Self::Table => "table",
            Self::Column => "column",
            Self::Default => "default of",
            Self::SequenceOwner => "owner of sequence",
            Self::Function => "function",
            Self::Aggregate => "aggregate",
            Self::Constraint => "constraint",
            Self::Index => "index",
            Self::Statistics => "statistics",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::ViewColumn => "column of view",
            Self::Rule => "rule",
            Self::Trigger => "trigger",
            Self::Policy => "policy",
            Self::EventTrigger => "event trigger",
            Self::Publication => "publication",
            Self::PublicationTable => "table in publication",
            Self::PublicationSchema => "schema in publication",
            Self::DefaultPrivileges => "default privileges",
        }
    }

    /// Whether PostgreSQL allows only one object of a name among these in a schema (`pg_class`, `pg_type`).
    #[must_use]
    pub fn shares_names(self) -> bool {
        matches!(
            self,
            Self::Enum
                | Self::Range
                | Self::Composite
                | Self::Domain
                | Self::Sequence
                | Self::Table
                | Self::Index
                | Self::View
                | Self::MaterializedView
        )
    }

    /// Whether an object of this kind goes with the table that it stands on.
    #[must_use]
    pub fn goes_with_table(self) -> bool {
        matches!(
            self,
            Self::Column
                | Self::Default
                | Self::Constraint
                | Self::Index
                | Self::Statistics
                | Self::Rule
                | Self::Trigger
                | Self::Policy
                | Self::PublicationTable
        )
    }
}

/// What one object is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// What it is.
    pub kind: Kind,
    /// Its schema; empty for what is in none.
    pub schema: String,
    /// Its name, or that of the table, type or publication that it is part of.
    pub name: String,
    /// For a part: its own name. For functions: the types of the arguments.
    pub part: String,
}

impl Id {
    /// An object that is no part of another.
    #[must_use]
    pub fn new(kind: Kind, schema: &str, name: &str) -> Self {
        Self::part(kind, schema, name, "")
    }

    /// A part of an object.
    #[must_use]
    pub fn part(kind: Kind, schema: &str, name: &str, part: &str) -> Self {
        Self { kind, schema: schema.to_owned(), name: name.to_owned(), part: part.to_owned() }
    }

    /// The name with its schema, ready for SQL; without the part.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.schema.is_empty() {
            return name(&self.name);
        }
        format!("{}.{}", name(&self.schema), name(&self.name))
    }

    /// The object under the same schema and name that is of another kind.
    #[must_use]
    pub fn owner(&self, kind: Kind) -> Self {
        Self::new(kind, &self.schema, &self.name)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (words, whole) = (self.kind.words(), self.qualified());
        match self.kind {
            Kind::Function | Kind::Aggregate => write!(f, "{words} {whole}({})", self.part),
            Kind::Column | Kind::Default | Kind::ViewColumn => {
                write!(f, "{words} {whole}.{}", name(&self.part))
            }
            Kind::PublicationTable | Kind::PublicationSchema => {
                write!(f, "{words} {}: {whole}", name(&self.part))
            }
            Kind::DefaultPrivileges => {
                write!(f, "default privileges of {} on {}", name(&self.name), self.part)?;
                if self.schema.is_empty() { Ok(()) } else { write!(f, " in {}", name(&self.schema)) }
            }
            _ if self.part.is_empty() => write!(f, "{words} {whole}"),
            _ => write!(f, "{words} {} on {whole}", name(&self.part)),
        }
    }
}

/// What the key of a property begins with that says what a role was granted.
pub const GRANT: &str = "grant ";

/// One object of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What it is known by.
    pub id: Id,
    /// Where it stands among its like, which is not compared: PostgreSQL cannot move a column.
    #[serde(default)]
    pub order: i32,
    /// What is so about it. `owner` and `comment` are what they say; `grant ROLE` holds privileges with a `*` behind
    /// those that may be passed on; the others are the kind's own (`postgres/introspect.rs` says which).
    pub properties: BTreeMap<String, String>,
    /// What it cannot be without.
    #[serde(default)]
    pub needs: BTreeSet<Id>,
}

impl Object {
    /// A property; nothing where it has none.
    #[must_use]
    pub fn get(&self, property: &str) -> &str {
        self.properties.get(property).map_or("", String::as_str)
    }

    /// Whether a property is there and says yes.
    #[must_use]
    pub fn is(&self, property: &str) -> bool {
        self.get(property) == "true"
    }

    /// Who was granted what.
    pub fn grants(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().filter_map(|(key, value)| Some((key.strip_prefix(GRANT)?, value.as_str())))
    }
}

/// A whole schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// The role that read it, which is the one that changes will be made as.
    pub role: String,
    /// The server's version: 170004 is 17.4.
    pub version: i32,
    /// The objects.
    pub objects: BTreeMap<Id, Object>,
    /// What is there and cannot be compared, in words.
    pub beyond: Vec<String>,
}

impl Model {
    /// An object.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Object> {
        self.objects.get(id)
    }

    /// Whether both hold the same, whatever the order of columns.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.objects.len() == other.objects.len()
            && self.objects.iter().all(|(id, object)| {
                other.objects.get(id).is_some_and(|other| other.properties == object.properties)
            })
    }

    /// Who needs whom, the other way round.
    #[must_use]
    pub fn needed_by(&self) -> BTreeMap<&Id, BTreeSet<&Id>> {
        let mut found: BTreeMap<&Id, BTreeSet<&Id>> = BTreeMap::new();
        for object in self.objects.values() {
            for need in &object.needs {
                found.entry(need).or_default().insert(&object.id);
            }
        }
        found
    }
}
