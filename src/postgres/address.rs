//! Addresses of databases as people write them, and how the way to them is kept from others.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use thiserror::Error;

use crate::postgres::{Password, Target};

/// How the way to a database is kept from others (`sslmode`, PostgreSQL documentation, 34.19).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// It is not.
    #[default]
    None,
    /// It is encrypted, to whoever answers.
    Unverified,
    /// It is encrypted, to a server whose certificate was signed by one that is trusted.
    Verified {
        /// The file of that one; none for those that this machine trusts.
        root: Option<PathBuf>,
        /// Whether the certificate has to be that of the host, too.
        host: bool,
    },
}

/// Why an address is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unread {
    /// It is not a connection URI.
    #[error("the address of the database is not understood")]
    Form,
    /// There is no such `sslmode`.
    #[error("there is no sslmode `{0}`")]
    Mode(String),
    /// It asks for what this program cannot do.
    #[error("`{0}` is not supported in the address of a database")]
    Parameter(&'static str),
}

impl Encryption {
    pub(super) fn apply(&self, options: PgConnectOptions) -> PgConnectOptions {
        match self {
            Self::None => options.ssl_mode(PgSslMode::Disable),
            Self::Unverified => options.ssl_mode(PgSslMode::Require),
            Self::Verified { root, host } => {
                let mode = if *host { PgSslMode::VerifyFull } else { PgSslMode::VerifyCa };
                let options = options.ssl_mode(mode);
                match root {
                    Some(root) => options.ssl_root_cert(root),
                    None => options,
                }
            }
        }
    }

    /// As `sslmode`.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match self {
            Self::None => "disable",
            Self::Unverified => "require",
            Self::Verified { host: false, .. } => "verify-ca",
            Self::Verified { host: true, .. } => "verify-full",
        }
    }

    fn read(uri: &str, here: bool) -> Result<Self, Unread> {
        let query = uri.split_once('?').map_or("", |(_, query)| query);
        let value = |name: &str| {
            let part = query.split('&').filter_map(|part| part.split_once('='));
            part.filter(|(key, _)| *key == name).map(|(_, value)| unescaped(value)).next_back()
        };
        for name in ["sslcert", "sslkey", "sslcrl", "sslpassword"] {
            if value(name).is_some() {
                return Err(Unread::Parameter(name));
            }
        }
        let root = value("sslrootcert").filter(|root| !root.is_empty());
        let machines = root.as_deref() == Some("system");
        let root = root.filter(|_| !machines).map(PathBuf::from);
        match value("sslmode").as_deref() {
            Some("disable" | "allow") => Ok(Self::None),
            Some("verify-ca") => Ok(Self::Verified { root, host: false }),
            Some("verify-full") => Ok(Self::Verified { root, host: true }),
            // The machine's authorities sign for anybody, so that the name has to be right, too.
            Some("require") | None if machines => Ok(Self::Verified { root: None, host: true }),
            // libpq takes a root for the wish to verify.
            Some("require") | None if root.is_some() => Ok(Self::Verified { root, host: false }),
            Some("require") => Ok(Self::Unverified),
            // Off this machine nothing goes in the clear unless it was said.
            Some("prefer") | None => Ok(if here { Self::None } else { Self::Unverified }),
            Some(other) => Err(Unread::Mode(other.to_owned())),
        }
    }
}

impl Target {
    /// The address in a connection URI (PostgreSQL documentation, 34.1.1.2).
    pub fn read(uri: &str) -> Result<Self, Unread> {
        if !(uri.starts_with("postgresql://") || uri.starts_with("postgres://")) {
            return Err(Unread::Form);
        }
        // What sqlx makes of the rest is not asked: it may read files.
        let bare = uri.split('?').next().unwrap_or(uri);
        let options = PgConnectOptions::from_str(bare).map_err(|_| Unread::Form)?;
        // sqlx does not give the password back.
        let login = uri.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next());
        let password =
            login.and_then(|login| login.rsplit_once('@')).and_then(|(login, _)| login.split_once(':'));
        let target = Self {
            host: options.get_host().to_owned(),
            port: options.get_port(),
            user: options.get_username().to_owned(),
            password: Password::new(password.map(|(_, password)| unescaped(password)).unwrap_or_default()),
            database: options.get_database().unwrap_or(options.get_username()).to_owned(),
            encryption: Encryption::None,
        };
        let encryption = Encryption::read(uri, target.is_here())?;
        Ok(Self { encryption, ..target })
    }

    /// Whether its host is a name of this machine that every machine has.
    #[must_use]
    pub fn is_here(&self) -> bool {
        ["127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0"].contains(&self.host.as_str())
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The variables that libpq's programs find the password and the rest in. `root` is where they find the
    /// certificates to trust.
    #[must_use]
    pub fn variables(&self, root: Option<&str>) -> Vec<String> {
        let mut variables = vec![
            format!("PGHOST={}", self.host),
            format!("PGPORT={}", self.port),
            format!("PGUSER={}", self.user),
            format!("PGPASSWORD={}", self.password.reveal()),
            format!("PGDATABASE={}", self.database),
            format!("PGSSLMODE={}", self.encryption.mode()),
        ];
        variables.extend(root.map(|root| format!("PGSSLROOTCERT={root}")));
        variables
    }
}

/// What `%41` and the like mean (RFC 3986, 2.1).
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|code| std::str::from_utf8(code).ok());
        match (bytes[at], code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let target = Target::read("postgres://ann:p%40ss@db.example.com:5433/shop?sslmode=disable").unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.database.as_str()),
            ("db.example.com", 5433, "shop")
        );
        assert_eq!(target.password.reveal(), "p@ss");
        assert_eq!(Target::read("main").unwrap_err(), Unread::Form);
    }

    #[test]
    fn what_is_far_is_encrypted_unless_it_was_said() {
        let verified =
            |root: Option<&str>, host| Encryption::Verified { root: root.map(PathBuf::from), host };
        for (uri, wanted) in [
            ("postgres://a@127.0.0.1/b", Encryption::None),
            ("postgres://a@db.example.com/b", Encryption::Unverified),
            ("postgres://a@db.example.com/b?sslmode=prefer", Encryption::Unverified),
            ("postgres://a@db.example.com/b?sslmode=disable", Encryption::None),
            ("postgres://a@localhost/b?sslmode=require", Encryption::Unverified),
            ("postgres://a@x/b?sslmode=require&sslrootcert=/a%20b.pem", verified(Some("/a b.pem"), false)),
            ("postgres://a@x/b?sslrootcert=ca.pem&sslmode=verify-full", verified(Some("ca.pem"), true)),
            ("postgres://a@x/b?sslmode=verify-ca", verified(None, false)),
            ("postgres://a@x/b?sslrootcert=system", verified(None, true)),
        ] {
            assert_eq!(Target::read(uri).unwrap().encryption, wanted, "{uri}");
        }
        assert_eq!(Target::read("postgres://a@x/b?sslmode=on").unwrap_err(), Unread::Mode("on".to_owned()));
        assert_eq!(Target::read("postgres://a@x/b?sslkey=k").unwrap_err(), Unread::Parameter("sslkey"));
    }
}
