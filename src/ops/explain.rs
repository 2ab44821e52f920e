//! Why containers are replaced: the fields in which they differ from what the file asks for now.

use serde::Serialize;

use super::Subject;
use crate::compose;
use crate::engine::{Deployment, Engine};
use crate::plan::observed::Difference;
use crate::plan::{Act, Observed, Plan, labels, up};

/// A container that a plan replaces.
#[derive(Debug, Clone, Serialize)]
pub struct Replaced {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// Why, in words.
    pub why: String,
    /// The fields that changed, where it is the configuration.
    pub changes: Vec<Difference>,
}

/// Compares the containers whose hash differs with what they would be made from now, and networks whose hash
/// another version of Compose wrote.
pub(super) async fn compare(engine: &Engine, subject: &Subject, observed: &mut Observed) {
    let project = &subject.project;
    let deployment =
        Deployment::new(project.clone(), subject.files.clone(), subject.env_files.clone(), observed);
    let mut compared = Vec::new();
    for (number, container) in observed.containers.iter().enumerate().filter(|(_, c)| !c.is_one_off()) {
        let Some(service) = project.services.get(container.service()) else { continue };
        let id_of = |other: &str| observed.of_service(other).next().map(|other| other.id.clone());
        let Some(resolved) = up::resolve(service, id_of) else { continue };
        if up::hash(&resolved) == container.config_hash() {
            continue;
        }
        match engine.differences(&deployment, container.service(), &resolved, container).await {
            Ok(differences) => compared.push((number, differences)),
            // Without an answer it is replaced, as its hash says.
            Err(error) => tracing::debug!(container = container.name, %error, "not compared"),
        }
    }
    for network in &mut observed.networks {
        let wanted = project.networks.values().find(|wanted| wanted.name == network.name && !wanted.external);
        let label = |key: &str| network.labels.get(key).map(String::as_str);
        let Some(wanted) = wanted else { continue };
        // Ours, but with the hash of another version; one without a hash is believed anyhow.
        if label(labels::PROJECT) != Some(project.name.as_str())
            || label(labels::VERSION) == Some(labels::COMPOSE_VERSION)
            || label(labels::CONFIG_HASH).is_none_or(|hash| hash == compose::network_hash(wanted))
        {
            continue;
        }
        match engine.network_differences(wanted, &network.id).await {
            Ok(differences) => network.made_differently = Some(differences),
            Err(error) => tracing::debug!(network = network.name, %error, "not compared"),
        }
    }
    for (number, differences) in compared {
        observed.containers[number].made_differently = Some(differences);
    }
}

/// The containers that a plan replaces.
pub(super) fn replaced(plan: &Plan, observed: &Observed) -> Vec<Replaced> {
    let mut all = Vec::new();
    for step in &plan.steps {
        let Act::Create { target, number, replaces: Some(name), .. } = &step.act else { continue };
        let old = observed.of_service(&target.service).find(|old| old.number() == *number);
        let changes = old.and_then(|old| old.made_differently.clone()).unwrap_or_default();
        all.push(Replaced {
            service: target.service.clone(),
            container: name.clone(),
            why: step.cause.to_string(),
            changes,
        });
    }
    all
}
