//! What `doctor` answers, as data.

use serde::Serialize;

use crate::base::Kind;

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, but the user should know.
    Warning,
    /// Does not work, and the commands of the check would change that.
    Fixable,
    /// Does not work, and needs a person.
    Failed,
    /// Could not or need not be looked at.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name for programs; stays the same across versions.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found, in one line.
    pub found: String,
    /// More lines, such as the engine's log after a failed start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The commands that would fix it, for a shell of this user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

impl Check {
    /// A check with nothing but its outcome.
    pub(super) fn new(
        (id, title): (&'static str, &'static str),
        status: Status,
        found: impl Into<String>,
    ) -> Self {
        Self { id, title, status, found: found.into(), details: Vec::new(), hint: None, commands: Vec::new() }
    }

    /// Adds what to do.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the commands that would fix it.
    pub(super) fn commands(mut self, commands: Vec<String>) -> Self {
        self.commands = commands;
        self
    }
}

/// How the whole machine came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Ready.
    Ok,
    /// Not ready, and `--fix` or the shown commands would change that.
    Fixable,
    /// Not ready, and a person has to do something.
    Failed,
}

/// The answer of `doctor`. Its JSON form is stable: fields are only added while `version` stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of this form: 1.
    pub version: u32,
    /// How the machine came out.
    pub status: Overall,
    /// What `--fix` changed, each in one line; empty without it and when nothing had to be done.
    pub fixed: Vec<String>,
    /// What was looked at, in the order in which it should be told.
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(checks: Vec<Check>, fixed: Vec<String>) -> Self {
        let any = |status| checks.iter().any(|check| check.status == status);
        let status = if any(Status::Failed) {
            Overall::Failed
        } else if any(Status::Fixable) {
            Overall::Fixable
        } else {
            Overall::Ok
        };
        Self { version: 1, status, fixed, checks }
    }

    /// The class of the failure that the command ends with; none when the machine is ready.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let bad = |check: &Check| matches!(check.status, Status::Failed | Status::Fixable);
        let first = self.checks.iter().find(|check| bad(check))?;
        Some(if matches!(first.id, "engine" | "base-image") { Kind::Unreachable } else { Kind::Failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_stable() {
        let engine = Check::new(("engine", "Engine"), Status::Fixable, "none")
            .hint("start it")
            .commands(vec!["sudo systemctl start docker".to_owned()]);
        let git = Check::new(("git", "Git"), Status::Ok, "2.39.5");
        let report = Report::new(vec![engine, git], Vec::new());
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            "{\"version\":1,\"status\":\"fixable\",\"fixed\":[],\"checks\":[\
             {\"id\":\"engine\",\"title\":\"Engine\",\"status\":\"fixable\",\"found\":\"none\",\
             \"hint\":\"start it\",\"commands\":[\"sudo systemctl start docker\"]},\
             {\"id\":\"git\",\"title\":\"Git\",\"status\":\"ok\",\"found\":\"2.39.5\"}]}"
        );
        assert_eq!(report.kind(), Some(Kind::Unreachable));
    }

    #[test]
    fn warnings_do_not_make_a_machine_unready() {
        let check = Check::new(("registry", "Registry"), Status::Warning, "no");
        let report = Report::new(vec![check], Vec::new());
        assert_eq!((report.status, report.kind()), (Overall::Ok, None));
    }
}
