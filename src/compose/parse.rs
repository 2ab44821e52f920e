//! Text to tree: YAML tokens into nodes, aliases and merge keys followed, `!reset` and `!override` noted.
//!
//! Everything that a hostile or broken file can do to a reader ends here with a message: too large, too deep,
//! aliases that multiply, anchors that contain themselves, characters that no text has.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use super::problem::{Outcome, Problem};
use super::scalar;
use super::scanner::{ScanError, Scanned, Scanner, Spot, Token};
use super::tree::{Mapping, Mark, Node, Path, Value};

const CORE: &str = "tag:yaml.org,2002:";
/// The largest file that is read.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// The deepest nesting; the Compose Specification needs nine levels.
const MAX_DEPTH: usize = 100;
/// How many values a file may hold once its aliases are followed.
const MAX_NODES: usize = 300_000;
/// How much text a file may hold once its aliases are followed.
const MAX_TEXT: usize = 16 << 20;

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
            left_text: MAX_TEXT,
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
        let mut parser = Parser {
            scanner: Scanner::new(text),
            graph: Self::default(),
            anchors: HashMap::new(),
            handles: Vec::new(),
            file,
        };
        match parser.documents() {
            Ok(()) => Ok(parser.graph),
            Err(error) => {
                let mark = parser.mark(error.at, error.at);
                Err(Problem::new(format!("this is not YAML: {}", error.message), Mark { width: 1, ..mark }))
            }
        }
    }
}

/// Tokens into nodes: the grammar of YAML, as libyaml has it.
struct Parser {
    scanner: Scanner,
    graph: Graph,
    anchors: HashMap<String, usize>,
    /// What `%TAG` says handles stand for.
    handles: Vec<(String, String)>,
    file: u32,
}

impl Parser {
    fn mark(&self, start: Spot, end: Spot) -> Mark {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        let width = if start.line == end.line { end.column.saturating_sub(start.column) } else { 1 };
        Mark {
            file: self.file,
            line: number(start.line),
            column: number(start.column),
            width: u32::try_from(width).unwrap_or(u32::MAX),
        }
    }

    fn fail<T>(message: impl Into<String>, at: Spot) -> Scanned<T> {
        Err(ScanError { message: message.into(), at })
    }

    fn next_is(&mut self, tokens: &[Token]) -> Scanned<bool> {
        Ok(tokens.contains(&self.scanner.peek()?.token))
    }

    fn add(&mut self, kind: RawKind, tag: Option<String>, start: Spot, end: Spot) -> Scanned<usize> {
        if self.graph.nodes.len() >= MAX_NODES {
            return Self::fail(format!("the file holds more than {MAX_NODES} values"), start);
        }
        let mark = self.mark(start, end);
        self.graph.nodes.push(Raw { kind, tag, mark });
        Ok(self.graph.nodes.len() - 1)
    }

    fn nothing(&mut self, at: Spot) -> Scanned<usize> {
        self.add(RawKind::Scalar { text: String::new(), plain: true }, None, at, at)
    }

    fn documents(&mut self) -> Scanned<()> {
        let mut first = true;
        loop {
            while !first && self.next_is(&[Token::DocumentEnd])? {
                self.scanner.next()?;
            }
            if self.next_is(&[Token::StreamEnd])? {
                return Ok(());
            }
            self.handles.clear();
            let explicit = self.directives()?;
            if self.next_is(&[Token::DocumentStart])? {
                self.scanner.next()?;
            } else if explicit || !first {
                let at = self.scanner.peek()?.start;
                return Self::fail("did not find expected <document start>", at);
            }
            self.anchors.clear();
            let placed = self.scanner.peek()?.clone();
            let empty = matches!(
                placed.token,
                Token::Version(..)
                    | Token::TagDirective { .. }
                    | Token::DocumentStart
                    | Token::DocumentEnd
                    | Token::StreamEnd
            );
            let root = if empty { self.nothing(placed.start)? } else { self.node(true, false, 0)? };
            self.graph.roots.push(root);
            if self.next_is(&[Token::DocumentEnd])? {
                self.scanner.next()?;
            }
            first = false;
        }
    }

    /// What stands before a document; whether there is anything.
    fn directives(&mut self) -> Scanned<bool> {
        let (mut any, mut versioned) = (false, false);
        loop {
            let placed = self.scanner.peek()?.clone();
            match placed.token {
                Token::Version(..) if versioned => {
                    return Self::fail("found duplicate %YAML directive", placed.start);
                }
                Token::Version(1, 1) => versioned = true,
                Token::Version(..) => {
                    return Self::fail("Compose reads YAML 1.1: leave the %YAML line out", placed.start);
                }
                Token::TagDirective { handle, prefix } => {
                    if self.handles.iter().any(|(known, _)| *known == handle) {
                        return Self::fail("found duplicate %TAG directive", placed.start);
                    }
                    self.handles.push((handle, prefix));
                }
                _ => return Ok(any),
            }
            any = true;
            self.scanner.next()?;
        }
    }

    fn tag(&self, handle: &str, suffix: &str, at: Spot) -> Scanned<Option<String>> {
        let declared = self.handles.iter().find(|(known, _)| known == handle);
        let whole = match (handle, declared) {
            ("", _) => suffix.to_owned(),
            (_, Some((_, prefix))) => format!("{prefix}{suffix}"),
            ("!", None) => format!("!{suffix}"),
            ("!!", None) => format!("{CORE}{suffix}"),
            _ => return Self::fail("found undefined tag handle", at),
        };
        Ok(match whole.strip_prefix(CORE) {
            _ if whole == "!" => None,
            Some(core) => Some(core.to_owned()),
            None if whole.starts_with('!') => Some(whole),
            None => Some(format!("!{whole}")),
        })
    }

    /// One node. `block`: a block may begin here; `indentless`: a list may begin at the column of its key.
    fn node(&mut self, block: bool, indentless: bool, depth: usize) -> Scanned<usize> {
        let begin = self.scanner.peek()?.start;
        if depth > MAX_DEPTH {
            return Self::fail(format!("nested more than {MAX_DEPTH} levels deep"), begin);
        }
        let (mut anchor, mut tag, mut tagged) = (None, None, false);
        loop {
            let placed = self.scanner.peek()?.clone();
            match placed.token {
                Token::Alias(name) if anchor.is_none() && !tagged => {
                    self.scanner.next()?;
                    let Some(target) = self.anchors.get(&name).copied() else {
                        return Self::fail(
                            format!("there is no anchor `{name}` before this alias"),
                            placed.start,
                        );
                    };
                    return self.add(RawKind::Alias(target), None, placed.start, placed.end);
                }
                Token::Anchor(name) if anchor.is_none() => anchor = Some(name),
                Token::Tag { handle, suffix } if !tagged => {
                    tag = self.tag(&handle, &suffix, placed.start)?;
                    tagged = true;
                }
                _ => break,
            }
            self.scanner.next()?;
        }
        let placed = self.scanner.peek()?.clone();
        let one = Spot { column: placed.start.column + 1, index: placed.start.index + 1, ..placed.start };
        let (kind, end) = match &placed.token {
            Token::Scalar { text, plain } => (
                RawKind::Scalar { text: text.clone(), plain: *plain && !(tagged && tag.is_none()) },
                placed.end,
            ),
            Token::BlockEntry if indentless => (RawKind::List(Vec::new()), one),
            Token::FlowSequenceStart => (RawKind::List(Vec::new()), one),
            Token::BlockSequenceStart if block => (RawKind::List(Vec::new()), one),
            Token::FlowMappingStart => (RawKind::Map(Vec::new()), one),
            Token::BlockMappingStart if block => (RawKind::Map(Vec::new()), one),
            _ if anchor.is_some() || tagged => {
                let number =
                    self.add(RawKind::Scalar { text: String::new(), plain: true }, tag, begin, begin)?;
                self.anchors.extend(anchor.map(|name| (name, number)));
                return Ok(number);
            }
            _ => return Self::fail("did not find expected node content", placed.start),
        };
        let number = self.add(kind, tag, placed.start, end)?;
        self.anchors.extend(anchor.map(|name| (name, number)));
        let kind = match placed.token {
            Token::BlockEntry => RawKind::List(self.indentless(depth)?),
            Token::FlowSequenceStart => RawKind::List(self.flow_list(depth)?),
            Token::BlockSequenceStart => RawKind::List(self.block_list(depth)?),
            Token::FlowMappingStart => RawKind::Map(self.flow_map(depth)?),
            Token::BlockMappingStart => RawKind::Map(self.block_map(depth)?),
            _ => {
                self.scanner.next()?;
                return Ok(number);
            }
        };
        self.graph.nodes[number].kind = kind;
        Ok(number)
    }

    fn block_list(&mut self, depth: usize) -> Scanned<Vec<usize>> {
        self.scanner.next()?;
        let mut items = Vec::new();
        loop {
            let placed = self.scanner.next()?;
            match placed.token {
                Token::BlockEntry if self.next_is(&[Token::BlockEntry, Token::BlockEnd])? => {
                    items.push(self.nothing(placed.end)?);
                }
                Token::BlockEntry => items.push(self.node(true, false, depth + 1)?),
                Token::BlockEnd => return Ok(items),
                _ => return Self::fail("did not find expected '-' indicator", placed.start),
            }
        }
    }

    fn indentless(&mut self, depth: usize) -> Scanned<Vec<usize>> {
        let mut items = Vec::new();
        while self.next_is(&[Token::BlockEntry])? {
            let placed = self.scanner.next()?;
            let empty = [Token::BlockEntry, Token::Key, Token::Value, Token::BlockEnd];
            items.push(if self.next_is(&empty)? {
                self.nothing(placed.end)?
            } else {
                self.node(true, false, depth + 1)?
            });
        }
        Ok(items)
    }

    fn block_map(&mut self, depth: usize) -> Scanned<Vec<(usize, usize)>> {
        self.scanner.next()?;
        let empty = [Token::Key, Token::Value, Token::BlockEnd];
        let mut pairs = Vec::new();
        loop {
            let placed = self.scanner.peek()?.clone();
            let key = match placed.token {
                Token::Key => {
                    self.scanner.next()?;
                    if self.next_is(&empty)? {
                        self.nothing(placed.end)?
                    } else {
                        self.node(true, true, depth + 1)?
                    }
                }
                Token::BlockEnd => {
                    self.scanner.next()?;
                    return Ok(pairs);
                }
                _ => return Self::fail("did not find expected key", placed.start),
            };
            let placed = self.scanner.peek()?.clone();
            let value = if placed.token == Token::Value {
                self.scanner.next()?;
                if self.next_is(&empty)? {
                    self.nothing(placed.end)?
                } else {
                    self.node(true, true, depth + 1)?
                }
            } else {
                self.nothing(placed.start)?
            };
            pairs.push((key, value));
        }
    }

    fn flow_list(&mut self, depth: usize) -> Scanned<Vec<usize>> {
        self.scanner.next()?;
        let mut items = Vec::new();
        loop {
            if !items.is_empty() && !self.next_is(&[Token::FlowSequenceEnd])? {
                let placed = self.scanner.next()?;
                if placed.token != Token::FlowEntry {
                    return Self::fail("did not find expected ',' or ']'", placed.start);
                }
            }
            let placed = self.scanner.peek()?.clone();
            match placed.token {
                Token::FlowSequenceEnd => {
                    self.scanner.next()?;
                    return Ok(items);
                }
                // `[a: b]` is a list of a mapping.
                Token::Key => {
                    let number = self.add(RawKind::Map(Vec::new()), None, placed.start, placed.start)?;
                    self.scanner.next()?;
                    let ends = [Token::Value, Token::FlowEntry, Token::FlowSequenceEnd];
                    let pair = self.flow_pair(&ends, placed.end, depth + 1)?;
                    self.graph.nodes[number].kind = RawKind::Map(vec![pair]);
                    items.push(number);
                }
                _ => items.push(self.node(false, false, depth + 1)?),
            }
        }
    }

    /// A key whose token was read, and its value.
    fn flow_pair(&mut self, ends: &[Token], at: Spot, depth: usize) -> Scanned<(usize, usize)> {
        let key = if self.next_is(ends)? { self.nothing(at)? } else { self.node(false, false, depth)? };
        Ok((key, self.flow_value(ends, depth)?))
    }

    fn flow_value(&mut self, ends: &[Token], depth: usize) -> Scanned<usize> {
        let placed = self.scanner.peek()?.clone();
        if placed.token != Token::Value {
            return self.nothing(placed.start);
        }
        self.scanner.next()?;
        if self.next_is(&ends[1..])? { self.nothing(placed.end) } else { self.node(false, false, depth) }
    }

    fn flow_map(&mut self, depth: usize) -> Scanned<Vec<(usize, usize)>> {
        self.scanner.next()?;
        let ends = [Token::Value, Token::FlowEntry, Token::FlowMappingEnd];
        let mut pairs = Vec::new();
        loop {
            if !pairs.is_empty() && !self.next_is(&[Token::FlowMappingEnd])? {
                let placed = self.scanner.next()?;
                if placed.token != Token::FlowEntry {
                    return Self::fail("did not find expected ',' or '}'", placed.start);
                }
            }
            let placed = self.scanner.peek()?.clone();
            match placed.token {
                Token::FlowMappingEnd => {
                    self.scanner.next()?;
                    return Ok(pairs);
                }
                Token::Key => {
                    self.scanner.next()?;
                    pairs.push(self.flow_pair(&ends, placed.end, depth + 1)?);
                }
                // A key without a value.
                _ => {
                    let key = self.node(false, false, depth + 1)?;
                    let at = self.scanner.peek()?.start;
                    pairs.push((key, self.nothing(at)?));
                }
            }
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
    /// How much more text they may hold.
    left_text: usize,
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
        if let RawKind::Scalar { text, .. } = &raw.kind {
            let Some(left) = self.left_text.checked_sub(text.len()) else {
                self.left = 0;
                return self.node(number, path, reading, depth);
            };
            self.left_text = left;
        }
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
        assert!(problem(&deep).message.contains("levels deep"), "{}", problem(&deep).message);
        let lines: Vec<String> = (0..200).map(|i| format!("{}a:", " ".repeat(i))).collect();
        let deep = lines.join("\n");
        assert!(problem(&deep).message.contains("levels deep"), "{}", problem(&deep).message);
        let mut bomb = vec!["a0: &a0 [x,x,x,x,x,x,x,x,x,x]".to_owned()];
        bomb.extend((1..12).map(|i| format!("a{i}: &a{i} [{}]", format!("*a{},", i - 1).repeat(10))));
        assert!(problem(&bomb.join("\n")).message.contains("multiply"));
        assert!(decode(b"a: \xff".to_vec(), 0).unwrap_err()[0].message.contains("UTF-8"));
        assert!(decode(b"a: \0".to_vec(), 0).unwrap_err()[0].message.contains("U+0000"));
        assert!(decode(vec![b' '; MAX_BYTES + 1], 0).unwrap_err()[0].message.contains("too large"));
        assert_eq!(decode(b"\xef\xbb\xbfa: 1".to_vec(), 0).unwrap(), "a: 1");
        assert_eq!(decode(b"\xff\xfea\0".to_vec(), 0).unwrap(), "a");
    }

    #[test]
    fn what_people_write_is_read_though_yaml_forbids_it() {
        for text in [
            "a:\n  b: [\n    x,\n  ]\n",
            "a:\n  b: [\n    x,\n]\n",
            "a:\n  b: [x, # why\n  y]\n",
            "a:\n  b: \"x\"# why\n",
            "a:\n  b: \"x\n y\"\n",
            "a:\tb\n",
            "a: [\tb, -,\n\tc]\n",
            "a:\n- b\n- c\n",
            "%YAML 1.1\n---\na: b\n...\n",
        ] {
            assert!(documents(text, 0).is_ok(), "{text}");
        }
        for (text, message) in [
            ("a:\n  b: c\n\t\n  d: e\n", "a tab"),
            ("a: b: c\n", "mapping values"),
            ("a:\n   b: c\n  d: e\n", "expected key"),
            ("a: b\nc\n", "expected ':'"),
            ("a: \"b\n", "not closed"),
            ("a: @b\n", "cannot start"),
            ("a: [x?y]\n", "expected ',' or ']'"),
            ("%YAML 1.2\n---\na: b\n", "YAML 1.1"),
            ("a: \"\\d\"\n", "no escape"),
        ] {
            assert!(problem(text).message.contains(message), "{text}{}", problem(text).message);
        }
    }

    #[test]
    fn scalars_fold_as_they_should() {
        for (text, value) in [
            ("a: b\n  c\n\n  d\n", "b c\nd"),
            ("a: |\n  b\n   c\n\n", "b\n c\n"),
            ("a: |+\n  b\n\n", "b\n\n"),
            ("a: >-\n  b\n  c\n\n  d\n", "b c\nd"),
            ("a: |2\n   b\n", " b\n"),
            ("a: \"b \\\n  c\\td\"\n", "b c\td"),
            ("a: 'it''s\n\n  d'\n", "it's\nd"),
            ("a: b#c #d\r\n", "b#c"),
        ] {
            assert_eq!(read(text).root.get("a").unwrap().value, Value::Text(value.into()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_stops_the_reader(text in "[ab:,\\[\\]{}&*!|>'\"%@#?\\-\\\\ \t\r\n~<.1]{0,60}") {
            let _ = documents(&text, 0);
        }
    }
}
