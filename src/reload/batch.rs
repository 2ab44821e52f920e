//! When a burst of changes is over: a moment after the last of them, and never long after the first.

use std::time::{Duration, Instant};

/// How long nothing may happen before a burst counts as over. Editors write, rename and set modes within a few
/// milliseconds.
pub const QUIET: Duration = Duration::from_millis(25);

/// How long a burst may hold up its first change.
pub const CAP: Duration = Duration::from_millis(150);

/// The times of one burst.
#[derive(Debug, Clone, Copy, Default)]
pub struct Batch {
    times: Option<(Instant, Instant)>,
}

impl Batch {
    /// Something happened.
    pub fn note(&mut self, now: Instant) {
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
    }

    /// When the burst is over, if nothing more happens; none when nothing happened.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.times.map(|(first, last)| (last + QUIET).min(first + CAP))
    }

    /// Ends the burst; says when it began.
    pub fn end(&mut self) -> Option<Instant> {
        self.times.take().map(|(first, _)| first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_ends_a_burst_and_the_cap_ends_one_that_is_never_quiet() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut batch = Batch::default();
        assert_eq!(batch.due(), None);
        batch.note(at(0));
        assert_eq!(batch.due(), Some(at(0) + QUIET));
        batch.note(at(20));
        assert_eq!(batch.due(), Some(at(20) + QUIET));
        for time in (20..400).step_by(20) {
            batch.note(at(time));
        }
        assert_eq!(batch.due(), Some(at(0) + CAP));
        assert_eq!(batch.end(), Some(at(0)));
        assert_eq!((batch.due(), batch.end()), (None, None));
    }
}
