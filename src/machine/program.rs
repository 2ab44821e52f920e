//! Other programs: where they are, and running them with a time limit.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::MachineError;

/// Where the programs of an administrator are; a plain user's (and `su`'s) search path leaves them out.
const ADMIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// How many lines of a program's output are kept to explain its failure.
const KEPT_LINES: usize = 20;

/// The programs of this machine and the environment that they are given.
#[derive(Debug, Clone)]
pub struct Programs {
    path: OsString,
    environment: Vec<(OsString, OsString)>,
}

impl Programs {
    /// Programs on `path` (the value of `PATH`) and in the administrator's directories.
    ///
    /// `environment` is what they see beside a fixed `PATH`, `HOME` and language: proxies and certificates.
    #[must_use]
    pub fn new(path: Option<&OsStr>, environment: Vec<(OsString, OsString)>) -> Self {
        let given =
            path.filter(|path| !path.is_empty()).unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
        let mut path = given.to_owned();
        for dir in ADMIN {
            if given.as_bytes().split(|b| *b == b':').all(|known| known != dir.as_bytes()) {
                path.push(":");
                path.push(dir);
            }
        }
        Self { path, environment }
    }

    /// The file that `name` stands for.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        self.path
            .as_bytes()
            .split(|b| *b == b':')
            .filter(|dir| !dir.is_empty())
            .map(|dir| Path::new(OsStr::from_bytes(dir)).join(name))
            .find(|file| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
    }

    /// A command that runs `name` in the small environment, with no input.
    pub fn command(&self, name: &str) -> Result<Command, MachineError> {
        let file =
            self.find(name).ok_or_else(|| MachineError::ProgramMissing { program: name.to_owned() })?;
        let mut command = Command::new(file);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// What a short program writes.
    pub async fn output(&self, name: &str, args: &[&str], limit: Duration) -> Result<String, MachineError> {
        let mut command = self.command(name)?;
        command.args(args).kill_on_drop(true);
        let ended = match tokio::time::timeout(limit, command.output()).await {
            Ok(ended) => ended.map_err(|source| cannot_run(name, source))?,
            Err(_) => return Err(MachineError::ProgramSlow { program: name.to_owned(), after: limit }),
        };
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        let last = String::from_utf8_lossy(&ended.stderr).lines().map(str::to_owned).collect();
        Err(MachineError::ProgramFailed { program: name.to_owned(), status: ended.status.code(), last })
    }

    /// Runs a long program and hands every line that it writes to `line`.
    ///
    /// It is not ended when the caller gives up: a package installation cut in half is worse than a late one.
    pub async fn follow(
        &self,
        mut command: Command,
        name: &str,
        mut line: impl FnMut(&str),
    ) -> Result<(), MachineError> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| cannot_run(name, source))?;
        let (tell, mut told) = tokio::sync::mpsc::channel(64);
        if let Some(out) = child.stdout.take() {
            tokio::spawn(lines(out, tell.clone()));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(lines(err, tell.clone()));
        }
        drop(tell);
        let mut last = Last::default();
        while let Some(text) = told.recv().await {
            line(&text);
            last.push(text);
        }
        let status = child.wait().await.map_err(|source| cannot_run(name, source))?;
        if status.success() {
            return Ok(());
        }
        Err(MachineError::ProgramFailed {
            program: name.to_owned(),
            status: status.code(),
            last: last.take(),
        })
    }
}

/// The last lines of an output.
#[derive(Debug, Default)]
pub(super) struct Last(VecDeque<String>);

impl Last {
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0).into()
    }
}

/// Sends the lines of `from`, whatever their encoding, until it ends or nobody listens.
pub(super) async fn lines(from: impl AsyncRead + Unpin, to: tokio::sync::mpsc::Sender<String>) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while matches!(from.read_until(b'\n', &mut bytes).await, Ok(read) if read > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if !line.is_empty() && to.send(line).await.is_err() {
            return;
        }
    }
}

pub(super) fn cannot_run(name: &str, source: std::io::Error) -> MachineError {
    MachineError::Io { doing: "cannot run", path: name.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs() -> Programs {
        Programs::new(Some(OsStr::new("/usr/bin:/bin")), vec![("COLOUR".into(), "red".into())])
    }

    #[test]
    fn administrators_programs_are_found_from_a_users_path() {
        assert_eq!(programs().path, "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        assert_eq!(programs().find("sh").map(|p| p.ends_with("sh")), Some(true));
        assert!(programs().find("no-such-program").is_none());
    }

    #[tokio::test]
    async fn a_program_sees_only_what_is_handed_to_it() {
        let seen = programs().output("env", &[], Duration::from_secs(5)).await.unwrap();
        let names: Vec<&str> = seen.lines().filter_map(|line| line.split('=').next()).collect();
        assert_eq!(names, ["COLOUR", "HOME", "LC_ALL", "PATH"], "{seen}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended() {
        let problem = programs().output("sleep", &["60"], Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(problem, MachineError::ProgramSlow { .. }), "{problem:?}");
    }

    #[tokio::test]
    async fn a_failure_keeps_the_last_lines_of_both_outputs() {
        let mut command = programs().command("sh").unwrap();
        command.args(["-c", "seq 30; echo bad >&2; exit 3"]);
        let mut seen = 0;
        let problem = programs().follow(command, "sh", |_| seen += 1).await.unwrap_err();
        assert_eq!(seen, 31);
        let MachineError::ProgramFailed { status, last, .. } = &problem else { panic!("{problem:?}") };
        assert_eq!((*status, last.len()), (Some(3), KEPT_LINES));
        assert!(last.contains(&"bad".to_owned()));
        assert_eq!(problem.to_string(), "`sh` ended with status 3");
    }
}
