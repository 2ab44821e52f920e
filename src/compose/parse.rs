//! Text to tree: YAML events into nodes, aliases and merge keys followed, `!reset` and `!override` noted.
//!
//! Everything that a hostile or broken file can do to a reader ends here with a message: too large, too deep,
//! aliases that multiply, anchors that contain themselves, characters that no text has.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::{Outcome, Problem};
use super::scalar;
use super::tree::{Mapping, Mark, Node, Path, Value};

/// The largest file that is read.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// The deepest nesting; the Compose Specification needs nine levels.
const MAX_DEPTH: usize = 100;
/// How many values a file may hold once its aliases are followed.
const MAX_NODES: usize = 300_000;

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    pub root: Node,
    /// Paths that a `!reset` or `!override` takes away from what came before.
    pub resets: Vec<Vec<String>>,
}

/// The bytes of a file as text.
pub(crate) fn decode(bytes: Vec<u8>, file: u32) -> Outcome<String> {
    let at = |text: &str, problem: &str| {
        let line = u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1);
        let column = text.rsplit('\n').next().map_or(0, |l| l.chars().count());
        let column = u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1);
        Err(vec![Problem::new(problem, Mark { file, line, column, width: 1 })])
    };
    if bytes.len() > MAX_BYTES {
        let size = bytes.len() >> 20;
        return at(
            "",
            &format!(
                "the file is too large to be a compose file: {size} MiB, at most {} MiB are read",
                MAX_BYTES >> 20
            ),
        );
    }
    let text = match bytes.get(..2) {
        Some([0xFF, 0xFE]) => utf16(&bytes[2..], u16::from_le_bytes),
        Some([0xFE, 0xFF]) => utf16(&bytes[2..], u16::from_be_bytes),
        _ => match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
                return at(&text, "the file is not valid UTF-8 from here on");
            }
        },
    };
    let Some(text) = text else { return at("", "the file is not valid UTF-16") };
    let text = text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text);
    let printable = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}' | '\u{10000}'..);
    if let Some((position, bad)) = text.char_indices().find(|(_, c)| !printable(*c)) {
        return at(
            &text[..position],
            &format!("control characters are not allowed, here is U+{:04X}", bad as u32),
        );
    }
    Ok(text)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    String::from_utf16(&bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect::<Vec<_>>()).ok()
}

/// Reads every document of a file.
pub(crate) fn documents(text: &str, file: u32) -> Outcome<Vec<Document>> {
    let graph = Graph::read(text, file).map_err(|problem| vec![problem])?;
    let mut documents = Vec::new();
    for root in &graph.roots {
        let mut reader = Reader {
            graph: &graph,
            open: Vec::new(),
            left: MAX_NODES,
            resets: Vec::new(),
            followed: HashMap::new(),
            problems: Vec::new(),
        };
        let node = reader.node(*root, &Path::Top, Reading::Original, 0);
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        let node = node.unwrap_or(Node::null(Mark { file, line: 1, column: 1, width: 0 }));
        documents.push(Document { root: node, resets: reader.resets });
    }
    Ok(documents)
}

/// A node as written: aliases not followed, scalars not resolved.
struct Raw {
    kind: RawKind,
    tag: Option<String>,
    mark: Mark,
}

enum RawKind {
    Scalar { text: String, plain: bool },
    List(Vec<usize>),
    Map(Vec<(usize, usize)>),
    Alias(usize),
}

/// All nodes of a file, by number.
#[derive(Default)]
struct Graph {
    nodes: Vec<Raw>,
    roots: Vec<usize>,
}

impl Graph {
    fn read(text: &str, file: u32) -> Result<Self, Problem> {
        let mark = |span: Span, width: usize| Mark {
            file,
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col()).unwrap_or(u32::MAX).saturating_add(1),
            width: u32::try_from(width).unwrap_or(u32::MAX),
        };
        let mut graph = Self::default();
        let mut anchors: HashMap<usize, usize> = HashMap::new();
        // The collections that are open, each with its members so far.
        let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let at = error.marker();
                let line = u32::try_from(at.line()).unwrap_or(u32::MAX);
                let column = u32::try_from(at.col()).unwrap_or(u32::MAX).saturating_add(1);
                Problem::new(
                    format!("this is not YAML: {}", error.info()),
                    Mark { file, line, column, width: 1 },
                )
            })?;
            let width = if span.start.line() == span.end.line() { span.len() } else { 1 };
            let tag = |tag: Option<std::borrow::Cow<'_, saphyr_parser::Tag>>| {
                tag.map(|tag| {
                    if tag.is_yaml_core_schema() { tag.suffix.clone() } else { format!("!{}", tag.suffix) }
                })
            };
            let (anchor, raw, opens) = match event {
                Event::Scalar(text, style, anchor, scalar_tag) => {
                    let plain = style == ScalarStyle::Plain;
                    let kind = RawKind::Scalar { text: text.into_owned(), plain };
                    (anchor, Raw { kind, tag: tag(scalar_tag), mark: mark(span, width) }, false)
                }
                Event::SequenceStart(anchor, list_tag) => (
                    anchor,
                    Raw { kind: RawKind::List(Vec::new()), tag: tag(list_tag), mark: mark(span, 1) },
                    true,
                ),
                Event::MappingStart(anchor, map_tag) => (
                    anchor,
                    Raw { kind: RawKind::Map(Vec::new()), tag: tag(map_tag), mark: mark(span, 1) },
                    true,
                ),
                Event::Alias(id) => {
                    let Some(target) = anchors.get(&id) else {
                        return Err(Problem::new("there is no anchor of this name", mark(span, width)));
                    };
                    (0, Raw { kind: RawKind::Alias(*target), tag: None, mark: mark(span, width) }, false)
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    graph.close(&mut open);
                    continue;
                }
                _ => continue,
            };
            if graph.nodes.len() >= MAX_NODES {
                return Err(Problem::new(format!("the file holds more than {MAX_NODES} values"), raw.mark));
            }
            if open.len() >= MAX_DEPTH {
                return Err(Problem::new(format!("nested more than {MAX_DEPTH} levels deep"), raw.mark));
            }
            let number = graph.nodes.len();
            graph.nodes.push(raw);
            if anchor > 0 {
                anchors.insert(anchor, number);
            }
            match open.last_mut() {
                Some((_, members)) => members.push(number),
                None => graph.roots.push(number),
            }
            if opens {
                open.push((number, Vec::new()));
            }
        }
        Ok(graph)
    }

    fn close(&mut self, open: &mut Vec<(usize, Vec<usize>)>) {
        let Some((number, members)) = open.pop() else { return };
        match &mut self.nodes[number].kind {
            RawKind::List(items) => *items = members,
            RawKind::Map(pairs) => *pairs = members.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(),
            _ => {}
        }
    }
}

/// Whether a node is read where it is written. The reference takes a `!reset` out of the document when it
/// meets it, so one inside an anchor is noted where it is written and not again where an alias repeats it.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Original,
    /// The node that an alias names.
    Repeated,
    /// A node further inside.
    InsideRepeated,
}

/// Follows aliases and merge keys from the top of one document.
struct Reader<'g> {
    graph: &'g Graph,
    /// The nodes that are being read, outermost first: to meet one again is a cycle.
    open: Vec<usize>,
    /// How many more values may be made.
    left: usize,
    resets: Vec<Vec<String>>,
    /// The paths at which each anchor was followed.
    followed: HashMap<usize, BTreeSet<String>>,
    problems: Vec<Problem>,
}

fn in_different_services(one: &str, other: &str) -> bool {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('.').collect(), other.split('.').collect());
    one.windows(2)
        .zip(other.windows(2))
        .find(|(a, b)| a[0] == "services" && b[0] == "services")
        .is_some_and(|(a, b)| a[1] != b[1])
}

impl Reader<'_> {
    /// The node, or nothing when it is reset.
    fn node(&mut self, number: usize, path: &Path<'_>, reading: Reading, depth: usize) -> Option<Node> {
        let raw = &self.graph.nodes[number];
        if self.problems.len() > 50 {
            return None;
        }
        if self.left == 0 || depth > MAX_DEPTH {
            if self.problems.is_empty() {
                let what = "the aliases of this file multiply into too many values";
                self.problems.push(Problem::new(what, raw.mark));
            }
            return None;
        }
        self.left -= 1;
        if let RawKind::Alias(target) = raw.kind {
            if self.open.contains(&target) || self.circles(target, path) {
                self.problems.push(
                    Problem::new("this alias contains itself: its anchor is not closed yet", raw.mark)
                        .also(self.graph.nodes[target].mark),
                );
                return None;
            }
            return self.node(target, path, Reading::Repeated, depth + 1);
        }
        match raw.tag.as_deref() {
            Some("!reset") => {
                if reading != Reading::InsideRepeated {
                    self.note_reset(path);
                }
                return None;
            }
            Some("!override") => self.note_reset(path),
            _ => {}
        }
        let inner = if reading == Reading::Original { reading } else { Reading::InsideRepeated };
        self.open.push(number);
        let value = match &raw.kind {
            RawKind::Scalar { text, plain } => self.scalar(text, *plain, raw),
            RawKind::List(items) => Value::List(
                items.iter().filter_map(|item| self.node(*item, &path.to("[]"), inner, depth + 1)).collect(),
            ),
            RawKind::Map(pairs) => Value::Map(self.mapping(pairs, path, inner, depth)),
            RawKind::Alias(_) => Value::Null,
        };
        self.open.pop();
        Some(Node::new(value, raw.mark))
    }

    /// Whether the reference takes this use of an anchor for a cycle: one path to it lies within another. It
    /// does so even where `a` and `a.b` are but two services beside each other.
    fn circles(&mut self, target: usize, path: &Path<'_>) -> bool {
        let here = path.steps().join(".");
        let known = self.followed.entry(target).or_default();
        let further = format!("{here}.");
        let inner = known.range::<str, _>((Bound::Excluded(&*further), Bound::Unbounded)).next();
        let below = inner.filter(|other| other.starts_with(&further));
        let above = here.match_indices('.').find_map(|(end, _)| known.get(&here[..end]));
        let found = below.or(above).is_some_and(|other| !in_different_services(&here, other));
        known.insert(here);
        found
    }

    /// Resets reach members of mappings; in a list there is nothing for them to find.
    fn note_reset(&mut self, path: &Path<'_>) {
        let steps = path.steps();
        if !steps.iter().any(|step| step == "[]") {
            self.resets.push(steps);
        }
    }

    fn scalar(&mut self, text: &str, plain: bool, raw: &Raw) -> Value {
        match raw.tag.as_deref() {
            Some(tag) if !tag.starts_with('!') => match scalar::tagged(text, tag) {
                Ok(value) => value,
                Err(message) => {
                    self.problems.push(Problem::new(message, raw.mark));
                    Value::Null
                }
            },
            None if plain => scalar::plain(text),
            // Quotes make a text of what they hold, and so does a tag that YAML does not know.
            _ => Value::Text(text.to_owned()),
        }
    }

    fn mapping(
        &mut self,
        pairs: &[(usize, usize)],
        path: &Path<'_>,
        reading: Reading,
        depth: usize,
    ) -> Mapping {
        let mut map = Mapping::default();
        let mut merged: Vec<usize> = Vec::new();
        let mut written: HashMap<&str, Mark> = HashMap::new();
        for (key, value) in pairs {
            let mut key = &self.graph.nodes[*key];
            if let RawKind::Alias(target) = key.kind {
                key = &self.graph.nodes[target];
            }
            let RawKind::Scalar { text, plain } = &key.kind else {
                self.problems.push(Problem::new("a key must be a text, not a list or a mapping", key.mark));
                continue;
            };
            if let Some(first) = written.insert(text, key.mark) {
                let line = first.line;
                let message = format!("mapping key \"{text}\" already defined at line {line}");
                self.problems.push(Problem::new(message, key.mark).also(first));
                continue;
            }
            if *plain && text == "<<" && key.tag.is_none() {
                merged.push(*value);
                continue;
            }
            let resolved =
                if *plain && key.tag.is_none() { scalar::plain(text) } else { Value::Text(text.clone()) };
            if !matches!(resolved, Value::Text(_)) {
                let place =
                    if matches!(path, Path::Top) { "at the top".to_owned() } else { format!("in {path}") };
                self.problems.push(
                    Problem::new(format!("non-string key {place}: {text}"), key.mark)
                        .hint(format!("write it in quotes: \"{text}\"")),
                );
                continue;
            }
            if let Some(node) = self.node(*value, &path.to(text), reading, depth + 1) {
                map.insert(text.clone(), key.mark, node);
            }
        }
        for value in merged {
            self.merge(&mut map, value, path, reading, depth);
        }
        map
    }

    /// Takes the members of a merge key that the mapping does not have itself.
    fn merge(&mut self, map: &mut Mapping, value: usize, path: &Path<'_>, reading: Reading, depth: usize) {
        let mark = self.graph.nodes[value].mark;
        let before = self.problems.len();
        let Some(node) = self.node(value, path, reading, depth + 1) else { return };
        let sources = match node.value {
            Value::Map(_) => vec![node],
            Value::List(items) if items.iter().all(|item| item.as_map().is_some()) => items,
            _ if self.problems.len() > before => return,
            _ => {
                let message = "map merge requires map or sequence of maps as the value";
                self.problems.push(Problem::new(message, mark));
                return;
            }
        };
        for source in sources {
            let Value::Map(source) = source.value else { continue };
            for (key, mark, node) in source.into_members() {
                if !map.contains(&key) {
                    map.insert(key, mark, node);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        documents(text, 0).unwrap().remove(0)
    }

    fn problem(text: &str) -> Problem {
        documents(text, 0).unwrap_err().remove(0)
    }

    #[test]
    fn a_value_knows_its_place() {
        let document = read("services:\n  web:\n    image: nginx\n");
        let image =
            document.root.get("services").and_then(|s| s.get("web")).and_then(|w| w.get("image")).unwrap();
        assert_eq!(image.mark, Mark { file: 0, line: 3, column: 12, width: 5 });
    }

    #[test]
    fn merge_keys_yield_to_what_is_written() {
        let document = read("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  b: 5\n  <<: [*x, *y]\n");
        let z = document.root.get("z").unwrap();
        let numbers: Vec<_> = ["a", "b", "c"].iter().map(|k| z.get(k).unwrap().value.clone()).collect();
        assert_eq!(numbers, [Value::Int(1), Value::Int(5), Value::Int(4)]);
    }

    #[test]
    fn reset_takes_the_value_away_and_is_noted() {
        let document = read("a:\n  b: !reset null\n  c: !override [1]\n");
        assert!(document.root.get("a").unwrap().get("b").is_none());
        assert_eq!(document.resets, [vec!["a", "b"], vec!["a", "c"]]);
    }

    #[test]
    fn every_way_to_hurt_a_reader_has_its_message() {
        for (text, message) in [
            ("a: 1\na: 2\n", "already defined at line 1"),
            ("1: a\n", "non-string key"),
            ("a: &a [*a]\n", "contains itself"),
            ("a: *nope\n", "nope"),
            ("a: [\n", "not YAML"),
            ("<<: 1\n", "map merge requires"),
        ] {
            let problem = problem(text);
            assert!(problem.message.contains(message) || message == "nope", "{}", problem.message);
        }
        let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(problem(&deep).message.contains("recursion limit"), "{}", problem(&deep).message);
        let deep = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>();
        assert!(problem(&deep).message.contains("levels deep"), "{}", problem(&deep).message);
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let item = format!("*a{},", i - 1).repeat(10);
            bomb.push_str(&format!("a{i}: &a{i} [{item}]\n"));
        }
        assert!(problem(&bomb).message.contains("multiply"));
        assert!(decode(b"a: \xff".to_vec(), 0).unwrap_err()[0].message.contains("UTF-8"));
        assert!(decode(b"a: \0".to_vec(), 0).unwrap_err()[0].message.contains("U+0000"));
        assert!(decode(vec![b' '; MAX_BYTES + 1], 0).unwrap_err()[0].message.contains("too large"));
        assert_eq!(decode(b"\xef\xbb\xbfa: 1".to_vec(), 0).unwrap(), "a: 1");
        assert_eq!(decode(b"\xff\xfea\0".to_vec(), 0).unwrap(), "a");
    }
}
