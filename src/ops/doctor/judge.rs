//! What the facts mean: from [`Facts`] to checks and to the next thing to fix. Pure.

use std::path::{Path, PathBuf};

use super::Port;
use super::report::{Check, Status};
use crate::base::size::bytes;
use crate::engine::base_image::{self, BaseImage};
use crate::engine::endpoint::{Endpoint, EndpointError, Source};
use crate::engine::facts as engine;
use crate::machine::apt;
use crate::machine::bootstrap;
use crate::machine::dockerd;
use crate::machine::ports::Taken;
use crate::machine::system::{Cgroups, Disk, Distribution, Memory, User};
use crate::ops::engine::hints;
use crate::ops::pool::Found;

/// 1 January 2026: an earlier clock is certainly wrong, and no certificate is valid under it.
const FLOOR: i64 = 1_767_225_600;

/// How far the engine's clock may be from ours, in seconds; tokens are given the same tolerance.
const DRIFT: i64 = 60;

/// The oldest git with everything that is used (Debian 11's).
const OLDEST_GIT: (u32, u32) = (2, 30);

const GIB: u64 = 1 << 30;

/// What was found about the engine.
#[derive(Debug)]
pub enum Engine {
    /// It answers.
    Answers(Box<engine::Facts>),
    /// There is no connection.
    Absent(EndpointError),
    /// It was reached and then did not tell about itself.
    Broken(String),
}

/// What was found about the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registry {
    /// It answers, directly or through something with this name.
    Reached(Option<String>),
    /// It does not answer; why.
    Unreached(String),
    /// Nobody asked, because nothing has to be fetched.
    NotAsked,
}

/// Everything that is known about the machine.
#[derive(Debug)]
pub struct Facts {
    /// Who asks.
    pub user: User,
    /// The distribution of this machine.
    pub distribution: Distribution,
    /// Whether systemd starts its services.
    pub systemd: bool,
    /// Where the engine should be; none when even that could not be decided.
    pub endpoint: Option<Endpoint>,
    /// The engine.
    pub engine: Engine,
    /// Whether `dockerd` is installed here.
    pub installed: bool,
    /// The base image; the outer none when the engine could not be asked.
    pub base: Option<Option<BaseImage>>,
    /// The pool that branches lie in, if there is one.
    pub pool: Option<Found>,
    /// Whether mmdebstrap is installed here.
    pub mmdebstrap: bool,
    /// The control groups of this machine.
    pub cgroups: Cgroups,
    /// The memory of this machine.
    pub memory: Option<Memory>,
    /// The disk of the engine's data, else that of its usual place; none when it did not answer.
    pub disk: Option<Disk>,
    /// The disk of the current directory.
    pub here: Option<Disk>,
    /// The registry.
    pub registry: Registry,
    /// What `git --version` says; none when git is not installed.
    pub git: Option<String>,
    /// The ports that are wanted.
    pub wanted: Vec<Port>,
    /// Those of them that are taken.
    pub taken: Vec<Taken>,
    /// The bundle of certificate authorities and how many it holds.
    pub authorities: Option<(PathBuf, usize)>,
    /// Our clock in seconds since 1970.
    pub now: i64,
}

impl Facts {
    /// Whether the engine shares this machine.
    fn local(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.host.is_local())
    }

    /// Whether nobody named another engine, so that one may be installed and started here.
    fn ours_to_start(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| endpoint.source == Source::Default)
    }

    /// A command that needs root, as this user would type it.
    fn as_root(&self, command: &str) -> String {
        if self.user.is_root() { command.to_owned() } else { format!("sudo {command}") }
    }

    fn install(&self, packages: &[&str]) -> Vec<String> {
        let install = format!("apt-get {}", apt::install_arguments(packages).join(" "));
        vec![self.as_root("apt-get update"), self.as_root(&install)]
    }

    fn start(&self) -> String {
        if self.systemd {
            self.as_root("systemctl start docker")
        } else {
            self.as_root(&format!("sh -c 'setsid dockerd >>{} 2>&1 &'", dockerd::LOG))
        }
    }
}

/// One thing that `--fix` can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Remedy {
    InstallEngine,
    StartEngine,
    ObtainBaseImage,
    InstallGit,
}

impl Remedy {
    /// The check that it makes good.
    pub(super) fn check(self) -> &'static str {
        match self {
            Self::InstallEngine | Self::StartEngine => ENGINE.0,
            Self::ObtainBaseImage => BASE_IMAGE.0,
            Self::InstallGit => GIT.0,
        }
    }
}

/// What can be fixed, in the order in which it has to be.
pub(super) fn remedies(facts: &Facts) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    let absent = matches!(
        facts.engine,
        Engine::Absent(EndpointError::SocketMissing { .. } | EndpointError::Refused { .. })
    );
    if absent && facts.ours_to_start() {
        if facts.installed {
            remedies.push(Remedy::StartEngine);
        } else if facts.distribution.family.has_apt() {
            remedies.push(Remedy::InstallEngine);
        }
    }
    if facts.base == Some(None) {
        remedies.push(Remedy::ObtainBaseImage);
    }
    if facts.git.is_none() && facts.distribution.family.has_apt() {
        remedies.push(Remedy::InstallGit);
    }
    remedies
}

const ENGINE: (&str, &str) = ("engine", "Engine");
const VERSION: (&str, &str) = ("engine-version", "Engine version");
const CGROUPS: (&str, &str) = ("cgroups", "Control groups");
const BASE_IMAGE: (&str, &str) = ("base-image", "Base image");
const REGISTRY: (&str, &str) = ("registry", "Image registry");
const POOL: (&str, &str) = ("pool", "Pool of branches");
const DISK: (&str, &str) = ("disk", "Disk");
const MEMORY: (&str, &str) = ("memory", "Memory");
const PORTS: (&str, &str) = ("ports", "Ports");
const GIT: (&str, &str) = ("git", "Git");
const CLOCK: (&str, &str) = ("clock", "Clock");
const AUTHORITIES: (&str, &str) = ("authorities", "Certificate authorities");

/// What the facts mean, in the order in which it should be told.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        engine_check(facts),
        version(facts),
        cgroups(facts),
        base(facts),
        registry(facts),
        pool(facts),
        disk(facts),
        memory(facts),
        ports(facts),
        git(facts),
        clock(facts),
        authorities(facts),
    ]
}

fn engine_check(facts: &Facts) -> Check {
    let problem = match &facts.engine {
        Engine::Answers(_) => {
            let found = facts
                .endpoint
                .as_ref()
                .map_or_else(String::new, |at| format!("answers at {} ({})", at.host, at.source));
            return Check::new(ENGINE, Status::Ok, found);
        }
        Engine::Broken(said) => {
            return Check::new(ENGINE, Status::Failed, format!("does not tell about itself: {said}"))
                .hint("its log says why; restart it")
                .commands(restart(facts));
        }
        Engine::Absent(problem) => problem,
    };
    let check = |status| {
        let check = Check::new(ENGINE, status, problem.to_string());
        match hints(problem).into_iter().next() {
            Some(hint) => check.hint(hint),
            None => check,
        }
    };
    match remedies(facts).first() {
        Some(Remedy::InstallEngine) => {
            let mut commands = facts.install(&dockerd::PACKAGES);
            if !facts.systemd {
                commands.push(facts.start());
            }
            return Check::new(ENGINE, Status::Fixable, format!("not installed: {problem}"))
                .hint(by_doctor(facts, "install and start it"))
                .commands(commands);
        }
        Some(Remedy::StartEngine) => {
            return Check::new(ENGINE, Status::Fixable, format!("installed, but not started: {problem}"))
                .hint(by_doctor(facts, "start it"))
                .commands(vec![facts.start()]);
        }
        _ => {}
    }
    let named = facts.endpoint.as_ref().map(|endpoint| &endpoint.source);
    match problem {
        EndpointError::Denied { owner: Some(owner), .. } if owner.listed => {
            check(Status::Fixable).commands(vec![format!("newgrp {}", owner.group)])
        }
        EndpointError::Denied { owner: Some(owner), .. } if owner.group_may => {
            let user = facts.user.name.as_deref().unwrap_or("$USER");
            check(Status::Fixable).commands(vec![
                facts.as_root(&format!("usermod -aG {} {user}", owner.group)),
                format!("newgrp {}", owner.group),
            ])
        }
        EndpointError::SocketMissing { .. } | EndpointError::Refused { .. } => match named {
            Some(source) if !source.is_default() => check(Status::Failed)
                .hint(format!("it was named by {source}; start that engine, or unset it")),
            _ => check(Status::Failed).hint(
                "install Docker as https://docs.docker.com/engine/install/ describes; devenv can do it on \
                 Debian and Ubuntu",
            ),
        },
        EndpointError::Silent { .. } => check(Status::Failed).commands(restart(facts)),
        _ => check(Status::Failed),
    }
}

fn restart(facts: &Facts) -> Vec<String> {
    if !facts.local() || !facts.systemd {
        return Vec::new();
    }
    vec![facts.as_root("systemctl restart docker")]
}

fn by_doctor(facts: &Facts, what: &str) -> String {
    if facts.user.is_root() {
        format!("`devenv doctor --fix` would {what}")
    } else {
        format!("run these commands to {what} (this needs root)")
    }
}

/// The facts of an engine that answers.
fn answering(facts: &Facts) -> Option<&engine::Facts> {
    match &facts.engine {
        Engine::Answers(engine) => Some(engine),
        _ => None,
    }
}

fn needs_engine(check: (&'static str, &'static str)) -> Check {
    Check::new(check, Status::Skipped, "known when the engine answers")
}

fn version(facts: &Facts) -> Check {
    let Some(engine) = answering(facts) else { return needs_engine(VERSION) };
    let found = format!(
        "{} (API {}), {}, {}{}",
        engine.version,
        engine.api,
        engine.platform,
        engine.storage,
        if engine.rootless { ", rootless" } else { "" }
    );
    if !engine.platform.starts_with("linux/") {
        return Check::new(VERSION, Status::Failed, found).hint("switch the engine to Linux containers");
    }
    if engine.storage == "vfs" {
        return Check::new(VERSION, Status::Warning, found)
            .hint("the storage driver vfs copies every layer whole; use overlay2");
    }
    Check::new(VERSION, Status::Ok, found)
}

fn cgroups(facts: &Facts) -> Check {
    if let Some(engine) = answering(facts) {
        let version = engine.cgroup_version.as_deref().unwrap_or("1");
        let driver = engine.cgroup_driver.as_deref().unwrap_or("unknown");
        let found = format!("version {version}, made by {driver}");
        if !engine.limits {
            return Check::new(CGROUPS, Status::Warning, format!("{found}, without limits"))
                .hint("limits of memory and processes in the compose file are not enforced");
        }
        return Check::new(CGROUPS, Status::Ok, found);
    }
    match &facts.cgroups {
        Cgroups::V2 => Check::new(CGROUPS, Status::Ok, "version 2"),
        Cgroups::V1(controllers) => {
            Check::new(CGROUPS, Status::Ok, format!("version 1: {}", controllers.join(", ")))
        }
        Cgroups::Unmounted => Check::new(CGROUPS, Status::Warning, "not mounted at /sys/fs/cgroup")
            .hint("`devenv doctor --fix` mounts them when it starts the engine"),
    }
}

fn base(facts: &Facts) -> Check {
    match &facts.base {
        None => needs_engine(BASE_IMAGE),
        Some(Some(image)) => {
            Check::new(BASE_IMAGE, Status::Ok, format!("{}, {}", base_image::NAME, bytes(image.size)))
        }
        Some(None) => {
            let found = format!("{} is missing", base_image::NAME);
            let pulled = vec![
                format!("docker pull {}", base_image::OFFICIAL),
                format!("docker tag {} {}", base_image::OFFICIAL, base_image::NAME),
            ];
            if matches!(facts.registry, Registry::Reached(_)) {
                return Check::new(BASE_IMAGE, Status::Fixable, found)
                    .hint("`devenv doctor --fix` would pull it")
                    .commands(pulled);
            }
            if !facts.distribution.family.has_apt() {
                return Check::new(BASE_IMAGE, Status::Failed, found)
                    .hint("reach a registry, or load the image on this machine with `docker load`")
                    .commands(pulled);
            }
            let mut commands =
                if facts.mmdebstrap { Vec::new() } else { facts.install(&bootstrap::PACKAGES) };
            let make = facts.as_root(&format!(
                "mmdebstrap --variant=minbase --include=ca-certificates {} -",
                bootstrap::SUITE
            ));
            commands.push(format!("{make} {} | docker import - {}", apt::DEBIAN, base_image::NAME));
            Check::new(BASE_IMAGE, Status::Fixable, found)
                .hint(by_doctor(facts, "make it from Debian's packages"))
                .commands(commands)
        }
    }
}

fn registry(facts: &Facts) -> Check {
    match &facts.registry {
        Registry::Reached(None) => Check::new(REGISTRY, Status::Ok, "Docker Hub answers"),
        Registry::Reached(Some(through)) => {
            Check::new(REGISTRY, Status::Ok, format!("reached through {through}"))
        }
        Registry::Unreached(why) => Check::new(REGISTRY, Status::Warning, format!("not reachable: {why}"))
            .hint("images that have a build recipe are built from Debian's packages instead"),
        Registry::NotAsked => Check::new(REGISTRY, Status::Skipped, "not asked: nothing has to be pulled"),
    }
}

fn disk(facts: &Facts) -> Check {
    let engines = facts.disk.as_ref().filter(|_| facts.local());
    let disks = [(engines, "the engine"), (facts.here.as_ref(), "this directory")];
    let mut found: Vec<String> = Vec::new();
    let mut statuses = Vec::new();
    for (disk, what) in disks.into_iter().filter_map(|(disk, what)| disk.map(|disk| (disk, what))) {
        let (status, few) = room(disk);
        statuses.push(status);
        found.push(format!("{} free{few} for {what} ({})", bytes(disk.free), disk.path.display()));
    }
    if facts.local() && engines.is_none() {
        statuses.push(Status::Warning);
        found.push("the engine's disk did not answer".to_owned());
    }
    let worst = [Status::Failed, Status::Warning].into_iter().find(|status| statuses.contains(status));
    let check = Check::new(DISK, worst.unwrap_or(Status::Ok), found.join("; "));
    match worst {
        None => check,
        Some(_) => check
            .hint("a stack with its images needs some 5 GiB; `docker system df` shows what the engine holds"),
    }
}

/// Whether a disk has room, and a word about its number of files where that is the trouble.
fn room(disk: &Disk) -> (Status, String) {
    let few = disk.free_files.filter(|files| *files < 10_000);
    let status = if disk.free < GIB || few.is_some() {
        Status::Failed
    } else if disk.free < 10 * GIB {
        Status::Warning
    } else {
        Status::Ok
    };
    (status, few.map_or_else(String::new, |files| format!(" ({files} more files)")))
}

fn pool(facts: &Facts) -> Check {
    if answering(facts).is_none() {
        return needs_engine(POOL);
    }
    let status = match &facts.pool {
        None => return Check::new(POOL, Status::Ok, "none yet: the first branch makes it"),
        Some(Found::Asleep) => return Check::new(POOL, Status::Ok, "asleep; whoever needs it wakes it"),
        Some(Found::Silent(why)) => {
            return Check::new(POOL, Status::Failed, format!("cannot be asked: {why}"))
                .hint("`devenv pool check` says more");
        }
        Some(Found::Answers(status)) => status,
    };
    let found = format!("{}, {} free of {}", status.driver.word(), bytes(status.free), bytes(status.total));
    if status.read_only {
        return Check::new(POOL, Status::Failed, format!("{found}; it can only be read"))
            .hint("an error of the disk makes a file system read-only: `devenv pool check` says more");
    }
    if status.free < status.floor {
        return Check::new(
            POOL,
            Status::Warning,
            format!("{found}; {} have to stay free", bytes(status.floor)),
        )
        .hint("`devenv gc` takes away what was deleted, `devenv pool grow` makes the pool larger");
    }
    if status.image.is_some() && !status.allocated {
        return Check::new(POOL, Status::Warning, format!("{found}; its file has holes"))
            .hint("when the disk below it is full, all branches can only be read: `devenv pool check`");
    }
    Check::new(POOL, Status::Ok, found)
}

fn memory(facts: &Facts) -> Check {
    let (total, available) = match (facts.memory, answering(facts)) {
        (Some(memory), _) if facts.local() => (memory.total, Some(memory.available)),
        (_, Some(engine)) => (engine.memory, None),
        _ => return Check::new(MEMORY, Status::Skipped, "not known"),
    };
    let found = match available {
        Some(available) => format!("{} of {} available", bytes(available), bytes(total)),
        None => format!("{} on the engine's machine", bytes(total)),
    };
    let low = available.unwrap_or(total) < GIB;
    if low {
        return Check::new(MEMORY, Status::Warning, found)
            .hint("a whole stack uses some 0.5 GiB, and building its images more");
    }
    Check::new(MEMORY, Status::Ok, found)
}

fn ports(facts: &Facts) -> Check {
    if facts.wanted.is_empty() {
        return Check::new(PORTS, Status::Skipped, "none are asked for");
    }
    if !facts.local() {
        return Check::new(PORTS, Status::Skipped, "they are on the engine's machine");
    }
    let lines: Vec<String> = facts
        .taken
        .iter()
        .map(|taken| {
            let wanted: Vec<&str> = facts
                .wanted
                .iter()
                .filter(|port| port.number == taken.port)
                .map(|port| port.wanted_by.as_str())
                .collect();
            format!("{} (for {}) is held by {}", taken.port, wanted.join(", "), holder(taken))
        })
        .collect();
    match lines.split_first() {
        None => {
            let numbers: Vec<String> = facts.wanted.iter().map(|port| port.number.to_string()).collect();
            Check::new(PORTS, Status::Ok, format!("free: {}", numbers.join(", ")))
        }
        Some((first, rest)) => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            let mut check = Check::new(PORTS, Status::Warning, format!("{first}{more}"))
                .hint("end that program, or give the service another port");
            check.details = lines;
            check
        }
    }
}

/// Who holds a port, in words.
pub(super) fn holder(taken: &Taken) -> String {
    match &taken.process {
        Some(process) => {
            let program = process.command.split(' ').next().unwrap_or_default();
            let container = if Path::new(program).ends_with("docker-proxy") { "a container: " } else { "" };
            format!("{container}process {}, `{}`", process.pid, process.command)
        }
        None => format!("a process of user {} that cannot be seen from here", taken.uid),
    }
}

fn git(facts: &Facts) -> Check {
    let Some(said) = &facts.git else {
        let check = Check::new(GIT, Status::Failed, "not installed").hint("install git");
        if facts.distribution.family.has_apt() {
            let mut check = check.commands(facts.install(&["git"]));
            check.status = Status::Fixable;
            return check;
        }
        return check;
    };
    let version = said.trim().trim_start_matches("git version ").to_owned();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if (major, minor) < OLDEST_GIT {
        return Check::new(GIT, Status::Warning, version)
            .hint(format!("use git {}.{} or newer", OLDEST_GIT.0, OLDEST_GIT.1));
    }
    Check::new(GIT, Status::Ok, version)
}

fn clock(facts: &Facts) -> Check {
    let hint = "set the clock (`timedatectl set-ntp true`); certificates and tokens depend on it";
    if facts.now < FLOOR {
        return Check::new(CLOCK, Status::Failed, "the clock of this machine stands before 2026").hint(hint);
    }
    match answering(facts).and_then(|engine| engine.clock) {
        None => Check::new(CLOCK, Status::Ok, "plausible"),
        Some(engine) if (engine - facts.now).abs() > DRIFT => {
            let drift = engine - facts.now;
            let way = if drift > 0 { "ahead of" } else { "behind" };
            Check::new(CLOCK, Status::Warning, format!("the engine's clock is {} s {way} ours", drift.abs()))
                .hint(hint)
        }
        Some(_) => Check::new(CLOCK, Status::Ok, "agrees with the engine's"),
    }
}

fn authorities(facts: &Facts) -> Check {
    match &facts.authorities {
        Some((path, count)) => Check::new(
            AUTHORITIES,
            Status::Ok,
            format!("{count} in {}, handed to image builds", path.display()),
        ),
        None => {
            Check::new(AUTHORITIES, Status::Warning, "no bundle of certificate authorities on this machine")
                .hint("npm and cargo inside image builds rely on those of the base image")
                .commands(if facts.distribution.family.has_apt() {
                    facts.install(&["ca-certificates"])
                } else {
                    Vec::new()
                })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::endpoint::{Host, Owner};
    use crate::machine::ports::Process;
    use crate::storage::protocol;

    const MIB: u64 = 1 << 20;

    fn engine_facts() -> engine::Facts {
        engine::Facts {
            version: "20.10.24".to_owned(),
            api: "1.41".to_owned(),
            platform: "linux/x86_64".to_owned(),
            root: "/var/lib/docker".to_owned(),
            cgroup_version: Some("1".to_owned()),
            cgroup_driver: Some("cgroupfs".to_owned()),
            limits: true,
            storage: "overlay2".to_owned(),
            memory: 8 * GIB,
            rootless: false,
            proxies: Vec::new(),
            mirrors: Vec::new(),
            clock: Some(FLOOR + 100),
            warnings: Vec::new(),
        }
    }

    /// A machine where everything is in order, asked by root.
    fn healthy() -> Facts {
        let disk =
            |path: &str| Some(Disk { path: path.into(), total: 100 * GIB, free: 50 * GIB, free_files: None });
        Facts {
            user: User { uid: 0, name: Some("root".to_owned()) },
            distribution: Distribution::parse("ID=debian"),
            systemd: false,
            endpoint: Some(Endpoint {
                host: Host::Unix("/var/run/docker.sock".into()),
                source: Source::Default,
            }),
            engine: Engine::Answers(Box::new(engine_facts())),
            installed: true,
            base: Some(Some(BaseImage { id: "x".to_owned(), size: 80 * MIB })),
            pool: None,
            mmdebstrap: true,
            cgroups: Cgroups::V2,
            memory: Some(Memory { total: 8 * GIB, available: 4 * GIB }),
            disk: disk("/var/lib/docker"),
            here: disk("/work"),
            registry: Registry::Reached(None),
            git: Some("git version 2.39.5\n".to_owned()),
            wanted: Vec::new(),
            taken: Vec::new(),
            authorities: Some(("/etc/ssl/certs/ca-certificates.crt".into(), 142)),
            now: FLOOR + 90,
        }
    }

    fn as_ann(mut facts: Facts) -> Facts {
        facts.user = User { uid: 1000, name: Some("ann".to_owned()) };
        facts
    }

    fn without_engine(installed: bool) -> Facts {
        let path = "/var/run/docker.sock".into();
        Facts {
            engine: Engine::Absent(EndpointError::SocketMissing { path }),
            installed,
            base: None,
            ..healthy()
        }
    }

    fn check(facts: &Facts, id: &str) -> Check {
        checks(facts).into_iter().find(|check| check.id == id).unwrap()
    }

    #[test]
    fn a_healthy_machine_needs_nothing() {
        let facts = healthy();
        assert!(remedies(&facts).is_empty());
        let wrong: Vec<Check> = checks(&facts)
            .into_iter()
            .filter(|check| !matches!(check.status, Status::Ok | Status::Skipped))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_bare_machine_gets_an_engine() {
        let facts = without_engine(false);
        assert_eq!(remedies(&facts), [Remedy::InstallEngine]);
        let engine = check(&facts, "engine");
        assert_eq!(engine.status, Status::Fixable);
        assert_eq!(
            engine.commands,
            [
                "apt-get update",
                "apt-get install --yes --no-install-recommends docker.io iptables ca-certificates",
                "sh -c 'setsid dockerd >>/var/log/dockerd.log 2>&1 &'"
            ]
        );
        assert_eq!(check(&facts, "base-image").status, Status::Skipped);
    }

    #[test]
    fn without_root_the_exact_commands_are_shown() {
        let facts = Facts { systemd: true, ..as_ann(without_engine(true)) };
        assert_eq!(remedies(&facts), [Remedy::StartEngine]);
        assert_eq!(check(&facts, "engine").commands, ["sudo systemctl start docker"]);
        let facts = Facts { systemd: true, ..as_ann(without_engine(false)) };
        assert!(check(&facts, "engine").commands.iter().all(|command| command.starts_with("sudo apt-get ")));
    }

    #[test]
    fn an_engine_that_was_named_is_never_installed_or_started() {
        let mut facts = without_engine(false);
        facts.endpoint.as_mut().unwrap().source = Source::DockerHost;
        assert!(remedies(&facts).is_empty());
        let engine = check(&facts, "engine");
        assert_eq!(engine.status, Status::Failed);
        assert!(engine.hint.unwrap().contains("DOCKER_HOST"));
    }

    #[test]
    fn another_distribution_is_told_where_to_look() {
        let facts = Facts { distribution: Distribution::parse("ID=fedora"), ..without_engine(false) };
        assert!(remedies(&facts).is_empty());
        assert!(check(&facts, "engine").hint.unwrap().contains("docs.docker.com"));
    }

    #[test]
    fn a_denied_socket_is_fixed_by_joining_its_group() {
        let denied = |listed| {
            let owner = Owner { group: "docker".to_owned(), group_may: true, member: false, listed };
            let problem = EndpointError::Denied { path: "/var/run/docker.sock".into(), owner: Some(owner) };
            as_ann(Facts { engine: Engine::Absent(problem), base: None, ..healthy() })
        };
        assert_eq!(
            check(&denied(false), "engine").commands,
            ["sudo usermod -aG docker ann", "newgrp docker"]
        );
        assert_eq!(check(&denied(true), "engine").commands, ["newgrp docker"]);
        assert!(remedies(&denied(false)).is_empty());
    }

    #[test]
    fn a_silent_engine_fails() {
        let endpoint = healthy().endpoint.unwrap();
        let problem = EndpointError::Silent { host: endpoint.host, after: std::time::Duration::from_secs(4) };
        let facts = Facts { engine: Engine::Absent(problem), base: None, ..healthy() };
        assert_eq!(check(&facts, "engine").status, Status::Failed);
    }

    #[test]
    fn the_base_image_is_pulled_or_made() {
        let missing = Facts { base: Some(None), ..healthy() };
        assert_eq!(remedies(&missing), [Remedy::ObtainBaseImage]);
        assert_eq!(check(&missing, "base-image").commands[0], "docker pull debian:trixie-slim");
        let cut_off = Facts {
            base: Some(None),
            registry: Registry::Unreached("no route".to_owned()),
            mmdebstrap: false,
            ..as_ann(healthy())
        };
        assert_eq!(
            check(&cut_off, "base-image").commands,
            [
                "sudo apt-get update",
                "sudo apt-get install --yes --no-install-recommends mmdebstrap debian-archive-keyring",
                "sudo mmdebstrap --variant=minbase --include=ca-certificates trixie - \
                 http://deb.debian.org/debian | docker import - devenv.local/debian:trixie"
            ]
        );
        assert_eq!(check(&cut_off, "registry").status, Status::Warning);
    }

    #[test]
    fn little_room_warns_and_none_fails() {
        let with = |free| {
            let disk = Some(Disk { path: "/".into(), total: 100 * GIB, free, free_files: None });
            check(&Facts { disk, ..healthy() }, "disk").status
        };
        assert_eq!(with(20 * GIB), Status::Ok);
        assert_eq!(with(4 * GIB), Status::Warning);
        assert_eq!(with(100 * MIB), Status::Failed);
        assert_eq!(check(&Facts { disk: None, ..healthy() }, "disk").status, Status::Warning);
    }

    #[test]
    fn a_pool_that_ends_branches_is_told() {
        let status = protocol::Status {
            version: 1,
            driver: protocol::Driver::Reflink,
            total: 20 * GIB,
            free: 12 * GIB,
            floor: GIB,
            host_free: 50 * GIB,
            image: Some(20 * GIB),
            allocated: true,
            read_only: false,
        };
        let with = |status| check(&Facts { pool: Some(Found::Answers(status)), ..healthy() }, "pool");
        assert_eq!(with(status.clone()).found, "reflink, 12 GiB free of 20 GiB");
        assert_eq!(with(protocol::Status { read_only: true, ..status.clone() }).status, Status::Failed);
        assert_eq!(with(protocol::Status { free: MIB, ..status.clone() }).status, Status::Warning);
        assert_eq!(with(protocol::Status { allocated: false, ..status }).status, Status::Warning);
        let asleep = check(&Facts { pool: Some(Found::Asleep), ..healthy() }, "pool");
        assert_eq!(asleep.status, Status::Ok);
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let wanted = vec![Port { number: 5432, wanted_by: "db".to_owned() }];
        let free = Facts { wanted: wanted.clone(), ..healthy() };
        assert_eq!(check(&free, "ports").found, "free: 5432");
        let taken =
            |process| Taken { port: 5432, address: std::net::Ipv4Addr::LOCALHOST.into(), process, uid: 7 };
        let process = Process { pid: 9, command: "postgres -D /x".to_owned() };
        let held = Facts { wanted: wanted.clone(), taken: vec![taken(Some(process))], ..healthy() };
        assert_eq!(check(&held, "ports").found, "5432 (for db) is held by process 9, `postgres -D /x`");
        let hidden = Facts { wanted, taken: vec![taken(None)], ..healthy() };
        assert_eq!(
            check(&hidden, "ports").found,
            "5432 (for db) is held by a process of user 7 that cannot be seen from here"
        );
    }

    #[test]
    fn clocks_are_compared() {
        assert_eq!(check(&Facts { now: FLOOR - 1, ..healthy() }, "clock").status, Status::Failed);
        let late = check(&Facts { now: FLOOR + 400, ..healthy() }, "clock");
        assert_eq!(late.found, "the engine's clock is 300 s behind ours");
        assert_eq!(late.status, Status::Warning);
    }

    #[test]
    fn git_is_needed_and_not_too_old() {
        let old = Facts { git: Some("git version 2.17.1".to_owned()), ..healthy() };
        assert_eq!(check(&old, "git").status, Status::Warning);
        let none = Facts { git: None, ..healthy() };
        assert_eq!(
            (check(&none, "git").status, remedies(&none)),
            (Status::Fixable, vec![Remedy::InstallGit])
        );
    }
}
