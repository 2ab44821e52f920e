//! A memory of raw values that were masked, to find copies of them where nothing is masked: a keyed filter of fixed
//! size (Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", 1970). It holds no value, and dies with
//! the process.

use std::sync::atomic::{AtomicU64, Ordering};

use super::key::{Key, Prf};

/// Values shorter than this are words, not identities.
pub const SHORTEST: usize = 6;
/// Values of more words than this are remembered by their first ones.
const WORDS: usize = 5;
/// Bits that one value sets.
const BITS: u32 = 7;
/// 2²⁷ bits, 16 MiB: five million values with one false find in a hundred thousand.
const SIZE: u64 = 1 << 27;

/// What was masked.
pub struct Residual {
    prf: Prf,
    bits: Vec<AtomicU64>,
}

impl Residual {
    /// One that remembers nothing yet.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        let words = usize::try_from(SIZE / 64).unwrap_or(0);
        Self {
            prf: key.class("residual"),
            bits: std::iter::repeat_with(AtomicU64::default).take(words).collect(),
        }
    }

    fn places(hash: u128) -> impl Iterator<Item = (usize, u64)> {
        let (low, high) = (hash & u128::from(u64::MAX), hash >> 64 | 1);
        (0..BITS).map(move |turn| {
            let bit =
                u64::try_from(low.wrapping_add(high * u128::from(turn)) % u128::from(SIZE)).unwrap_or(0);
            (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
        })
    }

    /// Remembers a raw value.
    pub fn remember(&self, value: &[u8]) {
        let mut folded = Folded::default();
        for word in words(value).take(WORDS) {
            folded.push(&value[word]);
        }
        if folded.length < SHORTEST {
            return;
        }
        for (word, bit) in Self::places(self.prf.wide(0, folded.bytes())) {
            self.bits[word].fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn has(&self, folded: &[u8]) -> bool {
        let mut places = Self::places(self.prf.wide(0, folded));
        places.all(|(word, bit)| self.bits[word].load(Ordering::Relaxed) & bit != 0)
    }

    /// How many places of a text say what was masked elsewhere: up to five words in a row, whatever stands around and
    /// between them.
    #[must_use]
    pub fn count(&self, text: &[u8]) -> usize {
        let mut found = 0;
        let mut ends = words(text);
        while let Some(first) = ends.next() {
            let mut folded = Folded::default();
            folded.push(&text[first]);
            let mut next = ends.clone();
            for _ in 0..WORDS {
                if folded.length >= SHORTEST && self.has(folded.bytes()) {
                    found += 1;
                    break;
                }
                match next.next() {
                    Some(word) => folded.push(&text[word]),
                    None => break,
                }
            }
        }
        found
    }
}

/// Words in lower case with one space between; what is too long is left off.
struct Folded {
    bytes: [u8; 256],
    length: usize,
}

impl Default for Folded {
    fn default() -> Self {
        Self { bytes: [0; 256], length: 0 }
    }
}

impl Folded {
    fn push(&mut self, word: &[u8]) {
        let space = usize::from(self.length > 0);
        let Some(room) = self.bytes.get_mut(self.length + space..self.length + space + word.len()) else {
            return;
        };
        room.copy_from_slice(word);
        room.make_ascii_lowercase();
        if space == 1 {
            self.bytes[self.length] = b' ';
        }
        self.length += space + word.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The words of a text; an e-mail address is one.
#[derive(Clone)]
struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

fn words(text: &[u8]) -> Words<'_> {
    Words { text, at: 0 }
}

impl Iterator for Words<'_> {
    type Item = std::ops::Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || b"_".contains(byte);
        let joins = |byte: &u8| b"@.+-".contains(byte);
        let start = self.at + self.text.get(self.at..)?.iter().position(inner)?;
        let mut end = start;
        while let Some(byte) = self.text.get(end) {
            let joined = joins(byte) && self.text.get(end + 1).is_some_and(inner);
            if !inner(byte) && !joined {
                break;
            }
            end += 1;
        }
        self.at = end;
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_found_and_nothing_else() {
        let seen = Residual::new(&Key::new([9; 32]));
        for value in ["ann.lee@corp.de", "Anaïs Garcia", "+49 30 901820", "short", "1 Main Street, Berlin"] {
            seen.remember(value.as_bytes());
        }
        let count = |text: &str| seen.count(text.as_bytes());
        assert_eq!(count("Hi, I am anaïs GARCIA (ANN.LEE@corp.de)."), 2);
        assert_eq!(count(r#"{"phone":"+49 30 901820","x":"1 main street - berlin"}"#), 2);
        assert_eq!(count("short and Garcia or lee@corp.de"), 0);
        assert_eq!(count(""), 0);
    }
}
