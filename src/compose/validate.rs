//! Rules that no schema can say, checked on the merged tree: what excludes what.

use super::problem::{Outcome, Problem, unless};
use super::tree::{Mapping, Node, Value};

/// Checks a tree in its long form.
pub(crate) fn tree(root: &Node) -> Outcome<()> {
    let mut problems = Vec::new();
    for (name, volume) in members(root, "volumes") {
        if let Some(volume) = volume.as_map() {
            external(&format!("volumes.{name}"), volume, &mut problems);
        }
    }
    for (section, sources) in
        [("configs", &["file", "environment", "content"][..]), ("secrets", &["file", "environment"])]
    {
        for (name, node) in members(root, section) {
            if let Some(map) = node.as_map() {
                one_source(&format!("{section}.{name}"), map, sources, node, &mut problems);
            }
        }
    }
    for (name, service) in members(root, "services") {
        for rule in list(service.get("develop").and_then(|develop| develop.get("watch"))) {
            if let Some(path) = rule.get("path")
                && path.as_text() == Some("")
            {
                problems.push(Problem::new(
                    format!("services.{name}.develop.watch.path: value can't be blank"),
                    path.mark,
                ));
            }
        }
        let reserved = service
            .get("deploy")
            .and_then(|deploy| deploy.get("resources"))
            .and_then(|resources| resources.get("reservations"))
            .and_then(|reservations| reservations.get("devices"));
        for (place, requests) in
            [("deploy.resources.reservations.devices", reserved), ("gpus", service.get("gpus"))]
        {
            for request in list(requests) {
                if let (Some(count), Some(ids)) = (request.get("count"), request.get("device_ids")) {
                    let message = format!(
                        "services.{name}.{place}: \"count\" and \"device_ids\" attributes are exclusive"
                    );
                    problems.push(Problem::new(message, count.mark).also(ids.mark));
                }
            }
        }
    }
    unless(problems, ())
}

fn members<'t>(root: &'t Node, section: &str) -> impl Iterator<Item = (&'t str, &'t Node)> {
    root.get(section).and_then(Node::as_map).into_iter().flat_map(Mapping::iter)
}

fn list(node: Option<&Node>) -> &[Node] {
    node.and_then(Node::as_list).unwrap_or_default()
}

fn external(path: &str, map: &Mapping, problems: &mut Vec<Problem>) {
    if !matches!(map.get("external").map(|node| &node.value), Some(Value::Bool(true))) {
        return;
    }
    for key in map.keys().filter(|key| !matches!(*key, "name" | "external") && !key.starts_with("x-")) {
        let message = format!("{path}: conflicting parameters \"external\" and \"{key}\" specified");
        problems.push(Problem::new(message, map.key_mark(key)).also(map.key_mark("external")));
    }
}

fn one_source(path: &str, map: &Mapping, sources: &[&str], node: &Node, problems: &mut Vec<Problem>) {
    let given: Vec<&str> = sources.iter().copied().filter(|source| map.contains(source)).collect();
    match given.as_slice() {
        [] if !map.contains("driver") && !map.contains("external") => {
            let message = format!("{path}: one of {} must be set", sources.join("|"));
            problems.push(Problem::new(message, node.mark));
        }
        [_, second, ..] => {
            let message = format!("{path}: {} attributes are mutually exclusive", sources.join("|"));
            problems.push(Problem::new(message, map.key_mark(second)).also(map.key_mark(given[0])));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::documents;
    use super::*;

    #[test]
    fn what_excludes_what() {
        for (text, message) in [
            ("volumes: {v: {external: true, driver: d}}", "conflicting parameters"),
            ("configs: {c: {file: f, content: x}}", "mutually exclusive"),
            ("secrets: {s: {labels: {}}}", "one of file|environment must be set"),
            ("services: {a: {gpus: [{count: 1, device_ids: ['0']}]}}", "exclusive"),
            ("services: {a: {develop: {watch: [{path: ''}]}}}", "blank"),
        ] {
            let root = documents(text, 0).unwrap().remove(0).root;
            assert!(tree(&root).unwrap_err()[0].message.contains(message), "{text}");
        }
    }
}
