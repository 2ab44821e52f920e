//! The engine for the other verbs: find it, connect, and say what to do when it cannot be had.

use crate::base::{Failure, Kind};
use crate::engine::endpoint::{self, Docker, Endpoint, EndpointError, REPLY, Settings};

/// Finds the engine that `settings` name and connects to it.
///
/// # Errors
/// [`Kind::Unreachable`] with a hint, or [`Kind::Files`] when a file of Docker's settings is broken.
pub async fn open(settings: &Settings) -> Result<(Endpoint, Docker), Failure> {
    let endpoint = endpoint::resolve_here(settings).map_err(|problem| failure(&problem))?;
    let engine = endpoint::connect(&endpoint, REPLY).await.map_err(|problem| failure(&problem))?;
    Ok((endpoint, engine))
}

/// What a user is told when there is no connection to the engine.
#[must_use]
pub fn failure(problem: &EndpointError) -> Failure {
    let kind = match problem {
        EndpointError::Settings { .. } | EndpointError::ContextMissing { .. } => Kind::Files,
        _ => Kind::Unreachable,
    };
    let message = problem.to_string();
    let hints = hints(problem);
    hints.into_iter().fold(Failure::new(kind, message), Failure::hint)
}

/// What can be done about it, without knowledge of the machine; `doctor` says more.
#[must_use]
pub fn hints(problem: &EndpointError) -> Vec<String> {
    let doctor = "run `devenv doctor --fix`".to_owned();
    match problem {
        EndpointError::SocketMissing { .. } | EndpointError::Refused { .. } => vec![
            doctor,
            "check DOCKER_HOST and `docker context ls` if the engine runs somewhere else".to_owned(),
        ],
        EndpointError::Denied { owner, .. } => match owner {
            Some(owner) if owner.listed => vec![format!(
                "log in again (or run `newgrp {0}`): you were added to the group `{0}` after you logged in",
                owner.group
            )],
            Some(owner) if owner.group_may => vec![format!(
                "join the group `{}` that owns the socket: `sudo usermod -aG {} $USER`, then log in again",
                owner.group, owner.group
            )],
            _ => vec!["run the command as root, or as the user who started the engine".to_owned()],
        },
        EndpointError::Silent { .. } => {
            vec!["restart the engine (`sudo systemctl restart docker`); its log says why it hangs".to_owned()]
        }
        EndpointError::TooOld { .. } => vec!["upgrade the engine".to_owned()],
        EndpointError::Unsupported { host, .. } if host.starts_with("ssh://") => vec![format!(
            "forward the engine's socket and name it: `ssh -fNL /tmp/engine.sock:{} {}` and \
             DOCKER_HOST=unix:///tmp/engine.sock",
            endpoint::DEFAULT_SOCKET,
            host.trim_start_matches("ssh://").trim_end_matches('/')
        )],
        EndpointError::Unsupported { .. } => {
            vec!["write `unix:///path/to/docker.sock` or `tcp://host:port`".to_owned()]
        }
        EndpointError::ContextMissing { .. } => {
            vec!["choose one that `docker context ls` shows: `docker context use default`".to_owned()]
        }
        EndpointError::NotAnEngine { said, .. } if said.contains("HTTPS server") => {
            vec!["the engine wants TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH".to_owned()]
        }
        EndpointError::Tls { .. } => {
            vec!["check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH (or in the context)".to_owned()]
        }
        EndpointError::Settings { .. }
        | EndpointError::Unreachable { .. }
        | EndpointError::NotAnEngine { .. } => {
            vec!["check DOCKER_HOST and `docker context ls`".to_owned()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::endpoint::{Owner, Source};

    #[test]
    fn a_denied_socket_names_the_group() {
        let owner =
            |listed| Some(Owner { group: "docker".to_owned(), group_may: true, member: false, listed });
        let failure = |listed| {
            failure(&EndpointError::Denied { path: "/var/run/docker.sock".into(), owner: owner(listed) })
        };
        assert_eq!(failure(false).kind, Kind::Unreachable);
        assert!(failure(false).hints[0].contains("usermod -aG docker"), "{:?}", failure(false).hints);
        assert!(failure(true).hints[0].contains("newgrp docker"), "{:?}", failure(true).hints);
    }

    #[test]
    fn ssh_is_refused_with_the_way_around_it() {
        let failure =
            failure(&EndpointError::Unsupported { host: "ssh://me@far".to_owned(), by: Source::DockerHost });
        assert!(failure.hints[0].contains("docker.sock me@far`"), "{:?}", failure.hints);
    }
}
