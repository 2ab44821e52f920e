//! Keyed permutations: what keeps a value's form and never makes two values one.
//!
//! A Feistel network over the numbers below a power of two, walked until it stays within the wanted range (Black and
//! Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Eight rounds of a keyed function.

use super::key::Prf;

const ROUNDS: u64 = 8;

/// The number that `value`, which is below `size`, is exchanged for; below `size` too, and never that of another.
#[must_use]
pub fn permute(prf: &Prf, tweak: u64, value: u128, size: u128) -> u128 {
    if size <= 1 || value >= size {
        return value;
    }
    let bits = 128 - (size - 1).leading_zeros();
    let (left_bits, right_bits) = (bits / 2, bits - bits / 2);
    let mut value = value;
    loop {
        value = once(prf, tweak, value, left_bits, right_bits);
        // Each step is a permutation of the larger range, so that the walk comes back into the smaller one.
        if value < size {
            return value;
        }
    }
}

fn once(prf: &Prf, tweak: u64, value: u128, left_bits: u32, right_bits: u32) -> u128 {
    let mask = |bits: u32| (1_u128 << bits) - 1;
    let (mut a, mut b) = (value >> right_bits, value & mask(right_bits));
    let (mut a_bits, mut b_bits) = (left_bits, right_bits);
    for round in 0..ROUNDS {
        // The tweak keeps lengths apart: 7 of one digit tells nothing of 07.
        let use_ = tweak << 8 | round;
        let f = u128::from(prf.hash(use_, &b.to_le_bytes()));
        (a, b) = (b, (a ^ f) & mask(a_bits));
        (a_bits, b_bits) = (b_bits, a_bits);
    }
    a << b_bits | b
}

/// Exchanges the characters of a text for others of their sort: a digit for a digit, a letter (with `letters`) for a
/// letter of the same case. All else stays where it is. Long texts are taken piece by piece.
pub fn form(prf: &Prf, text: &mut [u8], letters: bool, no_zero_first: bool) {
    // Zero is the one number that begins with it.
    let no_zero_first = no_zero_first && text.iter().any(|byte| (b'1'..=b'9').contains(byte));
    if !no_zero_first && text == b"0" {
        return;
    }
    let mut start = 0;
    let mut piece = 0_u64;
    while start < text.len() {
        let mut size = 1_u128;
        let mut value = 0_u128;
        let mut end = start;
        let mut shape = piece;
        while end < text.len() {
            let radix = radix(text[end], letters);
            if radix > 1 {
                // The first digit of a number is not a zero.
                let first = no_zero_first && size == 1 && start == 0;
                let (digit, radix) =
                    if first { (u128::from(text[end] - b'1'), 9) } else { (digit(text[end]), radix) };
                let Some(larger) = size.checked_mul(radix).filter(|size| *size < 1 << 120) else { break };
                value = value * radix + digit;
                size = larger;
                shape = shape.wrapping_mul(31).wrapping_add(u64::try_from(radix).unwrap_or(0));
            }
            end += 1;
        }
        let first = no_zero_first && start == 0;
        let mut value = permute(prf, shape & 0x00ff_ffff_ffff_ffff, value, size);
        let places: usize = text[start..end].iter().filter(|byte| radix(**byte, letters) > 1).count();
        let mut left = places;
        for at in (start..end).rev() {
            let byte = text[at];
            let radix = radix(byte, letters);
            if radix == 1 {
                continue;
            }
            if first && left == 1 {
                text[at] = b'1' + low(value % 9);
            } else {
                text[at] = base(byte) + low(value % radix);
                value /= radix;
            }
            left -= 1;
        }
        start = end.max(start + 1);
        piece += 1;
    }
}

fn low(value: u128) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

fn radix(byte: u8, letters: bool) -> u128 {
    match byte {
        b'0'..=b'9' => 10,
        b'a'..=b'z' | b'A'..=b'Z' if letters => 26,
        _ => 1,
    }
}

fn base(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0',
        b'a'..=b'z' => b'a',
        _ => b'A',
    }
}

fn digit(byte: u8) -> u128 {
    u128::from(byte - base(byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Key;
    use super::*;

    #[test]
    fn every_number_is_met_once() {
        let prf = Key::new([1; 32]).class("t");
        for size in [1, 2, 3, 10, 97, 1000, 4096] {
            let met: BTreeSet<u128> = (0..size).map(|value| permute(&prf, 0, value, size)).collect();
            assert_eq!(met.len() as u128, size, "{size}");
            assert!(met.iter().all(|value| *value < size));
        }
        assert_ne!(permute(&prf, 0, 5, 1 << 90), permute(&prf, 1, 5, 1 << 90));
    }

    #[test]
    fn forms_are_kept_and_nothing_collides() {
        let prf = Key::new([1; 32]).class("t");
        let made = |text: &str, letters: bool, first: bool| {
            let mut bytes = text.as_bytes().to_vec();
            form(&prf, &mut bytes, letters, first);
            String::from_utf8(bytes).unwrap()
        };
        let all: BTreeSet<String> = (0..1000).map(|n| made(&format!("{n:03}"), false, false)).collect();
        assert_eq!(all.len(), 1000);
        let numbers: BTreeSet<String> = (1..1000).map(|n| made(&n.to_string(), false, true)).collect();
        assert_eq!(numbers.len(), 999);
        assert!(numbers.iter().all(|number| !number.starts_with('0')));
        let one = made("AB-12 x9 é", true, false);
        assert_eq!(one.len(), "AB-12 x9 é".len());
        assert!(one.ends_with(" é") && &one[2..3] == "-", "{one}");
        let long = "1234567890".repeat(9);
        let masked = made(&long, false, false);
        assert_eq!(masked.len(), 90);
        assert_ne!(masked[40..], long[40..]);
    }
}
