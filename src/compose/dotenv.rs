//! Files of variables: `.env`, `env_file` and `label_file`, in the grammar of the reference.

use std::collections::BTreeMap;

use super::interpolate::{Lookup, TemplateError, substitute};

/// Why a file of variables cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DotenvError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub message: String,
}

/// The variables of a file, and those that it used without a value (each with its line).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    /// What the file sets.
    pub values: BTreeMap<String, String>,
    /// Names that were expanded to nothing, with the lines they stand in.
    pub unset: Vec<(String, u32)>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Quotes, escapes, expansion.
    #[default]
    Dotenv,
    /// `KEY=value`, taken as it stands (as `docker run --env-file` does).
    Raw,
}

/// Reads a file of variables. `lookup` gives what is already set, and wins over what the file itself sets.
pub fn parse(
    text: &str,
    format: Format,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Variables, DotenvError> {
    parse_over(text, format, BTreeMap::new(), lookup)
}

/// Reads a file of variables over those that earlier files have set, which it can use and replace.
pub(crate) fn parse_over(
    text: &str,
    format: Format,
    earlier: BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Variables, DotenvError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let found = Variables { values: earlier, unset: Vec::new() };
    match format {
        Format::Dotenv => Parser { line: 1, lookup, found, left: MAX_TEXT }.parse(text),
        Format::Raw => raw(text, found, lookup),
    }
}

fn raw(
    text: &str,
    mut found: Variables,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Variables, DotenvError> {
    for (number, line) in (1..).zip(text.lines()) {
        let fail = |message: String| Err(DotenvError { line: number, message });
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        if key.contains(char::is_whitespace) {
            return fail(format!("variable '{key}' contains whitespaces"));
        }
        if key.is_empty() {
            return fail(format!("no variable name on line '{line}'"));
        }
        if let Some(value) = value.map(str::to_owned).or_else(|| lookup(key)) {
            found.values.insert(key.to_owned(), value);
        }
    }
    Ok(found)
}

/// How much text one file may become.
const MAX_TEXT: usize = 8 << 20;

struct Parser<'a> {
    line: u32,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    found: Variables,
    /// How much more text the file may become.
    left: usize,
}

/// A space that does not end the line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{B}' | '\u{C}' | '\r' | ' ' | '\u{85}' | '\u{A0}')
}

impl Parser<'_> {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, DotenvError> {
        Err(DotenvError { line: self.line, message: message.into() })
    }

    fn parse(mut self, text: &str) -> Result<Variables, DotenvError> {
        let mut rest = text;
        while let Some(statement) = self.next_statement(rest) {
            let (key, after, inherited) = self.key(statement)?;
            if key.contains(' ') {
                return self.fail(format!("key cannot contain a space: `{key}`"));
            }
            if inherited {
                if let Some(value) = (self.lookup)(key) {
                    self.found.values.insert(key.to_owned(), value);
                }
                rest = after;
                continue;
            }
            let (value, after) = self.value(after)?;
            self.found.values.insert(key.to_owned(), value);
            rest = after;
        }
        Ok(self.found)
    }

    /// Skips blank lines and comments.
    fn next_statement<'t>(&mut self, mut text: &'t str) -> Option<&'t str> {
        loop {
            let start = text.find(|c: char| !c.is_whitespace())?;
            self.line += u32::try_from(text[..start].matches('\n').count()).unwrap_or(0);
            text = &text[start..];
            if !text.starts_with('#') {
                return Some(text);
            }
            text = &text[text.find('\n')?..];
        }
    }

    /// The key, what follows it, and whether it stands alone.
    fn key<'t>(&mut self, text: &'t str) -> Result<(&'t str, &'t str, bool), DotenvError> {
        let text = match text.strip_prefix("export") {
            Some(after) if after.starts_with(char::is_whitespace) => after.trim_start_matches(is_space),
            _ => text,
        };
        let mut key = "";
        let mut after = text;
        let mut inherited = false;
        for (position, c) in text.char_indices() {
            match c {
                _ if is_space(c) => {}
                '=' | ':' | '\n' => {
                    key = &text[..position];
                    after = &text[position + 1..];
                    inherited = c == '\n';
                    break;
                }
                '_' | '.' | '-' | '[' | ']' => {}
                _ if c.is_alphanumeric() => {}
                _ => {
                    let line = text.lines().next().unwrap_or_default();
                    return self.fail(format!("unexpected character \"{c}\" in variable name \"{line}\""));
                }
            }
        }
        if inherited && !key.contains(' ') {
            self.line += 1;
        }
        Ok((key.trim_end(), after.trim_start_matches(is_space), inherited))
    }

    fn value<'t>(&mut self, text: &'t str) -> Result<(String, &'t str), DotenvError> {
        let quote = if let Some(quote @ (b'"' | b'\'')) = text.as_bytes().first() {
            *quote
        } else {
            let (value, rest) = text.split_once('\n').unwrap_or((text, ""));
            let line = self.line;
            self.line += 1;
            let value = value.split_once(" #").map_or(value, |(value, _)| value).trim_end();
            return Ok((self.expand(value, line)?, rest));
        };
        let line = self.line;
        let mut value = String::new();
        let mut escaped = false;
        for (position, c) in text.char_indices().skip(1) {
            if c == '\n' {
                self.line += 1;
            }
            if c == char::from(quote) {
                if !escaped {
                    let rest = &text[position + 1..];
                    if quote == b'"' {
                        value = self.expand(&unescape(&value), line)?;
                    }
                    return Ok((value, rest));
                }
                escaped = false;
                value.push(c);
            } else if c == '\\' && !escaped {
                escaped = true;
            } else {
                if escaped {
                    escaped = false;
                    value.push('\\');
                }
                value.push(c);
            }
        }
        let first = text.lines().next().unwrap_or_default();
        self.line = line;
        self.fail(format!("unterminated quoted value {first}"))
    }

    fn expand(&mut self, value: &str, line: u32) -> Result<String, DotenvError> {
        let values = &self.found.values;
        let given = self.lookup;
        let both = |name: &str| given(name).or_else(|| values.get(name).cloned());
        let mut lookup = Lookup::new(&both);
        let expanded = substitute(value, &mut lookup).map_err(|error| {
            let message = match error {
                TemplateError::Invalid => format!("invalid template: {value}"),
                TemplateError::TooMuch => "the variables are nested too deeply or become too long".to_owned(),
                TemplateError::Required { variable, reason } => {
                    format!("required variable {variable} is missing a value: {reason}")
                }
            };
            DotenvError { line, message }
        })?;
        let unset = lookup.take_unset();
        let Some(left) = self.left.checked_sub(expanded.len()) else {
            return Err(DotenvError { line, message: "the values of this file become too long".into() });
        };
        self.left = left;
        self.found.unset.extend(unset.into_iter().map(|name| (name, line)));
        Ok(expanded)
    }
}

/// Replaces the escapes of a double-quoted value; `\$` becomes the `$$` that expansion leaves alone.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('\\') {
        result.push_str(&rest[..position]);
        rest = &rest[position + 1..];
        let (replacement, length): (Option<char>, usize) = match rest.as_bytes().first() {
            Some(b'$') => {
                result.push_str("$$");
                rest = &rest[1..];
                continue;
            }
            Some(b'a') => (Some('\u{7}'), 1),
            Some(b'b') => (Some('\u{8}'), 1),
            Some(b'f') => (Some('\u{C}'), 1),
            Some(b'n') => (Some('\n'), 1),
            Some(b'r') => (Some('\r'), 1),
            Some(b't') => (Some('\t'), 1),
            Some(b'v') => (Some('\u{B}'), 1),
            Some(b'"') => (Some('"'), 1),
            Some(b'\\') => (Some('\\'), 1),
            Some(b'0') => {
                let digits = rest.bytes().skip(1).take(3).take_while(u8::is_ascii_digit).count();
                // Go's escape takes exactly three octal digits; anything else stays as it is written.
                let octal = (digits == 3).then(|| u32::from_str_radix(&rest[1..4], 8).ok()).flatten();
                (octal.filter(|code| *code < 256).and_then(char::from_u32), 1 + digits)
            }
            _ => (None, 0),
        };
        if let Some(c) = replacement {
            result.push(c);
        } else {
            result.push('\\');
            result.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let host = |name: &str| (name == "HOST").then(|| "h".to_owned());
        parse(text, Format::Dotenv, &host).unwrap().values.into_iter().collect()
    }

    fn one(text: &str) -> String {
        read(text).remove(0).1
    }

    #[test]
    fn every_form_of_a_line() {
        for (line, value) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("A: b", "b"),
            ("A = b # c", "b"),
            ("A=b#c", "b#c"),
            ("A='it\\'s $B'", "it's $B"),
            ("A=\"x\\ny\\$z\"", "x\ny$z"),
            ("A=\"\\0101\"", "A"),
            ("A=$HOST-${U:-d}", "h-d"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("\u{FEFF}A=b\r\n", "b"),
            ("# c\n\nA=b", "b"),
            ("A=", ""),
        ] {
            assert_eq!(one(line), value, "{line}");
        }
        assert_eq!(read("HOST\nOTHER\n"), [("HOST".to_owned(), "h".to_owned())]);
        assert_eq!(read("A=1\nB=$A\n")[1].1, "1");
    }

    #[test]
    fn mistakes_name_their_line() {
        let line = |text| parse(text, Format::Dotenv, &|_| None).map_err(|e| e.line);
        assert_eq!(line("A=1\nB C=2\n"), Err(2));
        assert_eq!(line("A=1\n\nB!=2\n"), Err(3));
        assert_eq!(line("A=\"open\n"), Err(1));
    }

    #[test]
    fn raw_files_are_taken_as_they_stand() {
        let raw = parse("A='x' $B\n# c\nHOST\n", Format::Raw, &|name| (name == "HOST").then(|| "h".into()))
            .unwrap();
        assert_eq!(raw.values.get("A").map(String::as_str), Some("'x' $B"));
        assert_eq!(raw.values.get("HOST").map(String::as_str), Some("h"));
        assert!(parse("A B=1", Format::Raw, &|_| None).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[A-C=:#'\"\\\\$\\{\\}0-9 \\n\u{e9}]{0,60}") {
            let _ = parse(&text, Format::Dotenv, &|_| None);
            let _ = parse(&text, Format::Raw, &|_| None);
        }
    }
}
