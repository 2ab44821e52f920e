//! The pool on real file systems: loop devices, btrfs and XFS, by the real program. Needs root; where that is
//! missing the tests fail, and say so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may end at once and may speak"
)]

use devenv::storage::protocol;

#[path = "../../src/storage/contract.rs"]
mod contract;
mod faults;
mod holds;
mod place;
mod speed;
