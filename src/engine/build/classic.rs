//! Builds with the classic builder, which takes the whole context as one archive. It is written while it is
//! sent: no more than a few blocks of it are ever in memory.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion, TagImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::dockerfile::instructions;
use super::error::BuildError;
use super::failure::{line_in, line_of_base, text_of};
use super::progress::Lines;
use super::spec::{Build, Context, Dockerfile};
use super::walk::{Entry, Filter, Unreadable, walk};
use super::{ImageId, Lent};
use crate::base::ignore::{self, Patterns};
use crate::base::{Event, Events};
use crate::engine::image_name::ImageName;
use crate::engine::pull::Missing;

/// The name of a Dockerfile that is sent beside the context's own files.
const OUTSIDE: &str = ".devenv.Dockerfile";
const BLOCK: usize = 64 * 1024;

pub(super) async fn build(
    docker: &bollard::Docker,
    lent: &Lent,
    build: &Build,
    events: &Events,
) -> Result<ImageId, BuildError> {
    let image = build.subject().to_owned();
    for (wanted, what) in [
        (!build.secrets.is_empty(), "secrets"),
        (!build.ssh.is_empty(), "an ssh agent"),
        (!build.contexts.is_empty(), "additional contexts"),
        (!build.cache_to.is_empty(), "a cache of its own"),
        (!build.entitlements.is_empty(), "entitlements"),
        (build.platforms.len() > 1, "several platforms"),
    ] {
        if wanted {
            return Err(BuildError::Unsupported { image, what: what.to_owned() });
        }
    }
    let packed = Packed::of(build)?;
    let (remote, dockerfile) = (packed.remote.clone(), packed.dockerfile.clone());
    let options = options(build, &dockerfile, remote.as_deref())?;
    let trouble: Arc<Mutex<Option<Unreadable>>> = Arc::default();
    let body = packed.send(Arc::clone(&trouble));

    let mut logins = HashMap::new();
    for base in bases(build) {
        if let Some(login) = lent.credentials.find(&base.registry).await? {
            logins.insert(base.registry.clone(), login.for_engine(&base.registry));
        }
    }
    // An answer comes only when the whole context has arrived.
    let docker = docker.clone().with_timeout(Duration::from_hours(24));
    let mut answers =
        std::pin::pin!(docker.build_image(options, Some(logins), Some(bollard::body_try_stream(body))));
    let mut told = Told { step: String::new(), lines: Lines::default(), id: None, number: (0, 0) };
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(info) => {
                for line in told.lines.push(info.stream.unwrap_or_default().as_bytes()) {
                    told.line(&image, &line, events);
                }
            }
            Err(error) => {
                if let Some(trouble) = trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    return Err(BuildError::Unreadable { image, path: trouble.path, source: trouble.source });
                }
                return Err(told.explain(build, &error));
            }
        }
    }
    // The type of the answer's own field for the id depends on cargo features of bollard that a dependency may
    // switch on; the sentence is always there, with the first digits.
    let refused = |reason: String| BuildError::Refused { image: image.clone(), reason };
    let short = told.id.ok_or_else(|| refused("the engine names no image".into()))?;
    let built = docker.inspect_image(&short).await.map_err(|error| refused(error.to_string()))?;
    let id = ImageId(built.id.unwrap_or(short));
    for tag in build.tags.iter().skip(1) {
        let name = tag.parse::<ImageName>()?.tagged();
        let tag = name.tag.clone().unwrap_or_default();
        let options = TagImageOptionsBuilder::default().repo(&name.repository()).tag(&tag).build();
        let tagged = docker.tag_image(&id.0, Some(options)).await;
        tagged.map_err(|error| refused(error.to_string()))?;
    }
    Ok(id)
}

fn options(
    build: &Build,
    dockerfile: &str,
    remote: Option<&str>,
) -> Result<bollard::query_parameters::BuildImageOptions, BuildError> {
    let mut names = Vec::new();
    for tag in &build.tags {
        names.push(tag.parse::<ImageName>()?.tagged().to_string());
    }
    let args: HashMap<_, _> =
        build.args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    let labels: HashMap<_, _> = build.labels.iter().cloned().collect();
    let mut options = BuildImageOptionsBuilder::default()
        .version(BuilderVersion::BuilderV1)
        .dockerfile(dockerfile)
        .rm(true)
        .forcerm(true)
        .nocache(build.no_cache)
        .buildargs(&args)
        .labels(&labels);
    if let Some(first) = names.first() {
        options = options.t(first);
    }
    if build.pull {
        options = options.pull("true");
    }
    if let Some(remote) = remote {
        options = options.remote(remote);
    }
    if let Some(target) = &build.target {
        options = options.target(target);
    }
    if let Some(network) = &build.network {
        options = options.networkmode(network);
    }
    if let Some(platform) = build.platforms.first() {
        options = options.platform(platform);
    }
    if let Some(size) = build.shm_size.and_then(|size| i32::try_from(size).ok()) {
        options = options.shmsize(size);
    }
    if !build.cache_from.is_empty() {
        options = options.cachefrom(&build.cache_from);
    }
    if !build.extra_hosts.is_empty() {
        let hosts: Vec<_> =
            build.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
        options = options.extrahosts(&hosts.join(","));
    }
    Ok(options.build())
}

/// The images that a Dockerfile begins with, for their registries' logins.
fn bases(build: &Build) -> Vec<ImageName> {
    let text = text_of(build).unwrap_or_default();
    instructions(&text).iter().filter_map(|one| one.base()?.parse().ok()).collect()
}

/// What will be sent.
struct Packed {
    remote: Option<String>,
    dockerfile: String,
    root: Option<PathBuf>,
    filter: Filter,
    beside: Option<Vec<u8>>,
}

impl Packed {
    fn of(build: &Build) -> Result<Self, BuildError> {
        let image = build.subject();
        let root = match &build.context {
            Context::Directory(root) => root,
            Context::Remote(address) => {
                let Dockerfile::Path(path) = &build.dockerfile else {
                    let what = "an inline Dockerfile for a remote context".to_owned();
                    return Err(BuildError::Unsupported { image: image.to_owned(), what });
                };
                return Ok(Self {
                    remote: Some(address.clone()),
                    dockerfile: path.to_string_lossy().into_owned(),
                    root: None,
                    filter: Filter::default(),
                    beside: None,
                });
            }
        };
        let mut ignore_file = root.join(".dockerignore");
        let (mut dockerfile, mut beside) = (OUTSIDE.to_owned(), None);
        match &build.dockerfile {
            Dockerfile::Inline(text) => beside = Some(text.clone().into_bytes()),
            Dockerfile::Path(path) => {
                let place = root.join(path);
                let own = PathBuf::from(format!("{}.dockerignore", place.display()));
                if own.is_file() {
                    ignore_file = own;
                }
                let read = std::fs::read(&place);
                let content = read.map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound => {
                        BuildError::NoDockerfile { image: image.to_owned(), path: place.clone() }
                    }
                    _ => BuildError::Unreadable { image: image.to_owned(), path: place.clone(), source },
                })?;
                match place.strip_prefix(root) {
                    Ok(inside) => dockerfile = ignore::clean(&inside.to_string_lossy()),
                    Err(_) => beside = Some(content),
                }
            }
        }
        let mut patterns = match std::fs::read_to_string(&ignore_file) {
            Ok(text) => ignore::read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => {
                return Err(BuildError::Unreadable { image: image.to_owned(), path: ignore_file, source });
            }
        };
        // The builder needs its Dockerfile whatever is ignored, and the user's `.dockerignore` to take it away
        // again for `COPY`: so does `docker build`.
        if !patterns.is_empty() {
            patterns.push(format!("!{dockerfile}"));
            patterns.push("!.dockerignore".to_owned());
        }
        let exclude =
            Patterns::new(&patterns).map_err(|source| BuildError::Ignore { path: ignore_file, source })?;
        let filter = Filter { include: None, exclude };
        Ok(Self { remote: None, dockerfile, root: Some(root.clone()), filter, beside })
    }

    /// The archive, written by a thread as fast as it is taken away.
    fn send(
        self,
        trouble: Arc<Mutex<Option<Unreadable>>>,
    ) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (blocks, out) = mpsc::channel::<io::Result<Bytes>>(16);
        tokio::task::spawn_blocking(move || {
            let mut archive =
                tar::Builder::new(Blocks { blocks: blocks.clone(), begun: Vec::with_capacity(BLOCK) });
            let written = self.write(&mut archive).and_then(|()| {
                let finished = archive.into_inner().and_then(|mut blocks| blocks.flush());
                finished.map_err(Unreadable::at(Path::new("")))
            });
            if let Err(problem) = written {
                let told = io::Error::new(problem.source.kind(), problem.to_string());
                trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
                let _ = blocks.blocking_send(Err(told));
            }
        });
        tokio_stream::wrappers::ReceiverStream::new(out)
    }

    fn write(&self, archive: &mut tar::Builder<Blocks>) -> Result<(), Unreadable> {
        if let Some(content) = &self.beside {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            let name = Path::new(&self.dockerfile);
            archive.append_data(&mut header, name, content.as_slice()).map_err(Unreadable::at(name))?;
        }
        let Some(root) = &self.root else { return Ok(()) };
        let _ = walk(root, &self.filter, &mut |entry| {
            append(archive, &entry).map_err(Unreadable::at(&entry.place))?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }
}

fn append(archive: &mut tar::Builder<Blocks>, entry: &Entry) -> io::Result<()> {
    let kind = entry.metadata.file_type();
    let mut header = tar::Header::new_gnu();
    header.set_metadata_in_mode(&entry.metadata, tar::HeaderMode::Complete);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("")?;
    header.set_groupname("")?;
    if kind.is_symlink() {
        header.set_size(0);
        archive.append_link(&mut header, &entry.path, std::fs::read_link(&entry.place)?)
    } else if kind.is_dir() {
        archive.append_data(&mut header, format!("{}/", entry.path), io::empty())
    } else if kind.is_file() {
        let file = std::fs::File::open(&entry.place)?;
        let size = file.metadata()?.len();
        header.set_size(size);
        // A file that grows meanwhile is sent as it was; one that shrinks would break the archive.
        let mut whole = Exactly { file: file.take(size), left: size };
        archive.append_data(&mut header, &entry.path, &mut whole)
    } else {
        Ok(())
    }
}

/// A file that must not end before its announced size.
struct Exactly {
    file: io::Take<std::fs::File>,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.left -= read as u64;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            ));
        }
        Ok(read)
    }
}

/// Collects what is written into blocks, and hands them over.
struct Blocks {
    blocks: mpsc::Sender<io::Result<Bytes>>,
    begun: Vec<u8>,
}

impl Write for Blocks {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(data);
        if self.begun.len() >= BLOCK {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let block = Bytes::from(std::mem::replace(&mut self.begun, Vec::with_capacity(BLOCK)));
        self.blocks.blocking_send(Ok(block)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What the builder told so far.
struct Told {
    step: String,
    lines: Lines,
    id: Option<String>,
    number: (u64, u64),
}

impl Told {
    fn line(&mut self, image: &str, line: &str, events: &Events) {
        if let Some(id) = line.strip_prefix("Successfully built ") {
            self.id = Some(id.to_owned());
        } else if let Some((number, total)) = step_number(line) {
            line.clone_into(&mut self.step);
            self.number = (number, total);
            // Lines of earlier steps explain nothing.
            self.lines = Lines::default();
            let (done, total) = (Some(number - 1), Some(total));
            events.tell(Event::Progress { subject: image.to_owned(), detail: line.to_owned(), done, total });
        } else if !is_chatter(line) {
            events.tell(Event::Output { subject: image.to_owned(), line: line.to_owned() });
        }
    }

    fn explain(&self, build: &Build, error: &bollard::errors::Error) -> BuildError {
        use bollard::errors::Error;
        let image = build.subject().to_owned();
        let reason = match error {
            Error::DockerStreamError { error } => error.clone(),
            Error::DockerResponseServerError { message, .. } => message.clone(),
            other => return BuildError::BrokenOff { image, reason: other.to_string() },
        };
        let parsed = reason.split_once("parse error ");
        if let Some(rest) = parsed.and_then(|(_, rest)| rest.trim_start_matches("on ").strip_prefix("line "))
        {
            let (number, message) = rest.split_once(": ").unwrap_or((rest, "it is not understood"));
            let number = number.parse().unwrap_or(0);
            let text = text_of(build).unwrap_or_default();
            let line = line_in(build, &text, number);
            return BuildError::Dockerfile { image, line, message: message.to_owned() };
        }
        let from = self.step.split_once("FROM ").and_then(|(_, rest)| rest.split_whitespace().next());
        if let (Some(base), Some(why)) = (from, Missing::of(&reason)) {
            let line = line_of_base(build, base);
            return BuildError::Base { image, base: base.to_owned(), why, line, reason };
        }
        if self.step.is_empty() {
            return BuildError::Refused { image, reason };
        }
        let exit_code = reason.rsplit_once("non-zero code: ").and_then(|(_, code)| code.trim().parse().ok());
        let log = self.lines.last().into_iter().filter(|line| !is_chatter(line)).collect();
        BuildError::Step { image, step: self.step.clone(), line: None, exit_code, reason, log }
    }
}

/// The builder's own words between those of the commands.
fn is_chatter(line: &str) -> bool {
    line.starts_with(" ---> ") || line.starts_with("Removing intermediate container ")
}

/// `Step 3/7 : RUN …`
fn step_number(line: &str) -> Option<(u64, u64)> {
    let (numbers, _) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, total) = numbers.split_once('/')?;
    Some((number.parse().ok()?, total.parse().ok()?))
}
