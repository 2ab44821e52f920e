//! Adds members to a JSON file that a person wrote, as text: comments, order and indentation stay.
//!
//! VS Code's settings are JSON with comments and trailing commas, which no serialiser gives back.

use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::ops::Range;

/// How deep a file may nest.
const MAX_DEPTH: usize = 100;

/// The text with what it lacks of `wanted`; nothing where it lacks nothing, a reason where it cannot be read.
///
/// Objects are completed member by member. Of a list, items are added that it lacks: those with a `label` or a
/// `name` are told apart by it. A value that is there stays as it is.
pub fn with_members(text: &str, wanted: &Value) -> Result<Option<String>, String> {
    let mut reader = Reader { text, at: 0 };
    let root = reader.document()?;
    let mut edit = Edit { text, unit: "  ".to_owned(), inserts: Vec::new() };
    if let Some(first) = root.first_child()
        && let Some(indent) = edit.own_indent(first)
        && !indent.is_empty()
    {
        edit.unit = indent.to_string();
    }
    if !edit.complete(&root, wanted) {
        return Err("it is not an object".to_owned());
    }
    if edit.inserts.is_empty() {
        return Ok(None);
    }
    let longer = edit.done();
    // Our own reading of the result is the proof that it is still what it was, and more.
    Reader { text: &longer, at: 0 }.document()?;
    Ok(Some(longer))
}

struct Node {
    span: Range<usize>,
    kind: Kind,
    /// Behind the last comma, if one follows the last member.
    comma: Option<usize>,
}

enum Kind {
    /// Members: where the key begins, the key, the value.
    Object(Vec<(usize, String, Node)>),
    Array(Vec<Node>),
    Scalar(Value),
}

impl Node {
    /// Where the first member begins.
    fn first_child(&self) -> Option<usize> {
        match &self.kind {
            Kind::Object(members) => members.first().map(|(start, ..)| *start),
            Kind::Array(items) => items.first().map(|item| item.span.start),
            Kind::Scalar(_) => None,
        }
    }

    /// Where the last member begins and ends.
    fn last_child(&self) -> Option<Range<usize>> {
        match &self.kind {
            Kind::Object(members) => members.last().map(|(start, _, value)| *start..value.span.end),
            Kind::Array(items) => items.last().map(|item| item.span.clone()),
            Kind::Scalar(_) => None,
        }
    }

    fn member(&self, name: &str) -> Option<&Node> {
        match &self.kind {
            // The last one counts where a name stands twice.
            Kind::Object(members) => members.iter().rev().find(|(_, key, _)| key == name).map(|(.., v)| v),
            _ => None,
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (&self.kind, value) {
            (Kind::Scalar(own), _) => own == value,
            (Kind::Object(_), Value::Object(_)) => ["label", "name"].iter().any(|id| {
                matches!((self.member(id).map(|node| &node.kind), value.get(id)),
                    (Some(Kind::Scalar(own)), Some(wanted)) if own == wanted)
            }),
            _ => false,
        }
    }
}

struct Edit<'t> {
    text: &'t str,
    /// One level of indentation.
    unit: String,
    inserts: Vec<(usize, String)>,
}

impl Edit<'_> {
    /// Adds to `node` what it lacks; false where it is of another kind.
    fn complete(&mut self, node: &Node, wanted: &Value) -> bool {
        let mut missing: Vec<(Option<&str>, &Value)> = Vec::new();
        match (&node.kind, wanted) {
            (Kind::Object(_), Value::Object(members)) => {
                for (name, value) in members {
                    match node.member(name) {
                        Some(own) => _ = self.complete(own, value),
                        None => missing.push((Some(name), value)),
                    }
                }
            }
            (Kind::Array(items), Value::Array(values)) => {
                let lacks = |value: &&Value| !items.iter().any(|item| item.is(value));
                missing.extend(values.iter().filter(lacks).map(|value| (None, value)));
            }
            _ => return false,
        }
        if !missing.is_empty() {
            self.add(node, &missing);
        }
        true
    }

    fn add(&mut self, node: &Node, missing: &[(Option<&str>, &Value)]) {
        let outer = self.line_indent(node.span.start).to_owned();
        let close = node.span.end - 1;
        let Some(last) = node.last_child() else {
            let inner = format!("{outer}{}", self.unit);
            let at = self.text[..close].trim_end().len();
            let mut insert = self.items(missing, &inner);
            if !self.text[at..close].contains('\n') {
                insert.push('\n');
                insert.push_str(&outer);
            }
            self.inserts.push((at, insert));
            return;
        };
        let one_line = !self.text[node.span.clone()].contains('\n');
        if one_line && missing.iter().all(|(_, value)| !value.is_object() && !value.is_array()) {
            let items: Vec<String> = missing.iter().map(|item| self.item(*item, "")).collect();
            let at = node.comma.unwrap_or(last.end);
            let comma = if node.comma.is_some() { " " } else { ", " };
            self.inserts.push((at, format!("{comma}{}", items.join(", "))));
            return;
        }
        let inner =
            self.own_indent(last.start).map_or_else(|| format!("{outer}{}", self.unit), str::to_owned);
        let mut insert = self.items(missing, &inner);
        // The user's habit of a comma behind the last one is kept.
        if node.comma.is_some() {
            insert.push(',');
        } else {
            self.inserts.push((last.end, ",".to_owned()));
        }
        let behind = node.comma.unwrap_or(last.end);
        let at = self.end_of_line(behind).unwrap_or(behind);
        if !self.text[at..close].contains('\n') {
            insert.push('\n');
            insert.push_str(&outer);
        }
        self.inserts.push((at, insert));
    }

    /// Each on a line of its own.
    fn items(&self, missing: &[(Option<&str>, &Value)], indent: &str) -> String {
        let items: Vec<String> =
            missing.iter().map(|item| format!("\n{indent}{}", self.item(*item, indent))).collect();
        items.join(",")
    }

    fn item(&self, (name, value): (Option<&str>, &Value), indent: &str) -> String {
        let mut bytes = Vec::new();
        let formatter = PrettyFormatter::with_indent(self.unit.as_bytes());
        let mut serializer = Serializer::with_formatter(&mut bytes, formatter);
        let written = serde::Serialize::serialize(value, &mut serializer);
        debug_assert!(written.is_ok(), "a value is written to memory");
        let text = String::from_utf8_lossy(&bytes).replace('\n', &format!("\n{indent}"));
        match name {
            Some(name) => format!("{}: {text}", Value::from(name)),
            None => text,
        }
    }

    /// What the line of `at` begins with, if that is where its text begins.
    fn own_indent(&self, at: usize) -> Option<&str> {
        let indent = self.line_indent(at);
        let head = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        (head + indent.len() == at).then_some(indent)
    }

    fn line_indent(&self, at: usize) -> &str {
        let head = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = &self.text[head..at];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// The end of the line, if nothing but a comment stands in between.
    fn end_of_line(&self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let line = rest.split('\n').next().unwrap_or(rest).trim_end();
        let bare = line.trim_start();
        (bare.is_empty() || bare.starts_with("//")).then_some(at + line.len())
    }

    fn done(mut self) -> String {
        self.inserts.sort_by_key(|(at, _)| *at);
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut out = String::new();
        let mut from = 0;
        for (at, insert) in &self.inserts {
            out.push_str(&self.text[from..*at]);
            out.push_str(&insert.replace('\n', newline));
            from = *at;
        }
        out.push_str(&self.text[from..]);
        out
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Node, String> {
        self.at = if self.text.starts_with('\u{feff}') { 3 } else { 0 };
        let root = self.node(0)?;
        self.skip()?;
        if self.at < self.text.len() {
            return Err(self.broken("more than one value"));
        }
        Ok(root)
    }

    fn node(&mut self, depth: usize) -> Result<Node, String> {
        self.skip()?;
        if depth > MAX_DEPTH {
            return Err(self.broken("too deep"));
        }
        let start = self.at;
        let (kind, comma) = match self.peek() {
            Some('{') => {
                let mut members = Vec::new();
                let comma = self.members('}', |reader| {
                    let key_start = reader.at;
                    let Value::String(key) = reader.scalar()? else {
                        return Err(reader.broken("a name without quotes"));
                    };
                    reader.skip()?;
                    if reader.peek() != Some(':') {
                        return Err(reader.broken("no colon behind a name"));
                    }
                    reader.at += 1;
                    members.push((key_start, key, reader.node(depth + 1)?));
                    Ok(())
                })?;
                (Kind::Object(members), comma)
            }
            Some('[') => {
                let mut items = Vec::new();
                let comma = self.members(']', |reader| {
                    items.push(reader.node(depth + 1)?);
                    Ok(())
                })?;
                (Kind::Array(items), comma)
            }
            _ => (Kind::Scalar(self.scalar()?), None),
        };
        Ok(Node { span: start..self.at, kind, comma })
    }

    /// Reads members up to `close`; gives where a comma behind the last one ends.
    fn members(
        &mut self,
        close: char,
        mut one: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<Option<usize>, String> {
        self.at += 1;
        let mut comma = None;
        let mut separated = true;
        loop {
            self.skip()?;
            match self.peek() {
                Some(c) if c == close => {
                    self.at += 1;
                    return Ok(comma);
                }
                Some(',') if !separated => {
                    self.at += 1;
                    comma = Some(self.at);
                    separated = true;
                }
                Some(_) if separated => {
                    one(self)?;
                    comma = None;
                    separated = false;
                }
                Some(_) => return Err(self.broken("a comma is missing")),
                None => return Err(self.broken("it ends too early")),
            }
        }
    }

    fn scalar(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let length = if let Some(inside) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = inside.find(|c| {
                let found = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                found
            });
            end.map(|end| end + 2)
        } else {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).or(Some(rest.len()))
        };
        let value = length.and_then(|length| serde_json::from_str(&rest[..length]).ok());
        let (Some(length), Some(value)) = (length, value) else {
            return Err(self.broken("not a value"));
        };
        self.at += length;
        Ok(value)
    }

    /// Goes past white space and comments.
    fn skip(&mut self) -> Result<(), String> {
        loop {
            let rest = &self.text[self.at..];
            let bare = rest.trim_start();
            self.at += rest.len() - bare.len();
            if bare.starts_with("//") {
                self.at += bare.find('\n').unwrap_or(bare.len());
            } else if bare.starts_with("/*") {
                let end = bare.find("*/").ok_or_else(|| self.broken("a comment without an end"))?;
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn broken(&self, what: &str) -> String {
        let line = self.text[..self.at].matches('\n').count() + 1;
        format!("it cannot be read, line {line}: {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_added_and_the_rest_stays() {
        let text = "// mine\n{\n    \"a\": 1, // one\n    \"list\": [\"x\"],\n    \"inner\": {\n        \"b\": true, // two\n    }\n    // end\n}\n";
        let wanted = json!({"a": 2, "list": ["x", "y"], "inner": {"c": [1]}, "new": {"k": "v"}});
        insta::assert_snapshot!(with_members(text, &wanted).unwrap().unwrap(), @r#"
        // mine
        {
            "a": 1, // one
            "list": ["x", "y"],
            "inner": {
                "b": true, // two
                "c": [
                    1
                ],
            },
            "new": {
                "k": "v"
            }
            // end
        }
        "#);
    }

    #[test]
    fn tasks_are_told_apart_by_their_label() {
        let text = r#"{"version": "2.0.0", "tasks": [{ "label": "up", "command": "mine" }]}"#;
        let wanted = json!({"version": "2.0.0", "tasks": [{"label": "up"}, {"label": "down"}]});
        insta::assert_snapshot!(with_members(text, &wanted).unwrap().unwrap(), @r#"
        {"version": "2.0.0", "tasks": [{ "label": "up", "command": "mine" },
          {
            "label": "down"
          }
        ]}
        "#);
    }

    #[test]
    fn adding_twice_adds_once() {
        let wanted = json!({"a": {"b": [1, {"name": "n"}]}, "c": "d"});
        for text in [
            "{}",
            "{ }",
            "{\n}",
            "{ // note\n}",
            "{\"a\":{},}",
            "\u{feff}{\"a\": {\"b\": []}}",
            "{\r\n\t\"z\": 0\r\n}",
        ] {
            let once = with_members(text, &wanted).unwrap().unwrap();
            assert_eq!(with_members(&once, &wanted).unwrap(), None, "{once}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        for text in
            ["", "[]", "{", "{a: 1}", "{} {}", "{\"a\" 1}", "{\"a\": 1 \"b\": 2}", "/* ", "\"x", "{,}"]
        {
            assert!(with_members(text, &json!({"a": 1})).is_err(), "{text}");
        }
    }
}
