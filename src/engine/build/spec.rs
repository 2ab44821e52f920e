//! What to build, as plain data: nothing here knows an engine, a compose file or a command line.

use std::path::PathBuf;

/// One image to build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// The names the image gets; the first one stands for it in events and errors.
    pub tags: Vec<String>,
    /// Where `COPY` copies from.
    pub context: Context,
    /// Where the instructions stand.
    pub dockerfile: Dockerfile,
    /// Build arguments. One without a value was not found in the environment either, and is not sent.
    pub args: Vec<(String, Option<String>)>,
    /// The stage to build; the last one without it.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Network of `RUN`: `default`, `none` or `host`; `BuildKit` knows no others.
    pub network: Option<String>,
    /// Runs every step again.
    pub no_cache: bool,
    /// Runs the steps of these stages again.
    pub no_cache_filter: Vec<String>,
    /// Asks the registry for newer base images.
    pub pull: bool,
    /// `os/arch[/variant]`; at most one on an engine's own image store.
    pub platforms: Vec<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Further lines of `/etc/hosts`: name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Resource limits of `RUN`.
    pub ulimits: Vec<Ulimit>,
    /// Images, or `type=…,key=value` lists, whose layers may be used as cache.
    pub cache_from: Vec<String>,
    /// `type=…,key=value` lists saying where the cache goes.
    pub cache_to: Vec<String>,
    /// What `RUN --mount=type=secret` may read.
    pub secrets: Vec<Secret>,
    /// What `RUN --mount=type=ssh` may use.
    pub ssh: Vec<Ssh>,
    /// What steps may do beyond the usual: `network.host`, `security.insecure`. The engine has to allow it too.
    pub entitlements: Vec<String>,
    /// Named contexts for `FROM name` and `COPY --from=name`.
    pub contexts: Vec<(String, NamedContext)>,
}

impl Build {
    /// What events and errors call this build: its first tag, else its target, else `image`.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.tags.first().or(self.target.as_ref()).map_or("image", String::as_str)
    }
}

/// Where a build's files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// A directory on this machine.
    Directory(PathBuf),
    /// A git repository or an archive that the engine fetches by itself.
    Remote(String),
}

impl Default for Context {
    fn default() -> Self {
        Self::Directory(PathBuf::from("."))
    }
}

/// Where a build's instructions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// A file: relative to the context, or anywhere when absolute.
    Path(PathBuf),
    /// The text itself, which never touches the disk.
    Inline(String),
}

impl Default for Dockerfile {
    fn default() -> Self {
        Self::Path(PathBuf::from("Dockerfile"))
    }
}

/// A further context, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory on this machine.
    Directory(PathBuf),
    /// An image; `service:x` of a compose file becomes the image of `x`.
    Image(String),
    /// A git repository or an archive that the engine fetches by itself.
    Remote(String),
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// Its name, as in `ulimit` (`nofile`).
    pub name: String,
    /// The soft limit.
    pub soft: i64,
    /// The hard limit.
    pub hard: i64,
}

/// A file that exists while a step runs and in no layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// What `--mount=type=secret,id=…` calls it.
    pub id: String,
    /// What it holds.
    pub source: SecretSource,
}

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read when a step asks for it.
    File(PathBuf),
    /// The content itself, such as the value of an environment variable.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Bytes(_) => f.write_str("Bytes(***)"),
        }
    }
}

/// An ssh agent lent to steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// What `--mount=type=ssh,id=…` calls it; `default` without one.
    pub id: String,
    /// The agent's socket.
    pub socket: PathBuf,
}
