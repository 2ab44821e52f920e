//! Sizes, times and names as a person reads them.

pub use crate::base::shell::argument;
pub use crate::base::size::bytes;

/// What comes from elsewhere, with its control characters made visible.
#[must_use]
pub fn harmless(text: &str) -> String {
    super::harmless(text)
}

/// The same in one line of a table: what is long loses its middle.
#[must_use]
pub fn short(text: &str) -> String {
    const LONGEST: usize = 48;
    let text = harmless(text);
    let length = text.chars().count();
    if length <= LONGEST {
        return text;
    }
    let half = LONGEST / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(length - half + 1).collect();
    format!("{head}…{tail}")
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

/// How long something lasts, in its largest unit; never less than that.
#[must_use]
pub fn left(seconds: i64) -> String {
    let units = [86_400, 3_600, 60];
    let unit = units.into_iter().find(|unit| seconds > 2 * unit - unit / 60).unwrap_or(1);
    span(seconds.saturating_add(unit - 1) / unit * unit)
}

/// A time that is so many seconds past.
#[must_use]
pub fn ago(seconds: i64) -> String {
    if seconds < 2 { "now".to_owned() } else { format!("{} ago", span(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_loses_its_middle() {
        assert_eq!(short("feat/login"), "feat/login");
        let shown = short(&"long/".repeat(40));
        assert_eq!((shown.chars().count(), shown.contains('…')), (48, true));
        assert_eq!(short("a\u{202e}b"), "a\u{fffd}b");
    }

    #[test]
    fn spans_are_in_their_largest_unit() {
        assert_eq!([0, 119, 120, 7_199, 172_800].map(span), ["0 s", "119 s", "2 min", "119 min", "2 d"]);
        assert_eq!(ago(-5), "now");
        assert_eq!([1, 60, 3_599, 172_799, 259_198].map(left), ["1 s", "60 s", "60 min", "2 d", "3 d"]);
    }
}
