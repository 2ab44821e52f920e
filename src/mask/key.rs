//! The key that masked values depend on, and the keyed functions that are made of it.

use std::fmt;
use std::hash::Hasher;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as Wide};

/// A project's secret: 32 bytes, kept outside of the repository. Who has it can tell which masked value a guess has.
#[derive(Clone)]
pub struct Key([u8; Key::BYTES]);

impl Key {
    /// How many bytes it has.
    pub const BYTES: usize = 32;

    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The key written as 64 hexadecimal digits; none if it is not that.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// As [`Key::read`] reads it.
    #[must_use]
    pub fn reveal(&self) -> String {
        hex::encode(self.0)
    }

    /// What may be shown of it: the beginning of a hash.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest([b"devenv key id".as_slice(), &self.0].concat())[..8])
    }

    /// The keyed function of one identity class. Two classes have nothing in common, so that equal values of two
    /// classes cannot be told by their masked ones.
    #[must_use]
    pub fn class(&self, class: &str) -> Prf {
        // HMAC fills a shorter key up with zeros itself (RFC 2104, section 2).
        let mut block = [0; 64];
        block[..Self::BYTES].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(class.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let mut key = [0; 16];
        key.copy_from_slice(&bytes[..16]);
        Prf { key }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// SipHash-2-4 under a key of its own (Aumasson and Bernstein, "`SipHash`: a fast short-input PRF", 2012).
#[derive(Clone)]
pub struct Prf {
    key: [u8; 16],
}

impl Prf {
    /// 64 bits of a value; `use_` tells apart what else is made of the same value.
    #[must_use]
    pub fn hash(&self, use_: u64, value: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(use_);
        hasher.write(value);
        hasher.finish()
    }

    /// 128 bits of a value.
    #[must_use]
    pub fn wide(&self, use_: u64, value: &[u8]) -> u128 {
        let mut hasher = Wide::new_with_key(&self.key);
        hasher.write_u64(use_);
        hasher.write(value);
        hasher.finish128().as_u128()
    }
}

impl fmt::Debug for Prf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let key = Key::new([7; 32]);
        assert_eq!(format!("{key:?} {:?}", key.class("a")), "*** ***");
        assert!(!key.id().contains("0707"));
        assert_eq!(Key::read(&key.reveal()).unwrap().id(), key.id());
        assert!(Key::read("07").is_none());
    }

    #[test]
    fn classes_have_nothing_in_common() {
        let key = Key::new([7; 32]);
        let (a, b) = (key.class("a"), key.class("b"));
        assert_eq!(a.hash(0, b"x"), key.class("a").hash(0, b"x"));
        assert_ne!(a.hash(0, b"x"), b.hash(0, b"x"));
        assert_ne!(a.hash(0, b"x"), a.hash(1, b"x"));
        assert_ne!(a.hash(0, b"x"), Key::new([8; 32]).class("a").hash(0, b"x"));
    }
}
