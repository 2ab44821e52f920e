//! What must hold whatever happens below: machines that lose their power, pools that are full, damaged or pruned,
//! data that others take away, servers that are copied while they work. The numbers are those of the fault catalogue.
//!
//! `SOAK=1` makes the long rounds of `make soak` out of the short ones.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::machine::{Machine, POOL, POSTGRES, sh};
use crate::site::{IMAGE, Run, Site, until};

/// A service with data, and nothing else.
const PLAIN: &str = "services: {db: {IDLE, restart: always, volumes: ['data:/data']}}\nvolumes: {data: {}}\n";

fn rounds(short: usize, soak: usize) -> usize {
    if std::env::var_os("SOAK").is_some() { soak } else { short }
}

fn has(site: &Site, path: &str) {
    site.ok(&format!("exec -T db test -e {path}"));
}

/// The id of a branch's data: what it was made with.
fn id(site: &Site, branch: &str) -> String {
    let list = site.json("db branch list --json");
    let all = list["branches"].as_array().unwrap();
    let found = all.iter().find(|row| row["name"] == branch).unwrap_or_else(|| panic!("{branch}: {list}"));
    found["id"].as_str().unwrap().to_owned()
}

fn container(site: &Site) -> String {
    format!("{}-db-1", site.name)
}

// ── the machine is started again, pruned, changed by others ─────────────────────────────────────────────

/// A loop device of somebody else's.
struct Taken(String);

impl Drop for Taken {
    fn drop(&mut self) {
        sh(&format!("losetup -d {}", self.0));
    }
}

/// A site on branch `one`, with a file there that `main` lacks, on a machine that was started again; a start while the
/// pool was away has failed.
fn started_again(test: &str) -> (Machine, Site, Taken) {
    let mut machine = Machine::new();
    let site = machine.site(test, PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one");
    site.ok("exec -T db touch /data/one");
    site.ok("exec -T db sync");
    machine.power_off();
    // The loop device that the pool had is somebody else's now.
    let other = tempfile::NamedTempFile::new().unwrap();
    other.as_file().set_len(1 << 20).unwrap();
    let taken = Taken(sh(&format!("losetup --find --show {}", other.path().display())));
    machine.power_on();
    // `restart: always` brought nothing up, and neither does a plain start: the folder is not there.
    let start = machine.docker(&["start", &container(&site)]);
    assert_ne!(start.code, Some(0), "{start}");
    let state = machine.docker(&["inspect", "-f", "{{.State.Running}}", &container(&site)]);
    assert_eq!(state.out.trim(), "false", "{state}");
    (machine, site, taken)
}

#[test]
fn after_a_restart_nothing_starts_empty_and_up_mounts_again() {
    let (_machine, site, _taken) = started_again("reboot");
    // The records need no pool.
    assert!(site.ok("db branch list").out.contains("one"));
    site.ok("up");
    has(&site, "/data/one");
}

#[test]
fn after_a_restart_a_switch_never_shows_the_wrong_data() {
    let (_machine, site, _taken) = started_again("rebootswitch");
    site.ok("up");
    // An engine that counted the start which failed holds the volume; it is told then, and nothing is turned.
    let turned = site.run("db branch switch main");
    if turned.code == Some(0) {
        site.run("exec -T db test -e /data/one").exits(1);
    } else {
        turned.exits(5).says(&["start the engine again"]);
        assert!(site.ok("db branch current").out.contains("one"));
        has(&site, "/data/one");
    }
}

#[test]
fn a_prune_of_everything_takes_no_branch() {
    let machine = Machine::new();
    let site = machine.site("prune", PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one");
    site.ok("exec -T db touch /data/one");
    site.ok("down");
    machine.docker(&["rm", "-f", &format!("{POOL}-keeper")]).exits(0);
    machine.docker(&["system", "prune", "-af", "--volumes"]).exits(0);
    // Some engines spare volumes that have options, as these do; others, or people, do not.
    for volume in machine.docker(&["volume", "ls", "-q"]).out.lines() {
        machine.docker(&["volume", "rm", volume]).exits(0);
    }
    machine.load(IMAGE);
    site.ok("up");
    has(&site, "/data/one");
    site.ok("db branch switch main");
    site.run("exec -T db test -e /data/one").exits(1);
}

#[test]
fn a_prune_takes_no_branch_of_the_copy_driver_either() {
    let machine = Machine::new();
    let site = machine.site("prunecopy", PLAIN, 0);
    site.ok("pool create --driver copy");
    site.ok("up");
    site.ok("db branch create one");
    site.ok("exec -T db touch /data/one");
    site.ok("down");
    machine.docker(&["rm", "-f", &format!("{POOL}-keeper")]).exits(0);
    machine.docker(&["volume", "prune", "-f"]).exits(0);
    site.ok("up");
    has(&site, "/data/one");
}

#[test]
fn what_others_remove_or_make_anew_never_becomes_an_empty_database() {
    let machine = Machine::new();
    let site = machine.site("others", PLAIN, 300);
    site.ok("up");
    site.ok("exec -T db touch /data/row");
    site.ok("db branch create one");
    let volume = format!("{}_data", site.name);
    // 29: the container, and the keeper with it.
    machine.docker(&["rm", "-f", &container(&site), &format!("{POOL}-keeper")]).exits(0);
    let status = site.json("status --json");
    assert_eq!(status["services"][0]["state"], "missing", "{status}");
    site.ok("up");
    has(&site, "/data/row");
    // 31: the network.
    site.ok("stop");
    machine.docker(&["network", "rm", &format!("{}_default", site.name)]);
    site.ok("up");
    has(&site, "/data/row");
    // 30: the volume, which holds nothing.
    site.ok("down");
    machine.docker(&["volume", "rm", &volume]).exits(0);
    site.ok("up");
    has(&site, "/data/row");
    // 32: another tool made the volume anew, as `docker compose up` does.
    site.ok("down");
    machine.docker(&["volume", "rm", &volume]).exits(0);
    let label = format!("com.docker.compose.project={}", site.name);
    let key = "com.docker.compose.volume=data";
    machine.docker(&["volume", "create", "--label", &label, "--label", key, &volume]).exits(0);
    site.run("up").exits(7).says(&[&volume, "another tool", "docker volume rm"]);
    machine.docker(&["volume", "rm", &volume]).exits(0);
    site.ok("up");
    has(&site, "/data/row");
}

#[test]
fn data_that_was_deleted_in_the_pool_is_named_and_a_snapshot_brings_it_back() {
    let machine = Machine::new();
    let site = machine.site("gone", PLAIN, 300);
    site.ok("up");
    site.ok("exec -T db touch /data/row");
    site.ok("db branch create one");
    site.ok("db snapshot save good");
    site.ok("down");
    machine.inside(&format!("rm -rf {}/data/{}", machine.mounted(), id(&site, "one")));
    site.run("up").exits(7).says(&["`one`", "gone", "snapshot restore good"]);
    let running = machine.docker(&["ps", "-q", "--filter", &format!("name={}", container(&site))]);
    assert_eq!(running.out, "", "nothing is started in its place");
    site.ok("db snapshot restore good");
    site.ok("up");
    has(&site, "/data/row");
}

// ── the pool's file ─────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_file_that_is_cut_off_or_foreign_or_gone_is_never_made_anew() {
    let mut machine = Machine::new();
    let site = machine.site("file", PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one");
    site.ok("exec -T db touch /data/one");
    site.ok("exec -T db sync");
    machine.power_off();
    machine.power_on();
    let folder = machine.folder();
    machine.inside(&format!(
        "cd {folder}; mv pool.img good; cp --reflink=always good pool.img; truncate -s 64M pool.img"
    ));
    site.run("up").exits(8).says(&["cut off"]);
    machine.inside(&format!("cd {folder}; test $(stat -c %s pool.img) = 67108864; echo mine >pool.img"));
    site.run("up").exits(8).says(&["no pool of devenv"]);
    site.run("db branch create two").exits(8);
    assert_eq!(machine.inside(&format!("cd {folder}; cat pool.img; rm pool.img")), "mine");
    site.run("up").exits(8).says(&["there is no pool"]);
    site.run("db branch create two").exits(8);
    assert_eq!(machine.inside(&format!("cd {folder}; ls; mv good pool.img")), "good");
    site.ok("up");
    has(&site, "/data/one");
}

#[test]
fn a_pool_that_became_read_only_is_told_before_the_work() {
    let machine = Machine::new();
    let site = machine.site("readonly", PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one --no-switch");
    machine.inside(&format!("mount -o remount,ro {}", machine.mounted()));
    site.run("db branch create two --no-switch").exits(8).says(&["read"]);
    site.ok("pool status").prints(&["read-only"]);
    machine.inside(&format!("mount -o remount,rw {}", machine.mounted()));
    site.ok("db branch create two --no-switch");
}

#[test]
fn below_the_floor_a_branch_is_refused_unless_forced() {
    let machine = Machine::new();
    let site = machine.site("floor", PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one");
    // Until the disk is full: the command fails, and that is the point.
    site.run_args(&["exec", "-T", "db", "sh", "-c", "head -c 280M /dev/zero >/data/zeros; sync"]);
    let refused = site.run("db branch create two --no-switch").exits(8);
    refused.says(&["gc", "pool grow"]);
    let list = site.ok("db branch list").out;
    assert!(!list.contains("two"), "{list}");
    site.ok("exec -T db truncate -s 200M /data/zeros");
    site.ok("exec -T db sync");
    site.ok("pool grow 700M");
    site.ok("db branch create two --no-switch");
}

/// 53. Files this small lie with what describes files, which has room of its own on btrfs.
#[test]
fn metadata_without_room_is_a_full_pool_though_data_has_some() {
    let machine = Machine::new();
    let site = machine.site("tiny", PLAIN, 0);
    site.ok("pool create --driver btrfs --size 300M");
    site.ok("up");
    site.ok("db branch create one");
    let fill = "i=0; while printf %02000d $i >/data/tiny$i; do i=$((i+1)); done; sync; echo $i; df /data >&2";
    let made = site.run_args(&["exec", "-T", "db", "bash", "-c", fill]).exits(0).out;
    assert!(made.trim().parse::<u32>().unwrap() > 1000, "{made}");
    site.run("db branch create two --no-switch").exits(8).says(&["gc", "pool grow"]);
    assert!(!site.ok("db branch list").out.contains("two"));
    site.ok("pool grow 700M");
    site.ok("db branch create two --no-switch");
}

#[test]
fn a_full_disk_below_the_pool_does_not_reach_it() {
    let machine = Machine::new();
    let site = machine.site("hostfull", PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one");
    let root = machine.folder();
    // All that is left, in one piece or in bits.
    machine.inside(&format!(
        "cd {root}; free=$(stat -f -c '%a' .); size=$(stat -f -c '%S' .)
         fallocate -l $((free * size - 8000000)) fill; head -c 100M /dev/zero >more 2>/dev/null || true; df . >&2"
    ));
    site.run_args(&[
        "exec",
        "-T",
        "db",
        "sh",
        "-c",
        "head -c 60M /dev/urandom >/data/new && sync && touch /data/done",
    ])
    .exits(0);
    has(&site, "/data/done");
    site.ok("db branch create two --no-switch");
    let status = site.json("pool status --json");
    assert_eq!(status["status"]["read_only"], false, "{status}");
    machine.inside(&format!("cd {root}; rm fill more"));
}

// ── a database at work ──────────────────────────────────────────────────────────────────────────────────

fn postgres(fsync: &str) -> String {
    format!(
        "services:
  db:
    image: {POSTGRES}
    command: postgres -D /etc/postgresql -c fsync={fsync} -c synchronous_commit=on -c shared_buffers=16MB
      -c max_wal_size=64MB -c min_wal_size=32MB -c checkpoint_timeout=30s -c wal_keep_size=0
    environment: {{POSTGRES_PASSWORD: postgres, JWT_SECRET: super-secret-jwt-token-with-at-least-32-characters}}
    volumes: ['data:/var/lib/postgresql/data', 'files:/files']
    healthcheck: {{test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, postgres], interval: 300ms, retries: 300}}
volumes: {{data: {{}}, files: {{}}}}
"
    )
}

/// pgbench, and a writer of object files and of the rows that name them; what was acknowledged is counted here.
struct Load {
    acked: Arc<AtomicU64>,
    children: Vec<Child>,
}

const WRITER: &str = "i=${1:-0}; while :; do i=$((i+1)); echo $i >/files/$i && sync /files/$i || exit 1
    psql -U supabase_admin -qd postgres -c \"insert into acks values ($i)\" && echo $i; done";

impl Load {
    fn prepare(machine: &Machine, container: &str) {
        let sql = "create table if not exists acks (n bigint primary key)";
        machine
            .docker(&["exec", container, "psql", "-U", "supabase_admin", "-qd", "postgres", "-c", sql])
            .exits(0);
        machine
            .docker(&["exec", container, "pgbench", "-U", "supabase_admin", "-qi", "-s", "2", "postgres"])
            .exits(0);
    }

    fn start(machine: &Machine, container: &str) -> Self {
        let acked = Arc::new(AtomicU64::new(0));
        let bench = machine.docker_beside(&[
            "exec",
            container,
            "pgbench",
            "-U",
            "supabase_admin",
            "-n",
            "-c",
            "4",
            "-T",
            "100000",
            "postgres",
        ]);
        let mut writer = machine.docker_beside(&["exec", container, "bash", "-c", WRITER]);
        let out = BufReader::new(writer.stdout.take().unwrap());
        let told = Arc::clone(&acked);
        std::thread::spawn(move || {
            for number in out.lines().map_while(Result::ok).filter_map(|line| line.parse().ok()) {
                told.store(number, Ordering::SeqCst);
            }
        });
        Self { acked, children: vec![bench, writer] }
    }

    /// Waits for `more` rows, and says how many there are.
    fn after(&self, more: u64) -> u64 {
        let wanted = self.acked.load(Ordering::SeqCst) + more;
        until("rows are acknowledged", || {
            let now = self.acked.load(Ordering::SeqCst);
            (now >= wanted).then_some(now)
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What has to be true of a database that runs, in a container's own words; `$1` rows were acknowledged.
const WELL: &str = r#"set -euo pipefail
run() { psql -U supabase_admin -d postgres -v ON_ERROR_STOP=1 -Atqc "$1"; }
rows=$(run 'select count(*) from acks where n <= '"$1")
[ "$rows" = "$1" ] || { echo "$rows of $1 acknowledged rows" >&2; exit 1; }
sums=$(run 'select count(distinct s) from (select sum(abalance) s from pgbench_accounts union all
  select sum(bbalance) from pgbench_branches union all select sum(tbalance) from pgbench_tellers union all
  select coalesce(sum(delta), 0) from pgbench_history) x')
[ "$sums" = 1 ] || { echo "the balances do not add up" >&2; exit 1; }
for n in $(run 'select n from acks'); do
  [ "$(cat /files/$n)" = "$n" ] || { echo "object file $n is not there" >&2; exit 1; }
done
pg_amcheck -U supabase_admin --all --install-missing --heapallindexed"#;

/// Starts a server of its own on a copy and looks whether all is well.
fn starts_well(machine: &Machine, data: &str, acked: u64) -> Run {
    let own = format!("{}/data/{data}", machine.mounted());
    let script = format!(
        "setpriv --reuid=postgres --regid=postgres --init-groups pg_ctl -D /etc/postgresql -o '-c shared_buffers=16MB' \
         -w -s -t 90 -l /tmp/log start || {{ cat /tmp/log >&2; exit 1; }}\n{WELL}"
    );
    let mount = |from: &str, to: &str| format!("type=bind,source={own}/{from},target={to}");
    machine.docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--mount",
        &mount("data", "/var/lib/postgresql/data"),
        "--mount",
        &mount("files", "/files"),
        "--entrypoint",
        "bash",
        POSTGRES,
        "-c",
        &script,
        "bash",
        &acked.to_string(),
    ])
}

/// 59, and the issue's "100 snapshots of a server under load".
fn copies_of_a_busy_server_are_whole(test: &str, fsync: &str) {
    let machine = Machine::new();
    let site = machine.site(test, &postgres(fsync), 2500);
    site.ok("up");
    Load::prepare(&machine, &container(&site));
    // The first branch moves the data into the pool.
    site.ok("db branch create first --no-switch");
    let load = Load::start(&machine, &container(&site));
    let mut took = Vec::new();
    for round in 0..rounds(4, 50) {
        let acked = load.after(3);
        let began = Instant::now();
        site.ok(&format!("db branch create copy{round} --no-switch"));
        took.push(began.elapsed().as_millis());
        starts_well(&machine, &id(&site, &format!("copy{round}")), acked).exits(0);
        site.ok(&format!("db branch delete copy{round} --yes"));
        // What the server writes meanwhile is kept as often as there are copies, and fills the pool.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        site.ok("gc --older 1s --yes");
    }
    load.after(1);
    println!("fsync={fsync}: created in {took:?} ms");
}

#[test]
fn copies_of_a_busy_server_that_waits_for_the_disk_are_whole() {
    copies_of_a_busy_server_are_whole("busyon", "on");
}

#[test]
fn copies_of_a_busy_server_that_does_not_wait_for_the_disk_are_whole() {
    copies_of_a_busy_server_are_whole("busyoff", "off");
}

/// 54: the pool's file as a power cut would leave it, at moments of a busy time, on two branches.
#[test]
fn after_a_power_cut_every_branch_recovers() {
    let mut machine = Machine::new();
    let site = machine.site("power", &postgres("on"), 900);
    site.ok("up");
    Load::prepare(&machine, &container(&site));
    site.ok("db branch create side --start");
    let names = machine.docker(&["ps", "--format", "{{.Names}}"]).out;
    let side =
        names.lines().find(|name| name.contains("-side-db")).unwrap_or_else(|| panic!("{names}")).to_owned();
    let loads = [Load::start(&machine, &container(&site)), Load::start(&machine, &side)];
    let folder = machine.folder();
    let cuts: Vec<[u64; 2]> = (0..rounds(3, 50))
        .map(|round| {
            let acked = [loads[0].after(3), loads[1].after(3)];
            machine.inside(&format!("cd {folder}; cp --reflink=always pool.img cut{round}"));
            acked
        })
        .collect();
    drop(loads);
    machine.power_off();
    for (round, acked) in cuts.iter().enumerate() {
        machine.power_on();
        machine.inside(&format!("cd {folder}; mv cut{round} pool.img"));
        site.ok("up");
        site.ok("--branch side up");
        for (name, acked) in [container(&site), side.clone()].iter().zip(acked) {
            machine.docker(&["exec", name, "bash", "-c", WELL, "bash", &acked.to_string()]).exits(0);
        }
        machine.power_off();
    }
}

/// 50: what the server writes finds no room. It says so, other branches go on, and with more room it is whole.
#[test]
fn a_database_that_filled_the_pool_is_whole_when_there_is_room_again() {
    let machine = Machine::new();
    let site = machine.site("full", &postgres("on"), 450);
    site.ok("up");
    Load::prepare(&machine, &container(&site));
    site.ok("db branch create other --no-switch");
    let load = Load::start(&machine, &container(&site));
    let acked = load.after(3);
    // All that is left.
    machine.docker(&["exec", &container(&site), "bash", "-c", "cat /dev/zero >/files/zeros"]).exits(1);
    until("the server has no room for its log", || {
        site.ok("logs db").out.contains("No space left on device").then_some(())
    });
    drop(load);
    site.run("db branch create more --no-switch").exits(8).says(&["pool grow"]);
    site.ok("pool grow 900M");
    starts_well(&machine, &id(&site, "other"), 0).exits(0);
    // The server gave up; with room it recovers.
    site.ok("restart db");
    machine.docker(&["exec", &container(&site), "bash", "-c", WELL, "bash", &acked.to_string()]).exits(0);
}

// ── the records ─────────────────────────────────────────────────────────────────────────────────────────

fn state(site: &Site) -> PathBuf {
    site.dir().parent().unwrap().join("home/.local/state/devenv")
}

/// What of a list must come back: all but when services last began to work on a branch, which is not described in
/// the pool each time.
fn listed(site: &Site) -> Value {
    let mut branches = site.json("db branch list --json")["branches"].clone();
    for branch in branches.as_array_mut().unwrap() {
        branch.as_object_mut().unwrap().remove("used");
    }
    branches
}

#[test]
fn damaged_records_are_kept_and_made_again_from_the_pool() {
    let machine = Machine::new();
    let site = machine.site("records", PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one");
    site.ok("db branch create two --ttl 3d");
    site.ok("db branch create three --from one --no-switch");
    site.ok("db branch protect three");
    site.ok("db branch rename three 'drei {}'".replace("'drei {}'", "drei").as_str());
    site.ok("db snapshot save kept");
    let before = listed(&site);
    let snapshots = site.json("db snapshot list --json");
    let file = state(&site).join("catalogue.db");
    let damages = [
        ("a flipped page", "dd if=/dev/urandom of=$F bs=4096 seek=1 count=6 conv=notrunc 2>&1"),
        ("its end is missing", "truncate -s 6000 $F"),
        ("no byte left", ": >$F"),
        ("deleted", "rm $F"),
    ];
    for (what, damage) in damages {
        let log = "rm -f $F-wal $F-shm";
        sh(&format!("F={}; {log}; {damage}", file.display()));
        let first = site.run("db branch list --json").exits(0);
        println!("{what}: {}", first.err.lines().next().unwrap_or("nothing said"));
        assert_eq!(listed(&site), before, "{what}");
        assert_eq!(site.json("db snapshot list --json"), snapshots, "{what}");
        let kept = fs::read_dir(state(&site)).unwrap().flatten().map(|it| it.file_name()).collect::<Vec<_>>();
        let is_copy = |name: &&std::ffi::OsString| {
            let name = name.to_string_lossy();
            name.starts_with("catalogue.db")
                && name != "catalogue.db"
                && !name.ends_with("-wal")
                && !name.ends_with("-shm")
        };
        assert!(what == "deleted" || kept.iter().any(|name| is_copy(&name)), "{what}: {kept:?}");
        for copy in kept.iter().filter(is_copy) {
            let _ = fs::remove_file(state(&site).join(copy));
        }
        site.ok("db branch switch one");
        site.ok("db branch switch two");
    }
}

#[test]
fn a_manifest_that_says_otherwise_is_told_with_both_sides_and_foreign_data_stays() {
    let machine = Machine::new();
    let site = machine.site("manifest", PLAIN, 300);
    site.ok("up");
    site.ok("db branch create one --no-switch");
    let (pool, one) = (machine.mounted(), id(&site, "one"));
    site.ok("state rebuild --dry-run").says(&["agree"]);
    machine.inside(&format!("cd {pool}/manifests; sed -i 's/\"name\":\"one\"/\"name\":\"eins\"/' {one}.json; grep -q eins {one}.json"));
    // 66: a snapshot made by hand.
    machine.inside(&format!("btrfs -q subvolume snapshot {pool}/data/{one} {pool}/data/by-hand"));
    let told = site.ok("state rebuild --dry-run");
    told.prints(&["`one`", "`eins`"]).says(&["by-hand", "not ours"]);
    assert!(site.ok("db branch list").out.contains("one"), "a dry run changes nothing");
    site.ok("state rebuild");
    assert!(site.ok("db branch list").out.contains("eins"));
    site.ok("db branch delete eins --yes");
    site.ok("gc --older 1s --yes");
    machine.inside(&format!("test -d {pool}/data/by-hand/data"));
}

/// 67, as manifests: 500 branches, a chain of fifty among them.
#[test]
fn five_hundred_branches_are_listed_and_outlive_a_parent() {
    let machine = Machine::new();
    let site = machine.site("many", PLAIN, 0);
    site.ok("pool create --driver copy");
    site.ok("up");
    site.ok("db branch create b0");
    let pool = machine.folder();
    let model: Value =
        serde_json::from_str(&machine.inside(&format!("cat {pool}/manifests/{}.json", id(&site, "b0"))))
            .unwrap();
    let mut parent = model["record"]["branch"]["id"].clone();
    let root = parent.clone();
    let temporary = tempfile::tempdir().unwrap();
    for number in 1..500 {
        let own = format!("{number:016x}");
        let mut manifest = model.clone();
        let record = &mut manifest["record"]["branch"];
        record["id"] = json!(own);
        record["data"] = json!(own);
        record["name"] = json!(format!("b{number}"));
        record["sequence"] = json!(1000 + number);
        record["parent"] = if number < 50 { parent } else { root.clone() };
        parent = json!(own);
        fs::write(temporary.path().join(format!("{own}.json")), manifest.to_string()).unwrap();
    }
    machine.inside(&format!(
        "cp {0}/*.json {pool}/manifests/; cd {0}; for it in *.json; do mkdir -p {pool}/data/${{it%.json}}/data; done",
        temporary.path().display()
    ));
    site.ok("state rebuild");
    let began = Instant::now();
    let all = listed(&site);
    println!("500 branches listed in {} ms", began.elapsed().as_millis());
    assert_eq!(all.as_array().unwrap().len(), 501);
    site.ok("db branch delete b25 --yes");
    let row = |name: &str| {
        let all = listed(&site);
        all.as_array().unwrap().iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
    };
    // What was deleted has to be older than a second first.
    until("the data of b25 is gone", || {
        site.ok("gc --older 1s --yes");
        machine.inside(&format!("ls {pool}/data")).contains(&format!("{:016x}", 25)).eq(&false).then_some(())
    });
    assert_eq!(row("b26")["parent"], "b24");
    assert_eq!(listed(&site).as_array().unwrap().len(), 500);
    machine.inside(&format!("test -d {pool}/data/{:016x}/data", 26));
}
