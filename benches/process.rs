//! The programs that are measured, run as a user runs them: a process, from nothing to its exit code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where the contestants are.
pub struct Programs {
    pub devenv: PathBuf,
    /// None when it could not be fetched, which leaves its column empty.
    pub compose: Option<PathBuf>,
}

/// An error as a sentence.
pub fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Programs {
    /// Ours is `DEVENV_BIN`, or what cargo built for this bench; Compose's is `COMPOSE_BIN`, or fetched.
    pub fn find() -> Result<Self, String> {
        let devenv = std::env::var_os("DEVENV_BIN")
            .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_devenv")), PathBuf::from);
        if !devenv.is_file() {
            return Err(format!("{} is not there", devenv.display()));
        }
        let compose = std::env::var_os("COMPOSE_BIN").map(PathBuf::from).or_else(fetch);
        Ok(Self { devenv, compose })
    }
}

fn fetch() -> Option<PathBuf> {
    // target/release/deps/main-… → target
    let target = std::env::current_exe().ok()?.ancestors().nth(3)?.to_path_buf();
    let fetched = Command::new(root().join("tests/peers/fetch.sh")).arg(target.join("peers")).output();
    match fetched {
        Ok(done) if done.status.success() => Some(target.join("peers/compose-2.40")),
        Ok(done) => {
            eprintln!("no Compose to compare with: {}", String::from_utf8_lossy(&done.stderr).trim());
            None
        }
        Err(error) => {
            eprintln!("no Compose to compare with: {error}");
            None
        }
    }
}

/// Runs a program in `directory`; says how long it took, or what it said when it failed.
pub fn time(
    program: &Path,
    arguments: &[&str],
    directory: &Path,
    variables: &[(String, String)],
) -> Result<Duration, String> {
    run(program, arguments, directory, variables).map(|(took, _)| took)
}

/// The same, with what it wrote to its standard output.
pub fn run(
    program: &Path,
    arguments: &[&str],
    directory: &Path,
    variables: &[(String, String)],
) -> Result<(Duration, String), String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env_clear().stdin(Stdio::null());
    for name in ["HOME", "PATH", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let began = Instant::now();
    let done = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let took = began.elapsed();
    if done.status.success() {
        return Ok((took, String::from_utf8_lossy(&done.stdout).into_owned()));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("{} {}: {}: {}", program.display(), arguments.join(" "), done.status, said.trim()))
}
