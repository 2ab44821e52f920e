//! Which services come before which: `depends_on`, and the dependencies that sharing a namespace, volumes
//! or a link implies (the loader has already written those into `depends_on`).

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::project::{Map, Project, Service};

/// A service's dependencies in the order of a depth-first walk; the graph has no cycles (the loader refuses
/// them), and a cycle met all the same is cut rather than followed.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Services, dependencies first.
    pub services: Vec<String>,
    needs: BTreeMap<String, BTreeSet<String>>,
}

impl Order {
    /// The services that `targets` name with all that they depend on; no targets mean all services.
    #[must_use]
    pub fn of(project: &Project, targets: &[String], with_dependencies: bool) -> Self {
        let needs = project.services.iter().map(|(name, service)| (name.clone(), needs(service)));
        Self::from_edges(needs.collect(), targets, with_dependencies)
    }

    /// The same from plain edges, as the labels of containers tell them when there is no compose file.
    #[must_use]
    pub fn from_edges(
        needs: BTreeMap<String, BTreeSet<String>>,
        targets: &[String],
        with_dependencies: bool,
    ) -> Self {
        let mut services = Vec::new();
        let all: Vec<String> = needs.keys().cloned().collect();
        let wanted = if targets.is_empty() { &all } else { targets };
        let chosen: BTreeSet<&String> = wanted.iter().collect();
        let mut seen = BTreeSet::new();
        for name in &all {
            if chosen.contains(name) {
                visit(name, &needs, &mut seen, &mut services);
            }
        }
        if !with_dependencies {
            services.retain(|name| chosen.contains(name));
        }
        Self { services, needs }
    }

    /// What a service needs, of those that are in this order.
    pub fn needs<'a>(&'a self, service: &str) -> impl Iterator<Item = &'a String> {
        self.needs.get(service).into_iter().flatten().filter(|name| self.services.contains(name))
    }

    /// Who needs a service, of those that are in this order.
    pub fn needed_by<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a String> {
        self.services.iter().filter(move |name| self.needs.get(*name).is_some_and(|n| n.contains(service)))
    }
}

fn needs(service: &Service) -> BTreeSet<String> {
    let depends_on: &Map<_> = &service.depends_on;
    depends_on.keys().cloned().collect()
}

fn visit(
    name: &String,
    needs: &BTreeMap<String, BTreeSet<String>>,
    seen: &mut BTreeSet<String>,
    out: &mut Vec<String>,
) {
    let Some(before) = needs.get(name) else { return };
    if !seen.insert(name.clone()) {
        return;
    }
    for dependency in before {
        visit(dependency, needs, seen, out);
    }
    out.push(name.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(text: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        text.iter()
            .map(|(name, needs)| ((*name).to_owned(), needs.iter().map(|&n| n.to_owned()).collect()))
            .collect()
    }

    #[test]
    fn dependencies_come_first_and_come_along() {
        let graph = edges(&[("api", &["db"]), ("db", &[]), ("mail", &[]), ("web", &["api"])]);
        let order = Order::from_edges(graph.clone(), &["web".into()], true);
        assert_eq!(order.services, ["db", "api", "web"]);
        let order = Order::from_edges(graph.clone(), &["web".into()], false);
        assert_eq!(order.services, ["web"]);
        let order = Order::from_edges(graph, &[], true);
        assert_eq!(order.services, ["db", "api", "mail", "web"]);
        assert_eq!(order.needed_by("db").collect::<Vec<_>>(), ["api"]);
    }
}
