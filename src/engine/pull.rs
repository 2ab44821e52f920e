//! Pulls images from registries.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use crate::base::{Event, Events};
use crate::engine::credentials::{CredentialError, Credentials};
use crate::engine::image_name::ImageName;

/// How often a broken transfer is begun again.
const TRIES: u32 = 3;

/// Why a registry did not give an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The registry has no such image.
    NotFound,
    /// The registry wants another login.
    Denied,
    /// No registry answered: no name, no route, refused, or too late.
    Unreachable,
}

impl Missing {
    /// Reads an engine's sentence. There is nothing else to tell these apart by.
    #[must_use]
    pub fn of(reason: &str) -> Option<Self> {
        let reason = reason.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        if has(&[
            "dial tcp",
            "dial unix",
            "no such host",
            "connection refused",
            "connection reset",
            "timeout",
            "timed out",
            "deadline exceeded",
            "network is unreachable",
            "no route to host",
            "temporary failure in name resolution",
            "server misbehaving",
            "proxyconnect",
            "x509:",
            "tls: ",
            "server gave http response to https client",
            "unexpected eof",
            "bad gateway",
            "service unavailable",
        ]) || reason.ends_with(": eof")
        {
            return Some(Self::Unreachable);
        }
        if has(&[
            "denied",
            "unauthorized",
            "authentication required",
            "no basic auth credentials",
            "authorization failed",
            "insufficient_scope",
            "forbidden",
        ]) {
            return Some(Self::Denied);
        }
        has(&["manifest unknown", "name unknown", "not found", "no matching manifest"])
            .then_some(Self::NotFound)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "its registry does not have",
            Self::Denied => "its registry does not give without another login",
            Self::Unreachable => "comes from a registry that cannot be reached",
        })
    }
}

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry did not give it.
    #[error("cannot pull {image}, which {why}")]
    Missing {
        /// The image.
        image: String,
        /// Why.
        why: Missing,
        /// The engine's words.
        reason: String,
    },
    /// The name is none.
    #[error(transparent)]
    Name(#[from] crate::engine::image_name::BadImageName),
    /// The login that the registry may want cannot be had.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The engine does not answer, or fails for a reason of its own.
    #[error("the engine could not pull {image}")]
    Engine {
        /// The image.
        image: String,
        /// Why.
        source: bollard::errors::Error,
    },
}

/// Pulls an image and tells its progress in bytes. Dropping the future ends the transfer.
pub async fn pull(
    docker: &bollard::Docker,
    image: &str,
    platform: Option<&str>,
    credentials: &Credentials,
    events: &Events,
) -> Result<(), PullError> {
    let name = image.parse::<ImageName>()?.tagged();
    let login = credentials.find(&name.registry).await?;
    let docker = match login {
        Some(login) => with_login(docker, &serde_json::json!(login.for_engine(&name.registry))),
        None => docker.clone(),
    };
    let mut pause = Duration::from_millis(300);
    for attempt in 1.. {
        match once(&docker, &name, image, platform, events).await {
            Ok(()) => return Ok(()),
            Err(PullError::Missing { reason, .. }) if attempt < TRIES && is_broken_transfer(&reason) => {
                let detail = format!("trying again after: {reason}");
                events.tell(Event::Progress { subject: image.to_owned(), detail, done: None, total: None });
                tokio::time::sleep(pause).await;
                pause *= 3;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Worth another try, unlike a name that does not exist or a port that nobody listens on.
fn is_broken_transfer(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    let words = [
        "connection reset",
        "timeout",
        "timed out",
        "unexpected eof",
        "bad gateway",
        "service unavailable",
        "temporary failure",
        "server misbehaving",
    ];
    words.iter().any(|word| reason.contains(word)) || reason.ends_with(": eof")
}

/// Sends a login with every request. bollard 0.21 encodes it as plain base64 where engines read the URL-safe
/// kind: one `?` or `~` at the wrong place of a password, and the login is silently ignored.
fn with_login(docker: &bollard::Docker, login: &serde_json::Value) -> bollard::Docker {
    let header = base64::engine::general_purpose::URL_SAFE.encode(login.to_string());
    docker.clone().with_request_modifier(move |mut request| {
        if let Ok(value) = header.parse() {
            request.headers_mut().insert("X-Registry-Auth", value);
        }
        request
    })
}

async fn once(
    docker: &bollard::Docker,
    name: &ImageName,
    image: &str,
    platform: Option<&str>,
    events: &Events,
) -> Result<(), PullError> {
    let reference = name.to_string();
    let mut options = CreateImageOptionsBuilder::default().from_image(&reference);
    if let Some(platform) = platform {
        options = options.platform(platform);
    }
    let mut layers = Layers::default();
    let mut answers = std::pin::pin!(docker.create_image(Some(options.build()), None, None));
    while let Some(answer) = answers.next().await {
        let info = answer.map_err(|error| failed(image, error))?;
        let detail = info.progress_detail.unwrap_or_default();
        let status = info.status.unwrap_or_default();
        let Some(id) = info.id else { continue };
        if let Some((done, total)) = layers.take(&id, &status, detail.current, detail.total) {
            events.tell(Event::Progress {
                subject: image.to_owned(),
                detail: "pulling".to_owned(),
                done: Some(done),
                total: Some(total),
            });
        }
    }
    Ok(())
}

fn failed(image: &str, error: bollard::errors::Error) -> PullError {
    let reason = match &error {
        bollard::errors::Error::DockerStreamError { error } => error,
        bollard::errors::Error::DockerResponseServerError { message, .. } => message,
        _ => return PullError::Engine { image: image.to_owned(), source: error },
    };
    match Missing::of(reason) {
        Some(why) => PullError::Missing { image: image.to_owned(), why, reason: reason.clone() },
        None => PullError::Engine { image: image.to_owned(), source: error },
    }
}

/// Bytes of all layers. A layer counts twice its size, once for the way here and once for unpacking, so that
/// the sum never stands still while something is done.
#[derive(Debug, Default)]
struct Layers {
    seen: HashMap<String, Layer>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    loaded: u64,
    unpacked: u64,
    size: u64,
}

impl Layers {
    /// Takes one report; gives the sums when they changed.
    fn take(
        &mut self,
        id: &str,
        status: &str,
        current: Option<i64>,
        total: Option<i64>,
    ) -> Option<(u64, u64)> {
        let current = current.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        let total = total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        let layer = self.seen.entry(id.to_owned()).or_default();
        layer.size = layer.size.max(total);
        match status {
            "Downloading" => layer.loaded = layer.loaded.max(current),
            "Download complete" | "Verifying Checksum" => layer.loaded = layer.size,
            "Extracting" => {
                layer.loaded = layer.size;
                layer.unpacked = layer.unpacked.max(current);
            }
            "Pull complete" | "Already exists" => {
                layer.loaded = layer.size;
                layer.unpacked = layer.size;
            }
            _ => return None,
        }
        let sum = |part: fn(&Layer) -> u64| self.seen.values().map(part).sum::<u64>();
        let whole = sum(|layer| layer.size * 2);
        (whole > 0).then(|| (sum(|layer| layer.loaded + layer.unpacked).min(whole), whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_engines_are_told_apart() {
        for (reason, wanted) in [
            (
                "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                Missing::Unreachable,
            ),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                Missing::Unreachable,
            ),
            (
                "Get \"https://x/v2/\": net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
                Missing::Unreachable,
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Missing::Denied,
            ),
            ("unauthorized: authentication required", Missing::Denied),
            ("Get \"http://h/v2/x\": no basic auth credentials", Missing::Denied),
            (
                "manifest for 127.0.0.1:5000/x:1 not found: manifest unknown: manifest unknown",
                Missing::NotFound,
            ),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", Missing::NotFound),
        ] {
            assert_eq!(Missing::of(reason), Some(wanted), "{reason}");
        }
        assert_eq!(Missing::of("no space left on device"), None);
        assert!(!is_broken_transfer("dial tcp: lookup x: no such host"));
        assert!(is_broken_transfer("read tcp: connection reset by peer"));
    }

    #[test]
    fn layers_add_up() {
        let mut layers = Layers::default();
        assert_eq!(layers.take("a", "Pulling fs layer", None, None), None);
        assert_eq!(layers.take("a", "Downloading", Some(10), Some(100)), Some((10, 200)));
        assert_eq!(layers.take("b", "Already exists", None, None), Some((10, 200)));
        assert_eq!(layers.take("a", "Download complete", None, None), Some((100, 200)));
        assert_eq!(layers.take("a", "Extracting", Some(50), Some(100)), Some((150, 200)));
        assert_eq!(layers.take("a", "Pull complete", None, None), Some((200, 200)));
    }
}
