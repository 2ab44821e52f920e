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

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The container's full id.
    pub container: String,
    /// `start`, `die`, `health_status: healthy`, `destroy`, … (Docker Engine API, `/events`).
    pub action: String,
}

/// A subscription to the changes of one project's containers. Ends when dropped.
#[derive(Clone)]
pub struct Watch {
    changes: broadcast::Sender<Arc<Change>>,
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
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let (changes, _) = broadcast::channel(1024);
        let sender = changes.clone();
        let mut events = Box::pin(self.docker.events(Some(options)));
        let reader = tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let container = event.actor.and_then(|actor| actor.id).unwrap_or_default();
                let change = Change { container, action: event.action.unwrap_or_default() };
                // Nobody listening is no reason to stop: a waiter may come later.
                let _ = sender.send(Arc::new(change));
            }
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
pub struct Listener(broadcast::Receiver<Arc<Change>>);

impl Listener {
    /// The next change of this container, or `None` when changes were lost (look again at the state).
    pub async fn next(&mut self, container: &str) -> Result<Option<Arc<Change>>, Error> {
        loop {
            match self.0.recv().await {
                Ok(change) if change.container == container => return Ok(Some(change)),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Ok(None),
                Err(broadcast::error::RecvError::Closed) => return Err(Error::EventsEnded),
            }
        }
    }
}
