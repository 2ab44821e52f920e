//! The hashes that Compose writes into labels, and compares to see whether a container is still what the file
//! asks for. They are those of Docker Compose 2.40.3, whose field order and omissions [`super::project`] keeps.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::print;
use super::project::{Network, Service, Volume};

/// The version of Compose that the hashes belong to.
pub const VERSION: &str = "2.40.3";

/// The hash of a service (`com.docker.compose.config-hash` of a container).
///
/// Before `up` writes it, references to other services (`network_mode: service:x`, `volumes_from`) are replaced
/// by the ids of their containers; that is the caller's part.
pub fn service_hash(service: &Service) -> String {
    let mut service = service.clone();
    service.build = None;
    service.pull_policy.clear();
    service.scale = None;
    if let Some(deploy) = &mut service.deploy {
        deploy.replicas = None;
    }
    service.depends_on.clear();
    service.profiles.clear();
    hash(&service)
}

/// The hash of a network.
pub fn network_hash(network: &Network) -> String {
    hash(network)
}

/// The hash of a volume.
pub fn volume_hash(volume: &Volume) -> String {
    let mut volume = volume.clone();
    if volume.driver.is_empty() {
        volume.driver = "local".into();
    }
    hash(&volume)
}

fn hash(value: &impl Serialize) -> String {
    hex::encode(Sha256::digest(print::go_json(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_concern_the_container_does_not_change_the_hash() {
        let one = Service { image: "nginx".into(), ..Service::default() };
        let mut other = one.clone();
        other.scale = Some(3);
        other.pull_policy = "always".into();
        other.profiles = vec!["p".into()];
        assert_eq!(service_hash(&one), service_hash(&other));
        other.image = "other".into();
        assert_ne!(service_hash(&one), service_hash(&other));
    }

    #[test]
    fn the_hash_is_of_the_document_that_go_writes() {
        let service = Service { image: "a<b".into(), ..Service::default() };
        assert_eq!(print::go_json(&service), r#"{"command":null,"entrypoint":null,"image":"a\u003cb"}"#);
        let volume = Volume { name: "p_v".into(), ..Volume::default() };
        assert_eq!(volume_hash(&volume), hex::encode(Sha256::digest(r#"{"name":"p_v","driver":"local"}"#)));
    }
}
