//! `db branch diff`: what one branch's database has that another's has not, in schema or in rows.

use std::collections::BTreeMap;

use crate::base::{Failure, Kind};
use crate::lineage::Point;
use crate::ops::branch::{Branches, url};
use crate::ops::migrate::trial::{self, Trial};
use crate::ops::{Context, failures};
use crate::postgres::{Database, Scope};
use crate::schema::rows::{self, Change, Rows, Shape};
use crate::schema::table::{Table, Tables};
use crate::schema::{Step, diff};

/// How the schemas differ.
#[derive(Debug)]
pub struct Difference {
    /// What is compared, by name.
    pub names: [String; 2],
    /// The steps from the first to the second.
    pub steps: Vec<Step>,
    /// What is there on either side and cannot be compared.
    pub beyond: Vec<String>,
}

/// How the rows of tables differ.
#[derive(Debug)]
pub struct RowDifference {
    /// What is compared, by name.
    pub names: [String; 2],
    /// The changes from the first to the second, by table.
    pub tables: Vec<(Shape, Vec<Change>)>,
}

/// A database that was opened to be read, and the throw-away branch that it is on, if it does not run otherwise.
pub(in crate::ops) struct Opened {
    pub(in crate::ops) database: Database,
    trial: Option<Trial>,
}

impl Opened {
    /// Opens the database of a branch or a snapshot; a copy of it, where it does not run.
    pub(in crate::ops) async fn open(branches: &mut Branches<'_>, named: &str) -> Result<Self, Failure> {
        let point = branches.lineage.point(named).map_err(failures::lineage)?;
        let running = match point {
            Point::Branch(branch) => url::of(branches, &branch.clone()).await.ok(),
            Point::Snapshot(_) => None,
        };
        if let Some(address) = running {
            return Ok(Self { database: crate::ops::migrate::open(&address.target()).await?, trial: None });
        }
        let trial = Trial::begin(branches, Some(named)).await?;
        match trial.open().await {
            Ok(database) => Ok(Self { database, trial: Some(trial) }),
            Err(failure) => trial.end(branches, Err(failure)).await,
        }
    }

    /// Ends what was begun for it.
    pub(in crate::ops) async fn close<T>(
        self,
        branches: &mut Branches<'_>,
        came: Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self.trial {
            Some(trial) => trial.end(branches, came).await,
            None => came,
        }
    }
}

fn names(branches: &Branches<'_>, a: &str, b: Option<&str>) -> Result<[String; 2], Failure> {
    let b = match b {
        Some(b) => b.to_owned(),
        None => branches.current()?.name.clone(),
    };
    Ok([a.to_owned(), b])
}

/// Compares the schemas of two branches or snapshots; without a second one, with the current branch.
pub async fn schema(
    context: &Context,
    a: &str,
    b: Option<&str>,
    scope: Scope,
) -> Result<Difference, Failure> {
    let quiet = trial::muted(context);
    let mut branches = Branches::change(&quiet).await?;
    let names = names(&branches, a, b)?;
    let mut models = Vec::new();
    for name in &names {
        let mut opened = Opened::open(&mut branches, name).await?;
        let model = opened.database.schema(scope).await.map_err(failures::unread);
        models.push(opened.close(&mut branches, model).await?);
    }
    let mut beyond: Vec<String> = models.iter().flat_map(|model| model.beyond.clone()).collect();
    beyond.sort();
    beyond.dedup();
    Ok(Difference { names, steps: diff(&models[0], &models[1]), beyond })
}

/// Compares the rows of tables, by their primary key or by `key`.
pub async fn data(
    context: &Context,
    a: &str,
    b: Option<&str>,
    tables: &[String],
    key: &[String],
) -> Result<RowDifference, Failure> {
    let quiet = trial::muted(context);
    let mut branches = Branches::change(&quiet).await?;
    let names = names(&branches, a, b)?;
    let mut read: Vec<BTreeMap<String, (Shape, Rows)>> = Vec::new();
    for name in &names {
        let mut opened = Opened::open(&mut branches, name).await?;
        let came = rows_of(&mut opened.database, tables, key).await;
        read.push(opened.close(&mut branches, came).await?.into_iter().collect());
    }
    let mut found = Vec::new();
    for name in tables {
        let ((shape, from), (other, to)) = (&read[0][name], &read[1][name]);
        if shape != other {
            return Err(Failure::new(
                Kind::Data,
                format!("table `{name}` has other columns in `{}`", names[1]),
            )
            .hint(format!("compare the schemas first: `devenv db branch diff {} {}`", names[0], names[1])));
        }
        found.push((shape.clone(), rows::diff(from, to)));
    }
    Ok(RowDifference { names, tables: found })
}

/// The rows of tables, each under the name that it was asked by.
pub(in crate::ops) async fn rows_of(
    database: &mut Database,
    tables: &[String],
    key: &[String],
) -> Result<Vec<(String, (Shape, Rows))>, Failure> {
    let known = database.tables(Scope::Managed).await.map_err(failures::unread)?;
    let mut all = Vec::new();
    for name in tables {
        let table = find(&known, name)?;
        let shape = shape(table, key)?;
        let read = database.rows(&shape).await;
        let rows = read.map_err(|error| error.failing(format!("the rows of `{name}` cannot be read")))?;
        all.push((name.clone(), (shape, rows)));
    }
    Ok(all)
}

fn find<'a>(tables: &'a Tables, named: &str) -> Result<&'a Table, Failure> {
    let (schema, name) = named.split_once('.').unwrap_or(("public", named));
    tables.get(&(schema.to_owned(), name.to_owned())).ok_or_else(|| {
        let same: Vec<String> = tables
            .values()
            .filter(|it| it.name == name)
            .map(|it| format!("{}.{}", it.schema, it.name))
            .collect();
        let failure = Failure::new(Kind::Usage, format!("there is no table `{schema}.{name}`"));
        if same.is_empty() { failure } else { failure.hint(format!("there is {}", same.join(", "))) }
    })
}

fn shape(table: &Table, key: &[String]) -> Result<Shape, Failure> {
    let key = if key.is_empty() { table.primary_key() } else { key };
    if key.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("table `{}` has no primary key", table.qualified()))
            .hint("`--key` names the columns by which its rows are known"));
    }
    if let Some(missing) = key.iter().find(|column| table.column(column).is_none()) {
        let message = format!("table `{}` has no column `{missing}`", table.qualified());
        return Err(Failure::new(Kind::Usage, message));
    }
    let written = table.columns.iter().filter(|column| column.generated.is_none());
    Ok(Shape {
        table: table.qualified(),
        key: key.to_vec(),
        numbered: table.columns.iter().any(|column| column.identity.as_deref() == Some("a")),
        columns: written.map(|column| column.name.clone()).collect(),
    })
}
