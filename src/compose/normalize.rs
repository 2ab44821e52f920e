//! What a file leaves unsaid is said: the default network, the dependencies that links and shared namespaces
//! imply, the names of things.

use super::canonical::clean;
use super::tree::{Mapping, Mark, Node, Value};

const NOWHERE: Mark = Mark { file: 0, line: 0, column: 0, width: 0 };

/// Normalises a tree whose values are in their long form.
pub(crate) fn tree(root: &mut Node, name: &str, value: &dyn Fn(&str) -> Option<String>) {
    let Some(map) = root.as_map_mut() else { return };
    map.set("name", Node::text(name, NOWHERE));
    networks(map);
    if let Some(services) = map.get_mut("services").and_then(Node::as_map_mut) {
        for (_, node) in services.iter_mut() {
            if let Some(members) = node.as_map_mut() {
                service(members, value);
            }
        }
    }
    names(map, name);
}

fn networks(root: &mut Mapping) {
    let mut default_used = false;
    if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
        for (_, node) in services.iter_mut() {
            let mark = node.mark;
            let Some(service) = node.as_map_mut() else { continue };
            if service.contains("network_mode")
                || service.contains("provider") && !service.contains("networks")
            {
                continue;
            }
            let joined = service.get("networks").and_then(Node::as_map);
            if joined.is_none_or(Mapping::is_empty) {
                let mut default = Mapping::default();
                default.insert("default", Mark { width: 0, ..mark }, Node::null(Mark { width: 0, ..mark }));
                service.set("networks", Node::new(Value::Map(default), Mark { width: 0, ..mark }));
                default_used = true;
            } else if joined.is_some_and(|networks| networks.contains("default")) {
                default_used = true;
            }
        }
    }
    let declared = root.get("networks").and_then(Node::as_map);
    if default_used && !declared.is_some_and(|networks| networks.contains("default")) {
        let mut networks = declared.cloned().unwrap_or_default();
        networks.insert("default", NOWHERE, Node::null(NOWHERE));
        let mark = root.get("networks").map_or(NOWHERE, |node| node.mark);
        root.set("networks", Node::new(Value::Map(networks), mark));
    }
}

fn service(service: &mut Mapping, value: &dyn Fn(&str) -> Option<String>) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_text() == Some("if_not_present")
    {
        policy.value = Value::Text("missing".into());
    }
    if let Some(node) = service.get_mut("build") {
        let mark = Mark { width: 0, ..node.mark };
        if let Some(build) = node.as_map_mut() {
            let lacks = |key: &str| build.get(key).is_none_or(Node::is_null);
            let (context, dockerfile) = (lacks("context"), lacks("dockerfile") && lacks("dockerfile_inline"));
            if context {
                build.set("context", Node::text(".", mark));
            }
            if dockerfile {
                build.set("dockerfile", Node::text("Dockerfile", mark));
            }
            if let Some(args) = build.get_mut("args") {
                fill(args, value, false);
            }
        }
    }
    if let Some(environment) = service.get_mut("environment") {
        fill(environment, value, true);
    }
    if let Some(Node { value: Value::List(mounts), .. }) = service.get_mut("volumes") {
        for mount in mounts {
            if let Some(Node { value: Value::Text(target), .. }) = mount.get_mut("target") {
                *target = clean(target);
            }
        }
    }
    dependencies(service);
}

/// Gives keys without a value the one that the environment has, if any.
fn fill(node: &mut Node, value: &dyn Fn(&str) -> Option<String>, keep: bool) {
    match &mut node.value {
        Value::Map(map) => map.retain(|key, member| {
            if member.is_null() {
                match value(key) {
                    Some(found) => member.value = Value::Text(found),
                    None => return keep,
                }
            }
            true
        }),
        Value::List(items) => items.retain_mut(|item| {
            let Value::Text(text) = &mut item.value else { return false };
            if !text.contains('=') {
                match value(text) {
                    Some(found) => *text = format!("{text}={found}"),
                    None => return keep,
                }
            }
            true
        }),
        _ => {}
    }
}

fn dependencies(service: &mut Mapping) {
    let mut implied: Vec<(String, bool, Mark)> = Vec::new();
    let texts = |key: &str| -> Vec<(String, Mark)> {
        let list = service.get(key).and_then(Node::as_list).unwrap_or_default();
        list.iter().filter_map(|item| Some((item.as_text()?.to_owned(), item.mark))).collect()
    };
    for (link, mark) in texts("links") {
        // Only a link with one alias is taken apart; with more colons it names no service at all.
        let name = match link.split(':').collect::<Vec<_>>().as_slice() {
            [name, _] => (*name).to_owned(),
            _ => link,
        };
        implied.push((name, true, mark));
    }
    for namespace in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(namespace)
            && let Some(name) = node.as_text().and_then(|text| text.strip_prefix("service:"))
        {
            implied.push((name.to_owned(), true, node.mark));
        }
    }
    for (volumes, mark) in texts("volumes_from") {
        if !volumes.starts_with("container:") {
            let name = volumes.split(':').next().unwrap_or_default();
            implied.push((name.to_owned(), false, mark));
        }
    }
    if implied.is_empty() {
        return;
    }
    let mark = service.get("depends_on").map_or(NOWHERE, |node| node.mark);
    let mut all = service.get("depends_on").and_then(Node::as_map).cloned().unwrap_or_default();
    for (name, restart, mark) in implied {
        if all.contains(&name) {
            continue;
        }
        let mut dependency = Mapping::default();
        dependency.set("condition", Node::text("service_started", mark));
        dependency.set("restart", Node::new(Value::Bool(restart), mark));
        dependency.set("required", Node::new(Value::Bool(true), mark));
        all.insert(name, mark, Node::new(Value::Map(dependency), mark));
    }
    service.set("depends_on", Node::new(Value::Map(all), mark));
}

fn names(root: &mut Mapping, project: &str) {
    for section in ["networks", "volumes", "configs", "secrets"] {
        let Some(resources) = root.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for (key, node) in resources.iter_mut() {
            if node.is_null() {
                node.value = Value::Map(Mapping::default());
            }
            let mark = Mark { width: 0, ..node.mark };
            let Some(resource) = node.as_map_mut() else { continue };
            if resource.get("name").is_some_and(|name| !name.is_null()) {
                continue;
            }
            let external =
                matches!(resource.get("external").map(|node| &node.value), Some(Value::Bool(true)));
            let name = if external { key.to_owned() } else { format!("{project}_{key}") };
            resource.set("name", Node::text(name, mark));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::documents;
    use super::*;

    fn normalized(text: &str) -> Node {
        let mut root = documents(text, 0).unwrap().remove(0).root;
        tree(&mut root, "p", &|name| (name == "SET").then(|| "v".into()));
        root
    }

    #[test]
    fn what_is_unsaid_is_said() {
        let node = normalized(
            "services:\n  a: {image: i, links: ['b:x'], environment: [SET, UNSET], pull_policy: if_not_present}\n  \
             b: {build: {args: {SET: null, UNSET: null}}, network_mode: 'service:a'}\nvolumes: {v: null, e: {external: true}}\n",
        );
        let expected = "services:\n  a: {image: i, links: ['b:x'], environment: [SET=v, UNSET], pull_policy: missing,\n      \
             networks: {default: null}, depends_on: {b: {condition: service_started, restart: true, required: true}}}\n  \
             b: {build: {args: {SET: v}, context: ., dockerfile: Dockerfile}, network_mode: 'service:a',\n      \
             depends_on: {a: {condition: service_started, restart: true, required: true}}}\n\
             volumes: {v: {name: p_v}, e: {external: true, name: e}}\nname: p\nnetworks: {default: {name: p_default}}\n";
        assert_eq!(node, documents(expected, 0).unwrap().remove(0).root);
    }

    #[test]
    fn twice_changes_nothing() {
        let once = normalized(
            "services: {a: {image: i, links: [b], volumes_from: [c]}, b: {image: i}, c: {build: {}}}",
        );
        let mut twice = once.clone();
        tree(&mut twice, "p", &|_| None);
        assert_eq!(once, twice);
    }
}
