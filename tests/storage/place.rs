//! A pool of its own for each test: made, attached, mounted and kept by the real program; all gone at the end.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use devenv::storage::image::{self, Attached};
use tempfile::TempDir;

use super::protocol::{Answer, Ask, Driver, Outcome, Refusal, Reply, Request, Status};

pub(crate) fn devenv() -> Command {
    Command::new(env!("CARGO_BIN_EXE_devenv"))
}

/// A program that has to do its work.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told} (these tests need root)");
}

pub(crate) struct Place {
    dir: TempDir,
    pub(crate) driver: Driver,
    pub(crate) device: String,
}

impl Place {
    /// A new pool of so many MiB.
    pub(crate) fn new(driver: Driver, mib: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("pool")).unwrap();
        std::fs::create_dir_all(dir.path().join("file")).unwrap();
        let mut place = Self { dir, driver, device: String::new() };
        if driver == Driver::Copy {
            return place;
        }
        let size = (mib << 20).to_string();
        let attached = place.attach(&["--create", "--size", &size, "--driver", driver.word()]);
        assert!(attached.created);
        assert_eq!((attached.driver, attached.bytes), (driver, mib << 20));
        place.device = attached.device;
        place.mount();
        place
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("pool")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("file").join(image::NAME)
    }

    pub(crate) fn try_attach(&self, more: &[&str]) -> Output {
        let mut attach = devenv();
        attach.args(["__keeper", "attach", "--file"]).arg(self.file()).args(more);
        attach.output().unwrap()
    }

    pub(crate) fn attach(&self, more: &[&str]) -> Attached {
        let output = self.try_attach(more);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told} (these tests need root)");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn mount(&self) {
        let (kind, options) = image::options(self.driver).unwrap();
        run("mount", &["-t", kind, "-o", options, &self.device, &self.root().to_string_lossy()]);
    }

    pub(crate) fn unmount(&self) {
        run("umount", &[&self.root().to_string_lossy()]);
    }

    pub(crate) fn detach(&self) {
        let output = devenv().args(["__keeper", "detach", "--file"]).arg(self.file()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// The keeper's command line.
    pub(crate) fn serve(&self) -> Command {
        let mut serve = devenv();
        serve.args(["__keeper", "serve", "--driver", self.driver.word(), "--root"]).arg(self.root());
        if self.driver != Driver::Copy {
            serve.arg("--file").arg(self.file());
        }
        serve
    }

    pub(crate) fn keeper(&self) -> Keeper {
        Keeper::start(self.serve())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.driver != Driver::Copy {
            let _ = Command::new("umount").arg(self.root()).stderr(Stdio::null()).status();
            let _ = devenv().args(["__keeper", "detach", "--file"]).arg(self.file()).output();
        }
    }
}

/// A keeper that is asked one thing at a time.
pub(crate) struct Keeper {
    child: Child,
    talk: RefCell<(ChildStdin, BufReader<ChildStdout>, u64)>,
}

impl Keeper {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, talk: RefCell::new((input, BufReader::new(output), 0)) }
    }

    /// Nothing when the keeper ended before it answered.
    pub(crate) fn try_ask(&self, ask: Ask) -> Option<Result<Outcome, Refusal>> {
        let (input, output, number) = &mut *self.talk.borrow_mut();
        *number += 1;
        let line = serde_json::to_string(&Request { id: number.to_string(), ask }).unwrap() + "\n";
        input.write_all(line.as_bytes()).ok()?;
        loop {
            let mut line = String::new();
            if output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let Reply { id, answer } = serde_json::from_str(&line).unwrap();
            match answer {
                _ if id != number.to_string() => {}
                Answer::Progress { .. } => {}
                Answer::Done(outcome) => return Some(Ok(*outcome)),
                Answer::Failed(refusal) => return Some(Err(refusal)),
            }
        }
    }

    pub(crate) fn ask(&self, ask: Ask) -> Result<Outcome, Refusal> {
        self.try_ask(ask).expect("the keeper ended")
    }

    pub(crate) fn status(&self) -> Status {
        match self.ask(Ask::Status) {
            Ok(Outcome::Status(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Ends it as the engine does, and says whether it ended well.
    pub(crate) fn end(mut self) -> bool {
        run("kill", &["-TERM", &self.child.id().to_string()]);
        self.child.wait().unwrap().success()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder like a cluster of PostgreSQL: about a thousand files, most of them small.
pub(crate) fn cluster(folder: &Path, mib: u64) {
    for group in 0..10 {
        let group = folder.join(format!("base{group}"));
        std::fs::create_dir_all(&group).unwrap();
        for file in 0..100 {
            std::fs::write(group.join(file.to_string()), vec![b'x'; 8192 * (1 + file % 5)]).unwrap();
        }
    }
    let piece: Vec<u8> = (0..1_048_576_u32).map(|n| (n * 31 % 251) as u8).collect();
    for file in 0..mib.div_ceil(128) {
        let mut file = std::fs::File::create(folder.join(format!("large{file}"))).unwrap();
        for _ in 0..mib.min(128) {
            file.write_all(&piece).unwrap();
        }
        file.sync_all().unwrap();
    }
}
