//! Rows in the text format of `COPY` (PostgreSQL documentation, `COPY`, "Text Format"): fields between tabs, `\N` for
//! NULL, a backslash before what would mean something else.

use std::ops::Range;

use super::json::{self, Path, Scalar, Stack};
use super::make::Maker;
use super::policy::{Make, Rest, When};
use super::residual::Residual;
use crate::base::copy_text::{escape, plain};

/// A column's rule, compiled: from the value, and what it depends on, to what stands in its place.
type Act = Box<dyn Fn(&[u8], Option<&[u8]>, &mut Tools, &mut Vec<u8>) + Send + Sync>;

/// What rules use and keep for the next row, so that nothing is allocated for each.
#[derive(Default)]
struct Tools {
    json: Stack,
    scratch: Vec<u8>,
}

/// How one column is written.
pub struct Column {
    act: Act,
    maker: Maker,
    /// The place of the column that it depends on.
    per: Option<usize>,
    when: Option<(usize, When)>,
    array: bool,
    null: bool,
    /// Whether its raw values are remembered.
    remembered: bool,
    /// Whether other columns' raw values of the same row are taken out of it.
    redacts: bool,
}

impl Column {
    /// A column that is masked by `maker`; the places are those of the columns that are copied.
    #[must_use]
    pub fn new(maker: Maker, per: Option<usize>, when: Option<(usize, When)>, array: bool) -> Self {
        let null = maker.make == Make::Null;
        let redacts = maker.make == Make::Redact;
        let remembered = matches!(
            maker.make,
            Make::Email
                | Make::Name
                | Make::Username
                | Make::Phone
                | Make::Street
                | Make::Form
                | Make::Digits
                | Make::Card
                | Make::Hash
                | Make::Null
                | Make::Constant(_)
        );
        Self { act: compile(&maker), maker, per, when, array, null, remembered, redacts }
    }
}

/// The closure that carries a rule out.
fn compile(maker: &Maker) -> Act {
    let own = maker.clone();
    match &maker.make {
        Make::Json { paths, rest } => {
            let rest = *rest;
            let rules: Vec<(Path, Maker)> = paths
                .iter()
                .filter_map(|(path, make)| {
                    let maker =
                        Maker { make: make.clone(), limits: super::make::Limits::default(), ..own.clone() };
                    Some((Path::read(path).ok()?, maker))
                })
                .collect();
            Box::new(move |value, id, tools, out| {
                document(&own, &rules, rest, value, id, &mut tools.json, out);
            })
        }
        Make::Redact | Make::Text if maker.limits.kind == super::Kind::Json => {
            let rest = if maker.make == Make::Text { Rest::Text } else { Rest::Redact };
            Box::new(move |value, id, tools, out| document(&own, &[], rest, value, id, &mut tools.json, out))
        }
        _ => Box::new(move |value, id, _, out| own.write(value, id, out)),
    }
}

fn document(
    own: &Maker,
    rules: &[(Path, Maker)],
    rest: Rest,
    value: &[u8],
    id: Option<&[u8]>,
    stack: &mut Stack,
    out: &mut Vec<u8>,
) {
    json::rewrite(value, stack, out, |text, at, scalar, made| {
        if let Some((_, maker)) = rules.iter().find(|(path, _)| path.leads_to(text, at)) {
            let (Scalar::Text(value) | Scalar::Bare(value)) = scalar;
            if value.is_empty() {
                return false;
            }
            maker.write(value, id, made);
            return true;
        }
        match (rest, scalar) {
            (Rest::Keep, _) | (Rest::Redact, Scalar::Bare(_)) => false,
            (Rest::Redact, Scalar::Text(value)) => {
                own.redact(value, made);
                true
            }
            (Rest::Text, Scalar::Text(value)) => {
                let make = Make::Text;
                Maker { make, limits: super::make::Limits::default(), ..own.clone() }
                    .write(value, None, made);
                true
            }
            (Rest::Text, Scalar::Bare(value)) => {
                let number = !matches!(value, b"true" | b"false");
                if number {
                    made.push(b'0');
                }
                number
            }
        }
    });
}

/// A row that does not have the columns that it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row has {found} columns instead of {wanted}")]
pub struct Ragged {
    /// How many it has.
    pub found: usize,
    /// How many there should be.
    pub wanted: usize,
}

/// Masks the rows of one table.
pub struct Masker {
    columns: Vec<Option<Column>>,
    fields: Vec<Range<usize>>,
    tools: Tools,
    value: Vec<u8>,
    other: Vec<u8>,
    id: Vec<u8>,
    made: Vec<u8>,
    element: Vec<u8>,
}

impl Masker {
    /// For rows of these columns; none for one that is kept.
    #[must_use]
    pub fn new(columns: Vec<Option<Column>>) -> Self {
        Self {
            columns,
            fields: Vec::new(),
            tools: Tools::default(),
            value: Vec::new(),
            other: Vec::new(),
            id: Vec::new(),
            made: Vec::new(),
            element: Vec::new(),
        }
    }

    /// Writes the masked row, with its end of line, to `out`. `line` is a row without it. What was masked is remembered
    /// in `seen`.
    pub fn row(&mut self, line: &[u8], out: &mut Vec<u8>, seen: Option<&Residual>) -> Result<(), Ragged> {
        self.fields.clear();
        let mut start = 0;
        for (at, byte) in line.iter().enumerate() {
            if *byte == b'\t' {
                self.fields.push(start..at);
                start = at + 1;
            }
        }
        self.fields.push(start..line.len());
        if self.fields.len() != self.columns.len() {
            return Err(Ragged { found: self.fields.len(), wanted: self.columns.len() });
        }
        for place in 0..self.columns.len() {
            if place > 0 {
                out.push(b'\t');
            }
            self.field(place, line, out, seen);
        }
        out.push(b'\n');
        Ok(())
    }

    fn field(&mut self, place: usize, line: &[u8], out: &mut Vec<u8>, seen: Option<&Residual>) {
        let raw = &line[self.fields[place].clone()];
        let Some(column) = &self.columns[place] else { return out.extend_from_slice(raw) };
        // NULL and the empty text stay what they are.
        if raw.is_empty() || raw == b"\\N" {
            return out.extend_from_slice(raw);
        }
        if let Some((other, when)) = &column.when {
            let field = &line[self.fields[*other].clone()];
            let field = plain(field, &mut self.other);
            let is = |values: &[String]| values.iter().any(|value| value.as_bytes() == field);
            if (!when.is.is_empty() && !is(&when.is)) || is(&when.is_not) {
                return out.extend_from_slice(raw);
            }
        }
        let value = plain(raw, &mut self.value);
        if let (Some(seen), true) = (seen, column.remembered) {
            seen.remember(value);
        }
        if column.null {
            return out.extend_from_slice(b"\\N");
        }
        let id = column.per.map(|per| plain(&line[self.fields[per].clone()], &mut self.id));
        self.made.clear();
        if column.array {
            array(value, &mut self.made, &mut self.element, |element, out| {
                (column.act)(element, id, &mut self.tools, out);
            });
        } else if column.redacts && column.maker.limits.kind == super::Kind::Text {
            self.tools.scratch.clear();
            self.tools.scratch.extend_from_slice(value);
            siblings(&self.columns, &self.fields, line, place, &mut self.tools.scratch, &mut self.other);
            column.maker.redact(&self.tools.scratch, &mut self.made);
        } else {
            (column.act)(value, id, &mut self.tools, &mut self.made);
        }
        escape(&self.made, out);
    }
}

/// Takes the raw values of the row's other masked columns out of a text: `Hi, I am Ann` with `Ann` in the column of
/// names beside. What stands there instead is what stands in that column.
fn siblings(
    columns: &[Option<Column>],
    fields: &[Range<usize>],
    line: &[u8],
    own: usize,
    text: &mut Vec<u8>,
    buffer: &mut Vec<u8>,
) {
    for (place, column) in columns.iter().enumerate() {
        let Some(column) = column else { continue };
        let raw = &line[fields[place].clone()];
        let telling =
            column.remembered || matches!(column.maker.make, Make::GivenName | Make::FamilyName | Make::City);
        if place == own || !telling || column.array || raw == b"\\N" || raw.len() < 3 {
            continue;
        }
        let value = plain(raw, buffer);
        exchange(text, value, &column.maker);
        for word in value.split(|byte| !(byte.is_ascii_alphanumeric() || *byte >= 0x80)) {
            if word.len() >= 3 && word.len() < value.len() && !word.iter().any(u8::is_ascii_digit) {
                let maker = &column.maker;
                if matches!(maker.make, Make::Name | Make::GivenName | Make::FamilyName) {
                    exchange(text, word, maker);
                }
            }
        }
    }
}

/// Puts a masked value where the raw one stands as a word of its own, in whatever capitals.
fn exchange(text: &mut Vec<u8>, value: &[u8], maker: &Maker) {
    let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    let mut at = 0;
    while at + value.len() <= text.len() {
        let end = at + value.len();
        let alone = !word(at.checked_sub(1).and_then(|before| text.get(before))) && !word(text.get(end));
        if alone && text[at..end].eq_ignore_ascii_case(value) {
            let mut made = Vec::new();
            match &maker.make {
                Make::Null | Make::Constant(_) => made.extend_from_slice(b"***"),
                _ => maker.write(value, None, &mut made),
            }
            let length = made.len();
            text.splice(at..end, made);
            at += length;
        } else {
            at += 1;
        }
    }
}

/// Masks the elements of an array as PostgreSQL writes it (PostgreSQL documentation, 8.15.6).
fn array(value: &[u8], out: &mut Vec<u8>, element: &mut Vec<u8>, mut act: impl FnMut(&[u8], &mut Vec<u8>)) {
    let mut at = 0;
    while at < value.len() {
        match value[at] {
            b'"' => {
                element.clear();
                at += 1;
                while at < value.len() && value[at] != b'"' {
                    at += usize::from(value[at] == b'\\');
                    element.extend(value.get(at));
                    at += 1;
                }
                at += 1;
                quoted(element, out, &mut act);
            }
            byte @ (b'{' | b'}' | b',') => {
                out.push(byte);
                at += 1;
            }
            _ => {
                let length =
                    value[at..].iter().position(|byte| b"{},".contains(byte)).unwrap_or(value.len() - at);
                let own = &value[at..at + length];
                // Bounds may stand before the elements: `[2:3]={…}`.
                if own.eq_ignore_ascii_case(b"null") || (at == 0 && own.ends_with(b"=")) {
                    out.extend_from_slice(own);
                } else {
                    quoted(own, out, &mut act);
                }
                at += length;
            }
        }
    }
}

fn quoted(element: &[u8], out: &mut Vec<u8>, act: &mut impl FnMut(&[u8], &mut Vec<u8>)) {
    out.push(b'"');
    let start = out.len();
    if !element.is_empty() {
        act(element, out);
    }
    if out[start..].iter().any(|byte| b"\"\\".contains(byte)) {
        let made = out.split_off(start);
        for byte in made {
            if b"\"\\".contains(&byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::make::Limits;
    use super::super::{Key, Kind};
    use super::*;

    fn column(make: Make, kind: Kind, array: bool) -> Column {
        let prf = Key::new([5; 32]).class(make.class());
        let person = Some(Key::new([5; 32]).class("person"));
        let maker = Maker { make, prf, person, limits: Limits { kind, ..Limits::default() } };
        Column::new(maker, None, None, array)
    }

    fn masked(columns: Vec<Option<Column>>, line: &str) -> String {
        let mut out = Vec::new();
        Masker::new(columns).row(line.as_bytes(), &mut out, None).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_masked_where_they_stand() {
        let columns = || {
            vec![
                None,
                Some(column(Make::Text, Kind::Text, false)),
                Some(column(Make::Null, Kind::Text, false)),
            ]
        };
        let out = masked(columns(), "1\\t\tfour\\nfive\\\\\tx");
        assert!(out.starts_with("1\\t\t") && out.ends_with("\t\\N\n"), "{out}");
        assert_eq!(out.len(), "1\\t\tfour\\nfive\\\\\t\\N\n".len());
        assert_eq!(masked(columns(), "1\t\\N\t"), "1\t\\N\t\n");
        assert_eq!(
            Masker::new(columns()).row(b"1\t2", &mut Vec::new(), None),
            Err(Ragged { found: 2, wanted: 3 })
        );
    }

    #[test]
    fn arrays_keep_their_form() {
        let columns = || vec![Some(column(Make::Form, Kind::Text, true))];
        let out = masked(columns(), r#"{ab,"c d",NULL,"",{"x\\"y"}}"#);
        let shape: String = out.chars().map(|c| if c.is_ascii_lowercase() { 'a' } else { c }).collect();
        assert_eq!(shape, "{\"aa\",\"a a\",NULL,\"\",{\"a\\\\\"a\"}}\n");
    }

    #[test]
    fn a_text_loses_the_names_beside_it() {
        let columns = || {
            vec![
                Some(column(Make::Name, Kind::Text, false)),
                Some(column(Make::Email, Kind::Text, false)),
                Some(column(Make::Redact, Kind::Text, false)),
            ]
        };
        let text = "Hi I am ANAÏS Garcia-Lorca, write to me@corp.de; anaïs";
        let out = masked(columns(), &format!("Anaïs Garcia\tme@corp.de\t{text}"));
        let bio = out.trim().split('\t').nth(2).unwrap();
        assert!(!bio.contains("Garcia") && !bio.contains("corp.de") && bio.starts_with("Hi I am "), "{bio}");
    }

    #[test]
    fn documents_are_masked_by_path() {
        let paths = vec![("$.mail".to_owned(), Make::Email)];
        let columns = vec![Some(column(Make::Json { paths, rest: Rest::Redact }, Kind::Json, false))];
        let out = masked(columns, r#"{"mail": "a@b.de", "note": "call +1 555 123 4567", "n": 5}"#);
        assert!(!out.contains("a@b.de") && !out.contains("123 4567") && out.contains("\"n\": 5"), "{out}");
    }
}
