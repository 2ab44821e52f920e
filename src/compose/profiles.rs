//! Which services are active: by profile, and by being named on the command line.

use std::collections::BTreeSet;

use super::problem::closest;
use super::project::{Map, Project, Service};
use crate::base::guess::did_you_mean;
use crate::base::{Failure, Kind};

/// Sorts services into active ones and others.
pub(crate) fn activate(project: &mut Project, profiles: Vec<String>) {
    let mut all: Map<Service> = std::mem::take(&mut project.services);
    all.append(&mut project.disabled_services);
    for (name, service) in all {
        let into = if service.has_profile(&profiles) {
            &mut project.services
        } else {
            &mut project.disabled_services
        };
        into.insert(name, service);
    }
    project.active_profiles = profiles;
}

/// Leaves only the named services and what they depend on active; none named leaves all.
pub(crate) fn target(project: &mut Project, targets: &[String]) -> Result<(), Failure> {
    if targets.is_empty() {
        return Ok(());
    }
    let mut profiles = project.active_profiles.clone();
    for target in targets {
        if project.services.contains_key(target) {
            continue;
        }
        let Some(service) = project.disabled_services.get(target) else {
            let failure = Failure::new(Kind::Usage, format!("no such service: {target}"));
            let names = project.all_services().map(|(name, _)| name.as_str());
            return Err(match closest(target, names) {
                Some(guess) => failure.hint(did_you_mean(guess)),
                None => failure,
            });
        };
        profiles.extend(service.profiles.iter().cloned());
    }
    activate(project, profiles);
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<(String, bool)> = targets.iter().map(|target| (target.clone(), true)).collect();
    while let Some((name, required)) = open.pop() {
        let Some(service) = project.services.get(&name) else {
            if required {
                return Err(Failure::new(Kind::Files, format!("no such service: {name}"))
                    .hint("a service that is named depends on it: activate its profile, or name it, too"));
            }
            continue;
        };
        if wanted.insert(name) {
            open.extend(
                service.depends_on.iter().map(|(other, dependency)| (other.clone(), dependency.required)),
            );
        }
    }
    let others: Vec<String> =
        project.services.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
    for name in others {
        if let Some(service) = project.services.remove(&name) {
            project.disabled_services.insert(name, service);
        }
    }
    for service in project.services.values_mut() {
        service.depends_on.retain(|name, _| wanted.contains(name));
    }
    Ok(())
}

/// Drops networks, volumes, secrets, configs and models that no active service uses.
pub(crate) fn drop_unused(project: &mut Project) {
    let services: Vec<&Service> = project.services.values().collect();
    let used = |names: &dyn Fn(&Service) -> Vec<String>| -> BTreeSet<String> {
        services.iter().flat_map(|service| names(service)).collect()
    };
    let networks = used(&|service| service.networks.keys().cloned().collect());
    let volumes = used(&|service| {
        let named = service.volumes.iter().filter(|mount| mount.kind == "volume");
        named.map(|mount| mount.source.clone()).collect()
    });
    let secrets = used(&|service| {
        let build = service.build.iter().flat_map(|build| &build.secrets);
        service.secrets.iter().chain(build).map(|secret| secret.source.clone()).collect()
    });
    let configs = used(&|service| service.configs.iter().map(|config| config.source.clone()).collect());
    let models = used(&|service| service.models.keys().cloned().collect());
    project.networks.retain(|name, _| networks.contains(name));
    project.volumes.retain(|name, _| volumes.contains(name));
    project.secrets.retain(|name, _| secrets.contains(name));
    project.configs.retain(|name, _| configs.contains(name));
    project.models.retain(|name, _| models.contains(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        let service = |profile: &str| Service {
            image: "i".into(),
            profiles: if profile.is_empty() { Vec::new() } else { vec![profile.into()] },
            ..Service::default()
        };
        let mut project = Project::default();
        for (name, profile) in [("web", ""), ("debug", "dev"), ("test", "ci")] {
            project.services.insert(name.into(), service(profile));
        }
        project
    }

    #[test]
    fn profiles_activate_services() {
        for (profiles, active) in [
            (vec![], vec!["web"]),
            (vec!["dev"], vec!["debug", "web"]),
            (vec!["*"], vec!["debug", "test", "web"]),
        ] {
            let mut project = project();
            activate(&mut project, profiles.into_iter().map(str::to_owned).collect());
            assert_eq!(project.services.keys().collect::<Vec<_>>(), active);
        }
    }
}
