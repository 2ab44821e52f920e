//! Finding the endpoint, in Docker's own order. Pure but for [`resolve_here`].

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{DEFAULT_SOCKET, Endpoint, EndpointError, Host, Settings, Source, Tls};

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
}
