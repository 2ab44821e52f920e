//! The real Compose beside ours on one project: neither sees a change to make in what the other made.
//!
//! The programs come from Debian's packages: `tests/peers/fetch.sh` puts them below the target directory.

use std::path::{Path, PathBuf};

use crate::site::{Run, Site};

/// The version whose labels and hashes ours are.
const SAME: &str = "2.40";
/// One whose hashes differ.
const OLDER: &str = "2.26";

pub(crate) fn peer(program: &str, version: &str) -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_devenv"));
    let program = binary.ancestors().nth(2).unwrap().join("peers").join(format!("{program}-{version}"));
    assert!(program.exists(), "{} is missing: run tests/peers/fetch.sh", program.display());
    program
}

impl Site {
    fn compose_does(&self, version: &str, words: &str) -> Run {
        let output = self.program(peer("compose", version)).args(words.split_whitespace()).output().unwrap();
        Run::new(format!("(compose {version}) {words}"), &output).exits(0)
    }
}

/// Files as people write them, each with what makes it worth a test.
const FILES: [(&str, &str); 10] = [
    ("plain", "services: {web: {IDLE, ports: ['127.0.0.1::80'], environment: {A: 'x y', B: '', N: 1, T: true}}, db: {IDLE}}"),
    (
        "networks",
        "services:
  web: {IDLE, networks: {front: {aliases: [www]}, back: {ipv4_address: 10.213.SUB.9}}, hostname: w, extra_hosts: ['a.test:10.0.0.1']}
  db: {IDLE, networks: [back]}
  side: {IDLE, network_mode: 'service:web'}
networks:
  front: {labels: {a: b}, driver_opts: {com.docker.network.bridge.enable_icc: 'true'}}
  back: {internal: true, ipam: {driver: default, config: [{subnet: 10.213.SUB.0/24, gateway: 10.213.SUB.1}]}}",
    ),
    (
        "volumes",
        "services:
  web: {IDLE, volumes: ['data:/data', './src:/src:ro', /anonymous, {type: tmpfs, target: /ram, tmpfs: {size: 1m}}], tmpfs: [/run]}
  db: {IDLE, volumes: [{type: volume, source: data, target: /d, read_only: true, volume: {nocopy: true}}]}
  heir: {IDLE, volumes_from: ['db:ro']}
volumes: {data: {labels: [a=b], driver_opts: {}}}",
    ),
    (
        "health",
        "services:
  web: {IDLE, depends_on: {db: {condition: service_healthy, restart: true}, migrate: {condition: service_completed_successfully}}}
  db: {IDLE, healthcheck: {test: 'true', interval: 200ms, timeout: 1m30s, retries: 5, start_period: 1s}}
  migrate: {image: IMAGE, command: 'true', depends_on: [db]}",
    ),
    (
        "files",
        "services:
  web: {IDLE, env_file: [one.env, {path: lost.env, required: false}], configs: [c, {source: text, target: /etc/t, mode: 0440}], secrets: [s]}
configs: {c: {file: ./one.env}, text: {content: 'a $$ <b> & \"c\"'}}
secrets: {s: {file: ./one.env}}",
    ),
    (
        "limits",
        "services:
  web:
    image: IMAGE
    command: [sleep, infinity]
    stop_signal: SIGKILL
    mem_limit: 128m
    memswap_limit: 256m
    ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 500}
    sysctls: [net.core.somaxconn=1024]
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: [no-new-privileges:true]
    init: true
    read_only: true
    user: '1000:1000'
    working_dir: /srv
    shm_size: 64m
    pids_limit: 100
    restart: unless-stopped
    stop_grace_period: 1m5s
    logging: {driver: json-file, options: {max-size: 1m}}
    labels: {traefik.http.routers.x.rule: 'Host(`a.test`) && Path(`/x`)', empty: ''}
    tty: true
    privileged: false
  deployed:
    image: IMAGE
    command: sleep infinity
    stop_signal: SIGKILL
    deploy: {replicas: 2, resources: {limits: {cpus: '0.50', memory: 64M, pids: 50}, reservations: {memory: 32M}}, restart_policy: {condition: on-failure, max_attempts: 3}}",
    ),
    (
        "build",
        "services:
  web: {build: {context: ., dockerfile_inline: \"FROM IMAGE\\nLABEL a=b\", args: {A: b}}, command: sleep infinity, stop_signal: SIGKILL}
  named: {image: 'dvt.local/named:SUB', build: {dockerfile_inline: 'FROM IMAGE'}, command: sleep infinity, stop_signal: SIGKILL}",
    ),
    (
        "extends",
        "include: [more.yaml]
x-base: &base {image: IMAGE, stop_signal: SIGKILL, environment: {A: b}}
services:
  web: {<<: *base, command: 'sh -c \"exec sleep infinity\"'}
  child: {extends: {file: base.yaml, service: parent}, environment: {B: c}, depends_on: [included]}
  tool: {IDLE, profiles: [tools]}",
    ),
    (
        "interpolated",
        "services:
  web: {IDLE, environment: {A: '${A:-default}', B: '${FROM_DOTENV}', C: '$$literal', D: }, labels: ['x=${FROM_DOTENV:+set}']}",
    ),
    (
        "links",
        "services:
  web: {IDLE, links: ['db:database'], expose: ['80', '90-92'], dns: [10.9.9.9], dns_search: [a.test], domainname: d.test, ipc: 'service:db'}
  db: {IDLE, ipc: shareable, container_name: NAME-given, annotations: {}, cpu_shares: 512, blkio_config: {weight: 300}}",
    ),
];

/// A subnet of its own per project, so that tests run side by side.
fn site(name: &str, text: &str, number: usize) -> Site {
    let site = Site::new(&format!("io-{name}"));
    let number = std::process::id() as usize * 31 + number;
    let text = text.replace("SUB", &(number % 250).to_string()).replace("NAME", &site.name);
    site.compose(&text);
    site.file("one.env", "ONE=1\nexport QUOTED=\"a b\"\n");
    site.file(".env", "FROM_DOTENV=dotted\n");
    site.file("src/file", "");
    site.file("more.yaml", "services: {included: {IDLE, environment: {I: '${FROM_DOTENV}'}}}");
    site.file("base.yaml", "services: {parent: {IDLE, environment: {P: q}, volumes: ['./src:/src']}}");
    site
}

fn ours_after_theirs(version: &str, name: &str, text: &str, number: usize) {
    let site = site(name, text, number);
    site.compose_does(version, "up -d");
    let ids = site.ids();
    let plan = site.ok("up --dry-run");
    assert!(plan.out.is_empty(), "{plan}");
    site.ok("up");
    assert_eq!(site.ids(), ids, "{name}");
    let status = site.json("status --json");
    for row in status["services"].as_array().unwrap() {
        assert_eq!((&row["drifted"], &row["orphan"]), (&false.into(), &false.into()), "{row}");
    }
    site.ok("down -v --yes");
    site.holds(&[]);
}

fn theirs_after_ours(name: &str, text: &str, number: usize) {
    let site = site(name, text, number + 100);
    site.ok("up");
    let (ids, inventory) = (site.ids(), site.inventory());
    let run = site.compose_does(SAME, "up -d");
    assert!(!run.err.contains("Recreate") && !run.err.contains("orphan"), "{run}");
    assert_eq!((site.ids(), site.inventory()), (ids, inventory), "{run}");
    assert!(!run.err.contains("level=warning") || name == "interpolated", "{run}");
    site.compose_does(SAME, "down -v");
    site.holds(&[]);
}

fn hashes_agree(name: &str, text: &str, number: usize) {
    // `config --hash` of the reference does not read env files, so that it prints another hash than it labels
    // containers with; ours is that of the label.
    let text = text.replace("env_file: [one.env, {path: lost.env, required: false}], ", "");
    let site = site(name, &text, number);
    let lines = |run: Run| {
        let mut lines: Vec<String> = run.out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let theirs =
        lines(Run::new("", &site.program(peer(SAME)).args(["config", "--hash", "*"]).output().unwrap()));
    let ours = lines(site.run_args(&["config", "--hash", "*"]).exits(0));
    assert_eq!(ours, theirs, "{name}");
    assert!(!ours.is_empty());
}

macro_rules! both_ways {
    ($($test:ident $number:literal),* $(,)?) => {$(
        mod $test {
            #[test]
            fn ours_after_theirs() {
                let (name, text) = super::FILES[$number];
                super::ours_after_theirs(super::SAME, name, text, $number);
            }
            // Its hashes differ, what it makes does not.
            #[test]
            fn ours_after_an_older_one() {
                let (name, text) = super::FILES[$number];
                super::ours_after_theirs(super::OLDER, name, text, $number + 200);
            }
            #[test]
            fn theirs_after_ours() {
                let (name, text) = super::FILES[$number];
                super::theirs_after_ours(name, text, $number);
            }
            #[test]
            fn hashes() {
                let (name, text) = super::FILES[$number];
                super::hashes_agree(name, text, $number);
            }
        }
    )*};
}

both_ways! { plain 0, networks 1, volumes 2, health 3, files 4, limits 5, build 6, extends 7, interpolated 8, links 9 }

#[test]
fn an_older_compose_project_is_taken_over_without_loss() {
    let text = "services: {web: {IDLE, volumes: ['data:/data']}, db: {IDLE}}\nvolumes: {data: {}}";
    let site = Site::with("io-older", text);
    site.compose_does(OLDER, "up -d");
    site.ok("exec web touch /data/row");
    site.ok("status").prints(&["web", "db", "running"]);
    site.ok("up");
    site.ok("exec web test -e /data/row");
    site.is_settled();
    site.compose_does(OLDER, "ps").prints(&["-web-1", "-db-1"]);
    site.compose_does(OLDER, "down -v");
    site.holds(&[]);
}

#[test]
fn their_words_on_our_project() {
    let site = Site::up(
        "io-theirs",
        "services: {web: {image: IMAGE, stop_signal: SIGKILL, command: \"sh -c 'echo hello; exec sleep infinity'\", ports: ['127.0.0.1::80']}, db: {IDLE}}",
    );
    for version in [SAME, OLDER] {
        site.compose_does(version, "ps").prints(&["-web-1", "-db-1"]);
        site.compose_does(version, "ls").prints(&[&site.name]);
        site.compose_does(version, "logs web").prints(&["hello"]);
        site.compose_does(version, "exec -T web echo there").prints(&["there\n"]);
        let port = site.compose_does(version, "port web 80").out;
        assert_eq!(port, site.ok("port web 80").out);
    }
    site.compose_does(SAME, "stop web");
    assert_eq!(site.json("status web --json")["services"][0]["state"], "exited");
    site.compose_does(SAME, "start web");
    site.compose_does(SAME, "up -d --scale db=2");
    site.holds(&[
        "container P-db-1 running",
        "container P-db-2 running",
        "container P-web-1 running",
        "network P_default",
    ]);
    site.ok("up --scale db=1");
    site.holds(&["container P-db-1 running", "container P-web-1 running", "network P_default"]);
    site.compose_does(SAME, "down");
    site.holds(&[]);
}

#[test]
fn our_words_on_their_project() {
    let site = Site::with(
        "io-ours",
        "services: {web: {image: IMAGE, stop_signal: SIGKILL, command: \"sh -c 'echo hello; exec sleep infinity'\"}, db: {IDLE}}",
    );
    site.compose_does(SAME, "up -d --scale db=2");
    site.ok("status").prints(&["-web-1", "-db-1", "-db-2"]);
    site.ok("logs web").prints(&["hello"]);
    site.ok("exec -T web echo there").prints(&["there\n"]);
    site.ok("restart db");
    site.ok("stop");
    site.ok("start");
    site.ok("up --scale db=2 --dry-run").says(&["nothing to do"]);
    site.ok("down");
    site.holds(&[]);
}

#[test]
fn one_offs_and_orphans_of_either() {
    let site = Site::with("io-oneoff", "services: {web: {IDLE}, old: {IDLE}}");
    site.compose_does(SAME, "up -d");
    site.compose_does(SAME, "run -d web sleep infinity");
    site.ok("run -d web sleep infinity");
    // A one-off is no container of its service, for either.
    site.is_settled();
    assert_eq!(site.json("status --json")["services"].as_array().unwrap().len(), 2);
    assert_eq!(site.json("status --all --json")["services"].as_array().unwrap().len(), 4);
    let ps = site.compose_does(SAME, "ps");
    assert!(!ps.out.contains("-run-"), "{ps}");
    site.compose_does(SAME, "ps --all --orphans=false");
    site.compose("services: {web: {IDLE}}");
    site.ok("up").says(&["-old-1"]);
    let theirs = site.compose_does(SAME, "up -d");
    assert!(theirs.err.contains("orphan"), "{theirs}");
    site.ok("up --remove-orphans");
    assert!(!site.inventory().contains(&"container P-old-1 running".to_owned()));
    site.ok("down --remove-orphans");
    site.holds(&[]);
}

#[test]
fn a_change_of_either_is_seen_by_the_other() {
    let text = "services: {web: {IDLE}, db: {IDLE}}";
    let site = Site::with("io-change", text);
    site.compose_does(SAME, "up -d");
    site.compose(&text.replace("web: {IDLE}", "web: {IDLE, environment: {A: b}}"));
    let db = site.id("db");
    site.ok("up --dry-run").prints(&["configuration changed: environment.A"]);
    site.ok("up --explain").prints(&["environment.A: unset → \"b\""]);
    site.ok("up");
    site.compose(text);
    let web = site.id("web");
    site.compose_does(SAME, "up -d");
    assert_ne!(site.id("web"), web);
    assert_eq!(site.id("db"), db);
    site.is_settled();
}

#[test]
fn theirs_goes_on_with_the_data_of_a_branch() {
    let site = Site::pooled_up("io-branch", crate::pooled::FILES, "one");
    site.ok("db branch create feat");
    site.write("two");
    let (ids, inventory) = (site.ids(), site.inventory());
    for version in [SAME, OLDER] {
        let run = site.compose_does(version, "up -d");
        // The older one's hashes differ, so that it makes the containers anew.
        if version == SAME {
            assert_eq!((site.ids(), site.inventory()), (ids.clone(), inventory.clone()), "{run}");
        }
        assert_eq!(site.row(), "two");
        site.compose_does(version, "down");
        site.compose_does(version, "up -d");
        assert_eq!(site.row(), "two", "{version}");
    }
    site.ok("db branch switch main");
    assert_eq!(site.row(), "one");
    // It takes the volumes away, and not what is in the pool.
    site.compose_does(SAME, "down -v");
    site.holds(&[]);
    site.ok("up");
    assert_eq!(site.row(), "one");
    // What it makes in place of a branch is never taken for one.
    site.compose_does(SAME, "down -v");
    site.compose_does(SAME, "up -d");
    site.compose_does(SAME, "down");
    site.run("up").exits(7).says(&["another tool made it anew", "is safe in the pool", "docker volume rm"]);
    site.compose_does(SAME, "down -v");
    site.ok("db branch switch feat");
    site.ok("up");
    assert_eq!(site.row(), "two");
    site.agrees();
}
