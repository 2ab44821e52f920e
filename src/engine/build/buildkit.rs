//! Builds with the engine's `BuildKit`: a session that answers its questions, one request that runs until the
//! image is there, one stream that tells how it goes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::PoisonError;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, SolveRequest, StatusRequest,
};
use hyper_util::rt::TokioIo;
use tonic::transport::Channel;

use super::contexts::{Inserted, Stand, into_dockerfile};
use super::dial::Head;
use super::failure::explain;
use super::filesync::{Files, Offer};
use super::progress::Progress;
use super::session::{Offered, Session, random_id};
use super::spec::{Build, Context, Dockerfile, NamedContext, SecretSource};
use super::{BuildError, ImageId, Lent};
use crate::base::{Event, Events};
use crate::engine::image_name::ImageName;

/// The id under which every step may read the machine's certificate authorities.
pub const CA_SECRET: &str = "devenv_ca";

/// As large as an engine's own limit.
const MAX_MESSAGE: usize = 16 << 20;

pub(super) async fn build(
    docker: &bollard::Docker,
    lent: &Lent,
    engine: &Head,
    build: &Build,
    events: &Events,
) -> Result<ImageId, BuildError> {
    let directories = build.contexts.iter().any(|(_, context)| matches!(context, NamedContext::Directory(_)));
    if directories && !engine.is_at_least(1, 42) {
        let (build, stand) = Stand::build(docker, lent, build, events).await?;
        let built = solve(lent, engine, &build, events).await;
        stand.remove().await;
        return built;
    }
    solve(lent, engine, build, events).await
}

async fn solve(lent: &Lent, engine: &Head, build: &Build, events: &Events) -> Result<ImageId, BuildError> {
    let image = build.subject();
    let request = Request::new(lent, engine, build, events)?;
    let broken_off = |reason: String| BuildError::BrokenOff { image: image.to_owned(), reason };
    let connect =
        |source| BuildError::Connect { image: image.to_owned(), endpoint: lent.endpoint.clone(), source };
    let trouble = std::sync::Arc::clone(&request.offered.files.trouble);
    let session =
        Session::open(&lent.endpoint, &request.shared_key, request.offered).await.map_err(connect)?;
    let channel = channel(lent, &session.id).await.map_err(|error| broken_off(whole_story(&error)))?;
    let mut control = ControlClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);

    let reference = random_id();
    let solve = SolveRequest {
        r#ref: reference.clone(),
        session: session.id.clone(),
        frontend: "dockerfile.v0".into(),
        frontend_attrs: request.attributes,
        exporter_deprecated: "moby".into(),
        exporter_attrs_deprecated: request.exporter,
        cache: Some(request.cache),
        entitlements: entitlements(build),
        ..SolveRequest::default()
    };
    let mut progress = Progress::new(image, events);
    let mut watching = control.clone();
    let solved = {
        let solving = control.solve(solve);
        let watch = async {
            // What cannot be watched is still built.
            let Ok(answer) = watching.status(StatusRequest { r#ref: reference }).await else { return };
            let mut statuses = answer.into_inner();
            while let Ok(Some(status)) = statuses.message().await {
                progress.take(status);
            }
        };
        tokio::pin!(solving, watch);
        tokio::select! {
            solved = &mut solving => {
                // The last words come just after the end, and end by themselves.
                let _ = tokio::time::timeout(std::time::Duration::from_secs(2), watch).await;
                solved
            }
            () = &mut watch => solving.await,
        }
    };
    match solved {
        Ok(answer) => {
            let mut facts = answer.into_inner().exporter_response;
            facts.remove("containerimage.digest").map(ImageId).ok_or_else(|| BuildError::Refused {
                image: image.to_owned(),
                reason: "the engine names no image".into(),
            })
        }
        Err(status) => {
            if let Some(trouble) = trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(BuildError::Unreadable {
                    image: image.to_owned(),
                    path: trouble.path,
                    source: trouble.source,
                });
            }
            let secret = session.secret_trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(secret) = secret {
                return Err(BuildError::Secret { id: secret.id, path: secret.path, source: secret.source });
            }
            Err(explain(build, request.inserted.as_ref(), &status, &progress))
        }
    }
}

async fn channel(lent: &Lent, session: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = lent.endpoint.clone();
    let session = session.to_owned();
    // The address is never looked up: the connector below knows where to go.
    tonic::transport::Endpoint::from_static("http://engine")
        .connect_with_connector(tower::service_fn(move |_| {
            let (endpoint, session) = (endpoint.clone(), session.clone());
            async move {
                let headers = [("X-Docker-Expose-Session-Uuid", session.as_str())];
                endpoint.upgrade("/grpc", &headers).await.map(TokioIo::new)
            }
        }))
        .await
}

fn whole_story(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

struct Request {
    attributes: HashMap<String, String>,
    exporter: HashMap<String, String>,
    cache: CacheOptions,
    offered: Offered,
    shared_key: String,
    /// Lines that were put before the user's own.
    inserted: Option<Inserted>,
}

impl Request {
    fn new(lent: &Lent, engine: &Head, build: &Build, events: &Events) -> Result<Self, BuildError> {
        let image = build.subject();
        let mut attributes = attributes(build)?;
        let mut offers = HashMap::new();
        let mut shared_key = String::new();
        let mut inserted = None;
        match &build.context {
            Context::Directory(root) => {
                shared_key = shared_key_of(root);
                offers.insert("context".to_owned(), Offer::Directory(root.clone()));
                match &build.dockerfile {
                    Dockerfile::Inline(text) => {
                        offers.insert("dockerfile".to_owned(), inline(text));
                    }
                    Dockerfile::Path(path) => {
                        let place = root.join(path);
                        let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
                        let (Some(name), Some(directory), true) = (name, place.parent(), place.is_file())
                        else {
                            return Err(BuildError::NoDockerfile { image: image.to_owned(), path: place });
                        };
                        offers.insert("dockerfile".to_owned(), Offer::Directory(directory.to_owned()));
                        attributes.insert("filename".to_owned(), name);
                    }
                }
            }
            Context::Remote(address) => {
                attributes.insert("context".to_owned(), address.clone());
                match &build.dockerfile {
                    Dockerfile::Inline(text) => {
                        offers.insert("dockerfile".to_owned(), inline(text));
                        attributes.insert("dockerfilekey".to_owned(), "dockerfile".to_owned());
                    }
                    Dockerfile::Path(path) => {
                        attributes.insert("filename".to_owned(), path.to_string_lossy().into_owned());
                    }
                }
            }
        }
        if !engine.is_at_least(1, 42) {
            for (given, what) in
                [(build.shm_size.is_some(), "shm_size"), (!build.ulimits.is_empty(), "ulimits")]
            {
                if given {
                    events.tell(Event::warning(format!(
                        "{image}: `{what}` of a build has no effect on this engine (it needs 23.0)"
                    )));
                }
            }
        }
        if engine.is_at_least(1, 42) {
            name_contexts(build, &mut attributes, &mut offers);
        } else if !build.contexts.is_empty() {
            inserted = Some(into_dockerfile(build, &mut offers)?);
            attributes.remove("filename");
        }
        let mut secrets: HashMap<String, SecretSource> =
            build.secrets.iter().map(|secret| (secret.id.clone(), secret.source.clone())).collect();
        if let Some(bundle) = &lent.ca_bundle {
            secrets.entry(CA_SECRET.to_owned()).or_insert_with(|| SecretSource::File(bundle.clone()));
        }
        let agents = build.ssh.iter().map(|ssh| (ssh.id.clone(), ssh.socket.clone())).collect();
        let files = Files { offers, ..Files::default() };
        let offered = Offered { files, secrets, agents, credentials: lent.credentials.clone() };
        let mut names = Vec::new();
        for tag in &build.tags {
            names.push(tag.parse::<ImageName>()?.tagged().to_string());
        }
        let exporter = if names.is_empty() {
            HashMap::new()
        } else {
            HashMap::from([("name".to_owned(), names.join(","))])
        };
        Ok(Self { attributes, exporter, cache: cache(build), offered, shared_key, inserted })
    }
}

fn inline(text: &str) -> Offer {
    Offer::Files(vec![("Dockerfile".to_owned(), text.as_bytes().to_vec())])
}

fn attributes(build: &Build) -> Result<HashMap<String, String>, BuildError> {
    let mut all = HashMap::new();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
    for (name, value) in &build.args {
        if let Some(value) = value {
            set(&format!("build-arg:{name}"), value.clone());
        }
    }
    for (name, value) in &build.labels {
        set(&format!("label:{name}"), value.clone());
    }
    if let Some(target) = &build.target {
        set("target", target.clone());
    }
    if build.no_cache {
        set("no-cache", String::new());
    } else if !build.no_cache_filter.is_empty() {
        set("no-cache", build.no_cache_filter.join(","));
    }
    set("image-resolve-mode", if build.pull { "pull" } else { "default" }.to_owned());
    let unsupported = |what: String| BuildError::Unsupported { image: build.subject().to_owned(), what };
    match build.platforms.as_slice() {
        [] => {}
        [one] => {
            set("platform", one.clone());
        }
        several => return Err(unsupported(format!("an image of {} platforms", several.len()))),
    }
    match build.network.as_deref() {
        None | Some("" | "default") => {}
        Some(mode @ ("host" | "none")) => {
            set("force-network-mode", mode.to_owned());
        }
        Some(other) => return Err(unsupported(format!("the network {other}"))),
    }
    let list = |items: Vec<String>| items.join(",");
    if !build.extra_hosts.is_empty() {
        set(
            "add-hosts",
            list(build.extra_hosts.iter().map(|(name, address)| format!("{name}={address}")).collect()),
        );
    }
    if let Some(size) = build.shm_size {
        set("shm-size", size.to_string());
    }
    if !build.ulimits.is_empty() {
        set(
            "ulimit",
            list(
                build
                    .ulimits
                    .iter()
                    .map(|limit| format!("{}={}:{}", limit.name, limit.soft, limit.hard))
                    .collect(),
            ),
        );
    }
    Ok(all)
}

/// Contexts as the Dockerfile frontend 1.4 and newer takes them.
fn name_contexts(
    build: &Build,
    attributes: &mut HashMap<String, String>,
    offers: &mut HashMap<String, Offer>,
) {
    for (name, context) in &build.contexts {
        let address = match context {
            NamedContext::Image(image) => format!("docker-image://{image}"),
            NamedContext::Remote(address) => address.clone(),
            NamedContext::Directory(place) => {
                let offered = format!("named-{name}");
                offers.insert(offered.clone(), Offer::Directory(place.clone()));
                format!("local:{offered}")
            }
        };
        attributes.insert(format!("context:{name}"), address);
    }
}

fn cache(build: &Build) -> CacheOptions {
    let mut exports: Vec<_> = build.cache_to.iter().map(|text| cache_entry(text)).collect();
    // What `docker build` makes of this argument.
    let wants_inline = build.args.iter().any(|(name, value)| {
        name == "BUILDKIT_INLINE_CACHE"
            && matches!(value.as_deref(), Some("1" | "true" | "TRUE" | "True" | "t" | "T"))
    });
    if wants_inline && exports.is_empty() {
        exports.push(CacheOptionsEntry { r#type: "inline".into(), attrs: HashMap::new() });
    }
    let imports = build.cache_from.iter().map(|text| cache_entry(text)).collect();
    CacheOptions { exports, imports, ..CacheOptions::default() }
}

/// `type=…,key=value`, or the name of an image.
fn cache_entry(text: &str) -> CacheOptionsEntry {
    let mut attrs: HashMap<String, String> = HashMap::new();
    if text.contains('=') {
        for (key, value) in text.split(',').filter_map(|part| part.split_once('=')) {
            attrs.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    } else {
        attrs.insert("ref".to_owned(), text.to_owned());
    }
    let kind = attrs.remove("type").unwrap_or_else(|| "registry".to_owned());
    if kind == "registry"
        && let Some(name) = attrs.get("ref").and_then(|name| name.parse::<ImageName>().ok())
    {
        attrs.insert("ref".to_owned(), name.tagged().to_string());
    }
    CacheOptionsEntry { r#type: kind, attrs }
}

/// Equal for builds of one directory on one machine, and for no others: the engine compares what it has
/// under this key by size and time only.
fn shared_key_of(root: &Path) -> String {
    use sha2::Digest;
    use std::os::unix::fs::MetadataExt;
    let place = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let mut hash = sha2::Sha256::new();
    hash.update(rustix::system::uname().nodename().to_bytes());
    hash.update(std::fs::read("/etc/machine-id").unwrap_or_default());
    hash.update(place.as_os_str().as_encoded_bytes());
    if let Ok(metadata) = std::fs::metadata(&place) {
        hash.update(metadata.dev().to_le_bytes());
        hash.update(metadata.ino().to_le_bytes());
    }
    hex::encode(hash.finalize())
}

/// What the build may do beyond the usual. The host's network is one of these, which buildx grants to whoever
/// asks for it.
fn entitlements(build: &Build) -> Vec<String> {
    let mut all = build.entitlements.clone();
    let host = "network.host";
    if build.network.as_deref() == Some("host") && all.iter().all(|entitlement| entitlement != host) {
        all.push(host.to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_read() {
        let registry = cache_entry("me/app");
        assert_eq!(
            (registry.r#type.as_str(), registry.attrs["ref"].as_str()),
            ("registry", "docker.io/me/app:latest")
        );
        let local = cache_entry("type=local,src=/x");
        assert_eq!((local.r#type.as_str(), local.attrs["src"].as_str()), ("local", "/x"));
    }

    #[test]
    fn what_was_not_found_is_not_sent() {
        let build = Build {
            args: vec![("A".into(), Some("1".into())), ("B".into(), None)],
            network: Some("host".into()),
            extra_hosts: vec![("a".into(), "1.2.3.4".into()), ("b".into(), "::1".into())],
            ..Build::default()
        };
        let all = attributes(&build).unwrap();
        assert_eq!(all["build-arg:A"], "1");
        assert!(!all.contains_key("build-arg:B"));
        assert_eq!(all["add-hosts"], "a=1.2.3.4,b=::1");
        assert_eq!(
            (entitlements(&build), entitlements(&Build::default())),
            (vec!["network.host".to_owned()], vec![])
        );
        let custom = Build { network: Some("mine".into()), ..Build::default() };
        assert!(matches!(attributes(&custom), Err(BuildError::Unsupported { .. })));
    }
}
