//! `gc`: takes away what is over. What is deleted can be had back for seven days; what is swept is gone.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Branches, beside, failpoint, now};
use crate::base::{Event, Failure};
use crate::catalogue::Clock;
use crate::lineage::{Act, Audit, Reason, Seconds, Sort, Sweep, Tick};
use crate::ops::{Context, failures};

/// What is wanted of a sweep.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How long what was deleted is kept, instead of seven days.
    pub older: Option<Seconds>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// Takes away what is over in this project.
pub async fn sweep(context: &Context, options: Options) -> Result<Sweep, Failure> {
    if options.dry_run {
        let branches = Branches::look(context).await?;
        let mut tick = Tick::new(branches.by(), None);
        tick.kept = options.older.unwrap_or(tick.kept);
        tick.limit = usize::MAX;
        return Ok(branches.lineage.sweep(&tick));
    }
    let mut branches = Branches::change(context).await?;
    let seen = branches.catalogue.see_clock(Clock::Branches, now()).await.map_err(failures::catalogue)?;
    let mut tick = Tick::new(branches.by(), seen);
    tick.kept = options.older.unwrap_or(tick.kept);
    // Somebody asked: all that is due goes.
    tick.limit = usize::MAX;
    run(&mut branches, &tick).await
}

/// The same, for a command that is about something else: its own result counts, not this.
pub(super) async fn quietly(branches: &mut Branches<'_>) {
    let seen = match branches.catalogue.see_clock(Clock::Branches, now()).await {
        Ok(seen) => seen,
        Err(error) => return tracing::debug!(%error, "no sweep"),
    };
    let tick = Tick::new(branches.by(), seen);
    let before = branches.lineage.snapshots.clone();
    match run(branches, &tick).await {
        Err(failure) => {
            let text = format!("what is over was not taken away: {failure}");
            branches.context.events.tell(Event::warning(text));
        }
        Ok(sweep) => {
            // Where a branch began is nothing that anybody made.
            let began_there =
                |audit: &&Audit| before.get(&audit.id).is_some_and(|it| it.reason == Reason::Fork);
            for audit in sweep.changes.audit.iter().filter(|audit| !began_there(audit)) {
                let done = if audit.act == Act::Remove { "taken away for good" } else { "deleted" };
                branches.note(format!("{} `{}` was {done}: {}", audit.sort.word(), audit.name, audit.why));
            }
        }
    }
}

async fn run(branches: &mut Branches<'_>, tick: &Tick<'_>) -> Result<Sweep, Failure> {
    // A branch whose time is over and that only runs beside does not keep itself alive.
    let mut lineage = branches.lineage.clone();
    let over: Vec<String> = lineage
        .ready()
        .filter(|branch| branch.expires.is_some_and(|at| at <= tick.by.now) && !branch.protected)
        .flat_map(|branch| lineage.standing_on(&branch.id).into_iter().map(str::to_owned))
        .filter(|environment| *environment != branches.environment)
        .collect();
    // One where a command is at work is in use.
    let mut locks = BTreeMap::new();
    for environment in over {
        if let Some(lock) = branches.context.lock_now(&environment)? {
            locks.insert(environment, lock);
        }
    }
    lineage.environments.retain(|name, _| !locks.contains_key(name));
    let sweep = lineage.sweep(tick);
    if sweep.changes.is_empty() {
        return Ok(sweep);
    }
    let deleted: Vec<&str> = sweep
        .changes
        .audit
        .iter()
        .filter(|audit| audit.act == Act::Delete && audit.sort == Sort::Branch)
        .map(|audit| audit.id.as_str())
        .collect();
    for environment in locks.keys() {
        let on = branches.lineage.environment(environment).and_then(|it| it.branch.clone());
        if on.is_some_and(|on| deleted.contains(&on.as_str())) {
            beside::end(branches, environment).await?;
        }
    }
    let intent = branches.begin("sweep", json!({})).await?;
    failpoint!("sweep:begun");
    // Data first: a record without data is what the next sweep takes away, data without a record is lost to it.
    let pool = branches.pool().await?;
    for data in &sweep.data {
        pool.remove(data).await?;
        failpoint!("sweep:removed");
    }
    let (of, and) = (&sweep.changes.put_branches, &sweep.changes.put_snapshots);
    let describing = branches.begin_describing(of, and).await?;
    branches.finish(intent, &sweep.changes).await?;
    branches.describe(of, and).await?;
    branches.abandon(describing).await?;
    Ok(sweep)
}
