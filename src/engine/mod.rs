//! The engine: images built and pulled.

pub mod build;
pub mod credentials;
pub mod image_name;
pub mod pull;
