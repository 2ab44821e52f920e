//! A project as text, exactly as the reference prints it.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use super::hash::service_hash;
use super::interpolate::Variable;
use super::project::Project;
use super::scalar;
use crate::base::{Failure, Kind};

const EXTENSIONS: &str = "#extensions";

/// `config --format json`. Every `$` is doubled, so that the text loads to itself.
///
/// # Errors
/// A build with an SSH key by path: the reference has no JSON for it and fails, too.
pub fn to_json(project: &Project) -> Result<String, Failure> {
    let keyed = |(name, service): (&String, &super::project::Service)| {
        let paths = service.build.iter().flat_map(|build| build.ssh.iter());
        paths.into_iter().any(|(_, path)| path.is_some_and(|path| !path.is_empty())).then(|| name.clone())
    };
    if let Some(name) = project.services.iter().find_map(keyed) {
        let message = format!("service \"{name}\" builds with an SSH key by path, which has no form in JSON");
        return Err(Failure::new(Kind::Files, message).hint("print it with `--format yaml`"));
    }
    let mut root = plain(project);
    let extensions = match root.as_object_mut().and_then(|map| map.shift_remove(EXTENSIONS)) {
        Some(Value::Object(extensions)) => extensions,
        _ => Map::new(),
    };
    drop_extensions(&mut root);
    if let Some(map) = root.as_object_mut() {
        map.shift_remove("models");
        map.extend(extensions.into_iter().map(|(key, mut value)| {
            value.sort_all_objects();
            (key, value)
        }));
        map.sort_keys();
    }
    let text = serde_json::to_string_pretty(&root).unwrap_or_default();
    Ok(yaml_escapes(&go_escapes(&text)).replace('$', "$$"))
}

/// `config` (YAML). Every `$` is doubled, so that the text loads to itself.
pub fn to_yaml(project: &Project) -> String {
    let mut root = plain(project);
    drop_empty(&mut root, "");
    for_yaml(&mut root, "", false);
    yaml(&root).replace('$', "$$")
}

/// Any document, as `config --no-interpolate --format json` prints the tree it has.
pub fn tree_to_json(tree: &Value) -> String {
    let mut tree = tree.clone();
    tree.sort_all_objects();
    go_escapes(&serde_json::to_string_pretty(&tree).unwrap_or_default())
}

/// Any document, as `config --no-interpolate` prints the tree it has.
pub fn tree_to_yaml(tree: &Value) -> String {
    let mut tree = tree.clone();
    for_yaml(&mut tree, "", true);
    yaml(&tree)
}

/// `config --services`: dependencies first, then by name.
pub fn services(project: &Project) -> Vec<String> {
    let services = &project.services;
    let mut order = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for (name, service) in services {
        let mut path: Vec<(&str, _)> = Vec::new();
        if seen.insert(name) {
            path.push((name, service.depends_on.keys()));
        }
        while let Some((step, rest)) = path.last_mut() {
            if let Some(dependency) = rest.next() {
                if let Some(service) = services.get(dependency).filter(|_| seen.insert(dependency)) {
                    path.push((dependency, service.depends_on.keys()));
                }
            } else {
                order.push((*step).to_owned());
                path.pop();
            }
        }
    }
    order
}

/// `config --volumes`.
pub fn volumes(project: &Project) -> Vec<String> {
    project.volumes.keys().cloned().collect()
}

/// `config --networks`.
pub fn networks(project: &Project) -> Vec<String> {
    project.networks.keys().cloned().collect()
}

/// `config --images`: what each service's container is made from.
pub fn images(project: &Project) -> Vec<String> {
    project
        .services
        .iter()
        .map(|(name, service)| match service.image.as_str() {
            "" => format!("{}-{name}", project.name),
            image => image.to_owned(),
        })
        .collect()
}

/// `config --profiles`: every profile that a service belongs to.
pub fn profiles(project: &Project) -> Vec<String> {
    let mut all: Vec<String> =
        project.all_services().flat_map(|(_, service)| service.profiles.clone()).collect();
    all.sort();
    all.dedup();
    all
}

/// `config --environment`: what variables are looked up in, `KEY=value`, sorted.
pub fn environment(project: &Project) -> Vec<String> {
    project.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// `config --hash '*'`: each service with its hash.
pub fn hashes(project: &Project) -> Vec<(String, String)> {
    project.services.iter().map(|(name, service)| (name.clone(), service_hash(service))).collect()
}

/// `config --variables` as a table.
pub fn variables(variables: &[Variable]) -> String {
    let head = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head)
        .chain(variables.iter().map(|variable| {
            let required = variable.required.to_string();
            [variable.name.clone(), required, variable.default_value.clone(), variable.presence_value.clone()]
        }))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + 3;
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [name, required, default, alternate] in &rows {
        let [a, b, c] = widths;
        let _ = writeln!(text, "{name:a$}{required:b$}{default:c$}{alternate}");
    }
    text
}

/// A value as Go's `encoding/json` writes it, in one line and without extensions.
pub(crate) fn go_json(value: &impl Serialize) -> String {
    let mut value = plain(value);
    drop_extensions(&mut value);
    go_escapes(&value.to_string())
}

fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Takes out the extensions that stand beside the keys of the specification.
fn drop_extensions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get(EXTENSIONS).is_some_and(Value::is_object) {
                map.shift_remove(EXTENSIONS);
            }
            map.values_mut().for_each(drop_extensions);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_extensions),
        _ => {}
    }
}

/// Go writes `<`, `>`, `&` and two line separators as escapes. They stand only inside of texts.
fn go_escapes(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", c as u32);
            }
            c => text.push(c),
        }
    }
    text
}

/// Escapes what may stand in a text of JSON but not in one of YAML, which `config` prints for as well.
fn yaml_escapes(json: &str) -> String {
    let escaped = |c| matches!(c, '\u{7F}'..='\u{9F}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}');
    if !json.contains(escaped) {
        return json.to_owned();
    }
    let one = |c: char| if escaped(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() };
    json.chars().map(one).collect()
}

/// Leaves out what Go's YAML leaves out and its JSON does not: empty structures and commands that are not set.
fn drop_empty(value: &mut Value, key: &str) {
    match value {
        Value::Object(map) => {
            let service = matches!(key, "services[]" | "post_start[]" | "pre_stop[]" | "exec");
            map.retain(|member, value| match (member.as_str(), value) {
                ("command" | "entrypoint", Value::Null) => !service,
                ("ipam" | "resources" | "placement", Value::Object(map)) => !map.is_empty(),
                ("exec", Value::Object(exec)) => exec.values().any(|value| !value.is_null()),
                _ => true,
            });
            let chosen = matches!(key, "services");
            for (member, value) in map.iter_mut().filter(|(member, _)| *member != EXTENSIONS) {
                let inner = if chosen { "services[]".to_owned() } else { member.clone() };
                drop_empty(value, &inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_empty(item, &format!("{key}[]"))),
        _ => {}
    }
}

/// Keys of the specification whose members have names of the author's choice.
const NAMED: [&str; 19] = [
    "additional_contexts",
    "annotations",
    "args",
    "aux_addresses",
    "configs",
    "depends_on",
    "driver_opts",
    "environment",
    "labels",
    "models",
    "networks",
    "options",
    "secrets",
    "services",
    "storage_opt",
    "sysctls",
    "template_driver_opts",
    "ulimits",
    "volumes",
];

/// Puts extensions among the keys they were written among, gives two sections their YAML names, and sorts what
/// is a map in Go as go-yaml does. `free`: inside of an extension.
fn for_yaml(value: &mut Value, key: &str, free: bool) {
    match value {
        Value::Object(map) => {
            let named = NAMED.contains(&key);
            if free || named {
                sort(map);
            }
            let mut extensions = match map.shift_remove(EXTENSIONS) {
                Some(Value::Object(extensions)) => extensions,
                other => {
                    map.extend(other.map(|other| (EXTENSIONS.to_owned(), other)));
                    Map::new()
                }
            };
            sort(&mut extensions);
            extensions.values_mut().for_each(|value| for_yaml(value, "", true));
            for (capital, name) in [("Path", "path"), ("Weight", "weight"), ("Rate", "rate")] {
                if let Some(value) = map.shift_remove(capital) {
                    map.insert(name.to_owned(), value);
                }
            }
            if key == "ulimits" && !free {
                map.values_mut().for_each(whole_pair);
            }
            for (key, value) in map.iter_mut() {
                for_yaml(value, if named { "" } else { key }, free);
            }
            map.extend(extensions);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| for_yaml(item, "", free)),
        _ => {}
    }
}

/// Both halves of a limit: JSON leaves a 0 out, YAML does not, for a pair without one half does not load.
fn whole_pair(limit: &mut Value) {
    if let Value::Object(pair) = limit {
        let half = |name: &str| (name.to_owned(), pair.get(name).cloned().unwrap_or_else(|| 0.into()));
        *pair = ["soft", "hard"].map(half).into_iter().collect();
    }
}

fn sort(map: &mut Map<String, Value>) {
    let mut members: Vec<_> = std::mem::take(map).into_iter().collect();
    members.sort_by(|(a, _), (b, _)| natural(a, b));
    map.extend(members);
}

/// The order in which go-yaml writes the keys of a map: numbers by their size, letters after other signs.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let after_digit = at > 0 && a[at - 1].is_ascii_digit();
    let first = |yes: bool| if yes { Ordering::Less } else { Ordering::Greater };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (false, false) => {}
        (letter, _) => return first(letter == after_digit),
    }
    // A zero among digits counts by where it stands, not as a leading one.
    let before = a[..at].iter().rev().take_while(|c| c.is_ascii_digit());
    let inside = (a[at] == '0' || b[at] == '0') && before.into_iter().any(|c| *c != '0');
    let number = |text: &[char]| {
        let digits = text[at..].iter().map_while(|c| c.to_digit(10));
        let start = (u64::from(inside), 0_usize);
        digits.fold(start, |(n, len), digit| (n.wrapping_mul(10).wrapping_add(digit.into()), len + 1))
    };
    number(&a).cmp(&number(&b)).then(a[at].cmp(&b[at]))
}

/// A document as go-yaml writes it: two spaces, lists indented, texts quoted only where they must be.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => members(&mut text, map, 0, false),
        Value::Array(list) if !list.is_empty() => items(&mut text, list, 0, false),
        _ => {
            scalar_text(&mut text, value, 0);
            text.push('\n');
        }
    }
    text
}

/// Where a line ends, for YAML.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

fn members(text: &mut String, map: &Map<String, Value>, indent: usize, mut inline: bool) {
    for (key, value) in map {
        if !std::mem::take(&mut inline) {
            let _ = write!(text, "{:indent$}", "");
        }
        // A key that is long or has several lines is written as such; YAML reads no more than 1024 characters of
        // another.
        let apart = key.len() > 128 || key.contains(LINE_ENDS);
        if apart {
            let _ = write!(text, "? {}\n{:indent$}", quoted(key, indent), "");
        } else {
            text.push_str(&quoted(key, indent));
        }
        text.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                text.push(if apart { ' ' } else { '\n' });
                members(text, map, indent + 2, apart);
            }
            Value::Array(list) if !list.is_empty() => {
                text.push(if apart { ' ' } else { '\n' });
                items(text, list, indent + 2, apart);
            }
            _ => {
                text.push(' ');
                scalar_text(text, value, indent);
                text.push('\n');
            }
        }
    }
}

fn items(text: &mut String, list: &[Value], indent: usize, mut inline: bool) {
    for item in list {
        if !std::mem::take(&mut inline) {
            let _ = write!(text, "{:indent$}", "");
        }
        text.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => members(text, map, indent + 2, true),
            Value::Array(list) if !list.is_empty() => items(text, list, indent + 2, true),
            _ => {
                scalar_text(text, item, indent);
                text.push('\n');
            }
        }
    }
}

fn scalar_text(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => text.push_str(&scalar::go_float(float)),
            _ => text.push_str(&number.to_string()),
        },
        Value::String(value) => text.push_str(&quoted(value, indent)),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
}

/// A text as a YAML scalar.
fn quoted(value: &str, indent: usize) -> String {
    let reads_as_text = matches!(scalar::plain(value), super::tree::Value::Text(_));
    // What YAML 1.1 would take for a boolean or a base-60 number is quoted for the sake of other readers.
    let legacy = matches!(
        value,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    ) || base_60(value);
    if !reads_as_text || legacy || value == "<<" {
        return double_quoted(value);
    }
    if value.contains('\n') && literal_fits(value) {
        return literal(value, indent);
    }
    if value.chars().any(escaped) {
        return double_quoted(value);
    }
    if plain_fits(value) { value.to_owned() } else { format!("'{}'", value.replace('\'', "''")) }
}

/// What go-yaml takes for unprintable: an emoji, too.
fn escaped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{FEFF}' | '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}')
        || c > '\u{FFFF}'
}

/// `12:30:45`, which YAML 1.1 takes for a number.
fn base_60(value: &str) -> bool {
    let rest = value.strip_prefix(['-', '+']).unwrap_or(value);
    let mut parts = rest.split(':');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let first = parts.next().is_some_and(|part| digits(part) && part.as_bytes()[0].is_ascii_digit());
    let mut count = 0;
    let sixty = |part: &str| {
        let part = part.split_once('.').map_or(part, |(whole, _)| whole);
        (1..=2).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse::<u8>().is_ok_and(|n| n < 60)
    };
    let all = parts.all(|part| {
        count += 1;
        sixty(part)
    });
    first && all && count > 0
}

fn plain_fits(value: &str) -> bool {
    let first = value.chars().next().unwrap_or(' ');
    let second = value.chars().nth(1);
    let indicator = match first {
        '-' | '?' | ':' => second.is_none_or(|c| c == ' '),
        c => matches!(
            c,
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
        ),
    };
    !(indicator
        || value.starts_with([' ', '\t'])
        || value.ends_with([' ', '\t', ':'])
        || value.contains(": ")
        || value.contains(" #")
        || value.contains('\t')
        || value.starts_with("---")
        || value.starts_with("..."))
}

/// A text that starts with a tab would not read back, which go-yaml does not mind.
fn literal_fits(value: &str) -> bool {
    !value.starts_with('\t')
        && !value.ends_with(' ')
        && !value.contains(" \n")
        && !value.chars().any(|c| escaped(c) && c != '\n' && c != '\t')
}

fn literal(value: &str, indent: usize) -> String {
    let body = value.trim_end_matches('\n');
    // What starts with space hides how far the text is indented.
    let hint = if value.starts_with([' ', '\n']) { "2" } else { "" };
    let chomp = match value.len() - body.len() {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    };
    let mut text = format!("|{hint}{chomp}");
    let lines = if chomp == "+" { value.strip_suffix('\n').unwrap_or(value) } else { body };
    for line in lines.split('\n') {
        text.push('\n');
        if !line.is_empty() {
            let _ = write!(text, "{:width$}{line}", "", width = indent + 2);
        }
    }
    text
}

fn double_quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\0' => text.push_str("\\0"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{B}' => text.push_str("\\v"),
            '\u{C}' => text.push_str("\\f"),
            '\u{1B}' => text.push_str("\\e"),
            '\u{85}' => text.push_str("\\N"),
            '\u{2028}' => text.push_str("\\L"),
            '\u{2029}' => text.push_str("\\P"),
            c if escaped(c) => {
                let code = c as u32;
                let _ = match code {
                    0..0x100 => write!(text, "\\x{code:02X}"),
                    0x100..0x1_0000 => write!(text, "\\u{code:04X}"),
                    _ => write!(text, "\\U{code:08X}"),
                };
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_quoted_only_where_they_must_be() {
        for (value, text) in [
            ("plain text", "plain text"),
            ("", "\"\""),
            ("12", "\"12\""),
            ("yes", "\"yes\""),
            ("true", "\"true\""),
            ("12:30", "\"12:30\""),
            ("8080:80", "8080:80"),
            ("a: b", "'a: b'"),
            ("it's", "it's"),
            ("'it", "'''it'"),
            ("*x", "'*x'"),
            ("-", "'-'"),
            ("-x", "-x"),
            ("a #b", "'a #b'"),
            ("a\tb", "\"a\\tb\""),
            ("$x", "$x"),
        ] {
            assert_eq!(quoted(value, 0), text, "{value}");
        }
        assert_eq!(quoted("a\nb\n", 2), "|\n    a\n    b");
        assert_eq!(quoted("a\nb", 0), "|-\n  a\n  b");
        assert_eq!(quoted("\n  a\n\n", 0), "|2+\n\n    a\n");
        assert_eq!(quoted("\n", 0), "|2+\n");
        assert_eq!(quoted("a\nb ", 0), "\"a\\nb \"");
        assert_eq!(quoted("a 😀", 0), "\"a \\U0001F600\"");
    }

    #[test]
    fn json_holds_no_character_that_yaml_refuses() {
        // Found by the fuzz target `loader`: `environment: {B: "\x82"}`.
        assert_eq!(yaml_escapes("\"a\u{82}\u{85}\u{7F}é\""), "\"a\\u0082\\u0085\\u007fé\"");
    }

    #[test]
    fn a_limit_of_nothing_has_both_halves() {
        // Found by the fuzz target `loader`: `ulimits: {nofile: 0}` was printed as `{}`, which does not load.
        let mut value = json!({"ulimits": {"nofile": {}, "nproc": {"hard": 2}, "core": 1}});
        for_yaml(&mut value, "", false);
        let whole = json!({"ulimits": {"core": 1, "nofile": {"soft": 0, "hard": 0}, "nproc": {"soft": 0, "hard": 2}}});
        assert_eq!(value, whole);
    }

    #[test]
    fn keys_are_sorted_as_go_yaml_sorts_them() {
        let mut keys = [
            "web10", "web2", "FOOBAR", "FOO_BAR", "a01", "a1", "a", "Z", "a-b", "a.b", "v1.10", "v1.9", "1a",
            "1_",
        ];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(
            keys,
            [
                "1a", "1_", "FOO_BAR", "FOOBAR", "Z", "a", "a-b", "a.b", "a1", "a01", "v1.9", "v1.10",
                "web2", "web10"
            ]
        );
    }

    #[test]
    fn long_keys_and_keys_of_several_lines_stand_apart() {
        // Near the fuzz target `loader`: a key of more than 1024 characters did not read back.
        let long = "k".repeat(129);
        let value = json!({"a\nb": {"c": 1, "d": 2}, &long: ["e", ["f"]], "g": {"h\n": "i"}});
        let expected =
            format!("? |-\n  a\n  b\n: c: 1\n  d: 2\n? {long}\n: - e\n  - - f\ng:\n  ? |\n    h\n  : i\n");
        assert_eq!(yaml(&value), expected);
    }

    #[test]
    fn documents_look_as_go_yaml_writes_them() {
        let value = json!({"a": {"b": [1, {"c": null, "d": []}], "e": {}}, "f": [["x", "y"]]});
        assert_eq!(
            yaml(&value),
            "a:\n  b:\n    - 1\n    - c: null\n      d: []\n  e: {}\nf:\n  - - x\n    - \"y\"\n"
        );
    }
}
