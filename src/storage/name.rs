//! What may be a name in the pool: every one of them becomes one part of a path, never more.

use super::protocol::Refusal;

/// The id of data: `[a-z0-9-]`, up to 64 of them.
pub(super) fn id(text: &str) -> Result<&str, Refusal> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(refused(text, "an id has up to 64 of a-z, 0-9 and -"))
    }
}

/// One part of a path: a volume's key, or an environment.
pub(super) fn part(text: &str) -> Result<&str, Refusal> {
    let fits = !matches!(text, "" | "." | "..") && text.len() <= 255 && !text.contains(['/', '\0']);
    if fits { Ok(text) } else { Err(refused(text, "it has to be one part of a path")) }
}

fn refused(text: &str, why: &str) -> Refusal {
    Refusal::System { doing: format!("use the name {text:?}"), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_leads_elsewhere() {
        for good in ["a", "0-9", &"x".repeat(64)] {
            assert!(id(good).is_ok() && part(good).is_ok(), "{good}");
        }
        for bad in ["", "..", ".", "a/b", "A", "ä", "a\0", "a.json", "a\n", &"x".repeat(65)] {
            assert!(id(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "..", ".", "a/b", "/", "a\0", &"x".repeat(256)] {
            assert!(part(bad).is_err(), "{bad:?}");
        }
        assert!(part("A volume.named \u{202e} so\n").is_ok());
    }
}
