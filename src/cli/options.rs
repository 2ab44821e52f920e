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
