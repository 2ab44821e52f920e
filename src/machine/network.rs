//! Whether another machine can be reached.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::net::TcpStream;

use super::aside;

/// Why an address was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// The name is not known here.
    #[error("the name {0} is not known")]
    Unknown(String),
    /// The machine refused, or the network did.
    #[error("{0}")]
    Refused(String),
    /// Nothing came back in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
}

/// Opens and closes a connection to `host:port`, trying its addresses side by side, within `limit`.
pub async fn reach(host: &str, port: u16, limit: Duration) -> Result<SocketAddr, Unreached> {
    let silent = Unreached::Silent(limit);
    let unknown = Unreached::Unknown(host.to_owned());
    let name = host.to_owned();
    let attempt = async {
        let found =
            aside(limit, move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>))
                .await
                .ok_or(silent.clone())?
                .map_err(|_| unknown.clone())?;
        let tries: Vec<_> = found
            .into_iter()
            .take(8)
            .map(|address| Box::pin(async move { TcpStream::connect(address).await.map(|_| address) }))
            .collect();
        if tries.is_empty() {
            return Err(unknown.clone());
        }
        let (address, _) = futures_util::future::select_ok(tries)
            .await
            .map_err(|problem| Unreached::Refused(problem.to_string()))?;
        Ok(address)
    };
    tokio::time::timeout(limit, attempt).await.unwrap_or(Err(silent))
}

/// `host` and `port` of the value of a proxy variable, such as `http://user:pw@proxy:3128/`.
#[must_use]
pub fn proxy_address(value: &str) -> Option<(String, u16)> {
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let authority = rest.split('/').next()?;
    let address = authority.rsplit('@').next()?;
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (address, if scheme == "https" { 443 } else { 80 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn open_closed_and_unknown_are_told_apart() {
        let limit = Duration::from_secs(5);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(reach("127.0.0.1", port, limit).await.unwrap().port(), port);
        // A port that was just free may be another test's by now; nobody serves tcpmux.
        assert!(matches!(reach("127.0.0.1", 1, limit).await, Err(Unreached::Refused(_))));
        let unknown = reach("no-such-name.invalid", 1, limit).await.unwrap_err();
        assert_eq!(unknown.to_string(), "the name no-such-name.invalid is not known");
    }

    #[test]
    fn the_address_of_a_proxy_is_read() {
        let address = |value| proxy_address(value);
        assert_eq!(address("http://u:p@proxy:3128/"), Some(("proxy".to_owned(), 3128)));
        assert_eq!(address("proxy"), Some(("proxy".to_owned(), 80)));
        assert_eq!(address("https://[::1]"), Some(("::1".to_owned(), 443)));
        assert_eq!(address("http://[::1]:8"), Some(("::1".to_owned(), 8)));
        assert_eq!(address(""), None);
    }
}
