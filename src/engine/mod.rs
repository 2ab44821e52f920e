//! The engine: the only room that talks to it (bollard).

pub mod base_image;
pub mod endpoint;
pub mod facts;
