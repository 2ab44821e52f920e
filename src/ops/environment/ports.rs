//! The ports of this machine that an environment has instead of those that the compose file fixes: chosen once, told
//! apart from those of all other environments, and kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Standing, records};
use crate::base::{Event, Failure, Kind};
use crate::compose::Project;
use crate::lineage::{Changes, Environment, State};
use crate::machine::ports;
use crate::ops::branch::Branches;
use crate::ops::{Context, failures};
use crate::plan::beside::{choose_port, fixed_ports};

/// Ports for a new environment.
pub(super) async fn assign(
    branches: &Branches<'_>,
    environment: &str,
    project: &Project,
) -> Result<BTreeMap<String, u16>, Failure> {
    let all = branches.catalogue.environments().await.map_err(failures::catalogue)?;
    let wanted = fixed_ports(project);
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let others = all.iter().filter(|it| it.name != environment);
    let mut taken: BTreeSet<u16> = others.flat_map(|it| it.ports.values().copied()).collect();
    let running = branches.engine.running_containers().await.map_err(failures::engine)?;
    taken.extend(running.iter().flat_map(|container| &container.ports).map(|port| port.published));
    if branches.context.engine_is_here() {
        taken.extend(listening());
    }
    let mut chosen = BTreeMap::new();
    for key in wanted {
        add(&mut chosen, &mut taken, environment, key)?;
    }
    Ok(chosen)
}

/// Every port on which something of this machine listens.
fn listening() -> Vec<u16> {
    let all: Vec<u16> = (1..=u16::MAX).collect();
    ports::taken(Path::new("/proc"), &all).into_iter().map(|taken| taken.port).collect()
}

fn add(
    chosen: &mut BTreeMap<String, u16>,
    taken: &mut BTreeSet<u16>,
    environment: &str,
    key: String,
) -> Result<(), Failure> {
    let port = choose_port(environment, &key, taken)
        .ok_or_else(|| Failure::new(Kind::Conflict, "no port is free for the environment"))?;
    taken.insert(port);
    chosen.insert(key, port);
    Ok(())
}

/// Gives an environment ports that the compose file has gained, and another one for each that somebody else has taken
/// since (faults 20 to 22).
pub(super) async fn complete(
    context: &Context,
    standing: &Standing,
    record: Environment,
) -> Result<Environment, Failure> {
    let wanted = fixed_ports(&context.load_quietly(&[])?.project);
    let kept: BTreeMap<String, u16> = record
        .ports
        .iter()
        .filter(|(key, _)| wanted.contains(*key))
        .map(|(key, port)| (key.clone(), *port))
        .collect();
    let numbers: Vec<u16> = kept.values().copied().collect();
    let here = context.engine_is_here();
    let held: BTreeSet<u16> = if here && !numbers.is_empty() {
        ports::taken(Path::new("/proc"), &numbers).into_iter().map(|taken| taken.port).collect()
    } else {
        BTreeSet::new()
    };
    if held.is_empty() && kept.len() == wanted.len() {
        return Ok(record);
    }
    let engine = context.engine().await?;
    let running = engine.running_containers().await.map_err(failures::engine)?;
    let project = crate::plan::labels::PROJECT;
    let (ours, theirs): (Vec<_>, Vec<_>) = running
        .iter()
        .partition(|container| container.labels.get(project).is_some_and(|name| *name == record.name));
    let published = |containers: &[&crate::plan::observed::Container]| -> BTreeSet<u16> {
        containers.iter().flat_map(|it| &it.ports).map(|port| port.published).collect()
    };
    let (ours, theirs) = (published(&ours), published(&theirs));
    let lost = |port: &u16| (held.contains(port) || theirs.contains(port)) && !ours.contains(port);
    let mut chosen: BTreeMap<String, u16> =
        kept.iter().filter(|(_, port)| !lost(port)).map(|(k, p)| (k.clone(), *p)).collect();
    if chosen.len() == wanted.len() {
        return Ok(record);
    }
    let _lock = context.lock_catalogue().await?;
    let catalogue = context.catalogue(&engine).await?;
    let all = catalogue.environments().await.map_err(failures::catalogue)?;
    let others = all.iter().filter(|it| it.name != record.name);
    let mut taken: BTreeSet<u16> = others.flat_map(|it| it.ports.values().copied()).collect();
    taken.extend(chosen.values().copied().chain(ours).chain(theirs));
    if here {
        taken.extend(listening());
    }
    for key in wanted {
        if chosen.contains_key(&key) {
            continue;
        }
        add(&mut chosen, &mut taken, &record.name, key.clone())?;
        let (service, port) = (key.split(' ').next().unwrap_or_default(), chosen[&key]);
        let why = match kept.get(&key) {
            Some(was) => format!(
                "port {was} of service `{service}` is taken by somebody else: it is {port} from now on"
            ),
            None => format!("a port of service `{service}` is {port} here"),
        };
        context.events.tell(Event::note(why));
    }
    // As it is by now: another command may have changed the rest.
    let now = records(context, &standing.folder).await?;
    let now = now.into_iter().find(|it| it.name == record.name && it.state == State::Ready);
    let record = Environment { ports: chosen, ..now.unwrap_or(record) };
    let changes = Changes { put_environments: vec![record.clone()], ..Changes::default() };
    catalogue.apply(&changes).await.map_err(failures::catalogue)?;
    Ok(record)
}
