//! JSON rewritten as it is read, without a tree of it: scalars are handed out with where they stand, and what is
//! given back stands in their place (RFC 8259).

use std::ops::Range;

/// Where values stand: `$.a.b`, `$.list[*].b`, `$..b` for a `b` at any depth. It means all below it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Any,
    Deep,
}

impl Path {
    /// Reads a path; says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no path; write `$.key`, `$.list[*].key` or `$..key`");
        let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix("[*]").or_else(|| rest.strip_prefix(".*")) {
                steps.push(Step::Any);
                rest = behind;
                continue;
            }
            rest = match rest.strip_prefix("..") {
                Some(behind) => {
                    steps.push(Step::Deep);
                    behind
                }
                None => rest.strip_prefix('.').ok_or_else(wrong)?,
            };
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return Err(wrong());
            }
            steps.push(Step::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        if steps.is_empty() { Err(wrong()) } else { Ok(Self(steps)) }
    }

    /// Whether what stands at `at` in `text` is meant: keys by where they stand, none for a place in a list.
    #[must_use]
    pub fn leads_to(&self, text: &[u8], at: &[Option<Range<usize>>]) -> bool {
        leads(&self.0, text, at)
    }
}

fn leads(steps: &[Step], text: &[u8], at: &[Option<Range<usize>>]) -> bool {
    let is = |key: &str, place: &Option<Range<usize>>| {
        place.as_ref().is_some_and(|range| &text[range.clone()] == key.as_bytes())
    };
    match (steps, at) {
        ([], _) => true,
        ([Step::Deep, rest @ ..], _) => (0..at.len()).any(|skip| leads(rest, text, &at[skip..])),
        ([Step::Any, rest @ ..], [_, below @ ..]) => leads(rest, text, below),
        ([Step::Key(key), rest @ ..], [place, below @ ..]) => is(key, place) && leads(rest, text, below),
        _ => false,
    }
}

/// A scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A text, without its quotes, as it is meant.
    Text(&'a [u8]),
    /// A number, `true` or `false`.
    Bare(&'a [u8]),
}

/// What is kept between documents, so that nothing is allocated for each.
#[derive(Debug, Default)]
pub struct Stack {
    at: Vec<Option<Range<usize>>>,
    text: Vec<u8>,
    made: Vec<u8>,
}

/// How deep documents may nest.
const DEPTH: usize = 200;

/// Writes `text` to `out`, asking for every scalar but null what stands there instead: `each` writes it and says
/// true, or says false for one that stays. A document that is none, or nests too deeply, becomes `null`.
pub fn rewrite(
    text: &[u8],
    stack: &mut Stack,
    out: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], &[Option<Range<usize>>], Scalar<'_>, &mut Vec<u8>) -> bool,
) {
    let start = out.len();
    stack.at.clear();
    let mut walk = Walk { text, next: 0, stack, each: &mut each };
    let done = walk.value(out, 0).is_some() && {
        walk.space(out);
        walk.next == text.len()
    };
    if !done {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

struct Walk<'a, 'b, F> {
    text: &'a [u8],
    next: usize,
    stack: &'b mut Stack,
    each: &'b mut F,
}

impl<F: FnMut(&[u8], &[Option<Range<usize>>], Scalar<'_>, &mut Vec<u8>) -> bool> Walk<'_, '_, F> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.next).copied()
    }

    fn space(&mut self, out: &mut Vec<u8>) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            out.push(byte);
            self.next += 1;
        }
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) -> Option<()> {
        self.space(out);
        (self.peek()? == byte).then(|| {
            out.push(byte);
            self.next += 1;
        })
    }

    /// The range of a text's content, behind whose quotes it goes on.
    fn quoted(&mut self) -> Option<Range<usize>> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.next + 1;
        let mut at = start;
        loop {
            match self.text.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.next = at + 1;
        Some(start..at)
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        self.space(out);
        match self.peek()? {
            b'{' => self.list(b'}', out, depth),
            b'[' => self.list(b']', out, depth),
            b'"' => {
                let range = self.quoted()?;
                self.text_value(range, out);
                Some(())
            }
            _ => self.bare(out),
        }
    }

    fn list(&mut self, end: u8, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        out.push(self.peek()?);
        self.next += 1;
        self.space(out);
        if self.peek()? == end {
            return self.take(end, out);
        }
        loop {
            self.space(out);
            let key = if end == b'}' {
                let key = self.quoted()?;
                out.extend_from_slice(&self.text[key.start - 1..=key.end]);
                self.take(b':', out)?;
                Some(key)
            } else {
                None
            };
            self.stack.at.push(key);
            self.value(out, depth + 1)?;
            self.stack.at.pop();
            self.space(out);
            if self.peek()? == b',' {
                self.take(b',', out)?;
            } else {
                return self.take(end, out);
            }
        }
    }

    fn text_value(&mut self, range: Range<usize>, out: &mut Vec<u8>) {
        let raw = &self.text[range.clone()];
        let Stack { at, text, made } = &mut *self.stack;
        made.clear();
        let meant = if raw.contains(&b'\\') {
            text.clear();
            unescape(raw, text);
            text.as_slice()
        } else {
            raw
        };
        if (self.each)(self.text, at, Scalar::Text(meant), made) {
            quote(made, out);
        } else {
            out.extend_from_slice(&self.text[range.start - 1..=range.end]);
        }
    }

    fn bare(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let rest = &self.text[self.next..];
        let end = rest.iter().position(|byte| b" \t\r\n,]}:".contains(byte)).unwrap_or(rest.len());
        let raw = &rest[..end];
        let number = matches!(raw.first()?, b'-' | b'0'..=b'9');
        if !number && raw != b"null" && raw != b"true" && raw != b"false" {
            return None;
        }
        self.next += end;
        let Stack { at, made, .. } = &mut *self.stack;
        made.clear();
        if raw != b"null" && (self.each)(self.text, at, Scalar::Bare(raw), made) {
            if made.is_empty() || !is_bare(made) { quote(made, out) } else { out.extend_from_slice(made) }
        } else {
            out.extend_from_slice(raw);
        }
        Some(())
    }
}

fn is_bare(made: &[u8]) -> bool {
    let digits = made.strip_prefix(b"-").unwrap_or(made);
    let number = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && digits.first().is_some_and(u8::is_ascii_digit)
        && digits.last().is_some_and(u8::is_ascii_digit)
        && digits.split(|byte| *byte == b'.').count() <= 2
        && !(digits.len() > 1 && digits[0] == b'0' && digits[1] != b'.');
    number || made == b"null" || made == b"true" || made == b"false"
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..=0x1f => out.push(b' '),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < raw.len() {
        if raw[at] != b'\\' {
            out.push(raw[at]);
            at += 1;
            continue;
        }
        at += 1;
        match raw.get(at) {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'b' | b'f') => out.push(b' '),
            Some(b'u') => {
                let (c, used) = unicode(&raw[at + 1..]);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                at += used;
            }
            Some(byte) => out.push(*byte),
            None => {}
        }
        at += 1;
    }
}

/// The character behind `\u`, of two such where it is beyond the first plane, and how many bytes that took.
fn unicode(raw: &[u8]) -> (char, usize) {
    let four = |at: usize| {
        let text = raw.get(at..at + 4).and_then(|part| std::str::from_utf8(part).ok());
        text.and_then(|text| u32::from_str_radix(text, 16).ok())
    };
    let Some(first) = four(0) else { return (char::REPLACEMENT_CHARACTER, 0) };
    if let (0xd800..=0xdbff, Some(b"\\u"), Some(second @ 0xdc00..=0xdfff)) = (first, raw.get(4..6), four(6)) {
        let both = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(text: &str, path: &str) -> String {
        let path = Path::read(path).unwrap();
        let (mut out, mut stack) = (Vec::new(), Stack::default());
        rewrite(text.as_bytes(), &mut stack, &mut out, |text, at, scalar, out| {
            let (Scalar::Text(value) | Scalar::Bare(value)) = scalar;
            out.extend(value.to_ascii_uppercase());
            path.leads_to(text, at)
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_path_names_changes_and_nothing_else() {
        let text = r#"{"a": "x", "b": [{"a": "y\u00e9\"", "n": 1}, null], "c": {"d": {"a": true}}}"#;
        assert_eq!(upper(text, "$.a"), text.replace(r#""x""#, r#""X""#));
        assert_eq!(upper(text, "$.b[*].a"), text.replace(r#""y\u00e9\"""#, r#""Yé\"""#));
        assert_eq!(
            upper(text, "$..a"),
            r#"{"a": "X", "b": [{"a": "Yé\"", "n": 1}, null], "c": {"d": {"a": "TRUE"}}}"#
        );
        assert_eq!(upper(text, "$.c"), text.replace("true", "\"TRUE\""));
        assert_eq!(upper("[]", "$.a") + &upper(" 7 ", "$.a") + &upper("{ }", "$.a"), "[] 7 { }");
    }

    #[test]
    fn what_is_no_document_is_null() {
        for text in ["{", "{\"a\" 1}", "nul", "[1,]x", "\"a", "1 2"] {
            assert_eq!(upper(text, "$.a"), "null", "{text}");
        }
        assert_eq!(upper(&"[".repeat(9000), "$.a"), "null");
    }

    #[test]
    fn paths_that_are_none() {
        for text in ["a", "$", "$.", "$a", "$.a..", "$[0]"] {
            assert!(Path::read(text).is_err(), "{text}");
        }
    }
}
