//! The certificate authorities that this machine trusts.
//!
//! Many machines trust an authority of their company's; npm and cargo inside an image build do not know it and
//! fail. The bundle is handed to builds; it is never committed and never left in an image layer.

use std::path::{Path, PathBuf};

/// Where distributions keep the bundle: Debian, Fedora, openSUSE, Red Hat, Alpine and macOS.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A bundle of certificates in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Where it was read.
    pub path: PathBuf,
    /// Its text.
    pub pem: String,
    /// How many certificates it holds.
    pub certificates: usize,
}

/// The bundle that `named` (the value of `SSL_CERT_FILE`) names, else the machine's own.
///
/// A named file that cannot be read or holds no certificate is passed over.
#[must_use]
pub fn find(named: Option<&Path>, read: impl Fn(&Path) -> std::io::Result<String>) -> Option<Bundle> {
    named.into_iter().chain(BUNDLES.iter().map(Path::new)).find_map(|path| {
        let pem = read(path).ok()?;
        let certificates = pem.matches("-----BEGIN CERTIFICATE-----").count();
        (certificates > 0).then(|| Bundle { path: path.to_owned(), pem, certificates })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_bundle_wins_unless_it_is_empty() {
        let read = |path: &Path| match path.to_str() {
            Some("/own.pem") => Ok("-----BEGIN CERTIFICATE-----\n".repeat(2)),
            Some("/etc/ssl/cert.pem") => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
            Some("/empty.pem") => Ok(String::new()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        assert_eq!(find(Some(Path::new("/own.pem")), read).unwrap().certificates, 2);
        let found = find(Some(Path::new("/empty.pem")), read).unwrap();
        assert_eq!(found.path, Path::new("/etc/ssl/cert.pem"));
        assert_eq!(find(None, |_| Err(std::io::ErrorKind::NotFound.into())), None);
    }
}
