//! Waits on the engine's own event stream instead of polling: a subscription is opened before the work
//! starts, so that nothing that happens in between is missed.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::Engine;
use super::error::Error;
use crate::plan::labels;

/// Changes of a container's state (Docker Engine API, `/events`); the probes of health checks, which make
/// most of the stream, are left out.
const ACTIONS: [&str; 7] = ["start", "die", "health_status", "destroy", "pause", "unpause", "oom"];

/// What the stream tells its listeners.
#[derive(Debug, Clone)]
enum Told {
    /// Something happened to the container with this id.
    Change {
        /// The container's full id.
        id: Arc<str>,
        /// Whether it was started.
        started: bool,
    },
    /// The stream ended, and with it all knowledge.
    End,
}

/// A subscription to the changes of one project's containers. Ends when dropped.
#[derive(Clone)]
pub struct Watch {
    changes: broadcast::Sender<Told>,
    _reader: Arc<Reader>,
}

struct Reader(JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Engine {
    /// Subscribes to what happens to the containers of a project.
    #[must_use]
    pub fn watch(&self, project: &str) -> Watch {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{}={project}", labels::PROJECT)]),
            ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        ]);
        // From the engine's own memory of recent events on: what happens before the subscription stands is
        // told too. An event is only a reason to look, so one that is old does no harm.
        let options = EventsOptionsBuilder::default().since("1").filters(&filters).build();
        let (changes, _) = broadcast::channel(1024);
        let sender = changes.clone();
        let mut events = Box::pin(self.patient.events(Some(options)));
        let reader = tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let id = event.actor.and_then(|actor| actor.id).unwrap_or_default().into();
                let started = event.action.as_deref() == Some("start");
                // Nobody listening is no reason to stop: a waiter may come later.
                let _ = sender.send(Told::Change { id, started });
            }
            let _ = sender.send(Told::End);
        });
        Watch { changes, _reader: Arc::new(Reader(reader)) }
    }
}

impl Watch {
    /// Starts to listen; what happens from now on is seen by [`Listener::next`].
    #[must_use]
    pub fn listen(&self) -> Listener {
        Listener(self.changes.subscribe())
    }
}

/// One waiter's end of a [`Watch`].
pub struct Listener(broadcast::Receiver<Told>);

impl Listener {
    /// Waits until something happened to this container, or might have.
    pub async fn next(&mut self, container: &str) -> Result<(), Error> {
        self.until(|told| matches!(told, Told::Change { id, .. } if **id == *container)).await.map(|_| ())
    }

    /// Waits until anything happened.
    pub async fn any(&mut self) -> Result<(), Error> {
        self.until(|_| true).await.map(|_| ())
    }

    /// Waits until a container was started; says its id.
    pub async fn started(&mut self) -> Result<String, Error> {
        loop {
            if let Some(Told::Change { id, started: true }) = self.until(|_| true).await? {
                return Ok(id.to_string());
            }
        }
    }

    /// The next word that `wanted` accepts, or `None` when words were lost on the way.
    async fn until(&mut self, wanted: impl Fn(&Told) -> bool) -> Result<Option<Told>, Error> {
        loop {
            match self.0.recv().await {
                Ok(Told::End) | Err(broadcast::error::RecvError::Closed) => return Err(Error::EventsEnded),
                Err(broadcast::error::RecvError::Lagged(_)) => return Ok(None),
                Ok(told) if wanted(&told) => return Ok(Some(told)),
                Ok(_) => {}
            }
        }
    }
}
