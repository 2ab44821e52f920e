//! DSLR, a program that keeps copies of a database as other databases of the same server.

use std::path::PathBuf;
use std::process::Command;

/// `DSLR_BIN`, or the one of the Python Package Index, in a folder beside what cargo builds.
pub(super) fn find() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("DSLR_BIN") {
        return Ok(named.into());
    }
    // target/release/deps/main-… → target
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let home = own.ancestors().nth(3).ok_or("no target folder")?.join("peers/dslr");
    let program = home.join("bin/dslr");
    if !program.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        run(Command::new(home.join("bin/pip")).args(["-q", "install", "DSLR[psycopg2-binary]==0.6.0"]))?;
    }
    Ok(program)
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
}
