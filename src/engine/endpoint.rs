//! Where the engine is and how it is connected to.
//!
//! [`resolve`] follows Docker's own order: `DOCKER_HOST`, then `DOCKER_CONTEXT`, then the context that
//! `docker context use` chose, then the default socket; only where that socket cannot be used are the sockets of
//! rootless Docker, Docker Desktop, Colima, Orbstack, Rancher Desktop and Podman tried. It reads no environment
//! variable: `cli` hands the values in.
//!
//! [`connect`] opens the endpoint, agrees on an API version and says exactly what is wrong when it cannot.

use std::fmt;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use rustix::fs::Access;
use serde::Deserialize;
use sha2::{Digest, Sha256};

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

impl Settings {
    /// The directory of Docker's own settings.
    fn config_dir(&self) -> Option<PathBuf> {
        non_empty_path(self.docker_config.as_ref())
            .or_else(|| self.home.as_ref().map(|home| home.join(".docker")))
    }
}

/// What there is at the path of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// Nothing, or something that is not a socket.
    Absent,
    /// A socket that this user may not write to.
    Denied,
    /// A socket that can be tried.
    Usable,
}

/// How [`resolve`] looks at files.
pub struct Look<'a> {
    /// Reads a whole text file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Says what there is at the path of a socket.
    pub socket: &'a dyn Fn(&Path) -> Socket,
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

/// Finds the endpoint from `settings`, looking at files through `look`.
pub fn resolve(settings: &Settings, look: &Look<'_>) -> Result<Endpoint, EndpointError> {
    if let Some(written) = non_empty(settings.docker_host.as_ref()) {
        let tls = settings_tls(settings);
        let host = parse_host(written, tls)
            .ok_or_else(|| EndpointError::Unsupported { host: written.to_owned(), by: Source::DockerHost })?;
        return Ok(Endpoint { host, source: Source::DockerHost });
    }
    if let Some(name) = non_empty(settings.docker_context.as_ref()) {
        if name == "default" {
            return Ok(without_name(settings, look));
        }
        return context(settings, name, Source::ContextVariable(name.to_owned()), look);
    }
    match current_context(settings, look)? {
        Some(name) => context(settings, &name, Source::CurrentContext(name.clone()), look),
        None => Ok(without_name(settings, look)),
    }
}

/// [`resolve`] on the files of this machine.
pub fn resolve_here(settings: &Settings) -> Result<Endpoint, EndpointError> {
    resolve(settings, &Look { read: &|path| std::fs::read_to_string(path), socket: &look_at_socket })
}

/// Opens the endpoint and agrees on the API version.
///
/// Every later request waits [`REPLY`] for the beginning of its answer; give `engine.clone().with_timeout(WORK)`
/// to calls that answer only when they are done. `reply` is how long this first exchange may take.
pub async fn connect(endpoint: &Endpoint, reply: Duration) -> Result<Docker, EndpointError> {
    let host = &endpoint.host;
    let seconds = REPLY.as_secs();
    let engine = match host {
        Host::Unix(path) => {
            Docker::connect_with_unix(&format!("unix://{}", path.display()), seconds, API_DEFAULT_VERSION)
        }
        Host::Tcp { address, tls: None } => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
        Host::Tcp { address, tls: Some(tls) } => {
            // bollard insists on all three; an empty file stands for those that are not there.
            let or_empty =
                |path: &Option<PathBuf>| path.clone().unwrap_or_else(|| PathBuf::from("/dev/null"));
            Docker::connect_with_ssl(
                address,
                &or_empty(&tls.key),
                &or_empty(&tls.cert),
                &or_empty(&tls.ca),
                seconds,
                API_DEFAULT_VERSION,
            )
        }
        Host::Ssh(written) => {
            return Err(EndpointError::Unsupported { host: written.clone(), by: endpoint.source.clone() });
        }
    };
    let engine = engine.map_err(|problem| explain(&problem, host))?;
    let engine = match tokio::time::timeout(reply, engine.negotiate_version()).await {
        Ok(answer) => answer.map_err(|problem| explain(&problem, host))?,
        Err(_) => return Err(EndpointError::Silent { host: host.clone(), after: reply }),
    };
    let agreed = engine.client_version();
    let api = Api { major: agreed.major_version, minor: agreed.minor_version };
    if api < OLDEST_API {
        return Err(EndpointError::TooOld { host: host.clone(), api });
    }
    Ok(engine)
}

/// What bollard's error means for someone who wanted to connect.
fn explain(problem: &bollard::errors::Error, host: &Host) -> EndpointError {
    use bollard::errors::Error;
    let host = host.clone();
    match problem {
        Error::SocketNotFoundError(path) => return EndpointError::SocketMissing { path: path.into() },
        Error::RequestTimeoutError => return EndpointError::Silent { host, after: REPLY },
        Error::CertPathError { path } | Error::CertParseError { path } => {
            return EndpointError::Tls { host, detail: format!("{} cannot be read", path.display()) };
        }
        Error::NoNativeCertsError { .. } | Error::LoadNativeCertsErrors { .. } => {
            return EndpointError::Tls { host, detail: problem.to_string() };
        }
        Error::DockerResponseServerError { status_code, message } => {
            return EndpointError::NotAnEngine { host, said: shorten(&format!("{status_code} {message}")) };
        }
        Error::InvalidURIError { .. } | Error::URLParseError { .. } => {
            return EndpointError::Unreachable { host, detail: problem.to_string() };
        }
        _ => {}
    }
    // The reason lies at the end of a chain of wrappers.
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(problem);
    let mut last = String::new();
    while let Some(cause) = link {
        last = cause.to_string();
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            match (io.kind(), &host) {
                (io::ErrorKind::NotFound, Host::Unix(path)) => {
                    return EndpointError::SocketMissing { path: path.clone() };
                }
                (io::ErrorKind::PermissionDenied, Host::Unix(path)) => {
                    return EndpointError::Denied { path: path.clone(), owner: owner(path) };
                }
                (io::ErrorKind::ConnectionRefused, _) => return EndpointError::Refused { host },
                (io::ErrorKind::WouldBlock, _) => {
                    return EndpointError::Silent { host, after: Duration::ZERO };
                }
                (io::ErrorKind::InvalidData, Host::Tcp { tls: Some(_), .. }) => {
                    return EndpointError::Tls { host, detail: last };
                }
                (
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::InvalidData,
                    _,
                ) => return EndpointError::NotAnEngine { host, said: last },
                _ => {}
            }
        }
        link = cause.source();
    }
    if matches!(host, Host::Tcp { tls: Some(_), .. }) && last.contains("certificate") {
        return EndpointError::Tls { host, detail: last };
    }
    if matches!(problem, Error::HyperLegacyError { err } if err.is_connect()) {
        return EndpointError::Unreachable { host, detail: last };
    }
    EndpointError::NotAnEngine { host, said: shorten(&last) }
}

/// At most one line of what a stranger said.
fn shorten(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default().trim();
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(160).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

fn non_empty(value: Option<&String>) -> Option<&str> {
    value.map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn non_empty_path(value: Option<&PathBuf>) -> Option<PathBuf> {
    value.filter(|path| !path.as_os_str().is_empty()).cloned()
}

/// The TLS files that the variables ask for.
fn settings_tls(settings: &Settings) -> Option<Tls> {
    non_empty(settings.tls_verify.as_ref())?;
    let dir = non_empty_path(settings.cert_path.as_ref()).or_else(|| settings.config_dir())?;
    Some(Tls {
        ca: Some(dir.join("ca.pem")),
        cert: Some(dir.join("cert.pem")),
        key: Some(dir.join("key.pem")),
    })
}

/// Understands an address as it stands in `DOCKER_HOST` or in a context.
fn parse_host(written: &str, tls: Option<Tls>) -> Option<Host> {
    let (scheme, rest) = match written.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if written.starts_with('/') => ("unix".to_owned(), written),
        None => ("tcp".to_owned(), written),
    };
    match scheme.as_str() {
        "unix" if rest.is_empty() => Some(Host::Unix(DEFAULT_SOCKET.into())),
        "unix" if rest.starts_with('/') => Some(Host::Unix(rest.into())),
        "tcp" | "http" | "https" => {
            let tls = match scheme.as_str() {
                "https" => Some(tls.unwrap_or_default()),
                "http" => None,
                _ => tls,
            };
            let (authority, path) = match rest.find('/') {
                Some(at) => (&rest[..at], rest[at..].trim_end_matches('/')),
                None => (rest, ""),
            };
            let authority = if authority.starts_with(':') {
                format!("127.0.0.1{authority}")
            } else if authority.is_empty() {
                "127.0.0.1".to_owned()
            } else {
                authority.to_owned()
            };
            let after_brackets = authority.rsplit(']').next().unwrap_or_default();
            let address = match after_brackets.rsplit_once(':') {
                Some((_, port)) => {
                    port.parse::<u16>().ok()?;
                    authority
                }
                None => format!("{authority}:{}", if tls.is_some() { 2376 } else { 2375 }),
            };
            Some(Host::Tcp { address: address + path, tls })
        }
        "ssh" if !rest.is_empty() => Some(Host::Ssh(written.to_owned())),
        _ => None,
    }
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

/// The context chosen by `docker context use`, unless it is `default`.
fn current_context(settings: &Settings, look: &Look<'_>) -> Result<Option<String>, EndpointError> {
    let Some(path) = settings.config_dir().map(|dir| dir.join("config.json")) else {
        return Ok(None);
    };
    // A settings file of somebody else (sudo) or none at all: as if nothing were chosen.
    let Ok(text) = (look.read)(&path) else { return Ok(None) };
    let file: ConfigFile = serde_json::from_str(&text)
        .map_err(|problem| EndpointError::Settings { path, detail: problem.to_string() })?;
    Ok(Some(file.current_context).filter(|name| !name.is_empty() && name != "default"))
}

#[derive(Deserialize)]
struct MetaFile {
    #[serde(rename = "Endpoints", default)]
    endpoints: std::collections::HashMap<String, MetaEndpoint>,
}

#[derive(Deserialize)]
struct MetaEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// The endpoint of a context, from the files that `docker context create` wrote.
fn context(settings: &Settings, name: &str, by: Source, look: &Look<'_>) -> Result<Endpoint, EndpointError> {
    let dir = settings.config_dir().unwrap_or_default().join("contexts");
    let id = hex::encode(Sha256::digest(name.as_bytes()));
    let path = dir.join("meta").join(&id).join("meta.json");
    let Ok(text) = (look.read)(&path) else {
        return Err(EndpointError::ContextMissing { name: name.to_owned(), by, path });
    };
    let meta: MetaFile = serde_json::from_str(&text)
        .map_err(|problem| EndpointError::Settings { path: path.clone(), detail: problem.to_string() })?;
    let Some(endpoint) = meta.endpoints.get("docker") else {
        return Err(EndpointError::Settings { path, detail: "it has no `docker` endpoint".to_owned() });
    };
    if endpoint.skip_tls_verify {
        return Err(EndpointError::Settings {
            path,
            detail: "it asks to skip the verification of certificates, which is not done here".to_owned(),
        });
    }
    let files = dir.join("tls").join(&id).join("docker");
    let file = |name: &str| Some(files.join(name)).filter(|path| (look.read)(path).is_ok());
    let tls = Tls { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") };
    let tls = (tls != Tls::default()).then_some(tls);
    let host = parse_host(&endpoint.host, tls)
        .ok_or_else(|| EndpointError::Unsupported { host: endpoint.host.clone(), by: by.clone() })?;
    Ok(Endpoint { host, source: by })
}

/// The default socket, or the first other that can be used.
fn without_name(settings: &Settings, look: &Look<'_>) -> Endpoint {
    let mut places = vec![(PathBuf::from(DEFAULT_SOCKET), Source::Default)];
    let mut add = |base: Option<&PathBuf>, rest: &str, product| {
        if let Some(base) = base {
            places.push((base.join(rest), Source::Found(product)));
        }
    };
    let home = settings.home.as_ref();
    let runtime = settings.runtime_dir.as_ref();
    add(runtime, "docker.sock", "rootless Docker");
    add(home, ".docker/run/docker.sock", "Docker Desktop");
    add(home, ".docker/desktop/docker.sock", "Docker Desktop");
    add(home, ".colima/default/docker.sock", "Colima");
    add(home, ".config/colima/default/docker.sock", "Colima");
    add(home, ".orbstack/run/docker.sock", "OrbStack");
    add(home, ".rd/docker.sock", "Rancher Desktop");
    add(runtime, "podman/podman.sock", "Podman");
    places.push((PathBuf::from("/run/podman/podman.sock"), Source::Found("Podman")));

    let first = |wanted: Socket| places.iter().find(|(path, _)| (look.socket)(path) == wanted).cloned();
    let (path, source) = first(Socket::Usable)
        .or_else(|| first(Socket::Denied))
        .unwrap_or_else(|| (PathBuf::from(DEFAULT_SOCKET), Source::Default));
    Endpoint { host: Host::Unix(path), source }
}

fn look_at_socket(path: &Path) -> Socket {
    match std::fs::metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Socket::Absent,
        Ok(_) => match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) => Socket::Usable,
            Err(_) => Socket::Denied,
        },
        Err(problem) if problem.kind() == io::ErrorKind::PermissionDenied => Socket::Denied,
        Err(_) => Socket::Absent,
    }
}

/// Who may use the socket, as far as this user can see.
fn owner(path: &Path) -> Option<Owner> {
    let found = std::fs::metadata(path).ok()?;
    let gid = found.gid();
    let mut groups: Vec<u32> = rustix::process::getgroups()
        .unwrap_or_default()
        .into_iter()
        .map(rustix::process::Gid::as_raw)
        .collect();
    groups.push(rustix::process::getegid().as_raw());
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Some(ownership(
        gid,
        found.mode(),
        &groups,
        rustix::process::geteuid().as_raw(),
        &read("/etc/group"),
        &read("/etc/passwd"),
    ))
}

fn ownership(gid: u32, mode: u32, groups: &[u32], uid: u32, group_file: &str, passwd: &str) -> Owner {
    let uid = uid.to_string();
    let gid_text = gid.to_string();
    let user = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    let entry: Option<Vec<&str>> = group_file
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|f| f.get(2) == Some(&&*gid_text));
    let listed = match (&entry, &user) {
        (Some(fields), Some(user)) => {
            fields.get(3).is_some_and(|members| members.split(',').any(|m| m == user))
        }
        _ => false,
    };
    Owner {
        group: entry.and_then(|f| f.first().map(|name| (*name).to_owned())).unwrap_or(gid_text),
        group_may: mode & 0o020 != 0,
        member: groups.contains(&gid),
        listed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Resolves with the given files and sockets, and no others.
    fn resolved(
        settings: &Settings,
        files: &[(&str, &str)],
        sockets: &[(&str, Socket)],
    ) -> Result<Endpoint, EndpointError> {
        let files: HashMap<PathBuf, String> =
            files.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect();
        let sockets: HashMap<PathBuf, Socket> = sockets.iter().map(|(p, s)| (p.into(), *s)).collect();
        resolve(
            settings,
            &Look {
                read: &|path| files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
                socket: &|path| sockets.get(path).copied().unwrap_or(Socket::Absent),
            },
        )
    }

    fn at_home() -> Settings {
        Settings {
            home: Some("/home/ann".into()),
            runtime_dir: Some("/run/user/7".into()),
            ..Settings::default()
        }
    }

    fn unix(path: &str) -> Host {
        Host::Unix(path.into())
    }

    #[test]
    fn nothing_said_means_the_default_socket_even_when_it_is_missing() {
        let found = resolved(&at_home(), &[], &[]).unwrap();
        assert_eq!(found, Endpoint { host: unix(DEFAULT_SOCKET), source: Source::Default });
    }

    #[test]
    fn a_usable_rootless_socket_wins_over_a_default_one_that_is_denied() {
        let sockets = [(DEFAULT_SOCKET, Socket::Denied), ("/run/user/7/docker.sock", Socket::Usable)];
        let found = resolved(&at_home(), &[], &sockets).unwrap();
        assert_eq!(found.source, Source::Found("rootless Docker"));
        let denied = resolved(&at_home(), &[], &sockets[..1]).unwrap();
        assert_eq!(denied, Endpoint { host: unix(DEFAULT_SOCKET), source: Source::Default });
    }

    #[test]
    fn products_are_found_by_their_sockets() {
        for (path, product) in [
            ("/home/ann/.docker/run/docker.sock", "Docker Desktop"),
            ("/home/ann/.colima/default/docker.sock", "Colima"),
            ("/run/user/7/podman/podman.sock", "Podman"),
        ] {
            let found = resolved(&at_home(), &[], &[(path, Socket::Usable)]).unwrap();
            assert_eq!(found, Endpoint { host: unix(path), source: Source::Found(product) });
        }
    }

    #[test]
    fn addresses_are_understood_as_docker_does() {
        let tcp = |address: &str| Some(Host::Tcp { address: address.to_owned(), tls: None });
        assert_eq!(parse_host("unix:///a b/d.sock", None), Some(unix("/a b/d.sock")));
        assert_eq!(parse_host("unix://", None), Some(unix(DEFAULT_SOCKET)));
        assert_eq!(parse_host("tcp://h:9", None), tcp("h:9"));
        assert_eq!(parse_host("tcp://h", None), tcp("h:2375"));
        assert_eq!(parse_host("tcp://[::1]", None), tcp("[::1]:2375"));
        assert_eq!(parse_host("tcp://[::1]:9/p/", None), tcp("[::1]:9/p"));
        assert_eq!(parse_host(":9", None), tcp("127.0.0.1:9"));
        assert_eq!(parse_host("h:9", None), tcp("h:9"));
        assert_eq!(
            parse_host("https://h", None),
            Some(Host::Tcp { address: "h:2376".to_owned(), tls: Some(Tls::default()) })
        );
        assert_eq!(parse_host("ssh://me@h", None), Some(Host::Ssh("ssh://me@h".to_owned())));
        for bad in ["npipe:////./pipe/x", "fd://", "unix://relative", "tcp://h:port", "ssh://"] {
            assert_eq!(parse_host(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn docker_host_wins_over_every_context() {
        let settings = Settings {
            docker_host: Some("tcp://h:1".to_owned()),
            docker_context: Some("far".to_owned()),
            ..at_home()
        };
        let found = resolved(&settings, &[], &[]).unwrap();
        assert_eq!((found.source, found.host.to_string().as_str()), (Source::DockerHost, "tcp://h:1"));
    }

    #[test]
    fn tls_comes_from_the_variables() {
        let settings = Settings {
            docker_host: Some("tcp://h".to_owned()),
            tls_verify: Some("1".to_owned()),
            cert_path: Some("/certs".into()),
            ..at_home()
        };
        let Host::Tcp { address, tls: Some(tls) } = resolved(&settings, &[], &[]).unwrap().host else {
            panic!("no TLS");
        };
        assert_eq!((address.as_str(), tls.ca), ("h:2376", Some("/certs/ca.pem".into())));
    }

    /// `printf far | sha256sum`
    const FAR: &str = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";

    #[test]
    fn the_current_context_is_followed_with_its_certificates() {
        let meta = format!("/home/ann/.docker/contexts/meta/{FAR}/meta.json");
        let ca = format!("/home/ann/.docker/contexts/tls/{FAR}/docker/ca.pem");
        let files = [
            ("/home/ann/.docker/config.json", r#"{"auths":{},"currentContext":"far"}"#),
            (
                meta.as_str(),
                r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://h:9","SkipTLSVerify":false}}}"#,
            ),
            (ca.as_str(), "pem"),
        ];
        let found = resolved(&at_home(), &files, &[]).unwrap();
        assert_eq!(found.source, Source::CurrentContext("far".to_owned()));
        let tls = Tls { ca: Some(ca.clone().into()), cert: None, key: None };
        assert_eq!(found.host, Host::Tcp { address: "h:9".to_owned(), tls: Some(tls) });

        let named = Settings { docker_context: Some("default".to_owned()), ..at_home() };
        assert_eq!(resolved(&named, &files, &[]).unwrap().source, Source::Default);
        let named = Settings { docker_context: Some("nowhere".to_owned()), ..at_home() };
        let problem = resolved(&named, &files, &[]).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "docker context `nowhere` does not exist (named by DOCKER_CONTEXT=nowhere)"
        );
    }

    #[test]
    fn broken_settings_name_their_file() {
        let files = [("/c/config.json", "{")];
        let settings = Settings { docker_config: Some("/c".into()), ..at_home() };
        let problem = resolved(&settings, &files, &[]).unwrap_err();
        assert!(problem.to_string().starts_with("/c/config.json cannot be used"), "{problem}");
    }

    #[test]
    fn the_owner_of_a_socket_is_told() {
        let group = "root:x:0:\ndocker:x:105:bob,ann\n";
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let denied = ownership(105, 0o140_660, &[1000], 1000, group, passwd);
        assert_eq!(
            denied,
            Owner { group: "docker".to_owned(), group_may: true, member: false, listed: true }
        );
        assert_eq!(ownership(4242, 0o140_600, &[4242], 1, group, passwd).group, "4242");
    }

    #[test]
    fn what_a_stranger_says_is_cut_and_harmless() {
        assert_eq!(shorten("\u{1b}[31mhi\nmore"), "[31mhi…");
    }

    /// An address where `behave` is done with every connection.
    async fn stranger(behave: fn(tokio::net::TcpStream)) -> Endpoint {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                behave(stream);
            }
        });
        Endpoint { host: Host::Tcp { address, tls: None }, source: Source::DockerHost }
    }

    fn answer(mut stream: tokio::net::TcpStream, text: &'static str) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        tokio::spawn(async move {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(text.as_bytes()).await;
        });
    }

    #[tokio::test]
    async fn a_silent_engine_is_given_up() {
        let endpoint = stranger(|stream| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_mins(1)).await;
                drop(stream);
            });
        })
        .await;
        let problem = connect(&endpoint, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(problem, EndpointError::Silent { .. }), "{problem:?}");
    }

    #[tokio::test]
    async fn strangers_are_told_from_engines() {
        let cut = stranger(drop).await;
        let web = stranger(|s| answer(s, "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno")).await;
        let page = stranger(|s| answer(s, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>")).await;
        let ssh = stranger(|s| answer(s, "SSH-2.0-OpenSSH_9.2\r\n")).await;
        for endpoint in [cut, web, page, ssh] {
            let problem = connect(&endpoint, REPLY).await.unwrap_err();
            assert!(matches!(problem, EndpointError::NotAnEngine { .. }), "{problem:?}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_too_old_is_refused() {
        let old = stranger(|s| {
            answer(s, "HTTP/1.1 200 OK\r\ncontent-length: 42\r\n\r\n{\"ApiVersion\":\"1.40\",\"Version\":\"19.03.15\"}");
        })
        .await;
        let problem = connect(&old, REPLY).await.unwrap_err();
        let EndpointError::TooOld { api, .. } = problem else { panic!("{problem:?}") };
        assert_eq!(api.to_string(), "1.40");
    }

    #[tokio::test]
    async fn closed_ports_dead_sockets_and_missing_ones_are_told_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let at = |host| Endpoint { host, source: Source::DockerHost };
        let problem = connect(&at(Host::Tcp { address, tls: None }), REPLY).await.unwrap_err();
        assert!(matches!(problem, EndpointError::Refused { .. }), "{problem:?}");

        let dir = tempfile::tempdir().unwrap();
        let dead = dir.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let problem = connect(&at(Host::Unix(dead)), REPLY).await.unwrap_err();
        assert!(matches!(problem, EndpointError::Refused { .. }), "{problem:?}");

        let problem = connect(&at(Host::Unix(dir.path().join("none"))), REPLY).await.unwrap_err();
        assert!(matches!(problem, EndpointError::SocketMissing { .. }), "{problem:?}");

        let problem = connect(&at(Host::Ssh("ssh://h".to_owned())), REPLY).await.unwrap_err();
        assert!(matches!(problem, EndpointError::Unsupported { .. }), "{problem:?}");
    }
}
