//! The database reloads too: a saved migration is tried on a throw-away branch, and applied to the current one when it
//! went well there, as `db migrate up` does it, with a snapshot before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use super::complain;
use crate::base::{Event, Events, Failure, Kind, Place};
use crate::ops::Context;
use crate::ops::branch::Branches;
use crate::ops::migrate::apply::{Options, up};
use crate::ops::migrate::trial::Trial;
use crate::ops::migrate::{Files, open, read, stand, target};
use crate::postgres::Migration;
use crate::supabase::history::Standing;

/// What is told of it.
const SUBJECT: &str = "database";

/// Applies what is saved, until nobody tells of it any more. Paths are relative to the folder of the migrations.
pub(super) async fn run(
    context: &Context,
    folder: PathBuf,
    mut heard: UnboundedReceiver<(Instant, Vec<String>)>,
) {
    while let Some((began, paths)) = heard.recv().await {
        let mut saved: BTreeSet<PathBuf> = paths.iter().map(|path| folder.join(path)).collect();
        while let Ok((_, paths)) = heard.try_recv() {
            saved.extend(paths.iter().map(|path| folder.join(path)));
        }
        match apply(context, &saved).await {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                let subject = SUBJECT.to_owned();
                context.events.tell(Event::Done { subject, outcome, took: began.elapsed() });
            }
            Err(failure) => complain(context, SUBJECT, &failure),
        }
    }
}

/// Tries and applies what is pending; says what was done, if anything was.
async fn apply(context: &Context, saved: &BTreeSet<PathBuf>) -> Result<Option<String>, Failure> {
    let loud = context.events.clone();
    let events = Events::to(move |event| {
        if matches!(event, Event::Warning { .. }) {
            loud.tell(event);
        }
    });
    let quiet = Context { events, ..context.clone() };
    let mut branches = Branches::change(&quiet).await?;
    let files = Files::of(&quiet, &branches.subject)?;
    let mut database = open(&target(&branches).await?).await?;
    let known = stand(&quiet, &files, &mut database).await?;
    let is_saved = |path: &PathBuf| saved.contains(&context.directory.join(path));
    let edited = known.iter().filter(|it| it.standing == Standing::Edited);
    if let Some((it, path)) =
        edited.filter_map(|it| Some((it, it.path.clone()?))).find(|(_, path)| is_saved(path))
    {
        let what = format!("migration `{}_{}` was applied as it was before", it.version, it.name);
        return Err(Failure::new(Kind::Data, what)
            .at(Place::file(path))
            .hint("go back to a snapshot from before it (`devenv db snapshot list`), and save it again; or write a new one"));
    }
    let of = |wanted: Standing| known.iter().any(|it| it.standing == wanted);
    if !of(Standing::Pending) && !of(Standing::OutOfOrder) {
        return Ok(None);
    }
    let todo: Vec<&Migration> = files
        .migrations
        .iter()
        .filter(|file| known.iter().any(|it| it.version == file.version && it.standing == Standing::Pending))
        .collect();
    let mut texts = Vec::new();
    for migration in &todo {
        let text = read(&quiet, &migration.path)?;
        crate::postgres::statements(&migration.path, &text)?;
        texts.push(text);
    }
    // The first branch of an environment moves its data, for which its services stop: nobody asked for that.
    let tries = branches.lineage.current(&branches.environment).is_some() && !todo.is_empty();
    if tries {
        let trial = Trial::begin(&mut branches, None).await?;
        let came = async {
            let mut database = trial.open().await?;
            let lost = |error: crate::postgres::Error| error.failing("the migrations cannot be tried");
            database.begin_migrating(&quiet.events).await.map_err(lost)?;
            for (migration, text) in todo.iter().zip(&texts) {
                database.apply(migration, text, &quiet.events).await?;
            }
            Ok(())
        };
        let came = came.await;
        trial.end(&mut branches, came).await?;
    }
    drop((branches, database));
    let done = up(&quiet, &Options::default()).await?;
    if done.applied.is_empty() {
        return Ok(None);
    }
    let which = match done.applied.as_slice() {
        [one] => format!("migration {one} applied"),
        many => format!("{} migrations applied", many.len()),
    };
    let how = if tries { ", after a trial on a throw-away branch" } else { "" };
    let kept = done.snapshot.map(|kept| format!("; what was there before is snapshot `{}`", kept.name));
    Ok(Some(format!("{which}{how}{}", kept.unwrap_or_default())))
}
