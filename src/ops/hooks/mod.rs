//! Git's hooks (githooks(5)): after a checkout the environment follows, before a commit it is checked.
//!
//! A hook never stands in git's way. It decides from files, in milliseconds, and leaves work to a process of its own;
//! what it cannot know it leaves to the next command. Whatever hook was there before goes on working.

mod install;
mod run;
mod text;

pub use install::{Found, Installed, Row, install, status, uninstall};
pub use run::{LOG, Said, background, check, post_checkout};

/// The hooks that devenv has something to do in.
pub const HOOKS: [&str; 2] = ["post-checkout", "pre-commit"];

/// The section and variable of the repository's configuration under which the folders of projects stand.
pub(super) const FOLDER: &str = "devenv.folder";
