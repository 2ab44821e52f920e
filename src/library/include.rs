//! Small edits of a compose file's text: one line under `include:`, or the name. All else stays as the user
//! wrote it, comments and layout too; what cannot be edited safely is refused with the lines to write.
//!
//! An edit is believed only after its result was read again and found to differ in nothing but what was meant.

use std::ops::Range;
use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::base::{Failure, Kind, Place};

/// How deep a file may nest.
const MAX_DEPTH: usize = 100;

/// A compose file's text and where the parts of it stand that can be edited.
#[derive(Debug)]
pub struct ComposeText<'t> {
    path: &'t Path,
    text: &'t str,
    root: Vec<(Node, Node)>,
    flow: bool,
}

#[derive(Debug, Clone)]
struct Node {
    /// Bytes, from its first to behind its last character; empty for an empty value.
    span: Range<usize>,
    kind: Shape,
    /// It has an anchor or a tag.
    decorated: bool,
}

#[derive(Debug, Clone)]
enum Shape {
    Scalar(String),
    List { items: Vec<Node>, flow: bool },
    Map { members: Vec<(Node, Node)>, flow: bool },
    Alias(usize),
}

impl Node {
    fn text(&self) -> Option<&str> {
        match &self.kind {
            Shape::Scalar(text) => Some(text),
            _ => None,
        }
    }

    fn is_empty(&self) -> bool {
        !self.decorated && self.span.is_empty() && self.text().is_some()
    }

    /// Whether this item of `include` is the file.
    fn includes(&self, file: &str) -> bool {
        let same = |node: &Node| node.text().is_some_and(|text| bare(text) == bare(file));
        match &self.kind {
            Shape::Scalar(_) => same(self),
            Shape::Map { members, .. } => {
                members.iter().any(|(key, value)| key.text() == Some("path") && value.includes(file))
            }
            Shape::List { items, .. } => items.iter().any(same),
            Shape::Alias(_) => false,
        }
    }

    /// Whether it includes the file and nothing else.
    fn is_only(&self, file: &str) -> bool {
        let alone = match &self.kind {
            Shape::Map { members, .. } => members.iter().all(|(key, value)| match &value.kind {
                Shape::List { items, .. } if key.text() == Some("path") => items.len() == 1,
                _ => true,
            }),
            _ => true,
        };
        alone && self.includes(file)
    }

    /// The same values, wherever they stand.
    fn same(&self, other: &Self) -> bool {
        let all = |a: &[Node], b: &[Node]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b));
        match (&self.kind, &other.kind) {
            (Shape::Scalar(a), Shape::Scalar(b)) => a == b,
            (Shape::List { items: a, .. }, Shape::List { items: b, .. }) => all(a, b),
            (Shape::Map { members: a, .. }, Shape::Map { members: b, .. }) => same_members(a, b),
            (Shape::Alias(a), Shape::Alias(b)) => a == b,
            _ => false,
        }
    }
}

fn same_members(a: &[(Node, Node)], b: &[(Node, Node)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k.same(l) && v.same(w))
}

fn bare(path: &str) -> &str {
    path.strip_prefix("./").unwrap_or(path)
}

impl<'t> ComposeText<'t> {
    /// Reads the text of the file at `path`.
    pub fn read(path: &'t Path, text: &'t str) -> Result<Self, Failure> {
        let mut reader = Reader::new(text);
        // The loader reads more than the YAML parser here does, which follows YAML 1.2 to the letter.
        let (root, flow) = reader.root().map_err(|(message, at)| {
            let message = format!("this compose file cannot be edited safely: {message}");
            Failure::new(Kind::Files, message).at(Place::in_text(path, text, &at)).hint(
                "if `devenv config` reads it, do what you want done under `include` by hand, then give the command again",
            )
        })?;
        Ok(Self { path, text, root, flow })
    }

    /// The project's name, as it is written.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.value("name").and_then(Node::text)
    }

    /// Whether a file is included.
    #[must_use]
    pub fn includes(&self, file: &str) -> bool {
        self.items().iter().any(|item| item.includes(file))
    }

    /// The text with `name: NAME`.
    pub fn with_name(&self, name: &str) -> Result<String, Failure> {
        if let Some((key, value)) = self.member("name") {
            if value.text() == Some(name) {
                return Ok(self.text.to_owned());
            }
            let place = Place::in_text(self.path, self.text, &(key.span.start..value.span.end));
            return Err(Failure::new(Kind::Conflict, "the project has another name already")
                .at(place)
                .hint(format!("write `name: {name}` there, or leave --name away")));
        }
        let line = format!("name: {name}");
        if self.flow {
            return Err(self.refusal(&line));
        }
        let at = self.root.first().map_or(self.text.len(), |(key, _)| self.line_start(key.span.start));
        let newline = self.newline();
        let longer = self.spliced(at..at, &format!("{line}{newline}{newline}"));
        self.proven(longer, &line, |after| after.name() == Some(name), "name")
    }

    /// The text with one more included file.
    pub fn with_include(&self, file: &str) -> Result<String, Failure> {
        if self.includes(file) {
            return Ok(self.text.to_owned());
        }
        let advice = format!("include:\n  - {file}");
        let newline = self.newline();
        let longer = match self.member("include") {
            None if self.flow => None,
            None => {
                let at = self.before_services();
                let gap = if at < self.text.len() { newline } else { "" };
                let break_before = if at > 0 && !self.text[..at].ends_with('\n') { newline } else { "" };
                Some(
                    self.spliced(at..at, &format!("{break_before}include:{newline}  - {file}{newline}{gap}")),
                )
            }
            Some((key, value)) => self.appended(key, value, file),
        };
        let longer = longer.ok_or_else(|| self.refusal(&advice))?;
        let count = self.items().len();
        let meant = |after: &ComposeText<'_>| after.includes(file) && after.items().len() == count + 1;
        self.proven(longer, &advice, meant, "include")
    }

    /// The text without an included file.
    pub fn without_include(&self, file: &str) -> Result<String, Failure> {
        let items = self.items();
        let Some(index) = items.iter().position(|item| item.includes(file)) else {
            return Ok(self.text.to_owned());
        };
        let advice = format!("take {file} out of `include`");
        let item = &items[index];
        let shorter = match self.member("include") {
            Some((key, _)) if item.is_only(file) && !self.flow => Some(self.taken_out(key, items, index)),
            _ => None,
        };
        let shorter = shorter.ok_or_else(|| self.refusal(&advice))?;
        self.proven(shorter, &advice, |after| !after.includes(file), "include")
    }

    fn appended(&self, key: &Node, value: &Node, file: &str) -> Option<String> {
        let newline = self.newline();
        match &value.kind {
            _ if value.decorated => None,
            Shape::Scalar(_) if value.is_empty() => {
                let at = self.line_end(key.span.end);
                Some(self.spliced(at..at, &format!("{newline}  - {file}")))
            }
            Shape::List { items, flow: true } => Some(match items.last() {
                Some(last) => self.spliced(last.span.end..last.span.end, &format!(", {file}")),
                None => self.spliced(value.span.start + 1..value.span.start + 1, file),
            }),
            Shape::List { items, flow: false } => {
                let last = items.last()?;
                let indent = self.dash(items.first()?)?;
                let at = self.line_end(last.span.end);
                Some(self.spliced(at..at, &format!("{newline}{indent}- {file}")))
            }
            _ => None,
        }
    }

    fn taken_out(&self, key: &Node, items: &[Node], index: usize) -> String {
        let item = &items[index];
        if items.len() == 1 {
            let end = self.value("include").map_or(item.span.end, |value| value.span.end);
            let mut range = self.line_start(key.span.start)..self.past_newline(end);
            // The gap to what follows, which `with_include` leaves too.
            if self.text[range.end..].trim_start_matches('\r').starts_with('\n') {
                range.end = self.past_newline(range.end);
            }
            return self.spliced(range, "");
        }
        if self.dash(item).is_some() {
            let mut start = self.line_start(item.span.start);
            let end = self.past_newline(item.span.end);
            if end == self.text.len() && !self.text.ends_with('\n') {
                start = self.text[..start].trim_end_matches(['\r', '\n']).len();
            }
            return self.spliced(start..end, "");
        }
        let range = match index {
            0 => item.span.start..items[1].span.start,
            _ => items[index - 1].span.end..item.span.end,
        };
        self.spliced(range, "")
    }

    /// The indentation of the dash of an item that has its own.
    fn dash(&self, item: &Node) -> Option<&str> {
        let head = &self.text[self.line_start(item.span.start)..item.span.start];
        let indent = head.trim_end().strip_suffix('-')?;
        indent.chars().all(|c| c == ' ').then_some(indent)
    }

    /// The start of the line of `services`, above the comment that belongs to it.
    fn before_services(&self) -> usize {
        let services = self.root.iter().find(|(key, _)| key.text() == Some("services"));
        let Some((key, _)) = services.or(self.root.first()) else { return self.text.len() };
        let line = self.line_start(key.span.start);
        let mut at = line;
        while let Some(above) = self.text[..at].strip_suffix('\n') {
            let start = self.line_start(above.len());
            if !self.text[start..].starts_with('#') {
                return at;
            }
            at = start;
        }
        // A comment at the top is about the file.
        line
    }

    fn items(&self) -> &[Node] {
        match self.value("include").map(|value| &value.kind) {
            Some(Shape::List { items, .. }) => items,
            _ => &[],
        }
    }

    fn member(&self, name: &str) -> Option<&(Node, Node)> {
        self.root.iter().find(|(key, _)| key.text() == Some(name))
    }

    fn value(&self, name: &str) -> Option<&Node> {
        self.member(name).map(|(_, value)| value)
    }

    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Before the line break.
    fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        at + self.text[at..end].trim_end_matches('\r').len()
    }

    fn past_newline(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline + 1)
    }

    fn spliced(&self, range: Range<usize>, with: &str) -> String {
        format!("{}{with}{}", &self.text[..range.start], &self.text[range.end..])
    }

    /// Reads the result again: what was meant holds, and all but `edited` is as it was.
    fn proven(
        &self,
        text: String,
        advice: &str,
        meant: impl Fn(&ComposeText<'_>) -> bool,
        edited: &str,
    ) -> Result<String, Failure> {
        let others = |of: &ComposeText<'_>| -> Vec<(Node, Node)> {
            of.root.iter().filter(|(key, _)| key.text() != Some(edited)).cloned().collect()
        };
        let good = ComposeText::read(self.path, &text)
            .is_ok_and(|after| meant(&after) && same_members(&others(self), &others(&after)));
        if good { Ok(text) } else { Err(self.refusal(advice)) }
    }

    fn refusal(&self, advice: &str) -> Failure {
        let message = "this compose file is written in a way that cannot be edited safely";
        let failure = Failure::new(Kind::Files, message);
        let failure = match self.member("include") {
            Some((key, _)) => failure.at(Place::in_text(self.path, self.text, &key.span)),
            None => failure.at(Place::file(self.path)),
        };
        failure.hint(format!("do it by hand, then give the command again:\n{advice}"))
    }
}

struct Reader<'t> {
    text: &'t str,
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// The byte of every character.
    bytes: Vec<usize>,
}

/// What is wrong, and where.
type Wrong = (String, Range<usize>);

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        let bytes = text.char_indices().map(|(byte, _)| byte).collect();
        Self { text, events: Parser::new_from_str(text), bytes }
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).copied().unwrap_or(self.text.len())
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }

    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), Wrong> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, self.range(span))),
            Some(Err(error)) => {
                let at = self.byte(error.marker().index());
                Err((error.info().to_owned(), at..at + 1))
            }
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    /// The members of the mapping that the file is, and whether it stands in braces.
    fn root(&mut self) -> Result<(Vec<(Node, Node)>, bool), Wrong> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(("it holds a second document".to_owned(), at));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => root = Some(self.node(event, at, 0)?),
            }
        }
        match root.map(|node| (node.is_empty(), node)) {
            None | Some((true, _)) => Ok((Vec::new(), false)),
            Some((_, Node { kind: Shape::Map { members, flow }, .. })) => Ok((members, flow)),
            Some((_, node)) => Err(("a compose file is a mapping".to_owned(), node.span)),
        }
    }

    fn node(&mut self, event: Event<'t>, at: Range<usize>, depth: usize) -> Result<Node, Wrong> {
        if depth > MAX_DEPTH {
            return Err(("this is nested too deep".to_owned(), at));
        }
        let flow = |open: char| self.text[at.start..].starts_with(open);
        let (kind, decorated, end) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let empty = text.is_empty() && style == ScalarStyle::Plain;
                let end = at.start + self.text[at.clone()].trim_end().len();
                (
                    Shape::Scalar(text.into_owned()),
                    anchor > 0 || tag.is_some(),
                    if empty { at.start } else { end },
                )
            }
            Event::SequenceStart(anchor, tag) => {
                let flow = flow('[');
                let mut items: Vec<Node> = Vec::new();
                let end = loop {
                    match self.next()? {
                        (Event::SequenceEnd, closed) => break closed,
                        (event, at) => items.push(self.node(event, at, depth + 1)?),
                    }
                };
                let last = items.last().map_or(at.start, |item| item.span.end);
                let end = if flow { end.end } else { last };
                (Shape::List { items, flow }, anchor > 0 || tag.is_some(), end)
            }
            Event::MappingStart(anchor, tag) => {
                let flow = flow('{');
                let mut members: Vec<(Node, Node)> = Vec::new();
                let end = loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, closed) => break closed,
                        (event, at) => self.node(event, at, depth + 1)?,
                    };
                    let (event, at) = self.next()?;
                    members.push((key, self.node(event, at, depth + 1)?));
                };
                let last = members.last().map_or(at.start, |(key, value)| value.span.end.max(key.span.end));
                let end = if flow { end.end } else { last };
                (Shape::Map { members, flow }, anchor > 0 || tag.is_some(), end)
            }
            Event::Alias(anchor) => (Shape::Alias(anchor), false, at.end),
            _ => return Err(("this is not YAML".to_owned(), at)),
        };
        Ok(Node { span: at.start..end.max(at.start), kind, decorated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "compose/cache/compose.yaml";

    fn add(text: &str) -> String {
        ComposeText::read(Path::new("compose.yaml"), text).unwrap().with_include(FILE).unwrap()
    }

    fn remove(text: &str) -> String {
        ComposeText::read(Path::new("compose.yaml"), text).unwrap().without_include(FILE).unwrap()
    }

    #[test]
    fn a_missing_key_is_written_above_the_services() {
        let text = "# My project: läuft.\nname: x\n\n# The services.\nservices:\n  web: { image: a }\n";
        insta::assert_snapshot!(add(text), @"
        # My project: läuft.
        name: x

        include:
          - compose/cache/compose.yaml

        # The services.
        services:
          web: { image: a }
        ");
        assert_eq!(remove(&add(text)), text);
        for text in [
            "# About.\nservices:\n  a: {image: b}\n",
            "volumes:\n  a:\nservices:\n  a: {image: b}",
            "services:\r\n  a:\r\n    image: b\r\n",
        ] {
            assert_eq!(remove(&add(text)), text);
            assert_eq!(add(&add(text)), add(text));
        }
        assert_eq!(add(""), "include:\n  - compose/cache/compose.yaml\n");
    }

    #[test]
    fn every_way_to_write_a_list_grows_in_its_own_style() {
        for (before, after) in [
            ("include:\n- a.yaml\nservices: {}\n", "include:\n- a.yaml\n- FILE\nservices: {}\n"),
            (
                "include:\n    - a.yaml # why\n\nservices: {}\n",
                "include:\n    - a.yaml # why\n    - FILE\n\nservices: {}\n",
            ),
            (
                "include:\n  - path: a.yaml\n    env_file: b\nservices: {}\n",
                "include:\n  - path: a.yaml\n    env_file: b\n  - FILE\nservices: {}\n",
            ),
            (
                "include:\n  - path:\n      - a.yaml\n      - b.yaml\n",
                "include:\n  - path:\n      - a.yaml\n      - b.yaml\n  - FILE\n",
            ),
            ("include: [a.yaml]\nservices: {}\n", "include: [a.yaml, FILE]\nservices: {}\n"),
            ("include: [\n  a.yaml,\n]\n", "include: [\n  a.yaml, FILE,\n]\n"),
            ("include: []\n", "include: [FILE]\n"),
            ("include:\nservices: {}\n", "include:\n  - FILE\nservices: {}\n"),
            ("services: {}\ninclude:\n  - a.yaml", "services: {}\ninclude:\n  - a.yaml\n  - FILE"),
        ] {
            assert_eq!(add(before), after.replace("FILE", FILE), "{before}");
            if before != "include:\nservices: {}\n" && before != "include: []\n" {
                assert_eq!(remove(&add(before)), before);
            }
        }
    }

    #[test]
    fn what_is_included_in_any_form_stays_as_it_is() {
        for text in [
            "include:\n  - ./compose/cache/compose.yaml\n",
            "include: [{ path: compose/cache/compose.yaml }]\n",
            "include:\n  - path: [compose/cache/compose.yaml, override.yaml]\n",
        ] {
            assert_eq!(add(text), text);
        }
        assert_eq!(
            remove("include:\n  - a\n  - path: ./compose/cache/compose.yaml\n    env_file: x\n  - b\n"),
            "include:\n  - a\n  - b\n"
        );
        assert_eq!(remove("include: [compose/cache/compose.yaml, b]\n"), "include: [b]\n");
        assert_eq!(remove("include: [compose/cache/compose.yaml]\nservices: {}\n"), "services: {}\n");
    }

    #[test]
    fn what_cannot_be_edited_safely_is_refused() {
        for text in [
            "{services: {}}\n",
            "include: &a [b.yaml]\n",
            "include: b.yaml\n",
            "x-a: &a [b]\ninclude: *a\n",
            "services: {}\n...\n---\na: b\n",
            "- a\n",
            "services:\n\t- a\n",
        ] {
            let refused = ComposeText::read(Path::new("f"), text).and_then(|t| t.with_include(FILE));
            assert_eq!(refused.unwrap_err().kind, Kind::Files, "{text}");
        }
        let both = "include:\n  - path: [compose/cache/compose.yaml, override.yaml]\n";
        assert!(ComposeText::read(Path::new("f"), both).unwrap().without_include(FILE).is_err());
    }

    #[test]
    fn a_name_is_added_or_agreed_with() {
        let name = |text| ComposeText::read(Path::new("f"), text).unwrap().with_name("shop");
        assert_eq!(name("# top\nservices: {}\n").unwrap(), "# top\nname: shop\n\nservices: {}\n");
        assert_eq!(name("name: \"shop\"\n").unwrap(), "name: \"shop\"\n");
        assert_eq!(name("name: other\n").unwrap_err().places[0].line, 1);
    }
}
