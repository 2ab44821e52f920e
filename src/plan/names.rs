//! How containers and images are called when the compose file does not say.

use crate::compose::project::{Project, Service};

/// `<project>-<service>-<number>`, or the `container_name` of the service.
#[must_use]
pub fn container(project: &str, service: &str, definition: &Service, number: u32) -> String {
    if definition.container_name.is_empty() {
        format!("{project}-{service}-{number}")
    } else {
        definition.container_name.clone()
    }
}

/// The image a service runs: the one it names, or `<project>-<service>` for one that is built.
#[must_use]
pub fn image(project: &str, service: &str, definition: &Service) -> String {
    if definition.image.is_empty() { format!("{project}-{service}") } else { definition.image.clone() }
}

/// The name of the new container while the old one still has its own:
/// twelve characters of the old one's id, `_`, the final name.
#[must_use]
pub fn while_replacing(old_short_id: &str, name: &str) -> String {
    format!("{old_short_id}_{name}")
}

/// Whether a name is one that only a replacement under way gives.
#[must_use]
pub fn is_while_replacing(name: &str) -> bool {
    name.split_once('_')
        .is_some_and(|(id, _)| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The images of every service, by service.
pub fn images(project: &Project) -> impl Iterator<Item = (&str, String)> {
    project.services.iter().map(|(name, service)| (name.as_str(), image(&project.name, name, service)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_known_by_its_name() {
        assert!(is_while_replacing(&while_replacing("0123456789ab", "shop-db-1")));
        assert!(!is_while_replacing("shop_db_1"));
    }
}
