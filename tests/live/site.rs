//! A project of a test's own on the real engine: a directory, a name, the real binary in an empty environment.
//! All that carries the project's label is taken away when the test ends, also when it fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The one image that every machine has after `make up`.
pub(crate) const IMAGE: &str = "devenv.local/debian:trixie";
/// How long anything may take before a test gives up; nothing is measured with it.
const PATIENCE: Duration = Duration::from_mins(2);
const PROJECT: &str = "com.docker.compose.project";

pub(crate) struct Site {
    /// The project's name, which is also the directory's.
    pub(crate) name: String,
    root: TempDir,
    environment: BTreeMap<String, String>,
    /// Whether there may be environments beside, whose names begin with the project's.
    branches: bool,
}

impl Site {
    /// An empty project directory.
    pub(crate) fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dvt-{test}-{:x}x{number}", std::process::id());
        let root = tempfile::tempdir().unwrap();
        for directory in [name.as_str(), "home", "tmp"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        let mut environment = BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("HOME".to_owned(), root.path().join("home").display().to_string()),
            ("TMPDIR".to_owned(), root.path().join("tmp").display().to_string()),
            ("COLUMNS".to_owned(), "100".to_owned()),
            // A pool or a gateway of this machine's user changes nothing.
            ("DEVENV_POOL".to_owned(), "dvt-no-pool".to_owned()),
            ("DEVENV_GATEWAY".to_owned(), "off".to_owned()),
        ]);
        environment.extend(std::env::var("DOCKER_HOST").ok().map(|host| ("DOCKER_HOST".to_owned(), host)));
        Self { name, root, environment, branches: false }
    }

    /// A project with this compose file.
    pub(crate) fn with(test: &str, compose: &str) -> Self {
        let site = Self::new(test);
        site.compose(compose);
        site
    }

    /// The same, and `devenv up`.
    pub(crate) fn up(test: &str, compose: &str) -> Self {
        let site = Self::with(test, compose);
        site.ok("up");
        site
    }

    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.environment.insert(variable.to_owned(), value.to_owned());
    }

    pub(crate) fn has_branches(&mut self) {
        self.branches = true;
    }

    /// Where devenv keeps its records.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("home/.local/state/devenv")
    }

    /// Where devenv keeps its locks.
    #[cfg(feature = "failpoints")]
    pub(crate) fn locks(&self) -> PathBuf {
        let user = rustix::process::getuid().as_raw();
        self.root.path().join("tmp").join(format!("devenv-{user}"))
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    /// Writes a file of the project. `IMAGE` stands for the base image, and `IDLE` for the attributes of a
    /// service that runs until it is stopped, which is at once.
    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let idle = format!("image: {IMAGE}, command: sleep infinity, stop_signal: SIGKILL");
        fs::write(path, text.replace("IDLE", &idle).replace("IMAGE", IMAGE)).unwrap();
    }

    pub(crate) fn compose(&self, text: &str) {
        self.file("compose.yaml", text);
    }

    // ── the command ─────────────────────────────────────────────────────────────────────────────────────

    /// Any program with the project's environment, in its directory.
    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command.env_clear().envs(&self.environment).current_dir(self.dir());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The binary under test, started and not waited for.
    pub(crate) fn spawn(&self, words: &str) -> Child {
        let mut command = self.program(env!("CARGO_BIN_EXE_devenv"));
        command.args(words.split_whitespace()).spawn().unwrap()
    }

    pub(crate) fn run_fed(&self, arguments: &[&str], stdin: &[u8]) -> Run {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_devenv"));
        command.env_clear().envs(&self.environment).current_dir(self.dir());
        let output = command.args(arguments).write_stdin(stdin).timeout(PATIENCE).output().unwrap();
        Run::new(arguments.join(" "), &output)
    }

    pub(crate) fn run_args(&self, arguments: &[&str]) -> Run {
        self.run_fed(arguments, b"")
    }

    /// Runs `devenv` with the words of this line.
    pub(crate) fn run(&self, words: &str) -> Run {
        self.run_args(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// The same as the user `nobody`, who may or may not use the engine; from a copy of the binary that it may run.
    pub(crate) fn run_as_nobody(&self, words: &str, uses_engine: bool) -> Run {
        let binary = self.root.path().join("devenv-copy");
        // By a program: a file that is open for writing here would be "busy" to others that are started meanwhile.
        assert!(
            self.program("cp").arg(env!("CARGO_BIN_EXE_devenv")).arg(&binary).status().unwrap().success()
        );
        for path in [&binary, &self.dir(), self.root.path()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let group = format!("--groups={}", fs::metadata(socket()).unwrap().gid());
        let groups = if uses_engine { group.as_str() } else { "--clear-groups" };
        let mut command = self.program("setpriv");
        command.args(["--reuid=65534", "--regid=65534", groups]).arg(&binary);
        let output = command.args(words.split_whitespace()).env("TMPDIR", "/tmp").output().unwrap();
        Run::new(format!("{words} (as nobody)"), &output)
    }

    /// Runs it and wants success.
    pub(crate) fn ok(&self, words: &str) -> Run {
        self.run(words).exits(0)
    }

    /// Runs it, wants success and one JSON document on stdout.
    pub(crate) fn json(&self, words: &str) -> Value {
        self.ok(words).json()
    }

    /// Wants that `up` has nothing to do.
    pub(crate) fn is_settled(&self) {
        let plan = self.ok("up --dry-run");
        assert!(plan.out.is_empty() && plan.err.contains("nothing to do"), "{plan}");
    }

    // ── what the engine says ────────────────────────────────────────────────────────────────────────────

    /// Everything with the project's label, one line each.
    pub(crate) fn inventory(&self) -> Vec<String> {
        let mut all = Vec::new();
        for container in list(&format!("/containers/json?all=1&filters={}", self.filter())) {
            let name = container["Names"][0].as_str().unwrap().trim_start_matches('/');
            all.push(format!("container {name} {}", container["State"].as_str().unwrap()));
        }
        for network in list(&format!("/networks?filters={}", self.filter())) {
            all.push(format!("network {}", network["Name"].as_str().unwrap()));
        }
        let volumes = engine("GET", &format!("/volumes?filters={}", self.filter())).1;
        for volume in volumes["Volumes"].as_array().into_iter().flatten() {
            all.push(format!("volume {}", volume["Name"].as_str().unwrap()));
        }
        all.sort();
        // The project's name is another one each time.
        all.into_iter().map(|line| line.replace(&self.name, "P")).collect()
    }

    /// Wants exactly these objects, `P` for the project.
    #[track_caller]
    pub(crate) fn holds(&self, wanted: &[&str]) {
        // The engine's lists lag a little behind what it says of a single container.
        let began = Instant::now();
        while self.inventory() != wanted && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.inventory(), wanted, "objects of {}", self.name);
    }

    fn filter(&self) -> String {
        format!("%7B%22label%22%3A%5B%22{PROJECT}%3D{}%22%5D%7D", self.name)
    }

    /// What the engine knows of the first container of a service.
    pub(crate) fn inspect(&self, service: &str) -> Value {
        let (code, found) = engine("GET", &format!("/containers/{}-{service}-1/json", self.name));
        assert_eq!(code, 200, "{service}: {found}");
        found
    }

    pub(crate) fn id(&self, service: &str) -> String {
        self.inspect(service)["Id"].as_str().unwrap().to_owned()
    }

    /// The ids of the containers of all services, sorted.
    pub(crate) fn ids(&self) -> Vec<String> {
        let found = list(&format!("/containers/json?all=1&filters={}", self.filter()));
        let mut ids: Vec<String> = found.iter().map(|c| c["Id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }

    fn clean(&self) {
        for id in self.ids() {
            engine("DELETE", &format!("/containers/{id}?force=1&v=1"));
        }
        if self.branches {
            self.clean_beside();
        }
        for network in list(&format!("/networks?filters={}", self.filter())) {
            engine("DELETE", &format!("/networks/{}", network["Id"].as_str().unwrap_or_default()));
        }
        let volumes = engine("GET", &format!("/volumes?filters={}", self.filter())).1;
        for volume in volumes["Volumes"].as_array().into_iter().flatten() {
            engine("DELETE", &format!("/volumes/{}?force=1", volume["Name"].as_str().unwrap_or_default()));
        }
        let label = format!("%7B%22label%22%3A%5B%22{PROJECT}%3D{}%22%5D%7D", self.name);
        for image in list(&format!("/images/json?filters={label}")) {
            engine("DELETE", &format!("/images/{}?force=1", image["Id"].as_str().unwrap_or_default()));
        }
    }
}

impl Site {
    /// Takes away environments beside.
    fn clean_beside(&self) {
        let any = format!("%7B%22label%22%3A%5B%22{PROJECT}%22%5D%7D");
        let ours = |it: &Value| {
            let project = it["Labels"][PROJECT].as_str().unwrap_or_default();
            project.starts_with(&format!("{}-", self.name))
        };
        for container in list(&format!("/containers/json?all=1&filters={any}")).iter().filter(|it| ours(it)) {
            let id = container["Id"].as_str().unwrap_or_default();
            engine("DELETE", &format!("/containers/{id}?force=1&v=1"));
        }
        for network in list(&format!("/networks?filters={any}")).iter().filter(|it| ours(it)) {
            engine("DELETE", &format!("/networks/{}", network["Id"].as_str().unwrap_or_default()));
        }
        let volumes = engine("GET", &format!("/volumes?filters={any}")).1;
        for volume in volumes["Volumes"].as_array().into_iter().flatten().filter(|it| ours(it)) {
            engine("DELETE", &format!("/volumes/{}?force=1", volume["Name"].as_str().unwrap_or_default()));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} had {:#?}", self.name, self.inventory());
        }
        self.clean();
    }
}

// ── a command that ended ────────────────────────────────────────────────────────────────────────────────

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) words: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { words, code, out, err } = self;
        write!(f, "devenv {words}: exit code {code:?}\n--- stdout\n{out}\n--- stderr\n{err}")
    }
}

impl Run {
    pub(crate) fn new(words: impl Into<String>, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let run = Self {
            words: words.into(),
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(!run.err.contains("panicked at"), "{run}");
        run
    }

    pub(crate) fn of(words: &str, child: Child) -> Self {
        Self::new(words, &child.wait_with_output().unwrap())
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Wants each of these on stderr.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not said by {self}");
        }
        self
    }

    /// Wants each of these on stdout.
    #[track_caller]
    pub(crate) fn prints(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.out.contains(text), "{text:?} is not printed by {self}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

// ── the engine, without any of the code under test ──────────────────────────────────────────────────────

/// The engine's socket.
pub(crate) fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    PathBuf::from(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock"))
}

/// One request to the engine; HTTP/1.0, so that the answer comes in one piece.
pub(crate) fn engine(method: &str, path: &str) -> (u16, Value) {
    engine_with(method, path, "")
}

pub(crate) fn engine_with(method: &str, path: &str, body: &str) -> (u16, Value) {
    request(&socket(), method, path, body)
}

fn request(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|error| {
        panic!("no engine at {} (start it with `make up`): {error}", socket.display())
    });
    let length = body.len();
    let head = "Host: engine\r\nContent-Type: application/json";
    write!(stream, "{method} {path} HTTP/1.0\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, serde_json::from_str(body).unwrap_or(Value::Null))
}

pub(crate) fn list(path: &str) -> Vec<Value> {
    match engine("GET", path).1 {
        Value::Array(all) => all,
        other => panic!("{path}: {other}"),
    }
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port of this machine that nobody has.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_child(child);
    // It may have ended by now.
    let _ = rustix::process::kill_process(id, signal);
}
