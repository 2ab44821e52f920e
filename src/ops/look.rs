//! `logs`, `port`, `top`, `events`, `wait`: looks at what runs, changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use serde::Serialize;

use super::{Context, failures};
use crate::base::{Failure, Kind};
use crate::engine::stream::{Channel, Logs, Output};
use crate::engine::{Engine, inspect::EngineEvent};
use crate::plan::Goal;
use crate::plan::observed::Container;

/// How far the engine's list of containers may lag behind its events.
const LAG: Duration = Duration::from_millis(50);

/// One line that a container wrote.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The service.
    pub service: String,
    /// The container.
    pub container: String,
    /// Whether it came on standard error.
    pub stderr: bool,
    /// The line, without its end.
    pub line: String,
}

/// Which logs.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Services named; none means all.
    pub services: Vec<String>,
    /// Go on as long as containers run.
    pub follow: bool,
    /// Only so many lines of each container.
    pub tail: Option<usize>,
    /// Only what is younger.
    pub since: Option<Duration>,
    /// Only what is older.
    pub until: Option<Duration>,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Leave out services that say `attach: false`.
    pub only_attached: bool,
    /// Go on although nothing runs any more: something is about to be started again.
    pub endless: bool,
}

/// Reads the logs line by line. With `follow` it goes on with containers that are started meanwhile, and
/// ends when none runs any more.
pub async fn logs(context: &Context, wanted: &Wanted, mut each: impl FnMut(Line)) -> Result<(), Failure> {
    let subject = context.subject_or_name()?;
    let project = &subject.project;
    let engine = context.engine().await?;
    let ago = |span: Option<Duration>| {
        let then = span.and_then(|span| SystemTime::now().checked_sub(span));
        let seconds = then.and_then(|then| then.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_secs());
        i32::try_from(seconds).unwrap_or(i32::MAX)
    };
    let mut which = Logs {
        follow: wanted.follow,
        tail: wanted.tail,
        since: ago(wanted.since),
        until: ago(wanted.until),
        timestamps: wanted.timestamps,
    };
    subject.knows(&wanted.services)?;
    let concerned = |container: &Container| {
        let service = container.service();
        let attached = project.services.get(service).is_none_or(|service| service.attach != Some(false));
        (wanted.services.is_empty() || wanted.services.iter().any(|name| name == service))
            && !container.is_one_off()
            && (attached || !wanted.only_attached)
    };
    let watch = engine.watch(&project.name);
    let mut changes = watch.listen();
    let mut streams: SelectAll<BoxStream<'static, Result<Piece, Failure>>> = SelectAll::new();
    let mut open: BTreeSet<String> = BTreeSet::new();
    let find = async || {
        let mut containers = engine.containers(&project.name).await.map_err(failures::engine)?;
        containers.retain(|container| concerned(container));
        Ok::<_, Failure>(containers)
    };
    for container in find().await? {
        open.insert(container.id.clone());
        streams.push(lines(&container, engine.logs(&container.id, which)));
    }
    // From now on only what is new is missing.
    which.tail = None;
    loop {
        let started = tokio::select! {
            piece = streams.next() => match piece {
                Some(Ok(Piece::Line(line))) => {
                    each(line);
                    continue;
                }
                Some(Ok(Piece::End(id))) => {
                    open.remove(&id);
                    continue;
                }
                Some(Err(failure)) => return Err(failure),
                None if wanted.follow
                    && (wanted.endless
                        || find().await?.iter().any(|container| container.state.is_up())) =>
                {
                    // Something is being started again, or the engine's list lags behind: a container that
                    // has died, and of which no event will come any more, may be up in it still.
                    match tokio::time::timeout(LAG, changes.started()).await {
                        Ok(started) => started,
                        Err(_) => continue,
                    }
                }
                None => return Ok(()),
            },
            started = changes.started(), if wanted.follow => started,
        };
        let id = started.map_err(failures::engine)?;
        which.since = ago(Some(Duration::from_secs(1)));
        if let Some(container) = find().await?.into_iter().find(|container| container.id == id)
            && open.insert(id)
        {
            streams.push(lines(&container, engine.logs(&container.id, which)));
        }
    }
}

/// What a container's stream tells.
enum Piece {
    Line(Line),
    /// The stream of the container with this id ended.
    End(String),
}

/// Cuts a container's output into lines; what is left at the end is a line too.
fn lines(container: &Container, output: Output) -> BoxStream<'static, Result<Piece, Failure>> {
    let (service, name) = (container.service().to_owned(), container.name.clone());
    let id = container.id.clone();
    let line = move |stderr: bool, bytes: &[u8]| Line {
        service: service.clone(),
        container: name.clone(),
        stderr,
        line: String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']).to_owned(),
    };
    Box::pin(async_stream::stream! {
        let mut output = output;
        let mut rest: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
        while let Some(piece) = output.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    // Removed while it was read: its logs went with it.
                    if !error.is_not_found() && !error.is_conflict() {
                        yield Err(failures::engine(error));
                    }
                    break;
                }
            };
            let stderr = piece.channel == Channel::Err;
            let buffer = &mut rest[usize::from(stderr)];
            buffer.extend_from_slice(&piece.bytes);
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                let whole: Vec<u8> = buffer.drain(..=end).collect();
                yield Ok(Piece::Line(line(stderr, &whole)));
            }
        }
        for (index, buffer) in rest.iter().enumerate().filter(|(_, buffer)| !buffer.is_empty()) {
            yield Ok(Piece::Line(line(index == 1, buffer)));
        }
        yield Ok(Piece::End(id));
    })
}

/// A container of a service that runs, or a failure that says why there is none.
pub(super) async fn running(
    context: &Context,
    engine: &Engine,
    service: &str,
    index: Option<u32>,
) -> Result<Container, Failure> {
    let mut of_service = existing(context, engine, service, index).await?;
    let position = of_service.iter().position(|container| container.state.is_up());
    match position {
        Some(position) => Ok(of_service.swap_remove(position)),
        None => {
            let state = of_service.first().map_or("has no container", |_| "is not running");
            Err(Failure::new(Kind::Failed, format!("service `{service}` {state}"))
                .hint(format!("start it with `devenv up {service}`")))
        }
    }
}

/// The containers of a service, or the one with this number, running or not.
pub(super) async fn existing(
    context: &Context,
    engine: &Engine,
    service: &str,
    index: Option<u32>,
) -> Result<Vec<Container>, Failure> {
    let subject = context.subject_or_name()?;
    let containers = engine.containers(&subject.project.name).await.map_err(failures::engine)?;
    let mut of_service: Vec<Container> =
        containers.into_iter().filter(|c| c.service() == service && !c.is_one_off()).collect();
    if of_service.is_empty() {
        subject.knows(std::slice::from_ref(&service.to_owned()))?;
    }
    of_service.retain(|container| index.is_none_or(|index| container.number() == index));
    Ok(of_service)
}

/// Where a port of a service is published on this machine.
pub async fn port(
    context: &Context,
    service: &str,
    target: u16,
    protocol: &str,
    index: Option<u32>,
) -> Result<String, Failure> {
    let engine = context.engine().await?;
    let container = running(context, &engine, service, index).await?;
    let found = container
        .ports
        .iter()
        .find(|port| port.target == target && port.protocol == protocol && port.published > 0);
    found
        .map(|port| {
            if port.host_ip.contains(':') {
                format!("[{}]:{}", port.host_ip, port.published)
            } else {
                format!("{}:{}", port.host_ip, port.published)
            }
        })
        .ok_or_else(|| {
            let mut published: Vec<String> = container
                .ports
                .iter()
                .filter(|port| port.published > 0)
                .map(|port| format!("{}/{}", port.target, port.protocol))
                .collect();
            published.dedup();
            let failure = Failure::new(
                Kind::Failed,
                format!("service `{service}` does not publish port {target}/{protocol}"),
            );
            if published.is_empty() {
                failure.hint("give the service `ports`")
            } else {
                failure.hint(format!("it publishes {}", published.join(", ")))
            }
        })
}

/// The processes of a container.
#[derive(Debug, Serialize)]
pub struct Processes {
    /// The service.
    pub service: String,
    /// The container.
    pub container: String,
    /// The names of the columns.
    pub titles: Vec<String>,
    /// One row a process.
    pub processes: Vec<Vec<String>>,
}

/// The processes of all running containers.
pub async fn top(context: &Context, services: &[String]) -> Result<Vec<Processes>, Failure> {
    let subject = context.subject_or_name()?;
    subject.knows(services)?;
    let engine = context.engine().await?;
    let containers = engine.containers(&subject.project.name).await.map_err(failures::engine)?;
    let mut all = Vec::new();
    for container in containers.iter().filter(|container| {
        container.state.is_up() && (services.is_empty() || services.iter().any(|s| s == container.service()))
    }) {
        let (titles, processes) = engine.processes(&container.id).await.map_err(failures::engine)?;
        all.push(Processes {
            service: container.service().to_owned(),
            container: container.name.clone(),
            titles,
            processes,
        });
    }
    Ok(all)
}

/// Tells what happens to the project's containers, until the engine ends or the caller stops listening.
pub async fn events(
    context: &Context,
    services: &[String],
    mut each: impl FnMut(EngineEvent),
) -> Result<(), Failure> {
    let subject = context.subject_or_name()?;
    subject.knows(services)?;
    let engine = context.engine().await?;
    let mut events = engine.events(&subject.project.name);
    while let Some(event) = events.next().await {
        let event = event.map_err(failures::engine)?;
        if services.is_empty() || services.contains(&event.service) {
            each(event);
        }
    }
    Err(failures::engine(crate::engine::Error::EventsEnded))
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The containers have ended.
    Exit,
    /// The services are healthy.
    Healthy,
    /// The services are ready: healthy, running without a check, or done.
    Ready,
}

/// Waits for services. With [`Until::Exit`] the answer holds their exit codes.
pub async fn wait(
    context: &Context,
    services: &[String],
    until: Until,
    timeout: Option<Duration>,
) -> Result<BTreeMap<String, i64>, Failure> {
    let subject = context.subject_or_name()?;
    subject.knows(services)?;
    let engine = context.engine().await?;
    let watch = engine.watch(&subject.project.name);
    let containers = engine.containers(&subject.project.name).await.map_err(failures::engine)?;
    let work = async {
        let mut codes = BTreeMap::new();
        for service in services {
            let mut any = false;
            for container in containers.iter().filter(|c| c.service() == service && !c.is_one_off()) {
                any = true;
                if until == Until::Exit {
                    let code = engine.exited(&container.id).await.map_err(failures::engine)?;
                    codes.insert(container.name.clone(), code);
                    continue;
                }
                let goal = if until == Until::Healthy { Goal::Healthy } else { Goal::Ready };
                let reached = engine.reach(&watch, &container.id, goal).await.map_err(failures::engine)?;
                reached.map_err(|why| failures::unreached(service, &container.name, goal, &why, None))?;
            }
            if !any {
                return Err(Failure::new(Kind::Failed, format!("service `{service}` has no container"))
                    .hint(format!("start it with `devenv up {service}`")));
            }
        }
        Ok(codes)
    };
    match timeout {
        None => work.await,
        Some(span) => tokio::time::timeout(span, work).await.unwrap_or_else(|_| {
            let names = services.join(", ");
            Err(Failure::new(Kind::Unhealthy, format!("{names}: not there after {} s", span.as_secs_f64()))
                .hint("see why with `devenv status` and `devenv logs`"))
        }),
    }
}
