//! What the command line asks, a line each on standard input, and what it is answered on standard output.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::idle;
use super::super::memory::{Fixed, Span};
use super::super::name;
use super::super::protocol::{Answer, Ask, Environment, Port, Reply, Request, Status};
use super::super::table::Place;
use super::{Gateway, hold, listen, sleep, tls};

/// The longest line that is read; longer ones are no question.
const LINE: u64 = 1 << 20;

/// Answers from now on. The program goes on when its input ends: others may attach.
pub(super) fn start(gateway: &Arc<Gateway>) {
    let gateway = Arc::clone(gateway);
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        let mut line = Vec::new();
        loop {
            line.clear();
            match input.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            // What is no question has nobody to be answered.
            let Ok(Request { id, ask }) = serde_json::from_slice(&line) else { continue };
            let gateway = Arc::clone(&gateway);
            runtime.spawn(async move {
                let answer = perform(&gateway, ask).await.unwrap_or_else(Answer::Failed);
                say(&Reply { id, answer });
            });
        }
    });
}

/// Says one line in one piece.
fn say(reply: &Reply) {
    if let Ok(mut line) = serde_json::to_vec(reply) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        // A reader that went away is somebody else's trouble.
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

async fn perform(gateway: &Arc<Gateway>, ask: Ask) -> Result<Answer, String> {
    let remembered = |error: std::io::Error| format!("cannot remember it: {error}");
    match ask {
        Ask::Status => return Ok(Answer::Status(Box::new(status(gateway)))),
        Ask::Routes => return Ok(Answer::Routes(gateway.routes())),
        Ask::Current { project, environment } => {
            let project = name::label(&project);
            let environment = environment.map(|environment| name::label(&environment));
            let change = gateway.remember(|memory| match &environment {
                Some(environment) => {
                    memory.current.insert(project.clone(), environment.clone());
                }
                None => {
                    memory.current.remove(&project);
                }
            });
            change.await.map_err(remembered)?;
            if let Some(environment) = &environment {
                gateway.touch(&Place::new(&project, environment));
            }
        }
        Ask::Branch { project, environment, branch } => {
            let place = Place::new(&name::label(&project), &name::label(&environment));
            let change = gateway.remember(|memory| match &branch {
                Some(branch) => drop(memory.branches.insert(place, branch.clone())),
                None => drop(memory.branches.remove(&place)),
            });
            change.await.map_err(remembered)?;
        }
        Ask::Forget { project, environment } => {
            let place = Place::new(&name::label(&project), &name::label(&environment));
            gateway.remember(|memory| memory.forget(&place)).await.map_err(remembered)?;
            listen::reconcile(gateway).await;
        }
        Ask::Port { port, leads } => {
            if Some(port) == gateway.listeners.front() {
                return Err(format!("port {port} is that of the host names"));
            }
            let leads = leads.map(|leads| Fixed { project: name::label(&leads.project), ..leads });
            if let (Some(leads), Some(other)) = (&leads, gateway.snapshot().memory.ports.get(&port))
                && other.project != leads.project
            {
                return Err(taken(port, other));
            }
            let change = gateway.remember(|memory| match leads {
                Some(leads) => drop(memory.ports.insert(port, leads)),
                None => drop(memory.ports.remove(&port)),
            });
            change.await.map_err(remembered)?;
            listen::reconcile(gateway).await;
            if let Some(trouble) = gateway.listeners.trouble(port) {
                return Err(format!("{trouble}; it is tried again until it works"));
            }
        }
        Ask::Declared { project, idle, ports } => {
            let project = name::label(&project);
            let own = |(port, leads): (u16, Fixed)| (port, Fixed { project: project.clone(), ..leads });
            let mut ports: BTreeMap<u16, Fixed> = ports.into_iter().map(own).collect();
            let front = gateway.listeners.front().and_then(|port| ports.remove_entry(&port));
            let numbers: Vec<u16> = ports.keys().copied().collect();
            let mut held = BTreeMap::new();
            let change = gateway.remember(|memory| held = memory.declare(&project, idle, ports));
            change.await.map_err(remembered)?;
            listen::reconcile(gateway).await;
            let fronts = front.map(|(port, _)| format!("port {port} is that of the host names"));
            let troubles = numbers.into_iter().filter_map(|port| match held.get(&port) {
                Some(other) => Some(taken(port, other)),
                None => {
                    gateway.listeners.trouble(port).map(|trouble| format!("{trouble}; it is tried again"))
                }
            });
            let all: Vec<String> = fronts.into_iter().chain(troubles).collect();
            if !all.is_empty() {
                return Err(all.join("; "));
            }
        }
        Ask::Idle { project, environment, after } => {
            let change = gateway.remember(|memory| set_idle(&mut memory.idle, project, environment, after));
            change.await.map_err(remembered)?;
        }
        Ask::Sleep { project, environment } => {
            sleep::put_to_sleep(gateway, &Place::new(&project, &environment)).await?;
        }
        Ask::Release { stack } => {
            let snapshot = gateway.snapshot();
            let places: Vec<Place> = snapshot
                .table
                .containers()
                .filter(|container| container.stack == stack)
                .map(|container| container.place.clone())
                .collect();
            let change = gateway.remember(|memory| memory.asleep.retain(|place, _| !places.contains(place)));
            change.await.map_err(remembered)?;
            for place in &places {
                gateway.touch(place);
            }
            listen::reconcile(gateway).await;
        }
        Ask::Certificate { pem } => {
            let taken = tls::take(gateway, pem).await;
            taken.map_err(|error| format!("cannot use the certificate: {error}"))?;
            listen::open_fronts(gateway).await;
            listen::reconcile(gateway).await;
        }
    }
    Ok(Answer::Done)
}

fn taken(port: u16, leads: &Fixed) -> String {
    format!("port {port} leads to `{}` of {} already", leads.service, leads.project)
}

fn set_idle(
    idle: &mut super::super::memory::Idle,
    project: Option<String>,
    environment: Option<String>,
    after: Option<Span>,
) {
    match (project.map(|name| name::label(&name)), environment.map(|name| name::label(&name))) {
        (Some(project), Some(environment)) => {
            let place = Place::new(&project, &environment);
            match after {
                Some(after) => drop(idle.places.insert(place, after)),
                None => drop(idle.places.remove(&place)),
            }
        }
        (Some(project), None) => match after {
            Some(after) => drop(idle.projects.insert(project, after)),
            None => drop(idle.projects.remove(&project)),
        },
        (None, _) => idle.usual = after,
    }
}

fn status(gateway: &Arc<Gateway>) -> Status {
    let snapshot = gateway.snapshot();
    let memory = &snapshot.memory;
    let environments = sleep::facts(gateway, &snapshot).into_iter().map(|facts| {
        let place = &facts.place;
        let state = match () {
            () if snapshot.waking.contains(place) => "waking",
            () if facts.running => "awake",
            () if memory.asleep.contains_key(place) => "asleep",
            () => "stopped",
        };
        Environment {
            project: place.project.clone(),
            environment: place.environment.clone(),
            ours: facts.ours,
            stays_awake: facts.said == Some(Span::Never),
            current: snapshot.table.current(&place.project, memory).as_ref() == Some(&place.environment),
            state: state.to_owned(),
            open: facts.open,
            quiet: gateway.now().saturating_sub(facts.last).as_secs(),
            sleeps_after: idle::span(&facts).map(|span| span.as_secs()),
        }
    });
    let ports = memory.ports.iter().map(|(port, fixed)| Port {
        port: *port,
        project: fixed.project.clone(),
        service: fixed.service.clone(),
        container_port: fixed.container_port,
        protocol: fixed.protocol,
        declared: fixed.declared,
        trouble: gateway.listeners.trouble(*port),
    });
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        http_port: gateway.listeners.front(),
        https_port: gateway.listeners.secure(),
        ports: ports.collect(),
        current: memory.current.clone(),
        environments: environments.collect(),
        served: gateway.served.load(Ordering::Relaxed),
        open: gateway.open().values().sum(),
        memory: resident(),
        notes: hold(&gateway.notes).iter().cloned().collect(),
    }
}

/// Memory that the program holds (`proc_pid_status(5)`, `VmRSS`), in bytes; 0 where it is not told.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
