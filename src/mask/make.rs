//! Masked values, made of raw ones: bytes in, bytes out, nothing allocated.

use super::find;
use super::key::Prf;
use super::permute;
use super::policy::Make;
use super::table::Kind;
use super::words::{FAMILY, FILLER, GIVEN, STREETS};
use crate::base::civil;
use crate::base::digits::{nibble, nibbles, number, padded};
use crate::base::places::PLACES;

/// What limits the values of a column.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// What they are.
    pub kind: Kind,
    /// The most characters.
    pub length: Option<usize>,
    /// The largest number.
    pub largest: Option<u128>,
}

/// One rule, ready to be carried out.
#[derive(Debug, Clone)]
pub struct Maker {
    /// What is made.
    pub make: Make,
    /// Of what the value is hashed with.
    pub prf: Prf,
    /// Of what a person's words are chosen with, where they depend on another column: one for all rules.
    pub person: Option<Prf>,
    /// What limits it.
    pub limits: Limits,
}

/// Letters and digits that cannot be taken for one another (RFC 4648's alphabet in lower case).
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of 60 bits, which even two million values share none of (birthday bound 2⁶⁰ ≫ (2·10⁶)²).
pub const DISTINCT: usize = 12;
/// The domains of RFC 2606, section 3.
const DOMAINS: [&[u8]; 3] = [b"@example.com", b"@example.org", b"@example.net"];
/// The shortest address of e-mail that tells values apart.
pub const SHORTEST_EMAIL: usize = DISTINCT + DOMAINS[0].len();
/// The longest that is made.
const LONGEST_EMAIL: usize = 8 + SHORTEST_EMAIL;

impl Maker {
    /// Writes what `value` becomes. `id` is what it depends on: the value of another column, if the rule says so.
    pub fn write(&self, value: &[u8], id: Option<&[u8]>, out: &mut Vec<u8>) {
        let start = out.len();
        match &self.make {
            Make::Null => {}
            Make::Constant(text) => out.extend_from_slice(text.as_bytes()),
            Make::Hash => self.hash(value, out),
            Make::Email => self.email(value, id, out),
            Make::GivenName => out.extend_from_slice(self.given(value, id).as_bytes()),
            Make::FamilyName => out.extend_from_slice(self.family(value, id).as_bytes()),
            Make::Name => {
                out.extend_from_slice(self.given(value, id).as_bytes());
                out.push(b' ');
                out.extend_from_slice(self.family(value, id).as_bytes());
            }
            Make::Username => self.username(value, id, out),
            Make::Phone => self.phone(value, out),
            Make::Street => {
                let hash = self.hashed(3, value, id);
                number(1 + hash % 199, out);
                out.push(b' ');
                out.extend_from_slice(pick(&STREETS, hash >> 16).as_bytes());
            }
            Make::City => out.extend_from_slice(pick(&PLACES, self.hashed(4, value, id)).as_bytes()),
            Make::Form => self.form(value, true, out),
            Make::Digits => self.form(value, false, out),
            Make::Uuid => self.uuid(value, out),
            Make::Card => self.card(value, out),
            Make::Network => self.network(value, out),
            Make::Url => {
                out.extend_from_slice(b"https://example.com/");
                letters(self.prf.wide(0, value), 13, out);
            }
            Make::Date(days) => self.date(value, id, *days, out),
            Make::Noise(percent) => self.noise(value, id, *percent, out),
            Make::Text => self.text(value, out),
            // What needs more than the value is made by `row`.
            Make::Redact | Make::Json { .. } => self.redact(value, out),
        }
        if let (Some(length), true) = (self.limits.length, self.limits.kind == Kind::Text) {
            clip(out, start, length);
        }
    }

    fn hashed(&self, use_: u64, value: &[u8], id: Option<&[u8]>) -> u64 {
        match (&self.person, id) {
            (Some(person), Some(id)) => person.hash(use_, id),
            _ => folded(value, |value| self.prf.hash(use_, value)),
        }
    }

    fn given(&self, value: &[u8], id: Option<&[u8]>) -> &'static str {
        pick(&GIVEN, self.hashed(1, value, id))
    }

    fn family(&self, value: &[u8], id: Option<&[u8]>) -> &'static str {
        pick(&FAMILY, self.hashed(2, value, id))
    }

    fn hash(&self, value: &[u8], out: &mut Vec<u8>) {
        if self.limits.kind == Kind::Bytes {
            out.extend_from_slice(b"\\x");
        }
        let mut bits = self.prf.wide(0, value);
        for _ in 0..32 {
            out.push(nibble(u64::try_from(bits & 15).unwrap_or(0)));
            bits >>= 4;
        }
    }

    fn email(&self, value: &[u8], id: Option<&[u8]>, out: &mut Vec<u8>) {
        let start = out.len();
        let bits = folded(value, |value| self.prf.wide(0, value));
        if self.limits.length.is_none_or(|length| length >= LONGEST_EMAIL) {
            out.extend(self.given(value, id).bytes().map(|byte| byte.to_ascii_lowercase()));
            out.push(b'.');
        }
        letters(bits, DISTINCT, out);
        out.extend_from_slice(DOMAINS[usize::try_from(bits >> 120).unwrap_or(0) % 3]);
        recase(&self.prf, value, &mut out[start..]);
    }

    fn username(&self, value: &[u8], id: Option<&[u8]>, out: &mut Vec<u8>) {
        let start = out.len();
        let bits = folded(value, |value| self.prf.wide(0, value));
        if self.limits.length.is_none_or(|length| length >= DISTINCT + 8) {
            out.extend(self.given(value, id).bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        letters(bits, DISTINCT, out);
        recase(&self.prf, value, &mut out[start..]);
    }

    /// The digits are exchanged where they stand, behind the country code that nobody has. Where there is no room for
    /// it, the number only keeps its form.
    fn phone(&self, value: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        if self.limits.kind != Kind::Text || self.limits.length.is_some_and(|length| length < 20) {
            return self.form(value, false, out);
        }
        let behind = match value.strip_prefix(b"+") {
            Some(behind) => {
                out.push(b'+');
                behind
            }
            None => value,
        };
        out.extend_from_slice(b"999");
        let own = out.len();
        out.extend_from_slice(behind);
        permute::form(&self.prf, &mut out[own..], false, false);
        // Longer than any number, so no number.
        if self.limits.length.is_some_and(|length| out.len() - start > length) {
            out.truncate(start);
            self.form(value, false, out);
        }
    }

    fn form(&self, value: &[u8], with_letters: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(value);
        let number = matches!(self.limits.kind, Kind::Integer | Kind::Number);
        loop {
            permute::form(&self.prf, &mut out[start..], with_letters, number);
            // A permutation of all numbers of this length, walked until one fits, is one of those that fit.
            let fits = self.limits.largest.is_none_or(|largest| read(&out[start..]) <= largest);
            if fits || read(value) > self.limits.largest.unwrap_or(u128::MAX) {
                break;
            }
        }
    }

    fn uuid(&self, value: &[u8], out: &mut Vec<u8>) {
        let mut bits = 0_u128;
        let mut count = 0;
        for digit in value.iter().filter_map(|byte| char::from(*byte).to_digit(16)) {
            bits = bits << 4 | u128::from(digit);
            count += 1;
        }
        if count != 32 {
            return self.form(value, true, out);
        }
        // RFC 9562, section 4: the version is in bits 48 to 51 and the variant in 64 and 65, and both stay.
        let (head, version) = (bits >> 80, bits >> 76 & 0xf);
        let (middle, variant, tail) = (bits >> 64 & 0xfff, bits >> 62 & 3, bits & ((1 << 62) - 1));
        let packed = head << 74 | middle << 62 | tail;
        let packed = permute::permute(&self.prf, 0, packed, 1 << 122);
        let (head, middle, tail) = (packed >> 74, packed >> 62 & 0xfff, packed & ((1 << 62) - 1));
        let bits = head << 80 | version << 76 | middle << 64 | variant << 62 | tail;
        for (place, shift) in (0..32).rev().enumerate() {
            if matches!(place, 8 | 12 | 16 | 20) {
                out.push(b'-');
            }
            out.push(nibble(u64::try_from(bits >> (4 * shift) & 15).unwrap_or(0)));
        }
    }

    fn card(&self, value: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let count = value.iter().filter(|byte| byte.is_ascii_digit()).count();
        let mut bits = self.prf.wide(0, value);
        let mut place = 0;
        for byte in value {
            if !byte.is_ascii_digit() {
                out.push(*byte);
                continue;
            }
            // A range that payment providers keep for tests.
            let digit = match place {
                0 => 4,
                1..6 => 0,
                _ => u8::try_from(bits % 10).unwrap_or(0),
            };
            bits = if place < 6 { bits } else { bits / 10 };
            place += 1;
            out.push(b'0' + digit);
        }
        let Some(last) = (start..out.len()).rev().find(|at| out[*at].is_ascii_digit()) else { return };
        for check in b'0'..=b'9' {
            out[last] = check;
            let mut digits = [0; 32];
            let own = out[start..].iter().filter(|byte| byte.is_ascii_digit());
            for (to, from) in digits.iter_mut().zip(own) {
                *to = from - b'0';
            }
            if find::luhn(&digits[..count.min(digits.len())]) {
                break;
            }
        }
    }

    fn network(&self, value: &[u8], out: &mut Vec<u8>) {
        let (address, mask) = match value.iter().position(|byte| *byte == b'/') {
            Some(at) => value.split_at(at),
            None => (value, &b""[..]),
        };
        let bits = self.prf.hash(0, address);
        let byte = |shift: u32| bits >> shift & 0xff;
        if address.contains(&b':') {
            out.extend_from_slice(b"2001:db8:0:0");
            for shift in [0, 16, 32, 48] {
                out.push(b':');
                nibbles(bits, shift + 16, shift, out);
            }
        } else {
            out.extend_from_slice(b"198.");
            number(18 + (bits >> 32 & 1), out);
            for shift in [0, 8] {
                out.push(b'.');
                number(byte(shift), out);
            }
        }
        // What is behind a mask has to be zero in a network, and one address is none.
        if mask.is_empty() {
            return;
        }
        out.extend_from_slice(if address.contains(&b':') { b"/128" } else { b"/32" });
    }

    fn date(&self, value: &[u8], id: Option<&[u8]>, days: u32, out: &mut Vec<u8>) {
        let span = 2 * u64::from(days) + 1;
        let hash = match id {
            Some(id) => self.person.as_ref().unwrap_or(&self.prf).hash(5, id),
            None => self.prf.hash(5, value),
        };
        let shift = i64::try_from(hash % span).unwrap_or(0) - i64::from(days);
        let Some(((year, month, day), rest)) = ymd(value) else {
            // `infinity` and what is no date of ISO 8601.
            out.extend_from_slice(value);
            return;
        };
        let (year, month, day) = civil::date(civil::days(year, month, day) + shift);
        padded(year.unsigned_abs(), 4, out);
        out.push(b'-');
        padded(month.unsigned_abs(), 2, out);
        out.push(b'-');
        padded(day.unsigned_abs(), 2, out);
        out.extend_from_slice(rest);
    }

    fn noise(&self, value: &[u8], id: Option<&[u8]>, percent: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
        let plain = value.iter().all(|byte| byte.is_ascii_digit() || b"-.".contains(byte));
        if !plain || digits == 0 || digits > 30 {
            out.extend_from_slice(value);
            return;
        }
        let amount = read(value);
        let hash = self.hashed(6, value, id);
        let part = amount / 1000 * u128::from(hash % (10 * u64::from(percent) + 1))
            + amount % 1000 * u128::from(hash % (10 * u64::from(percent) + 1)) / 1000;
        let bound = 10_u128.pow(u32::try_from(digits).unwrap_or(30)) - 1;
        let bound = bound.min(self.limits.largest.unwrap_or(u128::MAX));
        let more = amount.saturating_add(part);
        let amount = if hash >> 63 == 1 && more <= bound { more } else { amount - part };
        out.extend_from_slice(value);
        let mut left = amount;
        for byte in out[start..].iter_mut().rev().filter(|byte| byte.is_ascii_digit()) {
            *byte = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
        }
    }

    /// Word for word, with the spaces and marks where they were.
    fn text(&self, value: &[u8], out: &mut Vec<u8>) {
        let mut bits = self.prf.wide(0, value);
        let mut at = 0;
        while at < value.len() {
            let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
            let length = value[at..].iter().position(|byte| !word(byte)).unwrap_or(value.len() - at);
            if length == 0 {
                out.push(value[at]);
                at += 1;
                continue;
            }
            let own = &value[at..at + length];
            at += length;
            // A character that takes several bytes counts once.
            let count = own.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
            bits = bits.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let turn = usize::try_from(bits >> 96).unwrap_or(0);
            if own.iter().all(u8::is_ascii_digit) {
                let mut left = bits >> 8;
                for _ in 0..count {
                    out.push(b'0' + u8::try_from(left % 10).unwrap_or(0));
                    left /= 10;
                }
                continue;
            }
            let begin = out.len();
            let fits = FILLER.iter().filter(|filler| filler.len() == count);
            match fits.clone().nth(turn % fits.clone().count().max(1)) {
                Some(filler) => out.extend_from_slice(filler.as_bytes()),
                None => {
                    // Longer than any: one of the longest, over and over.
                    let word = FILLER[turn % 8 + 32].as_bytes();
                    out.extend((0..count).map(|place| word[place % word.len().min(11)]));
                }
            }
            if own[0].is_ascii_uppercase() {
                out[begin] = out[begin].to_ascii_uppercase();
            }
        }
    }

    /// The text, with what gives itself away exchanged for something of its form.
    pub fn redact(&self, value: &[u8], out: &mut Vec<u8>) {
        let mut done = 0;
        find::find(value, |sort, at| {
            out.extend_from_slice(&value[done..at.start]);
            let make = match sort {
                find::Sort::Email => Make::Email,
                find::Sort::Phone | find::Sort::Social => Make::Digits,
                find::Sort::Card => Make::Card,
                find::Sort::Iban | find::Sort::Secret => Make::Form,
                find::Sort::Network => Make::Network,
            };
            let maker = Inner { make, prf: &self.prf };
            maker.write(&value[at.clone()], out);
            done = at.end;
        });
        out.extend_from_slice(&value[done..]);
    }
}

/// A rule inside of a text, under the same key and without limits of its own.
struct Inner<'a> {
    make: Make,
    prf: &'a Prf,
}

impl Inner<'_> {
    fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let limits = Limits { kind: Kind::Text, ..Limits::default() };
        let maker = Maker { make: self.make.clone(), prf: self.prf.clone(), person: None, limits };
        maker.write(value, None, out);
    }
}

/// The values that people take for the same: without spaces around, in lower case.
fn folded<T>(value: &[u8], with: impl FnOnce(&[u8]) -> T) -> T {
    let value = value.trim_ascii();
    let mut lower = [0; 320];
    match lower.get_mut(..value.len()) {
        Some(lower) if value.iter().any(u8::is_ascii_uppercase) => {
            lower.copy_from_slice(value);
            lower.make_ascii_lowercase();
            with(lower)
        }
        _ => with(value),
    }
}

/// Two values that differ in their capitals stay two, and one where capitals do not count.
fn recase(prf: &Prf, value: &[u8], made: &mut [u8]) {
    let odd =
        |value: &[u8]| value.trim_ascii().len() != value.len() || value.iter().any(u8::is_ascii_uppercase);
    if !odd(value) {
        return;
    }
    let mut bits = prf.hash(7, value) | 1;
    for byte in made.iter_mut().take_while(|byte| **byte != b'@') {
        if byte.is_ascii_lowercase() {
            if bits & 1 == 1 {
                byte.make_ascii_uppercase();
            }
            bits >>= 1;
        }
    }
}

fn pick<'a>(words: &[&'a str], hash: u64) -> &'a str {
    let count = u64::try_from(words.len()).unwrap_or(1);
    words[usize::try_from(hash % count).unwrap_or(0)]
}

fn letters(mut bits: u128, count: usize, out: &mut Vec<u8>) {
    for _ in 0..count {
        out.push(LETTERS[usize::try_from(bits & 31).unwrap_or(0)]);
        bits >>= 5;
    }
}

/// All digits of a text as one number.
fn read(text: &[u8]) -> u128 {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0_u128, |number, digit| number.saturating_mul(10).saturating_add(u128::from(digit - b'0')))
}

/// Cuts what was made down to so many characters.
fn clip(out: &mut Vec<u8>, start: usize, length: usize) {
    let mut count = 0;
    for at in start..out.len() {
        if out[at] & 0xc0 != 0x80 {
            if count == length {
                out.truncate(at);
                return;
            }
            count += 1;
        }
    }
}

/// Year, month, day, and what stands behind them.
type Ymd<'a> = ((i64, i64, i64), &'a [u8]);

fn ymd(value: &[u8]) -> Option<Ymd<'_>> {
    let dash = value.iter().position(|byte| *byte == b'-')?;
    let field = |range: std::ops::Range<usize>| {
        let part = value.get(range)?;
        part.iter().all(u8::is_ascii_digit).then(|| i64::try_from(read(part)).unwrap_or(0))
    };
    let (year, month, day) = (field(0..dash)?, field(dash + 1..dash + 3)?, field(dash + 4..dash + 6)?);
    let fits = dash >= 4 && value.get(dash + 3) == Some(&b'-') && (1..=12).contains(&month) && day >= 1;
    // Years before Christ stay as they are: nobody alive was born then.
    let fits = fits && !value.ends_with(b"BC");
    fits.then(|| ((year, month, day), &value[dash + 6..]))
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;

    fn made(make: Make, kind: Kind, value: &str) -> String {
        let prf = Key::new([3; 32]).class(make.class());
        let largest = (kind == Kind::Integer).then_some(2_147_483_647);
        let maker = Maker { make, prf, person: None, limits: Limits { kind, length: None, largest } };
        let mut out = Vec::new();
        maker.write(value.as_bytes(), None, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_of_their_sort() {
        let email = made(Make::Email, Kind::Text, "ann@corp.example.de");
        assert!(
            email.ends_with("@example.com")
                || email.ends_with("@example.org")
                || email.ends_with("@example.net")
        );
        assert_eq!(find::whole(email.as_bytes()), Some(find::Sort::Email));
        let phone = made(Make::Phone, Kind::Text, "+49 (30) 90-1820");
        assert!(phone.starts_with("+999") && phone.len() == "+49 (30) 90-1820".len() + 3, "{phone}");
        let card = made(Make::Card, Kind::Text, "4111-1111-1111-1111");
        assert!(card.starts_with("4000-00"), "{card}");
        assert_eq!(find::whole(card.as_bytes()), Some(find::Sort::Card));
        let uuid = made(Make::Uuid, Kind::Uuid, "7d444840-9dc0-41d1-b245-5ffdce74fad2");
        assert!(uuid.len() == 36 && &uuid[14..15] == "4" && "89ab".contains(&uuid[19..20]), "{uuid}");
        assert!(made(Make::Network, Kind::Address, "10.1.2.3/24").ends_with("/32"));
        assert!(made(Make::Network, Kind::Address, "fe80::1").parse::<std::net::Ipv6Addr>().is_ok());
        assert_eq!(made(Make::Text, Kind::Text, "Hi, Zoë! 12").len(), "Hi, Zoe! 12".len());
        for number in 12..52 {
            let long = "x".repeat(number);
            assert_eq!(made(Make::Text, Kind::Text, &long).len(), long.len());
        }
    }

    #[test]
    fn capitals_do_not_part_one_person() {
        let (small, large) =
            (made(Make::Email, Kind::Text, "ann@x.org"), made(Make::Email, Kind::Text, "Ann@X.org"));
        assert_ne!(small, large);
        assert_eq!(small, large.to_lowercase());
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        for number in ["1", "9", "2147483647", "1999999999", "0", "-5"] {
            let masked = made(Make::Digits, Kind::Integer, number);
            assert!(masked.parse::<i32>().is_ok(), "{number} {masked}");
            assert!(made(Make::Noise(50), Kind::Integer, number).parse::<i32>().is_ok());
        }
        assert_eq!(made(Make::Noise(10), Kind::Number, "1234.50").len(), 7);
        assert_eq!(made(Make::Noise(10), Kind::Number, "NaN"), "NaN");
    }

    #[test]
    fn dates_are_dates_still() {
        for (date, rest) in
            [("2024-02-29", ""), ("1999-12-31 23:59:59.5+02", " 23:59:59.5+02"), ("0001-01-01", "")]
        {
            let masked = made(Make::Date(40), Kind::Time, date);
            assert!(masked.ends_with(rest) && ymd(masked.as_bytes()).is_some(), "{masked}");
        }
        assert_eq!(made(Make::Date(40), Kind::Time, "infinity"), "infinity");
    }

    #[test]
    fn sentences_lose_what_gives_itself_away() {
        let text = "Hi I am reachable at ann@corp.de or +1 555 123 4567.";
        let masked = made(Make::Redact, Kind::Text, text);
        assert!(!masked.contains("ann@corp.de") && !masked.contains("123 4567"), "{masked}");
        assert!(masked.starts_with("Hi I am reachable at ") && masked.ends_with('.'));
    }

    fn maker(make: Make, kind: Kind, length: Option<usize>, key: u8) -> Maker {
        let prf = Key::new([key; 32]).class(make.class());
        let largest = (kind == Kind::Integer).then_some(u128::from(i64::MAX.unsigned_abs()));
        Maker { make, prf, person: None, limits: Limits { kind, length, largest } }
    }

    fn write(maker: &Maker, value: &str) -> String {
        let mut out = Vec::new();
        maker.write(value.as_bytes(), None, &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest::proptest! {
        #[test]
        fn distinct_rules_keep_values_apart(
            values in proptest::collection::hash_set("[ -~äéß]{1,40}", 2..60), length in proptest::option::of(40_usize..90)
        ) {
            for make in [Make::Email, Make::Username, Make::Phone, Make::Form, Make::Digits, Make::Hash, Make::Url] {
                let maker = maker(make.clone(), Kind::Text, length, 1);
                let made: std::collections::HashSet<String> = values.iter().map(|value| write(&maker, value)).collect();
                proptest::prop_assert_eq!(made.len(), values.len(), "{:?}", make);
                proptest::prop_assert!(made.iter().all(|it| length.is_none_or(|most| it.chars().count() <= most)));
            }
        }

        #[test]
        fn numbers_stay_numbers_apart(values in proptest::collection::hash_set(0_i64..=i64::MAX, 2..60)) {
            let maker = maker(Make::Digits, Kind::Integer, None, 1);
            let made: std::collections::HashSet<i64> =
                values.iter().map(|value| write(&maker, &value.to_string()).parse().unwrap()).collect();
            proptest::prop_assert_eq!(made.len(), values.len());
        }

        #[test]
        fn every_rule_is_steady_and_keeps_to_its_room(value in "[ -~äéß]{1,60}", length in 24_usize..60) {
            for word in Make::WORDS.into_iter().filter(|word| *word != "constant" && *word != "null") {
                let make = Make::of(word).unwrap();
                let one = maker(make.clone(), Kind::Text, Some(length), 1);
                let made = write(&one, &value);
                proptest::prop_assert_eq!(&made, &write(&one, &value), "{}", word);
                proptest::prop_assert!(made.chars().count() <= length.max(value.chars().count()), "{}", word);
            }
            let (a, b) = (maker(Make::Email, Kind::Text, None, 1), maker(Make::Email, Kind::Text, None, 2));
            proptest::prop_assert_ne!(write(&a, &value), write(&b, &value));
        }

        #[test]
        fn dates_move_by_so_many_days(day in 0_i64..1_000_000, days in 1_u32..400) {
            let (year, month, date) = civil::date(day - 719_468);
            let maker = maker(Make::Date(days), Kind::Date, None, 1);
            let made = write(&maker, &format!("{year:04}-{month:02}-{date:02}"));
            let ((year, month, date), _) = ymd(made.as_bytes()).unwrap();
            proptest::prop_assert!((civil::days(year, month, date) + 719_468 - day).abs() <= i64::from(days));
        }
    }
}
