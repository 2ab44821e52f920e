//! Logins of registries, as `docker login` keeps them: in `config.json` itself or behind a credential helper,
//! which is a program that is asked only when its registry is really needed.

use std::collections::HashMap;
use std::process::Stdio;

use base64::Engine as _;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

/// The address under which Docker Hub's login is kept.
const HUB: &str = "https://index.docker.io/v1/";

/// All logins that are known.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    logins: HashMap<String, Login>,
    store: Option<String>,
    helpers: HashMap<String, String>,
}

/// A login of one registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A name and a password.
    Password {
        /// Who.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that stands for both.
    Token(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { username, .. } => write!(f, "Password({username}, ***)"),
            Self::Token(_) => f.write_str("Token(***)"),
        }
    }
}

impl Login {
    /// As `BuildKit` wants it: a token has no name.
    pub(super) fn for_buildkit(self) -> (String, String) {
        match self {
            Self::Password { username, password } => (username, password),
            Self::Token(token) => (String::new(), token),
        }
    }

    /// As the engine's own requests want it.
    pub(super) fn for_engine(self, registry: &str) -> bollard::auth::DockerCredentials {
        let serveraddress = Some(key_of(registry).to_owned());
        match self {
            Self::Password { username, password } => bollard::auth::DockerCredentials {
                username: Some(username),
                password: Some(password),
                serveraddress,
                ..Default::default()
            },
            Self::Token(token) => bollard::auth::DockerCredentials {
                identitytoken: Some(token),
                serveraddress,
                ..Default::default()
            },
        }
    }
}

/// Why a login could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file is not what `docker login` writes.
    #[error("the docker configuration is not valid JSON of the expected shape")]
    Config(#[source] serde_json::Error),
    /// An `auth` entry is not base64 of `name:password`.
    #[error("the login of {registry} in the docker configuration is damaged")]
    Damaged {
        /// Whose entry.
        registry: String,
    },
    /// A credential helper is missing or cannot be started.
    #[error("cannot run {program}")]
    Helper {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A credential helper failed or answered nonsense.
    #[error("{program} gave no login for {registry}: {answer}")]
    Refused {
        /// The program.
        program: String,
        /// For which registry.
        registry: String,
        /// What it said.
        answer: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: HashMap<String, Entry>,
    creds_store: String,
    cred_helpers: HashMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Credentials {
    /// Reads the text of `~/.docker/config.json`.
    pub fn parse(config: &str) -> Result<Self, CredentialError> {
        let config: Config = serde_json::from_str(config).map_err(CredentialError::Config)?;
        let mut logins = HashMap::new();
        for (registry, entry) in config.auths {
            if let Some(login) = entry.login(&registry)? {
                logins.insert(registry, login);
            }
        }
        let store = Some(config.creds_store).filter(|store| !store.is_empty());
        Ok(Self { logins, store, helpers: config.cred_helpers })
    }

    /// The login for a registry (`docker.io`, `ghcr.io`, `localhost:5000`), if there is one.
    pub async fn find(&self, registry: &str) -> Result<Option<Login>, CredentialError> {
        let key = key_of(registry);
        let host = host_of(key);
        if let Some((_, helper)) = self.helpers.iter().find(|(server, _)| host_of(server) == host) {
            return ask(helper, key).await;
        }
        if let Some(store) = &self.store {
            return ask(store, key).await;
        }
        let exact = self.logins.get(key);
        let login = exact
            .or_else(|| self.logins.iter().find(|(server, _)| host_of(server) == host).map(|pair| pair.1));
        Ok(login.cloned())
    }
}

impl Entry {
    fn login(self, registry: &str) -> Result<Option<Login>, CredentialError> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::Token(self.identitytoken)));
        }
        if !self.username.is_empty() {
            return Ok(Some(Login::Password { username: self.username, password: self.password }));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let damaged = || CredentialError::Damaged { registry: registry.to_owned() };
        let bytes = base64::engine::general_purpose::STANDARD.decode(&self.auth).map_err(|_| damaged())?;
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        let (username, password) = text.split_once(':').ok_or_else(damaged)?;
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Login::Password { username: username.to_owned(), password }))
    }
}

fn key_of(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" | HUB => HUB,
        other => other,
    }
}

fn host_of(server: &str) -> &str {
    let rest = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

async fn ask(helper: &str, registry: &str) -> Result<Option<Login>, CredentialError> {
    let program = format!("docker-credential-{helper}");
    let failed = |source| CredentialError::Helper { program: program.clone(), source };
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input is judged by what it prints.
        let _ = input.write_all(registry.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        // What Docker's own helper library prints, word for word.
        if text.contains("credentials not found in native keychain") {
            return Ok(None);
        }
        return Err(CredentialError::Refused { program, registry: registry.to_owned(), answer: text });
    }
    let answer: Answer = serde_json::from_str(&text).map_err(|error| CredentialError::Refused {
        program: program.clone(),
        registry: registry.to_owned(),
        answer: error.to_string(),
    })?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Login::Token(answer.secret),
        _ => Login::Password { username: answer.username, password: answer.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(username: &str, password: &str) -> Login {
        Login::Password { username: username.into(), password: password.into() }
    }

    #[tokio::test]
    async fn logins_are_found_by_host() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6aHVi"},
            "ghcr.io": {"auth": "bWU6YTpi"},
            "https://quay.io/v2/": {"identitytoken": "t"},
            "empty.example": {}}, "HttpHeaders": {"x": "y"}}"#;
        let all = Credentials::parse(config).unwrap();
        assert_eq!(all.find("docker.io").await.unwrap(), Some(password("me", "hub")));
        assert_eq!(all.find("registry-1.docker.io").await.unwrap(), Some(password("me", "hub")));
        assert_eq!(all.find("ghcr.io").await.unwrap(), Some(password("me", "a:b")));
        assert_eq!(all.find("quay.io").await.unwrap(), Some(Login::Token("t".into())));
        assert_eq!(all.find("empty.example").await.unwrap(), None);
        assert_eq!(format!("{:?}", password("me", "hub")), "Password(me, ***)");
    }

    #[tokio::test]
    async fn damage_is_told() {
        assert!(matches!(Credentials::parse("{"), Err(CredentialError::Config(_))));
        let damaged = Credentials::parse(r#"{"auths": {"x": {"auth": "!"}}}"#);
        assert!(matches!(damaged, Err(CredentialError::Damaged { .. })));
        let all = Credentials::parse(r#"{"credHelpers": {"x.example": "devenv-is-not-there"}}"#).unwrap();
        assert!(matches!(all.find("x.example").await, Err(CredentialError::Helper { .. })));
        assert_eq!(all.find("y.example").await.unwrap(), None);
    }
}
