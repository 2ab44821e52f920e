//! Opening the endpoint, and telling apart the ways in which that fails.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{Api, Endpoint, EndpointError, Host, OLDEST_API, Owner, REPLY};

/// Opens the endpoint and agrees on the API version.
///
/// Every later request waits [`REPLY`] for the beginning of its answer; give `engine.clone().with_timeout(WORK)`
/// to calls that answer only when they are done. `reply` is how long this first exchange may take.
pub async fn connect(endpoint: &Endpoint, reply: Duration) -> Result<Docker, EndpointError> {
    let host = &endpoint.host;
    let seconds = REPLY.as_secs();
    let offered = match host {
        Host::Unix(path) => tokio::time::timeout(reply, offered(path))
            .await
            .map_err(|_| EndpointError::Silent { host: host.clone(), after: reply })?,
        _ => None,
    };
    let engine = match host {
        Host::Unix(path) => {
            let highest = API_DEFAULT_VERSION;
            let version = match offered {
                Some(api) if api < (Api { major: highest.major_version, minor: highest.minor_version }) => {
                    ClientVersion { major_version: api.major, minor_version: api.minor }
                }
                _ => *highest,
            };
            Docker::connect_with_unix(&format!("unix://{}", path.display()), seconds, &version)
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
    let engine = if offered.is_some() {
        engine
    } else {
        match tokio::time::timeout(reply, engine.negotiate_version()).await {
            Ok(answer) => answer.map_err(|problem| explain(&problem, host))?,
            Err(_) => return Err(EndpointError::Silent { host: host.clone(), after: reply }),
        }
    };
    let agreed = engine.client_version();
    let api = Api { major: agreed.major_version, minor: agreed.minor_version };
    if api < OLDEST_API {
        return Err(EndpointError::TooOld { host: host.clone(), api });
    }
    Ok(engine)
}

/// The API version that stands in the header of an engine's answer to `/_ping`. `/version` tells it too, but
/// makes dockerd run `runc --version` and `docker-init --version` first: 8 ms where nothing else happens.
/// (bollard does not show headers.) Whatever is not plainly an engine is `None`, for others to look into.
async fn offered(socket: &Path) -> Option<Api> {
    const LONGEST: usize = 8 << 10;
    let mut stream = UnixStream::connect(socket).await.ok()?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        if answer.len() > LONGEST || stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let mut lines = text.lines();
    if lines.next()?.split_ascii_whitespace().nth(1)? != "200" {
        return None;
    }
    let header = lines.filter_map(|line| line.split_once(':'));
    let (_, version) = header.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("api-version"))?;
    let (major, minor) = version.trim().split_once('.')?;
    Some(Api { major: major.parse().ok()?, minor: minor.parse().ok()? })
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
    use super::*;
    use crate::engine::endpoint::Source;

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
    async fn an_engine_on_a_socket_says_its_version_in_a_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let answers = ["Api-Version: 1.43", "api-version: 1.999", "Api-Version: 1.40", "Server: nginx"];
        tokio::spawn(async move {
            for header in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let text = format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 2\r\n\r\nOK");
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        let endpoint = Endpoint { host: Host::Unix(path), source: Source::DockerHost };
        let minor =
            async || connect(&endpoint, REPLY).await.map(|engine| engine.client_version().minor_version);
        assert_eq!(minor().await.unwrap(), 43);
        assert_eq!(minor().await.unwrap(), API_DEFAULT_VERSION.minor_version);
        assert!(matches!(minor().await.unwrap_err(), EndpointError::TooOld { .. }));
        assert!(minor().await.is_err(), "no engine");
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
