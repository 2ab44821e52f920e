//! What `template.json` and `module.json` say.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A whole stack that we ship.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name, and that of its folder in `compose/`.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// The compose file.
    pub compose: Move,
    /// What the compose file needs beside it.
    #[serde(default)]
    pub copy: Vec<Move>,
    /// Files to begin with.
    pub sample: Option<Sample>,
    /// Its services and what each does.
    pub services: IndexMap<String, String>,
}

/// A file or a folder, and where in a project it goes. `from` starts at the template's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// In the template.
    pub from: String,
    /// In the project.
    pub to: String,
    /// What is left out: a path, or `**/NAME` for a name at any depth.
    #[serde(default)]
    pub except: Vec<String>,
}

/// A folder that a project is given unless it has one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// In the template.
    pub from: String,
    /// In the project.
    pub to: String,
    /// What a project must not have yet.
    pub unless_exists: String,
}

/// One service, or a few that belong together, that we ship.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its name, and that of its folder in `compose/`.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Its services.
    pub services: Vec<String>,
    /// Where they listen.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Variables for the programs that use it.
    #[serde(default)]
    pub env: IndexMap<String, Address>,
    /// A command that shows that it works.
    pub test: Option<Test>,
}

/// A port of a module.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The service that listens.
    pub service: String,
    /// The port in its container.
    pub container: u16,
    /// The variable that moves it on the host.
    pub variable: String,
    /// The port on the host otherwise.
    pub default: u16,
    /// What answers there.
    pub what: String,
}

/// A value as a program on the host, and as one in a container of the same project, needs it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// On the host.
    pub host: String,
    /// In a container.
    pub container: String,
}

/// A command in a service that ends well when the service works.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The service.
    pub service: String,
    /// The command.
    pub command: Vec<String>,
    /// The command where the official image has other programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub official_command: Option<Vec<String>>,
}

impl Test {
    /// The line that runs it.
    #[must_use]
    pub fn line(&self) -> String {
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        format!("devenv exec {} -- {}", self.service, words.join(" "))
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `text` with `${NAME:-default}` replaced by what `variables` say, else by the default.
#[must_use]
pub fn with_defaults(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some((inner, after)) = braced(&rest[start..]) else { break };
        out.push_str(&rest[..start]);
        let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
        match variables.get(name).filter(|value| !value.is_empty()) {
            Some(value) => out.push_str(value),
            None => out.push_str(&with_defaults(default, variables)),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The variables of a compose file that have a default, in the order of the file.
#[must_use]
pub fn variables(text: &str) -> IndexMap<String, String> {
    let mut found = IndexMap::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        rest = &rest[start..];
        if let Some((name, default)) = braced(rest).and_then(|(inner, _)| inner.split_once(":-")) {
            found.entry(name.to_owned()).or_insert_with(|| default.to_owned());
        }
        // Not behind the brace: a default may name variables too.
        rest = &rest[2..];
    }
    found
}

/// What stands in the `${…}` that `text` begins with, and what follows it.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some((&text[2..at], &text[at + 1..])),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_stand_in_for_variables() {
        let set = BTreeMap::from([("PORT".to_owned(), "99".to_owned())]);
        let text = "http://${HOST:-127.0.0.1}:${PORT:-80}/${A:-${B:-c}} ${open";
        assert_eq!(with_defaults(text, &set), "http://127.0.0.1:99/c ${open");
        let names: Vec<_> = variables(text).into_keys().collect();
        assert_eq!(names, ["HOST", "PORT", "A", "B"]);
    }

    #[test]
    fn a_test_is_one_line_for_a_shell() {
        let test = Test {
            service: "db".to_owned(),
            command: vec!["sh".to_owned(), "-c".to_owned(), "echo 'a b'".to_owned()],
            official_command: None,
        };
        assert_eq!(test.line(), r"devenv exec db -- sh -c 'echo '\''a b'\'''");
    }
}
