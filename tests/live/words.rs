//! `exec run logs cp port top events` and their like, on a project that runs.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::process::Signal;

use crate::site::{Run, Site, free_port, signal, until};

const IDLE: &str = "services: {web: {IDLE}}";

#[test]
fn exec_passes_on_code_input_and_output() {
    let site = Site::up("exec", "services: {web: {IDLE, environment: {A: a}}}");
    site.run_args(&["exec", "web", "sh", "-c", "exit 42"]).exits(42);
    let run = site.run_args(&["exec", "web", "sh", "-c", "echo out; echo err >&2"]).exits(0);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("out\n", "err\n"));
    let many = vec![b'x'; 3 << 20];
    let run = site.run_fed(&["exec", "-T", "web", "wc", "-c"], &many).exits(0);
    assert_eq!(run.out.trim(), (3 << 20).to_string());
    let run = site.run_fed(&["exec", "-T", "web", "cat"], b"a\0b\xff\n");
    assert_eq!(run.out, String::from_utf8_lossy(b"a\0b\xff\n"));
    let run = site.run("exec -e B=b -u 7 -w /srv web sh -c env").exits(0);
    run.prints(&["A=a\n", "B=b\n", "PWD=/srv\n"]);
    site.ok("exec -u 7:8 web id -g").prints(&["8"]);
    // Older engines say 126 where newer ones say 127.
    let run = site.run("exec web no-such-program");
    assert!(matches!(run.code, Some(126 | 127)), "{run}");
    site.ok("exec web -- echo --help").prints(&["--help"]);
    site.ok("exec -d web touch /tmp/later");
    until("the detached command ran", || {
        (site.run("exec web test -e /tmp/later").code == Some(0)).then_some(())
    });
    site.ok("stop");
    site.run("exec web true").exits(1).says(&["web", "not run"]);
}

#[test]
fn exec_needs_the_index_of_one_of_several() {
    let site = Site::up("index", "services: {web: {IDLE, scale: 2}}");
    let host = |words: &str| site.ok(words).out;
    assert_ne!(host("exec --index 1 web hostname"), host("exec --index 2 web hostname"));
    site.run("exec --index 3 web true").exits(1);
}

#[test]
fn run_makes_a_container_of_its_own_and_leaves_nothing() {
    let site = Site::with(
        "run",
        "services:
  job: {IDLE, depends_on: {db: {condition: service_healthy}}, ports: ['127.0.0.1:PORT:80'], environment: {A: a}}
  db: {IDLE, healthcheck: {test: 'true', interval: 100ms}}",
    );
    let text = std::fs::read_to_string(site.dir().join("compose.yaml")).unwrap();
    site.compose(&text.replace("PORT", &free_port().to_string()));
    let run = site.run_args(&["run", "job", "sh", "-c", "echo $A $B; exit 5"]).exits(5);
    run.prints(&["a"]);
    site.holds(&["container P-db-1 running", "network P_default"]);
    let run = site
        .run_fed(&["run", "--rm", "-T", "-e", "B=b", "job", "sh", "-c", "cat; echo $B"], b"in\n")
        .exits(0);
    assert_eq!(run.out, "in\nb\n");
    site.holds(&["container P-db-1 running", "network P_default"]);
    site.ok("down");
    site.ok("run --no-deps job true");
    site.holds(&["network P_default"]);
    let name = site.ok("run -d --no-deps job sleep infinity").out;
    assert!(
        site.inventory().iter().any(|line| line.contains("-job-run-") && line.contains("running")),
        "{name}"
    );
    // A one-off is no container of the service, but goes with the project.
    site.ok("up");
    site.ok("down");
    site.holds(&[]);
    site.run("run --no-deps job no-such-program").exits(1).says(&["no-such-program"]);
    site.ok("down");
    site.holds(&[]);
}

#[test]
fn run_passes_signals_on() {
    let site = Site::with("runsig", IDLE);
    let mut command = site.program(env!("CARGO_BIN_EXE_devenv"));
    let script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = command.args(["run", "-T", "web", "sh", "-c", script]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    signal(&child, Signal::TERM);
    assert_eq!(lines.next().unwrap().unwrap(), "got it");
    assert_eq!(child.wait().unwrap().code(), Some(9));
    site.holds(&["network P_default"]);
}

#[test]
fn run_fails_when_a_dependency_does() {
    let site = Site::with(
        "rundep",
        "services: {job: {IDLE, depends_on: {db: {condition: service_completed_successfully}}}, db: {image: IMAGE, command: 'false'}}",
    );
    site.run("run job true").exits(6).says(&["service `db` exited (1)"]);
    assert!(!site.inventory().iter().any(|line| line.contains("-job-")), "{:?}", site.inventory());
}

#[test]
fn logs_follow_until_the_containers_end() {
    let site = Site::with(
        "logs",
        "services:
  web: {image: IMAGE, command: \"sh -c 'echo one; echo two; echo err >&2; until test -e /go; do sleep 0.05; done; echo three'\"}
  job: {image: IMAGE, command: echo hello}",
    );
    site.ok("up");
    let all = site.ok("logs").prints(&["-web-1 | one\n", "-web-1 | err\n", "-job-1 | hello\n"]);
    assert_eq!(all.out.lines().count(), 4, "{all}");
    assert_eq!(site.ok("logs --no-prefix --tail 2 job").out, "hello\n");
    assert_eq!(site.ok("logs --no-prefix --grep on web").out, "one\n");
    assert_eq!(site.ok("logs --no-prefix job").out, "hello\n");
    site.ok("logs --since 1h --timestamps").prints(&["T"]);
    for line in site.ok("logs --json").out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["service"].is_string() && line["line"].is_string(), "{line}");
    }
    let mut follow = site.spawn("logs -f --no-prefix web");
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    // The engine may have them in another order, as they came in two pipes.
    let mut first: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    first.sort();
    assert_eq!(first, ["err", "one", "two"]);
    site.ok("exec web touch /go");
    assert_eq!(lines.next().unwrap().unwrap(), "three");
    assert!(lines.next().is_none());
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

#[test]
fn logs_end_quietly_when_the_reader_goes_away() {
    let site = Site::up("pipe", "services: {web: {image: IMAGE, command: \"sh -c 'seq 1 20000'\"}}");
    for words in ["logs", "logs -f", "logs --json", "status", "config"] {
        let mut child = site.spawn(words);
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let run = Run::of(words, child);
        assert!(matches!(run.code, Some(0 | 141)) && run.err.is_empty(), "{run}");
    }
}

#[test]
fn cp_goes_both_ways() {
    let site = Site::up("cp", IDLE);
    site.file("one.txt", "one\n");
    site.file("folder/a", "a\n");
    site.file("folder/deep/b", "b\n");
    let inside = |command: &str| site.run_args(&["exec", "-T", "web", "sh", "-c", command]).exits(0).out;
    let read = |path: &str| std::fs::read_to_string(site.dir().join(path)).unwrap();
    // In: a file under a new name, into a folder, a folder as a new one, and into one that is there.
    site.ok("cp one.txt web:/tmp/renamed");
    site.ok("cp one.txt web:/srv");
    site.ok("cp folder web:/tmp/new");
    site.ok("cp folder web:/srv/");
    assert_eq!(
        inside("cat /tmp/renamed /srv/one.txt /tmp/new/a /tmp/new/deep/b /srv/folder/deep/b"),
        "one\none\na\nb\nb\n"
    );
    // Out, the same.
    site.ok("cp web:/tmp/renamed back.txt");
    site.ok("cp web:/srv/one.txt folder");
    site.ok("cp web:/tmp/new out");
    site.ok("cp web:/tmp/new folder");
    assert_eq!((read("back.txt"), read("folder/one.txt")), ("one\n".into(), "one\n".into()));
    assert_eq!((read("out/deep/b"), read("folder/new/deep/b")), ("b\n".into(), "b\n".into()));
    site.run("cp web:/nowhere .").exits(1).says(&["/nowhere"]);
    site.run("cp nowhere web:/tmp").says(&["nowhere"]).exits(1);
    // A container that does not run has files too.
    site.ok("stop");
    site.ok("cp web:/srv/one.txt stopped.txt");
    assert_eq!(read("stopped.txt"), "one\n");
}

#[test]
fn port_and_top_look_in() {
    let site = Site::up(
        "port",
        "services: {web: {IDLE, ports: ['127.0.0.1::80', '127.0.0.1::53/udp']}, db: {IDLE}}",
    );
    let address = site.ok("port web 80").out;
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert_eq!(site.json("port web 80 --json")["address"], address.trim());
    site.ok("port --protocol udp web 53").prints(&["127.0.0.1:"]);
    site.run("port web 81").exits(1).says(&["81", "80"]);
    site.run("port db 80").exits(1).says(&["db"]);
    site.ok("top web").prints(&["-web-1", "sleep infinity"]);
    let top = site.json("top --json");
    assert_eq!(top["containers"].as_array().unwrap().len(), 2, "{top}");
    site.ok("status").prints(&[address.trim()]);
}

#[test]
fn events_tell_what_happens() {
    let site = Site::up("events", IDLE);
    let mut child = site.spawn("events --json");
    let out = BufReader::new(child.stdout.take().unwrap());
    // The stream may not stand yet: something happens until the first word of it.
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let seen = until("a restart is told", || {
        site.ok("restart web");
        receiver.try_iter().find(|line| line.contains("\"start\""))
    });
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!((seen["service"].as_str(), seen["action"].as_str()), (Some("web"), Some("start")), "{seen}");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn up_attach_shows_logs_and_stops_on_ctrl_c() {
    let site = Site::with(
        "attach",
        "services: {web: {image: IMAGE, stop_signal: SIGKILL, command: \"sh -c 'echo here I am; exec sleep infinity'\"}}",
    );
    let mut child = site.spawn("up --attach");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().ends_with("| here I am"));
    signal(&child, Signal::INT);
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    assert_eq!(site.inspect("web")["State"]["Status"], "exited");
}

#[test]
fn every_json_is_json() {
    let site = Site::with(
        "json",
        "services: {web: {IDLE, ports: ['127.0.0.1::80']}, built: {build: {dockerfile_inline: 'FROM IMAGE'}, command: sleep infinity, stop_signal: SIGKILL}}",
    );
    for words in [
        "config --json",
        "config --format json",
        "build --json",
        "up --dry-run --json",
        "up --json",
        "status --json",
        "status -o json",
        "port web 80 --json",
        "top --json",
        "stop --json",
        "start --json",
        "restart --json",
        "pause --json",
        "unpause --json",
        "wait web --for ready --json",
        "pull --missing --json web",
        "down --dry-run --json",
        "down --json",
        "doctor --json",
    ] {
        let run = site.run(words);
        assert!(words.starts_with("doctor") || run.code == Some(0), "{run}");
        let document = run.json();
        assert!(words.contains("config") || document["version"].is_number(), "{words}: {document}");
        for line in run.err.lines() {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|error| panic!("{error} in {line}: {run}"));
        }
    }
    let failed = site.run("up nobody --json").exits(2);
    let failure: serde_json::Value = serde_json::from_str(failed.err.lines().last().unwrap()).unwrap();
    assert!(failure.to_string().contains("no such service"), "{failure}");
}

#[test]
fn a_compose_file_from_standard_input() {
    let site = Site::new("stdin");
    let text = "services: {web: {image: IMAGE, command: sleep infinity, stop_signal: SIGKILL}}"
        .replace("IMAGE", crate::site::IMAGE);
    let mut child = site
        .program(env!("CARGO_BIN_EXE_devenv"))
        .args(["-f", "-", "up"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Run::of("-f - up", child).exits(0);
    site.holds(&["container P-web-1 running", "network P_default"]);
}
