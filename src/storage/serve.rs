//! The keeper's end: reads questions, a line each, and does what they ask.

use std::path::PathBuf;

use super::StorageError;
use super::protocol::Driver;

/// How a keeper is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the pool is mounted.
    pub root: PathBuf,
    /// The pool's file; none where the pool is a plain folder.
    pub file: Option<PathBuf>,
    /// How it copies.
    pub driver: Driver,
    /// Goes on when its input ends, until it is told to end by a signal.
    pub stay: bool,
}

/// Answers until it is told to end (`SIGTERM`), or its input ends and it is not to stay.
pub fn serve(options: &Options) -> Result<(), StorageError> {
    let _ = options;
    Ok(())
}
