//! A TOML file that remembers where everything stands: values are asked for by path and type, and what is
//! wrong with them is collected with its place, so that all mistakes of a file are told at once.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::{Failure, Kind, Place, guess};
use crate::supabase::keys;

/// Gives the value of an environment variable, when it is set.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A parsed file.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    root: DeTable<'a>,
    variables: Variables<'a>,
    mistakes: RefCell<Vec<Failure>>,
}

/// A scalar as text, after `env(…)` and the variables that override a key.
struct Scalar {
    text: String,
    /// Where it stands, unless a variable gave it.
    at: Option<Range<usize>>,
    /// The variable that gave it, or that it asks for in vain.
    variable: Option<String>,
    is_string: bool,
}

impl<'a> Document<'a> {
    /// Parses `text`; every mistake of syntax is told.
    pub(super) fn parse(path: &'a Path, text: &'a str, variables: Variables<'a>) -> Result<Self, Failure> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let failures = errors.iter().map(|error| {
                let message = format!("`{}` is not TOML: {}", path.display(), error.message().trim());
                let failure = Failure::new(Kind::Files, message);
                error.span().map(|span| place(path, text, &span)).into_iter().fold(failure, Failure::at)
            });
            return Err(Failure::all(failures.collect()));
        }
        let mistakes = RefCell::new(Vec::new());
        Ok(Self { path, text, root: root.into_inner(), variables, mistakes })
    }

    /// A warning for every key that nobody knows.
    pub(super) fn unknown_keys(&self) -> Vec<Failure> {
        let mut warnings = Vec::new();
        self.unknown_in(&self.root, &mut Vec::new(), &mut warnings);
        warnings
    }

    fn unknown_in<'k>(
        &'k self,
        table: &'k DeTable<'_>,
        path: &mut Vec<&'k str>,
        warnings: &mut Vec<Failure>,
    ) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            path.push(key.get_ref());
            match keys::look_up(path) {
                Ok(()) => {
                    if let DeValue::Table(inner) = value.get_ref() {
                        self.unknown_in(inner, path, warnings);
                    }
                }
                Err(nearest) => {
                    let warning =
                        Failure::new(Kind::Files, format!("`{}` is not a known key", path.join(".")))
                            .at(place(self.path, self.text, &key.span()));
                    warnings.push(match nearest {
                        Some(nearest) => warning.hint(guess::did_you_mean(nearest)),
                        None => warning.hint("it is left as it is; the Supabase CLI may refuse it"),
                    });
                }
            }
            path.pop();
        }
    }

    /// The mistakes met while values were asked for.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let mistakes = self.mistakes.into_inner();
        if mistakes.is_empty() { Ok(()) } else { Err(Failure::all(mistakes)) }
    }

    /// The names in a table, in the order of the file.
    pub(super) fn names(&self, path: &[&str]) -> Vec<String> {
        let Some(value) = self.value(path) else { return Vec::new() };
        let DeValue::Table(table) = value.get_ref() else {
            self.mistake(path, "a table", value.get_ref().type_str(), Some(&value.span()));
            return Vec::new();
        };
        let mut names: Vec<_> = table.iter().filter(|(_, value)| value.get_ref().is_table()).collect();
        names.sort_by_key(|(key, _)| key.span().start);
        names.into_iter().map(|(key, _)| key.get_ref().to_string()).collect()
    }

    /// The keys of a table, in the order of their names.
    pub(super) fn keys(&self, path: &[&str]) -> Vec<String> {
        let table = self.value(path).and_then(|value| value.get_ref().as_table());
        table.into_iter().flatten().map(|(key, _)| key.get_ref().to_string()).collect()
    }

    /// Whether something stands at `path`.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        self.value(path).is_some()
    }

    /// A text.
    pub(super) fn string(&self, path: &[&str]) -> Option<String> {
        let scalar = self.scalar(path)?;
        if !scalar.is_string {
            self.mistake(path, "a text in quotes", &scalar.text, scalar.at.as_ref());
            return None;
        }
        Some(scalar.text)
    }

    /// A truth value; as in the CLI, `"true"`, `"1"` and the like are understood too.
    pub(super) fn boolean(&self, path: &[&str]) -> Option<bool> {
        let scalar = self.scalar(path)?;
        let value = match scalar.text.as_str() {
            "true" | "TRUE" | "True" | "t" | "T" | "1" => Some(true),
            "false" | "FALSE" | "False" | "f" | "F" | "0" | "" => Some(false),
            _ => None,
        };
        if value.is_none() {
            self.refuse(path, "`true` or `false`", &scalar);
        }
        value
    }

    /// A whole number, in quotes or not, that fits `N`, which `what` describes.
    pub(super) fn integer<N: TryFrom<i64>>(&self, path: &[&str], what: &str) -> Option<N> {
        let scalar = self.scalar(path)?;
        let text = scalar.text.replace('_', "");
        let value = text.parse::<i64>().ok().and_then(|number| N::try_from(number).ok());
        if value.is_none() {
            self.refuse(path, what, &scalar);
        }
        value
    }

    /// A port; 0 lets a free one be chosen.
    pub(super) fn port(&self, path: &[&str]) -> Option<u16> {
        self.integer(path, "a port from 0 to 65535")
    }

    /// A number of bytes, as a number or as `50MiB`; as in the CLI a `MB` is a `MiB`.
    pub(super) fn bytes(&self, path: &[&str]) -> Option<u64> {
        let scalar = self.scalar(path)?;
        let value = parse_bytes(&scalar.text);
        if value.is_none() {
            self.refuse(path, "a size like `50MiB`", &scalar);
        }
        value
    }

    /// A list of texts with their places; one text alone is a list of one, split at commas, as in the CLI.
    pub(super) fn strings(&self, path: &[&str]) -> Option<Vec<(String, Place)>> {
        let value = self.value(path)?;
        let mut texts = Vec::new();
        match value.get_ref() {
            DeValue::Array(items) => {
                for item in items {
                    let Some(text) = item.get_ref().as_str() else {
                        let found = item.get_ref().type_str();
                        self.mistake(path, "a list of texts in quotes", found, Some(&item.span()));
                        return None;
                    };
                    let text = self.expanded(text).unwrap_or_else(|_| text.to_owned());
                    texts.push((text, place(self.path, self.text, &item.span())));
                }
            }
            DeValue::String(text) => {
                let place = place(self.path, self.text, &value.span());
                let text = self.expanded(text).unwrap_or_else(|_| text.to_string());
                texts.extend(
                    text.split(',')
                        .filter(|part| !part.is_empty())
                        .map(|part| (part.to_owned(), place.clone())),
                );
            }
            other => {
                self.mistake(path, "a list of texts in quotes", other.type_str(), Some(&value.span()));
                return None;
            }
        }
        Some(texts)
    }

    fn value(&self, path: &[&str]) -> Option<&Spanned<DeValue<'a>>> {
        let (first, rest) = path.split_first()?;
        let mut value = self.root.get(*first)?;
        for key in rest {
            let DeValue::Table(table) = value.get_ref() else {
                self.mistake(&path[..1], "a table", value.get_ref().type_str(), Some(&value.span()));
                return None;
            };
            value = table.get(*key)?;
        }
        Some(value)
    }

    fn scalar(&self, path: &[&str]) -> Option<Scalar> {
        let name = format!("SUPABASE_{}", path.join("_").to_uppercase());
        if let Some(text) = (self.variables)(&name).filter(|text| !text.is_empty()) {
            return Some(Scalar { text, at: None, variable: Some(name), is_string: true });
        }
        let value = self.value(path)?;
        let at = Some(value.span());
        let plain = |text: &str| {
            Some(Scalar { text: text.to_owned(), at: at.clone(), variable: None, is_string: false })
        };
        match value.get_ref() {
            DeValue::String(text) => {
                let (text, variable) = match self.expanded(text) {
                    Ok(expanded) => {
                        let variable =
                            (expanded != **text).then(|| asked_for(text).unwrap_or_default().to_owned());
                        (expanded, variable)
                    }
                    Err(name) => (text.to_string(), Some(name)),
                };
                Some(Scalar { text, at, variable, is_string: true })
            }
            DeValue::Integer(number) if number.radix() == 10 => plain(number.as_str()),
            DeValue::Float(number) => plain(number.as_str()),
            DeValue::Boolean(truth) => plain(if *truth { "true" } else { "false" }),
            other => {
                self.mistake(path, "a single value", other.type_str(), at.as_ref());
                None
            }
        }
    }

    /// The text with `env(NAME)` replaced; the name, when that variable is not set.
    fn expanded(&self, text: &str) -> Result<String, String> {
        match asked_for(text) {
            Some(name) => {
                (self.variables)(name).filter(|value| !value.is_empty()).ok_or_else(|| name.to_owned())
            }
            None => Ok(text.to_owned()),
        }
    }

    fn refuse(&self, path: &[&str], what: &str, scalar: &Scalar) {
        let unset = scalar.variable.as_deref().filter(|_| asked_for(&scalar.text).is_some());
        let message = match (unset, &scalar.variable) {
            (Some(name), _) => format!("`{}` asks for the variable {name}, which is not set", path.join(".")),
            // Its value may be a secret, and is not shown.
            (None, Some(name)) => format!("{name} must be {what} (for `{}`)", path.join(".")),
            (None, None) => format!("`{}` must be {what}, not `{}`", path.join("."), scalar.text),
        };
        let mut failure = Failure::new(Kind::Files, message);
        if let Some(at) = &scalar.at {
            failure = failure.at(place(self.path, self.text, at));
        }
        if let Some(name) = unset {
            failure = failure.hint(format!("set {name} in the environment or in supabase/.env"));
        }
        self.remember(failure);
    }

    fn mistake(&self, path: &[&str], what: &str, found: &str, at: Option<&Range<usize>>) {
        let failure = Failure::new(Kind::Files, format!("`{}` must be {what}, not {found}", path.join(".")));
        self.remember(match at {
            Some(at) => failure.at(place(self.path, self.text, at)),
            None => failure,
        });
    }

    /// One table asked for through several keys is told once.
    fn remember(&self, failure: Failure) {
        let mut mistakes = self.mistakes.borrow_mut();
        if !mistakes.iter().any(|known| known.message == failure.message && known.places == failure.places) {
            mistakes.push(failure);
        }
    }
}

fn place(path: &Path, text: &str, at: &Range<usize>) -> Place {
    Place::in_text(path, text, at)
}

/// The name in `env(NAME)`.
fn asked_for(text: &str) -> Option<&str> {
    text.strip_prefix("env(")?.strip_suffix(')')
}

fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u32 = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let number = number.replace('_', "");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << factor);
    }
    // `1.5GB`: thousandths are exact enough for a limit.
    let (whole, part) = number.split_once('.')?;
    let thousandths: u64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    Some(whole.checked_mul(1 << factor)? + thousandths.checked_mul(1 << factor)? / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("50MiB"), Some(50 << 20));
        assert_eq!(parse_bytes("5MB"), Some(5 << 20));
        assert_eq!(parse_bytes("1.5 kb"), Some(1536));
        assert_eq!(parse_bytes("123"), Some(123));
        assert_eq!(parse_bytes("many"), None);
        assert_eq!(parse_bytes("99999999999999999999GB"), None);
    }
}
