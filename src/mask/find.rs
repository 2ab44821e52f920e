//! What gives itself away by its form, anywhere in a text: e-mail addresses, telephone and card numbers, bank
//! accounts, network addresses, keys.

use std::ops::Range;

/// What something in a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// An e-mail address.
    Email,
    /// A telephone number: ten digits and more, or fewer behind a `+`, grouped as people do.
    Phone,
    /// A card number whose check digit is right (ISO/IEC 7812-1, annex B).
    Card,
    /// A bank account whose check digits are right (ISO 13616-1).
    Iban,
    /// An address of IPv4 or IPv6.
    Network,
    /// A number of the form of the United States' social security.
    Social,
    /// A key, a token or a hashed password.
    Secret,
}

/// Calls `each` with what is found, in order and without overlap.
pub fn find(text: &[u8], mut each: impl FnMut(Sort, Range<usize>)) {
    let mut at = 0;
    while at < text.len() {
        let begins = at == 0 || !is_word(text[at - 1]);
        let found = if begins { begin(text, at) } else { None };
        match found {
            Some((sort, end)) => {
                each(sort, at..end);
                at = end;
            }
            // Part of a number that is nothing is nothing either.
            None if begins && text[at].is_ascii_digit() => at += digits(&text[at..]).0.max(1),
            None => at += 1,
        }
    }
}

/// What the whole of a text is, if it is one thing.
#[must_use]
pub fn whole(text: &[u8]) -> Option<Sort> {
    let text = text.trim_ascii();
    let (sort, end) = begin(text, 0)?;
    (end == text.len()).then_some(sort)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn begin(text: &[u8], at: usize) -> Option<(Sort, usize)> {
    let rest = &text[at..];
    let first = *rest.first()?;
    if !(is_word(first) || matches!(first, b'+' | b'(' | b'$' | b'-' | b':')) {
        return None;
    }
    let found = |sort: Sort, length: Option<usize>| length.map(|length| (sort, at + length));
    found(Sort::Secret, secret(rest))
        .or_else(|| found(Sort::Email, email(rest)))
        .or_else(|| found(Sort::Iban, iban(rest)))
        .or_else(|| found(Sort::Network, network(rest)))
        .or_else(|| number(rest).map(|(sort, length)| (sort, at + length)))
}

/// RFC 5321's form as it is seen in the wild: no quotes, no comments.
fn email(text: &[u8]) -> Option<usize> {
    let local = text.iter().position(|byte| !(is_word(*byte) || b".+-%'".contains(byte)))?;
    if local == 0 || local > 64 || text[local] != b'@' {
        return None;
    }
    let domain = &text[local + 1..];
    let length = domain
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || *byte >= 0x80 || b".-".contains(byte)))
        .unwrap_or(domain.len());
    let mut domain = &domain[..length];
    while let [head @ .., b'.' | b'-'] = domain {
        domain = head;
    }
    let dot = domain.iter().rposition(|byte| *byte == b'.')?;
    let last = &domain[dot + 1..];
    let fits = dot > 0 && last.len() >= 2 && !last.iter().all(u8::is_ascii_digit);
    fits.then_some(local + 1 + domain.len())
}

/// A run of digits with what people put between them; how long it is, and its digits.
fn digits(text: &[u8]) -> (usize, [u8; 20], usize) {
    let (mut end, mut count, mut digits) = (0, 0, [0; 20]);
    let mut gap = 0;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if count < digits.len() => {
                digits[count] = byte - b'0';
                count += 1;
                end = at + 1;
                gap = 0;
            }
            b'+' if at == 0 => {}
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if gap < 2 => gap += 1,
            _ => break,
        }
    }
    (end, digits, count)
}

/// Whether a number's last digit is the check digit of the others (ISO/IEC 7812-1, annex B).
#[must_use]
pub fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn number(text: &[u8]) -> Option<(Sort, usize)> {
    let first = text[0];
    if !(first.is_ascii_digit() || first == b'+' || first == b'(') {
        return None;
    }
    let (end, digits, count) = digits(text);
    if text.get(end).is_some_and(|byte| is_word(*byte) || *byte == b'@') || count < 7 {
        return None;
    }
    let part = &text[..end];
    // A date, or one with a time behind it.
    if part.len() >= 10 && part[4] == b'-' && part[7] == b'-' && first != b'+' {
        return None;
    }
    let social = part.len() == 11 && part[3] == b'-' && part[6] == b'-' && count == 9;
    if social {
        return Some((Sort::Social, end));
    }
    let issued = matches!(digits[0], 2..=6) && (13..=19).contains(&count);
    if issued && luhn(&digits[..count]) && first != b'+' {
        return Some((Sort::Card, end));
    }
    let grouped = part.iter().any(|byte| b" -.()/".contains(byte));
    let groups = part.split(|byte| !byte.is_ascii_digit()).filter(|group| !group.is_empty()).count();
    let decimal = groups == 2 && part.contains(&b'.');
    let telephone = (first == b'+' && (7..=15).contains(&count))
        || (grouped && (9..=14).contains(&count) && (2..=6).contains(&groups) && !decimal)
        || (!grouped && (10..=11).contains(&count));
    telephone.then_some((Sort::Phone, end))
}

fn iban(text: &[u8]) -> Option<usize> {
    if text.len() < 15 || !text[..2].iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    if !text[2..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (mut end, mut count, mut remainder) = (0, 0_usize, 0_u32);
    let mut take = |byte: u8| {
        let value = if byte.is_ascii_digit() { u32::from(byte - b'0') } else { u32::from(byte - b'A') + 10 };
        remainder = if value < 10 { remainder * 10 + value } else { remainder * 100 + value } % 97;
    };
    let plain = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    for (at, byte) in text.iter().enumerate().skip(4) {
        match byte {
            byte if plain(byte) && count < 30 => {
                take(*byte);
                count += 1;
                end = at + 1;
            }
            b' ' if text.get(at + 1).is_some_and(plain) => {}
            _ => break,
        }
    }
    for byte in &text[..4] {
        take(*byte);
    }
    let ends = text.get(end).is_none_or(|byte| !is_word(*byte));
    ((11..=30).contains(&count) && remainder == 1 && ends).then_some(end)
}

fn network(text: &[u8]) -> Option<usize> {
    let length = text
        .iter()
        .take(46)
        .position(|byte| !(byte.is_ascii_hexdigit() || b".:".contains(byte)))
        .unwrap_or(text.len().min(46));
    let mut part = &text[..length];
    while let [head @ .., b'.'] = part {
        part = head;
    }
    if text.get(part.len()).is_some_and(|byte| is_word(*byte)) {
        return None;
    }
    let parts = |mark: u8| part.split(|byte| *byte == mark).count();
    let is_four = parts(b'.') == 4 && part.len() >= 7;
    let is_six = parts(b':') >= 4;
    if !(is_four || is_six) {
        return None;
    }
    let address: std::net::IpAddr = std::str::from_utf8(part).ok()?.parse().ok()?;
    // A version of four parts looks alike, and `::` is nobody's.
    (!address.is_loopback() && !address.is_unspecified()).then_some(part.len())
}

/// How keys of well-known makers begin, and how many characters there are at least.
const KEYS: [(&[u8], usize); 19] = [
    (b"-----BEGIN ", 40),
    (b"$2a$", 59),
    (b"$2b$", 59),
    (b"$2y$", 59),
    (b"$argon2", 40),
    (b"$6$", 40),
    (b"$1$", 20),
    (b"pbkdf2", 40),
    (b"SCRAM-SHA-256$", 60),
    (b"scrypt:", 40),
    (b"eyJ", 30),
    (b"sk_live_", 16),
    (b"sk_test_", 16),
    (b"sk-", 24),
    (b"whsec_", 16),
    (b"ghp_", 36),
    (b"xoxb-", 20),
    (b"AKIA", 20),
    (b"glpat-", 20),
];

fn secret(text: &[u8]) -> Option<usize> {
    let (_, least) = KEYS.iter().find(|(head, _)| text.starts_with(head))?;
    let length = text
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || b"\"'<>,;".contains(byte))
        .unwrap_or(text.len());
    // A block of PEM has its spaces and goes on to its end.
    let length = if text.starts_with(b"-----") { text.len() } else { length };
    (length >= *least).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        let mut out = Vec::new();
        find(text.as_bytes(), |sort, at| out.push(format!("{sort:?} {}", &text[at])));
        out.join(", ")
    }

    #[test]
    fn things_are_found_in_sentences() {
        assert_eq!(found("Write to Ann.Lee@example.co.uk."), "Email Ann.Lee@example.co.uk");
        assert_eq!(
            found("call +49 30 901820, or (555) 123-4567!"),
            "Phone +49 30 901820, Phone (555) 123-4567"
        );
        assert_eq!(found("card 4111 1111 1111 1111 and no 4111 1111 1111 1112"), "Card 4111 1111 1111 1111");
        assert_eq!(found("GB82 WEST 1234 5698 7654 32 is one"), "Iban GB82 WEST 1234 5698 7654 32");
        assert_eq!(found("from 203.0.113.9 and 2001:db8::1"), "Network 203.0.113.9, Network 2001:db8::1");
        assert_eq!(found("ssn 078-05-1120"), "Social 078-05-1120");
    }

    #[test]
    fn what_looks_alike_is_left() {
        for text in
            ["2024-01-05 10:20:30", "version 1.2.3", "12345", "a@b", "GB82WEST12345698765433", "3.14159265"]
        {
            assert_eq!(found(text), "", "{text}");
        }
        assert_eq!(found("1234567890123456"), "");
    }

    #[test]
    fn the_whole_of_a_value() {
        assert_eq!(whole(b" a.b@example.org "), Some(Sort::Email));
        assert_eq!(whole(b"a.b@example.org, c"), None);
        assert_eq!(whole(b"DE89370400440532013000"), Some(Sort::Iban));
        assert_eq!(whole(b"AKIAIOSFODNN7EXAMPLE"), Some(Sort::Secret));
    }
}
