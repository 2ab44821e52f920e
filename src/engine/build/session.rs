//! The session of one build: while it lasts the engine may ask us for files, secrets, registry logins and
//! the ssh agent. Nothing of it is written down on either side.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::v1 as auth;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::sshforward::v1 as ssh;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::{Ssh, SshServer};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Request, Response, Status, Streaming};

use super::dial::{Endpoint, Wire};
use super::filesync::Files;
use super::spec::SecretSource;
use crate::engine::credentials::{Credentials, Login};

/// What one build may ask for.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) files: Files,
    pub(super) secrets: HashMap<String, SecretSource>,
    pub(super) agents: HashMap<String, PathBuf>,
    pub(super) credentials: Credentials,
}

/// A secret that could not be read when a step asked for it.
#[derive(Debug)]
pub(super) struct SecretTrouble {
    pub(super) id: String,
    pub(super) path: PathBuf,
    pub(super) source: std::io::Error,
}

/// An open session; ends when dropped.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) secret_trouble: Arc<Mutex<Option<SecretTrouble>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

const METHODS: [&str; 6] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
];

impl Session {
    /// Opens a session. Contexts that share `shared_key` share the files that were sent before.
    pub(super) async fn open(
        endpoint: &Endpoint,
        shared_key: &str,
        offered: Offered,
    ) -> std::io::Result<Self> {
        let id = random_id();
        let mut headers = vec![
            ("X-Docker-Expose-Session-Uuid", id.as_str()),
            ("X-Docker-Expose-Session-Name", "devenv"),
            ("X-Docker-Expose-Session-Sharedkey", shared_key),
        ];
        // An engine fails a step that wants an agent at once when the session has none.
        let methods = if offered.agents.is_empty() { &METHODS[..4] } else { &METHODS[..] };
        headers.extend(methods.iter().map(|method| ("X-Docker-Expose-Session-Grpc-Method", *method)));
        let wire = endpoint.upgrade("/session", &headers).await?;
        let secret_trouble = Arc::new(Mutex::new(None));
        let vault = Vault { secrets: offered.secrets, trouble: Arc::clone(&secret_trouble) };
        let mut server = tonic::transport::Server::builder();
        let mut router = server
            .add_service(HealthServer::new(Alive))
            .add_service(FileSyncServer::new(offered.files))
            .add_service(AuthServer::new(Logins(offered.credentials)))
            .add_service(SecretsServer::new(vault));
        if !offered.agents.is_empty() {
            router = router.add_service(SshServer::new(Agents(offered.agents)));
        }
        let serving = tokio::spawn(async move {
            let once = futures_util::stream::once(async { Ok::<Wire, std::io::Error>(wire) });
            if let Err(error) = router.serve_with_incoming(once.chain(futures_util::stream::pending())).await
            {
                tracing::debug!(%error, "build session ended");
            }
        });
        Ok(Self { id, secret_trouble, serving })
    }
}

/// 128 bits nobody else has: the standard library's own source of hash keys, once per half.
pub(super) fn random_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    let half = |salt: u8| {
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_u8(salt);
        hasher.write_u32(std::process::id());
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(0), half(1))
}

struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = futures_util::stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("only Check is served"))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only Check is served"))
    }
}

/// Logins of registries. Tokens are left to the engine, which fetches them itself when a client offers none:
/// so no TLS client is needed here.
struct Logins(Credentials);

#[tonic::async_trait]
impl Auth for Logins {
    async fn credentials(
        &self,
        request: Request<auth::CredentialsRequest>,
    ) -> Result<Response<auth::CredentialsResponse>, Status> {
        let found = self.0.find(&request.get_ref().host).await;
        let login = found.map_err(|error| Status::unknown(error.to_string()))?;
        let (username, secret) = login.map(Login::for_buildkit).unwrap_or_default();
        Ok(Response::new(auth::CredentialsResponse { username, secret }))
    }

    async fn fetch_token(
        &self,
        _: Request<auth::FetchTokenRequest>,
    ) -> Result<Response<auth::FetchTokenResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the engine"))
    }

    async fn get_token_authority(
        &self,
        _: Request<auth::GetTokenAuthorityRequest>,
    ) -> Result<Response<auth::GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the engine"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<auth::VerifyTokenAuthorityRequest>,
    ) -> Result<Response<auth::VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the engine"))
    }
}

struct Vault {
    secrets: HashMap<String, SecretSource>,
    trouble: Arc<Mutex<Option<SecretTrouble>>>,
}

#[tonic::async_trait]
impl Secrets for Vault {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let data = match self.secrets.get(id) {
            // The engine knows this code: optional secrets are then left out, required ones fail the step.
            None => return Err(Status::not_found(format!("secret {id} was not given"))),
            Some(SecretSource::Bytes(bytes)) => bytes.clone(),
            Some(SecretSource::File(path)) => tokio::fs::read(path).await.map_err(|source| {
                let status = Status::failed_precondition(format!("cannot read {}: {source}", path.display()));
                let trouble = SecretTrouble { id: id.clone(), path: path.clone(), source };
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
                status
            })?,
        };
        Ok(Response::new(GetSecretResponse { data }))
    }
}

struct Agents(HashMap<String, PathBuf>);

impl Agents {
    fn socket(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { "default" } else { id };
        self.0.get(id).ok_or_else(|| Status::not_found(format!("no ssh agent was given as {id}")))
    }
}

#[tonic::async_trait]
impl Ssh for Agents {
    type ForwardAgentStream =
        std::pin::Pin<Box<dyn Stream<Item = Result<ssh::BytesMessage, Status>> + Send + 'static>>;

    async fn check_agent(
        &self,
        request: Request<ssh::CheckAgentRequest>,
    ) -> Result<Response<ssh::CheckAgentResponse>, Status> {
        self.socket(&request.get_ref().id)?;
        Ok(Response::new(ssh::CheckAgentResponse {}))
    }

    async fn forward_agent(
        &self,
        request: Request<Streaming<ssh::BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id =
            request.metadata().get("buildkit.ssh.id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let path = self.socket(id)?;
        let agent = tokio::net::UnixStream::connect(path)
            .await
            .map_err(|error| Status::unavailable(format!("ssh agent {}: {error}", path.display())))?;
        let (mut from_agent, mut to_agent) = agent.into_split();
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(message)) = requests.message().await {
                if to_agent.write_all(&message.data).await.is_err() {
                    return;
                }
            }
        });
        let answers = async_stream::stream! {
            let mut buffer = vec![0; 32 * 1024];
            loop {
                match from_agent.read(&mut buffer).await {
                    Ok(0) => return,
                    Ok(read) => yield Ok(ssh::BytesMessage { data: buffer[..read].to_vec() }),
                    Err(error) => {
                        yield Err(Status::from(error));
                        return;
                    }
                }
            }
        };
        Ok(Response::new(Box::pin(answers)))
    }
}
