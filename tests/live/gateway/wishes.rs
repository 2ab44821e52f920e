//! What a compose file and a person ask of the gateway: ports, sleep, memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Gate, free_port};
use crate::site::{Site, until};

const WEB: &str = "services:
  web:
    image: IMAGE
    command: perl /server.pl
    stop_signal: SIGKILL
    environment: {NAME: 'web', PORT: '80', SITE: 'http://localhost:API/x', OWN: 'http://localhost:80'}
    expose: ['80']
    volumes: ['./server.pl:/server.pl:ro']
  api: {IDLE, ports: ['127.0.0.1:API:7000']}
";

/// A project in git with the stack above, on `main`, up, with what stands under `x-devenv`.
fn up(test: &str, wishes: &str) -> (Gate, u16) {
    let gate = Gate::new(test);
    let port = free_port();
    gate.site.compose(&format!("{}{wishes}", WEB.replace("API", &port.to_string())));
    gate.site.ok("up");
    (gate, port)
}

/// What a port of the gateway answers.
fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    // The server leaves the connection open.
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

fn status(gate: &Gate) -> Value {
    gate.site.json("gateway status --json")["gateway"].clone()
}

fn sleeps_after(gate: &Gate, environment: &str) -> Value {
    let all = status(gate)["environments"].as_array().unwrap().clone();
    let ours = all.iter().find(|it| it["project"] == *gate.site.name && it["environment"] == environment);
    ours.unwrap()["sleeps_after"].clone()
}

#[test]
fn ports_are_opened_by_the_file_and_by_hand() {
    let port = free_port();
    let (gate, _) =
        up("gwports", &format!("x-devenv: {{gateway: {{idle: 90s, ports: {{'{port}': web}}}}}}\n"));
    assert_eq!(get(port).as_deref(), Some("web"));
    let own = |it: &Value| it["port"] == port && it["declared"] == true && it["protocol"] == "http";
    assert!(status(&gate)["ports"].as_array().unwrap().iter().any(own));
    assert_eq!(sleeps_after(&gate, "main"), 90);
    // By hand, which comes before the file; and taken back.
    gate.site.ok("gateway idle never");
    assert_eq!(sleeps_after(&gate, "main"), Value::Null);
    gate.site.ok("gateway idle usual");
    gate.site.ok("gateway idle 5m --all-environments");
    assert_eq!(sleeps_after(&gate, "main"), 300);
    gate.site.ok("gateway idle usual --all-environments");
    assert_eq!(sleeps_after(&gate, "main"), 90);
    let other = free_port();
    gate.site.ok(&format!("gateway port {other} web:80/tcp")).prints(&["TCP", "web of "]);
    assert_eq!(get(other).as_deref(), Some("web"));
    gate.site.run(&format!("gateway port {other}")).exits(2).says(&["--off"]);
    gate.site
        .run(&format!("gateway port {other} nobody"))
        .exits(2)
        .says(&["no service `nobody`; there are api, web"]);
    gate.site.ok(&format!("gateway port {other} --off"));
    assert_eq!(get(other), None);
    gate.site.run(&format!("gateway port {other} --off")).exits(1).says(&["leads nowhere"]);
    // What the file does not name any more is closed; what belongs to another project stays there.
    let text = std::fs::read_to_string(gate.site.dir().join("compose.yaml")).unwrap();
    gate.site.compose(text.split("x-devenv").next().unwrap());
    gate.site.ok("up");
    assert_eq!(get(port), None);
    gate.ask(&json!({ "port": { "port": other, "leads": { "project": "somebody-else", "service": "web",
        "container_port": 80, "protocol": "http" } } }));
    gate.site.compose(&text.replace(&port.to_string(), &other.to_string()));
    gate.site
        .ok("up")
        .says(&[&format!("port {other} leads to `web` of somebody-else already"), "gateway port"]);
    gate.site.compose(&text.replace("90s", "soon"));
    gate.site.run("up").exits(3).says(&["`soon` is no span", "compose.yaml:"]);
}

#[cfg(feature = "failpoints")]
#[test]
fn memory_that_would_run_out() {
    let (gate, _) = up("gwmemory", "");
    let text = std::fs::read_to_string(gate.site.dir().join("compose.yaml")).unwrap();
    let limited = text.replacen("image: ", "mem_limit: 200m\n    image: ", 1);
    gate.site.compose(&limited);
    gate.site.ok("up");
    gate.site.ok("env create qa --no-up");
    // 200 MiB are needed and 600 free, of which 512 are reserved; `main` holds some, and that is not enough.
    let free = |bytes: u64| format!("memory:free=return({bytes});memory:only-own=return");
    let refused = gate.site.failing(&free(600 << 20), "-e qa up").exits(5);
    refused.says(&[
        "no room for environment `qa`",
        "it needs 200 MiB of memory; 600 MiB are free",
        "policy: ignore",
    ]);
    gate.is("main", "awake");
    // A little short of it: what `main` holds is enough.
    let slept = gate.site.failing(&free((712 << 20) - 4096), "-e qa up").exits(0);
    slept.says(&[&format!("{}/main was put to sleep", gate.site.name)]);
    gate.is("main", "asleep");
    gate.is("qa", "awake");
    gate.answers("web.main", "web");
    gate.is("main", "awake");
    gate.site.ok("-e qa down");
    gate.site.compose(&format!("{limited}x-devenv: {{memory: {{policy: refuse, reserve: 1T}}}}\n"));
    gate.site.run("-e qa up").exits(5).says(&["1.0 TiB are reserved"]);
    gate.site.compose(&format!("{limited}x-devenv: {{memory: {{policy: ignore, reserve: 1T}}}}\n"));
    gate.site.ok("-e qa up").says(&["memory may run out"]);
    gate.is("main", "awake");
    gate.site.compose(&format!("{limited}x-devenv: {{memory: {{policy: maybe}}}}\n"));
    gate.site.run("-e qa up").exits(3).says(&["sleep, refuse or ignore", "compose.yaml:"]);
}

#[test]
fn addresses_in_variables_follow() {
    let (gate, port) = up("gwurls", "");
    let site: &Site = &gate.site;
    let variable = |environment: &str, name: &str| {
        let words = ["-e", environment, "exec", "-T", "web", "sh", "-c", &format!("echo ${name}")];
        site.run_args(&words).exits(0).out.trim().to_owned()
    };
    site.ok("env create qa").says(&["SITE of service `web`", &format!("localhost:{port} in the file")]);
    let theirs = site.ok("-e qa port api 7000").out.trim().rsplit(':').next().unwrap().to_owned();
    assert_ne!(theirs, port.to_string());
    assert_eq!(variable("qa", "SITE"), format!("http://localhost:{theirs}/x"));
    assert_eq!(variable("qa", "OWN"), "http://localhost:80");
    assert_eq!(variable("main", "SITE"), format!("http://localhost:{port}/x"));
    let text = std::fs::read_to_string(site.dir().join("compose.yaml")).unwrap();
    site.compose(&format!("{text}x-devenv: {{urls: keep}}\n"));
    site.ok("-e qa up");
    assert_eq!(variable("qa", "SITE"), format!("http://localhost:{port}/x"));
}

#[test]
fn visitors_of_published_ports_keep_it_awake() {
    let gate = Gate::new("gwvisit");
    let port = free_port();
    gate.site.compose(
        &WEB.replace("API", &free_port().to_string())
            .replace("expose: ['80']", &format!("ports: ['127.0.0.1:{port}:80']")),
    );
    gate.site.ok("up");
    gate.site.ok("gateway idle 6s");
    // The engine takes connections before the server does.
    until("it answers", || get(port).filter(|said| said == "web"));
    // Nothing of this goes through the gateway.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        for _ in 0..20 {
            assert_eq!(get(port).as_deref(), Some("web"));
        }
        assert_eq!(gate.state("main"), "awake");
        std::thread::sleep(Duration::from_millis(300));
    }
    gate.is("main", "asleep");
    // Whoever comes is answered, once the port is taken over.
    until("it answers again", || get(port).filter(|said| said == "web"));
    gate.is("main", "awake");
}
