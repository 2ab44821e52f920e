//! What may be shown of a raw value: how long it is, and where its letters, digits and marks stand.

/// The form of a value: `a` for letters, `9` for digits, marks as they are; runs beyond three are cut short.
#[must_use]
pub fn shape(value: &str) -> String {
    let mut out = String::new();
    let (mut last, mut run) = ('\0', 0);
    for c in value.chars().take(60) {
        let sort = match c {
            c if c.is_uppercase() => 'A',
            c if c.is_alphabetic() => 'a',
            c if c.is_numeric() => '9',
            c if c.is_ascii_punctuation() || c == ' ' => c,
            _ => '?',
        };
        run = if sort == last { run + 1 } else { 1 };
        last = sort;
        if run <= 3 {
            out.push(sort);
        } else if run == 4 {
            out.push('…');
        }
    }
    let length = value.chars().count();
    format!("{out} ({length})")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_shape_says_no_value() {
        assert_eq!(super::shape("Ann.Miller@corp.de"), "Aaa.Aaaa…@aaa….aa (18)");
        assert_eq!(super::shape("é 7"), "a 9 (3)");
    }
}
