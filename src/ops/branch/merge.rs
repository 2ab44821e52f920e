//! `db branch merge`: what a branch made of the schema since it was forked, and of the rows of named tables, put
//! together with what another made of it since.
//!
//! The fork point is the base. Migrations that the one branch was given and the other lacks are applied as they are;
//! what else differs becomes a migration file. Both are proved on a throw-away copy first: what that comes to has to be
//! the merged schema, to the last property.

use std::path::{Path, PathBuf};

use super::compare::{Opened, rows_of};
use super::{Branches, failpoint, now, url};
use crate::base::shell::argument;
use crate::base::{Failure, Kind};
use crate::lineage::{Branch, Snapshot};
use crate::ops::migrate::trial::{self, Trial};
use crate::ops::migrate::{self, Files, apply};
use crate::ops::{Context, failures};
use crate::postgres::{Database, History, Migration, Scope};
use crate::schema::rows::{self, Change, Rows, Shape};
use crate::schema::{Conflict, Model, Prefer, Step, diff, merge, script};
use crate::supabase::history;

/// How far a merge goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// The plan is made, not tried.
    Plan,
    /// It is proved on a throw-away branch.
    Proof,
    /// It is written down and applied.
    #[default]
    Done,
}

/// What is wanted of a merge.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The branch whose changes are wanted.
    pub source: String,
    /// The branch that gets them; none for the current one.
    pub into: Option<String>,
    /// Who is right where both changed the same.
    pub prefer: Prefer,
    /// How far it goes.
    pub until: Until,
    /// Without a snapshot before.
    pub no_snapshot: bool,
}

/// A row that both sides changed differently, with its table.
pub type RowConflict = (Shape, rows::Conflict);

/// What a merge comes to.
#[derive(Debug, Default)]
pub struct Plan {
    /// The names of the branch that is merged and of the one that it is merged into.
    pub names: [String; 2],
    /// What both sides changed differently; with any of these there is no plan.
    pub conflicts: Vec<Conflict>,
    /// The same of rows.
    pub row_conflicts: Vec<RowConflict>,
    /// The migrations that are applied as they are, by file.
    pub migrations: Vec<PathBuf>,
    /// The steps that follow them.
    pub steps: Vec<Step>,
    /// The rows that follow those.
    pub rows: Vec<(Shape, Vec<Change>)>,
    /// The migration file, once it is written.
    pub path: Option<PathBuf>,
    /// The snapshot of what was there before.
    pub snapshot: Option<Snapshot>,
}

impl Plan {
    /// What becomes a migration file.
    #[must_use]
    pub fn script(&self) -> String {
        let rows = rows::script(&self.rows);
        let steps = script(&self.steps);
        if steps.is_empty() || rows.is_empty() { steps + &rows } else { format!("{steps}\n{rows}") }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.migrations.is_empty()
            && self.steps.is_empty()
            && self.rows.iter().all(|(_, rows)| rows.is_empty())
    }

    /// Whether somebody has to decide first.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        !self.conflicts.is_empty() || !self.row_conflicts.is_empty()
    }
}

/// What one side holds.
struct Side {
    model: Model,
    history: History,
    rows: Vec<(String, (Shape, Rows))>,
}

impl Side {
    async fn read(branches: &mut Branches<'_>, named: &str, tables: &[String]) -> Result<Self, Failure> {
        let mut opened = Opened::open(branches, named).await?;
        let database = &mut opened.database;
        let read = async {
            let model = database.schema(Scope::Own).await.map_err(failures::unread)?;
            let history = database.history().await.map_err(failures::unread)?;
            // A table that is new on one side is in no other's rows.
            let has = |table: &&String| {
                let (schema, name) = table.split_once('.').unwrap_or(("public", table));
                model.get(&crate::schema::Id::new(crate::schema::Kind::Table, schema, name)).is_some()
            };
            let there: Vec<String> = tables.iter().filter(has).cloned().collect();
            let rows = rows_of(database, &there, &[]).await?;
            Ok(Self { model, history, rows })
        };
        let came = read.await;
        opened.close(branches, came).await
    }

    fn rows(&self, table: &str) -> Rows {
        self.rows
            .iter()
            .find(|(name, _)| name == table)
            .map(|(_, (_, rows))| rows.clone())
            .unwrap_or_default()
    }

    fn shape(&self, table: &str) -> Option<&Shape> {
        self.rows.iter().find(|(name, _)| name == table).map(|(_, (shape, _))| shape)
    }
}

/// The tables whose rows are merged, as `x-devenv.merge.tables` names them.
fn tables(branches: &Branches<'_>) -> Vec<String> {
    let section = branches.subject.project.extensions.get("x-devenv");
    let list = section.and_then(|it| it["merge"]["tables"].as_array().cloned()).unwrap_or_default();
    list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Merges one branch into another.
pub async fn run(context: &Context, options: &Options) -> Result<Plan, Failure> {
    let quiet = trial::muted(context);
    let mut branches = Branches::change(&quiet).await?;
    let source = branches.named(Some(&options.source))?.clone();
    let into = branches.named(options.into.as_deref())?.clone();
    if source.id == into.id {
        let message = format!("branch `{}` cannot be merged into itself", source.name);
        return Err(Failure::new(Kind::Usage, message));
    }
    let base =
        branches.lineage.parted(&source, &into).map(|it| format!("snapshot:{}", it.id)).ok_or_else(|| {
            let message = format!("where `{}` and `{}` parted is not known", source.name, into.name);
            Failure::new(Kind::Failed, message).hint(format!(
                "`devenv db branch diff {} {}` compares them as they are",
                argument(&into.name),
                argument(&source.name)
            ))
        })?;
    let tables = tables(&branches);
    let ours = Side::read(&mut branches, &format!("branch:{}", into.name), &tables).await?;
    let theirs = Side::read(&mut branches, &format!("branch:{}", source.name), &tables).await?;
    let base = Side::read(&mut branches, &base, &tables).await?;
    let merged = merge(&base.model, &ours.model, &theirs.model, options.prefer);
    let mut plan = Plan {
        names: [source.name.clone(), into.name.clone()],
        conflicts: merged.conflicts,
        ..Plan::default()
    };
    for table in &tables {
        let Some(shape) = theirs.shape(table).or_else(|| ours.shape(table)) else { continue };
        let (changes, conflicts) =
            rows::merge(&base.rows(table), &ours.rows(table), &theirs.rows(table), options.prefer);
        plan.row_conflicts.extend(conflicts.into_iter().map(|conflict| (shape.clone(), conflict)));
        plan.rows.push((shape.clone(), changes));
    }
    if plan.is_disputed() {
        return Ok(plan);
    }
    let files = Files::of(context, &branches.subject)?;
    let lacks = |version: &str| !ours.history.iter().any(|(known, _, _)| known == version);
    let missing: Vec<&Migration> = files
        .migrations
        .iter()
        .filter(|it| lacks(&it.version) && theirs.history.iter().any(|(known, _, _)| *known == it.version))
        .collect();
    plan.migrations = missing.iter().map(|it| it.path.clone()).collect();
    plan.steps = diff(&ours.model, &merged.model);
    if options.until == Until::Plan && missing.is_empty() {
        return Ok(plan);
    }
    if plan.steps.is_empty() && plan.migrations.is_empty() && plan.is_empty() {
        return Ok(plan);
    }
    // Proved on a copy of the branch that gets it; what its migrations make there is where the steps begin.
    let trial = Trial::begin(&mut branches, Some(&format!("branch:{}", into.name))).await?;
    let came = async {
        let mut database = trial.open().await?;
        carry_over(context, &mut database, &missing).await?;
        let steps = if missing.is_empty() {
            std::mem::take(&mut plan.steps)
        } else {
            diff(&database.schema(Scope::Own).await.map_err(failures::unread)?, &merged.model)
        };
        plan.steps = steps;
        if options.until != Until::Plan {
            migrate::change::prove(&mut database, &plan.steps, &merged.model, Scope::Own).await?;
            let rows = rows::script(&plan.rows);
            if !rows.is_empty() {
                database.run_script(Path::new("rows.sql"), &rows).await?;
            }
        }
        Ok(())
    };
    let came = came.await;
    trial.end(&mut branches, came).await?;
    failpoint!("merge:proved");
    if options.until == Until::Done {
        finish(&mut branches, &into, &files, &missing, options, &mut plan).await?;
    }
    Ok(plan)
}

/// Applies migrations as their files are.
async fn carry_over(
    context: &Context,
    database: &mut Database,
    missing: &[&Migration],
) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let lost = |error: crate::postgres::Error| error.failing("the database cannot be migrated");
    database.begin_migrating(&context.events).await.map_err(lost)?;
    for migration in missing {
        let text = migrate::read(context, &migration.path)?;
        database.apply(migration, &text, &context.events).await?;
    }
    Ok(())
}

/// Writes the migration down and applies it where it is wanted.
async fn finish(
    branches: &mut Branches<'_>,
    into: &Branch,
    files: &Files,
    missing: &[&Migration],
    options: &Options,
    plan: &mut Plan,
) -> Result<(), Failure> {
    let context = branches.context;
    if plan.is_empty() {
        return Ok(());
    }
    let target = url::of(branches, into).await?.target();
    let mut database = migrate::open(&target).await?;
    if branches.lineage.current(&branches.environment).is_some_and(|current| current.id == into.id) {
        plan.snapshot = apply::before(branches, "merge", options.no_snapshot).await?;
    }
    failpoint!("merge:kept");
    let sql = plan.script();
    let written = if sql.is_empty() {
        None
    } else {
        let version = files.next_version(now());
        let file = history::file_name(&version, &format!("merge {}", plan.names[0]));
        let (name, path) =
            (file[version.len() + 1..].trim_end_matches(".sql").to_owned(), files.folder.join(&file));
        migrate::write(context, &path, &sql)?;
        let path = context.shown(&path);
        plan.path = Some(path.clone());
        Some(Migration { version, name, path })
    };
    failpoint!("merge:written");
    let applied = async {
        carry_over(context, &mut database, missing).await?;
        let Some(migration) = &written else { return Ok(()) };
        let lost = |error: crate::postgres::Error| error.failing("the database cannot be migrated");
        database.begin_migrating(&context.events).await.map_err(lost)?;
        database.apply(migration, &sql, &context.events).await
    };
    applied.await.map_err(|failure| apply::offer(failure, plan.snapshot.as_ref(), &[]))?;
    failpoint!("merge:applied");
    Ok(())
}

/// The failure of a merge that somebody has to decide on: each conflict with what both sides made of it.
#[must_use]
pub fn disputed(plan: &Plan) -> Failure {
    const SHOWN: usize = 20;
    let [source, into] = &plan.names;
    let count = plan.conflicts.len() + plan.row_conflicts.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut failure = Failure::new(
        Kind::Conflict,
        format!("merging `{source}` into `{into}` has {count} conflict{plural}"),
    );
    let side = |name: &str, value: Option<&String>| {
        let value = value.map_or("not there", String::as_str);
        value.lines().map(|line| format!("  {name}: {line}")).collect::<Vec<_>>()
    };
    for conflict in plan.conflicts.iter().take(SHOWN) {
        let property = conflict.property.as_ref().map(|it| format!(", its {it}")).unwrap_or_default();
        failure.evidence.push(format!("{}{property}", conflict.id));
        for (name, value) in [("before", &conflict.base), (into, &conflict.ours), (source, &conflict.theirs)]
        {
            failure.evidence.extend(side(name, value.as_ref()));
        }
    }
    for (shape, conflict) in plan.row_conflicts.iter().take(SHOWN) {
        let words = |values: &rows::Values| {
            values
                .iter()
                .map(|it| it.clone().unwrap_or_else(|| "NULL".to_owned()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        failure.evidence.push(format!("row ({}) of {}", words(&conflict.key), shape.table));
        for (name, values) in [("before", &conflict.base), (into, &conflict.ours), (source, &conflict.theirs)]
        {
            failure.evidence.extend(side(name, values.as_ref().map(words).as_ref()));
        }
    }
    if count > SHOWN {
        failure.evidence.push(format!("and more: {count} in all (`--json` has them)"));
    }
    failure
        .hint(format!("make both sides the same, or take one: `--strategy ours` is `{into}`, `--strategy theirs` is `{source}`"))
}
