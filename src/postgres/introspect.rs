//! Reads what a database holds from its catalogue: the tables with all that matters to who reads and writes rows,
//! and the whole schema as a model that can be compared.
//!
//! Each is one statement, so one round trip; expressions are asked for with an empty search path, so that every
//! name in them has its schema, whatever the role's path is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::Row;

use crate::postgres::script::simple;
use crate::postgres::{Database, Error};
use crate::schema::rows::{Rows, Shape};
use crate::schema::table::{Table, Tables};
use crate::schema::{Id, Kind, Model, Object, quote};

/// The schemas that are PostgreSQL's own.
const SYSTEM: [&str; 2] = ["pg\\_%", "information\\_schema"];

/// The schemas that Supabase, or one of the extensions that it ships, keeps for itself; `supabase db diff` 3.1.0 leaves
/// them out as well.
const MANAGED: [&str; 31] = [
    "\\_analytics",
    "\\_realtime",
    "\\_supavisor",
    "auth",
    "cron",
    "dbdev",
    "etl",
    "extensions",
    "graphql",
    "graphql\\_public",
    "net",
    "pgbouncer",
    "pgmq",
    "pgsodium",
    "pgsodium\\_masks",
    "pgtle",
    "realtime",
    "repack",
    "storage",
    "supabase\\_functions",
    "supabase\\_migrations",
    "tiger",
    "tiger\\_data",
    "timescaledb\\_%",
    "\\_timescaledb\\_%",
    "topology",
    "vault",
    "columnar",
    "columnar\\_internal",
    "\\_lite",
    "supabase",
];

/// Which schemas are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those that users made.
    #[default]
    Own,
    /// Those too that Supabase keeps for itself.
    Managed,
}

impl Scope {
    /// The patterns of what is left out.
    #[must_use]
    pub fn left_out(self) -> Vec<String> {
        let managed = if self == Self::Own { &MANAGED[..] } else { &[] };
        SYSTEM.iter().chain(managed).map(|pattern| (*pattern).to_owned()).collect()
    }
}

/// Schemas of Supabase in which users write row security policies.
const POLICED: [&str; 2] = ["storage", "realtime"];

/// All names in expressions with their schema, as `pg_dump` asks for them.
const EMPTY_PATH: &str = "SET search_path = ''";

/// Who asks, and of what version the server is.
const ABOUT: &str = "SELECT current_user::text, current_setting('server_version_num')::int4";

/// An object's address in the catalogue: the table's OID, its own, and a column's number.
type Address = (i64, i64, i32);

/// A row of `schema.sql`.
#[derive(Deserialize)]
struct Found {
    id: Id,
    order: i32,
    /// Further addresses that mean it: a table's row type, a constraint's index.
    also: Vec<Option<Address>>,
    needs: Vec<(Kind, String, String, String)>,
    properties: BTreeMap<String, String>,
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Lost(sqlx::Error::decode(error)))
}

impl Database {
    /// The tables of the database.
    pub async fn tables(&mut self, scope: Scope) -> Result<Tables, Error> {
        simple(self, EMPTY_PATH).await?;
        let query = sqlx::query(include_str!("tables.sql")).bind(scope.left_out()).persistent(false);
        let rows = query.fetch_all(&mut self.connection).await?;
        let mut tables = Tables::new();
        for row in rows {
            let table: Table = parse(row.try_get(0)?)?;
            tables.insert((table.schema.clone(), table.name.clone()), table);
        }
        Ok(tables)
    }

    /// The rows of a table, by their key.
    pub async fn rows(&mut self, shape: &Shape) -> Result<Rows, Error> {
        simple(self, EMPTY_PATH).await?;
        let array = |columns: &[String]| {
            let texts: Vec<String> = columns.iter().map(|it| format!("{}::text", quote::name(it))).collect();
            format!("ARRAY[{}]::text[]", texts.join(", "))
        };
        let sql = format!("SELECT {}, {} FROM {}", array(&shape.key), array(&shape.columns), shape.table);
        // Names out of the catalogue, in quotes.
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
        let mut answers = query.fetch(&mut self.connection);
        let mut rows = Rows::new();
        while let Some(row) = answers.try_next().await? {
            rows.insert(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(rows)
    }

    /// The whole schema, as of one instant.
    pub async fn schema(&mut self, scope: Scope) -> Result<Model, Error> {
        simple(self, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''").await?;
        let model = self.read_schema(scope).await;
        // The connection may be gone; then the first error is the one that counts.
        let ended = simple(self, "COMMIT").await;
        let model = model?;
        ended.map(|()| model)
    }

    async fn read_schema(&mut self, scope: Scope) -> Result<Model, Error> {
        let left_out = scope.left_out();
        let policed: &[&str] = if scope == Scope::Own { &POLICED } else { &[] };
        let query = sqlx::query(include_str!("schema.sql")).bind(&left_out).bind(policed).persistent(false);
        let rows = query.fetch_all(&mut self.connection).await?;
        let mut model = Model::default();
        let mut known: HashMap<Address, Id> = HashMap::new();
        for row in rows {
            let Found { id, order, also, needs, properties } = parse(row.try_get(3)?)?;
            let address: Address = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            for address in also.into_iter().flatten().chain([address]) {
                known.insert(address, id.clone());
            }
            let mut needs: BTreeSet<Id> =
                needs.iter().map(|(kind, schema, name, part)| Id::part(*kind, schema, name, part)).collect();
            if !id.schema.is_empty() {
                needs.insert(Id::new(Kind::Schema, "", &id.schema));
            }
            model.objects.insert(id.clone(), Object { id, order, properties, needs });
        }
        let query = sqlx::query(include_str!("depends.sql")).persistent(false);
        let rows = query.fetch_all(&mut self.connection).await?;
        let mut edges: Vec<(Address, Address)> = Vec::with_capacity(rows.len());
        for row in &rows {
            edges.push((
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?),
                (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?),
            ));
        }
        connect(&mut model, known, &edges);
        let query = sqlx::query(include_str!("beyond.sql")).bind(&left_out).persistent(false);
        for row in query.fetch_all(&mut self.connection).await? {
            model.beyond.push(row.try_get(0)?);
        }
        let query = sqlx::query(ABOUT).persistent(false);
        let row = query.fetch_one(&mut self.connection).await?;
        (model.role, model.version) = (row.try_get(0)?, row.try_get(1)?);
        Ok(model)
    }
}

/// Makes the needs of the objects known from what depends on what.
fn connect(model: &mut Model, mut known: HashMap<Address, Id>, edges: &[(Address, Address)]) {
    // What belongs to an extension is there with it.
    let extensions: Vec<(Address, Id)> = edges
        .iter()
        .filter(|(from, _)| !known.contains_key(from))
        .filter_map(|(from, to)| {
            Some((*from, known.get(to).filter(|id| id.kind == Kind::Extension)?.clone()))
        })
        .collect();
    known.extend(extensions);
    let find =
        |address: &Address| known.get(address).or_else(|| known.get(&(address.0, address.1, 0))).cloned();
    for (from, to) in edges {
        if let (Some(from), Some(to)) = (find(from), find(to))
            && from != to
            && !of_itself(&from, &to)
            && let Some(object) = model.objects.get_mut(&from)
        {
            object.needs.insert(to);
        }
    }
    let known: BTreeSet<Id> = model.objects.keys().cloned().collect();
    for object in model.objects.values_mut() {
        object.needs.retain(|need| known.contains(need));
    }
}

/// What PostgreSQL notes the other way round than it is made: a table depends on the columns of its partition key, a
/// sequence on the column that owns it.
fn of_itself(from: &Id, to: &Id) -> bool {
    match (from.kind, to.kind) {
        (Kind::Table, Kind::Column) => from.schema == to.schema && from.name == to.name,
        (Kind::Sequence, Kind::Column | Kind::Table) => true,
        _ => false,
    }
}
