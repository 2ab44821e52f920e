//! Memory before an environment starts: what is free and what is needed, looked up for [`crate::plan::memory`], and what
//! that decides, done and told.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::gateway::{self, Gateway};
use super::{Context, Subject, failures};
use crate::base::{Event, Failure, Kind};
use crate::engine::Engine;
use crate::gateway::protocol::Status;
use crate::machine::system::{self, Memory};
use crate::plan::memory::{self as wishes, Other, Verdict};
use crate::plan::observed::Container;
use crate::plan::{Act, Observed, Plan, labels};

/// Makes room for what a plan starts, or refuses; says what it did.
pub(super) async fn make_room(
    context: &Context,
    engine: &Engine,
    subject: &Subject,
    observed: &Observed,
    plan: &Plan,
    gateway: Option<&Gateway>,
) -> Result<(), Failure> {
    // What is wrong with it was told when the file was read.
    let policy = wishes::read(&subject.project).unwrap_or_default();
    let services = starting(observed, plan);
    let Some(Memory { total, available: free }) = memory(context).filter(|_| !services.is_empty()) else {
        return Ok(());
    };
    let names = || services.iter().map(String::as_str);
    // Where there is plenty, no container is asked for.
    let most = wishes::needs_at_most(&subject.project, names(), total.saturating_sub(free));
    if wishes::decide(policy, free, most, &[]) == Verdict::Fits {
        return Ok(());
    }
    let running = engine.running_containers().await.map_err(failures::engine)?;
    let measured = measured(context, engine, subject, &services, &running).await;
    let needs = wishes::needs(&subject.project, names(), &measured);
    // Who could sleep is only asked where somebody has to.
    if wishes::decide(policy, free, needs, &[]) == Verdict::Fits {
        return Ok(());
    }
    let others = match gateway {
        Some(gateway) => others(context, engine, &gateway.status().await?, &running).await,
        None => Vec::new(),
    };
    match wishes::decide(policy, free, needs, &others) {
        Verdict::Fits => Ok(()),
        Verdict::Ignore(short) => {
            context.events.tell(Event::warning(format!("memory may run out: {short}")));
            Ok(())
        }
        Verdict::Sleep(chosen) => {
            for other in chosen {
                // There is one: it told of them.
                let Some(gateway) = gateway else { continue };
                gateway.sleep(&other.project, &other.environment).await?;
                context.events.tell(Event::note(format!(
                    "{}/{} was put to sleep, which frees {} of memory; the next request or connection wakes it",
                    other.project,
                    other.environment,
                    crate::base::size::bytes(other.holds)
                )));
            }
            Ok(())
        }
        Verdict::Refuse(short) => {
            let label = context.standing.as_ref().map_or(&subject.project.name, |standing| &standing.label);
            let mut failure =
                Failure::new(Kind::Conflict, format!("no room for environment `{label}`: {short}")).hint(
                    "`devenv env list --all-projects` shows what runs; `devenv -e NAME stop` stops one",
                );
            if gateway.is_none() && policy.act == wishes::Act::Sleep {
                failure = failure
                    .hint("`devenv gateway up`: then what is not used is put to sleep, and woken when it is");
            }
            Err(failure
                .hint("`x-devenv: {memory: {policy: ignore}}` in the compose file starts it all the same"))
        }
    }
}

/// The services that a plan starts and that do not run yet.
fn starting(observed: &Observed, plan: &Plan) -> BTreeSet<String> {
    let runs = |service: &str| observed.of_service(service).any(|container| container.state.is_up());
    let started = plan.steps.iter().filter_map(|step| match &step.act {
        Act::Start { target } => Some(target.service.clone()),
        _ => None,
    });
    started.filter(|service| !runs(service)).collect()
}

/// The memory of where containers run; none where that is not known.
fn memory(context: &Context) -> Option<Memory> {
    let found = if context.engine_is_here() { system::memory() } else { None };
    fail::fail_point!("memory:free", |bytes| {
        let available = bytes.and_then(|bytes| bytes.parse().ok())?;
        Some(Memory { available, ..found? })
    });
    found
}

/// Whether nothing but the project's own environments may be put to sleep.
fn only() -> Option<()> {
    fail::fail_point!("memory:only-own", |_| Some(()));
    None
}

/// What services take in other environments of the project, the most of each.
async fn measured(
    context: &Context,
    engine: &Engine,
    subject: &Subject,
    services: &BTreeSet<String>,
    running: &[Container],
) -> BTreeMap<String, u64> {
    let Some((project, _)) = gateway::place(context) else { return BTreeMap::new() };
    let unlimited =
        |name: &str| subject.project.services.get(name).is_some_and(|it| wishes::limit(it).is_none());
    let alike = running.iter().filter(|it| {
        it.labels.get(labels::GATEWAY_PROJECT) == Some(&project)
            && it.labels.get(labels::PROJECT) != Some(&subject.project.name)
            && services.contains(it.service())
            && unlimited(it.service())
    });
    let all =
        join_all(alike.map(|it| async { (it.service().to_owned(), engine.memory(&it.id).await) })).await;
    let mut most: BTreeMap<String, u64> = BTreeMap::new();
    for (service, bytes) in all {
        // One that ended meanwhile says nothing.
        if let Ok(Some(bytes)) = bytes {
            let known = most.entry(service).or_default();
            *known = bytes.max(*known);
        }
    }
    most
}

/// The environments that may be put to sleep: those that devenv made, that nobody is connected to, and that may sleep
/// at all.
async fn others(context: &Context, engine: &Engine, status: &Status, running: &[Container]) -> Vec<Other> {
    let here = gateway::place(context);
    // Tests run beside other people's environments.
    let only = only().and(here.as_ref().map(|(project, _)| project.clone()));
    let may = status.environments.iter().filter(|it| {
        let is_here = here.as_ref().is_some_and(|here| *here == (it.project.clone(), it.environment.clone()));
        let is_candidate = only.as_ref().is_none_or(|only| *only == it.project);
        is_candidate && it.ours && it.state == "awake" && it.open == 0 && !it.stays_awake && !is_here
    });
    let all = may.map(|it| async {
        let label =
            |container: &&Container, key: &str, value: &String| container.labels.get(key) == Some(value);
        let own = running.iter().filter(|container| {
            label(container, labels::GATEWAY_PROJECT, &it.project)
                && label(container, labels::ENVIRONMENT, &it.environment)
        });
        let held = join_all(own.map(|container| engine.memory(&container.id))).await;
        Other {
            project: it.project.clone(),
            environment: it.environment.clone(),
            holds: held.into_iter().filter_map(|held| held.ok().flatten()).sum(),
            unused: it.quiet,
        }
    });
    join_all(all).await
}
