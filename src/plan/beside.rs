//! A second copy of a project beside the first one: what the compose file fixes for the whole machine, names and
//! ports, is given to each copy anew.

use crate::compose::project::Project;

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

/// Frees a project, loaded under a name of its own, of names and ports that the first copy has. `suffix` is what
/// the copy's name has behind the project's.
pub fn set_apart(project: &mut Project, suffix: &str) -> Vec<Moved> {
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
                moved.push(Moved {
                    what: format!("port {} of service `{name}`", port.target),
                    was: std::mem::take(&mut port.published),
                    is: "one that is free".to_owned(),
                });
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::project::{Port, Service, Volume};

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
        let moved = set_apart(&mut project, "feat");
        let names: Vec<&str> = project.volumes.values().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names, ["shop-feat_a", "fixed-feat", "theirs"]);
        assert_eq!(project.services["web"].container_name, "web-feat");
        assert_eq!(project.services["web"].ports[0].published, "");
        assert_eq!(moved.len(), 3, "{moved:?}");
    }
}
