//! What a plain scalar means: the rules of go-yaml v3, which the reference reads with. They are neither
//! YAML 1.1 nor YAML 1.2: `017` is 15, `yes` is a text, `08` is 8, and `2024-01-01` is a date.

use super::tree::{Node, Value};

/// Gives the value of a plain scalar.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            if let Some(time) = timestamp(text) {
                return Value::Time(time);
            }
            number(&text.replace('_', ""))
        }
        Some(b'.') => float(text).map(Value::Float),
        _ => None,
    };
    number.unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// Gives the value of a scalar with a tag of the YAML core (`int`, `str`, …).
pub(crate) fn tagged(text: &str, tag: &str) -> Result<Value, String> {
    let value = plain(text);
    let wrong = |found: &str| Err(format!("cannot read `{text}`, {found}, as !!{tag}"));
    match (tag, value) {
        ("int", value @ (Value::Int(_) | Value::Uint(_)))
        | ("float", value @ Value::Float(_))
        | ("bool", value @ Value::Bool(_))
        | ("null", value @ Value::Null)
        | ("timestamp", value @ Value::Time(_)) => Ok(value),
        #[allow(clippy::cast_precision_loss, reason = "that is what the tag asks for")]
        ("float", Value::Int(value)) => Ok(Value::Float(value as f64)),
        ("int" | "float" | "bool" | "null" | "timestamp", value) => {
            wrong(Node::new(value, super::tree::Mark::default()).kind())
        }
        _ => Ok(Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(value) = integer(text) {
        return Some(value);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mantissa_end = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(mantissa_end);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let exponent_digits = exponent.get(1..).map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    let is_float = all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_digits.is_none_or(|e| !e.is_empty() && all_digits(e));
    is_float.then(|| text.parse().ok().map(Value::Float)).flatten()
}

fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match lower.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    match i64::try_from(value) {
        Ok(value) => Some(Value::Int(value)),
        Err(_) if !text.starts_with(['+', '-']) => u64::try_from(value).ok().map(Value::Uint),
        Err(_) => None,
    }
}

fn float(text: &str) -> Option<f64> {
    // `inf` and `nan` are floats to Rust, but no scalar that starts with a dot spells them so.
    text.parse().ok()
}

/// A date or a date and time, as RFC 3339 text.
fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return None;
    }
    let end_of_date = text[5..].find(|c: char| c != '-' && !c.is_ascii_digit()).map_or(text.len(), |i| i + 5);
    let (date, time) = text.split_at(end_of_date);
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let in_range = |part: &str, from: u32, to: u32| {
        (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|n| (from..=to).contains(&n))
    };
    if parts.next().is_some() || !in_range(month, 1, 12) || !in_range(day, 1, 31) {
        return None;
    }
    let date = format!("{year}-{month:0>2}-{day:0>2}");
    if time.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let (zoned, time) = match time.as_bytes()[0] {
        b'T' | b't' => (true, &time[1..]),
        b' ' => (false, &time[1..]),
        _ => return None,
    };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let whole_second = second.split('.').next()?;
    let right = parts.next().is_none()
        && in_range(hour, 0, 23)
        && in_range(minute, 0, 59)
        && in_range(whole_second, 0, 59)
        && zoned != zone.is_empty()
        && (zone.is_empty() || zone == "Z" || zone.len() == 6);
    right.then(|| format!("{date}T{hour:0>2}:{minute:0>2}:{second:0>2}{}", if zoned { zone } else { "Z" }))
}

/// A number as Go's `fmt.Sprint` writes it.
pub(crate) fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// A value as Go's `fmt.Sprint` writes it.
pub(crate) fn sprint(node: &Node) -> String {
    match &node.value {
        Value::Null => "<nil>".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => go_float(*value),
        Value::Time(text) | Value::Text(text) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(sprint).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let mut members: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", sprint(v))).collect();
            members.sort();
            format!("map[{}]", members.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_go_yaml_takes_them_for() {
        for (text, value) in [
            ("017", Value::Int(15)),
            ("0o17", Value::Int(15)),
            ("0x1F", Value::Int(31)),
            ("-0b11", Value::Int(-3)),
            ("1_000", Value::Int(1000)),
            ("+12", Value::Int(12)),
            ("08", Value::Float(8.0)),
            ("1e3", Value::Float(1000.0)),
            ("1.", Value::Float(1.0)),
            (".5", Value::Float(0.5)),
            ("18446744073709551615", Value::Uint(u64::MAX)),
            ("yes", Value::Text("yes".into())),
            ("22:22", Value::Text("22:22".into())),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("-", Value::Text("-".into())),
            ("0x", Value::Text("0x".into())),
            ("~", Value::Null),
            ("2024-1-2", Value::Time("2024-01-02T00:00:00Z".into())),
            ("2024-01-02 10:00:00", Value::Time("2024-01-02T10:00:00Z".into())),
            ("2024-13-02", Value::Text("2024-13-02".into())),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        for (number, text) in [(1.0, "1"), (1000.0, "1000"), (0.5, "0.5"), (1e-7, "1e-07"), (1e6, "1e+06")] {
            assert_eq!(go_float(number), text);
        }
    }
}
