//! The gateway's end at the engine: `devenv __gateway serve`, in its container.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use super::super::failures;
use crate::base::{Failure, Kind};
use crate::engine::endpoint::{self, Endpoint, Host, REPLY, Source};
use crate::engine::stacks::{Doings, Member, Stacks};
use crate::engine::{Engine, Lent, build};
use crate::gateway::fleet::{Change, Fleet, Trouble};
use crate::gateway::idle::Moved;
use crate::gateway::name;
use crate::gateway::serve::{self, Options};
use crate::gateway::table::{Condition, Container, Place, Published, State, read_needs};
use crate::plan::{Goal, labels};

/// Serves until it is told to end.
pub async fn serve(socket: &Path, folder: PathBuf, port: Option<u16>) -> Result<(), Failure> {
    let endpoint = Endpoint { host: Host::Unix(socket.to_owned()), source: Source::Default };
    let docker = endpoint::connect(&endpoint, REPLY)
        .await
        .map_err(|problem| Failure::new(Kind::Unreachable, problem.to_string()))?;
    let lent = Lent {
        endpoint: build::Endpoint::from_host(&endpoint.host.to_string())
            .ok_or_else(|| Failure::new(Kind::Unreachable, "the engine's socket has no path"))?,
        ca_bundle: None,
        credentials: crate::engine::credentials::Credentials::default(),
    };
    let engine = Engine::new(docker, lent);
    let fleet = AtEngine { stacks: Stacks::new(engine.clone()), engine };
    serve::serve(Arc::new(fleet), Options { folder, port })
        .await
        .map_err(|error| Failure::new(Kind::Failed, "the gateway ended").source(error))
}

struct AtEngine {
    engine: Engine,
    stacks: Stacks,
}

fn trouble(error: crate::engine::Error) -> Trouble {
    failures::engine(error).to_string()
}

impl Fleet for AtEngine {
    fn look(&self) -> BoxFuture<'_, Result<Vec<Container>, Trouble>> {
        async { Ok(self.stacks.look().await.map_err(trouble)?.into_iter().map(container).collect()) }.boxed()
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let changes = self.stacks.happenings().map(|happening| match happening.action.as_str() {
            "start" => Change::Started(happening.container),
            "die" => Change::Ended(happening.container),
            _ => Change::Other(happening.container),
        });
        changes.boxed()
    }

    fn start<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let started = self.engine.start(container).await.map_err(trouble);
            self.stacks.refresh(container);
            started
        }
        .boxed()
    }

    fn stop<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let stopped = self.engine.stop(container, None).await.map_err(trouble);
            self.stacks.refresh(container);
            stopped
        }
        .boxed()
    }

    fn reach<'a>(&'a self, container: &'a str, condition: Condition) -> BoxFuture<'a, Result<(), Trouble>> {
        let goal = match condition {
            Condition::Started => Goal::Ready,
            Condition::Healthy => Goal::Healthy,
            Condition::Completed => Goal::Completed,
        };
        async move {
            let member = self.stacks.member(container);
            let stack = member.and_then(|member| member.labels.get(labels::PROJECT).cloned());
            let watch = self.engine.watch(&stack.unwrap_or_default());
            match self.engine.reach_soon(&watch, container, goal, Duration::ZERO).await.map_err(trouble)? {
                Ok(_) => {
                    self.stacks.refresh(container);
                    Ok(())
                }
                Err(unreached) => Err(unreached.state),
            }
        }
        .boxed()
    }

    fn moved<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Moved, Trouble>> {
        async move {
            let (received, sent) = self.stacks.moved(container).await.map_err(trouble)?;
            Ok(Moved { received, sent })
        }
        .boxed()
    }
}

fn container(member: Member) -> Container {
    let label = |key: &str| member.labels.get(key).filter(|value| !value.is_empty());
    let stack = label(labels::PROJECT).cloned().unwrap_or_default();
    let ours = label(labels::ENVIRONMENT).is_some();
    let project = label(labels::GATEWAY_PROJECT).unwrap_or(&stack);
    let environment = label(labels::ENVIRONMENT).map_or("main", String::as_str);
    let place = Place::new(&name::label(project), &name::label(environment));
    let http = label(labels::HTTP).and_then(|port| port.parse().ok());
    let needs = label(labels::DEPENDS_ON).map(|text| read_needs(text)).unwrap_or_default();
    let service = label(labels::SERVICE).cloned().unwrap_or_default();
    let published = member.bindings.iter().filter_map(|binding| {
        // Asked for on all addresses, which are those of both families.
        let address = if binding.address.is_empty() { "0.0.0.0" } else { binding.address.as_str() };
        Some(Published { address: address.parse().ok()?, port: binding.port, target: binding.target })
    });
    Container {
        published: published.collect(),
        state: match member.doing {
            Doings::Created => State::Created,
            Doings::Running => State::Running,
            Doings::Ended(code) => State::Ended(code),
            Doings::Changing => State::Changing,
        },
        id: member.id,
        name: member.name,
        place,
        stack,
        service,
        ours,
        address: member.address,
        ports: member.ports,
        http,
        needs,
    }
}
