//! Where the engine is and how it is connected to.
//!
//! [`resolve`] follows Docker's own order: `DOCKER_HOST`, then `DOCKER_CONTEXT`, then the context that
//! `docker context use` chose, then the default socket; only where that socket cannot be used are the sockets of
//! rootless Docker, Docker Desktop, Colima, Orbstack, Rancher Desktop and Podman tried. It reads no environment
//! variable: `cli` hands the values in.
//!
//! [`connect`] opens the endpoint, agrees on an API version and says exactly what is wrong when it cannot.

mod connect;
mod resolve;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use bollard::Docker;
pub use connect::connect;
pub use resolve::{Look, Socket, resolve, resolve_here};

/// How long an engine may take to answer a question that it can answer at once.
pub const REPLY: Duration = Duration::from_secs(10);

/// How long work may take that the engine answers only when it is done (stop, import, commit).
pub const WORK: Duration = Duration::from_hours(1);

/// The oldest API that is spoken: that of Docker 20.10.
pub const OLDEST_API: Api = Api { major: 1, minor: 41 };

/// The socket of an engine that was installed in the ordinary way.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// What the environment says about the engine; every field is the value of the variable named with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `DOCKER_HOST`, such as `unix:///var/run/docker.sock` or `tcp://build.example:2376`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`: the name of a context to use instead of the current one.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`: the directory that replaces `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY`: any text that is not empty asks for TLS on a `tcp` host.
    pub tls_verify: Option<String>,
    /// `DOCKER_CERT_PATH`: the directory of `ca.pem`, `cert.pem` and `key.pem`.
    pub cert_path: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where rootless engines keep their socket.
    pub runtime_dir: Option<PathBuf>,
}

/// Who named the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The variable `DOCKER_HOST`.
    DockerHost,
    /// The context that `DOCKER_CONTEXT` names.
    ContextVariable(String),
    /// The context that `docker context use` chose.
    CurrentContext(String),
    /// Nobody: the default socket.
    Default,
    /// Nobody: the default socket is not there (or not for us), and this product's socket is.
    Found(&'static str),
}

impl Source {
    /// Whether nobody asked for this endpoint by name, so that an engine may be installed or started for it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        matches!(self, Self::Default | Self::Found(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DockerHost => f.write_str("DOCKER_HOST"),
            Self::ContextVariable(name) => write!(f, "DOCKER_CONTEXT={name}"),
            Self::CurrentContext(name) => write!(f, "the current docker context `{name}`"),
            Self::Default => f.write_str("the default"),
            Self::Found(product) => write!(f, "the socket of {product}"),
        }
    }
}

/// The files of a TLS connection; those that are absent are not used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signed the engine's certificate (beside those the machine trusts).
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
}

/// An address that an engine can listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`, plain or with TLS.
    Tcp {
        /// `host:port`, with brackets around an IPv6 address; a path may follow.
        address: String,
        /// Present when the connection is encrypted.
        tls: Option<Tls>,
    },
    /// A machine behind ssh, as written.
    Ssh(String),
}

impl Host {
    /// Whether the engine shares this machine's file system and network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { address, tls: None } => write!(f, "tcp://{address}"),
            Self::Tcp { address, tls: Some(_) } => write!(f, "https://{address}"),
            Self::Ssh(written) => f.write_str(written),
        }
    }
}

/// Where the engine is, and why there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub host: Host,
    /// Who named it.
    pub source: Source,
}

/// A version of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Api {
    /// Before the dot.
    pub major: usize,
    /// After the dot.
    pub minor: usize,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Who may use a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The group that owns it, by name where `/etc/group` has one.
    pub group: String,
    /// Whether the group may write to it.
    pub group_may: bool,
    /// Whether this process is in that group.
    pub member: bool,
    /// Whether `/etc/group` lists this user in it (true beside a false `member`: a new login is needed).
    pub listed: bool,
}

/// Why there is no connection to an engine.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// A context was named that does not exist.
    #[error("docker context `{name}` does not exist (named by {by})")]
    ContextMissing {
        /// The context.
        name: String,
        /// Who named it.
        by: Source,
        /// The file that would describe it.
        path: PathBuf,
    },
    /// A file of Docker's settings cannot be understood.
    #[error("{} cannot be used: {detail}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The address has a form that is not spoken here.
    #[error("`{host}` (from {by}) is not an address of an engine that can be used")]
    Unsupported {
        /// As written.
        host: String,
        /// Who named it.
        by: Source,
    },
    /// There is no socket at the path: nothing is installed there, or nothing runs.
    #[error("there is no engine socket at {}", path.display())]
    SocketMissing {
        /// The path.
        path: PathBuf,
    },
    /// This user may not use the socket.
    #[error("no permission to use the engine socket {}", path.display())]
    Denied {
        /// The path.
        path: PathBuf,
        /// Who may; unknown when even that cannot be seen.
        owner: Option<Owner>,
    },
    /// Nothing listens at the address (a socket that an ended engine left behind, or a closed port).
    #[error("nothing listens at {host}")]
    Refused {
        /// The address.
        host: Host,
    },
    /// The machine of the address cannot be found or reached.
    #[error("{host} cannot be reached: {detail}")]
    Unreachable {
        /// The address.
        host: Host,
        /// What the system said.
        detail: String,
    },
    /// The connection was accepted and no answer came.
    #[error("{host} accepted the connection and did not answer within {} s", after.as_secs_f32())]
    Silent {
        /// The address.
        host: Host,
        /// How long was waited.
        after: Duration,
    },
    /// Something else than an engine answered.
    #[error("{host} answers, but not as an engine: {said}")]
    NotAnEngine {
        /// The address.
        host: Host,
        /// What it said, shortened.
        said: String,
    },
    /// The engine speaks only an API that is older than [`OLDEST_API`].
    #[error(
        "the engine at {host} speaks API {api}, and {OLDEST_API} (Docker 20.10) is the oldest that works"
    )]
    TooOld {
        /// The address.
        host: Host,
        /// What it speaks.
        api: Api,
    },
    /// The files of the TLS connection cannot be used, or the two sides do not trust each other.
    #[error("no TLS connection to {host}: {detail}")]
    Tls {
        /// The address.
        host: Host,
        /// What is wrong.
        detail: String,
    },
}
