//! Bad input: one clear sentence, where it is, its exit code, and nothing left behind.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::site::{Site, engine, free_port};

/// Wants `up` to fail like this before anything was made.
#[track_caller]
fn refused(test: &str, compose: &str, code: i32, says: &[&str]) {
    let site = Site::with(test, compose);
    for words in ["up", "up --dry-run"] {
        site.run(words).exits(code).says(says);
        site.holds(&[]);
    }
}

#[test]
fn a_file_that_is_missing() {
    let site = Site::new("nofile");
    site.run("up").exits(3).says(&["compose.yaml"]);
    site.run("-f other.yaml up").exits(3).says(&["other.yaml"]);
    site.run("-C nowhere up").exits(2).says(&["nowhere"]);
    site.compose("services: {web: {IDLE, env_file: lost.env}}");
    site.run("up").exits(3).says(&["lost.env"]);
    site.compose("include: [lost.yaml]\nservices: {}");
    site.run("up").exits(3).says(&["lost.yaml"]);
    site.compose("services: {web: {IDLE, build: ./lost}}");
    site.run("up --build").says(&["lost"]);
    site.holds(&[]);
}

#[test]
fn a_file_that_cannot_be_read() {
    let site = Site::with("denied", "services: {web: {IDLE}}");
    std::fs::set_permissions(site.dir().join("compose.yaml"), PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read(site.dir().join("compose.yaml")).is_ok() {
        // Root reads everything: somebody else has to try.
        site.run_as_nobody("config", false).exits(3).says(&["compose.yaml", "ermission denied"]);
    } else {
        site.run("config").exits(3).says(&["compose.yaml", "ermission denied"]);
    }
    std::fs::remove_file(site.dir().join("compose.yaml")).unwrap();
    std::fs::create_dir(site.dir().join("compose.yaml")).unwrap();
    site.run("config").exits(3).says(&["compose.yaml"]);
}

#[test]
fn mistakes_of_yaml() {
    refused("tab", "services:\n\tweb: {IDLE}", 3, &["compose.yaml:2:", "tab"]);
    refused("bracket", "services: {web: {IDLE", 3, &["compose.yaml:", "'}'"]);
    refused("double", "services:\n  web: {IDLE}\n  web: {IDLE}", 3, &["compose.yaml:3:3", "web"]);
    refused("list", "- a\n- b", 3, &["compose.yaml"]);
    refused("empty", "", 3, &["compose.yaml"]);
    refused("nul", "services: {web: {image: \"a\u{0}\"}}", 3, &["compose.yaml:1:"]);
}

#[test]
fn keys_and_values_that_are_not_understood() {
    refused(
        "key",
        "services:\n  web:\n    imagee: IMAGE",
        3,
        &["imagee", "compose.yaml:3:5", "did you mean `image`"],
    );
    refused("top", "service:\n  web: {IDLE}", 3, &["compose.yaml:1:1", "did you mean `services`"]);
    refused(
        "port",
        "services:\n  web:\n    image: IMAGE\n    ports:\n      - {target: five}",
        3,
        &["compose.yaml:5:"],
    );
    refused("type", "services:\n  web:\n    image: IMAGE\n    command: {a: b}", 3, &["compose.yaml:4:"]);
    refused(
        "span",
        "services:\n  web:\n    image: IMAGE\n    stop_grace_period: soon",
        3,
        &["compose.yaml:4:", "soon"],
    );
    refused("noimage", "services:\n  web: {command: a}", 3, &["web", "image", "compose.yaml:2:"]);
}

#[test]
fn variables_that_have_to_be_set() {
    refused(
        "unset",
        "services:\n  web:\n    image: ${TAG:?choose a version}\n",
        3,
        &["TAG", "choose a version", "compose.yaml:3:"],
    );
    let site = Site::with("unsetwarn", "services: {web: {IDLE, environment: {A: '${NOT_THERE}'}}}");
    site.ok("config").says(&["warning", "NOT_THERE"]);
}

#[test]
fn services_that_depend_in_a_circle_or_on_nothing() {
    refused(
        "cycle",
        "services: {a: {IDLE, depends_on: [b]}, b: {IDLE, depends_on: [c]}, c: {IDLE, depends_on: [a]}}",
        3,
        &["a -> b -> c -> a"],
    );
    refused(
        "nodep",
        "services:\n  web:\n    image: IMAGE\n    depends_on: [dp]\n  db: {IDLE}",
        3,
        &["web", "dp", "compose.yaml:4:"],
    );
    refused(
        "nonet",
        "services:\n  web:\n    image: IMAGE\n    networks: [nt]\n",
        3,
        &["web", "nt", "compose.yaml:4:"],
    );
    refused(
        "novol",
        "services:\n  web:\n    image: IMAGE\n    volumes: ['dta:/x']\n",
        3,
        &["web", "dta", "compose.yaml:4:"],
    );
}

#[test]
fn a_service_that_is_not_there() {
    let site = Site::up("nosvc", "services: {web: {IDLE}}");
    for words in [
        "up wep",
        "stop wep",
        "restart wep",
        "logs wep",
        "exec wep true",
        "run wep true",
        "port wep 80",
        "build wep",
        "pull wep",
        "top wep",
        "wait wep",
        "status wep",
        "down wep",
        "cp wep:/x .",
        "kill wep",
    ] {
        site.run(words).exits(2).says(&["no such service: wep", "did you mean `web`?"]);
    }
    site.holds(&["container P-web-1 running", "network P_default"]);
}

#[test]
fn a_port_that_a_process_has() {
    let holder = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let site = Site::with(
        "portp",
        &format!("services: {{web: {{IDLE, ports: ['127.0.0.1:{port}:80']}}, db: {{IDLE}}}}"),
    );
    let own = format!("process {}", std::process::id());
    site.run("up").exits(5).says(&["service `web`", &port.to_string(), &own]);
    site.holds(&[]);
    drop(holder);
    site.ok("up");
    site.ok("port web 80").prints(&[&format!("127.0.0.1:{port}\n")]);
}

#[test]
fn a_port_that_a_container_has() {
    let port = free_port();
    let text = format!("services: {{web: {{IDLE, ports: ['127.0.0.1:{port}:80']}}}}");
    let holder = Site::up("portc-a", &text);
    let site = Site::with("portc-b", &text);
    let own = format!("{}-web-1", holder.name);
    site.run("up").exits(5).says(&["service `web`", &port.to_string(), &own, &holder.name]);
    site.holds(&[]);
    holder.ok("down");
    site.ok("up");
    // Its own port is no obstacle to a replacement.
    site.ok("up --force-recreate");
    site.ok("restart");
}

#[test]
fn an_image_that_nobody_has() {
    let site = Site::with(
        "noimg",
        "services: {web: {image: '127.0.0.1:1/shop/web:3'}, two: {image: '127.0.0.1:1/shop/two:3'}, db: {IDLE}}",
    );
    // All that is missing is told at once.
    site.run("up").exits(4).says(&["127.0.0.1:1/shop/web:3", "127.0.0.1:1/shop/two:3"]);
    site.holds(&[]);
    site.run("up --pull never").exits(4).says(&["127.0.0.1:1/shop/web:3", "web"]);
    site.run("pull").exits(4).says(&["127.0.0.1:1/shop/web:3"]);
    site.holds(&[]);
    site.ok("up db");
}

// ── the engine ──────────────────────────────────────────────────────────────────────────────────────────

const COMMANDS: [&str; 4] = ["up", "down", "status", "logs"];

#[test]
fn an_engine_that_is_absent() {
    let mut site = Site::with("absent", "services: {web: {IDLE}}");
    let socket = site.dir().join("no.sock");
    site.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
    for words in COMMANDS {
        site.run(words).exits(4).says(&["no.sock", "hint", "DOCKER_HOST"]);
    }
    // A socket that nobody listens on, and a port.
    drop(UnixListener::bind(&socket).unwrap());
    site.run("up").exits(4).says(&["no.sock"]);
    site.set("DOCKER_HOST", &format!("tcp://127.0.0.1:{}", free_port()));
    site.run("status").exits(4).says(&["127.0.0.1"]);
    site.set("DOCKER_HOST", "nonsense://x");
    site.run("status").exits(4).says(&["nonsense://x"]);
}

#[test]
fn an_engine_that_says_nothing() {
    let mut site = Site::with("silent", "services: {web: {IDLE}}");
    let socket = site.dir().join("silent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // Every call is accepted and kept; none is answered.
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    site.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
    for words in ["up", "status"] {
        site.run(words).exits(4).says(&["silent.sock", "hint"]);
    }
}

#[test]
fn an_engine_that_goes_away_in_the_middle() {
    let mut site = Site::with("cut", "services: {web: {IDLE}}");
    let socket = site.dir().join("cut.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // The first calls are passed on, those after them are cut.
    std::thread::spawn(move || {
        let mut calls = 0;
        for stream in listener.incoming().flatten() {
            calls += 1;
            if calls > 2 {
                continue;
            }
            let real = std::os::unix::net::UnixStream::connect(crate::site::socket()).unwrap();
            for (mut from, mut to) in
                [(stream.try_clone().unwrap(), real.try_clone().unwrap()), (real, stream)]
            {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    site.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let run = site.run("up");
    assert!(matches!(run.code, Some(1 | 4)), "{run}");
    assert!(run.err.starts_with("error:") || run.err.contains("\nerror:"), "{run}");
}

#[test]
fn an_engine_that_one_may_not_use() {
    let site = Site::with("nobody", "services: {web: {IDLE}}");
    let run = site.run_as_nobody("status", false).exits(4).says(&["docker.sock", "hint"]);
    assert!(run.err.contains("ermission") || run.err.contains("may not"), "{run}");
}

#[test]
fn the_command_line_itself() {
    let site = Site::with("usage", "services: {web: {IDLE}}");
    site.run("upp").exits(2).says(&["upp", "up"]);
    site.run("up --nonsense").exits(2).says(&["--nonsense"]);
    site.run("up --scale web").exits(2).says(&["SERVICE=NUMBER"]);
    site.run("up --timeout soon").exits(2).says(&["soon"]);
    site.run("port web nine").exits(2);
    site.run("cp a b").exits(2).says(&["SERVICE:PATH"]);
    site.run("exec").exits(2);
    assert_eq!(engine("GET", "/_ping").0, 200);
}
