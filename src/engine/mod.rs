//! The engine, over its API. The only door to bollard.
pub mod endpoint;
pub mod error;
pub mod observe;
mod translate;
pub mod watch;
pub struct Engine {
    pub(crate) docker: bollard::Docker,
}
