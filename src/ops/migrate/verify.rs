//! `db migrate verify`: all migrations from empty, and each that can be taken back down and up, on a throw-away branch.

use std::time::Instant;

use serde::Serialize;

use super::trial::{self, Trial};
use super::{Files, read};
use crate::base::{Failure, Kind, Place};
use crate::ops::Context;
use crate::ops::branch::Branches;
use crate::postgres::{Database, Scope};
use crate::schema::{Model, diff};
use crate::supabase::history::rollback_of;

/// What was found of one migration.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// Whether it was taken back and applied again; false where it has no rollback.
    pub taken_back: bool,
    /// How long it took to apply, in seconds.
    pub seconds: f64,
}

/// Tries all migrations.
pub async fn verify(context: &Context) -> Result<Vec<Verified>, Failure> {
    let quiet = trial::muted(context);
    let mut branches = Branches::change(&quiet).await?;
    let files = Files::of(context, &branches.subject)?;
    let trial = Trial::begin(&mut branches, None).await?;
    let came = async {
        let mut database = trial.open().await?;
        let (verified, _) = from_empty(context, &files, &mut database, None, true).await?;
        Ok(verified)
    };
    let came = came.await;
    trial.end(&mut branches, came).await
}

/// Empties a database and applies all migrations, up to `last` where that is given. Gives the schema that it had empty
/// and the one that it has.
pub(super) async fn from_empty(
    context: &Context,
    files: &Files,
    database: &mut Database,
    last: Option<&str>,
    and_back: bool,
) -> Result<(Vec<Verified>, [Model; 2]), Failure> {
    let lost = |error: crate::postgres::Error| error.failing("the migrations cannot be tried");
    database.clear().await.map_err(lost)?;
    let empty = database.schema(Scope::Own).await.map_err(lost)?;
    database.begin_migrating(&context.events).await.map_err(lost)?;
    let mut verified = Vec::new();
    let mut before: Option<Model> = None;
    for migration in files.migrations.iter().filter(|it| last.is_none_or(|last| it.version.as_str() <= last))
    {
        let text = read(context, &migration.path)?;
        let rollback =
            rollback_of(&migration.path).filter(|path| and_back && context.directory.join(path).is_file());
        if rollback.is_some() && before.is_none() {
            before = Some(database.schema(Scope::Own).await.map_err(lost)?);
        }
        let began = Instant::now();
        database.apply(migration, &text, &context.events).await?;
        let seconds = began.elapsed().as_secs_f64();
        if let (Some(path), Some(was)) = (&rollback, &before) {
            let after = database.schema(Scope::Own).await.map_err(lost)?;
            database.revert(&migration.version, path, &read(context, path)?, &context.events).await?;
            let back = database.schema(Scope::Own).await.map_err(lost)?;
            same(&back, was, path, "does not take back all that its migration does")?;
            database.apply(migration, &text, &context.events).await?;
            let again = database.schema(Scope::Own).await.map_err(lost)?;
            same(
                &again,
                &after,
                path,
                "leaves something behind: applied again, its migration comes to something else",
            )?;
            before = Some(after);
        } else {
            before = None;
        }
        let (version, name) = (migration.version.clone(), migration.name.clone());
        verified.push(Verified { version, name, taken_back: rollback.is_some(), seconds });
    }
    let after = database.schema(Scope::Own).await.map_err(lost)?;
    Ok((verified, [empty, after]))
}

fn same(found: &Model, wanted: &Model, path: &std::path::Path, what: &str) -> Result<(), Failure> {
    if found.same_as(wanted) {
        return Ok(());
    }
    let mut failure =
        Failure::new(Kind::Data, format!("rollback `{}` {what}", path.display())).at(Place::file(path));
    failure.evidence.push("what would still have to be done:".to_owned());
    failure.evidence.extend(diff(found, wanted).into_iter().map(|step| format!("  {};", step.sql)));
    Err(failure)
}
