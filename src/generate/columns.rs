//! What a column's type and name say of its values, and how checks and wishes narrow that down.

use regex_automata::meta::Regex;

use super::check::Ask;
use super::civil::{BEGIN, DAYS, seconds};
use super::make::{Form, Make, Meaning, Order, Ordinal, Text};
use super::meaning;
use super::prf::Prf;
use super::wish::Values;
use crate::base::civil::DAY;
use crate::base::copy_text::escaped;
use crate::schema::table::{Column, Shape, Table};

/// What a column is going to be.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// How its values are made.
    pub make: Make,
    /// How many in a hundred are NULL.
    pub nulls: u8,
    /// Whether somebody wished for exactly this.
    pub wished: bool,
}

/// How many in a hundred are NULL where they may be.
const NULLS: u8 = 10;
/// The highest number that is likely to mean anything.
const MANY: i64 = 1_000_000;

fn ordinal(low: i64, high: i64, form: Form) -> Make {
    let size = high.saturating_sub(low).max(0).unsigned_abs().saturating_add(1);
    Make::Ordinal(Ordinal { low, size, order: Order::Random, form })
}

/// The numbers that fit into a type.
pub(super) fn limits(shape: &Shape) -> Option<(i64, i64, Form)> {
    Some(match shape.base.as_str() {
        "int2" => (i64::from(i16::MIN), i64::from(i16::MAX), Form::Int),
        "int4" => (i64::from(i32::MIN), i64::from(i32::MAX), Form::Int),
        "int8" => (i64::MIN, i64::MAX, Form::Int),
        "oid" => (0, i64::from(u32::MAX), Form::Int),
        "numeric" => {
            let (precision, scale) = match shape.modifier {
                -1 => (15, 2),
                modifier => ((modifier - 4) >> 16 & 0xffff, (modifier - 4) & 0x7ff),
            };
            let (precision, scale) = (u32::try_from(precision).ok()?, u32::try_from(scale).ok()?);
            if scale > 1000 {
                return None;
            }
            let high = 10_i64.checked_pow(precision.min(18))? - 1;
            (-high, high, Form::Decimal(scale.min(18)))
        }
        "money" => (-100_000_000, 100_000_000, Form::Decimal(2)),
        "float4" => (-9_999_999, 9_999_999, Form::Decimal(2)),
        "float8" => (-1_000_000_000_000, 1_000_000_000_000, Form::Decimal(3)),
        "date" => (-365 * 1970, 365 * 3000, Form::Date),
        "time" | "timetz" => (0, DAY - 1, Form::Time),
        "timestamp" => (-DAY * 365 * 1900, DAY * 365 * 3000, Form::Stamp(false)),
        "timestamptz" => (-DAY * 365 * 1900, DAY * 365 * 3000, Form::Stamp(true)),
        "interval" => (0, DAY * 30, Form::Interval),
        _ => return None,
    })
}

fn number(shape: &Shape, name: &str) -> Option<Make> {
    let (least, most, form) = limits(shape)?;
    let (low, high) = match form {
        Form::Int => meaning::of_number(name).unwrap_or((1, if most > MANY { MANY } else { 30_000 })),
        Form::Decimal(scale) => {
            let (low, high) = meaning::of_number(name).unwrap_or((0, 10_000));
            let unit = 10_i64.checked_pow(scale)?;
            (low.checked_mul(unit)?, high.checked_mul(unit)?)
        }
        Form::Date if name.contains("birth") || name == "dob" => (BEGIN - 365 * 70, BEGIN - 365 * 18),
        Form::Date => (BEGIN, BEGIN + DAYS - 1),
        Form::Stamp(_) => (BEGIN * DAY, (BEGIN + DAYS) * DAY - 1),
        Form::Time | Form::Interval => (0, DAY - 1),
    };
    let (low, high) = if low > most { (least, most) } else { (low.max(least), high.min(most)) };
    Some(ordinal(low, high, form))
}

/// The values of a type below its arrays; nothing for one that is not known.
fn plain(table: &Table, column: &Column) -> Option<Make> {
    let shape = &column.shape;
    let length =
        |otherwise: usize| usize::try_from(shape.modifier).ok().filter(|it| *it > 0).unwrap_or(otherwise);
    if !shape.labels.is_empty() {
        return Some(Make::Of(shape.labels.iter().map(|label| escaped(label)).collect(), Order::Random));
    }
    if let Some(make) = number(shape, &column.name) {
        return Some(make);
    }
    let range = |form: Form, from: i64, to: i64| match ordinal(from, to, form) {
        Make::Ordinal(ordinal) => Some(Make::Range(ordinal)),
        _ => None,
    };
    Some(match shape.base.as_str() {
        "bool" => Make::Of(vec![b"f".to_vec(), b"t".to_vec()], Order::Random),
        "text" | "varchar" | "bpchar" | "citext" | "name" => {
            let most = shape.longest().map_or(200, |most| most as usize).min(200);
            let most = if shape.base == "name" { most.min(60) } else { most };
            // `char` alone is one character.
            let most = if shape.base == "bpchar" && shape.longest().is_none() { 1 } else { most };
            let mut it = meaning::of_text(&table.name, &column.name);
            if most <= 3 && it != Meaning::Currency && it != Meaning::Language {
                it = if it == Meaning::Country && most == 2 {
                    Meaning::CountryCode
                } else {
                    Meaning::Capitals
                };
            }
            Make::Text(Text { meaning: it, least: 0, most, unique: false, lower: false })
        }
        "char" => Make::Of(vec![b"a".to_vec(), b"b".to_vec()], Order::Random),
        "uuid" => Make::Uuid,
        "bytea" => Make::Bytes(16),
        "inet" => Make::Inet(false),
        "cidr" => Make::Inet(true),
        "macaddr" => Make::Mac(6),
        "macaddr8" => Make::Mac(8),
        "bit" => Make::Bits(length(1)),
        "varbit" => Make::Bits(length(16)),
        "json" | "jsonb" => Make::Json(false),
        "tsvector" => Make::Words,
        "xml" => Make::Of(vec![b"<a/>".to_vec()], Order::Random),
        "tsquery" | "ltree" => Make::Of(vec![b"amber".to_vec(), b"birch".to_vec()], Order::Random),
        "hstore" => Make::Of(vec![b"\"kind\"=>\"amber\"".to_vec()], Order::Random),
        "point" => Make::Point,
        "vector" | "halfvec" => Make::Vector(length(3)),
        "int4range" | "int8range" | "numrange" => range(Form::Int, 1, MANY)?,
        "daterange" => range(Form::Date, BEGIN, BEGIN + DAYS)?,
        "tsrange" => range(Form::Stamp(false), BEGIN * DAY, (BEGIN + DAYS) * DAY)?,
        "tstzrange" => range(Form::Stamp(true), BEGIN * DAY, (BEGIN + DAYS) * DAY)?,
        _ => return None,
    })
}

/// What a column is by itself; nothing when it is left to its default, or cannot be written. An error is why not.
pub(super) fn draft(table: &Table, column: &Column) -> Result<Option<Draft>, String> {
    if column.generated.is_some() {
        return Ok(None);
    }
    let nulls = if column.not_null { 0 } else { NULLS };
    let serial = column.identity.is_some()
        || column.default.as_ref().is_some_and(|default| default.starts_with("nextval("));
    let keyed = table.primary_key() == [column.name.clone()];
    let shape = &column.shape;
    if !shape.array
        && (serial || keyed)
        && let Some((_, high, form)) = limits(shape)
        && matches!(form, Form::Int | Form::Decimal(0))
    {
        let size = high.unsigned_abs();
        let make = Make::Ordinal(Ordinal { low: 1, size, order: Order::Serial, form });
        return Ok(Some(Draft { make, nulls: 0, wished: false }));
    }
    let make = match plain(table, column) {
        // What needs quotes in an array, or is not known: an empty one.
        None
        | Some(
            Make::Json(_)
            | Make::Bytes(_)
            | Make::Point
            | Make::Words
            | Make::Range(_)
            | Make::Vector(_)
            | Make::Ordinal(Ordinal { form: Form::Stamp(_), .. }),
        ) if shape.array => Make::Of(vec![b"{}".to_vec()], Order::Random),
        Some(Make::Of(values, order)) if shape.array => {
            let quoted = |value: &Vec<u8>| {
                let text = String::from_utf8_lossy(value).replace("\\\\", "\\");
                escaped(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
            };
            Make::Array(Make::Of(values.iter().map(quoted).collect(), order).into())
        }
        // Blanks and commas need quotes in an array; words have none.
        Some(Make::Text(text)) if shape.array => {
            Make::Array(Make::Text(Text { meaning: Meaning::Word, ..text }).into())
        }
        Some(make) if shape.array => Make::Array(make.into()),
        Some(make) => make,
        None if column.default.is_some() => return Ok(None),
        None if !column.not_null => Make::Null,
        None => return Err(format!("nothing is known of how to write a `{}`", column.type_name)),
    };
    Ok(Some(Draft { make, nulls, wished: false }))
}

/// Gives a column the values that were wished for.
pub(super) fn wish(draft: &mut Draft, values: &Values, array: bool) -> Result<(), String> {
    draft.wished = true;
    let texts = |all: &[String]| Make::Of(all.iter().map(|it| escaped(it)).collect(), Order::Random);
    match values {
        Values::One(None) => draft.make = Make::Null,
        Values::One(Some(one)) => (draft.make, draft.nulls) = (texts(&[one.to_string()]), 0),
        Values::Of(all) if all.is_empty() => return Err("a list of values is empty".into()),
        Values::Of(all) => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            draft.make = texts(&all);
        }
        Values::Between { min, max } => match &mut draft.make {
            Make::Ordinal(it) if !array && min <= max => {
                let form = it.form;
                let unit = if let Form::Decimal(scale) = form { 10_i64.pow(scale) } else { 1 };
                draft.make = ordinal(min.saturating_mul(unit), max.saturating_mul(unit), form);
            }
            _ => return Err("`min` and `max` are for columns of numbers, the smaller one first".into()),
        },
    }
    Ok(())
}

/// A literal as a number of a form.
fn parsed(literal: &str, form: Form) -> Option<(i64, bool)> {
    match form {
        Form::Int | Form::Decimal(_) => {
            let scale = if let Form::Decimal(scale) = form { scale as usize } else { 0 };
            let (sign, digits) = literal.strip_prefix('-').map_or((1, literal), |digits| (-1, digits));
            let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
            let kept: String = part.chars().chain("0".repeat(scale).chars()).take(scale).collect();
            let exact = part.len() <= scale || part[scale..].chars().all(|digit| digit == '0');
            Some((sign * format!("{whole}{kept}").parse::<i64>().ok()?, exact))
        }
        Form::Date => Some((seconds(literal)?.div_euclid(DAY), true)),
        Form::Stamp(_) => Some((seconds(literal)?, true)),
        Form::Time => Some((seconds(&format!("1970-01-01 {literal}"))?, true)),
        Form::Interval => (literal.trim_start_matches('0').is_empty() || literal.starts_with("00:00:00"))
            .then_some((0, true)),
    }
}

fn bound(it: &mut Ordinal, literal: &str, low: bool, inclusive: bool, shape: &Shape) -> Option<()> {
    let (mut value, exact) = parsed(literal, it.form)?;
    let (least, most, _) = limits(shape)?;
    if !exact && low {
        value += i64::from(!literal.starts_with('-'));
    } else if exact && !inclusive {
        value += if low { 1 } else { -1 };
    }
    let width = i64::try_from(it.size).unwrap_or(i64::MAX).saturating_sub(1);
    let (mut from, mut to) = (it.low, it.high());
    if low && from < value {
        from = value;
        if to < from {
            to = from.saturating_add(width).min(most);
        }
    }
    if !low && to > value {
        to = value;
        if from > to {
            from = to.saturating_sub(width).max(least);
        }
    }
    if from > to || from < least || to > most {
        return None;
    }
    it.low = from;
    it.size = to.saturating_sub(from).unsigned_abs() + 1;
    Some(())
}

/// Forms of text that are tried for a regular expression.
const TRIED: [(Meaning, &[usize]); 12] = [
    (Meaning::Letters, &[3, 2, 4, 5, 6, 8, 10]),
    (Meaning::Slug, &[24]),
    (Meaning::Digits, &[5, 1, 2, 3, 4, 6, 7, 8, 9, 10]),
    (Meaning::Capitals, &[2, 3, 1, 4, 5, 6, 8, 10]),
    (Meaning::Email, &[60]),
    (Meaning::Phone, &[12, 14]),
    (Meaning::Hex, &[32, 40, 64, 16, 8]),
    (Meaning::HexColour, &[7]),
    (Meaning::Url, &[60]),
    (Meaning::Ip, &[15]),
    (Meaning::Word, &[20]),
    (Meaning::Given, &[20]),
];

/// A text that matches.
fn matching(text: &Text, pattern: &str) -> Option<Text> {
    let regex = Regex::new(pattern).ok()?;
    let fits = |text: &Text| {
        [false, true].into_iter().all(|unique| {
            let text = Text { unique, ..*text };
            let prf = Prf::new(0, "", pattern);
            let mut out = Vec::new();
            (0..32).all(|row| {
                out.clear();
                text.write(prf, row, &mut out);
                regex.is_match(&out)
            })
        })
    };
    let mut tried = vec![*text];
    for (meaning, lengths) in TRIED {
        for length in lengths.iter().filter(|length| **length <= text.most && **length >= text.least) {
            let fixed =
                matches!(meaning, Meaning::Digits | Meaning::Capitals | Meaning::Hex | Meaning::Letters);
            let least = if fixed { *length } else { text.least };
            tried.push(Text { meaning, least, most: *length, ..*text });
        }
    }
    tried.into_iter().find(fits)
}

/// Narrows a column down to what a check asks of it alone; false when that cannot be done.
pub(super) fn narrow(draft: &mut Draft, shape: &Shape, ask: &Ask) -> bool {
    if let Make::Array(_) = draft.make {
        return matches!(ask, Ask::Present(_) | Ask::Absent(_)) && draft_nulls(draft, ask);
    }
    let done = match (&mut draft.make, ask) {
        (_, Ask::Present(_) | Ask::Absent(_)) => return draft_nulls(draft, ask),
        // What is generated is never empty, nor anything that stands in a check.
        (Make::Null, _) | (Make::Text(_), Ask::Not(..)) => Some(()),
        (Make::Ordinal(it), Ask::Low(_, value, inclusive)) => bound(it, value, true, *inclusive, shape),
        (Make::Ordinal(it), Ask::High(_, value, inclusive)) => bound(it, value, false, *inclusive, shape),
        (Make::Ordinal(it), Ask::Not(_, value)) => parsed(value, it.form).and_then(|(value, exact)| {
            if !exact || value < it.low || value > it.high() {
                return Some(());
            }
            if value == it.low && it.size > 1 {
                (it.low, it.size) = (it.low + 1, it.size - 1);
                return Some(());
            }
            let upper = it.high();
            (value < upper).then(|| {
                it.low = value + 1;
                it.size = upper.abs_diff(value);
            })
        }),
        (Make::Of(values, _), Ask::Of(_, wanted)) => {
            let truth = |text: &str| match text {
                "true" => b"t".to_vec(),
                "false" => b"f".to_vec(),
                other => escaped(other),
            };
            let wanted: Vec<Vec<u8>> =
                wanted.iter().map(|it| if shape.base == "bool" { truth(it) } else { escaped(it) }).collect();
            values.retain(|value| wanted.contains(value));
            (!values.is_empty()).then_some(())
        }
        (Make::Of(values, _), Ask::Not(_, not)) => {
            values.retain(|value| *value != escaped(not));
            (!values.is_empty()).then_some(())
        }
        (
            Make::Of(values, _),
            Ask::Low(..) | Ask::High(..) | Ask::Matches(..) | Ask::Longer(..) | Ask::Shorter(..),
        ) => {
            // A list, from a check or a wish, that the rest has to agree with.
            let keeps = |value: &Vec<u8>| agrees(&String::from_utf8_lossy(value), ask);
            values.retain(keeps);
            (!values.is_empty()).then_some(())
        }
        (Make::Of(values, _), Ask::Lower(_)) => {
            values.retain(|value| value.to_ascii_lowercase() == *value);
            (!values.is_empty()).then_some(())
        }
        (make @ (Make::Ordinal(_) | Make::Text(_) | Make::Json(_)), Ask::Of(_, values)) => {
            *make = Make::Of(values.iter().map(|value| escaped(value)).collect(), Order::Random);
            Some(())
        }
        (Make::Text(text), Ask::Longer(_, least)) => usize::try_from(*least).ok().and_then(|least| {
            text.least = text.least.max(least);
            (text.least <= text.most).then_some(())
        }),
        (Make::Text(text), Ask::Shorter(_, most)) => usize::try_from(*most).ok().and_then(|most| {
            text.most = text.most.min(most);
            if text.most < 3 {
                text.meaning = Meaning::Capitals;
            }
            (text.most > 0 && text.least <= text.most).then_some(())
        }),
        (Make::Text(text), Ask::Matches(_, pattern)) => matching(text, pattern).map(|found| *text = found),
        (Make::Text(text), Ask::Lower(_)) => {
            text.lower = true;
            Some(())
        }
        (Make::Json(array), Ask::Json(_, kind)) => match kind.as_str() {
            "object" => {
                *array = false;
                Some(())
            }
            "array" => {
                *array = true;
                Some(())
            }
            _ => None,
        },
        _ => None,
    };
    done.is_some()
}

/// Whether a value of a list, a number or a text, is what is asked for.
fn agrees(value: &str, ask: &Ask) -> bool {
    let numbers = |a: &str, b: &str| Some((a.parse::<f64>().ok()?, b.parse::<f64>().ok()?));
    let length = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
    match ask {
        Ask::Low(_, low, inclusive) => {
            numbers(value, low).is_some_and(|(value, low)| value > low || (*inclusive && value >= low))
        }
        Ask::High(_, high, inclusive) => {
            numbers(value, high).is_some_and(|(value, high)| value < high || (*inclusive && value <= high))
        }
        Ask::Matches(_, pattern) => Regex::new(pattern).is_ok_and(|regex| regex.is_match(value)),
        Ask::Longer(_, least) => length >= *least,
        Ask::Shorter(_, most) => length <= *most,
        _ => false,
    }
}

fn draft_nulls(draft: &mut Draft, ask: &Ask) -> bool {
    match ask {
        Ask::Absent(_) if !draft.wished => draft.make = Make::Null,
        Ask::Absent(_) => return draft.make == Make::Null,
        _ if draft.make == Make::Null => return false,
        _ => draft.nulls = 0,
    }
    true
}

/// How many different values there are, and lets them be different.
pub(super) fn make_unique(make: &mut Make, shape: &Shape, widen: bool) -> Option<u64> {
    match make {
        Make::Ordinal(it) if it.order == Order::Serial => Some(it.size),
        Make::Ordinal(it) => {
            it.order = Order::Unique;
            // Nothing but a guess has narrowed it down.
            if widen && let Some((_, most, form)) = limits(shape) {
                let most = match form {
                    Form::Int | Form::Decimal(_) => most,
                    _ => it.high(),
                };
                it.size = it.size.max(most.saturating_sub(it.low).unsigned_abs().saturating_add(1));
            }
            Some(it.size)
        }
        Make::Text(text) => {
            text.unique = true;
            Some(text.capacity())
        }
        Make::Of(values, order) => {
            *order = Order::Unique;
            Some(values.len() as u64)
        }
        Make::Uuid | Make::Bytes(_) => Some(u64::MAX),
        _ => None,
    }
}
