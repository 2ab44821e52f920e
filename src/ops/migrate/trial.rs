//! Throw-away branches: a copy of a branch, or of a snapshot, whose database runs beside and on which anything may go
//! wrong. It ends with the command. One that was killed leaves its own, which the next trial takes away, or the sweep
//! of any command an hour later.

use std::collections::BTreeSet;

use serde_json::json;

use super::open;
use crate::base::{Event, Events, Failure, Kind};
use crate::lineage::{Branch, Changes, Reason, Seconds};
use crate::ops::Context;
use crate::ops::branch::{Branches, adopt, beside, create, failpoint, new_id};
use crate::postgres::{Database, Target};

/// What their names begin with.
const NAME: &str = "devenv-trial-";
/// How long one is there whose command was killed, in seconds.
const LIFE: Seconds = 3600;

/// The context of a command that uses throw-away branches: what is told of their containers and volumes is nobody's
/// concern, but for how long one took to make.
#[must_use]
pub fn muted(context: &Context) -> Context {
    let loud = context.events.clone();
    let told = |subject: &String| (!subject.contains(NAME)).then(|| subject.clone());
    let renamed = move |subject: &String| {
        if subject.starts_with(&format!("branch {NAME}")) {
            Some("throw-away branch".to_owned())
        } else {
            told(subject)
        }
    };
    let events = Events::to(move |event| {
        let event = match event {
            Event::Started { subject, doing } => {
                renamed(&subject).map(|subject| Event::Started { subject, doing })
            }
            Event::Progress { subject, detail, done, total } => {
                told(&subject).map(|subject| Event::Progress { subject, detail, done, total })
            }
            Event::Done { subject, outcome, took } => {
                renamed(&subject).map(|subject| Event::Done { subject, outcome, took })
            }
            Event::Note { message } => told(&message).map(|message| Event::Note { message }),
            // Its own database is told to be healthy, as any is.
            other => Some(other),
        };
        if let Some(event) = event {
            loud.tell(event);
        }
    });
    Context { events, ..context.clone() }
}

/// A throw-away branch whose database runs.
pub struct Trial {
    branch: Branch,
    /// Where it answers.
    pub target: Target,
}

impl Trial {
    /// Copies the current branch, or `from` (a branch or snapshot), and starts its database.
    pub async fn begin(branches: &mut Branches<'_>, from: Option<&str>) -> Result<Self, Failure> {
        adopt::adopt(branches, None).await?;
        let own = format!("{NAME}{:x}-", std::process::id());
        let left = |branch: &&Branch| branch.name.starts_with(NAME) && !branch.name.starts_with(&own);
        let left: Vec<Branch> = branches.lineage.ready().filter(left).cloned().collect();
        // Whoever made them had the lock that is held now.
        for branch in left {
            take_away(branches, &branch).await?;
        }
        let options = create::Options {
            name: format!("{own}{}", &new_id()?[..6]),
            from: from.map(str::to_owned),
            ttl: Some(LIFE),
            fast: true,
            ..create::Options::default()
        };
        let (branch, _) = create::make(branches, &options).await?;
        failpoint!("trial:made");
        let started = beside::start(branches, &branch, None).await;
        let target = match started {
            Ok(beside) => beside.database.map(|address| address.target()).ok_or_else(|| {
                Failure::new(Kind::Failed, "this project has no PostgreSQL server that devenv knows")
            }),
            Err(failure) => Err(failure),
        };
        failpoint!("trial:started");
        match target {
            Ok(target) => Ok(Self { branch, target }),
            Err(failure) => {
                let _ = take_away(branches, &branch).await;
                Err(failure)
            }
        }
    }

    /// Connects to its database.
    pub async fn open(&self) -> Result<Database, Failure> {
        open(&self.target).await
    }

    /// Takes it away for good, whatever came of it; the failure of the trial comes before that of the end.
    pub async fn end<T>(self, branches: &mut Branches<'_>, came: Result<T, Failure>) -> Result<T, Failure> {
        failpoint!("trial:ending");
        match (came, take_away(branches, &self.branch).await) {
            (Err(mut failure), ended) => {
                failure.others.extend(ended.err());
                Err(failure)
            }
            (Ok(came), ended) => ended.map(|()| came),
        }
    }
}

async fn take_away(branches: &mut Branches<'_>, branch: &Branch) -> Result<(), Failure> {
    let here = branches.environment.clone();
    let standing: Vec<String> =
        branches.lineage.standing_on(&branch.id).into_iter().map(str::to_owned).collect();
    for environment in standing.iter().filter(|name| **name != here) {
        let _lock = branches.context.lock(environment).await?;
        beside::end(branches, environment).await?;
    }
    let own = |id: &&String| branches.lineage.snapshots.get(*id).is_some_and(|it| it.reason == Reason::Fork);
    let others: BTreeSet<&String> = branches
        .lineage
        .branches
        .values()
        .filter(|it| it.id != branch.id)
        .filter_map(|it| it.fork.as_ref())
        .collect();
    let fork: Option<String> = branch.fork.as_ref().filter(own).filter(|id| !others.contains(id)).cloned();
    let intent = branches.begin("sweep", json!({})).await?;
    let pool = branches.pool().await?;
    for data in fork.iter().chain([&branch.data]) {
        pool.remove(data).await?;
    }
    failpoint!("trial:removed");
    let changes = Changes {
        remove_branches: vec![branch.id.clone()],
        remove_snapshots: fork.into_iter().collect(),
        ..Changes::default()
    };
    branches.finish(intent, &changes).await
}
