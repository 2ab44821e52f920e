//! What containers are given from this machine: files and variables. Asked before anything is made, so that
//! one that is missing leaves nothing behind.

use std::path::Path;

use crate::base::{Failure, Kind};
use crate::compose::Project;
use crate::compose::project::Service;
use crate::plan::{Act, Plan};

/// Fails when a container that is about to be made would find something missing.
pub(super) fn are_there(project: &Project, plan: &Plan, machine_is_ours: bool) -> Result<(), Failure> {
    let mut services: Vec<&String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.act {
            Act::Create { target, .. } => Some(&target.service),
            _ => None,
        })
        .collect();
    services.sort();
    services.dedup();
    let services = services.into_iter().filter_map(|name| Some((name, project.services.get(name)?)));
    let failures: Vec<Failure> =
        services.flat_map(|(name, service)| missing(project, name, service, machine_is_ours)).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure::all(failures)) }
}

/// What a service wants and this machine does not have.
pub(super) fn missing(
    project: &Project,
    name: &str,
    service: &Service,
    machine_is_ours: bool,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut check = |what: String, external: bool, file: &str, unset: Option<&str>| {
        let message = if external {
            format!("{what} of service `{name}` is external, which only a swarm has")
        } else if let Some(variable) = unset {
            format!("{what} of service `{name}` is the variable {variable}, which is not set")
        } else if machine_is_ours && !file.is_empty() && !Path::new(file).exists() {
            format!("{what} of service `{name}` is the file {file}, which does not exist")
        } else {
            return;
        };
        failures.push(Failure::new(Kind::Files, message));
    };
    for reference in &service.secrets {
        let Some(secret) = project.secrets.get(&reference.source) else { continue };
        let unset = !secret.environment.is_empty() && secret.resolved.is_none();
        let unset = unset.then_some(secret.environment.as_str());
        check(format!("secret `{}`", reference.source), secret.external, &secret.file, unset);
    }
    for reference in &service.configs {
        let Some(config) = project.configs.get(&reference.source) else { continue };
        let unset = !config.environment.is_empty() && config.resolved.is_none();
        let unset = unset.then_some(config.environment.as_str());
        check(format!("config `{}`", reference.source), config.external, &config.file, unset);
    }
    for mount in service.volumes.iter().filter(|mount| mount.kind == "bind") {
        if mount.bind.as_ref().is_some_and(|bind| !bind.create_host_path) {
            check(format!("volume `{}`", mount.target), false, &mount.source, None);
        }
    }
    failures
}
