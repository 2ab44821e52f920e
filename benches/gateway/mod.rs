//! The gateway beside what is there without it (`direct`) and beside nginx and pgbouncer, in one run.

use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use serde_json::{Value, json};

use crate::Options;
use crate::process::{self, Programs, told};
use crate::table::{Report, Row, Target, Unit};

const SUBJECT: &str = "gateway";
const PROJECT: &str = "devenv-bench-gateway";
const GATEWAY: &str = "devenv-bench-gateway-itself";
const HOST: &str = "web.main.devenv-bench-gateway.localhost";
/// Ports of the gateway, of its door to the database, and of the peers.
const HTTP: u16 = 19_180;
const POSTGRES: u16 = 19_154;
const NGINX: u16 = 19_181;
const PGBOUNCER: u16 = 19_155;

/// The stack, the gateway, and devenv working on both.
struct Bench<'a> {
    options: &'a Options,
    programs: &'a Programs,
    directory: &'a Path,
    web: String,
    db: String,
}

pub async fn run(
    options: &Options,
    programs: &Programs,
    engine: &Docker,
    report: &mut Report,
) -> Result<(), String> {
    if !options.wants(SUBJECT) {
        return Ok(());
    }
    clean(engine).await;
    let directory = tempfile::tempdir().map_err(told)?;
    let mut bench =
        Bench { options, programs, directory: directory.path(), web: String::new(), db: String::new() };
    let result = match bench.begin(engine).await {
        Ok(()) => bench.all(report),
        Err(why) => Err(why),
    };
    let _ = bench.devenv(&["down", "--volumes", "--yes"]);
    clean(engine).await;
    // A part that fails says so, and the others go on.
    if let Err(why) = result {
        report.note(format!("{SUBJECT}: {why}"));
    }
    Ok(())
}

/// Takes away what an interrupted run left.
pub async fn clean(engine: &Docker) {
    let containers = ["web", "db", "tools", "bench"].map(|service| format!("{PROJECT}-{service}-1"));
    for name in containers.iter().map(String::as_str).chain([GATEWAY]) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let _ = engine.remove_container(name, Some(options)).await;
    }
    let _ = engine.remove_volume(GATEWAY, None::<RemoveVolumeOptions>).await;
    let _ = engine.remove_network(&format!("{PROJECT}_default")).await;
}

impl Bench<'_> {
    fn devenv(&self, words: &[&str]) -> Result<String, String> {
        let variables = [("DEVENV_GATEWAY".to_owned(), GATEWAY.to_owned())];
        let all = [&["-p", PROJECT], words].concat();
        process::run(&self.programs.devenv, &all, self.directory, &variables).map(|(_, out)| out)
    }

    fn ask(&self, ask: &Value) -> Result<String, String> {
        self.devenv(&["gateway", "ask", &ask.to_string()])
    }

    fn exec(&self, service: &str, words: &[&str]) -> Result<String, String> {
        self.devenv(&[&["exec", "-T", service], words].concat())
    }

    async fn begin(&mut self, engine: &Docker) -> Result<(), String> {
        let write = |name: &str, text: &str| {
            let path = self.directory.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(self.directory))
                .and_then(|()| std::fs::write(&path, text))
                .map_err(told)
        };
        write("compose.yaml", include_str!("compose.yaml"))?;
        write("conf/web.conf", include_str!("web.conf"))?;
        write("conf/pg_hba.conf", "local all all trust\nhost all all all trust\n")?;
        write("conf/users.txt", "\"postgres\" \"\"\n")?;
        self.devenv(&["up"])?;
        self.web = address(engine, "web").await?;
        self.db = address(engine, "db").await?;
        let (web, db) = (&self.web, &self.db);
        let nginx = format!(
            "daemon on; pid /tmp/proxy.pid; error_log /dev/null; worker_processes 2;
             events {{ worker_connections 20000; }}
             http {{ access_log off; keepalive_requests 1000000;
               upstream web {{ server {web}:80; keepalive 256; keepalive_requests 1000000; }}
               server {{ listen 127.0.0.1:{NGINX} backlog=4096; location / {{
                 proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;
               }} }} }}"
        );
        write("conf/proxy.conf", &nginx)?;
        let pgbouncer = format!(
            "[databases]\npostgres = host={db} port=5432 user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {PGBOUNCER}\nauth_type = any\npool_mode = session\nmax_client_conn = 1000\n\
             default_pool_size = 50\nunix_socket_dir =\nlogfile = /tmp/pgbouncer.log\npidfile = /tmp/pgbouncer.pid\n"
        );
        write("conf/pgbouncer.ini", &pgbouncer)?;
        self.exec("tools", &["nginx", "-c", "/conf/proxy.conf"])?;
        self.devenv(&["exec", "-T", "-u", "nobody", "tools", "pgbouncer", "-d", "/conf/pgbouncer.ini"])?;
        self.devenv(&["gateway", "up", "--port", &HTTP.to_string()])?;
        let leads =
            json!({ "project": PROJECT, "service": "db", "container_port": 5432, "protocol": "postgres" });
        self.ask(&json!({ "port": { "port": POSTGRES, "leads": leads } }))?;
        self.exec("bench", &["pgbench", "-i", "-q", "-s", "10", "-h", db, "-U", "postgres", "postgres"])
            .map(|_| ())
    }

    fn all(&self, report: &mut Report) -> Result<(), String> {
        let urls = [
            ("devenv", format!("http://127.0.0.1:{HTTP}/")),
            ("direct", format!("http://{}/", self.web)),
            ("nginx", format!("http://127.0.0.1:{NGINX}/")),
        ];
        let names = urls.each_ref().map(|(name, _)| *name);
        let seconds = if self.options.quick { 2 } else { 5 };
        let rounds = self.options.rounds(5);
        let mut latency = Row::new("gateway latency", &names, Vec::new());
        let most = Target::Time(Duration::from_micros(300));
        let mut added = Row::new("gateway latency added", &["devenv", "nginx"], vec![most]);
        let mut rate =
            Row::new("gateway requests", &names, vec![Target::AtLeast("direct", 0.8)]).in_unit(Unit::Rate);
        let mut many = Row::new("gateway 1000 connections", &names, Vec::new()).in_unit(Unit::Rate);
        for round in 0..rounds {
            let mut turns: Vec<_> = urls.iter().collect();
            turns.rotate_left(round % 3);
            for (name, url) in turns {
                latency.add_figure(name, self.wrk(url, 1, 1, seconds)?.median);
                rate.add_figure(name, self.wrk(url, 2, 50, seconds)?.rate);
                let crowd = self.wrk(url, 2, 1000, seconds)?;
                many.add_figure(name, crowd.rate);
                if crowd.errors {
                    report.note(format!("{name}: errors with 1000 connections"));
                }
            }
            let last = |name: &str| latency.of(name).last().copied().unwrap_or_default();
            for name in ["devenv", "nginx"] {
                added.add_figure(name, (last(name) - last("direct")).max(0.0));
            }
        }
        for row in [latency, added, rate, many] {
            report.add(row);
        }
        self.database(report, rounds, seconds)?;
        self.memory(report)?;
        self.wake(report, rounds)
    }

    fn wrk(&self, url: &str, threads: u32, connections: u32, seconds: u32) -> Result<Wrk, String> {
        let host = format!("Host: {HOST}");
        let (threads, connections) = (format!("-t{threads}"), format!("-c{connections}"));
        let seconds = format!("-d{seconds}s");
        let words = ["wrk", &threads, &connections, &seconds, "--latency", "-H", &host, url];
        Wrk::read(&self.exec("tools", &words)?)
    }

    fn database(&self, report: &mut Report, rounds: usize, seconds: u32) -> Result<(), String> {
        let doors = [
            ("devenv", "127.0.0.1".to_owned(), POSTGRES),
            ("direct", self.db.clone(), 5432),
            ("pgbouncer", "127.0.0.1".to_owned(), PGBOUNCER),
        ];
        let names = doors.each_ref().map(|(name, ..)| *name);
        let wanted = vec![Target::AtLeast("direct", 0.8)];
        let mut row = Row::new("gateway pgbench select", &names, wanted).in_unit(Unit::Rate);
        for round in 0..rounds {
            let mut turns: Vec<_> = doors.iter().collect();
            turns.rotate_left(round % 3);
            for (name, host, port) in turns {
                let (port, seconds) = (port.to_string(), seconds.to_string());
                let words = [
                    "pgbench", "-n", "-S", "-c", "8", "-j", "2", "-T", &seconds, "-h", host, "-p", &port,
                    "-U", "postgres", "postgres",
                ];
                let said = self.exec("bench", &words)?;
                let tps =
                    said.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next());
                row.add_figure(name, tps.and_then(|tps| tps.parse().ok()).ok_or(said.clone())?);
            }
        }
        report.add(row);
        Ok(())
    }

    fn resident(&self) -> Result<f64, String> {
        let status: Value =
            serde_json::from_str(&self.devenv(&["gateway", "status", "--json"])?).map_err(told)?;
        status["gateway"]["memory"].as_f64().ok_or_else(|| "no memory is told".to_owned())
    }

    fn memory(&self, report: &mut Report) -> Result<(), String> {
        let most = vec![Target::Most(20e6)];
        // As it is after all of the above.
        let mut row = Row::new("gateway memory", &["devenv"], most).in_unit(Unit::Bytes);
        row.add_figure("devenv", self.resident()?);
        report.add(row);
        let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        limit.current = limit.maximum;
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).map_err(told)?;
        let wanted = if self.options.quick { 1000 } else { 10_000 };
        let mut open = Vec::new();
        for _ in 0..wanted {
            open.push(TcpStream::connect(("127.0.0.1", HTTP)).map_err(told)?);
        }
        let mut idle =
            Row::new(format!("gateway memory {wanted} idle"), &["devenv"], Vec::new()).in_unit(Unit::Bytes);
        idle.add_figure("devenv", self.resident()?);
        report.add(idle);
        // They do not keep others out.
        Self::answers()?;
        drop(open);
        Ok(())
    }

    /// Wants an answer through the gateway.
    fn answers() -> Result<(), String> {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", HTTP)).map_err(told)?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").map_err(told)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(told)?;
        if answer.contains("200 OK") { Ok(()) } else { Err(answer) }
    }

    fn wake(&self, report: &mut Report, rounds: usize) -> Result<(), String> {
        let most = Target::Time(Duration::from_millis(2500));
        let mut row = Row::new("gateway wake", &["devenv"], vec![most]);
        for _ in 0..rounds {
            self.ask(&json!({ "sleep": { "project": PROJECT, "environment": "main" } }))?;
            let began = Instant::now();
            Self::answers()?;
            row.add("devenv", began.elapsed());
            // The database too, before the next round.
            self.exec("bench", &["true"]).or_else(|_| self.devenv(&["up"]))?;
        }
        report.add(row);
        Ok(())
    }
}

/// What wrk said.
struct Wrk {
    /// Seconds.
    median: f64,
    rate: f64,
    errors: bool,
}

impl Wrk {
    fn read(said: &str) -> Result<Self, String> {
        let after = |word: &str| said.lines().find_map(|line| line.trim().strip_prefix(word)).map(str::trim);
        let median = after("50%").and_then(seconds).ok_or_else(|| format!("wrk said no latency: {said}"))?;
        let rate = after("Requests/sec:").and_then(|rate| rate.parse().ok()).ok_or("wrk said no rate")?;
        Ok(Self { median, rate, errors: said.contains("Socket errors") || said.contains("Non-2xx") })
    }
}

/// wrk's `1.23ms`, `45.00us`, `1.2s`.
fn seconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    units.into_iter().find_map(|(unit, scale)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * scale))
}

/// Where the container of a service is.
async fn address(engine: &Docker, service: &str) -> Result<String, String> {
    let name = format!("{PROJECT}-{service}-1");
    let found = engine.inspect_container(&name, None::<InspectContainerOptions>).await.map_err(told)?;
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = networks.into_values().find_map(|end| end.ip_address);
    address.ok_or_else(|| format!("{name} has no address"))
}
