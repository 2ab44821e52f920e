//! How one value is made and written; nothing is allocated for it.

use super::prf::Prf;
use super::refer::Share;
use super::words::{
    COLOURS, COUNTRIES, COUNTRY_CODES, CURRENCIES, FAMILY, GIVEN, LANGUAGES, STATES, STREETS, WORDS,
};
use crate::base::civil::{DAY, date};
use crate::base::digits::{nibbles, number, padded};
use crate::base::places::PLACES;

/// What a text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum Meaning {
    Email,
    Phone,
    Given,
    Family,
    Name,
    User,
    Url,
    Ip,
    Street,
    City,
    Country,
    CountryCode,
    Currency,
    Language,
    Colour,
    State,
    Slug,
    Title,
    Sentence,
    Company,
    Word,
    Hex,
    HexColour,
    Digits,
    Capitals,
    Letters,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Whole.
    Int,
    /// In units of ten to the minus this.
    Decimal(u32),
    /// Days since 1970.
    Date,
    /// Seconds of a day.
    Time,
    /// Seconds since 1970, with a zone.
    Stamp(bool),
    /// Seconds.
    Interval,
}

/// Which number a row gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The lowest and the row's number.
    Serial,
    /// Its own.
    Unique,
    /// Any.
    Random,
    /// Behind that of another column, by at least this and less than that more.
    After(usize, i64, u64),
    /// What a unique group leaves to it.
    Shared(Share),
}

/// A number, or what is written as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordinal {
    /// The lowest.
    pub low: i64,
    /// How many there are.
    pub size: u64,
    /// Which one a row gets.
    pub order: Order,
    /// How it is written.
    pub form: Form,
}

impl Ordinal {
    /// The highest.
    #[must_use]
    pub fn high(&self) -> i64 {
        self.low.saturating_add_unsigned(self.size.saturating_sub(1))
    }
}

/// A text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// What it is about.
    pub meaning: Meaning,
    /// How many characters it has at least.
    pub least: usize,
    /// And at most.
    pub most: usize,
    /// Whether no two rows have the same, capitals aside.
    pub unique: bool,
    /// Whether it has no capitals.
    pub lower: bool,
}

/// How the values of a column are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Make {
    /// NULL.
    Null,
    /// A number.
    Ordinal(Ordinal),
    /// One of these, which are escaped.
    Of(Vec<Vec<u8>>, Order),
    /// A text.
    Text(Text),
    /// A UUID.
    Uuid,
    /// So many bytes.
    Bytes(usize),
    /// An address; a network with `true`.
    Inet(bool),
    /// So many bytes in hexadecimal, with colons.
    Mac(usize),
    /// So many bits.
    Bits(usize),
    /// An object, or an array.
    Json(bool),
    /// Some of these, between braces.
    Array(Box<Self>),
    /// From one number up to another.
    Range(Ordinal),
    /// Words.
    Words,
    /// Two numbers.
    Point,
    /// So many fractions between brackets.
    Vector(usize),
    /// A fraction.
    Float,
    /// The value of a column at the row that a reference has chosen.
    Refer(usize, usize),
}

/// How many codes of so many characters there are.
#[must_use]
pub fn codes(width: usize) -> u64 {
    36_u64.saturating_pow(u32::try_from(width).unwrap_or(u32::MAX))
}

/// The characters that keep unique texts apart.
pub const CODE: usize = 7;

impl Text {
    /// How many characters its code has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.most.min(CODE)
    }

    /// How many different texts there are for unique ones.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match self.meaning {
            Meaning::Digits | Meaning::Phone => {
                10_u64.saturating_pow(u32::try_from(self.most.min(10)).unwrap_or(10))
            }
            Meaning::Capitals | Meaning::Letters => {
                26_u64.saturating_pow(u32::try_from(self.most.min(10)).unwrap_or(10))
            }
            _ => codes(self.width()),
        }
    }

    /// Writes that of a row.
    pub fn write(&self, prf: Prf, row: u64, out: &mut Vec<u8>) {
        let start = out.len();
        if self.unique {
            self.write_unique(prf, row, start, out);
        } else {
            self.write_any(prf, row, out);
        }
        let mut draw = 50;
        while out.len() - start < self.least {
            if self.most - (out.len() - start) > 1 && !matches!(self.meaning, Meaning::Digits | Meaning::Hex)
            {
                out.push(b'-');
            }
            match self.meaning {
                Meaning::Digits => out.push(b'0' + low(prf.below(row, draw, 10))),
                _ => out.extend_from_slice(one(&WORDS, prf, row, draw)),
            }
            draw += 1;
        }
        if out.len() - start > self.most {
            out.truncate(start + self.most);
            // A blank at the end is lost in `char(n)`.
            if let Some(last) = out[start..].last_mut()
                && *last == b' '
            {
                *last = b'x';
            }
        }
        if self.lower {
            out[start..].make_ascii_lowercase();
        }
    }

    fn write_unique(&self, prf: Prf, row: u64, start: usize, out: &mut Vec<u8>) {
        let capacity = self.capacity();
        let number = prf.permuted(row % capacity.max(1), capacity);
        let width = self.width();
        let most = self.most;
        match self.meaning {
            Meaning::Phone if most >= 14 => {
                out.extend_from_slice(b"+999");
                return padded(number, 10, out);
            }
            Meaning::Digits | Meaning::Phone => return padded(number, most.min(10), out),
            Meaning::Capitals | Meaning::Letters => {
                let first = if self.meaning == Meaning::Capitals { b'A' } else { b'a' };
                let mut rest = number;
                for _ in 0..most.min(10) {
                    out.push(first + low(rest % 26));
                    rest /= 26;
                }
                return;
            }
            Meaning::Email if most >= 16 + CODE => {
                if most >= 40 {
                    lower(one(&GIVEN, prf, row, 1), out);
                    out.push(b'.');
                    lower(one(&FAMILY, prf, row, 2), out);
                    out.push(b'.');
                }
                code(number, width, out);
                out.extend_from_slice(b"@example.com");
                return;
            }
            Meaning::Url if most >= 30 => {
                out.extend_from_slice(b"https://example.com/");
                return code(number, width, out);
            }
            Meaning::Hex if most >= 16 => {
                code(number, width, out);
                hex(prf, row, most.min(64) - width, out);
                return;
            }
            _ => {}
        }
        if most > width + 24 {
            self.write_any(prf, row, out);
            let before = match self.meaning {
                Meaning::Name | Meaning::Title | Meaning::Sentence | Meaning::Company | Meaning::Street => {
                    b' '
                }
                _ => b'-',
            };
            // Room for the code is kept before what can be long.
            let room = most - width - 1;
            if out.len() - start > room {
                out.truncate(start + room);
            }
            out.push(before);
        }
        code(number, width, out);
    }

    fn write_any(&self, prf: Prf, row: u64, out: &mut Vec<u8>) {
        let pick = |words: &'static [&'static str], draw: u64| one(words, prf, row, draw);
        match self.meaning {
            Meaning::Email if self.most < 24 => {
                number(prf.below(row, 3, 10_000), out);
                out.extend_from_slice(b"@example.com");
            }
            Meaning::Email => {
                lower(pick(&GIVEN, 1), out);
                out.push(b'.');
                if self.most >= 32 {
                    lower(pick(&FAMILY, 2), out);
                }
                out.extend_from_slice(
                    [&b"@example.com"[..], b"@example.net", b"@example.org"]
                        [usize::from(low(prf.below(row, 3, 3)))],
                );
            }
            Meaning::Phone => {
                out.extend_from_slice(b"+1202555");
                padded(100 + prf.below(row, 1, 100), 4, out);
            }
            Meaning::Given => out.extend_from_slice(pick(&GIVEN, 1)),
            Meaning::Family => out.extend_from_slice(pick(&FAMILY, 1)),
            Meaning::Name => {
                out.extend_from_slice(pick(&GIVEN, 1));
                out.push(b' ');
                out.extend_from_slice(pick(&FAMILY, 2));
            }
            Meaning::User => {
                lower(pick(&GIVEN, 1), out);
                number(prf.below(row, 2, 1000), out);
            }
            Meaning::Url => {
                out.extend_from_slice(b"https://example.com/");
                out.extend_from_slice(pick(&WORDS, 1));
            }
            Meaning::Ip => ip(prf, row, out),
            Meaning::Street => {
                number(1 + prf.below(row, 1, 200), out);
                out.push(b' ');
                out.extend_from_slice(pick(&STREETS, 2));
            }
            Meaning::City => out.extend_from_slice(pick(&PLACES, 1)),
            Meaning::Country => out.extend_from_slice(pick(&COUNTRIES, 1)),
            Meaning::CountryCode => out.extend_from_slice(pick(&COUNTRY_CODES, 1)),
            Meaning::Currency => out.extend_from_slice(pick(&CURRENCIES, 1)),
            Meaning::Language => out.extend_from_slice(pick(&LANGUAGES, 1)),
            Meaning::Colour => out.extend_from_slice(pick(&COLOURS, 1)),
            Meaning::State => out.extend_from_slice(pick(&STATES, 1)),
            Meaning::Slug => {
                out.extend_from_slice(pick(&WORDS, 1));
                out.push(b'-');
                out.extend_from_slice(pick(&WORDS, 2));
            }
            Meaning::Title | Meaning::Company => {
                for draw in 1..3 {
                    if draw > 1 {
                        out.push(b' ');
                    }
                    let at = out.len();
                    out.extend_from_slice(pick(&WORDS, draw));
                    out[at..=at].make_ascii_uppercase();
                }
                if self.meaning == Meaning::Company {
                    out.extend_from_slice(b" Ltd");
                }
            }
            Meaning::Sentence => {
                let many = 5 + prf.below(row, 1, 8);
                for draw in 0..many {
                    if draw > 0 {
                        out.push(b' ');
                    }
                    out.extend_from_slice(pick(&WORDS, 10 + draw));
                }
                out.push(b'.');
            }
            Meaning::Word | Meaning::Letters => out.extend_from_slice(pick(&WORDS, 1)),
            Meaning::Hex => hex(prf, row, self.most.min(self.least.max(40)), out),
            Meaning::HexColour => {
                out.push(b'#');
                hex(prf, row, 6, out);
            }
            Meaning::Digits => {
                let width = self.most.min(5);
                let bound = 10_u64.pow(u32::try_from(width).unwrap_or(5));
                padded(prf.below(row, 1, 99_999) % bound, width, out);
            }
            Meaning::Capitals => {
                for draw in 0..self.most.min(self.least.max(2)) {
                    out.push(b'A' + low(prf.below(row, draw as u64, 26)));
                }
            }
        }
    }
}

impl Form {
    /// Writes a number in this form.
    pub fn write(self, value: i64, out: &mut Vec<u8>) {
        match self {
            Self::Int | Self::Decimal(0) => signed(value, out),
            Self::Decimal(scale) => {
                if value < 0 {
                    out.push(b'-');
                }
                let unit = 10_u64.pow(scale);
                number(value.unsigned_abs() / unit, out);
                out.push(b'.');
                padded(value.unsigned_abs() % unit, scale as usize, out);
            }
            Self::Date => day(value, out),
            Self::Time => clock(value.unsigned_abs(), out),
            Self::Stamp(zone) => {
                day(value.div_euclid(DAY), out);
                out.push(b' ');
                clock(value.rem_euclid(DAY).unsigned_abs(), out);
                if zone {
                    out.extend_from_slice(b"+00");
                }
            }
            Self::Interval => {
                signed(value, out);
                out.extend_from_slice(b" seconds");
            }
        }
    }
}

/// Writes what is neither a number, nor one of a list, nor a reference.
pub(super) fn write(make: &Make, prf: Prf, row: u64, out: &mut Vec<u8>) {
    match make {
        Make::Text(text) => text.write(prf, row, out),
        Make::Uuid => {
            // Version 4 and variant 2 (RFC 9562).
            let high = prf.at(row, 0) & 0xffff_ffff_ffff_0fff | 0x4000;
            let low = prf.at(row, 1) >> 2 | 1 << 63;
            for (number, from, to) in
                [(high, 64, 32), (high, 32, 16), (high, 16, 0), (low, 64, 48), (low, 48, 0)]
            {
                if from != 64 || number == low {
                    out.push(b'-');
                }
                nibbles(number, from, to, out);
            }
        }
        Make::Bytes(many) => {
            out.extend_from_slice(b"\\\\x");
            hex(prf, row, many * 2, out);
        }
        Make::Inet(network) => {
            ip(prf, row, out);
            if *network {
                out.extend_from_slice(b"/32");
            }
        }
        Make::Mac(many) => {
            for at in 0..*many {
                if at > 0 {
                    out.push(b':');
                }
                // Local addresses, which no maker has.
                let byte = if at == 0 { 2 } else { prf.below(row, at as u64, 256) };
                nibbles(byte, 8, 0, out);
            }
        }
        Make::Bits(many) => {
            for at in 0..*many {
                out.push(b'0' + low(prf.at(row, (at / 64) as u64) >> (at % 64) & 1));
            }
        }
        Make::Json(array) => {
            out.extend_from_slice(if *array { b"[" } else { b"{\"kind\": " });
            out.push(b'"');
            out.extend_from_slice(one(&WORDS, prf, row, 1));
            out.extend_from_slice(if *array { b"\", " } else { b"\", \"value\": " });
            number(prf.below(row, 2, 1000), out);
            out.push(if *array { b']' } else { b'}' });
        }
        Make::Words => {
            for draw in 0..3 {
                if draw > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(one(&WORDS, prf, row, draw));
            }
        }
        Make::Point => {
            out.push(b'(');
            Form::Decimal(3).write(signed_below(prf, row, 0, 180_000), out);
            out.push(b',');
            Form::Decimal(3).write(signed_below(prf, row, 1, 90_000), out);
            out.push(b')');
        }
        Make::Vector(many) => {
            out.push(b'[');
            for at in 0..*many {
                if at > 0 {
                    out.push(b',');
                }
                Form::Decimal(4).write(signed_below(prf, row, at as u64, 10_000), out);
            }
            out.push(b']');
        }
        Make::Float => Form::Decimal(3).write(i64::try_from(prf.below(row, 0, 1_000_000)).unwrap_or(0), out),
        Make::Null | Make::Ordinal(_) | Make::Of(..) | Make::Array(_) | Make::Range(_) | Make::Refer(..) => {}
    }
}

fn signed_below(prf: Prf, row: u64, draw: u64, size: i64) -> i64 {
    i64::try_from(prf.below(row, draw, size.unsigned_abs() * 2)).unwrap_or(0) - size
}

fn low(value: u64) -> u8 {
    (value & 0xff) as u8
}

fn one(words: &[&'static str], prf: Prf, row: u64, draw: u64) -> &'static [u8] {
    words[usize::try_from(prf.below(row, draw, words.len() as u64)).unwrap_or(0)].as_bytes()
}

fn lower(word: &[u8], out: &mut Vec<u8>) {
    out.extend(word.iter().map(u8::to_ascii_lowercase));
}

fn ip(prf: Prf, row: u64, out: &mut Vec<u8>) {
    // 10/8 is nobody's (RFC 1918).
    out.extend_from_slice(b"10");
    for draw in 0..3 {
        out.push(b'.');
        number(prf.below(row, draw, 256), out);
    }
}

fn hex(prf: Prf, row: u64, many: usize, out: &mut Vec<u8>) {
    let mut left = many;
    let mut draw = 100;
    while left > 0 {
        let now = left.min(16);
        nibbles(prf.at(row, draw), 64, 64 - 4 * u32::try_from(now).unwrap_or(16), out);
        left -= now;
        draw += 1;
    }
}

fn code(number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = number;
    for _ in 0..width {
        out.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::from(low(rest % 36))]);
        rest /= 36;
    }
    out[start..].reverse();
}

fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    number(value.unsigned_abs(), out);
}

fn day(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = date(days);
    padded(year.unsigned_abs(), 4, out);
    out.push(b'-');
    padded(month.unsigned_abs(), 2, out);
    out.push(b'-');
    padded(day.unsigned_abs(), 2, out);
}

fn clock(seconds: u64, out: &mut Vec<u8>) {
    padded(seconds / 3600, 2, out);
    out.push(b':');
    padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    padded(seconds % 60, 2, out);
}
