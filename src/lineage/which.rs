//! Which environment a command means. One decision for every command, with where it comes from, so that `status` can
//! say both.
//!
//! What is said for one command comes before what is said for many: an option, a variable, what `env switch` chose for
//! this folder, the stage, and last the git branch. The default git branch, and a folder without git, mean the compose
//! project itself, under its own name.

use super::names::slug;

/// What there is to decide by.
#[derive(Debug, Clone, Default)]
pub struct Asked<'a> {
    /// `--env`.
    pub option: Option<&'a str>,
    /// Whether `--branch` names a branch of the data, which the project has and no environment.
    pub branch: bool,
    /// Whether `--project` names the compose project itself.
    pub project: bool,
    /// `DEVENV_ENV`.
    pub variable: Option<&'a str>,
    /// What `env switch` chose for this folder.
    pub pinned: Option<&'a str>,
    /// `STAGE`.
    pub stage: Option<&'a str>,
    /// `NODE_ENV`.
    pub node_env: Option<&'a str>,
    /// What git says, where there is git.
    pub git: Option<Git>,
    /// The label of the environment that was used last from this folder.
    pub current: Option<&'a str>,
}

/// What git says of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Git {
    /// The git branch; none when HEAD is detached.
    pub branch: Option<String>,
    /// The repository's default git branch.
    pub default: Option<String>,
    /// What git is in the middle of, and the git branch that it began on.
    pub busy: Option<(String, Option<String>)>,
    /// The name of the working tree, where it is a linked one.
    pub worktree: Option<String>,
    /// Whether another working tree before this one has the same git branch.
    pub twin: bool,
    /// Whether the environment of that label is another git branch's, which had this one's name before.
    pub taken: bool,
    /// The label of the environment that the git branch's own configuration names: it was made when the git branch had
    /// another name.
    pub named: Option<String>,
}

/// Where the decision comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `--env`.
    Option,
    /// `--branch`.
    Branch,
    /// `--project`.
    Project,
    /// `DEVENV_ENV`.
    Variable,
    /// `env switch`.
    Pinned,
    /// `STAGE` or `NODE_ENV`.
    Stage(&'static str),
    /// The git branch.
    Git(String),
    /// The working tree.
    Worktree(String),
    /// The environment that was current before HEAD was moved about; by what, if git is in the middle of something.
    Stayed(String),
    /// Nothing else was said.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Option => f.write_str("--env"),
            Self::Branch => f.write_str("--branch"),
            Self::Project => f.write_str("--project"),
            Self::Variable => f.write_str("DEVENV_ENV"),
            Self::Pinned => f.write_str("devenv env switch"),
            Self::Stage(name) => f.write_str(name),
            Self::Git(branch) => write!(f, "git branch {branch}"),
            Self::Worktree(name) => write!(f, "git worktree {name}"),
            Self::Stayed(why) => write!(f, "as before, {why}"),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// An environment, as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// The compose project itself.
    Default,
    /// The one with this label.
    Label(String),
    /// The one that a person calls so: by label, by git branch or by the compose project's name.
    Called(String),
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which environment.
    pub meant: Meant,
    /// Why that one.
    pub origin: Origin,
    /// The git branch that it follows.
    pub git: Option<String>,
}

impl Choice {
    fn new(meant: Meant, origin: Origin) -> Self {
        Self { meant, origin, git: None }
    }
}

/// What the default environment is called.
#[must_use]
pub fn default_label(git: Option<&Git>) -> String {
    git.and_then(|git| git.default.as_deref()).map_or_else(|| "main".to_owned(), slug)
}

/// The label that a git branch's environment gets: the name itself where that is a host name's label, else what is
/// readable of it with a hash.
#[must_use]
pub fn label(branch: &str) -> String {
    slug(branch)
}

/// Decides.
#[must_use]
pub fn which(asked: &Asked<'_>) -> Choice {
    fn said(text: Option<&str>) -> Option<String> {
        text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    }
    if let Some(name) = said(asked.option) {
        return Choice::new(Meant::Called(name), Origin::Option);
    }
    if asked.branch {
        return Choice::new(Meant::Default, Origin::Branch);
    }
    if asked.project {
        return Choice::new(Meant::Default, Origin::Project);
    }
    if let Some(name) = said(asked.variable) {
        return Choice::new(Meant::Called(name), Origin::Variable);
    }
    if let Some(label) = said(asked.pinned) {
        return Choice::new(Meant::Label(label), Origin::Pinned);
    }
    for (variable, value) in [("STAGE", said(asked.stage)), ("NODE_ENV", said(asked.node_env))] {
        match value.as_deref() {
            None => {}
            // The stage that everybody is in who names none: there the git branch decides.
            Some("dev" | "development") => break,
            Some("production") => return Choice::new(Meant::Label(label("prod")), Origin::Stage(variable)),
            Some(other) => return Choice::new(Meant::Label(label(other)), Origin::Stage(variable)),
        }
    }
    match &asked.git {
        Some(git) => by_git(git, said(asked.current)),
        None => Choice::new(Meant::Default, Origin::Default),
    }
}

fn by_git(git: &Git, current: Option<String>) -> Choice {
    let of_branch = |branch: &str, origin: Origin| {
        if git.default.as_deref() == Some(branch) && !git.twin {
            return Choice { meant: Meant::Default, origin, git: Some(branch.to_owned()) };
        }
        let meant = match (&git.worktree, &git.named) {
            // `:` stands in no git branch's name.
            (Some(worktree), _) if git.twin => label(&format!("{branch}:{worktree}")),
            (_, Some(named)) => named.clone(),
            _ if git.taken => label(&format!("{branch}:again")),
            _ => label(branch),
        };
        Choice { meant: Meant::Label(meant), origin, git: Some(branch.to_owned()) }
    };
    if let Some(branch) = &git.branch {
        return of_branch(branch, Origin::Git(branch.clone()));
    }
    let why =
        git.busy.as_ref().map_or_else(|| "HEAD is detached".to_owned(), |(doing, _)| format!("in a {doing}"));
    if let Some((_, Some(branch))) = &git.busy {
        return of_branch(branch, Origin::Stayed(why));
    }
    match (current, &git.worktree) {
        (Some(current), _) if current == default_label(Some(git)) => {
            Choice::new(Meant::Default, Origin::Stayed(why))
        }
        (Some(current), _) => Choice::new(Meant::Label(current), Origin::Stayed(why)),
        (None, Some(name)) => {
            Choice::new(Meant::Label(label(&format!("worktree:{name}"))), Origin::Worktree(name.clone()))
        }
        (None, None) => Choice::new(Meant::Default, Origin::Stayed(why)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on(branch: &str) -> Git {
        Git { branch: Some(branch.to_owned()), default: Some("main".to_owned()), ..Git::default() }
    }

    fn told(asked: &Asked<'_>) -> String {
        let Choice { meant, origin, .. } = which(asked);
        let meant = match meant {
            Meant::Default => "DEFAULT".to_owned(),
            Meant::Label(label) => label,
            Meant::Called(name) => format!("called {name}"),
        };
        format!("{meant} ({origin})")
    }

    #[test]
    fn what_is_said_last_comes_first() {
        let mut asked = Asked { git: Some(on("feat")), ..Asked::default() };
        assert_eq!(told(&asked), "feat (git branch feat)");
        asked.node_env = Some("production");
        assert_eq!(told(&asked), "prod (NODE_ENV)");
        asked.stage = Some("staging");
        assert_eq!(told(&asked), "staging (STAGE)");
        asked.pinned = Some("qa");
        assert_eq!(told(&asked), "qa (devenv env switch)");
        asked.variable = Some("ci");
        assert_eq!(told(&asked), "called ci (DEVENV_ENV)");
        asked.project = true;
        assert_eq!(told(&asked), "DEFAULT (--project)");
        asked.branch = true;
        assert_eq!(told(&asked), "DEFAULT (--branch)");
        asked.option = Some("feat/x");
        assert_eq!(told(&asked), "called feat/x (--env)");
    }

    #[test]
    fn what_is_empty_is_not_said() {
        let asked = Asked { option: Some(""), variable: Some(" "), stage: Some(""), ..Asked::default() };
        assert_eq!(told(&asked), "DEFAULT (the default)");
    }

    #[test]
    fn the_stage_of_development_is_where_git_branches_live() {
        for (stage, node_env, expected) in [
            (Some("dev"), None, "feat (git branch feat)"),
            (None, Some("development"), "feat (git branch feat)"),
            (Some("dev"), Some("production"), "feat (git branch feat)"),
            (None, Some("test"), "test (NODE_ENV)"),
            (Some("production"), Some("test"), "prod (STAGE)"),
        ] {
            let asked = Asked { stage, node_env, git: Some(on("feat")), ..Asked::default() };
            assert_eq!(told(&asked), expected, "{stage:?} {node_env:?}");
        }
    }

    #[test]
    fn git_moves_head_about_and_the_environment_stays() {
        let detached = Git { default: Some("main".to_owned()), ..Git::default() };
        let busy = |doing: &str, branch: Option<&str>| Some((doing.to_owned(), branch.map(str::to_owned)));
        let tree = Some("side".to_owned());
        let table = [
            (Git { ..detached.clone() }, Some("feat"), "feat (as before, HEAD is detached)"),
            (Git { ..detached.clone() }, Some("main"), "DEFAULT (as before, HEAD is detached)"),
            (Git { ..detached.clone() }, None, "DEFAULT (as before, HEAD is detached)"),
            (
                Git { busy: busy("rebase", Some("feat")), ..detached.clone() },
                Some("other"),
                "feat (as before, in a rebase)",
            ),
            (
                Git { busy: busy("bisect", None), ..detached.clone() },
                Some("feat"),
                "feat (as before, in a bisect)",
            ),
            (
                Git { worktree: tree.clone(), ..detached.clone() },
                Some("feat"),
                "feat (as before, HEAD is detached)",
            ),
        ];
        for (git, current, expected) in table {
            assert_eq!(told(&Asked { git: Some(git), current, ..Asked::default() }), expected);
        }
        let own = Asked { git: Some(Git { worktree: tree, ..detached }), ..Asked::default() };
        assert!(told(&own).starts_with("worktree-side-"), "{}", told(&own));
    }

    #[test]
    fn worktrees_are_environments_of_their_own() {
        let git = |twin| Git { worktree: Some("side".to_owned()), twin, ..on("feat") };
        let label = |git: Git| told(&Asked { git: Some(git), ..Asked::default() });
        assert_eq!(label(git(false)), "feat (git branch feat)");
        assert!(label(git(true)).starts_with("feat-side-"));
        // A second one on the default git branch is not the compose project itself.
        let main = Git { worktree: Some("side".to_owned()), twin: true, ..on("main") };
        assert!(label(main).starts_with("main-side-"));
    }

    #[test]
    fn a_renamed_git_branch_keeps_its_environment() {
        let git = Git { named: Some("old".to_owned()), ..on("new") };
        assert_eq!(told(&Asked { git: Some(git), ..Asked::default() }), "old (git branch new)");
    }

    #[test]
    fn a_name_that_is_used_again_is_another_environment() {
        let git = Git { taken: true, ..on("old") };
        assert!(told(&Asked { git: Some(git), ..Asked::default() }).starts_with("old-again-"));
    }

    /// What git allows (git-check-ref-format(1)), or nearly.
    fn refs() -> impl Strategy<Value = String> {
        let name =
            "[a-zA-Z0-9$(){}%'`;&|<>\"!,#=+é🦀\u{301}@_.-]{1,30}(/[a-zA-Z0-9é_-]{1,20}){0,3}|[a-z/]{100,250}";
        name.prop_filter("git allows it", |name| super::super::names::check(name).is_ok())
    }

    proptest! {
        #[test]
        fn different_git_branches_have_different_environments(a in refs(), b in refs()) {
            let label = |branch: &str| match which(&Asked { git: Some(on(branch)), ..Asked::default() }).meant {
                Meant::Label(label) => label,
                _ => default_label(Some(&on(branch))),
            };
            prop_assert_eq!(a == b, label(&a) == label(&b));
            for label in [label(&a), label(&b)] {
                // RFC 1035, 2.3.1: letters, digits and hyphens, none of these at either end.
                prop_assert!(label.len() <= 40 && !label.is_empty());
                prop_assert!(label.bytes().all(|c| c == b'-' || c.is_ascii_digit() || c.is_ascii_lowercase()));
                prop_assert!(!label.starts_with('-') && !label.ends_with('-'));
                // A label is its own label, unless it looks like one with a hash: those are found as they stand.
                prop_assert!(super::label(&label).starts_with(label.split('-').next().unwrap_or_default()));
            }
        }
    }
}
