//! The engine, over its API. The only door to bollard.

pub mod base_image;
pub mod build;
mod compare;
mod copy;
pub mod credentials;
pub mod endpoint;
pub mod error;
pub mod facts;
mod files;
pub mod image_name;
pub mod inspect;
pub mod observe;
pub mod own;
pub mod perform;
pub mod pull;
pub mod reach;
pub mod stacks;
pub mod stream;
mod translate;
pub mod watch;

use std::sync::Arc;

use bollard::Docker;

pub use build::{Build, BuildError, Lent};
pub use error::Error;
pub use observe::Scope;
pub use perform::{Bindings, Created, Deployment, Purpose};
pub use pull::PullError;

use crate::base::Events;
use error::Doing;

/// A connection to an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// What this machine lends to builds and pulls.
    lent: Arc<Lent>,
    /// For questions that are answered at once.
    docker: Docker,
    /// For work that is answered when it is done, and for streams.
    patient: Docker,
}

impl Engine {
    /// Uses a connection that [`endpoint::connect`] made.
    #[must_use]
    pub fn new(docker: Docker, lent: Lent) -> Self {
        let patient = docker.clone().with_timeout(endpoint::WORK);
        Self { lent: Arc::new(lent), docker, patient }
    }

    /// Builds an image; dropping the future ends the build. Says the image's id.
    pub async fn build(&self, build: &Build, events: &Events) -> Result<String, BuildError> {
        build::build(&self.patient, &self.lent, build, events).await.map(|id| id.0)
    }

    /// Pulls an image; dropping the future ends the transfer.
    pub async fn pull(&self, image: &str, platform: Option<&str>, events: &Events) -> Result<(), PullError> {
        pull::pull(&self.patient, image, platform, &self.lent.credentials, events).await
    }

    /// The id of a local image.
    pub async fn image_id(&self, image: &str) -> Result<String, Error> {
        Ok(self.docker.inspect_image(image).await.doing("inspect an image")?.id.unwrap_or_default())
    }

    /// The agreed API version after `1.`.
    #[must_use]
    pub fn api_minor(&self) -> usize {
        self.docker.client_version().minor_version
    }

    /// Whether the agreed API version is at least this one.
    #[must_use]
    pub fn speaks(&self, major: usize, minor: usize) -> bool {
        let version = self.docker.client_version();
        (version.major_version, version.minor_version) >= (major, minor)
    }
}
