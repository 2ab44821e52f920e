//! What git says, as the decision wants to hear it.

use crate::base::{Failure, Kind};
use crate::git::{Error, Repository};
use crate::lineage::which::{self, Git};
use crate::ops::branch::beside;

/// What git says of a working tree, for a project whose environments are named after `base`.
#[must_use]
pub fn facts(repository: &Repository, base: &str) -> Git {
    let head = repository.head();
    let branch = head.branch().map(str::to_owned);
    let mut all = repository.ids();
    let ids = branch.as_ref().and_then(|branch| all.remove(branch)).unwrap_or_default();
    let own = branch.as_ref().map(|branch| beside::named(base, &which::label(branch)));
    Git {
        taken: own.is_some_and(|own| all.values().flatten().any(|id| *id == own)),
        twin: branch.as_deref().is_some_and(|branch| repository.has_twin(branch)),
        named: ids.iter().find_map(|id| beside::label(base, id)).map(str::to_owned),
        branch,
        default: repository.default_branch(),
        busy: repository.busy().map(|busy| (busy.doing.to_owned(), busy.branch)),
        worktree: repository.worktree_name(),
    }
}

/// What is said when git does not answer.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::Run(source) => Failure::new(Kind::Failed, "git cannot be run")
            .source(source)
            .hint("install git, or put it on your PATH"),
        refused @ Error::Refused { .. } => Failure::new(Kind::Failed, refused.to_string()),
    }
}
