//! What a command that was killed left open: finished where it is visible already, taken back where it is not.

use serde_json::Value;

use super::switch::STOPPING;
use super::{Branches, adopt, failpoint};
use crate::base::{Failure, Kind};
use crate::catalogue::{IntentId, OpenIntent};
use crate::engine::Engine;
use crate::lineage::{Changes, Intent};
use crate::ops::environment::end;
use crate::ops::{Context, Subject, failures};
use crate::plan::data::data;
use crate::plan::turn::Turn;
use crate::storage::protocol::{Ask, Outcome};

/// The same before it is known whether branches matter to a command, as `up`: it sees the engine's objects only as they
/// are afterwards. Gives the branches, if there may be any.
pub async fn first<'a>(
    context: &'a Context,
    engine: &Engine,
    subject: &Subject,
) -> Result<Option<Branches<'a>>, Failure> {
    if !context.has_catalogue() || data(&subject.project).volumes.is_empty() {
        return Ok(None);
    }
    let mut branches = Branches::of(context, subject.clone(), engine.clone()).await?;
    recover(&mut branches).await?;
    Ok(Some(branches))
}

/// Says what is open that nobody works on: who only looks does not put it right.
pub async fn remark(branches: &Branches<'_>) -> Result<(), Failure> {
    let open =
        branches.catalogue.open_intents(Some(&branches.project.id)).await.map_err(failures::catalogue)?;
    let here = |intent: &Intent| intent.environment.as_deref().is_none_or(|it| it == branches.environment);
    let mut left = open.into_iter().map(|open| open.intent).filter(|it| it.verb != "describe" && here(it));
    if let Some(intent) = left.next()
        && branches.context.lock_now(&branches.environment)?.is_some()
    {
        branches.note(format!(
            "`{}` was cut off: the next command that changes something puts that right, `devenv up` for example",
            intent.verb
        ));
    }
    Ok(())
}

/// Brings the project to where a command may begin. The caller holds the project's lock, so whoever began an intent
/// of this environment is gone.
pub async fn recover(branches: &mut Branches<'_>) -> Result<(), Failure> {
    let project = branches.project.id.clone();
    let open = branches.catalogue.open_intents(Some(&project)).await.map_err(failures::catalogue)?;
    for OpenIntent { id, intent } in open {
        if intent.environment.as_deref().is_some_and(|environment| environment != branches.environment) {
            // Another environment's lock is held by whoever began that, or by whoever comes next there.
            continue;
        }
        // What is only to be described in the pool is done, as far as anybody sees.
        if intent.verb != "describe" {
            branches.note(format!("`{}` was cut off: putting that right first", intent.verb));
        }
        one(branches, id, &intent).await?;
    }
    Ok(())
}

async fn one(branches: &mut Branches<'_>, id: IntentId, intent: &Intent) -> Result<(), Failure> {
    let texts = |field: &str| -> Vec<String> {
        let list = intent.detail[field].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    branches.unpause(&texts("paused")).await?;
    let text = |field: &str| intent.detail[field].as_str().map(str::to_owned);
    match intent.verb.as_str() {
        // Nothing of these is visible before the intent is gone.
        "branch create" | "snapshot save" => {
            let data: Vec<String> =
                [text("branch"), text("fork"), text("snapshot")].into_iter().flatten().collect();
            branches.take_back(id, &data).await
        }
        // Nor is anything of a copy, whose server runs in an environment that no record names.
        "db copy" => {
            if let Some(environment) = text("copying") {
                super::copy::forget(branches, &environment).await?;
            }
            let data: Vec<String> = [text("branch"), text("snapshot")].into_iter().flatten().collect();
            branches.take_back(id, &data).await
        }
        "branch switch" | "branch reset" | "snapshot restore" => {
            let wanted = wanted_data(branches, intent);
            let live = live(branches).await?;
            let arrived = wanted.is_some() && live == wanted;
            failpoint!("recover:switch:looked");
            // Some may still work on the data before.
            if arrived && intent.step == STOPPING {
                let workers = branches.workers_of(&branches.environment).await?;
                branches.turn(&workers, &texts("services"), &Turn::Stop).await?;
            }
            // Before the intent is gone, which knows them. One that does not start is not in the way of turning back.
            if let Err(failure) = branches.turn(&[], &texts("services"), &Turn::Start).await {
                branches.context.events.warn(&failure);
            }
            failpoint!("recover:switch:started");
            if arrived {
                let changes: Changes = read_changes(&intent.detail);
                let changes = if changes.is_empty() { switch_changes(branches, intent) } else { changes };
                branches.finish(id, &changes).await
            } else if let Some(made) = text("data") {
                let made = [Some(made), text("fork")].into_iter().flatten().collect::<Vec<_>>();
                branches.take_back(id, &made).await
            } else {
                branches.abandon(id).await
            }
        }
        "branch beside" => {
            if let Some(name) = text("environment") {
                let stands = branches.lineage.current(&name).map(|branch| branch.data.clone());
                let environment = name.clone();
                let ask = match stands {
                    Some(id) => Ask::Point { environment, id },
                    None => Ask::Unpoint { environment },
                };
                // Without a pool, nothing led anywhere.
                if let Some(pool) = branches.existing_pool().await? {
                    pool.ask(ask).await?;
                }
            }
            branches.abandon(id).await
        }
        "describe" => {
            let lineage = &branches.lineage;
            let of = texts("branches")
                .iter()
                .filter_map(|id| lineage.branches.get(id))
                .cloned()
                .collect::<Vec<_>>();
            let and = texts("snapshots")
                .iter()
                .filter_map(|id| lineage.snapshots.get(id))
                .cloned()
                .collect::<Vec<_>>();
            // What has no data has nothing to describe.
            if let Err(failure) = branches.describe(&of, &and).await {
                branches.context.events.warn(&failure);
            }
            branches.abandon(id).await
        }
        "adopt" => {
            let visible = branches.lineage.current(&branches.environment).is_some();
            if visible {
                adopt::rebind(branches, &intent.detail).await?;
                return branches.finish(id, &Changes::default()).await;
            }
            if let Some(data) = text("data") {
                let pool = branches.pool().await?;
                pool.ask(Ask::Unpoint { environment: branches.environment.clone() }).await?;
                branches.take_back(id, &[data]).await?;
            }
            branches.turn(&[], &texts("services"), &Turn::Start).await
        }
        "env destroy" => Box::pin(end::finish(branches, id)).await,
        "sweep" | "branch delete" => branches.abandon(id).await,
        other => Err(Failure::new(
            Kind::Conflict,
            format!("a command that this devenv does not know was cut off: `{other}` ({})", intent.command),
        )
        .hint("finish it with the devenv that began it")),
    }
}

/// The data that the link leads to once the intent is done.
fn wanted_data(branches: &Branches<'_>, intent: &Intent) -> Option<String> {
    if let Some(data) = intent.detail["data"].as_str() {
        return Some(data.to_owned());
    }
    let to = intent.detail["to"].as_str()?;
    branches.lineage.branches.get(to).map(|branch| branch.data.clone())
}

async fn live(branches: &Branches<'_>) -> Result<Option<String>, Failure> {
    let Outcome::Live(live) = branches.pool().await?.ask(Ask::Live).await? else { return Ok(None) };
    Ok(live.get(&branches.environment).cloned())
}

/// What a switch writes down.
fn switch_changes(branches: &Branches<'_>, intent: &Intent) -> Changes {
    let to = intent.detail["to"].as_str().unwrap_or_default();
    let environment = branches.standing(&branches.environment, to);
    Changes { put_environments: vec![environment], ..Changes::default() }
}

/// What a reset or a restore writes down, kept in its intent.
fn read_changes(detail: &Value) -> Changes {
    let read = |field: &str| detail["changes"][field].clone();
    Changes {
        put_branches: serde_json::from_value(read("branches")).unwrap_or_default(),
        put_snapshots: serde_json::from_value(read("snapshots")).unwrap_or_default(),
        ..Changes::default()
    }
}

impl Branches<'_> {
    /// Takes away data that never became visible, then the intent that names it.
    pub async fn take_back(&self, intent: IntentId, data: &[String]) -> Result<(), Failure> {
        let pool = self.pool().await?;
        for id in data {
            pool.remove(id).await?;
        }
        self.abandon(intent).await
    }
}
