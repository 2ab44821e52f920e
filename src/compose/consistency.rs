//! Whether the parts of a project fit together: what a service names must exist, and nothing may contradict
//! itself. Only services that are active are looked at.

use std::collections::{BTreeMap, HashSet};

use super::problem::{Outcome, Problem, closest, unless};
use super::project::{Project, Service};
use super::tree::Mark;
use crate::base::guess::did_you_mean;

/// Checks a project. `at` gives the place of a path, `wrong` whether something was found wrong before, at it or
/// anywhere inside of it: what is not read as it was meant is not held against its neighbours.
pub(crate) fn check(
    project: &mut Project,
    at: &dyn Fn(&[&str]) -> Mark,
    wrong: &dyn Fn(&[&str], bool) -> bool,
) -> Outcome<()> {
    let mut checker = Checker { project, at, wrong, problems: Vec::new() };
    for (name, service) in &checker.project.services {
        let own = Checker { project: checker.project, at, wrong, problems: Vec::new() };
        checker.problems.extend(own.service(name, service));
    }
    for (name, secret) in &checker.project.secrets {
        if !secret.external
            && secret.file.is_empty()
            && secret.environment.is_empty()
            && !wrong(&["secrets", name], true)
        {
            let message = format!("secret \"{name}\" must declare either `file` or `environment`");
            checker.problems.push(Problem::new(message, at(&["secrets", name])));
        }
    }
    checker.cycles();
    let problems = checker.problems;
    unless(problems, ())?;
    for service in project.services.values_mut() {
        if let (Some(scale), Some(deploy)) = (service.scale, &mut service.deploy) {
            deploy.replicas = Some(scale);
        }
    }
    Ok(())
}

/// Checks that no two containers have one name.
pub(crate) fn container_names(project: &Project, at: &dyn Fn(&[&str]) -> Mark) -> Outcome<()> {
    let mut problems = Vec::new();
    let mut names = BTreeMap::new();
    for (name, service) in project.services.iter().filter(|(_, service)| !service.container_name.is_empty()) {
        if let Some(other) = names.insert(service.container_name.as_str(), name) {
            let container = &service.container_name;
            let message = format!(
                "services.{name}: container name \"{container}\" is already in use by service {other}"
            );
            problems.push(Problem::new(message, at(&["services", name, "container_name"])).also(at(&[
                "services",
                other,
                "container_name",
            ])));
        }
    }
    unless(problems, ())
}

struct Checker<'a> {
    project: &'a Project,
    at: &'a dyn Fn(&[&str]) -> Mark,
    wrong: &'a dyn Fn(&[&str], bool) -> bool,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn service(mut self, name: &str, service: &Service) -> Vec<Problem> {
        if (self.wrong)(&["services", name], true) {
            self.references(name, service);
            return self.problems;
        }
        let place = |steps: &[&str]| {
            let mut path = vec!["services", name];
            path.extend(steps);
            (self.at)(&path)
        };
        let mut problems = std::mem::take(&mut self.problems);
        let mut tell = |message: String, steps: &[&str]| problems.push(Problem::new(message, place(steps)));
        let project = self.project;

        if service.build.is_none() && service.image.is_empty() && service.provider.is_none() {
            tell(format!("service \"{name}\" has neither an image nor a build context specified"), &[]);
        }
        if let Some(build) = &service.build {
            if !build.dockerfile_inline.is_empty() && !build.dockerfile.is_empty() {
                let message = format!(
                    "service \"{name}\" declares mutually exclusive dockerfile and dockerfile_inline"
                );
                tell(message, &["build", "dockerfile_inline"]);
            }
            for (context, target) in &build.additional_contexts {
                let Some(target) = target.strip_prefix("service:") else { continue };
                let problem = match project.services.get(target) {
                    None => "unknown",
                    Some(other) if other.build.is_none() => "non-buildable",
                    Some(_) => continue,
                };
                let message = format!(
                    "service \"{name}\" declares {problem} service \"{target}\" as additional contexts {context}"
                );
                tell(message, &["build", "additional_contexts", context]);
            }
            if !build.platforms.is_empty()
                && !service.platform.is_empty()
                && !build.platforms.contains(&service.platform)
            {
                let message =
                    format!("service.build.platforms MUST include service.platform \"{}\"", service.platform);
                tell(message, &["build", "platforms"]);
            }
        }
        if !service.network_mode.is_empty() && !service.networks.is_empty() {
            let message = format!("service {name} declares mutually exclusive `network_mode` and `networks`");
            tell(message, &["network_mode"]);
        }
        if let Some(test) = service.healthcheck.as_ref().and_then(|check| check.test.first())
            && !matches!(test.as_str(), "CMD" | "CMD-SHELL" | "NONE")
        {
            let message = "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"";
            tell(message.into(), &["healthcheck", "test"]);
        }
        if let Some(other) = service.network_mode.strip_prefix("service:")
            && !project.services.contains_key(other)
        {
            tell(
                format!("service \"{other}\" not found for network_mode 'service:{other}'"),
                &["network_mode"],
            );
        }
        let deploy = service.deploy.as_ref();
        let limits = deploy.and_then(|deploy| deploy.resources.limits.as_ref());
        let reserved = deploy.and_then(|deploy| deploy.resources.reservations.as_ref());
        let mut distinct = |one: &str, other: &str| {
            tell(format!("services.{name}: can't set distinct values on '{one}' and '{other}'"), &[one]);
        };
        if let (Some(scale), Some(replicas)) = (service.scale, deploy.and_then(|deploy| deploy.replicas))
            && scale != replicas
        {
            distinct("scale", "deploy.replicas");
        }
        if service.cpus.get() != 0.0 && limits.is_some_and(|limits| limits.cpus != service.cpus) {
            distinct("cpus", "deploy.resources.limits.cpus");
        }
        if service.mem_limit.get() != 0 && limits.is_some_and(|limits| limits.memory != service.mem_limit) {
            distinct("mem_limit", "deploy.resources.limits.memory");
        }
        if service.mem_reservation.get() != 0
            && reserved.is_some_and(|reserved| reserved.memory != service.mem_reservation)
        {
            distinct("mem_reservation", "deploy.resources.reservations.memory");
        }
        if service.pids_limit != 0 && limits.is_some_and(|limits| limits.pids != service.pids_limit) {
            distinct("pids_limit", "deploy.resources.limits.pids");
        }
        if service.replicas() > 1 && !service.container_name.is_empty() {
            let by = if service.scale.is_some() { "scale" } else { "deploy.replicas" };
            let message = format!(
                "services.{name}: can't set container_name and {by} as container name must be unique"
            );
            tell(message, &["container_name"]);
        }
        for rule in service.develop.iter().flat_map(|develop| &develop.watch) {
            if rule.target.is_empty() && !matches!(rule.action.as_str(), "rebuild" | "restart") {
                let message =
                    format!("services.{name}.develop.watch: target is required for non-rebuild actions");
                tell(message, &["develop", "watch"]);
            }
        }
        self.problems = problems;
        self.mounts(name, service);
        self.references(name, service);
        self.problems
    }

    /// Nothing may be mounted where something is mounted already.
    fn mounts(&mut self, name: &str, service: &Service) {
        let tmpfs =
            service.tmpfs.iter().map(|tmpfs| tmpfs.split_once(':').map_or(&**tmpfs, |(target, _)| target));
        let volumes = service.volumes.iter().map(|mount| &*mount.target);
        let tmpfs = tmpfs.enumerate().map(|(number, target)| (target, "tmpfs", number));
        let volumes = volumes.enumerate().map(|(number, target)| (target, "volumes", number));
        let mut mounted: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
        for (target, key, number) in tmpfs.chain(volumes) {
            if let Some((other, first)) = mounted.insert(target, (key, number)) {
                let place =
                    |key: &str, number: usize| (self.at)(&["services", name, key, &number.to_string()]);
                let message = format!(
                    "services.{name}.{key}[{number}]: target {target} already mounted as services.{name}.{other}[{first}]"
                );
                self.problems.push(Problem::new(message, place(key, number)).also(place(other, first)));
            }
        }
    }

    /// What a service names must exist.
    fn references(&mut self, name: &str, service: &Service) {
        let project = self.project;
        for network in service.networks.keys() {
            self.defined(name, "network", network, project.networks.keys(), &["networks", network]);
        }
        for model in service.models.keys() {
            self.defined(name, "model", model, project.models.keys(), &["models", model]);
        }
        for (number, mount) in service.volumes.iter().enumerate() {
            if mount.kind == "volume" && !mount.source.is_empty() {
                let number = number.to_string();
                self.defined(name, "volume", &mount.source, project.volumes.keys(), &["volumes", &number]);
            }
        }
        let build_secrets = service.build.iter().flat_map(|build| &build.secrets);
        for (number, secret) in build_secrets.enumerate() {
            let path = ["build", "secrets", &number.to_string()];
            self.defined(name, "build secret", &secret.source, project.secrets.keys(), &path);
        }
        for (number, config) in service.configs.iter().enumerate() {
            let path = ["configs", &number.to_string()];
            self.defined(name, "config", &config.source, project.configs.keys(), &path);
        }
        for (number, secret) in service.secrets.iter().enumerate() {
            let path = ["secrets", &number.to_string()];
            self.defined(name, "secret", &secret.source, project.secrets.keys(), &path);
        }
        for (other, dependency) in &service.depends_on {
            let disabled = project.disabled_services.contains_key(other);
            if project.services.contains_key(other) || disabled && !dependency.required {
                continue;
            }
            let mark = (self.at)(&["services", name, "depends_on", other]);
            let message = format!("service \"{name}\" depends on undefined service \"{other}\"");
            let problem = Problem::new(message, mark);
            let guess = closest(other, project.services.keys().map(String::as_str));
            self.problems.push(match guess {
                _ if disabled => problem.hint(format!(
                    "`{other}` belongs to a profile that is not active: activate it, or write `required: false`"
                )),
                Some(guess) => problem.hint(did_you_mean(guess)),
                None => problem,
            });
        }
    }

    fn defined<'n>(
        &mut self,
        service: &str,
        what: &str,
        wanted: &str,
        known: impl Iterator<Item = &'n String> + Clone,
        path: &[&str],
    ) {
        let section = what.rsplit(' ').next().unwrap_or(what);
        if known.clone().any(|name| name == wanted) || (self.wrong)(&[&format!("{section}s")], false) {
            return;
        }
        let mut steps = vec!["services", service];
        steps.extend(path);
        let message = format!("service \"{service}\" refers to undefined {what} {wanted}");
        let problem = Problem::new(message, (self.at)(&steps));
        self.problems.push(match closest(wanted, known.map(String::as_str)) {
            Some(guess) => problem.hint(did_you_mean(guess)),
            None => problem
                .hint(format!("declare it: `{section}s: {{ {wanted}: }}` at the top level of the file")),
        });
    }

    fn cycles(&mut self) {
        let Some(cycle) = self.cycle() else { return };
        let first = cycle[0];
        let mark = (self.at)(&["services", first, "depends_on", cycle.get(1).copied().unwrap_or(first)]);
        let shown = format!("{} -> {first}", cycle.join(" -> "));
        self.problems.push(Problem::new(format!("dependency cycle detected: {shown}"), mark));
    }

    /// The services of a cycle. Follows the longest chain without recursion.
    fn cycle(&self) -> Option<Vec<&str>> {
        let services = &self.project.services;
        let mut seen: HashSet<&str> = HashSet::new();
        for name in services.keys() {
            // The way to the service that is looked at, and what is left to look at beside each step.
            let mut path: Vec<(&str, _)> = Vec::new();
            let mut on_path: HashSet<&str> = HashSet::new();
            let mut next = Some(name.as_str());
            loop {
                if let Some(name) = next.take() {
                    if on_path.contains(name) {
                        let steps: Vec<&str> = path.iter().map(|(step, _)| *step).collect();
                        let start = steps.iter().position(|step| *step == name).unwrap_or(0);
                        return Some(steps[start..].to_vec());
                    }
                    if let Some(service) = services.get(name).filter(|_| seen.insert(name)) {
                        on_path.insert(name);
                        path.push((name, service.depends_on.keys()));
                    }
                }
                let Some((step, rest)) = path.last_mut() else { break };
                next = rest.next().map(String::as_str);
                if next.is_none() {
                    on_path.remove(step);
                    path.pop();
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::documents;
    use super::super::typed;
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let root = documents(text, 0).unwrap().remove(0).root;
        let mut project = typed::project(root, &mut Vec::new()).0.unwrap();
        let found = check(&mut project, &|_| Mark::default(), &|_, _| false).err().unwrap_or_default();
        found.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn what_a_service_names_must_exist() {
        let found = problems(
            "services:\n  a: {image: i, networks: {n: null}, volumes: [{type: volume, source: v, target: /v}], \
             depends_on: {b: {required: true}}, secrets: [{source: s}]}\n",
        );
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.iter().all(|message| message.contains("undefined")));
    }

    #[test]
    fn nothing_may_contradict_itself() {
        for (text, message) in [
            ("{}", "neither an image"),
            ("{image: i, network_mode: host, networks: {default: null}}", "mutually exclusive"),
            ("{image: i, tmpfs: [/a], volumes: [{type: volume, target: /a}]}", "already mounted"),
            ("{image: i, scale: 2, container_name: cc}", "container name must be unique"),
            ("{image: i, mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}", "distinct values"),
            ("{image: i, healthcheck: {test: [ls]}}", "healthcheck.test must start"),
            ("{image: i, depends_on: {a: {required: true}}}", "dependency cycle detected: a -> a"),
        ] {
            let found = problems(&format!("services: {{a: {text}}}\nnetworks: {{default: null}}"));
            assert!(found.iter().any(|found| found.contains(message)), "{text}: {found:?}");
        }
    }
}
