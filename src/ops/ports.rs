//! Ports that the containers of a plan will publish: whether they are free, and who holds them if not. Asked
//! before anything is made, so that a taken port leaves nothing behind.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::failures;
use crate::base::{Failure, Kind};
use crate::compose::project::Project;
use crate::engine::Engine;
use crate::machine::ports;
use crate::plan::observed::{Container, State};
use crate::plan::{Act, Plan, labels};

/// A port of this machine that a service is about to publish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    service: String,
    address: String,
    port: u16,
    protocol: String,
}

/// Fails when a container that is about to be started would find its port taken.
pub(super) async fn are_free(
    engine: &Engine,
    project: &Project,
    plan: &Plan,
    machine_is_ours: bool,
) -> Result<(), Failure> {
    are_free_but(engine, project, plan, machine_is_ours, &BTreeSet::new()).await
}

/// The same, without the services that run already.
async fn are_free_but(
    engine: &Engine,
    project: &Project,
    plan: &Plan,
    machine_is_ours: bool,
    run: &BTreeSet<String>,
) -> Result<(), Failure> {
    let mut starting = BTreeSet::new();
    let mut going = BTreeSet::new();
    for step in &plan.steps {
        match &step.act {
            Act::Start { target } | Act::Restart { target, .. } => {
                starting.insert(target.service.clone());
                going.extend(target.id.clone());
            }
            Act::Stop { target, .. } | Act::Remove { target, .. } => going.extend(target.id.clone()),
            _ => {}
        }
    }
    let wanted: BTreeSet<Wanted> =
        starting.difference(run).flat_map(|service| wanted_by(project, service)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let others: Vec<Container> = engine.running_containers().await.map_err(failures::engine)?;
    let taken = if machine_is_ours {
        let numbers: Vec<u16> = wanted.iter().filter(|w| w.protocol == "tcp").map(|w| w.port).collect();
        ports::taken(Path::new("/proc"), &numbers)
    } else {
        Vec::new()
    };
    let mut failures = Vec::new();
    for want in &wanted {
        let publishes = |container: &&Container| {
            !going.contains(&container.id)
                && container.ports.iter().any(|port| {
                    port.published == want.port
                        && port.protocol == want.protocol
                        && overlap(&port.host_ip, &want.address)
                })
        };
        let going_holds = |container: &&Container| {
            going.contains(&container.id) && container.ports.iter().any(|port| port.published == want.port)
        };
        if let Some(holder) = others.iter().find(publishes) {
            failures.push(conflict(want, &holder_of(holder)).hint(format!(
                "stop it with `docker stop {}`, or publish another port in the compose file",
                holder.name
            )));
            continue;
        }
        let process = taken
            .iter()
            .filter(|_| want.protocol == "tcp" && !others.iter().any(|container| going_holds(&container)))
            .find(|taken| taken.port == want.port && overlap(&taken.address.to_string(), &want.address));
        if let Some(taken) = process {
            let holder = match &taken.process {
                Some(process) => format!("process {} ({})", process.pid, process.command),
                None => format!("a process of user {}", taken.uid),
            };
            failures.push(
                conflict(want, &holder).hint("end that process, or publish another port in the compose file"),
            );
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::all(failures)) }
}

/// What is told where a port was taken between the look at it and the start: who has it, as if it had been so before.
/// Containers that were made for nothing are taken away again.
pub(super) async fn was_taken(
    engine: &Engine,
    project: &Project,
    plan: &Plan,
    machine_is_ours: bool,
    failure: Failure,
) -> Failure {
    let Ok(observed) = engine.observe(&super::scope(project)).await else { return failure };
    let up =
        project.services.keys().filter(|service| observed.of_service(service).any(|it| it.state.is_up()));
    let run: BTreeSet<String> = up.cloned().collect();
    let Err(known) = are_free_but(engine, project, plan, machine_is_ours, &run).await else { return failure };
    let made = plan.steps.iter().filter_map(|step| match &step.act {
        // One that takes another one's place has its volumes, and is what the next `up` goes on with.
        Act::Create { target, replaces: None, .. } => Some(target),
        _ => None,
    });
    for target in made.filter(|target| wanted_by(project, &target.service).next().is_some()) {
        let corpse = observed.of_service(&target.service).find(|it| it.name == target.name);
        if corpse.is_some_and(|it| it.state == State::Created) {
            // What is left is started, or replaced, by the next `up`.
            let _ = engine.remove_container(&target.name, true).await;
        }
    }
    known
}

fn wanted_by<'a>(project: &'a Project, service: &'a str) -> impl Iterator<Item = Wanted> + 'a {
    let ports = project.services.get(service).into_iter().flat_map(|service| &service.ports);
    ports.filter_map(|port| {
        Some(Wanted {
            service: service.to_owned(),
            address: port.host_ip.clone(),
            // A range lets the engine choose, and so does no port at all.
            port: port.published.parse().ok().filter(|port| *port > 0)?,
            protocol: if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.clone() },
        })
    })
}

/// Whether two addresses cannot both have one port: they are the same, or one of them means all.
fn overlap(a: &str, b: &str) -> bool {
    let all =
        |address: &str| address.is_empty() || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    all(a) || all(b) || a == b
}

fn holder_of(container: &Container) -> String {
    match container.labels.get(labels::PROJECT) {
        Some(project) => {
            format!("container {} (service `{}` of project `{project}`)", container.name, container.service())
        }
        None => format!("container {}", container.name),
    }
}

fn conflict(want: &Wanted, holder: &str) -> Failure {
    let address = if want.address.is_empty() { "0.0.0.0" } else { &want.address };
    Failure::new(
        Kind::Conflict,
        format!("service `{}` cannot have port {address}:{}: {holder} has it", want.service, want.port),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_when_one_means_all() {
        assert!(overlap("", "127.0.0.1"));
        assert!(overlap("0.0.0.0", "127.0.0.1"));
        assert!(overlap("::", "127.0.0.1"));
        assert!(overlap("127.0.0.1", "127.0.0.1"));
        assert!(!overlap("127.0.0.2", "127.0.0.1"));
    }
}
