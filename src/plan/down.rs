//! Takes a project away: dependents before what they depend on, then networks, volumes and images.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::compose::project::Project;
use crate::plan::observed::{Container, Observed};
use crate::plan::up::target;
use crate::plan::{Act, Cause, Order, Plan, labels, names};

/// What the command line of `down` says.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Services named; none means the whole project.
    pub targets: Vec<String>,
    /// Remove the project's volumes, anonymous ones included.
    pub volumes: bool,
    /// Remove images.
    pub images: Option<Images>,
    /// Remove containers that no service owns.
    pub remove_orphans: bool,
    /// How long a container may take to stop, instead of its own grace period.
    pub grace: Option<Duration>,
}

/// Which images `--rmi` removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// Those without a name of their own, which were built here.
    Local,
    /// All that the services use.
    All,
}

/// What has to be done. Without a compose file the labels of the containers say what there is.
#[must_use]
pub fn plan(project: Option<&Project>, observed: &Observed, wishes: &Wishes) -> Plan {
    let mut plan = Plan::default();
    let order = order(project, observed);
    let known = |container: &Container| {
        project.is_none_or(|project| project.all_services().any(|(name, _)| name == container.service()))
    };
    let targeted = |container: &Container| {
        wishes.targets.is_empty() || wishes.targets.iter().any(|name| name == container.service())
    };
    // The steps after which the containers of a service, and those before them, have stopped. Nothing else of
    // a dependent has to wait for: its removal goes on beside.
    let mut stopped: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut steps = Vec::new();
    // Dependents first: the order of start, reversed; then what stands in no order.
    let place = |container: &Container| {
        let place = order.services.iter().position(|name| name == container.service());
        place.map_or(usize::MAX, |place| order.services.len() - place)
    };
    let mut containers: Vec<&Container> =
        observed.containers.iter().filter(|c| targeted(c) && (known(c) || wishes.remove_orphans)).collect();
    containers.sort_by_key(|container| place(container));
    for container in &containers {
        let cause = if known(container) { Cause::Asked } else { Cause::Orphan };
        let mut after: Vec<usize> = order
            .needed_by(container.service())
            .filter(|dependent| dependent.as_str() != container.service())
            .flat_map(|dependent| stopped.get(dependent.as_str()).into_iter().flatten().copied())
            .collect();
        if container.state.is_up() {
            let act = Act::Stop { target: target(container), grace: wishes.grace };
            after = vec![plan.add(act, cause.clone(), after)];
        }
        let act = Act::Remove { target: target(container), volumes: wishes.volumes };
        stopped.entry(container.service()).or_default().extend(&after);
        steps.push(plan.add(act, cause, after));
    }
    if !wishes.targets.is_empty() {
        return plan;
    }
    let left: Vec<&str> = observed
        .containers
        .iter()
        .filter(|container| !containers.iter().any(|taken| taken.id == container.id))
        .map(|container| container.name.as_str())
        .collect();
    if !left.is_empty() {
        plan.warnings
            .push(format!("no service owns {}: remove with `devenv down --remove-orphans`", left.join(", ")));
    }
    for network in observed.networks.iter().filter(|network| network.labels.contains_key(labels::NETWORK)) {
        let in_use = observed.containers.iter().any(|container| {
            left.contains(&container.name.as_str()) && container.networks.values().any(|id| *id == network.id)
        });
        if !in_use {
            let act = Act::RemoveNetwork { name: network.name.clone(), id: network.id.clone() };
            plan.add(act, Cause::Asked, steps.clone());
        }
    }
    if wishes.volumes {
        for volume in observed.volumes.iter().filter(|volume| volume.labels.contains_key(labels::VOLUME)) {
            plan.add(Act::RemoveVolume { name: volume.name.clone() }, Cause::Asked, steps.clone());
        }
    }
    if let (Some(images), Some(project)) = (wishes.images, project) {
        let used: BTreeSet<String> = project
            .services
            .iter()
            .filter(|(_, service)| images == Images::All || service.image.is_empty())
            .map(|(name, service)| names::image(&project.name, name, service))
            .filter(|image| observed.images.contains_key(image))
            .collect();
        for image in used {
            plan.add(Act::RemoveImage { image }, Cause::Asked, steps.clone());
        }
    }
    plan
}

/// The order of the services, from the compose file or else from the containers' labels.
#[must_use]
pub fn order(project: Option<&Project>, observed: &Observed) -> Order {
    if let Some(project) = project {
        return Order::of(project, &[], true);
    }
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for container in &observed.containers {
        let entry = needs.entry(container.service().to_owned()).or_default();
        let label = container.labels.get(labels::DEPENDS_ON).map_or("", String::as_str);
        let names = label.split(',').filter_map(|dependency| dependency.split(':').next());
        entry.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    Order::from_edges(needs, &[], true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::observed::{Network, State, Volume};

    fn container(service: &str, needs: &str) -> Container {
        let labels = [
            (labels::PROJECT, "shop"),
            (labels::SERVICE, service),
            (labels::NUMBER, "1"),
            (labels::DEPENDS_ON, needs),
        ];
        Container {
            id: format!("{service}-id"),
            name: format!("shop-{service}-1"),
            state: State::Running,
            networks: BTreeMap::from([("shop_default".to_owned(), "n".to_owned())]),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Container::default()
        }
    }

    fn observed() -> Observed {
        let labelled = |key: &str| BTreeMap::from([(key.to_owned(), "default".to_owned())]);
        Observed {
            containers: vec![container("db", ""), container("web", "db:service_healthy:false")],
            networks: vec![Network {
                id: "n".into(),
                name: "shop_default".into(),
                labels: labelled(labels::NETWORK),
                made_differently: None,
            }],
            volumes: vec![Volume { name: "shop_data".into(), labels: labelled(labels::VOLUME) }],
            ..Observed::default()
        }
    }

    #[test]
    fn dependents_go_first_even_without_a_compose_file() {
        let plan = plan(None, &observed(), &Wishes::default());
        insta::assert_snapshot!(plan, @"
          1  stop container shop-web-1    # asked for
          2  remove container shop-web-1  # asked for; after 1
          3  stop container shop-db-1     # asked for; after 1
          4  remove container shop-db-1   # asked for; after 3
          5  remove network shop_default  # asked for; after 2, 4
        ");
    }

    #[test]
    fn volumes_go_only_when_asked_for() {
        let text = plan(None, &observed(), &Wishes { volumes: true, ..Wishes::default() }).to_string();
        assert!(text.contains("remove volume shop_data"), "{text}");
    }

    #[test]
    fn an_orphan_keeps_its_network() {
        let project = Project { name: "shop".into(), ..Project::default() };
        let plan = plan(Some(&project), &observed(), &Wishes::default());
        assert!(plan.warnings[0].contains("shop-db-1, shop-web-1"), "{:?}", plan.warnings);
        assert!(!plan.to_string().contains("network"), "{plan}");
    }
}
