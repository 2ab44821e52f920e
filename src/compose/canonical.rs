//! Short forms into long ones: `"8080:80"`, `data:/var/lib`, `build: .`, `depends_on: [db]` and the rest.

use super::merge::started;
use super::ports;
use super::problem::{Outcome, Problem, unless};
use super::scalar::sprint;
use super::tree::{Mapping, Mark, Node, Path, Value};

type Rewrite = fn(&mut Node, &Path<'_>, &mut Stage<'_>) -> Result<(), Problem>;

/// The rewrites. One that is found is alone answerable for what is inside.
const REWRITES: &[(&[&str], Rewrite)] = &[
    (&["services", "*", "build"], build),
    (&["services", "*", "build", "secrets", "*"], reference),
    (&["services", "*", "build", "additional_contexts"], key_values),
    (&["services", "*", "build", "ssh"], ssh),
    (&["services", "*", "build", "ulimits", "*"], ulimit),
    (&["services", "*", "depends_on"], depends_on),
    (&["services", "*", "env_file"], env_file),
    (&["services", "*", "label_file"], string_or_list),
    (&["services", "*", "extends"], extends),
    (&["services", "*", "gpus"], gpus),
    (&["services", "*", "models"], names),
    (&["services", "*", "networks"], names),
    (&["services", "*", "volumes", "*"], mount),
    (&["services", "*", "dns"], string_or_list),
    (&["services", "*", "devices", "*"], device),
    (&["services", "*", "secrets", "*"], reference),
    (&["services", "*", "configs", "*"], reference),
    (&["services", "*", "ports"], port_list),
    (&["services", "*", "ulimits", "*"], ulimit),
    (&["services", "*", "develop", "watch", "*", "ignore"], string_or_list),
    (&["services", "*", "develop", "watch", "*", "include"], string_or_list),
    (&["volumes", "*"], maybe_external),
    (&["networks", "*"], maybe_external),
    (&["secrets", "*"], maybe_external),
    (&["configs", "*"], maybe_external),
    (&["include", "*"], include),
];

/// How many ports a project may have once its ranges are written out: one whole range, and some.
pub(crate) const MAX_PORTS: usize = 70_000;

struct Stage<'a> {
    /// Whether a text that cannot be read stays as it is (`--no-interpolate`: it may hold a variable).
    lenient: bool,
    warnings: &'a mut Vec<Problem>,
    problems: Vec<Problem>,
    /// How many more ports there may be.
    ports_left: usize,
}

/// Brings every value into its long form.
pub(crate) fn tree(root: &mut Node, lenient: bool, warnings: &mut Vec<Problem>) -> Outcome<()> {
    let mut stage = Stage { lenient, warnings, problems: Vec::new(), ports_left: MAX_PORTS };
    stage.node(root, &Path::Top);
    unless(stage.problems, ())
}

impl Stage<'_> {
    fn node(&mut self, node: &mut Node, path: &Path<'_>) {
        match REWRITES.iter().find(|(pattern, _)| path.matches(pattern)) {
            Some((_, rewrite)) => {
                if let Err(problem) = rewrite(node, path, self) {
                    // No stage to come could read it.
                    node.value = Value::Null;
                    self.problems.push(problem);
                }
            }
            None => self.members(node, path),
        }
    }

    fn members(&mut self, node: &mut Node, path: &Path<'_>) {
        match &mut node.value {
            Value::Map(map) => map.iter_mut().for_each(|(key, member)| self.node(member, &path.to(key))),
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, &path.to("[]"))),
            _ => {}
        }
    }
}

/// A mapping that a stage writes in the place of a short form.
struct Long {
    map: Mapping,
    mark: Mark,
}

impl Long {
    fn at(mark: Mark) -> Self {
        Self { map: Mapping::default(), mark }
    }

    fn text(mut self, key: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.map.set(key, Node::text(text, self.mark));
        }
        self
    }

    fn value(mut self, key: &str, value: Value) -> Self {
        self.map.set(key, Node::new(value, self.mark));
        self
    }

    fn node(self) -> Node {
        Node::new(Value::Map(self.map), self.mark)
    }
}

fn wrong(node: &Node, path: &Path<'_>) -> Problem {
    Problem::new(format!("{path} cannot be {}", node.kind()), node.mark)
}

fn build(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    match &node.value {
        Value::Map(_) => stage.members(node, path),
        Value::Text(context) => {
            let context = Node::text(context.clone(), node.mark);
            let mut long = Long::at(node.mark);
            long.map.set("context", context);
            *node = long.node();
        }
        _ => return Err(wrong(node, path)),
    }
    Ok(())
}

fn reference(node: &mut Node, path: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    match &node.value {
        Value::Map(_) => Ok(()),
        Value::Text(source) => {
            *node = Long::at(node.mark).value("source", Value::Text(source.clone())).node();
            Ok(())
        }
        _ => Err(wrong(node, path)),
    }
}

fn key_values(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    let Value::List(items) = &node.value else {
        return if node.as_map().is_some() { Ok(()) } else { Err(wrong(node, path)) };
    };
    let mut map = Mapping::default();
    for item in items {
        match item.as_text().and_then(|text| text.split_once('=')) {
            Some((key, value)) => map.insert(key, item.mark, Node::text(value, item.mark)),
            None if stage.lenient => return Ok(()),
            None => return Err(Problem::new(format!("{path}: expected key=value"), item.mark)),
        }
    }
    *node = Node::new(Value::Map(map), node.mark);
    Ok(())
}

fn ssh(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    let Value::List(items) = &node.value else {
        return if node.as_map().is_some() { Ok(()) } else { Err(wrong(node, path)) };
    };
    let mut map = Mapping::default();
    for item in items {
        let text = item.as_text().ok_or_else(|| wrong(item, path))?;
        match text.split_once('=') {
            Some((id, key)) => map.insert(id, item.mark, Node::text(key, item.mark)),
            None if text == "default" => map.insert(text, item.mark, Node::null(item.mark)),
            None if stage.lenient => return Ok(()),
            None => {
                let message = format!("invalid ssh key {text:?}");
                return Err(Problem::new(message, item.mark).hint("write `default` or `id=path`"));
            }
        }
    }
    *node = Node::new(Value::Map(map), node.mark);
    Ok(())
}

fn ulimit(node: &mut Node, path: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    match node.value {
        Value::Map(_) | Value::Int(_) | Value::Uint(_) => Ok(()),
        _ => Err(wrong(node, path)),
    }
}

fn depends_on(node: &mut Node, path: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    match &mut node.value {
        Value::Map(map) => {
            for (_, dependency) in map.iter_mut() {
                let mark = dependency.mark;
                let Some(members) = dependency.as_map_mut() else { return Err(wrong(dependency, path)) };
                if let Value::Map(defaults) = started(mark).value {
                    for (key, _, value) in defaults.into_members() {
                        if !members.contains(&key) {
                            members.set(&key, value);
                        }
                    }
                }
            }
        }
        Value::List(items) => {
            let mut map = Mapping::default();
            for item in items {
                let Some(name) = item.as_text() else { return Err(wrong(item, path)) };
                map.insert(name, item.mark, started(item.mark));
            }
            node.value = Value::Map(map);
        }
        _ => return Err(wrong(node, path)),
    }
    Ok(())
}

fn env_file(node: &mut Node, path: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    let entry = |node: &Node| match &node.value {
        Value::Text(path) => Ok(Long::at(node.mark)
            .value("path", Value::Text(path.clone()))
            .value("required", Value::Bool(true))
            .node()),
        Value::Map(map) => {
            let mut map = map.clone();
            if !map.contains("required") {
                map.set("required", Node::new(Value::Bool(true), Mark { width: 0, ..node.mark }));
            }
            Ok(Node::new(Value::Map(map), node.mark))
        }
        _ => Err(wrong(node, path)),
    };
    let entries = match &node.value {
        Value::Text(_) => vec![entry(node)?],
        Value::List(items) => items.iter().map(entry).collect::<Result<_, _>>()?,
        _ => return Err(wrong(node, path)),
    };
    node.value = Value::List(entries);
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "one of the rewrites")]
fn string_or_list(node: &mut Node, _: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    if node.as_text().is_some() {
        let item = node.clone();
        node.value = Value::List(vec![item]);
    }
    Ok(())
}

fn extends(node: &mut Node, path: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    match &node.value {
        Value::Text(service) => {
            *node = Long::at(node.mark).value("service", Value::Text(service.clone())).node();
            Ok(())
        }
        Value::Map(_) => Ok(()),
        _ => Err(wrong(node, path)),
    }
}

fn gpus(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    match node.value {
        Value::List(_) => stage.members(node, path),
        Value::Text(_) => {
            node.value = Value::List(vec![Long::at(node.mark).text("count", "all").node()]);
        }
        _ => return Err(wrong(node, path)),
    }
    Ok(())
}

fn names(node: &mut Node, path: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    let Value::List(items) = &node.value else { return Ok(()) };
    let mut map = Mapping::default();
    for item in items {
        let Some(name) = item.as_text() else { return Err(wrong(item, path)) };
        map.insert(name, item.mark, Node::null(item.mark));
    }
    node.value = Value::Map(map);
    Ok(())
}

fn device(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    let Some(text) = node.as_text() else {
        return if node.as_map().is_some() { Ok(()) } else { Err(wrong(node, path)) };
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match *parts.as_slice() {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ if stage.lenient => return Ok(()),
        _ => {
            let message = format!("confusing device mapping, please use long syntax: {text}");
            return Err(Problem::new(message, node.mark).hint("write `{ source: /dev/a, target: /dev/b }`"));
        }
    };
    let target = if target.is_empty() { source } else { target };
    *node = Long::at(node.mark)
        .text("source", source)
        .text("target", target)
        .text("permissions", permissions)
        .node();
    Ok(())
}

fn maybe_external(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    stage.members(node, path);
    let Some(map) = node.as_map_mut() else { return Ok(()) };
    let Some(external) = map.get("external") else { return Ok(()) };
    let (mark, Some(long)) = (external.mark, external.as_map()) else { return Ok(()) };
    let name = long.get("name").cloned();
    map.set("external", Node::new(Value::Bool(true), mark));
    let Some(name) = name else { return Ok(()) };
    let message = format!("{path}: external.name is deprecated. Please set name and external: true");
    stage.warnings.push(Problem::new(message, mark));
    match map.get("name") {
        Some(given) if *given != name => {
            let message = format!("{path}: name and external.name conflict; only use name");
            Err(Problem::new(message, name.mark).also(given.mark))
        }
        Some(_) => Ok(()),
        None => {
            map.set("name", name);
            Ok(())
        }
    }
}

fn include(node: &mut Node, path: &Path<'_>, _: &mut Stage<'_>) -> Result<(), Problem> {
    match &node.value {
        Value::Text(file) => {
            *node = Long::at(node.mark).value("path", Value::Text(file.clone())).node();
            Ok(())
        }
        Value::Map(_) => Ok(()),
        _ => Err(wrong(node, path)),
    }
}

fn port_list(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    let Value::List(items) = &node.value else { return Err(wrong(node, path)) };
    let mut long = Vec::with_capacity(items.len());
    for item in items {
        let before = long.len();
        match &item.value {
            Value::Map(_) => long.push(item.clone()),
            Value::Text(_) | Value::Int(_) | Value::Uint(_) => match ports::parse(&sprint(item)) {
                Ok(ports) => long.extend(ports.into_iter().map(|port| {
                    Long::at(item.mark)
                        .text("mode", "ingress")
                        .text("host_ip", port.host_ip)
                        .value("target", Value::Int(port.target.into()))
                        .text("published", port.published)
                        .text("protocol", port.protocol)
                        .node()
                })),
                Err(_) if stage.lenient => return Ok(()),
                Err(message) => stage.problems.push(
                    Problem::new(message, item.mark)
                        .hint("write `\"8080:80\"`, or `{ target: 80, published: 8080 }`"),
                ),
            },
            _ => return Err(wrong(item, path)),
        }
        // Each port is a container's own entry: a few ranges in a line would be gigabytes.
        let Some(left) = stage.ports_left.checked_sub(long.len() - before) else {
            return Err(too_many_ports(item.mark));
        };
        stage.ports_left = left;
    }
    node.value = Value::List(long);
    Ok(())
}

/// Says that there are more than [`MAX_PORTS`].
pub(crate) fn too_many_ports(mark: Mark) -> Problem {
    Problem::new(format!("the ranges of ports are more than {MAX_PORTS} ports together"), mark)
}

fn mount(node: &mut Node, path: &Path<'_>, stage: &mut Stage<'_>) -> Result<(), Problem> {
    let Some(text) = node.as_text() else {
        return if node.as_map().is_some() { Ok(()) } else { Err(wrong(node, path)) };
    };
    match parse_mount(text) {
        Ok(mount) => {
            for option in &mount.unknown {
                stage.warnings.push(Problem::new(
                    format!("{path}: the option `{option}` is not known and has no effect"),
                    node.mark,
                ));
            }
            *node = mount.long(node.mark);
            Ok(())
        }
        Err(_) if stage.lenient => Ok(()),
        Err(message) => Err(Problem::new(message, node.mark)
            .hint("write `source:target`, or `{ type: volume, source: data, target: /data }`")),
    }
}

/// A short mount, taken apart.
#[derive(Debug, Default, PartialEq)]
struct ShortMount<'t> {
    source: &'t str,
    target: &'t str,
    read_only: bool,
    nocopy: bool,
    propagation: &'t str,
    selinux: &'t str,
    /// One or two characters: a target and nothing else, not even the kind's own section.
    bare: bool,
    unknown: Vec<&'t str>,
}

impl ShortMount<'_> {
    fn long(&self, mark: Mark) -> Node {
        let target =
            if self.target.is_empty() || self.bare { self.target.to_owned() } else { clean(self.target) };
        let bind = is_file_path(self.source);
        let mut long = Long::at(mark)
            .text("type", if bind { "bind" } else { "volume" })
            .text("source", self.source)
            .text("target", target);
        if self.read_only {
            long = long.value("read_only", Value::Bool(true));
        }
        if bind || !self.propagation.is_empty() || !self.selinux.is_empty() {
            let mut section =
                Long::at(mark).text("selinux", self.selinux).text("propagation", self.propagation);
            if bind {
                // The short form has always made the folder; the long one has to say so.
                section = section.value("create_host_path", Value::Bool(true));
            }
            long = long.value("bind", section.node().value);
        }
        if self.nocopy || !(bind || self.bare) {
            let mut section = Long::at(mark);
            if self.nocopy {
                section = section.value("nocopy", Value::Bool(true));
            }
            long = long.value("volume", section.node().value);
        }
        long.node()
    }
}

/// What a short mount is mounted at.
pub(crate) fn mount_target(text: &str) -> Result<String, String> {
    parse_mount(text).map(|mount| mount.target.to_owned())
}

fn parse_mount(text: &str) -> Result<ShortMount<'_>, String> {
    let mut mount = ShortMount::default();
    if text.is_empty() {
        return Err("invalid empty volume spec".into());
    }
    if text.len() <= 2 {
        return Ok(ShortMount { target: text, bare: true, ..mount });
    }
    let fail = |problem: &str| Err(format!("invalid spec: {text}: {problem}"));
    let mut start = 0;
    let mut ends: Vec<Option<usize>> = text.match_indices(':').map(|(position, _)| Some(position)).collect();
    ends.push(None);
    for end in ends {
        let section = &text[start..end.unwrap_or(text.len())];
        let mut letters = section.chars();
        let drive = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_alphabetic());
        if drive && end.is_some() {
            // `C:` is not a section of its own.
            continue;
        }
        start = end.map_or(text.len(), |end| end + 1);
        if section.is_empty() {
            return fail("empty section between colons");
        }
        if mount.source.is_empty() && end.is_none() {
            mount.target = section;
        } else if mount.source.is_empty() {
            mount.source = section;
        } else if mount.target.is_empty() {
            mount.target = section;
        } else if end.is_some() {
            return fail("too many colons");
        } else {
            options(section, &mut mount);
        }
        if end.is_none() {
            break;
        }
    }
    Ok(mount)
}

fn options<'t>(section: &'t str, mount: &mut ShortMount<'t>) {
    for option in section.split(',') {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => mount.nocopy = true,
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => mount.propagation = option,
            "z" | "Z" => mount.selinux = option,
            _ => mount.unknown.push(option),
        }
    }
}

fn is_file_path(source: &str) -> bool {
    let mut letters = source.chars();
    match letters.next() {
        Some('.' | '/' | '~') => true,
        Some(first) => source.starts_with("\\\\") || (first.is_alphabetic() && letters.next() == Some(':')),
        None => false,
    }
}

/// A path without `.`, `..` and doubled slashes, as Go's `path.Clean` gives it.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

/// Fills in what a file need not write: done once, when all files are merged.
pub(crate) fn defaults(root: &mut Node) {
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else { return };
    for (_, service) in services.iter_mut() {
        let Some(service) = service.as_map_mut() else { continue };
        if let Some(build) = service.get_mut("build") {
            let mark = build.mark;
            if let Some(map) = build.as_map_mut() {
                default(map, "context", || Value::Text(".".into()), mark);
            }
        }
        for secret in items(service.get_mut("secrets")) {
            let source = secret.get("source").map(sprint).unwrap_or_default();
            let mark = secret.mark;
            if let Some(map) = secret.as_map_mut() {
                default(map, "target", || Value::Text(format!("/run/secrets/{source}")), mark);
            }
        }
        for port in items(service.get_mut("ports")) {
            let mark = port.mark;
            if let Some(map) = port.as_map_mut() {
                default(map, "protocol", || Value::Text("tcp".into()), mark);
                default(map, "mode", || Value::Text("ingress".into()), mark);
            }
        }
        for request in items(service.get_mut("gpus")) {
            all_devices(request);
        }
        let devices = service
            .get_mut("deploy")
            .and_then(|deploy| deploy.get_mut("resources"))
            .and_then(|resources| resources.get_mut("reservations"))
            .and_then(|reservations| reservations.get_mut("devices"));
        for request in items(devices) {
            all_devices(request);
        }
    }
}

fn items(list: Option<&mut Node>) -> impl Iterator<Item = &mut Node> {
    let items = match list.map(|node| &mut node.value) {
        Some(Value::List(items)) => Some(items),
        _ => None,
    };
    items.into_iter().flatten()
}

fn default(map: &mut Mapping, key: &str, value: impl FnOnce() -> Value, mark: Mark) {
    if !map.contains(key) {
        map.set(key, Node::new(value(), Mark { width: 0, ..mark }));
    }
}

fn all_devices(request: &mut Node) {
    let mark = request.mark;
    if let Some(map) = request.as_map_mut()
        && !map.contains("device_ids")
    {
        default(map, "count", || Value::Text("all".into()), mark);
    }
}

/// Drops the empty entries of a service's `dns`.
pub(crate) fn omit_empty(root: &mut Node) {
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else { return };
    for (_, service) in services.iter_mut() {
        if let Some(Node { value: Value::List(servers), .. }) = service.get_mut("dns") {
            servers.retain(|server| !server.is_null() && server.as_text() != Some(""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::documents;
    use super::*;

    fn long(text: &str) -> Node {
        let mut root = documents(text, 0).unwrap().remove(0).root;
        tree(&mut root, false, &mut Vec::new()).unwrap();
        root
    }

    fn service(text: &str) -> String {
        format!("services: {{a: {{{text}}}}}")
    }

    #[test]
    fn short_forms_become_long() {
        for (short, expected) in [
            ("build: ./x", "build: {context: ./x}"),
            ("depends_on: [b]", "depends_on: {b: {condition: service_started, required: true}}"),
            ("env_file: a.env", "env_file: [{path: a.env, required: true}]"),
            ("gpus: all", "gpus: [{count: all}]"),
            ("networks: [n]", "networks: {n: null}"),
            ("secrets: [s]", "secrets: [{source: s}]"),
            ("devices: ['/dev/a']", "devices: [{source: /dev/a, target: /dev/a, permissions: rwm}]"),
            ("ports: [80]", "ports: [{mode: ingress, target: 80, protocol: tcp}]"),
            (
                "volumes: ['data:/x/../y:ro']",
                "volumes: [{type: volume, source: data, target: /y, read_only: true, volume: {}}]",
            ),
            (
                "volumes: ['./d:/y:z']",
                "volumes: [{type: bind, source: ./d, target: /y, bind: {selinux: z, create_host_path: true}}]",
            ),
            (
                "volumes: ['C:\\d:/y']",
                "volumes: [{type: bind, source: 'C:\\d', target: /y, bind: {create_host_path: true}}]",
            ),
            ("volumes: [/y]", "volumes: [{type: volume, target: /y}]"),
            ("volumes: [/yy]", "volumes: [{type: volume, target: /yy, volume: {}}]"),
        ] {
            assert_eq!(
                long(&service(short)),
                documents(&service(expected), 0).unwrap().remove(0).root,
                "{short}"
            );
        }
    }

    #[test]
    fn mounts_that_cannot_be_read() {
        for text in ["", ":/a", "/a::", "aa:/b:ro:x"] {
            assert!(parse_mount(text).is_err(), "{text}");
        }
        assert_eq!(parse_mount("vv:/v:bogus").unwrap().unknown, ["bogus"]);
    }

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, cleaned) in [("/a/../b/", "/b"), ("a//b/.", "a/b"), ("..", ".."), ("/..", "/"), ("", ".")]
        {
            assert_eq!(clean(path), cleaned);
        }
    }
}
