//! The one source of all values: a function of seed, table, column and row that looks random, and permutations made of
//! it. It hides nothing from anyone; masking has its own.

use sha2::{Digest, Sha256};

/// The function of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prf(u64, u64);

impl Prf {
    /// That of the column, or whatever else has this name, of a table.
    #[must_use]
    pub fn new(seed: u64, table: &str, column: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(table.as_bytes());
        hash.update([0]);
        hash.update(column.as_bytes());
        let bytes = hash.finalize();
        let number = |at: usize| bytes[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self(number(0), number(8))
    }

    /// The number of a row; `draw` tells several of one row apart.
    #[must_use]
    pub fn at(self, row: u64, draw: u64) -> u64 {
        let mixed = mix(self.0.wrapping_add(row.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        mix(mixed ^ self.1.wrapping_add(draw.wrapping_mul(0xd1b5_4a32_d192_ed03)))
    }

    /// A number below `size`, which is at least 1.
    #[must_use]
    pub fn below(self, row: u64, draw: u64, size: u64) -> u64 {
        let product = u128::from(self.at(row, draw)) * u128::from(size);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// Whether the row is one of `percent` in a hundred.
    #[must_use]
    pub fn chance(self, row: u64, draw: u64, percent: u8) -> bool {
        percent > 0 && self.below(row, draw, 100) < u64::from(percent)
    }

    /// The number that `row`, which is below `size`, is exchanged for: below `size` too, and no other row's. A Feistel
    /// network, walked until it stays in range (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
    #[must_use]
    pub fn permuted(self, row: u64, size: u64) -> u64 {
        if size <= 2 || row >= size {
            return row;
        }
        let bits = 64 - (size - 1).leading_zeros();
        let low = bits / 2;
        let high = bits - low;
        let mask = |bits: u32| if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
        let mut value = row;
        loop {
            let (mut a, mut b) = (value >> low, value & mask(low));
            let (mut a_bits, mut b_bits) = (high, low);
            for round in 0..4 {
                (a, b) = (b, (a ^ self.at(b, 1 << 32 | round)) & mask(a_bits));
                (a_bits, b_bits) = (b_bits, a_bits);
            }
            value = a << b_bits | b;
            if value < size {
                return value;
            }
        }
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_its_own_number() {
        let prf = Prf::new(1, "t", "c");
        for size in [1, 2, 3, 10, 97, 1000, 4096] {
            let met: BTreeSet<u64> = (0..size).map(|row| prf.permuted(row, size)).collect();
            assert_eq!(met.len() as u64, size);
            assert!(met.iter().all(|value| *value < size));
        }
        assert_eq!((0..1000).filter(|row| prf.chance(*row, 0, 0)).count(), 0);
    }

    #[test]
    fn numbers_are_the_same_for_ever() {
        let prf = Prf::new(42, "public.users", "email");
        assert_eq!(prf, Prf::new(42, "public.users", "email"));
        assert_ne!(prf.at(0, 0), Prf::new(43, "public.users", "email").at(0, 0));
        assert_ne!(prf.at(0, 0), prf.at(0, 1));
    }
}
