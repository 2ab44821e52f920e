//! Memory that a crowd of connections took is given back when they are gone. The C library keeps what is free between
//! two things that are not, and what gives that back, `malloc_trim(3)`, is declared here: it takes a number, touches
//! only what nobody holds, and may be called by any thread at any time.
#![allow(unsafe_code, reason = "see above")]

use std::sync::atomic::Ordering;

use super::Gateway;

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    safe fn malloc_trim(left_at_the_end: usize) -> std::ffi::c_int;
}

/// What was seen the last time.
#[derive(Debug, Default)]
pub(super) struct Thrift {
    /// Connections are tasks, and so is each that waits for the next request.
    tasks: usize,
    served: u64,
    /// Whether tasks have ended since memory was given back.
    is_owed: bool,
}

impl Thrift {
    /// Whether it is time: something ended, and nobody asks for anything who would have to wait.
    fn is_time(&mut self, tasks: usize, served: u64) -> bool {
        self.is_owed |= tasks < self.tasks;
        let is_time = self.is_owed && served == self.served;
        self.is_owed &= !is_time;
        (self.tasks, self.served) = (tasks, served);
        is_time
    }

    /// Gives back what is free; to be asked every second or so.
    pub(super) fn look(&mut self, gateway: &Gateway) {
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        if self.is_time(tasks, gateway.served.load(Ordering::Relaxed)) {
            #[cfg(target_env = "gnu")]
            tokio::task::spawn_blocking(|| malloc_trim(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_a_crowd_and_not_while_it_asks() {
        let mut thrift = Thrift::default();
        let seen =
            [(3, 0), (1000, 500), (900, 900), (10, 1000), (10, 1000), (10, 1000), (12, 1000), (10, 1000)];
        let times: Vec<bool> =
            seen.into_iter().map(|(tasks, served)| thrift.is_time(tasks, served)).collect();
        assert_eq!(times, [false, false, false, false, true, false, false, true]);
    }
}
