//! The gateway at the engine: found, made where it is missing, and told what it cannot see there.
//!
//! One container per machine, on the network of the machine itself, with the engine's socket, and a small volume in
//! which it remembers. `DEVENV_GATEWAY` gives it another name, or `off`.

pub mod fleet;
mod trust;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::TcpStream;

pub use trust::{Distrust, Trust, distrust, trust};

use super::{Context, branch, failures, pool};
use crate::base::{Event, Failure, Kind};
use crate::compose::Project;
use crate::engine::Engine;
use crate::engine::endpoint::{self, Host};
use crate::engine::own::{LABEL, Own};
use crate::gateway::memory::{Fixed, Protocol, Span};
use crate::gateway::name;
use crate::gateway::protocol::{Answer, Ask, Route, Status, VERSION};
use crate::plan::gateway::{self as wishes, Idle, Leads, Speaks};
use crate::plan::observed::{Container, State};
use crate::talk::{Conversation, TalkError};

const KIND: &str = "gateway";
const GATEWAY_VERSION: &str = "dev.devenv.gateway.version";
/// The port that it was asked to serve on, `auto` for none.
const GATEWAY_PORT: &str = "dev.devenv.gateway.port";
/// Where the volume and the socket are inside.
const FOLDER: &str = "/memory";
const SOCKET: &str = "/engine.sock";
/// Enough for tens of thousands of connections.
const MEMORY: i64 = 512 << 20;
/// What the C library's allocator is told (mallopt(3)): one arena for the few threads there are, and what is free at
/// its end goes back at once.
const FRUGAL: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "131072"), ("MALLOC_MMAP_THRESHOLD_", "131072")];
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that answers.
pub struct Gateway {
    conversation: Conversation<Answer>,
}

/// How it is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The port of host names; none for the one it has, or 80, or the next that is free.
    pub port: Option<u16>,
    /// After how long without traffic environments are put to sleep; none to leave it as it is.
    pub idle: Option<Span>,
}

impl Gateway {
    /// Asks it.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let talked = async { self.conversation.ask(ask).await?.next(PATIENCE).await };
        match talked.await.map_err(|error: TalkError| {
            Failure::new(Kind::Failed, "the gateway did not answer")
                .source(error)
                .hint("`devenv gateway up` starts it anew")
        })? {
            Answer::Failed(why) => Err(Failure::new(Kind::Failed, format!("the gateway: {why}"))),
            answer => Ok(answer),
        }
    }

    /// Asks what has no answer but that it was done.
    async fn order(&self, ask: Ask) -> Result<(), Failure> {
        self.ask(ask).await.map(|_| ())
    }

    /// What it does.
    pub async fn status(&self) -> Result<Status, Failure> {
        match self.ask(Ask::Status).await? {
            Answer::Status(status) => Ok(*status),
            _ => Err(not_understood()),
        }
    }

    /// What leads where.
    pub async fn routes(&self) -> Result<Vec<Route>, Failure> {
        match self.ask(Ask::Routes).await? {
            Answer::Routes(routes) => Ok(routes),
            _ => Err(not_understood()),
        }
    }

    /// Lets a project's short names and fixed ports lead to this environment from now on.
    pub async fn announce(&self, project: &str, environment: &str) -> Result<(), Failure> {
        let (project, environment) = (project.to_owned(), Some(environment.to_owned()));
        self.order(Ask::Current { project, environment }).await
    }

    /// Says which branch of the data an environment works on, which a connection may name.
    pub async fn works_on(
        &self,
        project: &str,
        environment: &str,
        branch: Option<&str>,
    ) -> Result<(), Failure> {
        let (project, environment) = (project.to_owned(), environment.to_owned());
        self.order(Ask::Branch { project, environment, branch: branch.map(str::to_owned) }).await
    }

    /// Lets a port of this machine lead to a service of a project's current environment; `None` gives it up.
    pub async fn port(&self, port: u16, leads: Option<Fixed>) -> Result<(), Failure> {
        self.order(Ask::Port { port, leads }).await
    }

    /// Says after how long without traffic environments are put to sleep: all, those of a project, or one.
    pub async fn idle(
        &self,
        project: Option<&str>,
        environment: Option<&str>,
        after: Option<Span>,
    ) -> Result<(), Failure> {
        let (project, environment) = (project.map(str::to_owned), environment.map(str::to_owned));
        self.order(Ask::Idle { project, environment, after }).await
    }

    /// Puts an environment to sleep now.
    pub async fn sleep(&self, project: &str, environment: &str) -> Result<(), Failure> {
        let (project, environment) = (project.to_owned(), environment.to_owned());
        self.order(Ask::Sleep { project, environment }).await
    }

    /// Lets go of the ports of a Compose project that is asleep. Whoever is about to start its containers says so
    /// first: they could not have them otherwise.
    pub async fn release(&self, stack: &str) -> Result<(), Failure> {
        self.order(Ask::Release { stack: stack.to_owned() }).await
    }
}

fn not_understood() -> Failure {
    Failure::new(Kind::Failed, "the gateway answered something else than what it was asked")
        .hint("`devenv gateway up` starts it anew")
}

impl Context {
    /// The gateway's name: one for a machine, unless the environment says otherwise; none where it is off.
    #[must_use]
    pub fn gateway_name(&self) -> Option<String> {
        match self.environment.get("DEVENV_GATEWAY").map_or("", String::as_str) {
            "" => Some("devenv-gateway".to_owned()),
            "off" => None,
            name => Some(name.to_owned()),
        }
    }

    /// The same for a command about nothing else.
    fn named_gateway(&self) -> Result<String, Failure> {
        self.gateway_name().ok_or_else(|| {
            Failure::new(Kind::Usage, "the gateway is off: DEVENV_GATEWAY says so")
                .hint("unset it, or let it name one")
        })
    }
}

/// The gateway that runs, for who works without one as well: never fails, what is wrong is a warning. None where it is
/// off by `DEVENV_GATEWAY=off`.
pub async fn running(context: &Context, engine: &Engine) -> Option<Gateway> {
    let name = context.gateway_name()?;
    talk(engine, &name, None).await.unwrap_or_else(|failure| {
        warn(context, failure);
        None
    })
}

/// The gateway on behalf of a project, beside other work: the one that runs, or one that is made where the project asks
/// for it (`x-devenv: {gateway: true}`). Never fails, as [`running`] does not. None where it is off, by
/// `DEVENV_GATEWAY=off` or `x-devenv: {gateway: false}`.
pub async fn ensure(
    context: &Context,
    engine: &Engine,
    project: &Project,
    running: Option<Gateway>,
) -> Option<Gateway> {
    // What is wrong with it was told when the file was read.
    let wanted = wishes::read(project).unwrap_or_default().on;
    if running.is_some() || wanted != Some(true) {
        return running.filter(|_| wanted != Some(false));
    }
    let made = running_or_made(context, engine, &context.gateway_name()?, None).await;
    made.map_err(|failure| warn(context, failure)).ok()
}

/// The project and the environment that a command is about, as labels of a host name.
#[must_use]
pub fn place(context: &Context) -> Option<(String, String)> {
    let standing = context.standing.as_ref()?;
    Some((name::label(&standing.base), name::label(&standing.label)))
}

/// Tells the gateway that the context's environment is its project's current one, and which branch of the data it works
/// on. Never fails, as [`ensure`] does not.
pub async fn announce(context: &Context, gateway: &Gateway, branch: Option<&str>) {
    let Some((project, environment)) = place(context) else { return };
    let announced = async {
        gateway.works_on(&project, &environment, branch).await?;
        gateway.announce(&project, &environment).await?;
        trust::refresh(context, gateway).await
    };
    if let Err(failure) = announced.await {
        warn(context, failure);
    }
}

/// Tells the gateway what a project's compose file says of ports and of sleep. Never fails, as [`ensure`] does not.
pub async fn declare(context: &Context, gateway: &Gateway, project: &Project) {
    let (Some((name, _)), Ok(wanted)) = (place(context), wishes::read(project)) else { return };
    let ports = wanted.ports.iter().map(|(port, leads)| (*port, fixed(&name, leads))).collect();
    let idle = wanted.idle.map(span);
    if let Err(failure) = gateway.order(Ask::Declared { project: name, idle, ports }).await {
        let hint = "`devenv gateway port` shows which lead where, `--off` gives one up";
        warn(context, failure.hint(hint));
    }
}

fn fixed(project: &str, leads: &Leads) -> Fixed {
    Fixed {
        project: project.to_owned(),
        service: leads.service.clone(),
        container_port: leads.container_port,
        protocol: match leads.speaks {
            Speaks::Http => Protocol::Http,
            Speaks::Postgres => Protocol::Postgres,
            Speaks::Tcp => Protocol::Tcp,
        },
        declared: false,
    }
}

/// A span as the gateway has it.
#[must_use]
pub fn span(idle: Idle) -> Span {
    match idle {
        Idle::Never => Span::Never,
        Idle::Seconds(seconds) => Span::Seconds(seconds),
    }
}

/// Lets a port of this machine lead to a service of the project's current environment, as `SERVICE[:PORT][/PROTOCOL]`
/// says, or gives it up.
pub async fn port(context: &Context, port: u16, leads: Option<&str>) -> Result<Status, Failure> {
    let leads = match leads {
        Some(text) => {
            let subject = context.subject(&[])?;
            let leads =
                wishes::leads(&subject.project, text).map_err(|why| Failure::new(Kind::Usage, why))?;
            let name = place(context).map_or_else(|| name::label(&subject.project.name), |(name, _)| name);
            Some(fixed(&name, &leads))
        }
        None => None,
    };
    let gateway = existing(context).await?;
    if leads.is_none() && !gateway.status().await?.ports.iter().any(|it| it.port == port) {
        return Err(Failure::new(Kind::Failed, format!("port {port} leads nowhere"))
            .hint("`devenv gateway port` shows those that lead somewhere"));
    }
    gateway.port(port, leads).await?;
    gateway.status().await
}

/// Of what it is said after how long without traffic it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The context's environment.
    Environment,
    /// All of its project.
    Project,
    /// All that devenv made and nothing else is said of.
    All,
}

/// Says after how long without traffic environments sleep; none for what holds where nothing is said.
pub async fn idle(context: &Context, whose: Whose, after: Option<Span>) -> Result<Status, Failure> {
    let (project, environment) = match whose {
        Whose::All => (None, None),
        Whose::Environment | Whose::Project => {
            let (project, environment) = place(context).ok_or_else(|| {
                Failure::new(Kind::Usage, "there is no project here").hint("`--all-projects` says it of all")
            })?;
            (Some(project), (whose == Whose::Environment).then_some(environment))
        }
    };
    let gateway = existing(context).await?;
    gateway.idle(project.as_deref(), environment.as_deref(), after).await?;
    gateway.status().await
}

/// [`announce`] for a command that has no gateway at hand and starts nothing: one that runs is told, and none is made.
pub async fn tell(context: &Context) {
    // Where there is no engine, there is no gateway either.
    let (Ok(engine), Ok(subject)) = (context.engine().await, context.subject(&[])) else { return };
    if let Some(gateway) = running(context, &engine).await {
        let branch = branch::current_name(context, &engine, subject).await;
        announce(context, &gateway, branch.as_deref()).await;
    }
}

/// Lets the gateway forget the context's environment, which is gone. Never fails, as [`running`] does not.
pub async fn forget(context: &Context, engine: &Engine) {
    let (Some(gateway), Some((project, environment))) = (running(context, engine).await, place(context))
    else {
        return;
    };
    if let Err(failure) = gateway.order(Ask::Forget { project, environment }).await {
        warn(context, failure);
    }
}

/// Lets a gateway that runs let go of the ports of a Compose project, before its containers are started. Never fails, as
/// [`running`] does not.
pub async fn release(context: &Context, gateway: &Gateway, stack: &str) {
    if let Err(failure) = gateway.release(stack).await {
        warn(context, failure);
    }
}

fn warn(context: &Context, failure: Failure) {
    let message = format!("without the gateway: {failure}");
    context.events.warn(&Failure { message, source: None, ..failure });
}

/// Starts the gateway, anew where it is another one than wanted.
pub async fn up(context: &Context, wanted: &Wanted) -> Result<Status, Failure> {
    let name = context.named_gateway()?;
    let engine = context.engine().await?;
    let gateway = running_or_made(context, &engine, &name, Some(wanted)).await?;
    if let Some(idle) = wanted.idle {
        gateway.idle(None, None, Some(idle)).await?;
    }
    gateway.status().await
}

/// What a gateway that was taken away leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Whether there was one.
    pub was: bool,
    /// Environments that sleep, which nothing wakes any more.
    pub asleep: Vec<String>,
}

/// Takes the gateway away, and with `forget` what it remembers.
pub async fn down(context: &Context, forget: bool) -> Result<Left, Failure> {
    let name = context.named_gateway()?;
    let engine = context.engine().await?;
    let _lock = context.lock_gateway(&name).await?;
    let mut asleep = Vec::new();
    if let Some(gateway) = talk(&engine, &name, None).await.ok().flatten()
        && let Ok(status) = gateway.status().await
    {
        let sleeping = status.environments.into_iter().filter(|it| it.state == "asleep");
        asleep.extend(sleeping.map(|it| format!("{}/{}", it.project, it.environment)));
    }
    let was = find(&engine, &name).await?.is_some();
    if was {
        engine.remove_container(&name, false).await.map_err(failures::engine)?;
    }
    if forget {
        engine.forget_volume(&name).await.map_err(failures::engine)?;
    }
    Ok(Left { was, asleep })
}

/// The gateway that runs.
pub async fn existing(context: &Context) -> Result<Gateway, Failure> {
    let name = context.named_gateway()?;
    let engine = context.engine().await?;
    if find(&engine, &name).await?.is_none() {
        return Err(Failure::new(Kind::Failed, format!("there is no gateway `{name}`"))
            .hint("`devenv gateway up` starts it"));
    }
    // One that was killed is started again.
    running_or_made(context, &engine, &name, None).await
}

async fn find(engine: &Engine, name: &str) -> Result<Option<Container>, Failure> {
    let found = engine.containers_with(&format!("{LABEL}={KIND}")).await.map_err(failures::engine)?;
    Ok(found.into_iter().find(|container| container.name == name))
}

/// Talks to the gateway, if it runs, is of this version, and is as wanted.
async fn talk(engine: &Engine, name: &str, wanted: Option<&Wanted>) -> Result<Option<Gateway>, Failure> {
    let Some(found) = find(engine, name).await? else { return Ok(None) };
    let label = |key: &str| found.labels.get(key).map(String::as_str).unwrap_or_default();
    let version: u32 = label(GATEWAY_VERSION).parse().unwrap_or(0);
    if version > VERSION {
        return Err(Failure::new(
            Kind::Conflict,
            format!("the gateway `{name}` is that of a newer devenv than this one"),
        )
        .hint("use that one, or upgrade this one"));
    }
    let other_port =
        wanted.and_then(|wanted| wanted.port).is_some_and(|port| label(GATEWAY_PORT) != port.to_string());
    if found.state != State::Running || version < VERSION || other_port {
        return Ok(None);
    }
    let talk = engine.talk(&found.id).await.map_err(failures::engine)?;
    Ok(Some(Gateway { conversation: Conversation::new(talk.hear, talk.say) }))
}

/// The gateway, made if there is none, or another one than wanted.
async fn running_or_made(
    context: &Context,
    engine: &Engine,
    name: &str,
    wanted: Option<&Wanted>,
) -> Result<Gateway, Failure> {
    // One that was told to be another one is replaced by this program's own, at once.
    if wanted.is_none()
        && let Some(gateway) = talk(engine, name, wanted).await?
    {
        return Ok(gateway);
    }
    let _lock = context.lock_gateway(name).await?;
    // Another command may have made it while this one waited.
    if let Some(gateway) = talk(engine, name, wanted).await?
        && (wanted.is_none() || is_of_this_program(context, engine, name).await?)
    {
        return Ok(gateway);
    }
    make(context, engine, name, wanted.and_then(|wanted| wanted.port)).await
}

async fn is_of_this_program(context: &Context, engine: &Engine, name: &str) -> Result<bool, Failure> {
    let image = pool::program_image(context, engine).await?;
    let id = engine.image_id(&image).await.map_err(failures::engine)?;
    Ok(find(engine, name).await?.is_some_and(|found| found.image_id == id))
}

async fn make(context: &Context, engine: &Engine, name: &str, port: Option<u16>) -> Result<Gateway, Failure> {
    let Ok(endpoint) = endpoint::resolve_here(&context.engine_settings()) else {
        return Err(Failure::new(Kind::Unreachable, "the engine has no address"));
    };
    let Host::Unix(socket) = &endpoint.host else {
        return Err(elsewhere(&format!("the engine is at {}", endpoint.host)));
    };
    let image = pool::program_image(context, engine).await?;
    let before = find(engine, name).await?;
    // The port that it was told once stays, until it is told another one.
    let told = before.as_ref().and_then(|it| it.labels.get(GATEWAY_PORT)?.parse().ok());
    let port = port.or(told);
    engine.remove_container(name, false).await.map_err(failures::engine)?;
    let labels = [
        (LABEL, KIND.to_owned()),
        (GATEWAY_VERSION, VERSION.to_string()),
        (GATEWAY_PORT, port.map_or_else(|| "auto".to_owned(), |port| port.to_string())),
    ];
    let volume = BTreeMap::from([(LABEL.to_owned(), KIND.to_owned())]);
    engine.create_own_volume(name, &volume, &BTreeMap::new()).await.map_err(failures::engine)?;
    let mut arguments: Vec<String> =
        ["__gateway", "serve", "--engine", SOCKET, "--folder", FOLDER].map(str::to_owned).into();
    arguments.extend(port.into_iter().flat_map(|port| ["--port".to_owned(), port.to_string()]));
    let path = std::fs::canonicalize(socket).unwrap_or_else(|_| socket.clone());
    let own = Own {
        name: name.to_owned(),
        image,
        arguments,
        environment: FRUGAL.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        volumes: vec![
            (name.to_owned(), FOLDER.to_owned(), false),
            (path.display().to_string(), SOCKET.to_owned(), false),
        ],
        host_network: true,
        stays: true,
        memory: Some(MEMORY),
        ..Own::default()
    };
    let id = match engine.create_own(&own).await {
        Err(error) if error.is_missing_folder() => {
            return Err(elsewhere("its socket is not on its own machine"));
        }
        answer => answer.map_err(failures::engine)?,
    };
    engine.start(&id).await.map_err(failures::engine)?;
    let talk = engine.talk(&id).await.map_err(failures::engine)?;
    let gateway = Gateway { conversation: Conversation::new(talk.hear, talk.say) };
    is_here(context, name, &gateway).await?;
    Ok(gateway)
}

fn elsewhere(why: &str) -> Failure {
    Failure::new(
        Kind::Unreachable,
        format!("the gateway needs an engine on this very machine (for now): {why}"),
    )
    .hint("published ports go on working; DEVENV_GATEWAY=off says that none is wanted")
}

/// Makes sure that a new gateway can be reached: the engine's machine may be a virtual one.
async fn is_here(context: &Context, name: &str, gateway: &Gateway) -> Result<(), Failure> {
    let began = std::time::Instant::now();
    loop {
        let status = gateway.status().await?;
        let Some(port) = status.http_port else {
            if status.notes.is_empty() && began.elapsed() < PATIENCE {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let why = status.notes.last().cloned().unwrap_or_default();
            return Err(Failure::new(Kind::Conflict, format!("the gateway `{name}` has no port: {why}"))
                .hint("`devenv gateway up --port NUMBER` gives it another one"));
        };
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            let outcome = format!("serves http://localhost{}", shown(port));
            let subject = "gateway".to_owned();
            context.events.tell(Event::Done { subject, outcome, took: began.elapsed() });
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(5) {
            return Err(elsewhere("nothing of its network is seen here"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port as it stands in an address.
#[must_use]
pub fn shown(port: u16) -> String {
    if port == 80 { String::new() } else { format!(":{port}") }
}
