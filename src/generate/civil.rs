//! When generated rows are from, and how a check or a wish says when.

use crate::base::civil::{DAY, days};

/// 2024-01-01 in days since 1970: when generated time begins.
pub(super) const BEGIN: i64 = 19_723;
/// How many days it goes on.
pub(super) const DAYS: i64 = 730;
/// The seconds since 1970 of `2024-01-31` or `2024-01-31 12:00:00+00`; a zone is taken for UTC.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once([' ', 'T']).unwrap_or((text.trim(), ""));
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let day = days(parts.next()??, parts.next()??, parts.next()??);
    let clock = time.split(['+', '-', '.', 'Z']).next().unwrap_or("");
    let mut at = 0;
    for (part, unit) in clock.split(':').zip([3600, 60, 1]) {
        at += if part.is_empty() { 0 } else { part.parse::<i64>().ok()? * unit };
    }
    Some(day * DAY + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(seconds("1970-01-02 00:01:00+00"), Some(DAY + 60));
    }
}
