//! A second copy of a project beside the first one: what the compose file fixes for the whole machine, names and
//! ports, is given to each copy anew.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::follow::follow;
use crate::compose::project::{Port, Project, Service};

/// Something that the file fixes and that is another one in this copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What: `container_name`, `port` or a variable of a service, the `name` of a volume or network.
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
    let mut elsewhere: BTreeMap<u16, u16> = BTreeMap::new();
    for (name, service) in &mut project.services {
        if !service.container_name.is_empty() {
            moved.push(rename(format!("container_name of service `{name}`"), &mut service.container_name));
        }
        for port in &mut service.ports {
            if !port.published.is_empty() {
                let own = ports.get(&key(name, port));
                if let (Some(own), Ok(was)) = (own, port.published.parse()) {
                    elsewhere.insert(was, *own);
                }
                let own = own.map(u16::to_string);
                moved.push(Moved {
                    what: format!("port {} of service `{name}`", port.target),
                    was: std::mem::replace(&mut port.published, own.clone().unwrap_or_default()),
                    is: own.unwrap_or_else(|| "one that is free".to_owned()),
                });
            }
        }
    }
    if !keeps_urls(project) {
        for (name, service) in &mut project.services {
            moved.extend(let_follow(name, service, &elsewhere));
        }
    }
    moved
}

/// Whether `x-devenv.urls` says that addresses in variables stay as they are.
fn keeps_urls(project: &Project) -> bool {
    let said = project.extensions.get("x-devenv").and_then(|own| own.get("urls")?.as_str());
    said == Some("keep")
}

/// Lets the addresses in a service's variables follow ports that are elsewhere now.
fn let_follow(name: &str, service: &mut Service, elsewhere: &BTreeMap<u16, u16>) -> Vec<Moved> {
    // There `localhost` may be the container itself.
    let own: BTreeSet<u16> = if service.network_mode == "host" {
        BTreeSet::new()
    } else {
        let exposed = service.expose.iter().filter_map(|text| text.split('/').next()?.parse().ok());
        exposed.chain(service.ports.iter().filter_map(|port| u16::try_from(port.target).ok())).collect()
    };
    let others: BTreeMap<u16, u16> =
        elsewhere.iter().filter(|(port, _)| !own.contains(port)).map(|(was, is)| (*was, *is)).collect();
    let mut moved = Vec::new();
    for (variable, value) in &mut service.environment {
        let Some((changed, all)) = value.as_ref().and_then(|value| follow(value, &others)) else { continue };
        *value = Some(changed);
        // The rest of the value may be a secret.
        moved.extend(all.into_iter().map(|it| Moved {
            what: format!("{variable} of service `{name}`"),
            was: it.was,
            is: it.is,
        }));
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::project::Volume;

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
    fn addresses_in_variables_follow() {
        let mut project = Project::default();
        let port = |published: &str, target| Port { target, published: published.into(), ..Port::default() };
        let variables = |all: &[(&str, &str)]| {
            all.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
        };
        let web = Service {
            ports: vec![port("3000", 3000)],
            environment: variables(&[("API", "http://localhost:8000/v1"), ("SELF", "http://localhost:3000")]),
            ..Service::default()
        };
        let api = Service {
            ports: vec![port("8000", 80)],
            environment: variables(&[
                ("SITE_URL", "http://localhost:3000"),
                ("DB", "postgres://u:p@db:5432"),
            ]),
            ..Service::default()
        };
        project.services.insert("web".into(), web);
        project.services.insert("api".into(), api);
        let ports = BTreeMap::from([
            ("web :3000:3000/tcp".to_owned(), 20_001),
            ("api :8000:80/tcp".to_owned(), 20_002),
        ]);
        let value = |project: &Project, service: &str, name: &str| {
            project.services[service].environment[name].clone().unwrap()
        };
        let mut kept = project.clone();
        let moved = set_apart(&mut project, "feat", &ports);
        assert_eq!(value(&project, "web", "API"), "http://localhost:20002/v1");
        assert_eq!(value(&project, "web", "SELF"), "http://localhost:3000", "it may be the container");
        assert_eq!(value(&project, "api", "SITE_URL"), "http://localhost:20001");
        assert_eq!(value(&project, "api", "DB"), "postgres://u:p@db:5432");
        let told: Vec<String> = moved
            .iter()
            .filter(|moved| !moved.what.starts_with("port"))
            .map(|moved| format!("{}: {} {}", moved.what, moved.was, moved.is))
            .collect();
        assert!(
            told.contains(&"API of service `web`: localhost:8000 localhost:20002".to_owned()),
            "{told:?}"
        );
        assert_eq!(told.len(), 2);
        kept.extensions.insert("x-devenv".into(), serde_json::json!({ "urls": "keep" }));
        set_apart(&mut kept, "feat", &ports);
        assert_eq!(value(&kept, "api", "SITE_URL"), "http://localhost:3000");
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
