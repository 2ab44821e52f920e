//! Numbers as text, byte by byte, without allocating.

/// Writes a number.
pub fn number(number: u64, out: &mut Vec<u8>) {
    padded(number, 1, out);
}

/// Writes a number with zeros before it, up to so many digits, 20 at most.
pub fn padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = number;
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let at = at.min(digits.len().saturating_sub(width));
    out.extend_from_slice(&digits[at..]);
}

/// The hexadecimal digit of a number's last four bits.
#[must_use]
pub fn nibble(number: u64) -> u8 {
    b"0123456789abcdef"[usize::try_from(number & 15).unwrap_or(0)]
}

/// Writes the bits of a number from one down to another, four at a time.
pub fn nibbles(number: u64, from: u32, to: u32, out: &mut Vec<u8>) {
    let mut at = from;
    while at > to {
        at -= 4;
        out.push(nibble(number >> at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written() {
        for value in [0, 7, 10, 1_234_567, u64::MAX] {
            assert_eq!(written(|out| number(value, out)), value.to_string());
            for width in [1, 4, 10] {
                assert_eq!(written(|out| padded(value, width, out)), format!("{value:0width$}"));
            }
        }
        assert_eq!(written(|out| nibbles(0xdead_beef, 32, 8, out)), "deadbe");
    }
}
