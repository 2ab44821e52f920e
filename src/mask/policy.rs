//! The policy file: what becomes of every column of every table.
//!
//! ```yaml
//! version: 1
//! tables:
//!   public.users:
//!     id: keep
//!     email: email
//!     name: {mask: name, per: id}
//!     born: {mask: date, days: 30, per: id}
//!     settings: {mask: json, paths: {$.phone: phone}, rest: keep}
//!     bio: redact
//!     token: null
//!   public.audit: drop
//! ```

use std::fmt;
use std::ops::Range;

use indexmap::IndexMap;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::base::{Failure, Kind, Place};

/// What the file is called where nothing else is said, beside the compose file.
pub const FILE: &str = "masking.yaml";

/// The version of the format.
pub const VERSION: u32 = 1;

/// Decisions on tables, by `schema.table`.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// [`VERSION`].
    pub version: u32,
    /// The decisions.
    #[serde(default, deserialize_with = "once")]
    pub tables: IndexMap<String, Decisions>,
}

/// What becomes of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Decisions {
    /// It is there, without rows.
    Drop,
    /// All of its rows are copied as they are.
    Keep,
    /// Column by column.
    Columns(IndexMap<String, Decision>),
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Its values are copied, and searched for what was masked elsewhere.
    Keep,
    /// Its values are copied; what they say is no secret, so they are not searched.
    Public,
    /// Its values are not copied: the column's default, or NULL, stands there.
    Drop,
    /// Its values are masked.
    Mask(Box<Rule>),
}

/// How values are masked.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What is made of them.
    pub make: Make,
    /// The identity class: equal values of one class are masked alike, in whatever column.
    pub class: Option<String>,
    /// The column of the same row that the masked value depends on instead of the value itself, so that all that is
    /// made for one person goes together.
    pub per: Option<String>,
    /// In which rows; in the others the value is kept.
    pub when: Option<When>,
}

/// A condition on another column of the same row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The column.
    pub column: String,
    /// It has one of these values.
    #[serde(default)]
    pub is: Vec<String>,
    /// It has none of these.
    #[serde(default)]
    pub is_not: Vec<String>,
}

/// What is made of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Make {
    /// NULL.
    Null,
    /// Always the same.
    Constant(String),
    /// Hexadecimal digits of a keyed hash.
    Hash,
    /// An e-mail address below example.com, .net or .org (RFC 2606).
    Email,
    /// A given name.
    GivenName,
    /// A family name.
    FamilyName,
    /// A given and a family name.
    Name,
    /// A name to log in with.
    Username,
    /// A telephone number in +999, which is nobody's (ITU-T E.164, reserved).
    Phone,
    /// A house number and a street.
    Street,
    /// A place.
    City,
    /// The same form with other letters and digits; a permutation.
    Form,
    /// The same form with other digits; a permutation.
    Digits,
    /// Another UUID; a permutation.
    Uuid,
    /// A card number with a right check digit, of a range for tests.
    Card,
    /// An address of IPv4 or IPv6 of a range for documentation or benchmarks (RFC 2544, RFC 3849).
    Network,
    /// An address below `https://example.com`.
    Url,
    /// A date up to so many days before or after.
    Date(u32),
    /// A number that is up to so many percent smaller or larger.
    Noise(u32),
    /// A text of the same length that says nothing.
    Text,
    /// The text without what gives itself away by its form, or stands in another masked column of the row.
    Redact,
    /// What stands at paths of JSON is masked, each by its rule; the rest is kept, or every text of it made anew.
    Json {
        /// Rules by path.
        paths: Vec<(String, Make)>,
        /// What becomes of the rest.
        rest: Rest,
    },
}

/// What becomes of a JSON document's values that no path names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rest {
    /// They are kept.
    Keep,
    /// Their texts are searched for what gives itself away by its form.
    #[default]
    Redact,
    /// Their texts are made anew, and their numbers are zero.
    Text,
}

impl Make {
    /// All words that stand for one, for messages.
    pub const WORDS: [&'static str; 22] = [
        "null",
        "hash",
        "email",
        "given_name",
        "family_name",
        "name",
        "username",
        "phone",
        "street",
        "city",
        "form",
        "digits",
        "uuid",
        "card",
        "ip",
        "url",
        "date",
        "noise",
        "text",
        "redact",
        "json",
        "constant",
    ];

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Constant(_) => "constant",
            Self::Hash => "hash",
            Self::Email => "email",
            Self::GivenName => "given_name",
            Self::FamilyName => "family_name",
            Self::Name => "name",
            Self::Username => "username",
            Self::Phone => "phone",
            Self::Street => "street",
            Self::City => "city",
            Self::Form => "form",
            Self::Digits => "digits",
            Self::Uuid => "uuid",
            Self::Card => "card",
            Self::Network => "ip",
            Self::Url => "url",
            Self::Date(_) => "date",
            Self::Noise(_) => "noise",
            Self::Text => "text",
            Self::Redact => "redact",
            Self::Json { .. } => "json",
        }
    }

    /// What a word stands for, where it needs no more than the word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "null" => Self::Null,
            "hash" => Self::Hash,
            "email" => Self::Email,
            "given_name" => Self::GivenName,
            "family_name" => Self::FamilyName,
            "name" => Self::Name,
            "username" => Self::Username,
            "phone" => Self::Phone,
            "street" => Self::Street,
            "city" => Self::City,
            "form" => Self::Form,
            "digits" => Self::Digits,
            "uuid" => Self::Uuid,
            "card" => Self::Card,
            "ip" => Self::Network,
            "url" => Self::Url,
            "date" => Self::Date(30),
            "noise" => Self::Noise(10),
            "text" => Self::Text,
            "redact" => Self::Redact,
            "json" => Self::Json { paths: Vec::new(), rest: Rest::default() },
            _ => return None,
        })
    }

    /// The identity class of its values where the policy names none.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Email => "person.email",
            Self::GivenName | Self::FamilyName | Self::Name => "person.name",
            Self::Username => "person.username",
            Self::Phone => "person.phone",
            Self::Street | Self::City => "person.address",
            Self::Date(_) => "person.date",
            other => other.word(),
        }
    }
}

impl Rule {
    /// A rule with nothing but what is made.
    #[must_use]
    pub fn new(make: Make) -> Self {
        Self { make, class: None, per: None, when: None }
    }

    /// The identity class.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.class.as_deref().unwrap_or_else(|| self.make.class())
    }
}

/// A rule as it is written with more than its word.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    mask: String,
    class: Option<String>,
    per: Option<String>,
    when: Option<When>,
    days: Option<u32>,
    percent: Option<u32>,
    value: Option<String>,
    #[serde(default, deserialize_with = "once")]
    paths: IndexMap<String, String>,
    rest: Option<Rest>,
}

impl Long {
    fn rule(self) -> Result<Rule, String> {
        let Self { mask, class, per, when, days, percent, value, paths, rest } = self;
        let takes = |option: &str, given: bool, by: &[&str]| {
            if given && !by.contains(&mask.as_str()) {
                return Err(format!("`{option}` goes with {}, not with `{mask}`", by.join(" or ")));
            }
            Ok(())
        };
        takes("days", days.is_some(), &["date"])?;
        takes("percent", percent.is_some(), &["noise"])?;
        takes("value", value.is_some(), &["constant"])?;
        takes("paths", !paths.is_empty(), &["json"])?;
        takes("rest", rest.is_some(), &["json"])?;
        let make = match mask.as_str() {
            "constant" => Make::Constant(value.ok_or("`constant` needs `value`")?),
            "date" => Make::Date(days.unwrap_or(30).clamp(1, 36_500)),
            "noise" => Make::Noise(percent.unwrap_or(10).clamp(1, 100)),
            "json" => {
                let paths = paths.into_iter().map(|(path, word)| {
                    super::json::Path::read(&path)?;
                    let make = Make::of(&word).filter(|make| !matches!(make, Make::Json { .. }));
                    Ok((path, make.ok_or_else(|| unknown(&word))?))
                });
                Make::Json { paths: paths.collect::<Result<_, String>>()?, rest: rest.unwrap_or_default() }
            }
            word => Make::of(word).ok_or_else(|| unknown(word))?,
        };
        Ok(Rule { make, class, per, when })
    }
}

fn unknown(word: &str) -> String {
    let near =
        crate::base::guess::closest(word, Make::WORDS.into_iter().chain(["keep", "public", "drop"]), |_| 2);
    match near {
        Some(near) => format!("no rule is called `{word}`; did you mean `{near}`?"),
        None => {
            format!("no rule is called `{word}`; there are keep, public, drop, {}", Make::WORDS.join(", "))
        }
    }
}

impl<'de> Deserialize<'de> for Decision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Decision;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`keep`, `public`, `drop`, a rule, or a mapping with `mask`")
            }
            fn visit_unit<E>(self) -> Result<Decision, E> {
                Ok(Decision::Mask(Box::new(Rule::new(Make::Null))))
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Decision, E> {
                match word {
                    "keep" => Ok(Decision::Keep),
                    "public" => Ok(Decision::Public),
                    "drop" => Ok(Decision::Drop),
                    word => {
                        let make = Make::of(word).ok_or_else(|| E::custom(unknown(word)))?;
                        Ok(Decision::Mask(Box::new(Rule::new(make))))
                    }
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Decision, A::Error> {
                let long = Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Decision::Mask(Box::new(long.rule().map_err(A::Error::custom)?)))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

impl<'de> Deserialize<'de> for Decisions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Decisions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`keep`, `drop`, or a mapping of columns")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Decisions, E> {
                match word {
                    "keep" => Ok(Decisions::Keep),
                    "drop" => Ok(Decisions::Drop),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Decisions, A::Error> {
                once(MapAccessDeserializer::new(map)).map(Decisions::Columns)
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// A mapping in which no key stands twice.
fn once<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    deserializer: D,
) -> Result<IndexMap<String, V>, D::Error> {
    struct Seen<V>(std::marker::PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Seen<V> {
        type Value = IndexMap<String, V>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut read = IndexMap::new();
            while let Some(key) = map.next_key::<String>()? {
                let value = map.next_value()?;
                if read.insert(key.clone(), value).is_some() {
                    return Err(A::Error::custom(format!("`{key}` stands here twice")));
                }
            }
            Ok(read)
        }
    }
    deserializer.deserialize_map(Seen(std::marker::PhantomData))
}

impl Policy {
    /// Reads the text of a policy; `path` is what it is called in messages.
    pub fn read(path: &std::path::Path, text: &str) -> Result<Self, Failure> {
        let policy: Self = serde_yaml::from_str(text).map_err(|error| {
            let place = match error.location() {
                Some(at) => Place::in_text(path, text, &(at.index()..at.index() + 1)),
                None => Place::file(path),
            };
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or(&said).to_owned();
            Failure::new(Kind::Files, format!("the masking policy is not understood: {said}")).at(place)
        })?;
        if policy.version != VERSION {
            let text =
                format!("the masking policy has version {}, and this devenv knows {VERSION}", policy.version);
            return Err(Failure::new(Kind::Files, text).at(Place::file(path)));
        }
        Ok(policy)
    }

    /// What was decided on a column.
    #[must_use]
    pub fn decision(&self, table: &str, column: &str) -> Option<Decision> {
        match self.tables.get(table)? {
            Decisions::Drop => Some(Decision::Drop),
            Decisions::Keep => Some(Decision::Keep),
            Decisions::Columns(columns) => columns.get(column).cloned(),
        }
    }

    /// Where a table, or a column of it, stands in the text of a policy.
    #[must_use]
    pub fn place(text: &str, table: &str, column: Option<&str>) -> Option<Range<usize>> {
        let key = |line: &str| {
            let line = line.trim_start();
            let key = line.split_once(':').map_or(line, |(key, _)| key);
            key.trim().trim_matches(['"', '\'']).to_owned()
        };
        let mut at = 0;
        let mut inside = None;
        for line in text.split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            let name = at + indent..at + indent + line.trim().len();
            at += line.len();
            if line.trim_start().starts_with('#') || line.trim().is_empty() {
                continue;
            }
            match (inside, column) {
                (None, None) if indent > 0 && key(line) == table => return Some(name),
                (None, Some(_)) if indent > 0 && key(line) == table => inside = Some(indent),
                (Some(outer), _) if indent <= outer => return None,
                (Some(_), Some(column)) if key(line) == column => return Some(name),
                _ => {}
            }
        }
        None
    }
}

/// A key of YAML, in quotes where it needs them.
#[must_use]
pub fn yaml_key(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
            .contains(&name.to_ascii_lowercase().as_str());
    if plain { name.to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Policy, Failure> {
        Policy::read(Path::new(FILE), text)
    }

    #[test]
    fn decisions_are_read() {
        let text = "version: 1\ntables:\n  public.users:\n    id: keep\n    email: email\n    token: null\n    \
            born: {mask: date, days: 5, per: id}\n    prefs: {mask: json, paths: {$.phone: phone}, rest: keep}\n  \
            public.audit: drop\n";
        let policy = read(text).unwrap();
        assert_eq!(policy.decision("public.users", "id"), Some(Decision::Keep));
        assert_eq!(policy.decision("public.users", "other"), None);
        assert_eq!(policy.decision("public.audit", "any"), Some(Decision::Drop));
        let Some(Decision::Mask(born)) = policy.decision("public.users", "born") else { panic!("no rule") };
        assert_eq!((&born.make, born.per.as_deref()), (&Make::Date(5), Some("id")));
        let at = Policy::place(text, "public.users", Some("token")).unwrap();
        assert_eq!(&text[at], "token: null");
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (text, says, line) in [
            ("version: 1\ntables:\n  a.b:\n    c: emial\n", "did you mean `email`", 4),
            ("version: 1\ntables:\n  a.b:\n    c: keep\n    c: drop\n", "stands here twice", 5),
            ("version: 1\ntables:\n  a.b:\n    c: {mask: email, days: 4}\n", "`days` goes with date", 4),
            ("version: 2\n", "has version 2", 0),
            ("version: 1\nrules: {}\n", "unknown field", 2),
        ] {
            let failure = read(text).unwrap_err();
            assert!(failure.message.contains(says), "{} / {says}", failure.message);
            assert!(failure.places[0].line.abs_diff(line) <= 1, "{:?}", failure.places);
        }
    }

    #[test]
    fn every_word_is_known() {
        for word in Make::WORDS.into_iter().filter(|word| *word != "constant") {
            assert_eq!(Make::of(word).unwrap().word(), word);
        }
        assert_eq!(yaml_key("public.Users"), "public.Users");
        assert_eq!(yaml_key("on"), "\"on\"");
    }
}
