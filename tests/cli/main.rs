//! The command line from outside: what is typed, what comes back on both outputs, and the exit code. Nothing of
//! the machine reaches these tests: the environment is empty, HOME is a folder that goes away.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod config;
mod hooks;
mod init;
mod library;
mod sandbox;
