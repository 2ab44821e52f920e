//! `db migrate up`, `down` and `redo`: with a snapshot before, which is offered when something fails.

use super::{Files, open, read, stand, target};
use crate::base::shell::argument;
use crate::base::{Event, Failure, Kind};
use crate::lineage::Snapshot;
use crate::ops::Context;
use crate::ops::branch::{Branches, failpoint, reset, snapshot};
use crate::postgres::Migration;
use crate::supabase::history::{Known, Standing, rollback_of};

/// What is wanted of `up`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// At most so many migrations.
    pub count: Option<usize>,
    /// Up to this one.
    pub to: Option<String>,
    /// Those too that are older than the newest that was applied.
    pub include_all: bool,
    /// Without a snapshot before.
    pub no_snapshot: bool,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// The migrations that were taken back.
    pub reverted: Vec<String>,
    /// The migrations that were applied.
    pub applied: Vec<String>,
    /// The snapshot of what was there before.
    pub snapshot: Option<Snapshot>,
}

/// Applies what is pending.
pub async fn up(context: &Context, options: &Options) -> Result<Done, Failure> {
    let mut branches = Branches::change(context).await?;
    let files = Files::of(context, &branches.subject)?;
    let mut database = open(&target(&branches).await?).await?;
    let known = stand(context, &files, &mut database).await?;
    let todo = pending(&files, &known, options)?;
    let mut done = Done::default();
    if todo.is_empty() {
        return Ok(done);
    }
    // All are understood before anything is done.
    let mut texts = Vec::new();
    for migration in &todo {
        let text = read(context, &migration.path)?;
        crate::postgres::statements(&migration.path, &text)?;
        texts.push(text);
    }
    failpoint!("migrate:up:begun");
    done.snapshot = before(&mut branches, "migrate", options.no_snapshot).await?;
    failpoint!("migrate:up:kept");
    let lost = |error: crate::postgres::Error| error.failing("the database cannot be migrated");
    database.begin_migrating(&context.events).await.map_err(lost)?;
    // Another may have done it meanwhile.
    let known = stand(context, &files, &mut database).await?;
    for (migration, text) in todo.iter().zip(&texts) {
        if known.iter().any(|it| it.version == migration.version && it.standing.is_applied()) {
            continue;
        }
        let applied = database.apply(migration, text, &context.events).await;
        applied.map_err(|failure| offer(failure, done.snapshot.as_ref(), &done.applied))?;
        done.applied.push(migration.version.clone());
        failpoint!("migrate:up:applied");
    }
    Ok(done)
}

/// The migrations that are to be applied.
fn pending<'a>(files: &'a Files, known: &[Known], options: &Options) -> Result<Vec<&'a Migration>, Failure> {
    let last = options.to.as_ref().map(|to| files.named(to)).transpose()?;
    let of = |wanted: Standing| known.iter().filter(move |it| it.standing == wanted);
    let late: Vec<&Known> = of(Standing::OutOfOrder).collect();
    if !late.is_empty() && !options.include_all {
        let message = format!("{} not applied and older than the newest that was", named(&late));
        let mut failure = Failure::new(Kind::Data, message);
        failure.places =
            late.iter().filter_map(|it| Some(crate::base::Place::file(it.path.clone()?))).collect();
        return Err(failure
            .hint("`devenv db migrate up --include-all` applies them now")
            .hint("or give them a new time, if they depend on what is newer"));
    }
    let wanted = |migration: &&Migration| {
        known.iter().any(|it| it.version == migration.version && !it.standing.is_applied())
            && last.is_none_or(|last| migration.version <= last.version)
    };
    Ok(files.migrations.iter().filter(wanted).take(options.count.unwrap_or(usize::MAX)).collect())
}

fn named(migrations: &[&Known]) -> String {
    let names: Vec<String> = migrations.iter().map(|it| format!("`{}_{}`", it.version, it.name)).collect();
    let (which, are) = if names.len() == 1 { ("migration", "is") } else { ("migrations", "are") };
    format!("{which} {} {are}", names.join(", "))
}

/// Takes back the last `count` migrations that were applied.
pub async fn down(
    context: &Context,
    count: usize,
    to: Option<&str>,
    no_snapshot: bool,
) -> Result<Done, Failure> {
    let mut branches = Branches::change(context).await?;
    back(&mut branches, count, to, no_snapshot, false).await
}

/// Takes back the last migration and applies it again.
pub async fn redo(context: &Context, no_snapshot: bool) -> Result<Done, Failure> {
    let mut branches = Branches::change(context).await?;
    back(&mut branches, 1, None, no_snapshot, true).await
}

async fn back(
    branches: &mut Branches<'_>,
    count: usize,
    to: Option<&str>,
    no_snapshot: bool,
    again: bool,
) -> Result<Done, Failure> {
    let context = branches.context;
    reset::may_be_emptied(branches)?;
    let files = Files::of(context, &branches.subject)?;
    let mut database = open(&target(branches).await?).await?;
    let known = stand(context, &files, &mut database).await?;
    let to = to.map(|to| files.named(to)).transpose()?;
    let applied = known.iter().rev().filter(|it| it.standing.is_applied());
    let which: Vec<&Known> = match to {
        Some(to) => applied.take_while(|it| it.version > to.version).collect(),
        None => applied.take(count).collect(),
    };
    let mut texts = Vec::new();
    for migration in &which {
        let Some(path) = migration.path.as_deref().and_then(rollback_of) else {
            return Err(no_rollback(migration));
        };
        if !context.directory.join(&path).is_file() {
            return Err(no_rollback(migration)
                .hint(format!("write what undoes it into `{}`", context.shown(&path).display()))
                .hint("`devenv db snapshot list` shows what else there is to go back to"));
        }
        let text = read(context, &path)?;
        crate::postgres::statements(&path, &text)?;
        texts.push((path, text));
    }
    let mut done = Done::default();
    if which.is_empty() {
        return Ok(done);
    }
    failpoint!("migrate:down:begun");
    done.snapshot = before(branches, "migrate-down", no_snapshot).await?;
    failpoint!("migrate:down:kept");
    let lost = |error: crate::postgres::Error| error.failing("the database cannot be migrated");
    database.begin_migrating(&context.events).await.map_err(lost)?;
    for (migration, (path, text)) in which.iter().zip(&texts) {
        let reverted = database.revert(&migration.version, path, text, &context.events).await;
        reverted.map_err(|failure| offer(failure, done.snapshot.as_ref(), &done.reverted))?;
        done.reverted.push(migration.version.clone());
        failpoint!("migrate:down:reverted");
    }
    if again {
        for migration in which.iter().rev() {
            let file = files.named(&migration.version)?;
            let text = read(context, &file.path)?;
            let applied = database.apply(file, &text, &context.events).await;
            applied.map_err(|failure| offer(failure, done.snapshot.as_ref(), &done.reverted))?;
            done.applied.push(migration.version.clone());
        }
    }
    Ok(done)
}

fn no_rollback(migration: &Known) -> Failure {
    let message =
        format!("migration `{}_{}` has no file that takes it back", migration.version, migration.name);
    Failure::new(Kind::Data, message)
}

/// Keeps what is there now. Where no snapshot is possible, that is said and nothing else.
pub(in crate::ops) async fn before(
    branches: &mut Branches<'_>,
    what: &str,
    no_snapshot: bool,
) -> Result<Option<Snapshot>, Failure> {
    if no_snapshot {
        return Ok(None);
    }
    if branches.lineage.current(&branches.environment).is_none() {
        // The first branch of an environment moves its data, for which its services stop: nobody asked for that.
        branches.note("no snapshot before: this environment has no branches yet (`devenv db branch create`)");
        return Ok(None);
    }
    snapshot::keep(branches, what).await.map(Some)
}

/// Says how to have back what was there before.
pub(in crate::ops) fn offer(mut failure: Failure, kept: Option<&Snapshot>, done: &[String]) -> Failure {
    if let Some(kept) = kept {
        let back = format!(
            "`devenv db snapshot restore {}` brings back all that was there before",
            argument(&kept.name)
        );
        failure = failure.hint(match done {
            [] => back,
            done => format!("{back}, also before {}", done.join(", ")),
        });
    }
    failure
}

/// Tells what was done in one line.
pub fn tell(context: &Context, done: &Done) {
    let [applied, reverted] = [&done.applied, &done.reverted].map(|all| match all.len() {
        1 => format!("migration {}", all[0]),
        many => format!("{many} migrations"),
    });
    let text = match (done.applied.is_empty(), done.reverted.is_empty()) {
        (true, true) => "nothing to do".to_owned(),
        (false, true) => format!("applied {applied}"),
        (true, false) => format!("took back {reverted}"),
        (false, false) => format!("took back and applied again {applied}"),
    };
    let kept =
        done.snapshot.as_ref().map(|kept| format!("; what was there before is snapshot `{}`", kept.name));
    context.events.tell(Event::note(format!("{text}{}", kept.unwrap_or_default())));
}
