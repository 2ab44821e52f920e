//! The engine, over its API. The only door to bollard.

pub mod base_image;
pub mod build;
mod copy;
pub mod credentials;
pub mod endpoint;
pub mod error;
pub mod facts;
mod files;
pub mod image_name;
pub mod inspect;
pub mod observe;
pub mod perform;
pub mod pull;
pub mod reach;
pub mod stream;
mod translate;
pub mod watch;

use bollard::Docker;

pub use error::Error;
pub use observe::Scope;
pub use perform::{Deployment, Purpose};

/// A connection to an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// For questions that are answered at once.
    docker: Docker,
    /// For work that is answered when it is done, and for streams.
    patient: Docker,
}

impl Engine {
    /// Uses a connection that [`endpoint::connect`] made.
    #[must_use]
    pub fn new(docker: Docker) -> Self {
        let patient = docker.clone().with_timeout(endpoint::WORK);
        Self { docker, patient }
    }

    /// Whether the agreed API version is at least this one.
    #[must_use]
    pub fn speaks(&self, major: usize, minor: usize) -> bool {
        let version = self.docker.client_version();
        (version.major_version, version.minor_version) >= (major, minor)
    }
}
