//! Making the machine ready: install the engine, start it, obtain the base image, install git.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::judge::{Engine, Facts, Registry, Remedy, remedies};
use super::{Request, gather};
use crate::base::{Event, Events, Failure, Kind};
use crate::engine::base_image;
use crate::engine::endpoint::{self, Docker};
use crate::machine::apt::{self, Mirror};
use crate::machine::bootstrap::{self, RootFs};
use crate::machine::lock::Lock;
use crate::machine::{MachineError, Programs, dockerd};

/// Held by the one `doctor --fix` that works.
const LOCK: &str = "/run/devenv-doctor.lock";

/// How long one attempt to talk to an engine that starts may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The facts, when there was nothing to do; else they have changed.
    pub(super) unchanged: Option<Facts>,
    /// What was changed, each in one line.
    pub(super) done: Vec<String>,
    /// What failed, by the id of its check.
    pub(super) failures: Vec<(&'static str, Failure)>,
}

/// Does what can be done. Two that do it at once work one after the other.
pub(super) async fn fix(request: &Request, events: &Events) -> Fixed {
    let programs = gather::programs(request);
    let mut lock = None;
    let packages = Packages { programs: &programs, events, lists_fetched: AtomicBool::new(false) };
    let mut tried = Vec::new();
    let mut needed = false;
    let mut fixed = Fixed { unchanged: None, done: Vec::new(), failures: Vec::new() };
    loop {
        // Each remedy may show the next: an engine that was installed may have to be started.
        let facts = gather::gather(request, false).await;
        let Some(remedy) = remedies(&facts).into_iter().find(|remedy| !tried.contains(remedy)) else {
            fixed.unchanged = (!needed).then_some(facts);
            return fixed;
        };
        needed = true;
        if facts.user.is_root() && lock.is_none() {
            // Whoever held it may have done what was needed: look again.
            lock = Some(hold(events).await);
            continue;
        }
        tried.push(remedy);
        let outcome = match remedy {
            // The commands are shown by the check instead.
            _ if !facts.user.is_root() && remedy != Remedy::ObtainBaseImage => continue,
            Remedy::InstallEngine => packages.install("Engine", &bare_machine(&facts).await).await,
            Remedy::StartEngine => start(request, &programs, &facts, events).await,
            Remedy::ObtainBaseImage => obtain(request, &packages, &facts).await,
            Remedy::InstallGit => packages.install("Git", &["git"]).await,
        };
        match outcome {
            Ok(done) => fixed.done.extend(done),
            Err(failure) => {
                events
                    .tell(Event::Failed { subject: subject(remedy).to_owned(), reason: failure.to_string() });
                fixed.failures.push((remedy.check(), *failure));
            }
        }
    }
}

/// Waits for another `doctor --fix`; none when the lock cannot be had on this machine, which stops nothing.
async fn hold(events: &Events) -> Option<Lock> {
    let mut told = false;
    loop {
        match Lock::take(Path::new(LOCK)) {
            Ok(Some(lock)) => return Some(lock),
            Err(_) => return None,
            Ok(None) if !told => {
                told = true;
                events.tell(Event::note("waiting for another `devenv doctor --fix`"));
            }
            Ok(None) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The engine's packages, and what will be needed after them, so that apt works once.
async fn bare_machine(facts: &Facts) -> Vec<&'static str> {
    let mut packages = dockerd::PACKAGES.to_vec();
    if facts.git.is_none() {
        packages.push("git");
    }
    if !facts.mmdebstrap && matches!(gather::direct().await, Registry::Unreached(_)) {
        packages.extend(bootstrap::PACKAGES);
    }
    packages
}

/// Installs packages, and fetches their lists once.
struct Packages<'a> {
    programs: &'a Programs,
    events: &'a Events,
    lists_fetched: AtomicBool,
}

impl Packages<'_> {
    async fn install(&self, subject: &str, packages: &[&str]) -> Result<Vec<String>, Box<Failure>> {
        let since = started(self.events, subject, "installing");
        let fetch = !self.lists_fetched.swap(true, Ordering::Relaxed);
        let line = |line: &str| progress(self.events, subject, line);
        apt::install(self.programs, packages, fetch, line).await.map_err(|problem| {
            Box::new(
                failed("the packages cannot be installed", problem)
                    .hint("`apt-get update` must work on this machine: check its network, proxy and sources"),
            )
        })?;
        done(self.events, subject, "installed", since);
        Ok(vec![format!("installed {}", packages.join(", "))])
    }
}

fn subject(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::InstallEngine | Remedy::StartEngine => "Engine",
        Remedy::ObtainBaseImage => "Base image",
        Remedy::InstallGit => "Git",
    }
}

/// One line of what a long work says.
fn progress(events: &Events, subject: &str, detail: &str) {
    let detail = detail.chars().filter(|c| !c.is_control()).take(200).collect();
    events.tell(Event::Progress { subject: subject.to_owned(), detail, done: None, total: None });
}

fn started(events: &Events, subject: &str, doing: &str) -> Instant {
    events.tell(Event::Started { subject: subject.to_owned(), doing: doing.to_owned() });
    Instant::now()
}

fn done(events: &Events, subject: &str, outcome: &str, since: Instant) {
    events.tell(Event::Done {
        subject: subject.to_owned(),
        outcome: outcome.to_owned(),
        took: since.elapsed(),
    });
}

fn failed(message: &str, problem: MachineError) -> Box<Failure> {
    let failure = problem.evidence().iter().fold(Failure::new(Kind::Failed, message), |failure, line| {
        failure.evidence(line.chars().filter(|c| !c.is_control()).collect::<String>())
    });
    Box::new(failure.source(problem))
}

async fn start(
    request: &Request,
    programs: &Programs,
    facts: &Facts,
    events: &Events,
) -> Result<Vec<String>, Box<Failure>> {
    let Some(endpoint) = &facts.endpoint else { return Ok(Vec::new()) };
    let since = started(events, "Engine", "starting");
    let cannot = |problem| failed("the engine cannot be started", problem);
    let mut changed = Vec::new();
    if facts.systemd {
        dockerd::start_by_systemd(programs)
            .await
            .map_err(|problem| Box::new(cannot(problem).hint("see `journalctl -u docker -n 50`")))?;
        endpoint::connect(endpoint, ATTEMPT)
            .await
            .map_err(|problem| Box::new(crate::ops::engine::failure(&problem)))?;
        changed.push("started the engine through systemd".to_owned());
    } else {
        for change in dockerd::prepare(programs).await.map_err(cannot)? {
            progress(events, "Engine", &change);
            changed.push(change);
        }
        let ready = || async { endpoint::connect(endpoint, ATTEMPT).await.ok() };
        dockerd::start(programs, &request.start, ready).await.map_err(cannot)?;
        changed.push(format!("started the engine; its log is {}", request.start.log.display()));
    }
    done(events, "Engine", "answers", since);
    Ok(changed)
}

const BASE: &str = "Base image";

async fn obtain(
    request: &Request,
    packages: &Packages<'_>,
    facts: &Facts,
) -> Result<Vec<String>, Box<Failure>> {
    let (programs, events) = (packages.programs, packages.events);
    let (_, engine) = crate::ops::engine::open(&request.engine).await?;
    let since = started(events, BASE, "obtaining");
    let mut registry = gather::direct().await;
    if let (Registry::Unreached(_), Engine::Answers(engine)) = (&registry, &facts.engine) {
        registry = gather::through(&engine.proxies, &engine.mirrors).await.unwrap_or(registry);
    }
    let mut pull_failure = match registry {
        Registry::Unreached(why) => why,
        Registry::Reached(_) | Registry::NotAsked => String::new(),
    };
    if pull_failure.is_empty() {
        match base_image::pull(&engine, |line| progress(events, BASE, line)).await {
            Ok(()) => {
                done(events, BASE, "pulled", since);
                return Ok(vec![format!("pulled {} as {}", base_image::OFFICIAL, base_image::NAME)]);
            }
            Err(problem) => pull_failure = problem.to_string(),
        }
    }
    if !facts.user.is_root() {
        let message = format!("no registry answers ({pull_failure}), and making the base image needs root");
        events.tell(Event::warning(message));
        return Ok(Vec::new());
    }
    progress(events, BASE, &format!("no registry ({pull_failure}): making it from Debian's packages"));
    if !facts.distribution.family.has_apt() {
        let message = format!("no registry answers ({pull_failure}), and there is no apt on this machine");
        return Err(Box::new(Failure::new(Kind::Unreachable, message).hint("reach a registry")));
    }
    let mut changed = Vec::new();
    if !facts.mmdebstrap {
        changed.extend(packages.install(BASE, &bootstrap::PACKAGES).await?);
    }
    make(programs, &engine, events).await?;
    done(events, BASE, "made from Debian's packages", since);
    changed.push(format!("made {} from Debian's packages", base_image::NAME));
    Ok(changed)
}

/// Makes the base image from the mirror that this machine uses, and from Debian's own where that one fails
/// (a company's mirror may have no trixie).
async fn make(programs: &Programs, engine: &Docker, events: &Events) -> Result<(), Box<Failure>> {
    let first = apt::mirror_of_this_machine().unwrap_or_default();
    let Err(failure) = make_from(programs, engine, &first, events).await else { return Ok(()) };
    if first == Mirror::default() {
        return Err(failure);
    }
    let reason = failure.evidence.iter().find(|line| line.starts_with("E:"));
    events.tell(Event::warning(format!(
        "{failure}{}; trying {}",
        reason.map_or_else(String::new, |line| format!(" ({line})")),
        apt::DEBIAN
    )));
    make_from(programs, engine, &Mirror::default(), events).await
}

async fn make_from(
    programs: &Programs,
    engine: &Docker,
    mirror: &Mirror,
    events: &Events,
) -> Result<(), Box<Failure>> {
    let message = format!("the base image cannot be made from {}", mirror.archive);
    let access = apt::access(programs).await.unwrap_or_default();
    let own_keys = !apt::has_keys_of_trixie();
    let told = events.clone();
    let root = RootFs::start(programs, mirror, &access, own_keys, move |line| progress(&told, BASE, line))
        .map_err(|problem| failed(&message, problem))?;
    let outcome = root.outcome();
    let Err(problem) = base_image::import(engine, base_image::NAME, root.stream()).await else {
        return Ok(());
    };
    Err(Box::new(match outcome.failure() {
        Some(problem) => failed(&message, problem)
            .hint("mmdebstrap must reach the mirror: check this machine's network, proxy and apt sources"),
        None => Failure::new(Kind::Failed, message).source(problem).hint("the engine's log says why"),
    }))
}
