//! One file laid over another: mappings are merged, lists appended, and some keys follow rules of their own.

use std::collections::HashMap;

use super::canonical::mount_target;
use super::problem::{Outcome, Problem};
use super::scalar::sprint;
use super::tree::{Mapping, Mark, Node, Path, Value};

/// How a key that does not follow the general rule is merged.
#[derive(Clone, Copy)]
enum Rule {
    /// The later one stands.
    Replace,
    /// Both become lists, one after the other.
    Append,
    /// As [`Rule::Append`], without what is there already.
    AppendNew,
    Build,
    DependsOn,
    Networks,
    Logging,
    IpamConfig,
}

const RULES: &[(&[&str], Rule)] = &[
    (&["networks", "*", "ipam", "config"], Rule::IpamConfig),
    (&["networks", "*", "labels"], Rule::Append),
    (&["volumes", "*", "labels"], Rule::Append),
    (&["services", "*", "annotations"], Rule::Append),
    (&["services", "*", "build"], Rule::Build),
    (&["services", "*", "build", "args"], Rule::Append),
    (&["services", "*", "build", "additional_contexts"], Rule::Append),
    (&["services", "*", "build", "extra_hosts"], Rule::AppendNew),
    (&["services", "*", "build", "labels"], Rule::Append),
    (&["services", "*", "command"], Rule::Replace),
    (&["services", "*", "depends_on"], Rule::DependsOn),
    (&["services", "*", "deploy", "labels"], Rule::Append),
    (&["services", "*", "dns"], Rule::Append),
    (&["services", "*", "dns_opt"], Rule::Append),
    (&["services", "*", "dns_search"], Rule::Append),
    (&["services", "*", "entrypoint"], Rule::Replace),
    (&["services", "*", "env_file"], Rule::Append),
    (&["services", "*", "label_file"], Rule::Append),
    (&["services", "*", "environment"], Rule::Append),
    (&["services", "*", "extra_hosts"], Rule::AppendNew),
    (&["services", "*", "healthcheck", "test"], Rule::Replace),
    (&["services", "*", "labels"], Rule::Append),
    (&["services", "*", "volumes", "[]", "volume", "labels"], Rule::Append),
    (&["services", "*", "logging"], Rule::Logging),
    (&["services", "*", "models"], Rule::Networks),
    (&["services", "*", "networks"], Rule::Networks),
    (&["services", "*", "sysctls"], Rule::Append),
    (&["services", "*", "tmpfs"], Rule::Append),
    (&["services", "*", "ulimits", "*"], Rule::Replace),
];

/// Lays `over` over `base`.
pub(crate) fn files(base: Node, over: Node) -> Outcome<Node> {
    merge(base, over, &Path::Top).map_err(|problem| vec![problem])
}

/// Lays a service over the one that it extends.
pub(crate) fn service(base: Node, over: Node) -> Result<Node, Problem> {
    merge(base, over, &Path::Top.to("services").to("x"))
}

fn merge(base: Node, over: Node, path: &Path<'_>) -> Result<Node, Problem> {
    if let Some((_, rule)) = RULES.iter().find(|(pattern, _)| path.matches(pattern)) {
        return by_rule(*rule, base, over, path);
    }
    if over.is_null() {
        return Ok(base);
    }
    let clash = |base: Mark, over: Mark, kind: &str| {
        Problem::new(format!("cannot override {path}: it is {kind} in the file before"), over).also(base)
    };
    match (base.value, over.value) {
        (Value::Map(one), Value::Map(other)) => {
            Ok(Node::new(Value::Map(mappings(one, other, path)?), over.mark))
        }
        (Value::Map(_), _) => Err(clash(base.mark, over.mark, "a mapping")),
        (Value::List(mut one), Value::List(other)) => {
            one.extend(other);
            Ok(Node::new(Value::List(one), over.mark))
        }
        (Value::List(_), _) => Err(clash(base.mark, over.mark, "a list")),
        (_, value) => Ok(Node::new(value, over.mark)),
    }
}

fn mappings(mut base: Mapping, over: Mapping, path: &Path<'_>) -> Result<Mapping, Problem> {
    for (key, mark, node) in over.into_members() {
        let merged = match base.get_mut(&key) {
            Some(slot) => {
                let before = std::mem::replace(slot, Node::null(mark));
                merge(before, node, &path.to(&key))?
            }
            None => node,
        };
        base.insert(key, mark, merged);
    }
    Ok(base)
}

fn by_rule(rule: Rule, base: Node, over: Node, path: &Path<'_>) -> Result<Node, Problem> {
    let mark = over.mark;
    let merged = match rule {
        Rule::Replace => return Ok(over),
        Rule::Append => {
            let mut list = into_list(base);
            list.extend(into_list(over));
            Value::List(list)
        }
        Rule::AppendNew => {
            let mut list = into_list(base);
            for item in into_list(over) {
                if !list.contains(&item) {
                    list.push(item);
                }
            }
            Value::List(list)
        }
        Rule::Build => {
            let as_map = |node: Node| match node.value {
                Value::Text(_) => {
                    let mut map = Mapping::default();
                    map.set("context", node);
                    Ok(map)
                }
                Value::Map(map) => Ok(map),
                Value::Null => Ok(Mapping::default()),
                _ => Err(Problem::new(format!("{path} must be a path or a mapping"), node.mark)),
            };
            let empty = base.is_null().then_some(base.mark);
            let (base, over) = (as_map(base)?, as_map(over)?);
            nothing_below(empty, &over, path)?;
            Value::Map(mappings(base, over, path)?)
        }
        Rule::DependsOn | Rule::Networks => {
            let default: &dyn Fn(Mark) -> Node =
                if matches!(rule, Rule::DependsOn) { &started } else { &Node::null };
            let empty = base.is_null().then_some(base.mark);
            let (base, over) = (into_mapping(base, path, default)?, into_mapping(over, path, default)?);
            nothing_below(empty, &over, path)?;
            Value::Map(mappings(base, over, path)?)
        }
        Rule::Logging => {
            let (Value::Map(one), Value::Map(other)) = (base.value, over.value) else {
                return Err(Problem::new(format!("{path} must be a mapping"), mark));
            };
            let (before, after) = (one.get("driver"), other.get("driver"));
            if before == after || before.is_none() || after.is_none() {
                Value::Map(mappings(one, other, path)?)
            } else {
                Value::Map(other)
            }
        }
        Rule::IpamConfig => Value::List(ipam_config(base, over, path)?),
    };
    Ok(Node::new(merged, mark))
}

/// The reference cannot lay a mapping over a key that is written without a value (it crashes).
fn nothing_below(empty: Option<Mark>, over: &Mapping, path: &Path<'_>) -> Result<(), Problem> {
    match empty {
        Some(mark) if !over.is_empty() => {
            let message = format!("cannot override {path}: it has no value in the file before");
            Err(Problem::new(message, mark).hint("remove the key without a value"))
        }
        _ => Ok(()),
    }
}

/// What `depends_on: [a]` means.
pub(crate) fn started(mark: Mark) -> Node {
    let mark = Mark { width: 0, ..mark };
    let mut map = Mapping::default();
    map.set("condition", Node::text("service_started", mark));
    map.set("required", Node::new(Value::Bool(true), mark));
    Node::new(Value::Map(map), mark)
}

fn into_list(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(items) => items,
        Value::Text(_) => vec![node],
        Value::Map(map) => {
            let mut list = Vec::new();
            for (key, mark, value) in map.into_members() {
                let at = if value.mark.width == 0 { mark } else { value.mark };
                match &value.value {
                    Value::Null => list.push(Node::text(key, mark)),
                    Value::List(items) => list.extend(
                        items.iter().map(|item| Node::text(format!("{key}={}", sprint(item)), item.mark)),
                    ),
                    // A mapping or a date has no place here; it stays what it is for the schema to refuse.
                    Value::Map(_) | Value::Time(_) => list.push(value),
                    _ => list.push(Node::text(format!("{key}={}", sprint(&value)), at)),
                }
            }
            list.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
            list
        }
        _ => Vec::new(),
    }
}

fn into_mapping(node: Node, path: &Path<'_>, default: &dyn Fn(Mark) -> Node) -> Result<Mapping, Problem> {
    match node.value {
        Value::Map(map) => Ok(map),
        Value::List(items) => {
            let mut map = Mapping::default();
            for item in items {
                let Value::Text(name) = item.value else {
                    return Err(Problem::new(format!("{path} must be a list of names"), item.mark));
                };
                map.insert(name, item.mark, default(item.mark));
            }
            Ok(map)
        }
        _ => Ok(Mapping::default()),
    }
}

fn ipam_config(base: Node, over: Node, path: &Path<'_>) -> Result<Vec<Node>, Problem> {
    let (Value::List(base), Value::List(over)) = (base.value, over.value) else {
        return Err(Problem::new(format!("{path} must be a list"), over.mark));
    };
    let subnet = |node: &Node| node.get("subnet").cloned();
    let mut merged: Vec<Node> = Vec::new();
    for original in base {
        // The mapping is merged into, over and over: that is what the reference's answers show.
        let mut right = original;
        for left in &over {
            if subnet(left) != subnet(&right) && !merged.iter().any(|other| subnet(other) == subnet(left)) {
                merged.push(left.clone());
                continue;
            }
            let mark = left.mark;
            let one = into_mapping(right, path, &Node::null)?;
            let other = into_mapping(left.clone(), path, &Node::null)?;
            right = Node::new(Value::Map(mappings(one, other, path)?), mark);
            match merged.iter_mut().find(|other| subnet(other) == subnet(&right)) {
                Some(slot) => *slot = right.clone(),
                None => merged.push(right.clone()),
            }
        }
    }
    Ok(merged)
}

/// What makes an entry of a list the same as another.
#[derive(Clone, Copy)]
enum Identity {
    /// What stands before `=`.
    Key,
    MountTarget,
    /// The target of a config or a secret, below this folder unless it says otherwise.
    Reference(&'static str),
    Port,
    Expose,
    EnvFile,
}

const UNIQUE: &[(&[&str], Identity)] = &[
    (&["networks", "*", "labels"], Identity::Key),
    (&["networks", "*", "ipam", "options"], Identity::Key),
    (&["services", "*", "annotations"], Identity::Key),
    (&["services", "*", "build", "args"], Identity::Key),
    (&["services", "*", "build", "additional_contexts"], Identity::Key),
    (&["services", "*", "build", "platform"], Identity::Key),
    (&["services", "*", "build", "tags"], Identity::Key),
    (&["services", "*", "build", "labels"], Identity::Key),
    (&["services", "*", "cap_add"], Identity::Key),
    (&["services", "*", "cap_drop"], Identity::Key),
    (&["services", "*", "devices"], Identity::MountTarget),
    (&["services", "*", "configs"], Identity::Reference("")),
    (&["services", "*", "deploy", "labels"], Identity::Key),
    (&["services", "*", "dns"], Identity::Key),
    (&["services", "*", "dns_opt"], Identity::Key),
    (&["services", "*", "dns_search"], Identity::Key),
    (&["services", "*", "environment"], Identity::Key),
    (&["services", "*", "env_file"], Identity::EnvFile),
    (&["services", "*", "expose"], Identity::Expose),
    (&["services", "*", "labels"], Identity::Key),
    (&["services", "*", "links"], Identity::Key),
    (&["services", "*", "networks", "*", "aliases"], Identity::Key),
    (&["services", "*", "networks", "*", "link_local_ips"], Identity::Key),
    (&["services", "*", "ports"], Identity::Port),
    (&["services", "*", "profiles"], Identity::Key),
    (&["services", "*", "secrets"], Identity::Reference("/run/secrets")),
    (&["services", "*", "sysctls"], Identity::Key),
    (&["services", "*", "tmpfs"], Identity::Key),
    (&["services", "*", "volumes"], Identity::MountTarget),
];

/// Keeps, of entries that are the same, the last one in the place of the first.
pub(crate) fn unique(root: &mut Node) -> Outcome<()> {
    let mut problems = Vec::new();
    enforce(root, &Path::Top, &mut problems);
    super::problem::unless(problems, ())
}

fn enforce(node: &mut Node, path: &Path<'_>, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Map(map) => map.iter_mut().for_each(|(key, member)| enforce(member, &path.to(key), problems)),
        Value::List(items) => {
            let Some((_, identity)) = UNIQUE.iter().find(|(pattern, _)| path.matches(pattern)) else {
                return;
            };
            let mut kept: Vec<Node> = Vec::with_capacity(items.len());
            let mut places: HashMap<String, usize> = HashMap::new();
            for (number, item) in std::mem::take(items).into_iter().enumerate() {
                match identity.of(&item, &format!("{path}.[{number}]")) {
                    Ok(key) => {
                        if let Some(place) = places.get(&key) {
                            kept[*place] = item;
                        } else {
                            places.insert(key, kept.len());
                            kept.push(item);
                        }
                    }
                    Err(message) => problems.push(Problem::new(message, item.mark)),
                }
            }
            *items = kept;
        }
        _ => {}
    }
}

impl Identity {
    fn of(self, item: &Node, at: &str) -> Result<String, String> {
        let missing = |what: &str| Err(format!("{at} is missing {what}"));
        let unexpected = || Err(format!("{at}: {} is not expected here", item.kind()));
        match (self, &item.value) {
            (Self::Key, Value::Text(text)) => {
                Ok(text.split_once('=').map_or(&**text, |(key, _)| key).to_owned())
            }
            (Self::MountTarget, Value::Map(map)) => match map.get("target").and_then(Node::as_text) {
                Some(target) => Ok(target.to_owned()),
                None => missing("a mount target"),
            },
            (Self::MountTarget, Value::Text(text)) => mount_target(text),
            (Self::Reference(folder), Value::Text(text)) => Ok(format!("{folder}/{text}")),
            (Self::Reference(folder), Value::Map(map)) => match (map.get("target"), map.get("source")) {
                (Some(target), _) => Ok(sprint(target)),
                (None, Some(source)) => Ok(format!("{folder}/{}", sprint(source))),
                (None, None) => Ok(format!("{folder}/")),
            },
            (Self::Port, Value::Map(map)) => {
                let Some(target) = map.get("target") else { return missing("a target port") };
                let or = |key: &str, default: &str| map.get(key).map_or_else(|| default.to_owned(), sprint);
                let (host, published) = (or("host_ip", "0.0.0.0"), or("published", ""));
                Ok(format!("{host}:{published}:{}/{}", sprint(target), or("protocol", "tcp")))
            }
            (Self::EnvFile, Value::Map(map)) => match map.get("path").and_then(Node::as_text) {
                Some(path) => Ok(path.to_owned()),
                None => missing("a path"),
            },
            (Self::EnvFile, Value::Text(text)) => Ok(text.clone()),
            (Self::Expose | Self::Port, Value::Text(_) | Value::Int(_)) => Ok(sprint(item)),
            (Self::EnvFile | Self::Port | Self::MountTarget, _) => Ok(String::new()),
            _ => unexpected(),
        }
    }
}

/// Takes away what a `!reset` or an `!override` of the file to come names.
pub(crate) fn reset(root: &mut Node, resets: &[Vec<String>]) {
    for path in resets {
        let Some((last, way)) = path.split_last() else { continue };
        let mut here = Some(&mut *root);
        for step in way {
            here = here.and_then(|node| node.get_mut(step));
        }
        if let Some(map) = here.and_then(Node::as_map_mut) {
            map.remove(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse::documents;
    use super::*;

    fn tree(text: &str) -> Node {
        documents(text, 0).unwrap().remove(0).root
    }

    fn merged(one: &str, other: &str) -> Node {
        let mut node = files(tree(one), tree(other)).unwrap();
        unique(&mut node).unwrap();
        node
    }

    fn service(text: &str) -> String {
        format!("services: {{a: {{{text}}}}}")
    }

    #[test]
    fn each_rule() {
        for (one, other, result) in [
            ("environment: {A: 1, B: 2}", "environment: [B=3]", "environment: [A=1, B=3]"),
            ("command: [a]", "command: [b]", "command: [b]"),
            ("ports: ['80:80']", "ports: ['80:80', '81:81']", "ports: ['80:80', '81:81']"),
            ("volumes: ['aa:/x']", "volumes: ['bb:/x']", "volumes: ['bb:/x']"),
            ("build: .", "build: {target: t}", "build: {context: ., target: t}"),
            ("extra_hosts: [a=1]", "extra_hosts: {a: '1', b: '2'}", "extra_hosts: [a=1, b=2]"),
            ("logging: {driver: x, options: {a: '1'}}", "logging: {driver: y}", "logging: {driver: y}"),
            (
                "logging: {driver: x}",
                "logging: {options: {b: '1'}}",
                "logging: {driver: x, options: {b: '1'}}",
            ),
            ("image: a", "image: null", "image: a"),
            ("networks: [n]", "networks: {m: {priority: 1}}", "networks: {n: null, m: {priority: 1}}"),
        ] {
            assert_eq!(merged(&service(one), &service(other)), tree(&service(result)), "{one} + {other}");
        }
    }

    #[test]
    fn a_mapping_is_not_overridden_by_a_text() {
        let problem = files(tree("services: {a: {deploy: {mode: x}}}"), tree("services: {a: {deploy: y}}"))
            .unwrap_err();
        assert!(problem[0].message.contains("cannot override services.a.deploy"));
    }

    #[test]
    fn resets_reach_into_mappings() {
        let mut node = tree("a: {b: {c: 1, d: 2}}");
        reset(&mut node, &[vec!["a".into(), "b".into(), "c".into()], vec!["x".into(), "y".into()]]);
        assert_eq!(node, tree("a: {b: {d: 2}}"));
    }

    proptest! {
        #[test]
        fn merging_is_associative(parts in proptest::collection::vec("[a-c]{1,2}", 9)) {
            let file = |i: usize| tree(&service(&format!(
                "image: {}, environment: [{}=1], cap_add: [{}], labels: {{x{i}: {}}}",
                parts[i * 3], parts[i * 3 + 1], parts[i * 3 + 2], parts[i * 3],
            )));
            let both = |a: Node, b: Node| {
                let mut node = files(a, b).unwrap();
                unique(&mut node).unwrap();
                node
            };
            prop_assert_eq!(both(both(file(0), file(1)), file(2)), both(file(0), both(file(1), file(2))));
        }
    }
}
