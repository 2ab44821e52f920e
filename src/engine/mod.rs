//! The engine: the only room that talks to it (bollard).

pub mod endpoint;
