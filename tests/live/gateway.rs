//! The gateway on a real engine, with real containers behind it; each test has a gateway and ports of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

mod death;
mod follows;
mod wishes;

use crate::site::{Site, engine, engine_with, list, until};
use crate::stacks::POSTGRES;

const STACK: &str = "services:
  web:
    image: IMAGE
    command: perl /server.pl
    stop_signal: SIGKILL
    environment: {NAME: 'web of ENVIRONMENT', PORT: '80'}
    expose: ['80']
    volumes: ['./server.pl:/server.pl:ro']
    labels: {dev.devenv.project: PROJECT, dev.devenv.environment: ENVIRONMENT}
    depends_on: {api: {condition: service_healthy}}
  api:
    image: IMAGE
    command: perl /server.pl
    stop_signal: SIGKILL
    environment: {NAME: 'api of ENVIRONMENT', PORT: '7000'}
    expose: ['7000', '7001']
    volumes: ['./server.pl:/server.pl:ro']
    labels: {dev.devenv.project: PROJECT, dev.devenv.environment: ENVIRONMENT, dev.devenv.http: '7000'}
    healthcheck: {test: 'perl -MIO::Socket::INET -e \"exit !IO::Socket::INET->new(q(127.0.0.1:7000))\"', interval: 200ms}
";

/// A project and a gateway of a test's own.
struct Gate {
    site: Site,
    name: String,
    port: u16,
}

/// A port that nobody has, and that the engine gives nobody either.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 7;
        let port = u16::try_from(20_000 + step % 10_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Gives a project a gateway's name that nobody else has, and the program that stacks here run.
fn gateway_of_its_own(site: &mut Site) -> String {
    let name = format!("{}-gateway", site.name);
    site.set("DEVENV_GATEWAY", &name);
    site.file("server.pl", include_str!("gateway/server.pl"));
    name
}

impl Gate {
    /// A project with nothing up, and a gateway.
    fn new(test: &str) -> Self {
        let mut site = Site::new(test);
        site.has_branches();
        Self::over(site)
    }

    /// A gateway for a project that is there.
    fn over(mut site: Site) -> Self {
        let name = gateway_of_its_own(&mut site);
        let gate = Self { port: free_port(), site, name };
        gate.site.ok(&format!("gateway up --port {}", gate.port));
        gate
    }

    /// The same with `STACK` as the environment `main`.
    fn up(test: &str) -> Self {
        let gate = Self::new(test);
        gate.environment("main", STACK);
        gate
    }

    /// Starts an environment.
    fn environment(&self, environment: &str, stack: &str) {
        let file = format!("{environment}.yaml");
        let text = stack.replace("PROJECT", &self.site.name).replace("ENVIRONMENT", environment);
        self.site.file(&file, &text);
        self.site.ok(&format!("-f {file} -p {} up", self.stack(environment)));
    }

    fn stack(&self, environment: &str) -> String {
        if environment == "main" {
            self.site.name.clone()
        } else {
            format!("{}-{environment}", self.site.name)
        }
    }

    fn devenv(&self, environment: &str, words: &str) {
        self.site.ok(&format!("-f {environment}.yaml -p {} {words}", self.stack(environment)));
    }

    fn ask(&self, ask: &Value) -> Value {
        self.site.run_args(&["gateway", "ask", &ask.to_string()]).exits(0).json()
    }

    fn current(&self, environment: &str) {
        self.ask(&json!({ "current": { "project": self.site.name, "environment": environment } }));
    }

    fn sleep(&self, environment: &str) {
        self.ask(&json!({ "sleep": { "project": self.site.name, "environment": environment } }));
        self.is(environment, "asleep");
    }

    /// Lets a port lead to a service.
    fn fixed(&self, service: &str, container_port: u16, protocol: &str) -> u16 {
        let port = free_port();
        let leads = json!({ "project": self.site.name, "service": service, "container_port": container_port,
                            "protocol": protocol });
        self.ask(&json!({ "port": { "port": port, "leads": leads } }));
        port
    }

    /// The state of an environment.
    fn state(&self, environment: &str) -> String {
        let status = self.site.json("gateway status --json");
        let all = status["gateway"]["environments"].as_array().unwrap().clone();
        let ours =
            all.iter().find(|it| it["project"] == *self.site.name && it["environment"] == *environment);
        ours.map_or_else(String::new, |it| it["state"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn is(&self, environment: &str, state: &str) {
        until(&format!("{environment} is {state}"), || (self.state(environment) == state).then_some(()));
    }

    fn host(&self, names: &str) -> String {
        format!("{names}.{}.localhost", self.site.name)
    }

    fn get(&self, host: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        exchange(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    #[track_caller]
    fn answers(&self, names: &str, wanted: &str) {
        let (code, body) = self.get(&self.host(names), "/");
        assert_eq!((code, body.as_str()), (200, wanted), "{names}");
    }

    fn container(&self) -> Value {
        engine("GET", &format!("/containers/{}/json", self.name)).1
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = self.site.run("gateway status --json");
            println!("{status}");
        }
        engine("DELETE", &format!("/containers/{}?force=1&v=1", self.name));
        engine("DELETE", &format!("/volumes/{}?force=1", self.name));
    }
}

/// Sends a request and reads the whole answer: status and body.
fn exchange(stream: &mut TcpStream, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, body.to_owned())
}

/// Reads the head of an answer.
fn head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head:?}");
    }
    head
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn names_lead_to_environments_and_foreign_ones_nowhere() {
    let gate = Gate::up("gwnames");
    gate.environment("feat-x", STACK);
    gate.answers("web.main", "web of main");
    gate.answers("api.feat-x", "api of feat-x");
    // `main` as long as nothing was said.
    gate.answers("web", "web of main");
    gate.current("feat-x");
    gate.answers("web", "web of feat-x");
    gate.answers("web.main", "web of main");
    gate.current("main");
    gate.answers("web", "web of main");
    // Two services speak HTTP; one of them says so.
    let (code, body) = gate.get(&format!("{}.localhost", gate.site.name), "/");
    assert_eq!((code, body.as_str()), (200, "api of main"));

    for host in [
        "example.com",
        "127.0.0.1",
        "localhost.example.com",
        &gate.host("web.main").replace("localhost", "test"),
    ] {
        let (code, body) = gate.get(host, "/");
        assert_eq!(code, 421, "{host}: {body}");
        assert!(body.contains(".localhost") && !body.contains("web of"), "{body}");
    }
    let (code, body) = gate.get(&gate.host("wbe.main"), "/");
    assert!(
        code == 404 && body.contains("no service `wbe`") && body.contains(&gate.host("api.feat-x")),
        "{body}"
    );
    let (code, body) = gate.get("web.main.no-such.localhost", "/");
    assert!(code == 404 && body.contains("no project `no-such`"), "{body}");
    let (code, body) = gate.get("localhost", "/");
    assert!(code == 200 && body.contains(&gate.host("web")), "{body}");

    let routes = gate.site.json("gateway routes --json");
    let ours: Vec<&Value> =
        routes["routes"].as_array().unwrap().iter().filter(|it| it["project"] == *gate.site.name).collect();
    assert_eq!(ours.len(), 4);
    assert_eq!(ours[2]["short"], format!("http://api.{}.localhost:{}", gate.site.name, gate.port));
    assert_eq!(ours[0]["url"], format!("http://api.feat-x.{}.localhost:{}", gate.site.name, gate.port));
}

#[test]
fn what_is_passed_on_is_passed_on_as_it_comes() {
    let gate = Gate::up("gwbody");
    let host = gate.host("web.main");
    let (_, head_seen) = gate.get(&host, "/head");
    let seen = head_seen.to_lowercase();
    for line in [
        format!("host: {host}"),
        format!("x-forwarded-host: {host}"),
        "x-forwarded-proto: http".to_owned(),
        "x-forwarded-for: 127.0.0.1".to_owned(),
    ] {
        assert!(seen.contains(&format!("{line}\r\n")), "{line} in {head_seen}");
    }
    assert!(!seen.contains("connection:"), "{head_seen}");

    let mut counts = Vec::new();
    // Several requests on one connection, which the upstream sees as one too.
    let stream = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..3 {
        write!(&stream, "GET /count HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        assert!(head(&mut reader).contains("content-length: 1"));
        let mut count = [0; 1];
        reader.read_exact(&mut count).unwrap();
        counts.push(count[0] - b'0');
    }
    assert_eq!([counts[1] - counts[0], counts[2] - counts[1]], [1, 1], "{counts:?}");

    // An upload of 200 MB, and one in chunks of no known length; the gateway keeps neither.
    let mut stream = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
    let size = 200 << 20;
    write!(stream, "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n")
        .unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        stream.write_all(&piece).unwrap();
    }
    assert!(exchange(&mut stream, "").1.starts_with(&format!("{size} bytes")));
    let status = gate.site.json("gateway status --json");
    let memory = status["gateway"]["memory"].as_u64().unwrap();
    assert!(memory < 150 << 20, "{memory} bytes after an upload of {size}");
    let mut stream = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
    let chunks = "4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
    );
    assert!(exchange(&mut stream, &request).1.starts_with("7 bytes"));

    // The second event is sent only after the first was seen here.
    let stream = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    write!(&stream, "GET /stream HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    assert!(head(&mut reader).contains("text/event-stream"));
    let mut told = String::new();
    while !told.contains("the first") {
        assert_ne!(reader.read_line(&mut told).unwrap(), 0, "{told}");
    }
    gate.get(&host, "/seen");
    while !told.contains("the second") {
        assert_ne!(reader.read_line(&mut told).unwrap(), 0, "{told}");
    }

    // A server that breaks off is no hang; for one that has just been started there is hope.
    let (code, body) = gate.get(&host, "/drop");
    assert!(code == 502 || code == 503, "{code} {body}");
}

#[test]
fn web_sockets_pass() {
    let gate = Gate::up("gwsocket");
    let stream = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let host = gate.host("web.main");
    write!(
        &stream,
        "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    .unwrap();
    let answer = head(&mut reader).to_lowercase();
    assert!(answer.starts_with("http/1.1 101") && answer.contains("upgrade: websocket"), "{answer}");
    for word in ["one", "two"] {
        writeln!(&stream, "{word}").unwrap();
        let mut echo = String::new();
        reader.read_line(&mut echo).unwrap();
        assert_eq!(echo, format!("echo {word}\n"));
    }
    let open = gate.site.json("gateway status --json")["gateway"]["open"].as_u64();
    assert_eq!(open, Some(1));
}

// ── who may reach it ────────────────────────────────────────────────────────────────────────────────────

/// Addresses that processes of a container listen on, from the kernel's own table.
fn listens(pid: &Value, table: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // State 0A is LISTEN (Linux, `include/net/tcp_states.h`).
    rows.filter(|row| row[3] == "0A" && inodes.contains(&row[9].to_owned()))
        .map(|row| row[1].split(':').next().unwrap().to_owned())
        .collect()
}

#[test]
fn nothing_beyond_the_loopback_and_no_way_between_environments() {
    let gate = Gate::up("gwwalls");
    gate.environment("feat-x", STACK);
    gate.fixed("web", 80, "http");
    let container = gate.container();
    let pid = &container["State"]["Pid"];
    let (four, six) = (listens(pid, "tcp"), listens(pid, "tcp6"));
    assert_eq!(four.len(), 2, "{four:?}");
    assert!(four.iter().all(|address| address == "0100007F"), "{four:?}");
    assert!(six.iter().all(|address| address == "00000000000000000000000001000000"), "{six:?}");

    let host = &container["HostConfig"];
    assert_eq!((&host["ReadonlyRootfs"], &host["Privileged"]), (&json!(true), &json!(false)));
    assert_eq!((&host["CapDrop"], &host["CapAdd"]), (&json!(["ALL"]), &json!(["NET_BIND_SERVICE"])));
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    assert!(host["SecurityOpt"].as_array().unwrap().contains(&json!("no-new-privileges")), "{host}");

    // From inside one environment: the gateway by every address of the machine, and the other environment's container.
    let other = engine("GET", &format!("/containers/{}-web-1/json", gate.stack("feat-x"))).1;
    let networks = other["NetworkSettings"]["Networks"].as_object().unwrap();
    let away = networks.values().next().unwrap()["IPAddress"].as_str().unwrap().to_owned();
    let own = gate.site.inspect("web");
    let networks = own["NetworkSettings"]["Networks"].as_object().unwrap();
    let bridge = networks.values().next().unwrap()["Gateway"].as_str().unwrap().to_owned();
    let probe = |address: &str, port: u16| {
        let script = format!(
            "exit(IO::Socket::INET->new(PeerAddr => q({address}), PeerPort => {port}, Timeout => 2) ? 0 : 1)"
        );
        gate.site
            .run_args(&["-f", "main.yaml", "exec", "-T", "web", "perl", "-MIO::Socket::INET", "-e", &script])
            .code
    };
    assert_eq!(probe("127.0.0.1", 80), Some(0), "the probe works");
    for (address, port) in
        [(bridge.as_str(), gate.port), ("127.0.0.1", gate.port), (&away, 80), ("172.17.0.1", gate.port)]
    {
        assert_eq!(probe(address, port), Some(1), "{address}:{port} can be reached from inside");
    }
    // What may be reached from here may.
    gate.answers("web.feat-x", "web of feat-x");
}

// ── sleeping and waking ─────────────────────────────────────────────────────────────────────────────────

#[test]
fn what_sleeps_is_woken_by_a_request_and_what_was_stopped_is_not() {
    let gate = Gate::up("gwwake");
    gate.answers("web.main", "web of main");
    gate.sleep("main");
    let running = || gate.site.inventory().iter().filter(|line| line.ends_with("running")).count();
    assert_eq!(running(), 0);
    // However many ask, one start each, and all are answered.
    let began = |service: &str| gate.site.inspect(service)["State"]["StartedAt"].as_str().unwrap().to_owned();
    let before = began("api");
    std::thread::scope(|scope| {
        let asks: Vec<_> = (0..20).map(|_| scope.spawn(|| gate.get(&gate.host("web.main"), "/"))).collect();
        for ask in asks {
            assert_eq!(ask.join().unwrap().0, 200);
        }
    });
    assert!(began("api") > before);
    // `web` waits for `api` to be healthy.
    assert!(began("web") > began("api"));
    assert_eq!(gate.site.inspect("web")["RestartCount"], 0);
    gate.is("main", "awake");

    gate.devenv("main", "stop");
    until("it is refused", || (gate.get(&gate.host("web.main"), "/").0 == 503).then_some(()));
    assert_eq!(running(), 0);
    let (code, body) = gate.get(&gate.host("web.main"), "/");
    assert!(code == 503 && body.contains("was stopped") && body.contains("devenv up"), "{code} {body}");
    gate.devenv("main", "up");
    gate.answers("web.main", "web of main");
}

#[test]
fn nobody_there_for_a_while_and_it_sleeps() {
    let gate = Gate::up("gwidle");
    gate.answers("web.main", "web of main");
    gate.ask(
        &json!({ "idle": { "project": gate.site.name, "environment": "main", "after": { "seconds": 2 } } }),
    );
    // An open connection keeps it awake; then nothing does.
    let stream = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let host = gate.host("web.main");
    write!(&stream, "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        .unwrap();
    head(&mut reader);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(gate.state("main"), "awake");
    drop((reader, stream));
    gate.is("main", "asleep");
    gate.ask(&json!({ "idle": { "project": gate.site.name, "environment": "main", "after": "never" } }));
    gate.answers("web.main", "web of main");
}

#[test]
fn ports_of_what_sleeps_are_kept_and_given_back() {
    let gate = Gate::new("gwport");
    let port = free_port();
    gate.environment("main", &STACK.replace("expose: ['80']", &format!("ports: ['127.0.0.1:{port}:80']")));
    let once = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    // The engine takes connections before the server does.
    gate.answers("web.main", "web of main");
    assert_eq!(once(), "HTTP/1.1 200 OK");
    gate.sleep("main");
    assert_eq!(once(), "HTTP/1.1 200 OK", "the first connection after");
    gate.is("main", "awake");
    assert_eq!(once(), "HTTP/1.1 200 OK", "the engine has the port again");
    // A command that starts it says so before.
    gate.sleep("main");
    gate.ask(&json!({ "release": { "stack": gate.stack("main") } }));
    gate.devenv("main", "up");
    gate.answers("web.main", "web of main");
    assert_eq!(once(), "HTTP/1.1 200 OK");
}

// ── what it survives ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn it_remembers_through_kills_and_the_next_command_repairs() {
    let gate = Gate::up("gwkill");
    gate.environment("feat-x", STACK);
    gate.current("feat-x");
    let port = gate.fixed("web", 80, "http");
    gate.sleep("main");
    let by_port = |host: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        exchange(&mut stream, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(by_port("localhost:1").1, "web of feat-x");
    assert_eq!(by_port("example.com").0, 421);

    // A kill from inside: the engine starts it again.
    let pid = gate.container()["State"]["Pid"].as_i64().unwrap();
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    until("another one serves", || {
        let now = gate.container();
        (now["State"]["Running"] == true
            && now["State"]["Pid"] != pid
            && TcpStream::connect(("127.0.0.1", port)).is_ok())
        .then_some(())
    });
    assert_eq!(by_port("localhost").1, "web of feat-x");
    gate.answers("web", "web of feat-x");

    // A kill through the engine is one that somebody meant: the next command starts it again.
    engine_with("POST", &format!("/containers/{}/kill", gate.name), "");
    until("it is dead", || (gate.container()["State"]["Running"] == false).then_some(()));
    assert_eq!(gate.state("main"), "asleep");
    gate.answers("web", "web of feat-x");
    gate.answers("web.main", "web of main");

    // Taken away, and made again by whoever needs it.
    engine("DELETE", &format!("/containers/{}?force=1", gate.name));
    gate.site.run("gateway status").exits(1).says(&["there is no gateway", "devenv gateway up"]);
    gate.site.ok(&format!("gateway up --port {}", gate.port));
    gate.answers("web", "web of feat-x");
    let left = gate.site.ok("gateway down");
    assert!(left.err.contains("the gateway is gone"), "{left}");
    assert!(list("/containers/json?all=1").iter().all(|it| it["Names"][0] != format!("/{}", gate.name)));
}

// ── PostgreSQL ──────────────────────────────────────────────────────────────────────────────────────────

const LABELS: &str = "labels: {dev.devenv.project: PROJECT, dev.devenv.environment: ENVIRONMENT}";

/// A database of an environment, which lets everybody in.
fn database() -> String {
    POSTGRES
        .replace("ports: ['127.0.0.1::5432']", &format!("expose: ['5432']\n    {LABELS}"))
        .replace("/data']", "/data', './pg_hba.conf:/etc/postgresql/pg_hba.conf:ro']")
}

/// Runs one query over the port; the answer's first column, as text.
fn query(port: u16, user: &str, options: &[(&str, &str)], sql: &str) -> Result<String, sqlx::Error> {
    use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
    use sqlx::{ConnectOptions, Connection, Row};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Asks for TLS first, and goes on without.
        let way = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(user)
            .password("pass word")
            .database("postgres")
            .ssl_mode(PgSslMode::Prefer)
            .options(options.iter().copied());
        let mut connection: PgConnection = way.connect().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows.first().map_or_else(String::new, |row| row.get::<String, _>(0)))
    })
}

/// A session of which every byte is seen.
struct Wire(TcpStream);

impl Wire {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self(stream)
    }

    fn say(&mut self, kind: Option<u8>, body: &[u8]) {
        self.0.write_all(kind.as_slice()).unwrap();
        self.0.write_all(&u32::try_from(body.len() + 4).unwrap().to_be_bytes()).unwrap();
        self.0.write_all(body).unwrap();
    }

    /// The next message of a kind, whatever comes before.
    fn hear(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let mut first = [0; 5];
            self.0.read_exact(&mut first).unwrap();
            let length = u32::from_be_bytes(first[1..].try_into().unwrap()) as usize - 4;
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).unwrap();
            if first[0] == kind {
                return body;
            }
        }
    }
}

const BEGIN: &[u8] = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";

#[test]
fn one_address_for_the_databases_of_all_environments() {
    let gate = Gate::new("gwpg");
    gate.site.file("pg_hba.conf", "local all all trust\nhost all all all trust\n");
    gate.environment("main", &database());
    gate.environment("feat-x", &database());
    let port = gate.fixed("db", 5432, "postgres");
    for environment in ["main", "feat-x"] {
        let sql = format!(
            "do $$ begin create table here (name text); insert into here values ('{environment}'); end $$"
        );
        query(port, &format!("postgres.{environment}"), &[], &sql).unwrap();
    }
    let here = |user: &str, options: &[(&str, &str)]| query(port, user, options, "select name from here");
    assert_eq!(here("postgres", &[]).unwrap(), "main");
    assert_eq!(here("postgres.feat-x", &[]).unwrap(), "feat-x");
    assert_eq!(here("postgres", &[("devenv.branch", "feat/x")]).unwrap(), "feat-x");
    gate.current("feat-x");
    assert_eq!(here("postgres", &[]).unwrap(), "feat-x");
    assert_eq!(here("postgres.main", &[("application_name", "mine")]).unwrap(), "main");
    let shown = |name: &str| {
        query(
            port,
            "postgres",
            &[("application_name", "mine"), ("devenv.branch", "main")],
            &format!("show {name}"),
        )
    };
    assert_eq!(shown("application_name").unwrap(), "mine");
    assert!(shown("devenv.branch").is_err(), "the server sees nothing of it");
    let wrong = here("postgres.feat-y", &[]).unwrap_err();
    let wrong = wrong.as_database_error().unwrap();
    assert_eq!(wrong.code().as_deref(), Some("3D000"));
    assert!(wrong.message().contains("no environment `feat-y`"), "{wrong}");

    // A cancel request, which comes by another connection, finds its query; another key does not.
    let mut asked = Wire::open(port);
    asked.say(None, &[4, 210, 22, 47]);
    let mut answer = [0];
    asked.0.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N", "no TLS without a certificate");
    asked.say(None, BEGIN);
    let key = asked.hear(b'K');
    asked.hear(b'Z');
    asked.say(Some(b'Q'), b"select pg_sleep(600)\0");
    let cancel = |key: &[u8]| {
        let mut other = Wire::open(port);
        other.say(None, &[&[4, 210, 22, 46], key].concat());
        assert_eq!(other.0.read(&mut [0]).unwrap(), 0, "closed without a word");
    };
    let mut false_key = key.clone();
    false_key[5] ^= 1;
    let sleeping = || {
        query(
            port,
            "postgres",
            &[],
            "select count(*)::text from pg_stat_activity where query like 'select pg_sleep%'",
        )
    };
    until("it sleeps", || (sleeping().unwrap() == "1").then_some(()));
    cancel(&false_key);
    assert_eq!(sleeping().unwrap(), "1");
    cancel(&key);
    assert!(String::from_utf8_lossy(&asked.hear(b'E')).contains("57014"), "canceled");
    asked.hear(b'Z');
    drop(asked);

    // Nobody connected, asleep, and one connection wakes it.
    gate.sleep("main");
    assert_eq!(here("postgres.main", &[]).unwrap(), "main");
    // What is no PostgreSQL is told so.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // What was not read of the question may end the connection hard.
    let _ = stream.read_to_end(&mut answer);
    assert!(String::from_utf8_lossy(&answer).contains("08P01"), "{answer:?}");
}

// ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────

/// Speaks TLS on a connection, trusting one authority only; says a line and reads all that is answered.
fn under_tls(stream: TcpStream, authority: &str, name: &str, say: &[u8]) -> std::io::Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        stream.set_nonblocking(true)?;
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(say).await?;
        stream.flush().await?;
        let mut answer = vec![0; 4096];
        let length = tokio::time::timeout(Duration::from_mins(1), stream.read(&mut answer)).await??;
        answer.truncate(length);
        Ok(answer)
    })
}

#[test]
fn https_for_those_who_trust_it() {
    let gate = Gate::new("gwtls");
    gate.site.file("pg_hba.conf", "local all all trust\nhost all all all trust\n");
    gate.environment("main", &database().replacen("services:\n", STACK, 1));
    let port = gate.fixed("db", 5432, "postgres");
    let trust = gate.site.json("gateway trust-ca --no-install --json");
    assert_eq!(trust["installed"], json!([]));
    let authority = std::fs::read_to_string(trust["certificate"].as_str().unwrap()).unwrap();
    let https = u16::try_from(trust["gateway"]["https_port"].as_u64().unwrap()).unwrap();
    let host = gate.host("web.main");
    let connect = |port: u16| TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET /head HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = under_tls(connect(https), &authority, &host, request.as_bytes()).unwrap();
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.starts_with("http/1.1 200") && answer.contains("x-forwarded-proto: https"), "{answer}");
    assert!(under_tls(connect(https), &authority, "example.com", b"").is_err(), "another name");

    // PostgreSQL: asked for first, and without asking.
    let mut stream = connect(port);
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    let length = u8::try_from(BEGIN.len() + 4).unwrap();
    let begin = [&[0, 0, 0, length], BEGIN].concat();
    assert_eq!(under_tls(stream, &authority, "localhost", &begin).unwrap()[0], b'R');
    assert_eq!(under_tls(connect(port), &authority, "127.0.0.1", &begin).unwrap()[0], b'R');

    // The key is nobody else's, and what is remembered survives.
    let key = gate.site.state().join("authority/ca-key.pem");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    engine_with("POST", &format!("/containers/{}/kill", gate.name), "");
    until("it is dead", || (gate.container()["State"]["Running"] == false).then_some(()));
    let status = gate.site.json("gateway status --json");
    assert_eq!(status["gateway"]["https_port"], https);
    under_tls(connect(https), &authority, &host, request.as_bytes()).unwrap();
    let off = gate.site.json("gateway trust-ca --off --json");
    assert_eq!(off["gateway"]["https_port"], Value::Null);
    assert!(TcpStream::connect(("127.0.0.1", https)).is_err());
}
