//! `exec`, `run`, `cp`: commands in containers, and files in and out.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use super::apply::apply;
use super::inputs;
use super::look::{existing, running};
use super::up::{self, Hands};
use super::{Context, failures, observe};
use crate::base::{Failure, Kind};
use crate::compose::project::Service;
use crate::engine::stream::{Attached, Channel, Command};
use crate::engine::{Engine, Purpose};

/// The caller's side of a session.
#[derive(Clone, Copy)]
pub struct Terminal {
    /// Whether keys go through one by one and the size is told.
    pub tty: bool,
    /// Whether the caller's input is passed on.
    pub stdin: bool,
    /// The size in characters, width and height.
    pub size: fn() -> Option<(u16, u16)>,
}

/// Runs a command in a running container; its exit code becomes ours.
pub async fn exec(
    context: &Context,
    service: &str,
    index: Option<u32>,
    command: &Command,
    terminal: Terminal,
) -> Result<(), Failure> {
    let engine = context.engine().await?;
    let container = running(context, &engine, service, index).await?;
    exec_in(&engine, &container.id, &container.name, command, terminal).await
}

/// The same in a container that is known.
pub(super) async fn exec_in(
    engine: &Engine,
    id: &str,
    name: &str,
    command: &Command,
    terminal: Terminal,
) -> Result<(), Failure> {
    let started = engine.exec(id, command).await;
    let Some(attached) = started.map_err(|error| failures::step("entered", name, error))? else {
        return Ok(());
    };
    let code = session(engine, attached, terminal).await?;
    if code == 0 { Ok(()) } else { Err(status(code)) }
}

fn status(code: i64) -> Failure {
    Failure::new(Kind::Status(u8::try_from(code).unwrap_or(1)), format!("exited with {code}"))
}

/// Passes bytes both ways until the other side's output ends; says the exit code.
async fn session(engine: &Engine, attached: Attached, terminal: Terminal) -> Result<i64, Failure> {
    let Attached { mut output, mut input, what } = attached;
    let tell_size = async || {
        if let (true, Some((width, height))) = (terminal.tty, (terminal.size)()) {
            // A command that has just ended has no terminal to resize.
            let _ = engine.resize(&what, width, height).await;
        }
    };
    let pump = async {
        if terminal.stdin {
            let mut keys = tokio::io::stdin();
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = keys.read(&mut buffer).await {
                if input.write_all(&buffer[..count]).await.is_err() || input.flush().await.is_err() {
                    break;
                }
            }
            let _ = input.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let resizes = async {
        tell_size().await;
        let Ok(mut resized) = signal(SignalKind::window_change()) else {
            return std::future::pending().await;
        };
        while resized.recv().await.is_some() {
            tell_size().await;
        }
    };
    let read = async {
        let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
        while let Some(piece) = output.next().await {
            let piece = piece.map_err(failures::engine)?;
            let written = match piece.channel {
                Channel::Out => write(&mut out, &piece.bytes).await,
                Channel::Err => write(&mut err, &piece.bytes).await,
            };
            if written.is_err() {
                break;
            }
        }
        Ok::<(), Failure>(())
    };
    tokio::select! {
        ended = read => ended?,
        () = pump => {}
        () = resizes => {}
    }
    engine.exit_code(&what).await.map_err(failures::engine)
}

async fn write(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// A one-off container.
#[derive(Debug, Clone)]
pub struct OneOff {
    /// The service it is made like.
    pub service: String,
    /// What to run instead of the service's command.
    pub command: Option<Vec<String>>,
    /// What to run instead of the service's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// `KEY=value` beside the service's own.
    pub environment: Vec<(String, String)>,
    /// `user[:group]` instead of the service's own.
    pub user: Option<String>,
    /// Directory instead of the service's own.
    pub directory: Option<String>,
    /// The name instead of one that is made up.
    pub name: Option<String>,
    /// Remove the container when it has ended.
    pub remove: bool,
    /// Leave dependencies alone.
    pub no_deps: bool,
    /// Publish the service's ports.
    pub service_ports: bool,
    /// Answer to the service's name.
    pub use_aliases: bool,
    /// Do not wait for it.
    pub detach: bool,
    /// Build the image first.
    pub build: bool,
}

/// A one-off container that has been made and not yet started.
pub struct Ready {
    engine: Engine,
    id: String,
    name: String,
    detach: bool,
    remove: bool,
    terminal: Terminal,
}

/// Brings up what a one-off container needs, and makes it. Until then the command can be ended like any other.
pub async fn prepare(
    context: &Context,
    one_off: &OneOff,
    wait_timeout: std::time::Duration,
    terminal: Terminal,
) -> Result<Ready, Failure> {
    let engine = context.engine().await?;
    let subject = context.subject_with_images(&engine, std::slice::from_ref(&one_off.service)).await?;
    let project = &subject.project;
    let Some(service) = project.services.get(&one_off.service) else {
        return Err(failures::no_service(&one_off.service, project));
    };
    let lock = context.lock(&project.name).await?;
    let mut observed = observe(&engine, project).await?;
    super::explain::compare(&engine, &subject, &mut observed).await;
    let options = up::Options::for_run(&one_off.service, one_off.no_deps, one_off.build, wait_timeout);
    let plan = up::plan_for_run(project, &observed, &one_off.service, &options)?;
    super::support::refuse(&subject, &engine)?;
    let hands = Hands::new(context, engine.clone(), &subject, &observed, wait_timeout);
    let missing = inputs::missing(project, &one_off.service, service, context.engine_is_here());
    if !missing.is_empty() {
        return Err(Failure::all(missing));
    }
    hands.is_possible(&plan).await?;
    apply(&plan, &hands, &context.events).await?;
    let service = altered(service, one_off, terminal);
    let slug = slug();
    let name =
        one_off.name.clone().unwrap_or_else(|| format!("{}-{}-run-{slug}", project.name, one_off.service));
    let purpose = Purpose {
        number: 1,
        one_off: Some(&slug),
        use_aliases: one_off.use_aliases,
        interactive: terminal.stdin && !one_off.detach,
        ..Purpose::default()
    };
    let created =
        engine.create_container(hands.deployment(), &one_off.service, &service, &name, &purpose).await;
    let created = created.map_err(|error| failures::step("created", &name, error))?;
    context.pass_on(&name, &created);
    let id = created.id;
    drop(lock);
    let (detach, remove) = (one_off.detach, one_off.remove);
    Ok(Ready { engine, id, name, detach, remove, terminal })
}

impl Ready {
    /// Runs it; its exit code becomes ours. When it was not waited for, its name is the answer.
    pub async fn run(self) -> Result<Option<String>, Failure> {
        let Self { engine, id, name, detach, remove, terminal } = self;
        let ended = interact(&engine, &id, &name, detach, terminal).await;
        if remove && !detach {
            // Its own failure says more than that of the clean-up.
            let removed = engine.remove_container(&id, true).await.map_err(failures::engine);
            let code = ended?;
            removed?;
            return finish(code, name, detach);
        }
        finish(ended?, name, detach)
    }
}

/// What distinguishes a one-off's name: the clock and the process make two alike unlikely, and the engine
/// refuses a name that is taken.
fn slug() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = format!("{}-{}", now.as_nanos(), std::process::id());
    hex::encode(&Sha256::digest(seed)[..6])
}

fn finish(code: i64, name: String, detach: bool) -> Result<Option<String>, Failure> {
    match code {
        0 => Ok(detach.then_some(name)),
        code => Err(status(code)),
    }
}

/// Starts the container and stays with it. A polite signal to us is passed on to it.
async fn interact(
    engine: &Engine,
    id: &str,
    name: &str,
    detach: bool,
    terminal: Terminal,
) -> Result<i64, Failure> {
    if detach {
        engine.start(id).await.map_err(|error| failures::step("started", name, error))?;
        return Ok(0);
    }
    // From before the start on: what it writes first may be answered with a signal at once.
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let attached = engine.attach(id, terminal.stdin).await;
    let attached = attached.map_err(|error| failures::step("attached to", name, error))?;
    engine.start(id).await.map_err(|error| failures::step("started", name, error))?;
    let passed_on = async {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return std::future::pending().await;
        };
        loop {
            let word = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            let _ = engine.kill(id, word).await;
        }
    };
    tokio::select! {
        code = session(engine, attached, terminal) => code,
        () = passed_on => Ok(0),
    }
}

/// The service as the one-off wants it.
fn altered(service: &Service, one_off: &OneOff, terminal: Terminal) -> Service {
    let mut service = service.clone();
    if let Some(entrypoint) = &one_off.entrypoint {
        service.entrypoint = Some(entrypoint.clone());
        // Another program has no use for the old one's arguments.
        service.command = None;
    }
    if let Some(command) = &one_off.command {
        service.command = Some(command.clone());
    }
    for (key, value) in &one_off.environment {
        service.environment.insert(key.clone(), Some(value.clone()));
    }
    if let Some(user) = &one_off.user {
        service.user.clone_from(user);
    }
    if let Some(directory) = &one_off.directory {
        service.working_dir.clone_from(directory);
    }
    if !one_off.service_ports {
        service.ports.clear();
    }
    service.container_name.clear();
    "no".clone_into(&mut service.restart);
    service.deploy = service.deploy.map(|mut deploy| {
        deploy.restart_policy = None;
        deploy
    });
    service.tty = terminal.tty && !one_off.detach;
    service.stdin_open = terminal.stdin && !one_off.detach;
    service
}

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A path on this machine.
    Here(PathBuf),
    /// A path in a service's container.
    There {
        /// The service.
        service: String,
        /// The path in the container.
        path: String,
    },
    /// A tar stream on standard input or output.
    Stream,
}

/// Copies between this machine and a container, as `docker cp` does.
pub async fn copy(
    context: &Context,
    from: &End,
    to: &End,
    index: Option<u32>,
    follow_link: bool,
) -> Result<(), Failure> {
    let engine = context.engine().await?;
    // One that does not run has files too.
    let container_of = async |service: &str| {
        let found = existing(context, &engine, service, index).await?;
        let none = || Failure::new(Kind::Failed, format!("service `{service}` has no container"));
        found.into_iter().next().ok_or_else(none)
    };
    match (from, to) {
        (End::There { service, path }, End::Here(target)) => {
            let container = container_of(service).await?;
            engine.copy_out(&container.id, path, target, follow_link).await.map_err(failures::engine)
        }
        (End::Here(source), End::There { service, path }) => {
            let container = container_of(service).await?;
            engine.copy_in(&container.id, source, path, follow_link).await.map_err(failures::engine)
        }
        _ => Err(Failure::new(Kind::Usage, "one side has to be SERVICE:PATH, the other a path here")
            .hint("for example `devenv cp web:/var/log/app.log .`")),
    }
}

/// Reads one end as it was typed: `SERVICE:PATH`, or a path.
#[must_use]
pub fn end(text: &str, directory: &Path) -> End {
    if text == "-" {
        return End::Stream;
    }
    match text.split_once(':') {
        Some((service, path)) if !service.is_empty() && !service.contains('/') && service != "." => {
            End::There { service: service.to_owned(), path: path.to_owned() }
        }
        _ => End::Here(directory.join(text)),
    }
}
