//! A machine that may be broken: an engine of a test's own in namespaces of its own, with all that it keeps on a disk
//! of its own. Switching it off kills everything on it at once, as a power cut does, and what was mounted is gone.
//!
//! Needs root, `unshare`, `nsenter` and `mkfs.xfs` (`tests/run.sh tools`).

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::site::{IMAGE, Run, Site, until};

/// A database that the tests of `make test` have.
pub(crate) const POSTGRES: &str = "devenv.local/supabase/postgres:17";
/// The pool of every site on such a machine.
pub(crate) const POOL: &str = "dvt-hold";

pub(crate) struct Machine {
    dir: TempDir,
    init: Option<Child>,
}

impl Machine {
    /// A new one with the images of the tests, switched on.
    pub(crate) fn new() -> Self {
        let template = template();
        let machine = Self::off();
        sh(&format!("cp --sparse=always {} {}", template.display(), machine.path("disk.img").display()));
        machine.on()
    }

    fn off() -> Self {
        let dir = tempfile::Builder::new().prefix("dvt-").tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        Self { dir, init: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn on(mut self) -> Self {
        self.power_on();
        self
    }

    /// Where the engine keeps the pool, inside.
    pub(crate) fn folder(&self) -> String {
        self.path(&format!("root/devenv/{POOL}")).display().to_string()
    }

    /// Where the engine has the pool mounted, inside.
    pub(crate) fn mounted(&self) -> String {
        self.path(&format!("root/volumes/{POOL}-mount/_data")).display().to_string()
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path("d.sock").display())
    }

    pub(crate) fn power_on(&mut self) {
        let at = self.dir.path().display();
        // As a real start finds them: /run is empty. A containerd of the host is none of ours. Copies of one disk have
        // one id, so `nouuid`.
        let script = format!(
            "rm -rf {at}/run {at}/d.pid {at}/d.sock; ip link set lo up
             test ! -d /run/containerd || mount -t tmpfs tmpfs /run/containerd
             mount -o loop,nouuid {at}/disk.img {at}/root
             {} &
             wait
             exec sleep infinity",
            self.dockerd()
        );
        let mut command = Command::new("unshare");
        command.args([
            "-n",
            "-m",
            "-p",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
            "--mount-proc",
        ]);
        command.args(["sh", "-c", &script]).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        self.init = Some(command.spawn().unwrap());
        self.engine_answers();
    }

    /// What starts the engine, in a shell.
    fn dockerd(&self) -> String {
        let at = self.dir.path().display();
        format!(
            "dockerd --data-root {at}/root --exec-root {at}/run --pidfile {at}/d.pid --host {} \
               --cgroup-parent /{} --log-level warn >>{at}/log 2>&1",
            self.host(),
            self.group()
        )
    }

    #[track_caller]
    fn engine_answers(&self) {
        until("the engine answers", || {
            UnixStream::connect(self.path("d.sock")).ok()?;
            (self.docker(&["version"]).code == Some(0)).then_some(())
        });
    }

    /// The engine alone is killed; what it started goes on without it.
    pub(crate) fn kill_engine(&self) {
        let id = fs::read_to_string(self.path("d.pid")).unwrap();
        self.entered(&["-p", "-m"], &["kill", "-9", id.trim()]);
        until("the engine is gone", || (self.docker(&["version"]).code != Some(0)).then_some(()));
    }

    /// It is started again, as by whoever watches over it.
    pub(crate) fn start_engine(&self) {
        let at = self.dir.path().display();
        let script = format!("rm -f {at}/d.pid; {} &", self.dockerd());
        self.entered(&["-n", "-m", "-p"], &["setsid", "sh", "-c", &script]);
        self.engine_answers();
    }

    /// The number of the first process on it, as this machine sees it.
    pub(crate) fn first_process(&self) -> String {
        let id = self.init.as_ref().unwrap().id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().next().unwrap().to_owned()
    }

    #[track_caller]
    fn entered(&self, spaces: &[&str], words: &[&str]) -> String {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first_process(), "--wd=/"]).args(spaces).args(words);
        said(&words.join(" "), &command.stdin(Stdio::null()).output().unwrap())
    }

    /// Everything on it ends at once, and nothing is mounted any more.
    pub(crate) fn power_off(&mut self) {
        if let Some(mut init) = self.init.take() {
            let _ = init.kill();
            let _ = init.wait();
            let disk = self.path("disk.img");
            // What was attached on this machine would outlive it on the one below.
            until("the disk is free", || {
                let found = sh(&format!("losetup -n -O MAJ:MIN -j {}", disk.display()));
                if let Some(number) = found.split_whitespace().next() {
                    sh(&format!(
                        "losetup -l -n -O NAME,BACK-MAJ:MIN | while read -r name on; do
                           test \"$on\" != {number} || losetup -d $name 2>/dev/null || true; done"
                    ));
                }
                found.is_empty().then_some(())
            });
        }
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new("docker");
        let output = command.args(["--host", &self.host()]).args(arguments).stdin(Stdio::null()).output();
        Run::new(format!("docker {}", arguments.join(" ")), &output.unwrap())
    }

    /// A command of the docker program that goes on beside.
    pub(crate) fn docker_beside(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs a script where the machine's disk is mounted.
    #[track_caller]
    pub(crate) fn inside(&self, script: &str) -> String {
        self.entered(&["-m"], &["sh", "-euc", script])
    }

    /// Brings an image of the usual engine here.
    pub(crate) fn load(&self, image: &str) {
        sh(&format!("docker save {image} | docker --host {} load -q", self.host()));
    }

    /// A project that runs here, with a pool of this size in MiB.
    pub(crate) fn site(&self, test: &str, compose: &str, size: u32) -> Site {
        let mut site = Site::with(test, compose);
        site.set("DOCKER_HOST", &self.host());
        site.set("DEVENV_POOL", POOL);
        if size > 0 {
            site.ok(&format!("pool create --size {size}M"));
        }
        site
    }

    fn group(&self) -> String {
        self.dir.path().file_name().unwrap().to_string_lossy().replace('.', "")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            for line in log.lines().filter(|line| line.contains("level=error")) {
                println!("the engine said: {line}");
            }
        }
        if std::thread::panicking() {
            // One more would end the whole run.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.power_off()));
        } else {
            self.power_off();
        }
        let group = self.group();
        let _ = Command::new("sh")
            .args(["-c", &format!("for it in /sys/fs/cgroup/{group} /sys/fs/cgroup/*/{group}; do test ! -d $it || find $it -depth -type d -exec rmdir {{}} +; done")])
            .stderr(Stdio::null())
            .status();
    }
}

#[track_caller]
fn said(script: &str, output: &Output) -> String {
    assert!(output.status.success(), "{}", Run::new(script, output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[track_caller]
pub(crate) fn sh(script: &str) -> String {
    said(script, &Command::new("sh").args(["-euc", script]).output().unwrap())
}

/// A disk with the images on it, made once for these images: loading them takes longer than most tests.
fn template() -> PathBuf {
    static LOCK: Mutex<()> = Mutex::new(());
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let ids = sh(&format!("docker image inspect -f '{{{{.Id}}}}' {IMAGE} {POSTGRES}"));
    let short: String =
        ids.lines().map(|id| id.trim_start_matches("sha256:").chars().take(8).collect::<String>()).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("machine-{short}.img"));
    if path.exists() {
        return path;
    }
    for old in fs::read_dir(folder).unwrap().flatten() {
        if old.file_name().to_string_lossy().starts_with("machine-") {
            let _ = fs::remove_file(old.path());
        }
    }
    let machine = Machine::off();
    let disk = machine.path("disk.img");
    sh(&format!("truncate -s 4G {0} && mkfs.xfs -q -m reflink=1 {0}", disk.display()));
    let mut machine = machine.on();
    machine.load(&format!("{IMAGE} {POSTGRES}"));
    machine.power_off();
    let new = path.with_extension("new");
    sh(&format!("cp --sparse=always {} {}", disk.display(), new.display()));
    fs::rename(&new, &path).unwrap();
    path
}
