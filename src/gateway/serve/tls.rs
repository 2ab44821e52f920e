//! TLS, once there is a certificate: the command line brings one, and it is kept beside what is remembered.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use super::super::memory;
use super::super::protocol::Pem;
use super::{Gateway, http};

const FILE: &str = "certificate.json";
/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What connections are accepted with.
#[derive(Default)]
pub(super) struct Tls(RwLock<Option<Acceptors>>);

#[derive(Clone)]
struct Acceptors {
    http: TlsAcceptor,
    postgres: TlsAcceptor,
}

impl Acceptors {
    fn new(pem: &Pem) -> io::Result<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        let speaking = |protocol: &str| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            TlsAcceptor::from(Arc::new(config))
        };
        // https://www.iana.org/assignments/tls-extensiontype-values: protocol ids.
        Ok(Self { http: speaking("http/1.1"), postgres: speaking("postgresql") })
    }
}

impl Tls {
    fn current(&self) -> Option<Acceptors> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, acceptors: Option<Acceptors>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptors;
    }

    /// Whether there is a certificate.
    pub(super) fn is_there(&self) -> bool {
        self.current().is_some()
    }

    /// Agrees on keys with a PostgreSQL client.
    pub(super) async fn accept_postgres(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptors = self.current().ok_or(io::ErrorKind::NotConnected)?;
        tokio::time::timeout(HANDSHAKE, acceptors.postgres.accept(stream)).await?
    }
}

/// Reads the certificate of the last time.
pub(super) fn load(gateway: &Arc<Gateway>) {
    let Ok(text) = std::fs::read_to_string(gateway.options.folder.join(FILE)) else { return };
    let read = serde_json::from_str::<Pem>(&text).map_err(io::Error::from);
    match read.and_then(|pem| Acceptors::new(&pem)) {
        Ok(acceptors) => gateway.tls.set(Some(acceptors)),
        Err(error) => gateway.note(format!("the certificate cannot be used: {error}")),
    }
}

/// Takes another certificate, or none; for connections from now on.
pub(super) async fn take(gateway: &Arc<Gateway>, pem: Option<Pem>) -> io::Result<()> {
    let acceptors = pem.as_ref().map(Acceptors::new).transpose()?;
    let folder = gateway.options.folder.clone();
    let kept = tokio::task::spawn_blocking(move || match pem {
        Some(pem) => memory::write(&folder, FILE, &pem),
        None => match std::fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    });
    kept.await.map_err(io::Error::other)??;
    gateway.tls.set(acceptors);
    Ok(())
}

/// Serves HTTPS.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: TcpStream) {
    let Some(acceptors) = gateway.tls.current() else { return };
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptors.http.accept(stream)).await {
        http::serve(gateway, stream, http::Entry::Secure).await;
    }
}
