//! Days as dates (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").

/// 2024-01-01 in days since 1970: when generated time begins.
pub(super) const BEGIN: i64 = 19_723;
/// How many days it goes on.
pub(super) const DAYS: i64 = 730;
/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Year, month and day of a day since 1970-01-01.
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// The day since 1970-01-01 of a date.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

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
    fn days_and_dates_are_the_same() {
        assert_eq!(date(BEGIN), (2024, 1, 1));
        assert_eq!(date(-1), (1969, 12, 31));
        for day in (-800_000..800_000).step_by(37) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
        assert_eq!(seconds("1970-01-02 00:01:00+00"), Some(DAY + 60));
    }
}
