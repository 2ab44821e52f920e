//! What becomes of every key of the Compose Specification: it acts, or it is warned about, or it is refused.
//! Nothing that stands in a file is dropped in silence.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use serde::Serialize;

use super::tree::{Node, Value};
use super::{Places, Project};
use crate::base::{Failure, Kind, Place};

mod table;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "support", content = "reason", rename_all = "snake_case")]
pub enum Support {
    /// It acts.
    Applied,
    /// It has no effect, which is said, for this reason.
    Warned(&'static str),
    /// Nothing is started with it, for this reason.
    Refused(&'static str),
}

/// One key of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its path: `*` stands for a name, `[]` for an item of a list.
    pub key: &'static str,
    /// What becomes of it.
    pub support: Support,
    /// The engine that it needs, if not every engine that can be used has it (those from API 1.41 on can).
    pub needs: Option<Needs>,
    /// The value that asks for what happens anyhow.
    pub harmless: Option<&'static str>,
}

/// The engine that a key needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The API's version after `1.`.
    pub minor: usize,
    /// Only this value needs it.
    pub value: Option<&'static str>,
    /// Whether a container without it would be another one than the file asks for, rather than a lesser one.
    pub refused: bool,
}

impl Support {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Warned(_) => "warned",
            Self::Refused(_) => "refused",
        }
    }

    /// Why it does not act.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Applied => None,
            Self::Warned(reason) | Self::Refused(reason) => Some(reason),
        }
    }
}

const fn row(key: &'static str, support: Support) -> Row {
    Row { key, support, needs: None, harmless: None }
}

const fn applied(key: &'static str) -> Row {
    row(key, Support::Applied)
}

const fn warned(key: &'static str, reason: &'static str) -> Row {
    row(key, Support::Warned(reason))
}

const fn refused(key: &'static str, reason: &'static str) -> Row {
    row(key, Support::Refused(reason))
}

impl Row {
    /// Without effect before this API.
    const fn since(mut self, minor: usize) -> Self {
        self.needs = Some(Needs { minor, value: None, refused: false });
        self
    }

    /// Refused before this API.
    const fn only_since(mut self, minor: usize) -> Self {
        self.needs = Some(Needs { minor, value: None, refused: true });
        self
    }

    const fn when(mut self, value: &'static str) -> Self {
        if let Some(needs) = &mut self.needs {
            needs.value = Some(value);
        }
        self
    }

    const fn unless(mut self, value: &'static str) -> Self {
        self.harmless = Some(value);
        self
    }
}

/// Every key of the specification, in the order of its schema.
#[must_use]
pub fn rows() -> &'static [Row] {
    table::ROWS
}

/// Keys of the specification that are younger than the schema by which files are checked (compose-go 2.9.1).
pub const NEWER_THAN_SCHEMA: &[&str] = &[
    "services.*.build.no_cache_filter",
    "services.*.pre_start",
    "services.*.pre_start[].command",
    "services.*.pre_start[].environment",
    "services.*.pre_start[].image",
    "services.*.pre_start[].per_replica",
    "services.*.pre_start[].privileged",
    "services.*.pre_start[].user",
    "services.*.pre_start[].working_dir",
];

/// A key that a file uses and that does not act on every engine.
#[derive(Debug, Clone)]
pub struct Use {
    /// Its path in the project, such as `services.web.ports[0].name`.
    pub path: String,
    /// What becomes of it.
    pub row: &'static Row,
    /// Where it was written.
    pub place: Option<Place>,
}

impl Use {
    fn failure(&self, message: String) -> Failure {
        let failure = Failure::new(Kind::Files, message);
        self.place.iter().cloned().fold(failure, Failure::at)
    }

    /// What is told about a key that has no effect.
    #[must_use]
    pub fn warning(&self) -> Option<Failure> {
        match self.row.support {
            Support::Warned(reason) => Some(self.failure(format!("`{}` has no effect: {reason}", self.path))),
            _ => None,
        }
    }

    /// Why nothing is started with it.
    #[must_use]
    pub fn refusal(&self) -> Option<Failure> {
        match self.row.support {
            Support::Refused(reason) => Some(self.failure(format!("`{}` is refused: {reason}", self.path))),
            _ => None,
        }
    }

    /// What an engine that speaks API 1.`minor` lacks for it: `Ok` is a warning, `Err` a refusal.
    #[must_use]
    pub fn lack(&self, minor: usize) -> Option<Result<Failure, Failure>> {
        let needs = self.row.needs.filter(|needs| minor < needs.minor)?;
        let what = needs
            .value
            .map_or_else(|| format!("`{}`", self.path), |value| format!("`{}: {value}`", self.path));
        let message = format!("{what} needs engine API 1.{}, this engine has 1.{minor}", needs.minor);
        Some(if needs.refused {
            Err(self.failure(message))
        } else {
            Ok(self.failure(format!("{message}: it has no effect")))
        })
    }
}

static INDEX: LazyLock<HashMap<&str, &Row>> =
    LazyLock::new(|| rows().iter().map(|row| (row.key, row)).collect());

/// The keys that the active part of a project uses and that do not act on every engine, in the order of the
/// file. Of a key and what stands under it only the key is named. What a stage added is no use.
#[must_use]
pub fn uses(project: &Project, places: &Places) -> Vec<Use> {
    let mut walk = Walk { places, uses: Vec::new() };
    let sections: [(&str, BTreeSet<&String>); 6] = [
        ("services", project.services.keys().collect()),
        ("networks", project.networks.keys().collect()),
        ("volumes", project.volumes.keys().collect()),
        ("secrets", project.secrets.keys().collect()),
        ("configs", project.configs.keys().collect()),
        ("models", project.models.keys().collect()),
    ];
    for (section, names) in sections {
        for name in names {
            if let Some(node) = places.tree.get(section).and_then(|section| section.get(name)) {
                walk.node(node, &format!("{section}.*"), &format!("{section}.{name}"));
            }
        }
    }
    walk.uses
}

struct Walk<'a> {
    places: &'a Places,
    uses: Vec<Use>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, pattern: &str, path: &str) {
        match &node.value {
            Value::Map(map) => {
                for (key, member) in map.iter() {
                    let below = format!("{path}.{key}");
                    let Some(row) = INDEX.get(format!("{pattern}.{key}").as_str()) else {
                        self.node(member, &format!("{pattern}.*"), &below);
                        continue;
                    };
                    let mark = map.key_mark(key);
                    // A key that a stage set is as wide as nothing.
                    let is_written = mark.line > 0 && mark.width > 0 && !member.is_null();
                    let found = || Use { path: below.clone(), row, place: self.places.sources.place(mark) };
                    let is = |value: &str| text(member).is_some_and(|text| text == value);
                    if is_written && !row.harmless.is_some_and(is) {
                        if row.support != Support::Applied {
                            let found = found();
                            self.uses.push(found);
                            continue;
                        }
                        if row.needs.is_some_and(|needs| needs.value.is_none_or(is)) {
                            let found = found();
                            self.uses.push(found);
                        }
                    }
                    self.node(member, row.key, &below);
                }
            }
            Value::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.node(item, &format!("{pattern}[]"), &format!("{path}[{number}]"));
                }
            }
            _ => {}
        }
    }
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::Disk;
    use super::super::{Request, load};
    use super::*;
    use serde_json::Value as Json;

    /// The paths of all keys of a JSON schema.
    fn keys(schema: &Json, here: &Json, path: &str, within: &mut Vec<String>, all: &mut BTreeSet<String>) {
        if let Some(reference) = here["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap().to_owned();
            if !within.contains(&name) {
                within.push(name.clone());
                keys(schema, &schema["definitions"][&name], path, within, all);
                within.pop();
            }
            return;
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            for option in here[choice].as_array().into_iter().flatten() {
                keys(schema, option, path, within, all);
            }
        }
        for (key, value) in here["properties"].as_object().into_iter().flatten() {
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            keys(schema, value, &below, within, all);
            all.insert(below);
        }
        for (pattern, value) in here["patternProperties"].as_object().into_iter().flatten() {
            if pattern != "^x-" {
                keys(schema, value, &format!("{path}.*"), within, all);
            }
        }
        if here["additionalProperties"].is_object() {
            keys(schema, &here["additionalProperties"], &format!("{path}.*"), within, all);
        }
        if here["items"].is_object() {
            keys(schema, &here["items"], &format!("{path}[]"), within, all);
        }
    }

    #[test]
    fn every_key_of_the_specification_has_a_row_and_every_row_a_key() {
        let schema: Json =
            serde_json::from_str(include_str!("../library/schemas/compose-spec.json")).unwrap();
        let mut specified = BTreeSet::new();
        keys(&schema, &schema, "", &mut Vec::new(), &mut specified);
        for newer in NEWER_THAN_SCHEMA {
            assert!(specified.insert((*newer).to_owned()), "{newer} is in the schema by now");
        }
        let listed: BTreeSet<String> = rows().iter().map(|row| row.key.to_owned()).collect();
        let missing: Vec<_> = specified.difference(&listed).collect();
        let invented: Vec<_> = listed.difference(&specified).collect();
        assert!(missing.is_empty() && invented.is_empty(), "no row: {missing:?}\nno key: {invented:?}");
        assert_eq!((rows().len(), listed.len()), (353, 353));
    }

    fn told(text: &str) -> Vec<String> {
        let disk = Disk::with(&[("/shop/compose.yaml", text)]);
        let loaded = load(&Request::new("/shop", BTreeMap::new()), &disk).unwrap();
        uses(&loaded.project, &loaded.places)
            .iter()
            .map(|used| {
                let line = used.place.as_ref().map_or(0, |place| place.line);
                format!("{line} {} {}", used.path, used.row.support.word())
            })
            .collect()
    }

    #[test]
    fn what_has_no_effect_is_found_where_it_was_written() {
        let text = "services:\n  web:\n    image: i\n    ports:\n      - '80:80'\n      - target: 81\n        name: http\n        mode: host\n    \
                    deploy:\n      mode: replicated\n      labels: {a: b}\n      placement: {constraints: [x], max_replicas_per_node: 1}\n    \
                    pull_refresh_after: 1d\n    volumes:\n      - {type: image, source: i, target: /i}\n    secrets: [s]\n  \
                    off: {image: i, profiles: [p], credential_spec: {file: f}}\nsecrets:\n  s: {file: ./f, labels: [a=b]}\n  \
                    unused: {external: true}\n";
        let mut told = told(text);
        told.sort();
        assert_eq!(
            told,
            [
                "11 services.web.deploy.labels warned",
                "12 services.web.deploy.placement warned",
                "13 services.web.pull_refresh_after warned",
                "15 services.web.volumes[0].type applied",
                "19 secrets.s.labels warned",
                "7 services.web.ports[1].name warned",
                "8 services.web.ports[1].mode warned",
            ]
        );
    }

    #[test]
    fn an_engine_that_is_too_old_is_named_with_what_it_lacks() {
        let find = |key: &str| rows().iter().find(|row| row.key == key).unwrap();
        let used = |key: &str| Use { path: key.to_owned(), row: find(key), place: None };
        let image = used("services.*.volumes[].type");
        assert!(image.lack(48).is_none());
        assert_eq!(
            image.lack(41).unwrap().unwrap_err().message,
            "`services.*.volumes[].type: image` needs engine API 1.48, this engine has 1.41"
        );
        assert!(used("services.*.annotations").lack(41).unwrap().is_ok());
        assert!(used("services.*.annotations").warning().is_none());
    }
}
