//! Values that several commands take.

use std::time::Duration;

use crate::compose::project;

/// A span as compose files write it (`90s`, `1m30s`), or plain seconds.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    project::Duration::parse(text).map(project::Duration::as_std)
}

/// `KEY=value`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as NAME=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `SERVICE=NUMBER`.
pub(super) fn scale(text: &str) -> Result<(String, i64), String> {
    let read = |text: &str| {
        let (service, number) = text.split_once('=')?;
        Some((service.to_owned(), number.parse().ok().filter(|number| *number >= 0)?))
    };
    read(text).ok_or_else(|| "write it as SERVICE=NUMBER".to_owned())
}

/// A number of bytes, such as `512M` or `40G`, in binary units.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    project::Bytes::parse(text)
        .and_then(|bytes| u64::try_from(bytes.get()).map_err(|_| "a size is not below zero".to_owned()))
}

/// A time since something: `12h`, `3d`, `2w`.
pub(super) fn age(text: &str) -> Result<i64, String> {
    ttl(text)?.ok_or_else(|| "write it as `12h`, `3d` or `2w`".to_owned())
}

/// A time to live: `12h`, `3d`, `2w`, or `never`.
pub(super) fn ttl(text: &str) -> Result<Option<i64>, String> {
    if text == "never" {
        return Ok(None);
    }
    let long = [("w", 7 * 86_400), ("d", 86_400)].into_iter().find_map(|(unit, seconds)| {
        let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds)
    });
    let seconds = match long {
        Some(seconds) => seconds,
        None => i64::try_from(span(text)?.as_secs()).unwrap_or(i64::MAX),
    };
    if seconds > 0 && seconds < 100 * 366 * 86_400 {
        Ok(Some(seconds))
    } else {
        Err("write it as `12h`, `3d`, `2w` or `never`".to_owned())
    }
}
