//! A small pool of its own for each run of the tests. It is made by the first test that needs it, and taken away by
//! a process that waits for the end of this one, however that comes.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};

#[cfg(feature = "failpoints")]
use crate::site::Run;
use crate::site::{IMAGE, Site, engine, engine_with, list, until};

/// Large enough for all tests of a run: nothing in them is large.
const SIZE: &str = "2G";
/// Names the pool to the process that takes it away.
const VARIABLE: &str = "DVT_POOL_TO_TAKE_AWAY";

/// The run's pool.
pub(crate) fn pool() -> &'static str {
    static POOL: OnceLock<String> = OnceLock::new();
    // What it waits for is the end of its input.
    static KEPT: Mutex<Option<Child>> = Mutex::new(None);
    POOL.get_or_init(|| {
        let name = format!("dvt-pool-{:x}", std::process::id());
        let mut watch = Command::new(std::env::current_exe().unwrap());
        watch.args(["--ignored", "--exact", "pooled::taken_away_at_the_end"]).env(VARIABLE, &name);
        watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        *KEPT.lock().unwrap() = Some(watch.spawn().unwrap());
        let mut site = Site::new("pool");
        site.set("DEVENV_POOL", &name);
        site.ok(&format!("pool create --size {SIZE}"));
        name
    })
}

#[test]
#[ignore = "run by the first test that needs a pool, for when all have ended"]
fn taken_away_at_the_end() {
    let Ok(pool) = std::env::var(VARIABLE) else { return };
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    take_away(&pool);
}

/// Takes away all that a pool has at the engine.
pub(crate) fn take_away(pool: &str) {
    assert!(pool.starts_with("dvt-"), "{pool} is no pool of a test");
    let mut image = String::new();
    let own = "%7B%22label%22%3A%5B%22dev.devenv.own%22%5D%7D";
    for container in list(&format!("/containers/json?all=1&filters={own}")) {
        let name = container["Names"][0].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        if name.starts_with(&format!("{pool}-")) {
            container["Image"].as_str().unwrap_or_default().clone_into(&mut image);
            engine("DELETE", &format!("/containers/{name}?force=1"));
        }
    }
    // Containers of projects may have the pool's file system mounted for a moment longer.
    let mount = format!("/volumes/{pool}-mount");
    until("the pool is not mounted", || (engine("DELETE", &mount).0 != 409).then_some(()));
    let root = engine("GET", "/info").1["DockerRootDir"].as_str().unwrap_or_default().to_owned();
    let run = |name: &str, image: &str, words: Value, binds: String| {
        let name = format!("{pool}-{name}");
        // Not privileged: a machine may refuse that, and this is enough.
        let host = json!({
            "Binds": [binds],
            "CapDrop": ["ALL"],
            "CapAdd": ["SYS_ADMIN", "MKNOD", "DAC_OVERRIDE", "FOWNER"],
            "DeviceCgroupRules": ["b 7:* rmw", "c 10:237 rmw"],
            "SecurityOpt": ["apparmor=unconfined", "label=disable"],
        });
        let body = json!({ "Image": image, "Cmd": words, "HostConfig": host }).to_string();
        engine_with("POST", &format!("/containers/create?name={name}"), &body);
        engine("POST", &format!("/containers/{name}/start"));
        engine("POST", &format!("/containers/{name}/wait"));
        engine("DELETE", &format!("/containers/{name}?force=1"));
    };
    if !image.is_empty() {
        // A loop device would keep the file's blocks.
        let words = json!(["__keeper", "detach", "--file", "/file/pool.img", "--remove"]);
        run("detach", &image, words, format!("{root}/devenv/{pool}:/file"));
        // Unless another pool's keeper is made of it.
        engine("DELETE", &format!("/images/{image}"));
    }
    run("rm", IMAGE, json!(["rm", "-rf", format!("/pools/{pool}")]), format!("{root}/devenv:/pools"));
}

// ── what branches are asked in tests ────────────────────────────────────────────────────────────────────

/// A service that writes to one volume and reads from another, and one without data.
pub(crate) const FILES: &str = "services:
  db: {IDLE, volumes: ['data:/data', 'files:/files']}
  web: {IDLE}
volumes: {data: {}, files: {}}
";

impl Site {
    /// A project with this compose file whose branches go into the run's pool.
    pub(crate) fn pooled(test: &str, compose: &str) -> Self {
        let mut site = Self::with(test, compose);
        site.set("DEVENV_POOL", pool());
        site.has_branches();
        site
    }

    /// The same, up, with a row that says where it was written.
    pub(crate) fn pooled_up(test: &str, compose: &str, row: &str) -> Self {
        let site = Self::pooled(test, compose);
        site.ok("up");
        site.write(row);
        site
    }

    /// Asks the current branch's database, or that of a branch.
    #[track_caller]
    pub(crate) fn sql(&self, branch: &[&str], query: &str) -> String {
        let run = self.run_args(&[&["psql"], branch, &["--", "-At", "-c", query]].concat()).exits(0);
        run.out.trim().to_owned()
    }

    /// Writes the row; the file of another volume is to say the same.
    pub(crate) fn write(&self, row: &str) {
        let script = format!("echo {row} > /data/row; echo {row} > /files/row; sync /data/row /files/row");
        self.run_args(&["exec", "-T", "db", "sh", "-c", &script]).exits(0);
    }

    /// Reads the row, which is the same in both volumes.
    #[track_caller]
    pub(crate) fn row(&self) -> String {
        let run = self.run("exec -T db cat /data/row /files/row").exits(0);
        let (data, files) = run.out.trim().split_once('\n').unwrap();
        assert_eq!(data, files, "two volumes of one branch are of different instants");
        data.to_owned()
    }

    /// The names of the branches that are there, the current one with a star before it.
    pub(crate) fn branches(&self) -> Vec<String> {
        let listed = self.json("db branch list --json");
        let name = |branch: &Value| {
            let star = if branch["current"] == true { "*" } else { "" };
            format!("{star}{}", branch["name"].as_str().unwrap())
        };
        listed["branches"].as_array().unwrap().iter().map(name).collect()
    }

    /// The names of the snapshots that somebody asked for or that were kept.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        let listed = self.json("db snapshot list --json");
        let name = |snapshot: &Value| snapshot["name"].as_str().unwrap().to_owned();
        listed["snapshots"].as_array().unwrap().iter().map(name).collect()
    }

    /// Wants that the records and the pool say the same of this project, and that nothing of it is paused.
    #[track_caller]
    pub(crate) fn agrees(&self) {
        let found = self.json("state rebuild --dry-run --json");
        let ours = format!("{}: ", self.name);
        let told = |field: &str| -> Vec<String> {
            let lines = found[field].as_array().unwrap().iter();
            lines.map(|line| line.as_str().unwrap().to_owned()).collect()
        };
        let differences: Vec<_> =
            told("differences").into_iter().filter(|line| line.starts_with(&ours)).collect();
        assert!(differences.is_empty(), "{differences:#?}");
        let unknown: Vec<_> =
            told("foreign").into_iter().filter(|line| !line.starts_with("project ")).collect();
        assert!(unknown.is_empty(), "data without a manifest: {unknown:?}");
        self.nothing_is_paused();
    }

    #[track_caller]
    pub(crate) fn nothing_is_paused(&self) {
        let paused: Vec<_> = self.inventory().into_iter().filter(|line| line.ends_with("paused")).collect();
        assert!(paused.is_empty(), "{paused:?}");
    }

    /// Runs `devenv` with failpoints set, as `NAME=return`.
    #[cfg(feature = "failpoints")]
    pub(crate) fn failing(&self, failpoints: &str, words: &str) -> Run {
        let mut command = self.program(env!("CARGO_BIN_EXE_devenv"));
        command.env("FAILPOINTS", failpoints).args(words.split_whitespace());
        Run::new(format!("[{failpoints}] {words}"), &command.output().unwrap())
    }
}
