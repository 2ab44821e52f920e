//! The base image that every image built from source stands on.
//!
//! It has one name of ours whether it was pulled or made from Debian's packages. The name has a domain, so that
//! it never shadows an official tag.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptions, CreateImageOptionsBuilder, TagImageOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::endpoint::WORK;

/// The name that our builds stand on.
pub const NAME: &str = "devenv.local/debian:trixie";

/// How long a registry may say nothing during a pull before it is given up.
const STALLED: Duration = Duration::from_mins(1);

/// The official image that is pulled for it when a registry answers.
pub const OFFICIAL: &str = "debian:trixie-slim";

/// The image as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Its id.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The base image; none when the engine does not have it.
pub async fn find(engine: &Docker) -> Result<Option<BaseImage>, Error> {
    match engine.inspect_image(NAME).await {
        Ok(image) => Ok(Some(BaseImage {
            id: image.id.unwrap_or_default(),
            size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        })),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Gives `image` the name of the base image.
pub async fn adopt(engine: &Docker, image: &str) -> Result<(), Error> {
    let (repository, tag) = split(NAME);
    let name = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
    engine.tag_image(image, Some(name)).await
}

/// Pulls the official image and gives it our name; `progress` hears what becomes of its layers.
///
/// # Errors
/// [`Error::RequestTimeoutError`] when the registry falls silent.
pub async fn pull(engine: &Docker, mut progress: impl FnMut(&str)) -> Result<(), Error> {
    let wanted = CreateImageOptionsBuilder::new().from_image(OFFICIAL).build();
    let engine = engine.clone().with_timeout(STALLED);
    let mut answers = std::pin::pin!(engine.create_image(Some(wanted), None, None));
    while let Some(answer) =
        tokio::time::timeout(STALLED, answers.next()).await.map_err(|_| Error::RequestTimeoutError)?
    {
        if let Some(status) = answer?.status {
            progress(&status);
        }
    }
    adopt(&engine, OFFICIAL).await
}

/// Makes an image of a tar stream and names it `name`, normally [`NAME`]. An error in the stream leaves no
/// image behind, and the name where it was.
pub async fn import(
    engine: &Docker,
    name: &str,
    root: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Result<(), Error> {
    let (repository, tag) = split(name);
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(repository.to_owned()),
        tag: Some(tag.to_owned()),
        message: Some("made by devenv from Debian's packages".to_owned()),
        changes: vec!["CMD [\"bash\"]".to_owned()],
        ..CreateImageOptions::default()
    };
    let engine = engine.clone().with_timeout(WORK);
    let body = bollard::body_try_stream(root);
    let mut answers = std::pin::pin!(engine.create_image(Some(options), Some(body), None));
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

/// The repository and the tag of a name that has both.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once(':').unwrap_or((name, "latest"))
}
