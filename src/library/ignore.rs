//! Lines of a `.gitignore`.

/// What git must not see: the state of an environment, and values that are a person's own.
pub const LINES: [&str; 2] = [".devenv/", ".env"];

/// The text with the lines that it lacks at its end; nothing where it has them all.
#[must_use]
pub fn with_lines(text: &str, lines: &[&str]) -> Option<String> {
    let missing: Vec<&&str> = lines.iter().filter(|line| !has(text, line)).collect();
    if missing.is_empty() {
        return None;
    }
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut longer = text.to_owned();
    if !longer.is_empty() && !longer.ends_with('\n') {
        longer.push_str(newline);
    }
    for line in missing {
        longer.push_str(line);
        longer.push_str(newline);
    }
    Some(longer)
}

/// Whether a line, or one that means the same, stands there. A `!` line is the user's decision too.
fn has(text: &str, wanted: &str) -> bool {
    let bare = |line: &str| line.trim_start_matches("**/").trim_matches('/').to_owned();
    text.lines().map(str::trim).any(|line| {
        let line = line.strip_prefix('!').unwrap_or(line);
        bare(line) == bare(wanted) || (wanted == ".env" && [".env*", "*.env"].contains(&bare(line).as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_lines_are_added() {
        assert_eq!(with_lines("", &LINES).unwrap(), ".devenv/\n.env\n");
        assert_eq!(with_lines("dist\r\n/.env\r\n", &LINES).unwrap(), "dist\r\n/.env\r\n.devenv/\r\n");
        assert_eq!(with_lines(".env*\n.devenv", &LINES), None);
        assert_eq!(with_lines("!.env\n.devenv/\n", &LINES), None);
    }
}
