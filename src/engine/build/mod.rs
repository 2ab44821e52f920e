//! Builds images: with `BuildKit` where the engine has it, with its classic builder where not.
//!
//! `BuildKit` is spoken to directly (`/session` and `/grpc`) rather than through bollard's `buildkit` feature,
//! which takes a context as one block of memory, offers no secrets beside a streamed one, drops the image id
//! and brings a TLS stack along. Files go by the protocol that `docker build` uses itself: names first, then
//! only what the engine lacks.

mod buildkit;
mod classic;
mod contexts;
mod dial;
mod dockerfile;
mod error;
mod failure;
mod filesync;
mod progress;
mod session;
pub mod spec;
mod walk;

use std::path::PathBuf;

pub use buildkit::CA_SECRET;
pub use dial::Endpoint;
pub use error::{BuildError, Line};
pub use spec::Build;

use crate::base::Events;
use crate::engine::credentials::Credentials;

/// What this machine lends to its builds.
#[derive(Debug, Clone)]
pub struct Lent {
    /// Where the engine listens; the same place that the [`bollard::Docker`] beside it talks to.
    pub endpoint: Endpoint,
    /// The machine's certificate authorities, offered to every step as the secret [`CA_SECRET`].
    pub ca_bundle: Option<PathBuf>,
    /// Logins of registries.
    pub credentials: Credentials,
}

/// The id of an image, `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageId(pub String);

impl std::fmt::Display for ImageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Builds an image. Dropping the future ends the build at the engine.
pub async fn build(
    docker: &bollard::Docker,
    lent: &Lent,
    build: &Build,
    events: &Events,
) -> Result<ImageId, BuildError> {
    let engine = lent.endpoint.ping().await.map_err(|source| BuildError::Connect {
        image: build.subject().to_owned(),
        endpoint: lent.endpoint.clone(),
        source,
    })?;
    if engine.has_buildkit() {
        buildkit::build(docker, lent, &engine, build, events).await
    } else {
        classic::build(docker, lent, build, events).await
    }
}

/// Builds an image with the classic builder, for engines that have no other and for comparisons.
pub async fn build_classic(
    docker: &bollard::Docker,
    lent: &Lent,
    build: &Build,
    events: &Events,
) -> Result<ImageId, BuildError> {
    classic::build(docker, lent, build, events).await
}
