//! The facts, collected from the edges side by side. Everything has a time limit; together they end within
//! ten seconds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Request;
use super::judge::{Engine, Facts, Registry};
use crate::engine::base_image::{self, BaseImage};
use crate::engine::credentials::Credentials;
use crate::engine::endpoint::{self, Docker, Endpoint};
use crate::engine::{Lent, build, facts};
use crate::machine::network::{self, Unreached};
use crate::machine::{Programs, aside, authorities, dockerd, ports, system};
use crate::ops::pool;

/// How long an engine may take to answer its first question, and then each further group of questions.
const FIRST_ANSWER: Duration = Duration::from_secs(4);
const NEXT_ANSWER: Duration = Duration::from_secs(2);

/// How long everything else may take.
const OTHERS: Duration = Duration::from_secs(2);

/// How long a connection to the registry may take.
const REGISTRY: Duration = Duration::from_millis(1500);

/// Where Docker Hub answers.
const HUB: (&str, u16) = ("registry-1.docker.io", 443);

/// Where an engine keeps its data unless it says otherwise.
const USUAL_ROOT: &str = "/var/lib/docker";

/// Collects everything. The registry is only asked when `ask_registry` says so.
pub(super) async fn gather(request: &Request, ask_registry: bool) -> Facts {
    let programs = programs(request);
    let git = async { programs.output("git", &["--version"], OTHERS).await.ok() };
    let numbers: Vec<u16> = request.ports.iter().map(|port| port.number).collect();
    let taken = aside(OTHERS, move || ports::taken(Path::new("/proc"), &numbers));
    let directory = request.directory.clone();
    let here = aside(OTHERS, move || system::disk(&directory));
    let named = variable(request, "SSL_CERT_FILE");
    let bundle = aside(OTHERS, move || {
        let found = authorities::find(named.as_deref(), |path| std::fs::read_to_string(path));
        found.map(|bundle| (bundle.path, bundle.certificates))
    });
    let registry = async { if ask_registry { direct().await } else { Registry::NotAsked } };
    let ((endpoint, engine, base, pool, disk), registry, git, taken, here, authorities) =
        tokio::join!(engine(request), registry, git, taken, here, bundle);
    let registry = match (&engine, registry) {
        (Engine::Answers(engine), Registry::Unreached(why)) => {
            let (proxies, mirrors) = (&engine.proxies, &engine.mirrors);
            through(proxies, mirrors).await.unwrap_or(Registry::Unreached(why))
        }
        (_, registry) => registry,
    };
    Facts {
        user: system::User::current(),
        distribution: system::distribution(),
        systemd: system::has_systemd(),
        endpoint,
        engine,
        installed: dockerd::is_installed(&programs),
        base,
        pool,
        mmdebstrap: programs.find("mmdebstrap").is_some(),
        cgroups: system::cgroups(),
        memory: system::memory(),
        disk,
        here: here.flatten(),
        registry,
        git,
        wanted: request.ports.clone(),
        taken: taken.unwrap_or_default(),
        authorities: authorities.flatten(),
        now: crate::ops::now(),
    }
}

/// The programs that the request allows.
pub(super) fn programs(request: &Request) -> Programs {
    Programs::new(request.path.as_deref(), request.environment.clone())
}

fn variable(request: &Request, name: &str) -> Option<PathBuf> {
    let (_, value) = request.environment.iter().find(|(known, _)| known == name)?;
    Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty())
}

type EngineFacts =
    (Option<Endpoint>, Engine, Option<Option<BaseImage>>, Option<pool::Found>, Option<system::Disk>);

/// The engine, its base image, the pool and its disk.
async fn engine(request: &Request) -> EngineFacts {
    let endpoint = match endpoint::resolve_here(&request.engine) {
        Ok(endpoint) => endpoint,
        Err(problem) => return (None, Engine::Absent(problem), None, None, None),
    };
    let local = endpoint.host.is_local();
    let disk_of = |root: PathBuf| async move {
        if local { aside(OTHERS, move || system::disk(&root)).await.flatten() } else { None }
    };
    let engine = match endpoint::connect(&endpoint, FIRST_ANSWER).await {
        Ok(engine) => engine,
        Err(problem) => {
            let disk = disk_of(PathBuf::from(USUAL_ROOT)).await;
            return (Some(endpoint), Engine::Absent(problem), None, None, disk);
        }
    };
    let pool = look_at_pool(request, &endpoint, &engine);
    let (told, pool) = tokio::join!(tokio::time::timeout(NEXT_ANSWER, tell(&engine)), pool);
    let (engine, base, root) = match told {
        Ok(Ok((facts, base))) => {
            let root = PathBuf::from(&facts.root);
            (Engine::Answers(Box::new(facts)), Some(base), root)
        }
        Ok(Err(problem)) => (Engine::Broken(problem.to_string()), None, PathBuf::from(USUAL_ROOT)),
        Err(_) => {
            let said = format!("no answer within {} s", NEXT_ANSWER.as_secs());
            (Engine::Broken(said), None, PathBuf::from(USUAL_ROOT))
        }
    };
    let disk = disk_of(root).await;
    (Some(endpoint), engine, base, pool, disk)
}

/// The pool; one that keeps silent is told as such.
async fn look_at_pool(request: &Request, endpoint: &Endpoint, engine: &Docker) -> Option<pool::Found> {
    let lent = Lent {
        endpoint: build::Endpoint::from_host(&endpoint.host.to_string())?,
        ca_bundle: None,
        credentials: Credentials::default(),
    };
    let engine = crate::engine::Engine::new(engine.clone(), lent);
    let silent = || format!("no answer within {} s", NEXT_ANSWER.as_secs());
    let looked = tokio::time::timeout(NEXT_ANSWER, pool::look(&engine, &request.pool)).await;
    looked.unwrap_or_else(|_| Some(pool::Found::Silent(silent())))
}

async fn tell(engine: &Docker) -> Result<(facts::Facts, Option<BaseImage>), facts::Error> {
    tokio::try_join!(facts::facts(engine), base_image::find(engine))
}

/// Whether Docker Hub can be reached from here.
pub(super) async fn direct() -> Registry {
    match network::reach(HUB.0, HUB.1, REGISTRY).await {
        Ok(_) => Registry::Reached(None),
        Err(why @ (Unreached::Unknown(_) | Unreached::Refused(_) | Unreached::Silent(_))) => {
            Registry::Unreached(why.to_string())
        }
    }
}

/// Whether the engine can reach it by a way of its own: one of its proxies or mirrors answers.
pub(super) async fn through(proxies: &[String], mirrors: &[String]) -> Option<Registry> {
    tokio::time::timeout(REGISTRY, first_way(proxies, mirrors)).await.ok().flatten()
}

async fn first_way(proxies: &[String], mirrors: &[String]) -> Option<Registry> {
    for (ways, what) in [(proxies, "proxy"), (mirrors, "mirror")] {
        for way in ways {
            if let Some((host, port)) = network::proxy_address(way)
                && network::reach(&host, port, REGISTRY).await.is_ok()
            {
                return Some(Registry::Reached(Some(format!("the engine's {what} {host}:{port}"))));
            }
        }
    }
    None
}
