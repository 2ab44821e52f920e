//! `build` and `pull`, and what those steps of a plan do.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::apply::apply;
use super::up::Hands;
use super::{Context, failures, observe};
use crate::base::{Failure, Kind, Place};
use crate::compose::project::{self as compose, Project};
use crate::engine::build::spec::{
    Context as BuildContext, Dockerfile, NamedContext, Secret, SecretSource, Ssh, Ulimit,
};
use crate::engine::{Build, BuildError, Deployment, Engine, PullError};
use crate::plan::{Order, Plan, images, labels, names};

/// The options of `build` and `pull`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Services named; none means all.
    pub services: Vec<String>,
    /// Their dependencies too.
    pub with_dependencies: bool,
    /// Run every step of a build again.
    pub no_cache: bool,
    /// Ask registries for newer base images.
    pub pull_base: bool,
    /// Arguments of `build --build-arg`.
    pub args: Vec<(String, Option<String>)>,
    /// Only pull what is not here.
    pub missing_only: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Builds the images of all services that have a `build`.
pub async fn build_all(context: &Context, options: &Options) -> Result<Plan, Failure> {
    let wishes = images::Wishes { build: Some(true), pull: None, now: SystemTime::now() };
    let chosen = |service: &compose::Service| service.build.is_some();
    run(context, options, &wishes, chosen, |build| {
        build.no_cache |= options.no_cache;
        build.pull |= options.pull_base;
        for (key, value) in &options.args {
            let value = value.clone().or_else(|| context.environment.get(key).cloned());
            build.args.insert(key.clone(), value);
        }
    })
    .await
}

/// Pulls the images of all services that have none to build.
pub async fn pull_all(context: &Context, options: &Options) -> Result<Plan, Failure> {
    let policy = if options.missing_only { "missing" } else { "always" };
    let wishes = images::Wishes { build: None, pull: Some(policy.to_owned()), now: SystemTime::now() };
    let chosen = |service: &compose::Service| service.build.is_none() && !service.image.is_empty();
    run(context, options, &wishes, chosen, |_| ()).await
}

async fn run(
    context: &Context,
    options: &Options,
    wishes: &images::Wishes,
    chosen: impl Fn(&compose::Service) -> bool,
    alter: impl Fn(&mut compose::Build),
) -> Result<Plan, Failure> {
    let engine = context.engine().await?;
    let mut subject = context.subject_with_images(&engine, &options.services).await?;
    for name in &options.services {
        if !subject.project.services.contains_key(name) {
            return Err(failures::no_service(name, &subject.project));
        }
    }
    for build in subject.project.services.values_mut().filter_map(|service| service.build.as_mut()) {
        alter(build);
    }
    let observed = observe(&engine, &subject.project).await?;
    let order = Order::of(&subject.project, &options.services, options.with_dependencies);
    let services: Vec<String> =
        order.services.into_iter().filter(|name| chosen(&subject.project.services[name])).collect();
    let mut plan = Plan::default();
    images::add_steps(&mut plan, &subject.project, &services, &observed.images, wishes)?;
    if !options.dry_run {
        let hands = Hands::new(context, engine, &subject, &observed, Duration::MAX);
        apply(&plan, &hands, &context.events).await?;
    }
    Ok(plan)
}

/// Pulls one image.
pub(super) async fn pull(
    context: &Context,
    engine: &Engine,
    deployment: &Deployment,
    image: &str,
    service: &str,
) -> Result<(), Failure> {
    let platform = deployment.project.services.get(service).map_or("", |service| &service.platform);
    let platform = (!platform.is_empty()).then_some(platform);
    engine.pull(image, platform, &context.events).await.map_err(|error| no_pull(service, &error))?;
    let id = engine.image_id(image).await.map_err(failures::engine)?;
    deployment.note_image(image, &id);
    Ok(())
}

fn no_pull(service: &str, error: &PullError) -> Failure {
    let (kind, hint) = match error {
        PullError::Missing { .. } => (
            Kind::Unreachable,
            format!(
                "check the name and the network, log in with `docker login`, or give service `{service}` a `build`"
            ),
        ),
        PullError::Name(_) => (Kind::Files, format!("mend the `image` of service `{service}`")),
        PullError::Credentials(_) => (Kind::Files, "log in again with `docker login`".to_owned()),
        PullError::Engine { .. } => (Kind::Unreachable, "look at the engine with `devenv doctor`".to_owned()),
    };
    Failure::new(kind, format!("service `{service}`: {}", chain(error))).hint(hint)
}

/// An error with all that lies behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// Builds one image.
pub(super) async fn build(
    context: &Context,
    engine: &Engine,
    deployment: &Deployment,
    image: &str,
    service: &str,
) -> Result<(), Failure> {
    let project = &deployment.project;
    let Some(definition) = project.services.get(service).and_then(|service| service.build.as_ref()) else {
        return Err(Failure::new(Kind::Files, format!("service `{service}` has no `build`")));
    };
    let spec = spec(context, project, service, definition, image)?;
    let id =
        engine.build(&spec, &context.events).await.map_err(|error| no_build(service, definition, error))?;
    deployment.note_image(image, &id);
    Ok(())
}

/// A service's `build` as the engine's room wants it.
fn spec(
    context: &Context,
    project: &Project,
    name: &str,
    build: &compose::Build,
    image: &str,
) -> Result<Build, Failure> {
    let service = &project.services[name];
    let absolute = |path: &str| project.working_dir.join(path);
    let is_remote =
        |text: &str| text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/");
    let mut tags = vec![image.to_owned()];
    tags.extend(build.tags.iter().filter(|tag| *tag != image).cloned());
    let mut all_labels: Vec<(String, String)> =
        build.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let ours = [
        (labels::PROJECT, project.name.as_str()),
        (labels::SERVICE, name),
        (labels::VERSION, labels::COMPOSE_VERSION),
    ];
    all_labels.extend(ours.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let mut secrets = Vec::new();
    for reference in &build.secrets {
        let Some(secret) = project.secrets.get(&reference.source) else { continue };
        let id = if reference.target.is_empty() { &reference.source } else { &reference.target };
        let source = if secret.file.is_empty() {
            let value = context.environment.get(&secret.environment).ok_or_else(|| {
                Failure::new(
                    Kind::Files,
                    format!(
                        "the build of service `{name}` needs the secret `{}`, which is the variable {} that is not set",
                        reference.source, secret.environment
                    ),
                )
                .hint(format!("set {}", secret.environment))
            })?;
            SecretSource::Bytes(value.clone().into_bytes())
        } else {
            SecretSource::File(absolute(&secret.file))
        };
        secrets.push(Secret { id: id.clone(), source });
    }
    let platforms =
        if service.platform.is_empty() { build.platforms.clone() } else { vec![service.platform.clone()] };
    let contexts = build.additional_contexts.iter().map(|(key, value)| {
        let context = if let Some(other) = value.strip_prefix("service:") {
            let other_service = &project.services.get(other);
            NamedContext::Image(
                other_service
                    .map_or_else(|| other.to_owned(), |service| names::image(&project.name, other, service)),
            )
        } else if let Some(image) = value.strip_prefix("docker-image://") {
            NamedContext::Image(image.to_owned())
        } else if is_remote(value) {
            NamedContext::Remote(value.clone())
        } else {
            NamedContext::Directory(absolute(value))
        };
        (key.clone(), context)
    });
    let mut entitlements = build.entitlements.clone();
    if build.privileged {
        entitlements.push("security.insecure".to_owned());
    }
    let agent = context.environment.get("SSH_AUTH_SOCK");
    let ssh = build.ssh.iter().filter_map(|(id, path)| {
        let socket = path.map(PathBuf::from).or_else(|| agent.map(PathBuf::from))?;
        Some(Ssh { id: id.to_owned(), socket })
    });
    Ok(Build {
        tags,
        context: if is_remote(&build.context) {
            BuildContext::Remote(build.context.clone())
        } else {
            BuildContext::Directory(absolute(&build.context))
        },
        dockerfile: if !build.dockerfile_inline.is_empty() {
            Dockerfile::Inline(build.dockerfile_inline.clone())
        } else if build.dockerfile.is_empty() {
            Dockerfile::default()
        } else {
            Dockerfile::Path(PathBuf::from(&build.dockerfile))
        },
        args: build.args.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        target: Some(build.target.clone()).filter(|target| !target.is_empty()),
        labels: all_labels,
        network: Some(build.network.clone()).filter(|network| !network.is_empty()),
        no_cache: build.no_cache,
        pull: build.pull,
        platforms,
        shm_size: u64::try_from(build.shm_size.get()).ok().filter(|size| *size > 0),
        extra_hosts: build
            .extra_hosts
            .iter()
            .flat_map(|(host, addresses)| addresses.iter().map(move |ip| (host.to_owned(), ip.clone())))
            .collect(),
        ulimits: build
            .ulimits
            .iter()
            .map(|(name, limit)| Ulimit { name: name.clone(), soft: limit.soft(), hard: limit.hard() })
            .collect(),
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        secrets,
        ssh: ssh.collect(),
        entitlements,
        contexts: contexts.collect(),
        ..Build::default()
    })
}

fn no_build(service: &str, definition: &compose::Build, error: BuildError) -> Failure {
    let kind = match &error {
        BuildError::Connect { .. } | BuildError::BrokenOff { .. } | BuildError::Base { .. } => {
            Kind::Unreachable
        }
        BuildError::Step { .. } => Kind::Failed,
        _ => Kind::Files,
    };
    let mut failure = Failure::new(kind, format!("service `{service}`: {}", chain(&error)));
    let (line, log, hint) = match error {
        BuildError::Base { base, line, .. } => {
            let hint = if base.starts_with("devenv.local/") {
                "`devenv doctor --fix` obtains devenv's base image".to_owned()
            } else {
                "check the name and the network; `devenv doctor` says whether a registry answers".to_owned()
            };
            (line, Vec::new(), Some(hint))
        }
        BuildError::Step { line, log, .. } => (line, log, None),
        BuildError::Dockerfile { line, .. } => (line, Vec::new(), None),
        BuildError::NoDockerfile { path, .. } => {
            failure = failure.at(Place::file(path));
            (None, Vec::new(), Some("name it with `build.dockerfile`".to_owned()))
        }
        _ => (None, Vec::new(), None),
    };
    if let Some(line) = line {
        let width = u32::try_from(line.text.chars().count()).unwrap_or(1);
        let path =
            if line.file.is_absolute() { line.file } else { Path::new(&definition.context).join(line.file) };
        failure = failure.at(Place { path, line: line.number, column: 1, width, excerpt: line.text });
    }
    for line in log {
        failure = failure.evidence(line);
    }
    failure.hints.extend(hint);
    failure
}
