//! Which of many copies of the same thing are kept as they grow old.

use super::Seconds;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The newest, so many.
    Newest(usize),
    /// The newest of each span of so many seconds, of so many spans.
    Each(Seconds, usize),
}

const HOUR: Seconds = 3600;

/// Reads `5` for the newest five, or `24h,7d,4w`: the newest of each of so many hours, days and weeks.
#[must_use]
pub fn read(text: &str) -> Option<Vec<Keep>> {
    let one = |part: &str| {
        let part = part.trim();
        let (number, unit) = part.split_at(part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()));
        let number = number.parse::<usize>().ok().filter(|number| *number > 0)?;
        match unit {
            "" => Some(Keep::Newest(number)),
            "h" => Some(Keep::Each(HOUR, number)),
            "d" => Some(Keep::Each(24 * HOUR, number)),
            "w" => Some(Keep::Each(7 * 24 * HOUR, number)),
            _ => None,
        }
    };
    text.split(',').map(one).collect()
}

/// Which of what was made at these times are kept; the newest always is.
#[must_use]
pub fn kept(made: &[Seconds], rules: &[Keep]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..made.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(made[*at]));
    let mut kept = vec![false; made.len()];
    if let Some(newest) = order.first() {
        kept[*newest] = true;
    }
    for rule in rules {
        match rule {
            Keep::Newest(number) => order.iter().take(*number).for_each(|at| kept[*at] = true),
            Keep::Each(span, number) => {
                let mut seen = Vec::new();
                for at in &order {
                    let of = made[*at].div_euclid(*span);
                    if seen.len() < *number && !seen.contains(&of) {
                        seen.push(of);
                        kept[*at] = true;
                    }
                }
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_span_stay() {
        assert_eq!(read("7d, 4w"), Some(vec![Keep::Each(24 * HOUR, 7), Keep::Each(168 * HOUR, 4)]));
        assert_eq!(read("3"), Some(vec![Keep::Newest(3)]));
        assert!(["", "0", "d", "3y", "3d,"].iter().all(|text| read(text).is_none()));
        let day = 24 * HOUR;
        let made = [10 * day, 10 * day + 60, 9 * day, 8 * day, 2 * day];
        assert_eq!(kept(&made, &[Keep::Newest(2)]), [true, true, false, false, false]);
        assert_eq!(kept(&made, &read("2d").unwrap()), [false, true, true, false, false]);
        // Weeks are counted since 1970, a Thursday.
        assert_eq!(kept(&made, &read("1d,2w").unwrap()), [false, true, false, false, true]);
        assert_eq!(kept(&made, &[]), [false, true, false, false, false]);
    }
}
