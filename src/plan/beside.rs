//! A second copy of a project beside the first one: what the compose file fixes for the whole machine, names and
//! ports, is given to each copy anew.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::compose::project::{Port, Project};

/// Something that the file fixes and that is another one in this copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What: `container_name` or `port` of a service, the `name` of a volume or network.
    pub what: String,
    /// What the file says.
    pub was: String,
    /// What this copy has.
    pub is: String,
}

/// The ports from which copies get theirs: above those of well-known services, below those that Linux gives away by
/// itself (`net.ipv4.ip_local_port_range` begins at 32768).
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What a port of a service is remembered by.
fn key(service: &str, port: &Port) -> String {
    let protocol = if port.protocol.is_empty() { "tcp" } else { &port.protocol };
    format!("{service} {}:{}:{}/{protocol}", port.host_ip, port.published, port.target)
}

/// The ports that the file fixes, by what each is remembered by.
#[must_use]
pub fn fixed_ports(project: &Project) -> BTreeSet<String> {
    let ports = |(name, service): (&String, &crate::compose::project::Service)| {
        let fixed = service.ports.iter().filter(|port| !port.published.is_empty() && port.published != "0");
        fixed.map(|port| key(name, port)).collect::<Vec<_>>()
    };
    project.services.iter().flat_map(ports).collect()
}

/// A port for `key` in the environment, the same one each time unless it is among `taken`.
#[must_use]
pub fn choose_port(environment: &str, key: &str, taken: &BTreeSet<u16>) -> Option<u16> {
    let hash = Sha256::digest(format!("{environment} {key}"));
    let count = PORTS.end - PORTS.start;
    let start = u16::from_be_bytes([hash[0], hash[1]]) % count;
    (0..count).map(|step| PORTS.start + (start + step) % count).find(|port| !taken.contains(port))
}

/// Frees a project, loaded under a name of its own, of names and ports that the first copy has. `suffix` is what
/// the copy's name has behind the project's, `ports` are those that it has instead; where there is none, the engine
/// takes one that is free.
pub fn set_apart(project: &mut Project, suffix: &str, ports: &BTreeMap<String, u16>) -> Vec<Moved> {
    let mut moved = Vec::new();
    let own = |name: &str, project: &str| name.starts_with(&format!("{project}_"));
    let rename = |what: String, name: &mut String| {
        let is = format!("{name}-{suffix}");
        Moved { what, was: std::mem::replace(name, is.clone()), is }
    };
    for (key, volume) in &mut project.volumes {
        if !volume.external && !own(&volume.name, &project.name) {
            moved.push(rename(format!("name of volume `{key}`"), &mut volume.name));
        }
    }
    for (key, network) in &mut project.networks {
        if !network.external && !own(&network.name, &project.name) {
            moved.push(rename(format!("name of network `{key}`"), &mut network.name));
        }
    }
    for (name, service) in &mut project.services {
        if !service.container_name.is_empty() {
            moved.push(rename(format!("container_name of service `{name}`"), &mut service.container_name));
        }
        for port in &mut service.ports {
            if !port.published.is_empty() {
                let own = ports.get(&key(name, port)).map(u16::to_string);
                moved.push(Moved {
                    what: format!("port {} of service `{name}`", port.target),
                    was: std::mem::replace(&mut port.published, own.clone().unwrap_or_default()),
                    is: own.unwrap_or_else(|| "one that is free".to_owned()),
                });
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::project::{Service, Volume};

    #[test]
    fn a_copy_has_its_own_ports_each_time() {
        let mut project = Project::default();
        let port = |published: &str| Port { target: 80, published: published.into(), ..Port::default() };
        let service = Service { ports: vec![port("8080"), port("8081"), port("")], ..Service::default() };
        project.services.insert("web".into(), service);
        let mut taken = BTreeSet::new();
        let mut ports = BTreeMap::new();
        for key in fixed_ports(&project) {
            let port = choose_port("shop-feat", &key, &taken).unwrap();
            assert_eq!(choose_port("shop-feat", &key, &taken), Some(port));
            assert!(PORTS.contains(&port) && taken.insert(port));
            ports.insert(key, port);
        }
        assert_eq!(ports.len(), 2);
        set_apart(&mut project, "feat", &ports);
        let published = |at: usize| project.services["web"].ports[at].published.clone();
        assert_eq!(published(0), ports["web :8080:80/tcp"].to_string());
        assert_eq!(published(1), ports["web :8081:80/tcp"].to_string());
        assert_eq!(published(2), "");
        assert_eq!(choose_port("a", "b", &PORTS.collect()), None);
    }

    #[test]
    fn nothing_of_the_first_copy_is_used_again() {
        let mut project = Project { name: "shop-feat".into(), ..Project::default() };
        let port = Port { target: 80, published: "8080".into(), ..Port::default() };
        let service = Service { container_name: "web".into(), ports: vec![port], ..Service::default() };
        project.services.insert("web".into(), service);
        for (key, name, external) in
            [("a", "shop-feat_a", false), ("b", "fixed", false), ("c", "theirs", true)]
        {
            project.volumes.insert(key.into(), Volume { name: name.into(), external, ..Volume::default() });
        }
        let moved = set_apart(&mut project, "feat", &BTreeMap::new());
        let names: Vec<&str> = project.volumes.values().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names, ["shop-feat_a", "fixed-feat", "theirs"]);
        assert_eq!(project.services["web"].container_name, "web-feat");
        assert_eq!(project.services["web"].ports[0].published, "");
        assert_eq!(moved.len(), 3, "{moved:?}");
    }
}
