//! Values that are written in one way and mean another: durations, sizes, modes, counts, hosts, keys.
//! Each prints itself in the canonical text that Go gives it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, printed as Go prints it (`1m30s`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Duration(i64);

impl Duration {
    /// From nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds, as the engine's API takes it.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// As the standard library has it; a negative length is none.
    pub fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// Reads `1h30m`, `2d`, `1.5s`; weeks and days are allowed, a number without a unit is not (except 0).
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("invalid duration {}", go_quote(text));
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let whole_len = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (whole, after) = rest.split_at(whole_len);
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => after.split_at(after.bytes().take_while(u8::is_ascii_digit).count()),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(bad());
            }
            let unit_len = after.bytes().take_while(|b| *b != b'.' && !b.is_ascii_digit()).count();
            let (unit, next) = after.split_at(unit_len);
            let scale: i128 = match unit {
                "" => return Err(format!("missing unit in duration {}", go_quote(text))),
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "d" => 86_400_000_000_000,
                "w" => 604_800_000_000_000,
                _ => return Err(format!("unknown unit {} in duration {}", go_quote(unit), go_quote(text))),
            };
            let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| bad())? };
            total = total.checked_add(whole.checked_mul(scale).ok_or_else(bad)?).ok_or_else(bad)?;
            let mut place = scale;
            for digit in fraction.bytes() {
                place /= 10;
                total += i128::from(digit - b'0') * place;
            }
            rest = next;
        }
        i64::try_from(if negative { -total } else { total }).map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = |f: &mut fmt::Formatter<'_>, value: u64, unit: u64, suffix: &str| {
            let (whole, rest) = (value / unit, value % unit);
            if rest == 0 {
                return write!(f, "{whole}{suffix}");
            }
            let width = unit.ilog10() as usize;
            let digits = format!("{rest:0width$}");
            write!(f, "{whole}.{}{suffix}", digits.trim_end_matches('0'))
        };
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let nanos = self.0.unsigned_abs();
        match nanos {
            0..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => fraction(f, nanos, 1_000, "µs"),
            1_000_000..1_000_000_000 => fraction(f, nanos, 1_000_000, "ms"),
            _ => {
                let minutes = nanos / 60_000_000_000;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                fraction(f, nanos % 60_000_000_000, 1_000_000_000, "s")
            }
        }
    }
}

/// A number of bytes; `-1` is no limit. Printed as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(i64);

impl Bytes {
    /// So many bytes.
    pub const fn new(bytes: i64) -> Self {
        Self(bytes)
    }

    /// How many.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads `512`, `50m`, `1.5 GB`, `2GiB`: binary units, whatever the letters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("invalid size: '{text}'");
        let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').ok_or_else(bad)?;
        let (number, suffix) = text.split_at(end + 1);
        let suffix = match suffix.strip_prefix(' ') {
            Some(suffix) => suffix,
            None => suffix,
        };
        let number = number.strip_prefix('+').unwrap_or(number);
        if number.contains(['e', 'E', '_', ' ', 'x', 'X']) {
            return Err(bad());
        }
        let number: f64 = number.parse().map_err(|_| bad())?;
        let lower = suffix.to_ascii_lowercase();
        let power = match lower.as_str() {
            "" | "b" => 0,
            unit => {
                let power = match unit.as_bytes()[0] {
                    b'k' => 1,
                    b'm' => 2,
                    b'g' => 3,
                    b't' => 4,
                    b'p' => 5,
                    b'e' => 6,
                    _ => return Err(format!("invalid suffix: '{suffix}'")),
                };
                if !matches!(&unit[1..], "" | "b" | "ib") {
                    return Err(format!("invalid suffix: '{suffix}'"));
                }
                power
            }
        };
        if number < 0.0 {
            return Err(bad());
        }
        let bytes = number * 1024_f64.powi(power);
        #[allow(clippy::cast_possible_truncation, reason = "the reference truncates here, too")]
        Ok(Self(bytes as i64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that may have a fraction (`cpus`), in the single precision that the reference keeps.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Number(f32);

impl Number {
    /// From a number.
    pub const fn new(number: f32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_possible_truncation, reason = "only whole numbers in range come here")]
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 {
            to.serialize_i64(self.0 as i64)
        } else {
            // The shortest text that means this single: what Go prints.
            to.serialize_f64(self.0.to_string().parse().unwrap_or(f64::from(self.0)))
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            #[allow(clippy::cast_precision_loss, reason = "single precision is what the model keeps")]
            fn visit_i64<E>(self, v: i64) -> Result<Number, E> {
                Ok(Number(v as f32))
            }
            #[allow(clippy::cast_precision_loss, reason = "single precision is what the model keeps")]
            fn visit_u64<E>(self, v: u64) -> Result<Number, E> {
                Ok(Number(v as f32))
            }
            #[allow(clippy::cast_possible_truncation, reason = "single precision is what the model keeps")]
            fn visit_f64<E>(self, v: f64) -> Result<Number, E> {
                Ok(Number(v as f32))
            }
            fn visit_str<E: Error>(self, v: &str) -> Result<Number, E> {
                v.parse().map(Number).map_err(|_| E::custom(format!("`{v}` is not a number")))
            }
        }
        from.deserialize_any(V)
    }
}

/// How many devices; `-1` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DeviceCount(i64);

impl DeviceCount {
    /// Every device there is.
    pub const ALL: Self = Self(-1);

    /// The count, `-1` for all.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// The mode of a file, printed in octal (`0440`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(i64);

impl FileMode {
    /// The bits.
    pub fn bits(self) -> u32 {
        u32::try_from(self.0).unwrap_or(0)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:o}", self.0)
    }
}

macro_rules! text_or_number {
    ($type:ident, $what:literal, $parse:expr, $number:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct V;
                impl Visitor<'_> for V {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: Error>(self, v: &str) -> Result<$type, E> {
                        let parse: fn(&str) -> Result<$type, String> = $parse;
                        parse(v).map_err(E::custom)
                    }
                    fn visit_i64<E: Error>(self, v: i64) -> Result<$type, E> {
                        let number: fn(i64) -> Result<$type, String> = $number;
                        number(v).map_err(E::custom)
                    }
                    fn visit_u64<E: Error>(self, v: u64) -> Result<$type, E> {
                        self.visit_i64(i64::try_from(v).map_err(|_| E::custom("the number is too large"))?)
                    }
                }
                from.deserialize_any(V)
            }
        }
    };
}
text_or_number!(Duration, "a duration such as `1m30s`", Duration::parse, |_| {
    Err("a duration needs a unit, for instance `10s`".into())
});
text_or_number!(
    Bytes,
    "a size such as `50m`",
    |text| match text {
        "-1" => Ok(Bytes(-1)),
        text => Bytes::parse(text),
    },
    |number| Ok(Bytes(number))
);
text_or_number!(
    DeviceCount,
    "a number, or `all`",
    |text| match text {
        text if text.eq_ignore_ascii_case("all") => Ok(DeviceCount::ALL),
        text => text.parse().map(DeviceCount).map_err(|_| {
            format!("invalid value {}, the only value allowed is 'all' or a number", go_quote(text))
        }),
    },
    |number| Ok(DeviceCount(number))
);
text_or_number!(
    FileMode,
    "an octal mode such as `0440`",
    |text| {
        i64::from_str_radix(text, 8).map(FileMode).map_err(|_| format!("`{text}` is not an octal mode"))
    },
    |number| Ok(FileMode(number))
);

macro_rules! printed_as_text {
    ($($type:ident),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}
printed_as_text!(Duration, Bytes, FileMode);

/// Names and their addresses (`extra_hosts`), printed as a sorted list of `host=address`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts(BTreeMap<String, Vec<String>>);

impl Hosts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each name with its addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(host, addresses)| (host.as_str(), addresses.as_slice()))
    }

    /// `host<separator>address`, sorted; the engine's API wants `:`, the specification `=`.
    pub fn list(&self, separator: &str) -> Vec<String> {
        let mut list: Vec<String> = self
            .0
            .iter()
            .flat_map(|(host, all)| all.iter().map(move |one| format!("{host}{separator}{one}")))
            .collect();
        list.sort();
        list
    }

    fn add(&mut self, entry: &str) -> Result<(), String> {
        let (host, addresses) = entry
            .split_once('=')
            .or_else(|| entry.split_once(':'))
            .ok_or_else(|| format!("invalid additional host, missing IP: {entry}"))?;
        self.0.entry(host.to_owned()).or_default().extend(addresses.split(',').map(str::to_owned));
        Ok(())
    }

    fn checked(mut self) -> Result<Self, String> {
        for (host, addresses) in &mut self.0 {
            if host.is_empty() || host.contains([':', '=']) {
                return Err(format!("bad host name '{host}'"));
            }
            for address in addresses {
                if address.len() > 2 && address.starts_with('[') && address.ends_with(']') {
                    *address = address[1..address.len() - 1].to_owned();
                }
            }
        }
        Ok(self)
    }
}

impl Serialize for Hosts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.list("="))
    }
}

/// One text or several.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a list of addresses")
            }
            fn visit_unit<E>(self) -> Result<Texts, E> {
                Ok(Texts(vec![String::new()]))
            }
            fn visit_none<E>(self) -> Result<Texts, E> {
                Ok(Texts(vec![String::new()]))
            }
            fn visit_str<E>(self, v: &str) -> Result<Texts, E> {
                Ok(Texts(vec![v.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element::<String>()? {
                    all.push(one);
                }
                Ok(Texts(all))
            }
        }
        from.deserialize_any(V)
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Hosts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of `host=address`, or a mapping")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Hosts, A::Error> {
                let mut hosts = Hosts::default();
                while let Some(entry) = seq.next_element::<String>()? {
                    hosts.add(&entry).map_err(A::Error::custom)?;
                }
                hosts.checked().map_err(A::Error::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hosts, A::Error> {
                let mut hosts = Hosts::default();
                while let Some((host, addresses)) = map.next_entry::<String, Texts>()? {
                    hosts.0.insert(host, addresses.0);
                }
                hosts.checked().map_err(A::Error::custom)
            }
        }
        from.deserialize_any(V)
    }
}

/// SSH keys or agents of a build: an id, and a path unless the default agent is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshKeys(BTreeMap<String, Option<String>>);

impl SshKeys {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each id with its path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(id, path)| (id.as_str(), path.as_deref()))
    }
}

impl Serialize for SshKeys {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|(id, path)| match path.as_deref() {
            None | Some("") => id.clone(),
            Some(path) => format!("{id}={path}"),
        }))
    }
}

impl<'de> Deserialize<'de> for SshKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = SshKeys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of `id` or `id=path`, or a mapping")
            }
            fn visit_str<E>(self, v: &str) -> Result<SshKeys, E> {
                Ok(SshKeys(BTreeMap::from([(v.to_owned(), None)])))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SshKeys, A::Error> {
                let mut keys = SshKeys::default();
                while let Some(entry) = seq.next_element::<String>()? {
                    match entry.split_once('=') {
                        Some((id, path)) => keys.0.insert(id.to_owned(), Some(path.to_owned())),
                        None => keys.0.insert(entry, None),
                    };
                }
                Ok(keys)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SshKeys, A::Error> {
                let mut keys = SshKeys::default();
                while let Some((id, path)) = map.next_entry::<String, Option<String>>()? {
                    keys.0.insert(id, path);
                }
                Ok(keys)
            }
        }
        from.deserialize_any(V)
    }
}

/// A text in quotes, as the reference's messages have it.
pub(crate) fn go_quote(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_go_prints_them() {
        for (written, printed) in [
            ("90s", "1m30s"),
            ("2m", "2m0s"),
            ("1.5s", "1.5s"),
            ("500ms", "500ms"),
            ("1h", "1h0m0s"),
            ("1d", "24h0m0s"),
            ("1500us", "1.5ms"),
            ("0", "0s"),
            ("1h30m", "1h30m0s"),
        ] {
            assert_eq!(Duration::parse(written).map(|d| d.to_string()), Ok(printed.to_owned()), "{written}");
        }
        for wrong in ["", "10", "s", "1x", "1 s", "-", "."] {
            assert!(Duration::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        for (written, bytes) in
            [("512", 512), ("1k", 1024), ("1.5 GB", 1_610_612_736), ("2GiB", 2_147_483_648), ("1b", 1)]
        {
            assert_eq!(Bytes::parse(written), Ok(Bytes(bytes)), "{written}");
        }
        for wrong in ["", "k", "1x", "1kk", "-1k", "1 2"] {
            assert!(Bytes::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn modes_print_in_octal() {
        assert_eq!(FileMode(0o440).to_string(), "0440");
    }
}
