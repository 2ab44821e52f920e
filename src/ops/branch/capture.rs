//! Freezing all data of an environment at one instant.
//!
//! A copy of a running server's files is only good when nothing writes to them meanwhile: with `fsync=off` six of ten
//! were not. So every container that has data of the branch mounted is paused around the copy, all of them at once,
//! and the database is asked for a checkpoint before, which leaves less to write out and to recover.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Branches, failpoint, url};
use crate::base::{Event, Failure};
use crate::catalogue::IntentId;
use crate::engine::error::Error;
use crate::lineage::Branch;
use crate::ops::failures;
use crate::plan::labels;
use crate::plan::observed::{Container, State};
use crate::storage::protocol::{Ask, Driver};

/// How long a checkpoint is waited for: it only makes the copy cheaper.
const CHECKPOINT: Duration = Duration::from_secs(10);

/// How long is waited after each time that a container could not be paused.
const FREEZES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
];

/// What is copied, and to where.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The data that is copied.
    pub from: String,
    /// The copy's name in the pool.
    pub to: String,
    /// Whether nobody can write the copy.
    pub frozen: bool,
    /// Below the floor too.
    pub force: bool,
    /// What the copy is.
    pub manifest: Value,
}

impl Branches<'_> {
    /// The containers that work on data of a branch, in whatever environment.
    pub async fn workers(&self, branch: &str) -> Result<Vec<Container>, Failure> {
        let mut workers = Vec::new();
        for environment in self.lineage.standing_on(branch) {
            workers.extend(self.workers_of(environment).await?);
        }
        Ok(workers)
    }

    /// The containers of an environment that have its data mounted.
    pub async fn workers_of(&self, environment: &str) -> Result<Vec<Container>, Failure> {
        let label = format!("{}={environment}", labels::PROJECT);
        let (containers, volumes) =
            tokio::join!(self.engine.containers(environment), self.engine.volumes_with(&label));
        let keys = |volume: &String| {
            environment != self.environment || self.data.volumes.values().any(|name| name == volume)
        };
        let volumes: BTreeSet<String> = volumes.map_err(failures::engine)?.into_iter().filter(keys).collect();
        let works = |container: &Container| {
            container.mounts.iter().any(|mount| mount.kind == "volume" && volumes.contains(&mount.name))
        };
        Ok(containers.map_err(failures::engine)?.into_iter().filter(works).collect())
    }

    /// Copies data of a branch while nothing writes to it, and then, perhaps, what needs no standing still: the copy
    /// once more. The intent learns who is paused, so that they are let go on even if this command is killed.
    pub async fn capture(
        &self,
        intent: IntentId,
        detail: &Value,
        branch: &str,
        what: Capture,
        next: Option<Capture>,
    ) -> Result<(), Failure> {
        let workers = self.workers(branch).await?;
        let running: Vec<&Container> =
            workers.iter().filter(|container| container.state == State::Running).collect();
        let pool = self.pool().await?;
        let then = async |then: Option<Capture>| match then {
            Some(then) => self.copy(then).await,
            None => Ok(()),
        };
        if running.is_empty() {
            self.copy(what).await?;
            return then(next).await;
        }
        if pool.driver == Driver::Copy {
            self.context.events.tell(Event::note(
                "the services that write to the data are paused while it is copied: this pool copies byte by byte",
            ));
        }
        let mut detail = detail.clone();
        detail["paused"] = json!(running.iter().map(|container| &container.id).collect::<Vec<_>>());
        let manifests = [Some(&what), next.as_ref()];
        let manifests =
            manifests.into_iter().flatten().map(|it| (it.to.clone(), it.manifest.clone())).collect();
        let ((), announced, advanced) = tokio::join!(
            url::checkpoint(self, &running, CHECKPOINT),
            pool.ask(Ask::Announce { manifests }),
            self.advance(intent, "pausing", &detail),
        );
        announced?;
        advanced?;
        failpoint!("branch:capture:checkpointed");
        let _hold = self.context.stop.hold().await;
        let mut guard = Guard { branches: self, ids: Vec::new() };
        let paused = join_all(running.iter().map(|container| self.pause(&container.id))).await;
        for (container, paused) in running.iter().zip(paused) {
            match paused {
                Ok(()) => guard.ids.push(container.id.clone()),
                Err(error) => {
                    guard.release().await?;
                    return Err(failures::step("paused", &container.name, error));
                }
            }
        }
        let copied = async {
            failpoint!("branch:capture:paused");
            let copied = self.context.stop.unless(self.copy(what)).await;
            failpoint!("branch:capture:copied");
            copied
        };
        let copied = copied.await;
        let (released, copied) = tokio::join!(guard.release(), async {
            copied?;
            then(next).await
        });
        released?;
        copied
    }

    /// Pauses a container. A busy kernel may not come to freeze it at once ("unable to freeze"), and lets it go on then.
    async fn pause(&self, id: &str) -> Result<(), Error> {
        for wait in FREEZES {
            match self.engine.pause(id).await {
                Err(error) if error.to_string().contains("unable to freeze") => {
                    tokio::time::sleep(wait).await;
                }
                other => return other,
            }
        }
        self.engine.pause(id).await
    }

    /// Copies data that nothing writes to.
    pub async fn copy(&self, what: Capture) -> Result<(), Failure> {
        let ask = Ask::Capture {
            from: what.from,
            id: what.to,
            frozen: what.frozen,
            force: what.force,
            manifest: what.manifest,
        };
        self.pool().await?.ask_telling(self.context, "data", ask).await.map(|_| ())
    }

    /// Keeps a copy from doing what only the original should: jobs that run by the clock, and subscriptions that
    /// would take the original's place at a publisher. With `fast`, it also stops waiting for the disk.
    pub async fn settle(&self, branch: &Branch) -> Result<(), Failure> {
        let mut settings = BTreeMap::from([
            ("cron.launch_active_jobs".to_owned(), "off".to_owned()),
            ("max_logical_replication_workers".to_owned(), "0".to_owned()),
        ]);
        if branch.fast {
            // PostgreSQL documentation, 14.5 "Non-Durable Settings".
            for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
                settings.insert(setting.to_owned(), "off".to_owned());
            }
        }
        let ask = Ask::Settle { id: branch.data.clone(), settings };
        self.pool().await?.ask(ask).await.map(|_| ())
    }

    /// Lets containers go on that are paused; those that are gone, run, or ended while they were paused, as one that
    /// ran out of memory does, are as wanted.
    pub async fn unpause(&self, ids: &[String]) -> Result<(), Failure> {
        let unpaused = join_all(ids.iter().map(|id| self.engine.unpause(id))).await;
        for error in unpaused.into_iter().filter_map(Result::err) {
            let text = error.to_string();
            let ended =
                ["is not paused", "cannot resume a stopped container"].iter().any(|it| text.contains(it));
            if !(ended || error.is_not_found() || error.is_conflict()) {
                return Err(failures::engine(error));
            }
        }
        Ok(())
    }
}

/// Containers that are paused. One that is dropped, because a second signal ended the work, says so to nobody: what is
/// left paused is in the intent.
struct Guard<'a, 'b> {
    branches: &'a Branches<'b>,
    ids: Vec<String>,
}

impl Guard<'_, '_> {
    async fn release(&mut self) -> Result<(), Failure> {
        let ids = std::mem::take(&mut self.ids);
        self.branches.unpause(&ids).await
    }
}
