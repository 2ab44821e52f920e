//! What a user may copy into a shell.

/// Text as one word of a POSIX shell (POSIX.1-2024, XCU 2.2.2).
#[must_use]
pub fn argument(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && !text.starts_with(['-', '=']) && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(argument("feat/login"), "feat/login");
        assert_eq!(argument("$(id)"), "'$(id)'");
        assert_eq!(argument("it's"), r"'it'\''s'");
        assert_eq!(argument("-x"), "'-x'");
    }
}
