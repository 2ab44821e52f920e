//! Values as `COPY` takes and gives them in its text format (PostgreSQL documentation, `COPY`, "Text Format").

/// Writes a value as a field.
pub fn escape(value: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r' | 8 | 11 | 12);
    if !value.iter().any(special) {
        return out.extend_from_slice(value);
    }
    for byte in value {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            8 => out.extend_from_slice(b"\\b"),
            11 => out.extend_from_slice(b"\\v"),
            12 => out.extend_from_slice(b"\\f"),
            _ => out.push(*byte),
        }
    }
}

/// A text as a field.
#[must_use]
pub fn escaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    escape(text.as_bytes(), &mut out);
    out
}

/// A field as it is meant; `buffer` holds it where it was escaped.
pub fn plain<'a>(field: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    if !field.contains(&b'\\') {
        return field;
    }
    buffer.clear();
    let mut at = 0;
    while at < field.len() {
        if field[at] != b'\\' || at + 1 == field.len() {
            buffer.push(field[at]);
            at += 1;
            continue;
        }
        // `COPY TO` writes these and no numbers.
        buffer.push(match field[at + 1] {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        });
        at += 2;
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "a\\b\tc\nd\re\u{8}f\u{b}g\u{c}h";
        let field = escaped(text);
        assert_eq!(field, b"a\\\\b\\tc\\nd\\re\\bf\\vg\\fh");
        assert_eq!(plain(&field, &mut Vec::new()), text.as_bytes());
        assert_eq!(plain(b"as it is", &mut Vec::new()), b"as it is");
    }
}
