//! Raw connections to an engine, for the two requests that bollard has no door to: `/session`, where the
//! engine calls us, and `/grpc`, where we call its `BuildKit`.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// How long an engine may be silent before anything was asked of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where an engine listens. A remote engine is a unix socket too: the one that ssh forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`, unencrypted.
    Tcp(String),
}

impl Endpoint {
    /// Reads a `DOCKER_HOST` (`unix://…`, `tcp://…`); nothing for other schemes.
    #[must_use]
    pub fn from_host(host: &str) -> Option<Self> {
        if let Some(path) = host.strip_prefix("unix://") {
            return Some(Self::Unix(PathBuf::from(path)));
        }
        let address = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://"))?;
        Some(Self::Tcp(address.trim_end_matches('/').to_owned()))
    }

    async fn connect(&self) -> io::Result<Wire> {
        Ok(Wire(match self {
            Self::Unix(path) => Box::pin(UnixStream::connect(path).await?),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::pin(stream)
            }
        }))
    }

    /// Turns a POST into a connection of its own; the headers are those of the protocol behind it.
    pub(super) async fn upgrade(&self, path: &str, headers: &[(&str, &str)]) -> io::Result<Wire> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n"
        );
        for (name, value) in headers {
            request.push_str(name);
            request.push_str(": ");
            request.push_str(value);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let (wire, head) = self.ask(&request).await?;
        if head.status != 101 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{path} was answered with status {}", head.status),
            ));
        }
        Ok(wire)
    }

    /// What the engine says of itself before anything is asked.
    pub(super) async fn ping(&self) -> io::Result<Head> {
        Ok(self.ask("GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").await?.1)
    }

    async fn ask(&self, request: &str) -> io::Result<(Wire, Head)> {
        let answer = async {
            let mut wire = self.connect().await?;
            wire.write_all(request.as_bytes()).await?;
            let head = wire.read_head().await?;
            Ok((wire, head))
        };
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// Status and headers of an answer.
#[derive(Debug, Default)]
pub(super) struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(found.1.as_str())
    }

    /// Whether the engine's API is that new.
    pub(super) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let api = self.header("Api-Version").and_then(|version| version.split_once('.'));
        let number = |text: &str| text.parse::<u32>().unwrap_or(0);
        api.is_some_and(|(ours, rest)| (number(ours), number(rest)) >= (major, minor))
    }

    /// `BuildKit` is part of every Docker engine for Linux since API 1.39. (`Builder-Version` says only what
    /// a plain `docker build` would use, and is empty up to 20.10.)
    pub(super) fn has_buildkit(&self) -> bool {
        self.is_at_least(1, 39)
            && self.header("Libpod-Api-Version").is_none()
            && self.header("Ostype").is_none_or(|system| system == "linux")
    }
}

/// One connection.
pub(super) struct Wire(Pin<Box<dyn Duplex>>);

trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl Wire {
    /// Byte by byte, because what follows the head belongs to the next protocol.
    async fn read_head(&mut self) -> io::Result<Head> {
        let mut text = Vec::with_capacity(512);
        while !text.ends_with(b"\r\n\r\n") {
            if text.len() > 64 * 1024 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"));
            }
            text.push(self.read_u8().await?);
        }
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let Some(status) = status else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"));
        };
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Head { status, headers })
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx)
    }
}

impl tonic::transport::server::Connected for Wire {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        assert_eq!(Endpoint::from_host("unix:///run/x.sock"), Some(Endpoint::Unix("/run/x.sock".into())));
        assert_eq!(Endpoint::from_host("tcp://docker:2375/"), Some(Endpoint::Tcp("docker:2375".into())));
        assert_eq!(Endpoint::from_host("ssh://x"), None);
    }

    #[test]
    fn engines_with_buildkit_are_known() {
        let head = |headers: &[(&str, &str)]| Head {
            status: 200,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        assert!(head(&[("Api-Version", "1.41"), ("OSType", "linux")]).has_buildkit());
        assert!(!head(&[("Api-Version", "1.38")]).has_buildkit());
        assert!(!head(&[("Api-Version", "1.41"), ("Libpod-Api-Version", "4.3.1")]).has_buildkit());
        assert!(!head(&[("Api-Version", "1.45"), ("Ostype", "windows")]).has_buildkit());
    }
}
