//! Tree to [`Project`]: the typed reading of values, as forgiving as the reference is (a number may be written
//! as a text, a mapping as a list of `key=value`), with the place of whatever cannot be read.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, Visitor};

use super::interpolate::boolean;
use super::problem::Problem;
use super::project::Project;
use super::scalar::sprint;
use super::shell_words;
use super::tree::{Mapping, Mark, Node, Value};

/// How often a tree is read again without the value that could not be read.
const MAX_TRIES: usize = 10;

/// Reads a normalised tree. Beside the problems stands the project without what they are about, where there is one.
pub(crate) fn project(mut root: Node, warnings: &mut Vec<Problem>) -> (Option<Project>, Vec<Problem>) {
    let mut problems = Vec::new();
    commands(&mut root, &mut problems);
    extensions(&mut root, &mut Vec::new());
    for _ in 0..MAX_TRIES {
        let told = RefCell::new(Vec::new());
        match Project::deserialize(Reader { node: &root, told: &told }) {
            Ok(project) => {
                warnings.extend(told.into_inner());
                return (Some(project), problems);
            }
            Err(error) => {
                let mark = error.mark.unwrap_or_default();
                problems.push(Problem::new(error.message, mark));
                if !take_away(&mut root, mark) {
                    break;
                }
            }
        }
    }
    (None, problems)
}

/// Takes the single value away that stands at a mark.
fn take_away(node: &mut Node, mark: Mark) -> bool {
    let single = |node: &Node| {
        node.mark == mark && !matches!(node.value, Value::Null | Value::List(_) | Value::Map(_))
    };
    match &mut node.value {
        Value::Map(map) => {
            let found = map.iter().find(|(_, member)| single(member)).map(|(key, _)| key.to_owned());
            match found {
                Some(key) => map.remove(&key).is_some(),
                None => map.iter_mut().any(|(_, member)| take_away(member, mark)),
            }
        }
        Value::List(items) => items.iter_mut().any(|item| {
            let found = single(item);
            if found {
                item.value = Value::Null;
            }
            found || take_away(item, mark)
        }),
        _ => false,
    }
}

/// Reads any tree as a document of any shape.
pub(crate) fn json(root: &Node) -> serde_json::Value {
    let told = RefCell::new(Vec::new());
    serde_json::Value::deserialize(Reader { node: root, told: &told }).unwrap_or_default()
}

/// Splits commands that are written as one text.
fn commands(root: &mut Node, problems: &mut Vec<Problem>) {
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else { return };
    for (name, service) in services.iter_mut() {
        let name = name.to_owned();
        let mut split = |node: Option<&mut Node>, key: &str| {
            let Some(node) = node else { return };
            let Value::Text(text) = &node.value else { return };
            match shell_words::split(text) {
                Ok(words) => {
                    node.value =
                        Value::List(words.into_iter().map(|word| Node::text(word, node.mark)).collect());
                }
                Err(message) => {
                    problems.push(Problem::new(format!("services.{name}.{key}: {message}"), node.mark));
                }
            }
        };
        split(service.get_mut("command"), "command");
        split(service.get_mut("entrypoint"), "entrypoint");
        for hooks in ["post_start", "pre_stop"] {
            if let Some(Node { value: Value::List(list), .. }) = service.get_mut(hooks) {
                for hook in list {
                    split(hook.get_mut("command"), hooks);
                }
            }
        }
        if let Some(Node { value: Value::List(rules), .. }) =
            service.get_mut("develop").and_then(|develop| develop.get_mut("watch"))
        {
            for rule in rules {
                split(rule.get_mut("exec").and_then(|exec| exec.get_mut("command")), "develop.watch.exec");
            }
        }
        if let Some(test) = service.get_mut("healthcheck").and_then(|check| check.get_mut("test"))
            && test.as_text().is_some()
        {
            let command = test.clone();
            test.value = Value::List(vec![Node::text("CMD-SHELL", test.mark), command]);
        }
    }
}

/// Puts `x-` keys aside, except where keys are names that the user chose.
fn extensions(node: &mut Node, path: &mut Vec<String>) {
    match &mut node.value {
        Value::Map(map) => {
            let steps: Vec<&str> = path.iter().map(String::as_str).collect();
            let chosen = matches!(
                steps.as_slice(),
                ["services" | "volumes" | "networks" | "secrets" | "configs"] | ["services", _, "depends_on"]
            );
            if !chosen {
                let names: Vec<String> =
                    map.keys().filter(|key| key.starts_with("x-")).map(str::to_owned).collect();
                let mut aside = Mapping::default();
                for name in names {
                    let mark = map.key_mark(&name);
                    if let Some(value) = map.remove(&name) {
                        aside.insert(name, mark, value);
                    }
                }
                if !aside.is_empty() {
                    map.insert("#extensions", Mark::default(), Node::new(Value::Map(aside), Mark::default()));
                }
            }
            for (key, member) in map.iter_mut().filter(|(key, _)| *key != "#extensions") {
                path.push(key.to_owned());
                extensions(member, path);
                path.pop();
            }
        }
        Value::List(items) => {
            path.push("[]".into());
            items.iter_mut().filter(|item| item.as_map().is_some()).for_each(|item| extensions(item, path));
            path.pop();
        }
        _ => {}
    }
}

/// Why a value could not be read, and the innermost place that is known.
#[derive(Debug)]
struct ReadError {
    message: String,
    mark: Option<Mark>,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), mark: None }
    }
}

impl ReadError {
    fn at(mut self, node: &Node) -> Self {
        self.mark.get_or_insert(node.mark);
        self
    }
}

#[derive(Clone, Copy)]
struct Reader<'t> {
    node: &'t Node,
    told: &'t RefCell<Vec<Problem>>,
}

impl Reader<'_> {
    fn unexpected(self, wanted: &str) -> ReadError {
        let shown = match &self.node.value {
            Value::List(_) | Value::Map(_) | Value::Null => self.node.kind().to_owned(),
            _ => format!("`{}`", sprint(self.node)),
        };
        ReadError { message: format!("expected {wanted}, not {shown}"), mark: Some(self.node.mark) }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the reference cuts the fraction off, too")]
    fn whole(self) -> Result<i64, ReadError> {
        match &self.node.value {
            Value::Null => Ok(0),
            Value::Int(value) => Ok(*value),
            Value::Float(value) => Ok(*value as i64),
            Value::Text(text) => text.parse().map_err(|_| self.unexpected("a whole number")),
            _ => Err(self.unexpected("a whole number")),
        }
    }
}

struct Members<'t, I> {
    entries: I,
    next: Option<Entry<'t>>,
    told: &'t RefCell<Vec<Problem>>,
}

enum Entry<'t> {
    Written(&'t Node),
    Made(Node),
}

impl<'t, I: Iterator<Item = (String, Entry<'t>)>> de::MapAccess<'t> for Members<'t, I> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((key, entry)) = self.entries.next() else { return Ok(None) };
        self.next = Some(entry);
        let key: de::value::StringDeserializer<ReadError> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.next.take() {
            Some(Entry::Written(node)) => {
                seed.deserialize(Reader { node, told: self.told }).map_err(|error| error.at(node))
            }
            Some(Entry::Made(node)) => {
                let mark = node.mark;
                seed.deserialize(Owned { node }).map_err(|mut error| {
                    error.mark.get_or_insert(mark);
                    error
                })
            }
            None => Err(de::Error::custom("a key without a value")),
        }
    }
}

/// A value of a list of `key=value`: a text or nothing.
struct Owned {
    node: Node,
}

impl<'de> de::Deserializer<'de> for Owned {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Text(text) => visitor.visit_string(text),
            _ => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_string(sprint_text(&self.node))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_string(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

fn sprint_text(node: &Node) -> String {
    if node.is_null() { String::new() } else { sprint(node) }
}

struct Items<'t> {
    items: std::slice::Iter<'t, Node>,
    told: &'t RefCell<Vec<Problem>>,
}

impl<'t> de::SeqAccess<'t> for Items<'t> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.items.next() else { return Ok(None) };
        seed.deserialize(Reader { node, told: self.told }).map(Some).map_err(|error| error.at(node))
    }
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Uint(value) => visitor.visit_u64(*value),
            #[allow(clippy::cast_possible_truncation, reason = "whole and in range by the guard")]
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
                visitor.visit_i64(*value as i64)
            }
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Time(text) | Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
        .map_err(|error| error.at(self.node))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Text(text) => match boolean(text, self.node.mark, &mut self.told.borrow_mut()) {
                Some(value) => visitor.visit_bool(value),
                None => Err(self.unexpected("true or false")),
            },
            _ => Err(self.unexpected("true or false")),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_i64(self.whole()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Uint(value) => visitor.visit_u64(value),
            _ => match u64::try_from(self.whole()?) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => Err(self.unexpected("a number that is not negative")),
            },
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            _ => visitor.visit_string(sprint_text(self.node)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let items = match &self.node.value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            Value::Map(_) => return Err(self.unexpected("a list")),
            // One value stands for a list of it.
            _ => std::slice::from_ref(self.node),
        };
        visitor.visit_seq(Items { items: items.iter(), told: self.told })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let told = self.told;
        match &self.node.value {
            Value::Map(map) => {
                let entries = map.iter().map(|(key, node)| (key.to_owned(), Entry::Written(node)));
                visitor.visit_map(Members { entries, next: None, told })
            }
            Value::Null => visitor.visit_map(Members { entries: std::iter::empty(), next: None, told }),
            Value::List(items) => {
                let entries = items.iter().map(|item| {
                    let text = sprint_text(item);
                    match text.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Entry::Made(Node::text(value, item.mark))),
                        None => (text, Entry::Made(Node::null(item.mark))),
                    }
                });
                visitor.visit_map(Members { entries, next: None, told })
            }
            _ => Err(self.unexpected("a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Map(_) | Value::Null => self.deserialize_map(visitor),
            _ => Err(self.unexpected("a mapping")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = sprint_text(self.node);
        let text: StrDeserializer<'_, ReadError> = text.as_str().into_deserializer();
        de::Deserializer::deserialize_identifier(text, visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::documents;
    use super::*;

    fn read(text: &str) -> Result<Project, Vec<Problem>> {
        let (project, problems) = project(documents(text, 0).unwrap().remove(0).root, &mut Vec::new());
        if problems.is_empty() { Ok(project.unwrap()) } else { Err(problems) }
    }

    #[test]
    fn values_are_read_as_forgivingly_as_the_reference_reads_them() {
        let project = read(
            "x-top: 1\nservices:\n  a:\n    command: echo 'a b'\n    entrypoint: null\n    environment: [A=1, B]\n    \
             labels: {n: 1, e: null}\n    mem_limit: 1g\n    tty: 'yes'\n    scale: '2'\n    ulimits: {nofile: 5}\n    \
             healthcheck: {test: true, interval: 90s}\n    dns: 1.1.1.1\n    x-own: [1]\n",
        )
        .unwrap();
        let a = &project.services["a"];
        assert_eq!(a.command.as_deref(), Some(&["echo".to_owned(), "a b".to_owned()][..]));
        assert_eq!(a.entrypoint, None);
        assert_eq!(a.environment["A"].as_deref(), Some("1"));
        assert_eq!(a.environment["B"], None);
        assert_eq!((a.labels["n"].as_str(), a.labels["e"].as_str()), ("1", ""));
        assert_eq!(a.mem_limit.get(), 1 << 30);
        assert!(a.tty);
        assert_eq!(a.scale, Some(2));
        assert_eq!(a.dns, ["1.1.1.1"]);
        assert!(a.extensions.contains_key("x-own") && project.extensions.contains_key("x-top"));
    }

    #[test]
    fn what_cannot_be_read_has_its_place() {
        let problem = read("services:\n  a:\n    stop_grace_period: '10'\n").unwrap_err().remove(0);
        assert_eq!((problem.marks[0].line, problem.marks[0].column), (3, 24));
        let problem = read("services:\n  a:\n    entrypoint: \"'x\"\n").unwrap_err().remove(0);
        assert!(problem.message.contains("invalid command line"));
    }
}
