//! Being told to stop by a signal. Most work is just dropped, and the next command goes on from its intent; but what
//! stands in a state that must not last, as services that are paused for a copy, is put right first.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio_util::sync::CancellationToken;

use crate::base::{Failure, Kind};

/// Shared by who hears the signal and who works.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: CancellationToken,
    held: Arc<RwLock<()>>,
}

/// While it lives, the work is not dropped.
#[derive(Debug)]
pub struct Hold(#[allow(dead_code, reason = "it is there to be dropped")] OwnedRwLockReadGuard<()>);

impl Stop {
    /// Asks the work to come to an end; the answer is [`Stop::free`].
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Waits until the work can be dropped.
    pub async fn free(&self) {
        drop(self.held.write().await);
    }

    /// Keeps the work from being dropped. Who holds it for longer than a moment does so through [`Stop::unless`].
    pub async fn hold(&self) -> Hold {
        Hold(Arc::clone(&self.held).read_owned().await)
    }

    /// Does what may be given up when the work is to stop.
    pub async fn unless<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.asked.cancelled() => Err(Failure::new(Kind::Interrupted, "interrupted")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_ends_before_the_work_is_dropped() {
        let stop = Stop::default();
        let hold = stop.hold().await;
        stop.ask();
        let given_up = stop.unless(std::future::pending::<Result<(), Failure>>()).await;
        assert_eq!(given_up.unwrap_err().kind, Kind::Interrupted);
        let free = tokio::spawn({
            let stop = stop.clone();
            async move { stop.free().await }
        });
        tokio::task::yield_now().await;
        assert!(!free.is_finished());
        drop(hold);
        free.await.unwrap();
    }
}
