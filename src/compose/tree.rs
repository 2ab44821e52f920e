//! The tree: what a YAML document says, each value with the place it stands at.
//!
//! Every stage takes a tree and gives a tree; the places go along, so that a mistake that is found in the
//! last stage is still shown in the line that it was made in.

use std::fmt;

use indexmap::IndexMap;

/// Where something stands in one of the files read. Line 0: nowhere (it was made up by a stage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub file: u32,
    pub line: u32,
    pub column: u32,
    pub width: u32,
}

/// A value, typed as go-yaml types it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond [`i64::MAX`].
    Uint(u64),
    Float(f64),
    /// A date or a time, which is not a text and fits nowhere in a compose file but under `x-`.
    Time(String),
    Text(String),
    List(Vec<Node>),
    Map(Mapping),
}

/// A value and its place. Equal when the values are.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub value: Value,
    pub mark: Mark,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    pub(crate) const fn new(value: Value, mark: Mark) -> Self {
        Self { value, mark }
    }

    pub(crate) fn text(text: impl Into<String>, mark: Mark) -> Self {
        Self::new(Value::Text(text.into()), mark)
    }

    pub(crate) const fn null(mark: Mark) -> Self {
        Self::new(Value::Null, mark)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) const fn as_map(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) const fn as_map_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The member `key` of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// The member `key` of a mapping.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(key)
    }

    /// What kind of value it is, in the words of the messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => "a number",
            Value::Time(_) => "a date",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The members of a mapping in the order they were written, each with the place of its key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Mapping(IndexMap<String, Member>);

#[derive(Debug, Clone)]
struct Member {
    key: Mark,
    node: Node,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Mapping {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|member| &member.node)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.get_mut(key).map(|member| &mut member.node)
    }

    /// Where the key itself stands.
    pub(crate) fn key_mark(&self, key: &str) -> Mark {
        self.0.get(key).map(|member| member.key).unwrap_or_default()
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `node` under `key`, in the place of what stood there.
    pub(crate) fn insert(&mut self, key: impl Into<String>, mark: Mark, node: Node) {
        self.0.insert(key.into(), Member { key: mark, node });
    }

    /// Puts a value that nobody wrote under `key`.
    pub(crate) fn set(&mut self, key: &str, node: Node) {
        if let Some(member) = self.0.get_mut(key) {
            member.node = node;
        } else {
            let key_mark = Mark { width: 0, ..node.mark };
            self.insert(key, key_mark, node);
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        self.0.shift_remove(key).map(|member| member.node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(key, member)| (key.as_str(), &member.node))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node)> {
        self.0.iter_mut().map(|(key, member)| (key.as_str(), &mut member.node))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Each member with the place of its key, by value.
    pub(crate) fn into_members(self) -> impl Iterator<Item = (String, Mark, Node)> {
        self.0.into_iter().map(|(key, member)| (key, member.key, member.node))
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str, &mut Node) -> bool) {
        self.0.retain(|key, member| keep(key, &mut member.node));
    }
}

/// The way from the top of the tree to a value. An item of a list is the step `[]`.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    Top,
    Step(&'p Path<'p>, &'p str),
}

impl<'p> Path<'p> {
    /// One step further down.
    pub(crate) const fn to(&'p self, step: &'p str) -> Self {
        Self::Step(self, step)
    }

    /// Whether the path is `pattern`, where `*` stands for any one step.
    pub(crate) fn matches(&self, pattern: &[&str]) -> bool {
        let mut here = self;
        for wanted in pattern.iter().rev() {
            let Self::Step(parent, step) = here else { return false };
            if *wanted != "*" && wanted != step {
                return false;
            }
            here = parent;
        }
        matches!(here, Self::Top)
    }

    /// The path as its steps.
    pub(crate) fn steps(&self) -> Vec<String> {
        let mut steps = match self {
            Self::Top => return Vec::new(),
            Self::Step(parent, _) => parent.steps(),
        };
        if let Self::Step(_, step) = self {
            steps.push((*step).to_owned());
        }
        steps
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Step(Self::Top, step) => f.write_str(step),
            Self::Step(parent, "[]") => write!(f, "{parent}[]"),
            Self::Step(parent, step) => write!(f, "{parent}.{step}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_only_a_pattern_of_its_length() {
        let services = Path::Top.to("services");
        let web = services.to("web");
        let ports = web.to("ports");
        assert!(ports.matches(&["services", "*", "ports"]));
        assert!(!ports.matches(&["services", "*"]));
        assert!(!ports.matches(&["*", "services", "*", "ports"]));
        assert_eq!(ports.to("[]").to_string(), "services.web.ports[]");
        assert_eq!(ports.steps(), ["services", "web", "ports"]);
    }
}
