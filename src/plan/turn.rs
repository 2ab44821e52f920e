//! Stop, start, restart, pause and the like: one act on each container, in the order of the services.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::observed::{Container, Observed, State};
use crate::plan::up::target;
use crate::plan::{Act, Cause, Goal, Order, Plan};

/// What is done to every container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Start those that do not run, dependencies first.
    Start,
    /// Stop those that run, dependents first.
    Stop,
    /// Stop and start all.
    Restart,
    /// Freeze.
    Pause,
    /// Let go on.
    Unpause,
    /// Send a signal.
    Kill(String),
}

/// What has to be done to the containers of `targets` (none means all); `grace` takes the place of the
/// containers' own stop grace period. With `wait`, a start ends when the started services are ready.
#[must_use]
pub fn plan(
    observed: &Observed,
    order: &Order,
    targets: &[String],
    turn: &Turn,
    grace: Option<Duration>,
    wait: bool,
) -> Plan {
    let mut plan = Plan::default();
    let concerned = |container: &&Container| {
        !container.is_one_off()
            && (targets.is_empty() || targets.iter().any(|name| name == container.service()))
            && match turn {
                Turn::Start => !container.state.is_up(),
                Turn::Stop => container.state.is_up(),
                Turn::Restart => true,
                Turn::Pause | Turn::Kill(_) => container.state == State::Running,
                Turn::Unpause => container.state == State::Paused,
            }
    };
    let mut services: Vec<&String> = order.services.iter().collect();
    if *turn == Turn::Stop {
        services.reverse();
    }
    let mut done: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for service in services {
        let before: Vec<usize> = match turn {
            Turn::Start | Turn::Restart => order.needs(service).collect::<Vec<_>>(),
            Turn::Stop => order.needed_by(service).collect(),
            Turn::Pause | Turn::Unpause | Turn::Kill(_) => Vec::new(),
        }
        .into_iter()
        .flat_map(|other| done.get(other.as_str()).into_iter().flatten().copied())
        .collect();
        for container in observed.of_service(service).filter(concerned) {
            let target = target(container);
            let act = match turn {
                Turn::Start => Act::Start { target },
                Turn::Stop => Act::Stop { target, grace },
                Turn::Restart => Act::Restart { target, grace },
                Turn::Pause => Act::Pause { target },
                Turn::Unpause => Act::Unpause { target },
                Turn::Kill(signal) => Act::Kill { target, signal: signal.clone() },
            };
            let step = plan.add(act, Cause::Asked, before.clone());
            done.entry(service).or_default().push(step);
        }
        if wait && let Some(steps) = done.get(service.as_str()).cloned() {
            let act = Act::Await { service: service.clone(), goal: Goal::Ready, required: true };
            plan.add(act, Cause::WaitForAll, steps);
        }
    }
    plan
}
