//! Sizes, times and names as a person reads them.

/// What comes from elsewhere, with its control characters made visible.
#[must_use]
pub fn harmless(text: &str) -> String {
    super::harmless(text)
}

/// A number of bytes in binary units, three digits at most.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(size < 9.95);
    format!("{size:.digits$} {}", UNITS[unit])
}

/// A span of seconds in its largest unit.
#[must_use]
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    match units.iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

/// A time that is so many seconds past.
#[must_use]
pub fn ago(seconds: i64) -> String {
    if seconds < 2 { "now".to_owned() } else { format!("{} ago", span(seconds)) }
}

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
    fn sizes_have_few_digits() {
        let shown: Vec<String> =
            [0, 1023, 1024, 10_240, 1_047_552, 1_610_612_736, u64::MAX].map(bytes).into();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "10 KiB", "1.0 MiB", "1.5 GiB", "16384 PiB"]);
    }

    #[test]
    fn spans_are_in_their_largest_unit() {
        assert_eq!([0, 119, 120, 7_199, 172_800].map(span), ["0 s", "119 s", "2 min", "119 min", "2 d"]);
        assert_eq!(ago(-5), "now");
    }

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(argument("feat/login"), "feat/login");
        assert_eq!(argument("$(id)"), "'$(id)'");
        assert_eq!(argument("it's"), r"'it'\''s'");
        assert_eq!(argument("-x"), "'-x'");
    }
}
