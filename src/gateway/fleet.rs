//! The engine, as far as the gateway needs one.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::idle::Moved;
use super::table::{Condition, Container};

/// Something that happened at the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A container was started.
    Started(String),
    /// A container ended, for whatever reason.
    Ended(String),
    /// Anything else that is a reason to look, with a container.
    Other(String),
}

/// Why the engine did not do something, as a sentence.
pub type Trouble = String;

/// Containers, wherever they are. `ops` makes one from an engine.
pub trait Fleet: Send + Sync + 'static {
    /// The containers of all stacks.
    fn look(&self) -> BoxFuture<'_, Result<Vec<Container>, Trouble>>;
    /// What happens from now on. It ends where the engine does.
    fn changes(&self) -> BoxStream<'static, Change>;
    /// Starts a container; one that runs already is no trouble.
    fn start<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), Trouble>>;
    /// Stops a container in its own time.
    fn stop<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), Trouble>>;
    /// Waits until a container has reached something; with `Started`, until it can be used: one that has a health
    /// check has to pass it.
    fn reach<'a>(&'a self, container: &'a str, condition: Condition) -> BoxFuture<'a, Result<(), Trouble>>;
    /// What a container received and sent since it was started.
    fn moved<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Moved, Trouble>>;
}
