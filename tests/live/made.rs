//! What is really made of the attributes: asked of the engine, and of the container itself.

use serde_json::{Value, json};

use crate::site::{Site, engine, engine_with};

/// Wants these values in what the engine knows of a container, by JSON pointer.
#[track_caller]
fn wants(found: &Value, wanted: &[(&str, Value)]) {
    for (pointer, value) in wanted {
        assert_eq!(found.pointer(pointer), Some(value), "{pointer}");
    }
}

#[test]
fn attributes_of_a_container() {
    let site = Site::up(
        "attributes",
        "services:
  web:
    image: IMAGE
    command: [sleep, infinity]
    init: true
    user: '5:6'
    group_add: ['7']
    working_dir: /srv
    hostname: shop
    domainname: example.test
    read_only: true
    tmpfs: ['/tmp:size=1m,mode=1777']
    labels: {com.example.a: b}
    environment: {A: 'x y', EMPTY: ''}
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 500}
    sysctls: {net.core.somaxconn: 1024}
    stop_signal: SIGUSR1
    stop_grace_period: 1500ms
    healthcheck: {test: [CMD, test, -d, /srv], interval: 500ms, timeout: 2s, retries: 4, start_period: 1m}
    logging: {driver: json-file, options: {max-size: 1m, max-file: '2'}}
    restart: on-failure:3
    shm_size: 32m
    extra_hosts: ['other.test:10.1.2.3']
    dns: [10.9.9.9]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 50
    oom_score_adj: 100
    security_opt: ['no-new-privileges:true']
    expose: ['8080']
    ipc: private
    tty: true
    stdin_open: true
    deploy: {resources: {reservations: {memory: 16m}}}
",
    );
    let found = site.inspect("web");
    wants(
        &found,
        &[
            ("/HostConfig/Init", json!(true)),
            ("/Config/User", json!("5:6")),
            ("/HostConfig/GroupAdd", json!(["7"])),
            ("/Config/WorkingDir", json!("/srv")),
            ("/Config/Hostname", json!("shop")),
            ("/Config/Domainname", json!("example.test")),
            ("/HostConfig/ReadonlyRootfs", json!(true)),
            ("/HostConfig/Tmpfs", json!({"/tmp": "size=1m,mode=1777"})),
            ("/Config/Labels/com.example.a", json!("b")),
            ("/HostConfig/Sysctls", json!({"net.core.somaxconn": "1024"})),
            ("/Config/StopSignal", json!("SIGUSR1")),
            ("/Config/StopTimeout", json!(2)),
            ("/Config/Healthcheck/Test", json!(["CMD", "test", "-d", "/srv"])),
            ("/Config/Healthcheck/Interval", json!(500_000_000)),
            ("/Config/Healthcheck/Timeout", json!(2_000_000_000)),
            ("/Config/Healthcheck/Retries", json!(4)),
            ("/Config/Healthcheck/StartPeriod", json!(60_000_000_000_i64)),
            ("/HostConfig/LogConfig/Type", json!("json-file")),
            ("/HostConfig/LogConfig/Config", json!({"max-size": "1m", "max-file": "2"})),
            ("/HostConfig/RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 3})),
            ("/HostConfig/ShmSize", json!(32 << 20)),
            ("/HostConfig/ExtraHosts", json!(["other.test:10.1.2.3"])),
            ("/HostConfig/Dns", json!(["10.9.9.9"])),
            ("/HostConfig/Memory", json!(64 << 20)),
            ("/HostConfig/MemoryReservation", json!(16 << 20)),
            ("/HostConfig/NanoCpus", json!(500_000_000)),
            ("/HostConfig/PidsLimit", json!(50)),
            ("/HostConfig/OomScoreAdj", json!(100)),
            ("/HostConfig/IpcMode", json!("private")),
            ("/Config/ExposedPorts", json!({"8080/tcp": {}})),
            ("/Config/Tty", json!(true)),
            ("/Config/OpenStdin", json!(true)),
        ],
    );
    // Newer engines write the names with `CAP_`.
    let capability = |list: &str| found["HostConfig"][list].to_string().replace("CAP_", "");
    assert_eq!(
        (capability("CapAdd"), capability("CapDrop")),
        (r#"["NET_ADMIN"]"#.into(), r#"["MKNOD"]"#.into())
    );
    let limits = found["HostConfig"]["Ulimits"].as_array().unwrap();
    assert!(limits.contains(&json!({"Name": "nofile", "Soft": 1000, "Hard": 2000})), "{limits:?}");
    assert!(limits.contains(&json!({"Name": "nproc", "Soft": 500, "Hard": 500})), "{limits:?}");
    // And as a process in it sees them. (Not its limits: the runtime of Go 1.19 raises that of open files, golang/go#46279.)
    let inside = |command: &str| site.run_args(&["exec", "-T", "web", "sh", "-c", command]).exits(0).out;
    assert_eq!(
        inside("id -u; id -g; id -G; pwd; hostname; cat /proc/sys/net/core/somaxconn"),
        "5\n6\n6 7\n/srv\nshop\n1024\n"
    );
    assert_eq!(
        inside("echo \"[$A][$EMPTY]\"; touch /tmp/x && touch /x 2>/dev/null || echo read-only"),
        "[x y][]\nread-only\n"
    );
    assert_eq!(inside("cat /proc/1/comm"), "docker-init\n");
    site.is_settled();
}

#[test]
fn healthchecks_in_every_form() {
    let site = Site::up(
        "checks",
        "services:
  text: {IDLE, healthcheck: {test: 'test -d /srv', interval: 100ms}}
  none: {IDLE, healthcheck: {test: [NONE]}}
  off: {IDLE, healthcheck: {disable: true}}
  built:
    build: {dockerfile_inline: \"FROM IMAGE\\nHEALTHCHECK --interval=100ms CMD test -d /srv\"}
    command: sleep infinity
    stop_signal: SIGKILL
",
    );
    let test = |service: &str| site.inspect(service)["Config"]["Healthcheck"]["Test"].clone();
    assert_eq!(test("text"), json!(["CMD-SHELL", "test -d /srv"]));
    assert_eq!(test("none"), json!(["NONE"]));
    assert_eq!(test("off"), json!(["NONE"]));
    assert_eq!(test("built"), json!(["CMD-SHELL", "test -d /srv"]));
    assert_eq!(
        site.inspect("built")["State"]["Health"]["Status"],
        "healthy",
        "the image's own check is waited for"
    );
    site.is_settled();
}

#[test]
fn command_and_entrypoint_in_every_form() {
    let site = Site::up(
        "commands",
        r#"services:
  words: {image: IMAGE, stop_signal: SIGKILL, command: "sh -c 'echo \"a b\" $$0; exec sleep infinity' x"}
  list: {image: IMAGE, stop_signal: SIGKILL, entrypoint: [sleep], command: [infinity]}
  cleared: {image: IMAGE, stop_signal: SIGKILL, entrypoint: sleep infinity, command: []}
"#,
    );
    site.ok("logs words --no-prefix").prints(&["a b x\n"]);
    let config = |service: &str| site.inspect(service)["Config"].clone();
    assert_eq!(config("list")["Entrypoint"], json!(["sleep"]));
    assert_eq!(config("cleared")["Entrypoint"], json!(["sleep", "infinity"]));
    site.is_settled();
}

#[test]
fn networks_aliases_and_addresses() {
    let subnet = format!("10.214.{}", std::process::id() % 250);
    let site = Site::with("networks", "");
    let text = "services:
  web: {IDLE, networks: {front: {aliases: [www, shop]}, back: {ipv4_address: 10.213.77.9, priority: 100}}}
  db: {IDLE, networks: [back]}
  side: {IDLE, network_mode: 'service:web'}
  lone: {IDLE, network_mode: none}
networks:
  front: {}
  back: {internal: true, ipam: {config: [{subnet: 10.213.77.0/24, gateway: 10.213.77.1}]}}
";
    // Runs side by side have addresses of their own.
    site.compose(&text.replace("10.213.77", &subnet));
    site.ok("up");
    let web = site.inspect("web");
    let ends = &web["NetworkSettings"]["Networks"];
    assert_eq!(ends.as_object().unwrap().len(), 2, "{ends}");
    assert_eq!(ends[format!("{}_back", site.name)]["IPAddress"], format!("{subnet}.9"));
    let aliases = ends[format!("{}_front", site.name)]["Aliases"].to_string();
    assert!(
        ["www", "shop", "web"].iter().all(|alias| aliases.contains(&format!("\"{alias}\""))),
        "{aliases}"
    );
    assert_eq!(site.inspect("side")["HostConfig"]["NetworkMode"], format!("container:{}", site.id("web")));
    assert_eq!(site.inspect("lone")["HostConfig"]["NetworkMode"], "none");
    let back = engine("GET", &format!("/networks/{}_back", site.name)).1;
    assert_eq!(
        (&back["Internal"], &back["IPAM"]["Config"][0]["Subnet"]),
        (&json!(true), &json!(format!("{subnet}.0/24")))
    );
    site.ok("exec -T db getent hosts web").prints(&[&format!("{subnet}.9")]);
    site.is_settled();
    // Whoever shares a namespace follows its owner.
    let side = site.id("side");
    site.ok("up --force-recreate web");
    site.ok("up");
    assert_ne!(site.id("side"), side);
    assert_eq!(site.inspect("side")["HostConfig"]["NetworkMode"], format!("container:{}", site.id("web")));
    site.is_settled();
}

#[test]
fn external_networks_and_volumes_have_to_be_there() {
    let site = Site::with(
        "external",
        "services: {web: {IDLE, networks: [far], volumes: ['kept:/data']}}
networks: {far: {external: true, name: NAME_far}}
volumes: {kept: {external: true, name: NAME_kept}}",
    );
    let text = std::fs::read_to_string(site.dir().join("compose.yaml")).unwrap();
    site.compose(&text.replace("NAME", &site.name));
    site.run("up").exits(1).says(&["network `", "_far` is declared as external", "docker network create"]);
    site.holds(&[]);
    engine_with("POST", "/networks/create", &format!(r#"{{"Name": "{}_far"}}"#, site.name));
    let second = site.run("up");
    engine_with("POST", "/volumes/create", &format!(r#"{{"Name": "{}_kept"}}"#, site.name));
    let third = site.run("up");
    let running = site.inventory();
    let down = site.run("down -v --yes");
    let kept = (
        engine("DELETE", &format!("/networks/{}_far", site.name)).0,
        engine("DELETE", &format!("/volumes/{}_kept", site.name)).0,
    );
    second.exits(1).says(&["volume `", "_kept` is declared as external", "docker volume create"]);
    third.exits(0);
    assert_eq!(running, ["container P-web-1 running"]);
    down.exits(0);
    assert_eq!(kept, (204, 204), "both were kept by down");
}

#[test]
fn secrets_and_configs_from_files_variables_and_text() {
    let mut site = Site::with(
        "secrets",
        "services:
  web:
    image: IMAGE
    command: sleep infinity
    stop_signal: SIGKILL
    secrets:
      - from_file
      - {source: from_variable, target: /etc/token, mode: 0400, uid: '5', gid: '6'}
    configs:
      - {source: from_file, target: /etc/app/file.conf}
      - {source: from_text, mode: 0640}
      - {source: from_variable, target: /etc/var}
secrets:
  from_file: {file: ./secret.txt}
  from_variable: {environment: TOKEN}
configs:
  from_file: {file: ./app.conf}
  from_text: {content: \"hello ${WHO:-you}\\n\"}
  from_variable: {environment: TOKEN}
",
    );
    site.file("secret.txt", "s3cret\n");
    site.file("app.conf", "a=1\n");
    site.run("up").exits(3).says(&["TOKEN"]);
    site.holds(&[]);
    site.set("TOKEN", "t0ken");
    let up = site.ok("up");
    assert!(!format!("{up}").contains("t0ken"), "a secret is told: {up}");
    let inside = |command: &str| site.run_args(&["exec", "-T", "web", "sh", "-c", command]).exits(0).out;
    assert_eq!(
        inside("cat /run/secrets/from_file /etc/app/file.conf /from_text"),
        "s3cret\na=1\nhello you\n"
    );
    assert_eq!(
        inside("cat /etc/token; stat -c ' %a %u %g' /etc/token; stat -c '%a' /from_text"),
        "t0ken 400 5 6\n640\n"
    );
    assert_eq!(inside("cat /etc/var"), "t0ken");
    assert!(!site.inspect("web").to_string().contains("t0ken"));
    site.is_settled();
    std::fs::remove_file(site.dir().join("secret.txt")).unwrap();
    site.run("up --force-recreate").says(&["secret.txt"]).exits(3);
    assert_eq!(site.inspect("web")["State"]["Running"], true);
}

#[test]
fn volumes_in_every_form() {
    let site = Site::with(
        "volumes",
        "services:
  web:
    image: IMAGE
    command: sleep infinity
    stop_signal: SIGKILL
    volumes:
      - ./src:/src:ro
      - ./made:/made
      - data:/data
      - {type: volume, source: named, target: /named, read_only: true}
      - {type: tmpfs, target: /ram, tmpfs: {size: 1m, mode: 0700}}
      - {type: bind, source: ./src, target: /long}
  other: {IDLE, volumes_from: ['giver:ro']}
  giver: {IDLE, volumes: ['data:/data']}
volumes: {data: {labels: {a: b}}, named: {name: \"${COMPOSE_PROJECT_NAME}-given\"}}",
    );
    site.file("src/hello", "hi\n");
    site.ok("up");
    let inside = |service: &str, command: &str| {
        site.run_args(&["exec", "-T", service, "sh", "-c", command]).exits(0).out
    };
    assert_eq!(
        inside("web", "cat /src/hello /long/hello; touch /src/x 2>/dev/null || echo ro; stat -c %a /ram"),
        "hi\nhi\nro\n700\n"
    );
    inside("web", "echo 1 > /data/f; touch /made/g");
    assert_eq!(inside("other", "cat /data/f; touch /data/g 2>/dev/null || echo ro"), "1\nro\n");
    assert!(site.dir().join("made/g").exists());
    site.is_settled();
    assert!(site.inventory().contains(&"volume P-given".to_owned()));
    site.compose("services: {web: {IDLE, volumes: [{type: bind, source: ./nowhere, target: /x, bind: {create_host_path: false}}]}}");
    site.run("up").says(&["nowhere"]);
    assert!(!site.dir().join("nowhere").exists(), "a mistyped path was made");
}

#[test]
fn a_build_with_arguments_targets_and_secrets() {
    let site = Site::with(
        "built",
        "services:
  web:
    build:
      context: .
      target: last
      args: {WHO: world}
      secrets: [token]
      labels: {made.by: test}
    command: sleep infinity
    stop_signal: SIGKILL
secrets: {token: {file: ./token}}",
    );
    site.file("token", "hidden\n");
    site.file("Dockerfile", "FROM IMAGE AS first\nFROM first AS last\nARG WHO\nCOPY . /src\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token > /size; echo hello $WHO > /greeting\nFROM first AS never\nRUN false\n");
    site.file(".dockerignore", "ignored\n");
    site.file("ignored", "");
    site.ok("up");
    let inside =
        site.run_args(&["exec", "-T", "web", "sh", "-c", "cat /greeting /size; ls -A /src"]).exits(0);
    assert_eq!(inside.out, "hello world\n7\n.dockerignore\nDockerfile\ncompose.yaml\ntoken\n");
    assert_eq!(site.inspect("web")["Config"]["Labels"]["made.by"], "test");
    site.is_settled();
}

#[test]
fn a_build_that_fails_shows_its_step_and_leaves_nothing() {
    let site = Site::with(
        "broken",
        "services: {web: {build: {dockerfile_inline: \"FROM IMAGE\\nRUN echo just before; exit 9\"}}}",
    );
    site.run("up").exits(1).says(&["web", "just before", "exit 9"]);
    site.holds(&[]);
    site.run("build").exits(1).says(&["exit 9"]);
}
