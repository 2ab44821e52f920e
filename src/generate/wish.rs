//! What is wished for beyond the schema: how many rows, which values. It comes from the command line, from
//! `x-devenv.generate` in the compose file, and from generator files among the seeds; all have this form.
//!
//! ```yaml
//! seed: 42
//! tables:
//!   users: 10k
//!   orders:
//!     rows: 50k
//!     columns: {status: [new, paid], total: {min: 1, max: 500}, note: null}
//!     fanout: {user_id: zipf}
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// All wishes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wishes {
    /// What all values are made of.
    pub seed: Option<u64>,
    /// What every number of rows is multiplied by.
    pub scale: Option<f64>,
    /// By table, as `name` or `schema.name`.
    pub tables: BTreeMap<String, Wish>,
}

/// What is wished for of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// How many rows.
    pub rows: Option<u64>,
    /// What columns hold.
    pub columns: BTreeMap<String, Values>,
    /// How references spread, by one of their columns.
    pub fanout: BTreeMap<String, Fanout>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One of these.
    Of(Vec<Scalar>),
    /// A number between.
    Between {
        /// At least.
        min: i64,
        /// At most.
        max: i64,
    },
    /// Always this; nothing is NULL.
    One(Option<Scalar>),
}

/// A value as YAML writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(it) => it.fmt(f),
            Self::Int(it) => it.fmt(f),
            Self::Float(it) => it.fmt(f),
            Self::Text(it) => it.fmt(f),
        }
    }
}

/// How many of a table's rows point at each of another's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fanout {
    /// About as many at each.
    #[default]
    Uniform,
    /// Many at few, few at many.
    Zipf,
    /// As many at each as evenly goes.
    Fixed,
}

impl<'de> Deserialize<'de> for Wish {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Count {
            Number(u64),
            Text(String),
        }
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Whole {
            rows: Option<Count>,
            columns: BTreeMap<String, Values>,
            fanout: BTreeMap<String, Fanout>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Rows(Count),
            Whole(Whole),
        }
        let whole = match Form::deserialize(deserializer)? {
            Form::Rows(rows) => Whole { rows: Some(rows), ..Whole::default() },
            Form::Whole(whole) => whole,
        };
        let rows = match whole.rows {
            None => None,
            Some(Count::Number(number)) => Some(number),
            Some(Count::Text(text)) => Some(count(&text).ok_or_else(|| {
                serde::de::Error::custom(format!("`{text}` is no number of rows such as 500, 10k or 2M"))
            })?),
        };
        Ok(Self { rows, columns: whole.columns, fanout: whole.fanout })
    }
}

/// A number of rows as people write it: `500`, `10k`, `1.5M`.
#[must_use]
pub fn count(text: &str) -> Option<u64> {
    let (number, unit) = match text.trim().strip_suffix(['k', 'K']) {
        Some(number) => (number, 1000),
        None => text.trim().strip_suffix(['m', 'M']).map_or((text.trim(), 1), |number| (number, 1_000_000)),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(part.len()).ok().filter(|digits| *digits <= 6)?;
    if !number.chars().all(|c| c.is_ascii_digit() || c == '.') || whole.is_empty() {
        return None;
    }
    let part: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part * unit / 10_u64.pow(digits))
}

impl Wishes {
    /// These, and `over` where it says something.
    #[must_use]
    pub fn with(mut self, over: Self) -> Self {
        self.seed = over.seed.or(self.seed);
        self.scale = over.scale.or(self.scale);
        for (table, wish) in over.tables {
            let own = self.tables.entry(table).or_default();
            own.rows = wish.rows.or(own.rows);
            own.columns.extend(wish.columns);
            own.fanout.extend(wish.fanout);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_as_people_write_them() {
        assert_eq!(
            ["7", "10k", "1.5M", "0.25k"].map(count),
            [Some(7), Some(10_000), Some(1_500_000), Some(250)]
        );
        assert_eq!(["", "k", "-1", "1e3", "1.2.3k", "ten"].map(count), [None; 6]);
    }

    #[test]
    fn wishes_are_read() {
        let text = r#"{"seed": 1, "tables": {"users": "10k", "orders": {"rows": 5,
            "columns": {"status": ["new", 2], "total": {"min": 1, "max": 5}, "note": null, "kind": "a"},
            "fanout": {"user_id": "zipf"}}}}"#;
        let wishes: Wishes = serde_json::from_str(text).unwrap();
        assert_eq!(wishes.tables["users"].rows, Some(10_000));
        let orders = &wishes.tables["orders"];
        assert_eq!(orders.columns["total"], Values::Between { min: 1, max: 5 });
        assert_eq!(orders.columns["note"], Values::One(None));
        assert_eq!(orders.fanout["user_id"], Fanout::Zipf);
        assert!(serde_json::from_str::<Wishes>(r#"{"tables": {"a": {"row": 1}}}"#).is_err());
    }
}
