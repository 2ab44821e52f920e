//! Records as text, for tests: a line each, indented below its parent.
//!
//! ```text
//! main
//!   login from=s1 protected expires=50 used=3
//!     fix deleted=7
//! s1: main fork created=2
//! dev @ login
//! ```
//! Ids are names with a number behind them (`main-1`), and sequence numbers are line numbers.

use std::fmt::Write;

use super::{Branch, Changes, Environment, Lineage, Reason, Seconds, Snapshot, State};

/// The number behind `key=` among `words`.
fn number(words: &[&str], key: &str) -> Option<Seconds> {
    let of = |word: &&str| word.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned);
    words.iter().find_map(of).map(|text| text.parse().unwrap())
}

fn state(words: &[&str]) -> State {
    number(words, "deleted").map_or(State::Ready, |at| State::Deleted { at })
}

pub(super) fn lineage(text: &str) -> Lineage {
    let mut lineage = Lineage::default();
    let mut above: Vec<(usize, String)> = Vec::new();
    let id = |name: &str| format!("{name}-id");
    for (line, sequence) in text.lines().filter(|line| !line.trim().is_empty()).zip(1_i64..) {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, "@", branch] = words[..] {
            lineage.environments.insert(
                name.to_owned(),
                Environment {
                    name: name.to_owned(),
                    project: "shop".to_owned(),
                    branch: Some(id(branch)),
                    ..Environment::default()
                },
            );
        } else if let Some(name) = words[0].strip_suffix(':') {
            let reason = match words[2] {
                "asked" => Reason::Asked,
                "fork" => Reason::Fork,
                _ => Reason::Replaced,
            };
            let snapshot = Snapshot {
                id: id(name),
                project: "shop".to_owned(),
                branch: id(words[1]),
                name: name.to_owned(),
                message: String::new(),
                reason,
                volumes: vec!["db".to_owned()],
                sequence,
                created: number(&words, "created").unwrap_or(0),
                expires: number(&words, "expires"),
                attestation: None,
                state: state(&words),
            };
            lineage.snapshots.insert(snapshot.id.clone(), snapshot);
        } else {
            above.retain(|(of, _)| *of < indent);
            let fork = words.iter().find_map(|word| word.strip_prefix("from=")).map(id);
            let branch = Branch {
                id: id(words[0]),
                project: "shop".to_owned(),
                name: words[0].to_owned(),
                data: id(words[0]),
                volumes: vec!["db".to_owned()],
                parent: above.last().map(|(_, id)| id.clone()),
                fork,
                sequence,
                created: 0,
                used: number(&words, "used").unwrap_or(0),
                expires: number(&words, "expires"),
                protected: words.contains(&"protected"),
                fast: false,
                state: state(&words),
            };
            above.push((indent, branch.id.clone()));
            lineage.branches.insert(branch.id.clone(), branch);
        }
    }
    lineage
}

/// The tree with deleted branches in brackets, then the snapshots.
pub(super) fn tree(lineage: &Lineage) -> String {
    let mut text = String::new();
    for row in lineage.rows(true) {
        let name = match row.branch.state {
            State::Ready => row.branch.name.clone(),
            State::Deleted { .. } => format!("({})", row.branch.name),
        };
        writeln!(text, "{}{name}", row.lines()).unwrap();
    }
    for snapshot in lineage.snapshots.values() {
        let gone = snapshot.state != State::Ready;
        writeln!(text, "{}{}", snapshot.name, if gone { ": deleted" } else { ":" }).unwrap();
    }
    text
}

/// What changes, a line each.
pub(super) fn told(changes: &Changes) -> String {
    let mut text = String::new();
    for line in &changes.audit {
        writeln!(text, "{:?} {} {}: {}", line.act, line.sort.word(), line.name, line.why).unwrap();
    }
    text
}
