//! `db migrate diff` and `squash`: migrations that devenv writes, each proved before it is kept.

use std::path::{Path, PathBuf};

use super::trial::{self, Trial};
use super::verify::from_empty;
use super::{Files, open, read, stand, target, write};
use crate::base::{Failure, Kind};
use crate::ops::branch::{Branches, failpoint, now};
use crate::ops::{Context, failures};
use crate::postgres::{self, Database, Scope};
use crate::schema::{Model, Step, diff, script};
use crate::supabase::history;

/// What the database has beyond its migrations.
#[derive(Debug)]
pub struct Drift {
    /// The steps from what the migrations make to what there is.
    pub steps: Vec<Step>,
    /// What can be seen to be there and not be compared.
    pub beyond: Vec<String>,
    /// The file that holds them now, if a name was given.
    pub path: Option<PathBuf>,
}

/// Compares the database with what its migrations make of an empty one; under a name, the difference becomes one.
pub async fn drift(context: &Context, name: Option<&str>, scope: Scope) -> Result<Drift, Failure> {
    let quiet = trial::muted(context);
    let mut branches = Branches::change(&quiet).await?;
    let files = Files::of(context, &branches.subject)?;
    let here = open(&target(&branches).await?).await?.schema(scope).await.map_err(failures::unread)?;
    let trial = Trial::begin(&mut branches, None).await?;
    let came = async {
        let mut database = trial.open().await?;
        from_empty(context, &files, &mut database, None, false).await?;
        let made = database.schema(scope).await.map_err(failures::unread)?;
        let steps = diff(&made, &here);
        prove(&mut database, &steps, &here, scope).await?;
        Ok(steps)
    };
    let came = came.await;
    let steps = trial.end(&mut branches, came).await?;
    let path = match name {
        Some(name) if !steps.is_empty() => {
            let path = files.folder.join(history::file_name(&files.next_version(now()), name));
            write(context, &path, &script(&steps))?;
            Some(context.shown(&path))
        }
        _ => None,
    };
    Ok(Drift { steps, beyond: here.beyond, path })
}

/// Carries steps out and wants the schema that they are meant to come to.
pub(in crate::ops) async fn prove(
    database: &mut Database,
    steps: &[Step],
    wanted: &Model,
    scope: Scope,
) -> Result<(), Failure> {
    let lost = |error: postgres::Error| error.failing("the plan cannot be tried");
    if steps.is_empty() {
        return Ok(());
    }
    database.run_script(Path::new("plan.sql"), &script(steps)).await.map_err(|failure| {
        failure.hint(
            "this is devenv's own plan: what it cannot do, a migration by hand can (`devenv db migrate new`)",
        )
    })?;
    let found = database.schema(scope).await.map_err(lost)?;
    if found.same_as(wanted) {
        return Ok(());
    }
    let mut failure = Failure::new(Kind::Data, "devenv's plan does not come to the schema that it is for");
    failure.evidence.extend(diff(&found, wanted).into_iter().map(|step| format!("missing: {};", step.sql)));
    failure.evidence.extend(missing(&found, wanted));
    Err(failure.hint("nothing was changed; write that part by hand with `devenv db migrate new`"))
}

/// What differs where no step would say so.
fn missing(found: &Model, wanted: &Model) -> Vec<String> {
    let objects = wanted.objects.values();
    let differing =
        objects.filter(|it| found.get(&it.id).is_none_or(|other| other.properties != it.properties));
    differing.take(8).map(|it| format!("different: {}", it.id)).collect()
}

/// What came of a squash.
#[derive(Debug)]
pub struct Squashed {
    /// The file that stands for all up to it.
    pub path: PathBuf,
    /// The versions that are part of it now.
    pub versions: Vec<String>,
    /// The folder with the files as they were.
    pub kept: Option<PathBuf>,
}

/// Makes one migration of all up to `to`, or of all. Rows that they wrote are not part of it.
pub async fn squash(context: &Context, to: Option<&str>) -> Result<Squashed, Failure> {
    let quiet = trial::muted(context);
    let mut branches = Branches::change(&quiet).await?;
    let files = Files::of(context, &branches.subject)?;
    let last = match to {
        Some(to) => files.named(to)?,
        None => files.migrations.last().ok_or_else(|| {
            Failure::new(Kind::Usage, "there are no migrations")
                .hint("`devenv db migrate new NAME` makes the first")
        })?,
    };
    let old: Vec<&postgres::Migration> =
        files.migrations.iter().filter(|it| it.version <= last.version).collect();
    let mut kept = None;
    if old.len() > 1 {
        let trial = Trial::begin(&mut branches, None).await?;
        let came = async {
            let mut database = trial.open().await?;
            let (_, [empty, after]) =
                from_empty(context, &files, &mut database, Some(&last.version), false).await?;
            let steps = diff(&empty, &after);
            let lost = |error: postgres::Error| error.failing("the plan cannot be tried");
            database.clear().await.map_err(lost)?;
            prove(&mut database, &steps, &after, Scope::Own).await?;
            Ok(script(&steps))
        };
        let came = came.await;
        let sql = trial.end(&mut branches, came).await?;
        failpoint!("migrate:squash:proved");
        kept = Some(context.shown(&replace(context, &files, &last.version, &sql)?));
        failpoint!("migrate:squash:replaced");
    }
    // The database that ran them knows them by their versions.
    let mut database = open(&target(&branches).await?).await?;
    let known = stand(context, &Files::of(context, &branches.subject)?, &mut database).await?;
    let gone: Vec<String> = known
        .iter()
        .filter(|it| it.path.is_none() && it.version < last.version)
        .map(|it| it.version.clone())
        .collect();
    let applied = known.iter().any(|it| it.version == last.version && it.standing.is_applied());
    if applied {
        let lost = |error: postgres::Error| error.failing("the history cannot be changed");
        let statements = postgres::statements(&last.path, &read(context, &last.path)?)?;
        database.begin_migrating(&context.events).await.map_err(lost)?;
        let row = (last.version.clone(), last.name.clone(), statements);
        database.rewrite_history(&[row], &gone).await.map_err(lost)?;
    }
    let versions = old.iter().map(|it| it.version.clone()).collect();
    Ok(Squashed { path: last.path.clone(), versions, kept })
}

/// Puts a folder in the place of the migrations' that has one file for all up to `last`. They change places in one
/// act; the old one stays beside.
fn replace(context: &Context, files: &Files, last: &str, sql: &str) -> Result<PathBuf, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Kind::Failed, "the migrations cannot be replaced").source(error);
    let beside = files.folder.with_file_name(format!("squashed-{last}"));
    if beside.exists() {
        return Err(Failure::new(
            Kind::Conflict,
            format!("`{}` is there already", context.shown(&beside).display()),
        )
        .hint("it holds what an earlier squash replaced: move it away"));
    }
    let temporary = files.folder.with_file_name(format!(".squashing-{last}"));
    let _ = std::fs::remove_dir_all(&temporary);
    std::fs::create_dir_all(&temporary).map_err(failed)?;
    for entry in std::fs::read_dir(&files.folder).map_err(failed)?.flatten() {
        let name = entry.file_name();
        let version = crate::supabase::migrations::parse(&name.to_string_lossy())
            .map(|(version, _)| version.to_owned());
        let to = temporary.join(&name);
        match version {
            Some(version) if version == last => write(context, &to, sql)?,
            Some(version) if version.as_str() < last => {}
            _ if entry.path().is_file() => drop(std::fs::copy(entry.path(), &to).map_err(failed)?),
            _ => {}
        }
    }
    let swap = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(rustix::fs::CWD, &temporary, rustix::fs::CWD, &files.folder, swap)
        .map_err(|error| failed(error.into()))?;
    std::fs::rename(&temporary, &beside).map_err(failed)?;
    Ok(beside)
}
