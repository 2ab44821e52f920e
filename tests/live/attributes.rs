//! One test per attribute that an engine can show: what was really made of it.
//!
//! A group is one project: it goes up once, all that the engine says of it is noted, and it is gone before the
//! first row looks at the notes. In these the project is called `P`, its directory `HERE`, an id `ID-<service>`.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::site::{Site, engine};

/// What a group is made of. `NAME` in its texts is the project's name, `SUBNET` and `SIX` begin addresses that
/// no other run has, `PORT0` … `PORT5` are free ports in a row.
#[derive(Default)]
struct Group {
    compose: &'static str,
    files: &'static [(&'static str, &'static str)],
    variables: &'static [(&'static str, &'static str)],
    /// Name of the note, service, command of a shell in it.
    inside: &'static [(&'static str, &'static str, &'static str)],
    images: &'static [&'static str],
    /// Words after `up`.
    words: &'static str,
}

impl Group {
    fn note(&self, name: &str) -> Value {
        let mut site = Site::new(&format!("attribute-{name}"));
        let number = std::process::id();
        let mut tokens = vec![
            (site.dir().display().to_string(), "HERE".to_owned()),
            (site.name.clone(), "NAME".to_owned()),
        ];
        let texts: String = self.files.iter().map(|(_, text)| *text).chain([self.compose]).collect();
        if texts.contains("SUBNET") {
            tokens.push((format!("10.216.{}", number % 250), "SUBNET".to_owned()));
            tokens.push((format!("fd00:216:{:x}:", number % 0xffff), "SIX".to_owned()));
        }
        if texts.contains("PORT0") {
            let first = ports_in_a_row(6);
            tokens.extend((0..6).map(|port| ((first + port).to_string(), format!("PORT{port}"))));
        }
        let filled = |text: &str| {
            let idle = "image: IMAGE\n    command: sleep infinity\n    stop_signal: SIGKILL";
            let text = text.replace("IDLEBLOCK", idle);
            tokens.iter().fold(text, |text, (value, token)| text.replace(token, value))
        };
        for (path, text) in self.files {
            site.file(path, &filled(text));
        }
        for (variable, value) in self.variables {
            site.set(variable, value);
        }
        site.compose(&filled(self.compose));
        let up = site.run(&format!("up {}", self.words));
        let mut notes = Map::new();
        let mut ids = Vec::new();
        for line in site.inventory() {
            let mut words = line.split(' ');
            let (Some(kind), Some(given)) = (words.next(), words.next()) else { continue };
            let key = given.strip_prefix("P-").or_else(|| given.strip_prefix("P_")).unwrap_or(given);
            let key = if kind == "container" { key.strip_suffix("-1").unwrap_or(key) } else { key };
            let path = match kind {
                "container" => format!("/containers/{}/json", given.replace('P', &site.name)),
                other => format!("/{other}s/{}", given.replace('P', &site.name)),
            };
            let found = engine("GET", &path).1;
            if kind == "container" {
                ids.push((found["Id"].as_str().unwrap_or_default().to_owned(), format!("ID-{key}")));
            }
            let key = if kind == "container" { key.to_owned() } else { format!("{kind} {key}") };
            notes.insert(key, found);
        }
        for (note, service, command) in self.inside {
            let run = site.run_args(&["exec", "-T", service, "sh", "-c", command]);
            notes.insert((*note).to_owned(), json!(run.out + &run.err));
        }
        for image in self.images {
            notes.insert(filled(image), engine("GET", &format!("/images/{}/json", filled(image))).1);
        }
        notes.insert("code".to_owned(), json!(up.code));
        notes.insert("said".to_owned(), json!(up.err));
        let plan = site.run("up --dry-run");
        let settled = plan.out.is_empty() && plan.err.contains("nothing to do");
        notes.insert("settled".to_owned(), if settled { json!(true) } else { json!(plan.to_string()) });
        drop(site);
        let text =
            tokens.iter().chain(&ids).fold(Value::Object(notes).to_string(), |text, (value, token)| {
                text.replace(value, if token == "NAME" { "P" } else { token })
            });
        serde_json::from_str(&text).unwrap()
    }
}

fn ports_in_a_row(count: u16) -> u16 {
    let free = |port: u16| std::net::TcpListener::bind(("0.0.0.0", port)).is_ok();
    // Below the ports that the system hands out by itself.
    let first = 20_000 + u16::try_from(std::process::id() % 1000).unwrap() * 10;
    (0..1000).map(|step| first + step * 2).find(|first| (*first..*first + count).all(free)).unwrap()
}

/// Wants exactly this.
#[track_caller]
fn is(notes: &Value, at: &str, wanted: &Value) {
    let found = notes.pointer(at).unwrap_or(&Value::Null);
    assert_eq!(found, wanted, "{at}; `up` said: {}", notes["said"].as_str().unwrap_or_default());
}

/// Wants this among others: an item of a list, pairs of a map, a part of a text.
#[track_caller]
fn has(notes: &Value, at: &str, wanted: &Value) {
    let found = notes.pointer(at).unwrap_or(&Value::Null);
    let within = match (found, wanted) {
        (Value::Array(list), _) => list.contains(wanted),
        (Value::Object(map), Value::Object(pairs)) => {
            pairs.iter().all(|(key, value)| map.get(key) == Some(value))
        }
        (Value::String(text), Value::String(part)) => text.contains(part),
        _ => false,
    };
    let said = notes["said"].as_str().unwrap_or_default();
    assert!(within, "{at} has no {wanted}: {found:#}; `up` said: {said}");
}

macro_rules! attributes {
    ($group:ident, $made:expr; $($name:ident: $path:literal, $at:literal $how:ident ($($want:tt)+);)+) => {
        mod $group {
            use super::*;

            pub(super) const PATHS: &[&str] = &[$($path),+];

            fn notes() -> &'static Value {
                static NOTES: OnceLock<Value> = OnceLock::new();
                NOTES.get_or_init(|| $made.note(stringify!($group)))
            }

            $(#[test]
            fn $name() {
                super::$how(notes(), $at, &json!($($want)+));
            })+
        }
    };
}

attributes! {
    plain, Group {
        compose: "services:
  web:
    image: IMAGE
    platform: linux/amd64
    pull_policy: never
    container_name: NAME-given
    hostname: shop
    domainname: example.test
    entrypoint: [sleep]
    command: [infinity]
    working_dir: /srv
    user: '5:6'
    group_add: ['7', 8]
    init: true
    tty: true
    stdin_open: true
    read_only: true
    environment: {A: 'x y', EMPTY: '', GIVEN: , NUMBER: 1.50, UNSET: }
    labels: {com.example.a: b, com.example.n: 1}
    expose: ['8080', '9000-9001', 53/udp]
    extra_hosts: ['other.test:10.1.2.3', 'six.test=::1']
    dns: [10.9.9.9, 10.9.9.8]
    dns_opt: [use-vc, 'ndots:3']
    dns_search: [example.test]
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 500}
    sysctls: {net.core.somaxconn: 1024}
    tmpfs: ['/tmp:size=1m,mode=1777', /run]
    shm_size: 32m
    stop_signal: SIGUSR1
    stop_grace_period: 1500ms
    restart: on-failure:3
    runtime: runc
    oom_score_adj: 100
    security_opt: ['no-new-privileges:true', 'seccomp:./profile.json', label=disable]
    logging: {driver: json-file, options: {max-size: 1m, max-file: '2'}}
    healthcheck: {test: [CMD, test, -d, /srv], interval: 500ms, timeout: 2s, retries: 4, start_period: 1m}
",
        files: &[("profile.json", r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#)],
        variables: &[("GIVEN", "from outside")],
        inside: &[
            ("resolv", "web", "cat /etc/resolv.conf"),
            ("hosts", "web", "cat /etc/hosts"),
            ("status", "web", "cat /proc/1/comm; id -u; id -g; id -G; pwd; hostname -f; cat /proc/self/oom_score_adj"),
            ("root", "web", "touch /x"),
        ],
        ..Group::default()
    };
    image: "services.*.image", "/given/Config/Image" is ("devenv.local/debian:trixie");
    platform: "services.*.platform", "/given/Platform" is ("linux");
    pull_policy: "services.*.pull_policy", "/code" is (0);
    container_name: "services.*.container_name", "/given/Name" is ("/P-given");
    hostname: "services.*.hostname", "/given/Config/Hostname" is ("shop");
    domainname: "services.*.domainname", "/given/Config/Domainname" is ("example.test");
    entrypoint_list: "services.*.entrypoint", "/given/Config/Entrypoint" is (["sleep"]);
    command_list: "services.*.command", "/given/Config/Cmd" is (["infinity"]);
    working_dir: "services.*.working_dir", "/given/Config/WorkingDir" is ("/srv");
    user: "services.*.user", "/given/Config/User" is ("5:6");
    group_add: "services.*.group_add", "/given/HostConfig/GroupAdd" is (["7", "8"]);
    init: "services.*.init", "/given/HostConfig/Init" is (true);
    tty: "services.*.tty", "/given/Config/Tty" is (true);
    stdin_open: "services.*.stdin_open", "/given/Config/OpenStdin" is (true);
    read_only: "services.*.read_only", "/given/HostConfig/ReadonlyRootfs" is (true);
    read_only_inside: "services.*.read_only", "/root" has ("Read-only file system");
    process: "services.*.init", "/status" is ("docker-init\n5\n6\n6 7 8\n/srv\nshop.example.test\n100\n");
    environment_text: "services.*.environment", "/given/Config/Env" has ("A=x y");
    environment_empty: "services.*.environment", "/given/Config/Env" has ("EMPTY=");
    environment_inherited: "services.*.environment", "/given/Config/Env" has ("GIVEN=from outside");
    environment_number: "services.*.environment", "/given/Config/Env" has ("NUMBER=1.5");
    labels: "services.*.labels", "/given/Config/Labels" has ({"com.example.a": "b", "com.example.n": "1"});
    expose: "services.*.expose", "/given/Config/ExposedPorts" is ({"8080/tcp": {}, "9000-9001/tcp": {}, "53/udp": {}});
    extra_hosts: "services.*.extra_hosts", "/given/HostConfig/ExtraHosts" is (["other.test:10.1.2.3", "six.test:::1"]);
    extra_hosts_inside: "services.*.extra_hosts", "/hosts" has ("10.1.2.3\tother.test");
    dns: "services.*.dns", "/given/HostConfig/Dns" is (["10.9.9.9", "10.9.9.8"]);
    dns_opt: "services.*.dns_opt", "/given/HostConfig/DnsOptions" is (["use-vc", "ndots:3"]);
    dns_search: "services.*.dns_search", "/given/HostConfig/DnsSearch" is (["example.test"]);
    dns_inside: "services.*.dns_search", "/resolv" has ("search example.test");
    cap_add: "services.*.cap_add", "/given/HostConfig/CapAdd" is (["NET_ADMIN"]);
    cap_drop: "services.*.cap_drop", "/given/HostConfig/CapDrop" is (["MKNOD"]);
    ulimits: "services.*.ulimits.*", "/given/HostConfig/Ulimits" has ({"Name": "nproc", "Soft": 500, "Hard": 500});
    ulimits_soft_hard: "services.*.ulimits.*.soft", "/given/HostConfig/Ulimits" has ({"Name": "nofile", "Soft": 1000, "Hard": 2000});
    sysctls: "services.*.sysctls", "/given/HostConfig/Sysctls" is ({"net.core.somaxconn": "1024"});
    tmpfs: "services.*.tmpfs", "/given/HostConfig/Tmpfs" is ({"/tmp": "size=1m,mode=1777", "/run": ""});
    shm_size: "services.*.shm_size", "/given/HostConfig/ShmSize" is (32 << 20);
    stop_signal: "services.*.stop_signal", "/given/Config/StopSignal" is ("SIGUSR1");
    stop_grace_period: "services.*.stop_grace_period", "/given/Config/StopTimeout" is (2);
    restart_on_failure: "services.*.restart", "/given/HostConfig/RestartPolicy" is ({"Name": "on-failure", "MaximumRetryCount": 3});
    runtime: "services.*.runtime", "/given/HostConfig/Runtime" is ("runc");
    oom_score_adj: "services.*.oom_score_adj", "/given/HostConfig/OomScoreAdj" is (100);
    security_opt: "services.*.security_opt", "/given/HostConfig/SecurityOpt" has ("no-new-privileges=true");
    security_opt_seccomp: "services.*.security_opt", "/given/HostConfig/SecurityOpt" has (r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#);
    security_opt_label: "services.*.security_opt", "/given/HostConfig/SecurityOpt" has ("label=disable");
    logging_driver: "services.*.logging.driver", "/given/HostConfig/LogConfig/Type" is ("json-file");
    logging_options: "services.*.logging.options", "/given/HostConfig/LogConfig/Config" is ({"max-size": "1m", "max-file": "2"});
    healthcheck_test: "services.*.healthcheck.test", "/given/Config/Healthcheck/Test" is (["CMD", "test", "-d", "/srv"]);
    healthcheck_interval: "services.*.healthcheck.interval", "/given/Config/Healthcheck/Interval" is (500_000_000);
    healthcheck_timeout: "services.*.healthcheck.timeout", "/given/Config/Healthcheck/Timeout" is (2_000_000_000);
    healthcheck_retries: "services.*.healthcheck.retries", "/given/Config/Healthcheck/Retries" is (4);
    healthcheck_start_period: "services.*.healthcheck.start_period", "/given/Config/Healthcheck/StartPeriod" is (60_000_000_000_i64);
    settled: "services", "/settled" is (true);
}

attributes! {
    limits, Group {
        compose: "services:
  web:
    IDLEBLOCK
    cpu_shares: 512
    cpu_period: 50000
    cpu_quota: 25000
    cpu_rt_period: 900000
    cpuset: '0'
    mem_limit: 64m
    mem_reservation: 32m
    mem_swappiness: 10
    memswap_limit: 128m
    oom_kill_disable: true
    pids_limit: 50
    cgroup_parent: /docker
    device_cgroup_rules: ['c 1:3 mr']
    devices: ['/dev/null:/dev/nothing:r', {source: /dev/zero, target: /dev/nil, permissions: rw}]
    blkio_config:
      weight: 300
      weight_device: [{path: /dev/loop0, weight: 200}]
      device_read_bps: [{path: /dev/loop0, rate: 1mb}]
      device_write_bps: [{path: /dev/loop0, rate: '2048'}]
      device_read_iops: [{path: /dev/loop0, rate: 100}]
      device_write_iops: [{path: /dev/loop0, rate: 200}]
  cpus: {IDLE, cpus: 0.25}
  deployed:
    IDLEBLOCK
    deploy:
      replicas: 2
      restart_policy: {condition: on-failure, max_attempts: 4}
      resources: {limits: {cpus: '0.5', memory: 96m, pids: 60}, reservations: {memory: 48m}}
  scaled: {IDLE, scale: 2}
  none: {IDLE, scale: 0}
  windows: {IDLE, cpu_count: 1, cpu_percent: 10}
",
        inside: &[("device", "web", "test -c /dev/nothing && test -c /dev/nil && echo there")],
        ..Group::default()
    };
    cpu_shares: "services.*.cpu_shares", "/web/HostConfig/CpuShares" is (512);
    cpu_period: "services.*.cpu_period", "/web/HostConfig/CpuPeriod" is (50_000);
    cpu_quota: "services.*.cpu_quota", "/web/HostConfig/CpuQuota" is (25_000);
    cpu_rt_period: "services.*.cpu_rt_period", "/web/HostConfig/CpuRealtimePeriod" is (900_000);
    cpuset: "services.*.cpuset", "/web/HostConfig/CpusetCpus" is ("0");
    cpus: "services.*.cpus", "/cpus/HostConfig/NanoCpus" is (250_000_000);
    mem_limit: "services.*.mem_limit", "/web/HostConfig/Memory" is (64 << 20);
    mem_reservation: "services.*.mem_reservation", "/web/HostConfig/MemoryReservation" is (32 << 20);
    mem_swappiness: "services.*.mem_swappiness", "/web/HostConfig/MemorySwappiness" is (10);
    memswap_limit: "services.*.memswap_limit", "/web/HostConfig/MemorySwap" is (128 << 20);
    oom_kill_disable: "services.*.oom_kill_disable", "/web/HostConfig/OomKillDisable" is (true);
    pids_limit: "services.*.pids_limit", "/web/HostConfig/PidsLimit" is (50);
    cgroup_parent: "services.*.cgroup_parent", "/web/HostConfig/CgroupParent" is ("/docker");
    device_cgroup_rules: "services.*.device_cgroup_rules", "/web/HostConfig/DeviceCgroupRules" is (["c 1:3 mr"]);
    devices_short: "services.*.devices", "/web/HostConfig/Devices" has ({"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r"});
    devices_long: "services.*.devices[].source", "/web/HostConfig/Devices" has ({"PathOnHost": "/dev/zero", "PathInContainer": "/dev/nil", "CgroupPermissions": "rw"});
    devices_inside: "services.*.devices[].target", "/device" is ("there\n");
    blkio_weight: "services.*.blkio_config.weight", "/said" has ("I/O weight");
    blkio_weight_device: "services.*.blkio_config.weight_device", "/said" has ("weight_device");
    blkio_read_bps: "services.*.blkio_config.device_read_bps", "/web/HostConfig/BlkioDeviceReadBps" is ([{"Path": "/dev/loop0", "Rate": 1 << 20}]);
    blkio_write_bps: "services.*.blkio_config.device_write_bps", "/web/HostConfig/BlkioDeviceWriteBps" is ([{"Path": "/dev/loop0", "Rate": 2048}]);
    blkio_read_iops: "services.*.blkio_config.device_read_iops", "/web/HostConfig/BlkioDeviceReadIOps" is ([{"Path": "/dev/loop0", "Rate": 100}]);
    blkio_write_iops: "services.*.blkio_config.device_write_iops", "/web/HostConfig/BlkioDeviceWriteIOps" is ([{"Path": "/dev/loop0", "Rate": 200}]);
    deploy_replicas: "services.*.deploy.replicas", "/deployed-2/State/Running" is (true);
    deploy_restart_policy: "services.*.deploy.restart_policy", "/deployed/HostConfig/RestartPolicy" is ({"Name": "on-failure", "MaximumRetryCount": 4});
    deploy_cpus: "services.*.deploy.resources.limits.cpus", "/deployed/HostConfig/NanoCpus" is (500_000_000);
    deploy_memory: "services.*.deploy.resources.limits.memory", "/deployed/HostConfig/Memory" is (96 << 20);
    deploy_pids: "services.*.deploy.resources.limits.pids", "/deployed/HostConfig/PidsLimit" is (60);
    deploy_reservation: "services.*.deploy.resources.reservations.memory", "/deployed/HostConfig/MemoryReservation" is (48 << 20);
    scale: "services.*.scale", "/scaled-2/State/Running" is (true);
    scale_to_none: "services.*.scale", "/none" is (null);
    cpu_count: "services.*.cpu_count", "/windows/HostConfig/CpuCount" is (1);
    cpu_percent: "services.*.cpu_percent", "/said" has ("linux does not support CPU percent");
    settled: "services", "/settled" is (true);
}

attributes! {
    spaces, Group {
        compose: "services:
  web: {IDLE, ipc: shareable}
  beside: {IDLE, network_mode: 'service:web', pid: 'service:web', ipc: 'service:web'}
  named: {IDLE, network_mode: 'container:NAME-web-1', pid: 'container:NAME-web-1', depends_on: [web]}
  host: {IDLE, network_mode: host, pid: host, ipc: host, uts: host, userns_mode: host, cgroup: host}
  lone: {IDLE, network_mode: none, cgroup: private}
  bridge: {IDLE, network_mode: bridge}
  linked: {IDLE, links: ['web', 'web:shop'], external_links: ['NAME-web-1:far']}
  attached: {IDLE, attach: false}
  depends: {IDLE, depends_on: {web: {condition: service_started, restart: true}, absent: {condition: service_started, required: false}}}
  absent: {IDLE, profiles: [never]}
  present: {IDLE, profiles: [wanted]}
  child: {extends: {service: parent}, environment: {B: b}}
  parent: {IDLE, environment: {A: a}}
  started: {IDLE, post_start: [{command: [sh, -c, 'echo $$WHO $$PWD > /tmp/started; id -u >> /tmp/started'], user: '5', working_dir: /tmp, environment: {WHO: me}}]}
",
        words: "--profile wanted",
        inside: &[
            ("names", "linked", "getent hosts web shop far | wc -l"),
            ("hook", "started", "cat /tmp/started"),
        ],
        ..Group::default()
    };
    network_mode_service: "services.*.network_mode", "/beside/HostConfig/NetworkMode" is ("container:ID-web");
    network_mode_container: "services.*.network_mode", "/named/HostConfig/NetworkMode" is ("container:ID-web");
    network_mode_host: "services.*.network_mode", "/host/HostConfig/NetworkMode" is ("host");
    network_mode_none: "services.*.network_mode", "/lone/HostConfig/NetworkMode" is ("none");
    network_mode_bridge: "services.*.network_mode", "/bridge/HostConfig/NetworkMode" is ("bridge");
    pid_service: "services.*.pid", "/beside/HostConfig/PidMode" is ("container:ID-web");
    pid_container: "services.*.pid", "/named/HostConfig/PidMode" is ("container:ID-web");
    pid_host: "services.*.pid", "/host/HostConfig/PidMode" is ("host");
    ipc_service: "services.*.ipc", "/beside/HostConfig/IpcMode" is ("container:ID-web");
    ipc_shareable: "services.*.ipc", "/web/HostConfig/IpcMode" is ("shareable");
    ipc_host: "services.*.ipc", "/host/HostConfig/IpcMode" is ("host");
    uts: "services.*.uts", "/host/HostConfig/UTSMode" is ("host");
    userns_mode: "services.*.userns_mode", "/host/HostConfig/UsernsMode" is ("host");
    cgroup_host: "services.*.cgroup", "/host/HostConfig/CgroupnsMode" is ("host");
    cgroup_private: "services.*.cgroup", "/lone/HostConfig/CgroupnsMode" is ("private");
    links: "services.*.links", "/linked/NetworkSettings/Networks/P_default/Links" has ("P-web-1:shop");
    external_links: "services.*.external_links", "/linked/NetworkSettings/Networks/P_default/Links" has ("P-web-1:far");
    links_inside: "services.*.links", "/names" is ("3\n");
    attach: "services.*.attach", "/attached/State/Running" is (true);
    depends_on: "services.*.depends_on", "/depends/Config/Labels/com.docker.compose.depends_on" has ("web:service_started:true");
    profiles_active: "services.*.profiles", "/present/State/Running" is (true);
    profiles_inactive: "services.*.profiles", "/absent" is (null);
    extends: "services.*.extends", "/child/Config/Env" has ("A=a");
    extends_own: "services.*.extends", "/child/Config/Env" has ("B=b");
    post_start: "services.*.post_start", "/hook" is ("me /tmp\n5\n");
    settled: "services", "/settled" is (true);
}

attributes! {
    files, Group {
        compose: "services:
  web:
    IDLEBLOCK
    env_file: [first.env, {path: second.env, required: true}, {path: raw.env, format: raw}, {path: nowhere.env, required: false}]
    environment: {ABOVE: environment}
    label_file: [labels.env]
    labels: {com.example.above: labels}
    secrets: [s_file, {source: s_variable, target: /etc/token, mode: 0400, uid: '5', gid: '6'}, {source: s_file, target: owned, mode: 0440, uid: '33', gid: '34'}]
    configs: [c_file, {source: c_text, target: /etc/text, mode: 0640}, {source: c_variable, target: /etc/var, uid: '7', gid: '8'}]
secrets:
  s_file: {file: ./s.txt, name: another}
  s_variable: {environment: TOKEN}
configs:
  c_file: {file: ./c.txt}
  c_text: {content: \"to $${TOKEN} of ${OTHERS:-nobody}\"}
  c_variable: {environment: TOKEN}
",
        files: &[
            ("first.env", "ONE=first\nTWO=first\nABOVE=file\nQUOTED=\"a b\"\n"),
            ("second.env", "TWO=second\n"),
            ("raw.env", "RAW='$x'\n"),
            ("labels.env", "com.example.filed=file\ncom.example.above=file\n"),
            ("s.txt", "secret\n"),
            ("c.txt", "config\n"),
        ],
        variables: &[("TOKEN", "t0ken")],
        inside: &[
            ("s_file", "web", "cat /run/secrets/s_file"),
            ("s_variable", "web", "cat /etc/token; stat -c ' %u:%g:%a' /etc/token"),
            ("s_owned", "web", "cat /run/secrets/owned; stat -c '%u:%g:%a' /run/secrets/owned"),
            ("c_file", "web", "cat /c_file"),
            ("c_text", "web", "cat /etc/text; stat -c ' %u:%g:%a' /etc/text"),
            ("c_variable", "web", "cat /etc/var; stat -c ' %u:%g:%a' /etc/var"),
        ],
        ..Group::default()
    };
    env_file: "services.*.env_file", "/web/Config/Env" has ("ONE=first");
    env_file_last_wins: "services.*.env_file[].path", "/web/Config/Env" has ("TWO=second");
    env_file_quoted: "services.*.env_file", "/web/Config/Env" has ("QUOTED=a b");
    env_file_raw: "services.*.env_file[].format", "/web/Config/Env" has ("RAW='$x'");
    env_file_not_required: "services.*.env_file[].required", "/code" is (0);
    environment_above_env_file: "services.*.environment", "/web/Config/Env" has ("ABOVE=environment");
    label_file: "services.*.label_file", "/web/Config/Labels" has ({"com.example.filed": "file"});
    labels_above_label_file: "services.*.labels", "/web/Config/Labels" has ({"com.example.above": "labels"});
    secret_file: "services.*.secrets", "/s_file" is ("secret\n");
    secret_is_read_only: "secrets.*.file", "/web/HostConfig/Mounts" has ({"Type": "bind", "Source": "HERE/s.txt", "Target": "/run/secrets/s_file", "ReadOnly": true});
    secret_environment: "secrets.*.environment", "/s_variable" is ("t0ken 5:6:400\n");
    secret_owner_of_a_file: "services.*.secrets[].uid", "/s_owned" is ("secret\n33:34:440\n");
    config_file: "services.*.configs", "/c_file" is ("config\n");
    config_content: "configs.*.content", "/c_text" is ("to ${TOKEN} of nobody 0:0:640\n");
    config_environment: "configs.*.environment", "/c_variable" is ("t0ken 7:8:444\n");
    settled: "services", "/settled" is (true);
}

attributes! {
    volumes, Group {
        compose: "services:
  web:
    IDLEBLOCK
    volumes:
      - ./src:/src:ro
      - ./made:/made
      - data:/data
      - data:/opt:ro,nocopy
      - /anonymous
      - {type: volume, source: named, target: /named, read_only: true, volume: {nocopy: true}}
      - {type: volume, target: /unnamed, volume: {labels: {from: mount}}}
      - {type: bind, source: ./src, target: /long, read_only: true, bind: {propagation: rprivate}}
      - {type: bind, source: ./src, target: /strict, bind: {create_host_path: false, recursive: disabled}}
      - {type: bind, source: ./also, target: /also, bind: {create_host_path: true, selinux: z}}
  taker: {IDLE, depends_on: [giver], volumes_from: ['web:ro', 'container:NAME-giver']}
  giver: {IDLE, container_name: NAME-giver, volumes: ['tied:/tied', 'ram:/ram2']}
  light: {IDLE, volumes: [{type: tmpfs, target: /ram, tmpfs: {size: 1m, mode: 0700}}]}
volumes:
  data: {labels: {a: b}}
  named: {name: NAME-given}
  tied: {driver: local, driver_opts: {type: none, o: bind, device: 'HERE/src'}}
  ram: {driver_opts: {type: tmpfs, o: 'size=1m,uid=5', device: tmpfs}}
",
        files: &[("src/hello", "hi\n")],
        inside: &[
            ("src", "web", "cat /src/hello; touch /src/x"),
            ("made", "web", "touch /made/x && echo made"),
            ("opt", "web", "touch /opt/x"),
            ("ram", "light", "stat -c %a /ram; stat -f -c %b*%S /ram"),
            ("taken", "taker", "cat /src/hello /tied/hello; touch /data/x"),
            ("ram2", "giver", "stat -c %u /ram2; stat -f -c %T /ram2"),
        ],
        ..Group::default()
    };
    bind: "services.*.volumes", "/web/HostConfig/Binds" has ("HERE/src:/src:ro");
    bind_inside: "services.*.volumes", "/src" has ("hi\ntouch: cannot touch '/src/x': Read-only");
    bind_makes_the_host_path: "services.*.volumes[].bind.create_host_path", "/made" is ("made\n");
    volume: "services.*.volumes[].source", "/web/HostConfig/Binds" has ("P_data:/data:rw");
    volume_short_options: "services.*.volumes", "/web/HostConfig/Binds" has ("P_data:/opt:ro,nocopy");
    volume_read_only: "services.*.volumes[].read_only", "/opt" has ("Read-only file system");
    volume_nocopy: "services.*.volumes[].volume.nocopy", "/web/HostConfig/Binds" has ("P-given:/named:ro,nocopy");
    volume_anonymous: "services.*.volumes", "/web/HostConfig/Mounts" has ({"Type": "volume", "Target": "/anonymous", "VolumeOptions": {}});
    volume_labels: "services.*.volumes[].volume.labels", "/web/HostConfig/Mounts" has ({"Type": "volume", "Target": "/unnamed", "VolumeOptions": {"Labels": {"from": "mount"}}});
    tmpfs: "services.*.volumes[].type", "/light/HostConfig/Mounts" has ({"Type": "tmpfs", "Target": "/ram", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}});
    tmpfs_inside: "services.*.volumes[].tmpfs.size", "/ram" is ("700\n256*4096\n");
    bind_propagation: "services.*.volumes[].bind.propagation", "/web/HostConfig/Mounts" has ({"Type": "bind", "Source": "HERE/src", "Target": "/long", "ReadOnly": true, "BindOptions": {"Propagation": "rprivate"}});
    bind_recursive: "services.*.volumes[].bind.recursive", "/web/HostConfig/Mounts" has ({"Type": "bind", "Source": "HERE/src", "Target": "/strict", "BindOptions": {"NonRecursive": true}});
    bind_selinux: "services.*.volumes[].bind.selinux", "/web/HostConfig/Binds" has ("HERE/also:/also:rw,z");
    volumes_from: "services.*.volumes_from", "/taker/HostConfig/VolumesFrom" is (["ID-web:ro", "P-giver"]);
    volumes_from_inside: "services.*.volumes_from", "/taken" has ("hi\nhi\ntouch: cannot touch '/data/x': Read-only");
    top_labels: "volumes.*.labels", "/volume data/Labels" has ({"a": "b"});
    top_name: "volumes.*.name", "/volume given/Name" is ("P-given");
    top_driver: "volumes.*.driver", "/volume tied/Driver" is ("local");
    top_driver_opts: "volumes.*.driver_opts", "/volume tied/Options" is ({"type": "none", "o": "bind", "device": "HERE/src"});
    top_driver_opts_tmpfs: "volumes.*.driver_opts", "/ram2" is ("5\ntmpfs\n");
    settled: "services", "/settled" is (true);
}

attributes! {
    networks, Group {
        compose: "services:
  web:
    IDLEBLOCK
    networks:
      front: {aliases: [www, shop], priority: 10, driver_opts: {some.option: value}}
      back: {ipv4_address: SUBNET.9, link_local_ips: [169.254.77.5], priority: 100}
      six: {ipv6_address: 'SIX:9'}
  other: {IDLE, networks: [back]}
networks:
  front: {labels: {a: b}, attachable: true, name: NAME-front}
  back:
    internal: true
    driver: bridge
    driver_opts: {com.docker.network.driver.mtu: '1400'}
    ipam:
      driver: default
      options: {some: option}
      config: [{subnet: SUBNET.0/24, gateway: SUBNET.1, ip_range: SUBNET.128/25, aux_addresses: {printer: SUBNET.200}}]
  six: {enable_ipv6: true, ipam: {config: [{subnet: 'SIX:/64', gateway: 'SIX:1'}]}}
",
        inside: &[
            ("address", "other", "getent ahostsv4 web | head -1"),
            ("alias", "web", "getent hosts www shop | wc -l"),
            ("mtu", "other", "cat /sys/class/net/eth0/mtu"),
        ],
        ..Group::default()
    };
    aliases: "services.*.networks.*.aliases", "/web/NetworkSettings/Networks/P-front/Aliases" has ("shop");
    aliases_own: "services.*.networks", "/web/NetworkSettings/Networks/P-front/Aliases" has ("web");
    aliases_inside: "services.*.networks.*.aliases", "/alias" is ("2\n");
    driver_opts: "services.*.networks.*.driver_opts", "/web/NetworkSettings/Networks/P-front/DriverOpts" is ({"some.option": "value"});
    ipv4_address: "services.*.networks.*.ipv4_address", "/web/NetworkSettings/Networks/P_back/IPAddress" is ("SUBNET.9");
    ipv4_address_resolved: "services.*.networks.*.ipv4_address", "/address" has ("SUBNET.9");
    ipv6_address: "services.*.networks.*.ipv6_address", "/web/NetworkSettings/Networks/P_six/GlobalIPv6Address" is ("SIX:9");
    link_local_ips: "services.*.networks.*.link_local_ips", "/web/NetworkSettings/Networks/P_back/IPAMConfig/LinkLocalIPs" is (["169.254.77.5"]);
    priority: "services.*.networks.*.priority", "/web/HostConfig/NetworkMode" is ("P_back");
    top_labels: "networks.*.labels", "/network front/Labels" has ({"a": "b"});
    top_attachable: "networks.*.attachable", "/network front/Attachable" is (true);
    top_name: "networks.*.name", "/network front/Name" is ("P-front");
    top_internal: "networks.*.internal", "/network back/Internal" is (true);
    top_driver: "networks.*.driver", "/network back/Driver" is ("bridge");
    top_driver_opts: "networks.*.driver_opts", "/network back/Options" is ({"com.docker.network.driver.mtu": "1400"});
    top_driver_opts_inside: "networks.*.driver_opts", "/mtu" is ("1400\n");
    top_ipam: "networks.*.ipam.config", "/network back/IPAM/Config" is ([{"Subnet": "SUBNET.0/24", "Gateway": "SUBNET.1", "IPRange": "SUBNET.128/25", "AuxiliaryAddresses": {"printer": "SUBNET.200"}}]);
    top_ipam_driver: "networks.*.ipam.driver", "/network back/IPAM/Driver" is ("default");
    top_ipam_options: "networks.*.ipam.options", "/network back/IPAM/Options" is ({"some": "option"});
    top_enable_ipv6: "networks.*.enable_ipv6", "/network six/EnableIPv6" is (true);
    settled: "services", "/settled" is (true);
}

attributes! {
    ports, Group {
        compose: "services:
  short: {IDLE, ports: ['127.0.0.1:PORT0:80', 'PORT1-PORT2:90-91', '127.0.0.1:PORT3:53/udp', '127.0.0.1::70', '60']}
  long: {IDLE, ports: [{target: 80, published: 'PORT4', host_ip: 127.0.0.1, protocol: tcp, app_protocol: http}]}
  range: {IDLE, ports: ['127.0.0.1:PORT5-PORT5:80']}
",
        ..Group::default()
    };
    host_ip: "services.*.ports[].host_ip", "/short/HostConfig/PortBindings/80~1tcp" is ([{"HostIp": "127.0.0.1", "HostPort": "PORT0"}]);
    range_first: "services.*.ports", "/short/HostConfig/PortBindings/90~1tcp" is ([{"HostIp": "", "HostPort": "PORT1"}]);
    range_last: "services.*.ports", "/short/HostConfig/PortBindings/91~1tcp" is ([{"HostIp": "", "HostPort": "PORT2"}]);
    udp: "services.*.ports[].protocol", "/short/HostConfig/PortBindings/53~1udp" is ([{"HostIp": "127.0.0.1", "HostPort": "PORT3"}]);
    any_port: "services.*.ports", "/short/HostConfig/PortBindings/70~1tcp" is ([{"HostIp": "127.0.0.1", "HostPort": ""}]);
    target_only: "services.*.ports[].target", "/short/HostConfig/PortBindings/60~1tcp" is ([{"HostIp": "", "HostPort": ""}]);
    long: "services.*.ports[].published", "/long/NetworkSettings/Ports/80~1tcp" is ([{"HostIp": "127.0.0.1", "HostPort": "PORT4"}]);
    app_protocol: "services.*.ports[].app_protocol", "/said" has ("`services.long.ports[0].app_protocol` has no effect");
    range_of_one: "services.*.ports", "/range/HostConfig/PortBindings/80~1tcp" is ([{"HostIp": "127.0.0.1", "HostPort": "PORT5"}]);
    settled: "services", "/settled" is (true);
}

attributes! {
    forms, Group {
        compose: r#"services:
  words: {image: IMAGE, stop_signal: SIGKILL, command: "sh -c 'exec sleep infinity' 'a b'"}
  entry: {image: IMAGE, stop_signal: SIGKILL, entrypoint: sleep infinity, command: []}
  texts: {IDLE, environment: [A=1, 'B=x=y', 'C='], labels: [a=b, c], annotations: [d=e], dns: 10.9.9.9, dns_search: example.test, tmpfs: /one, sysctls: [net.core.somaxconn=512], extra_hosts: {far.test: 10.1.1.1}}
  always: {IDLE, restart: always}
  stopped: {IDLE, restart: unless-stopped}
  no: {IDLE, restart: 'no'}
  failure: {IDLE, restart: on-failure}
  shell: {IDLE, healthcheck: {test: 'test -d /', interval: 100ms}}
  none: {IDLE, healthcheck: {test: [NONE]}}
  off: {IDLE, healthcheck: {disable: true}}
  local: {IDLE, logging: {driver: local}}
"#,
        ..Group::default()
    };
    command_text: "services.*.command", "/words/Config/Cmd" is (["sh", "-c", "exec sleep infinity", "a b"]);
    entrypoint_text: "services.*.entrypoint", "/entry/Config/Entrypoint" is (["sleep", "infinity"]);
    command_empty: "services.*.command", "/entry/Args" is (["infinity"]);
    environment_list: "services.*.environment", "/texts/Config/Env" has ("B=x=y");
    environment_list_empty: "services.*.environment", "/texts/Config/Env" has ("C=");
    labels_list: "services.*.labels", "/texts/Config/Labels" has ({"a": "b", "c": ""});
    annotations: "services.*.annotations", "/said" has ("`services.texts.annotations` needs engine API 1.43");
    dns_text: "services.*.dns", "/texts/HostConfig/Dns" is (["10.9.9.9"]);
    dns_search_text: "services.*.dns_search", "/texts/HostConfig/DnsSearch" is (["example.test"]);
    tmpfs_text: "services.*.tmpfs", "/texts/HostConfig/Tmpfs" is ({"/one": ""});
    sysctls_list: "services.*.sysctls", "/texts/HostConfig/Sysctls" is ({"net.core.somaxconn": "512"});
    extra_hosts_map: "services.*.extra_hosts", "/texts/HostConfig/ExtraHosts" is (["far.test:10.1.1.1"]);
    restart_always: "services.*.restart", "/always/HostConfig/RestartPolicy/Name" is ("always");
    restart_unless_stopped: "services.*.restart", "/stopped/HostConfig/RestartPolicy/Name" is ("unless-stopped");
    restart_no: "services.*.restart", "/no/HostConfig/RestartPolicy/Name" is ("no");
    restart_on_failure: "services.*.restart", "/failure/HostConfig/RestartPolicy" is ({"Name": "on-failure", "MaximumRetryCount": 0});
    healthcheck_text: "services.*.healthcheck.test", "/shell/Config/Healthcheck/Test" is (["CMD-SHELL", "test -d /"]);
    healthcheck_none: "services.*.healthcheck.test", "/none/Config/Healthcheck/Test" is (["NONE"]);
    healthcheck_disable: "services.*.healthcheck.disable", "/off/Config/Healthcheck/Test" is (["NONE"]);
    logging_local: "services.*.logging", "/local/HostConfig/LogConfig/Type" is ("local");
    settled: "services", "/settled" is (true);
}

attributes! {
    built, Group {
        compose: "services:
  web:
    build:
      context: .
      dockerfile: Other
      target: last
      args: {WHO: world, FROM_OUTSIDE: }
      labels: {made.by: test}
      tags: ['NAME-tag:1']
      network: host
      shm_size: 64m
      ulimits: {nofile: 999}
      extra_hosts: ['far.test:10.1.2.3']
      additional_contexts: {more: ./more}
      secrets: [token]
      no_cache: true
      pull: false
      platforms: [linux/amd64]
    command: sleep infinity
    stop_signal: SIGKILL
  inline: {build: {dockerfile_inline: 'FROM IMAGE', provenance: true, sbom: true, isolation: default}, image: 'NAME-inline:2', command: sleep infinity, stop_signal: SIGKILL}
secrets: {token: {file: ./token}}
",
        files: &[
            ("Other", "FROM IMAGE AS first\nFROM first AS last\nARG WHO FROM_OUTSIDE\nENV WHO=$WHO\nCOPY --from=more file /more\nRUN --mount=type=secret,id=token cat /etc/hosts /run/secrets/token > /seen; echo $FROM_OUTSIDE >> /seen; grep -o docker0 /proc/net/dev >> /seen\nFROM first AS never\nRUN false\n"),
            ("more/file", "more\n"),
            ("token", "t0ken\n"),
        ],
        variables: &[("FROM_OUTSIDE", "0utside")],
        inside: &[("seen", "web", "cat /seen"), ("more", "web", "cat /more")],
        images: &["NAME-web", "NAME-tag:1", "NAME-inline:2"],
        ..Group::default()
    };
    args: "services.*.build.args", "/P-web/Config/Env" has ("WHO=world");
    args_inherited: "services.*.build.args", "/seen" has ("0utside\n");
    target: "services.*.build.target", "/code" is (0);
    labels: "services.*.build.labels", "/P-web/Config/Labels" has ({"made.by": "test"});
    tags: "services.*.build.tags", "/P-tag:1/Config/Labels" has ({"made.by": "test"});
    platforms: "services.*.build.platforms", "/P-web/Architecture" is ("amd64");
    extra_hosts: "services.*.build.extra_hosts", "/seen" has ("10.1.2.3");
    secrets: "services.*.build.secrets", "/seen" has ("t0ken\n");
    additional_contexts: "services.*.build.additional_contexts", "/more" is ("more\n");
    network: "services.*.build.network", "/seen" has ("docker0");
    provenance: "services.*.build.provenance", "/said" has ("`services.inline.build.provenance` has no effect");
    sbom: "services.*.build.sbom", "/said" has ("`services.inline.build.sbom` has no effect");
    isolation: "services.*.build.isolation", "/said" has ("`services.inline.build.isolation` has no effect");
    ulimits: "services.*.build.ulimits", "/said" has ("`services.web.build.ulimits` needs engine API 1.42");
    dockerfile: "services.*.build.dockerfile", "/web/Config/Image" is ("P-web");
    shm_size: "services.*.build.shm_size", "/said" has ("shm_size");
    dockerfile_inline: "services.*.build.dockerfile_inline", "/inline/Config/Image" is ("P-inline:2");
    image: "services.*.build", "/P-inline:2/Config/Labels" has ({"com.docker.compose.project": "P"});
    settled: "services", "/settled" is (true);
}

// Values at the edge of what an attribute takes.
attributes! {
    values, Group {
        compose: "services:
  web:
    IDLEBLOCK
    init: false
    user: nobody
    shm_size: 1000000
    mem_limit: 64m
    memswap_limit: -1
    pids_limit: -1
    cpus: '1.5'
    ulimits: {core: 0, cpu: -1}
    devices: [/dev/null]
    extra_hosts: ['host.test:host-gateway']
    stop_grace_period: 0s
    logging: {driver: none}
    security_opt: ['seccomp:unconfined']
    ipc: none
    depends_on: [other]
    networks: [default]
    labels: {price: '$$5', quoted: 'a \"b\"', empty: }
    environment: {LINES: \"a\\nb\", PRICE: '$$5', BIG: 12345678901}
    healthcheck: {test: [CMD-SHELL, 'true'], interval: 0.1s, timeout: 1.5s, retries: 0}
    ports: ['[::1]:PORT0:80', 'PORT1-PORT2:81', {target: 82, published: PORT3, host_ip: 127.0.0.1}, {target: 82, published: PORT4, host_ip: 127.0.0.1}]
    volumes: ['./file:/file:ro', {type: volume, source: data, target: /data, consistency: cached}]
    env_file: one.env
    deploy: {restart_policy: {condition: any}}
  other: {IDLE, deploy: {restart_policy: {condition: none}}, pids_limit: 0, cpu_shares: 0}
  build: {build: {dockerfile_inline: \"FROM IMAGE\\nENTRYPOINT [\\\"sleep\\\"]\\nCMD [\\\"9999\\\"]\\nUSER 7\\nWORKDIR /opt\\nEXPOSE 99\\nENV A=image\\nSTOPSIGNAL SIGKILL\\nVOLUME /v\"}, command: null, entrypoint: null, environment: {B: b}}
  over: {build: {dockerfile_inline: \"FROM IMAGE\\nENTRYPOINT [\\\"sleep\\\"]\\nCMD [\\\"9999\\\"]\"}, command: ['8888'], stop_signal: SIGKILL}
volumes: {data: }
",
        files: &[("file", "content\n"), ("one.env", "ONE=1\n")],
        inside: &[("file", "web", "cat /file")],
        ..Group::default()
    };
    init: "services.*.init", "/web/HostConfig/Init" is (false);
    user: "services.*.user", "/web/Config/User" is ("nobody");
    shm_size: "services.*.shm_size", "/web/HostConfig/ShmSize" is (1_000_000);
    memswap_limit: "services.*.memswap_limit", "/web/HostConfig/MemorySwap" is (-1);
    pids_limit: "services.*.pids_limit", "/web/HostConfig/PidsLimit" is (null);
    cpus: "services.*.cpus", "/web/HostConfig/NanoCpus" is (1_500_000_000);
    ulimits_none: "services.*.ulimits.*", "/web/HostConfig/Ulimits" has ({"Name": "core", "Soft": 0, "Hard": 0});
    ulimits_unlimited: "services.*.ulimits.*", "/web/HostConfig/Ulimits" has ({"Name": "cpu", "Soft": -1, "Hard": -1});
    devices: "services.*.devices", "/web/HostConfig/Devices" is ([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/null", "CgroupPermissions": "rwm"}]);
    extra_hosts: "services.*.extra_hosts", "/web/HostConfig/ExtraHosts" is (["host.test:host-gateway"]);
    stop_grace_period: "services.*.stop_grace_period", "/web/Config/StopTimeout" is (0);
    logging: "services.*.logging.driver", "/web/HostConfig/LogConfig/Type" is ("none");
    security_opt: "services.*.security_opt", "/web/HostConfig/SecurityOpt" has ("seccomp=unconfined");
    ipc: "services.*.ipc", "/web/HostConfig/IpcMode" is ("none");
    depends_on: "services.*.depends_on", "/web/Config/Labels/com.docker.compose.depends_on" is ("other:service_started:false");
    networks: "services.*.networks", "/web/HostConfig/NetworkMode" is ("P_default");
    labels: "services.*.labels", "/web/Config/Labels" has ({"price": "$5", "quoted": "a \"b\"", "empty": ""});
    environment_lines: "services.*.environment", "/web/Config/Env" has ("LINES=a\nb");
    environment_dollar: "services.*.environment", "/web/Config/Env" has ("PRICE=$5");
    environment_big: "services.*.environment", "/web/Config/Env" has ("BIG=12345678901");
    healthcheck_interval: "services.*.healthcheck.interval", "/web/Config/Healthcheck/Interval" is (100_000_000);
    healthcheck_timeout: "services.*.healthcheck.timeout", "/web/Config/Healthcheck/Timeout" is (1_500_000_000);
    port_of_ipv6: "services.*.ports", "/web/HostConfig/PortBindings/80~1tcp" is ([{"HostIp": "::1", "HostPort": "PORT0"}]);
    port_out_of_a_range: "services.*.ports", "/web/HostConfig/PortBindings/81~1tcp" is ([{"HostIp": "", "HostPort": "PORT1-PORT2"}]);
    port_twice: "services.*.ports", "/web/HostConfig/PortBindings/82~1tcp" is ([{"HostIp": "127.0.0.1", "HostPort": "PORT3"}, {"HostIp": "127.0.0.1", "HostPort": "PORT4"}]);
    bind_of_a_file: "services.*.volumes", "/file" is ("content\n");
    volume_consistency: "services.*.volumes[].consistency", "/said" has ("`services.web.volumes[1].consistency` has no effect");
    env_file: "services.*.env_file", "/web/Config/Env" has ("ONE=1");
    restart_policy_any: "services.*.deploy.restart_policy.condition", "/web/HostConfig/RestartPolicy/Name" is ("unless-stopped");
    restart_policy_none: "services.*.deploy.restart_policy.condition", "/other/HostConfig/RestartPolicy/Name" is ("no");
    entrypoint_of_the_image: "services.*.entrypoint", "/build/Config/Entrypoint" is (["sleep"]);
    command_of_the_image: "services.*.command", "/build/Config/Cmd" is (["9999"]);
    command_over_the_image: "services.*.command", "/over/Config/Cmd" is (["8888"]);
    user_of_the_image: "services.*.user", "/build/Config/User" is ("7");
    environment_beside_the_image: "services.*.environment", "/build/Config/Env" has ("A=image");
    working_dir_of_the_image: "services.*.working_dir", "/build/Config/WorkingDir" is ("/opt");
    settled: "services", "/settled" is (true);
}

// What this engine or this machine does not have is told.
attributes! {
    told, Group {
        compose: "services:
  web:
    IDLEBLOCK
    mac_address: 02:42:ac:11:00:09
    healthcheck: {test: 'true', interval: 100ms, start_period: 1s, start_interval: 50ms}
    networks: {default: {gw_priority: 1, mac_address: 02:42:ac:11:00:08, interface_name: eth7}}
    volumes: [{type: bind, source: ., target: /x, read_only: true, bind: {recursive: readonly}}]
    pull_refresh_after: 1h
    isolation: default
    credential_spec: {file: spec.json}
    use_api_socket: true
    deploy: {mode: global, endpoint_mode: vip, labels: {a: b}, placement: {constraints: [a]}, update_config: {parallelism: 1}, rollback_config: {parallelism: 1}, restart_policy: {window: 5s, delay: 5s}}
    ports: [{target: 80, mode: host, name: http}]
  other: {IDLE, networks: [four]}
networks: {default: {enable_ipv4: false}, four: {enable_ipv4: true}}
",
        ..Group::default()
    };
    mac_address: "services.*.mac_address", "/said" has ("`services.web.mac_address` needs engine API 1.44");
    start_interval: "services.*.healthcheck.start_interval", "/said" has ("`services.web.healthcheck.start_interval` needs engine API 1.44");
    gw_priority: "services.*.networks.*.gw_priority", "/said" has ("`services.web.networks.default.gw_priority` needs engine API 1.48");
    mac_address_of_an_end: "services.*.networks.*.mac_address", "/said" has ("`services.web.networks.default.mac_address` needs engine API 1.44");
    interface_name: "services.*.networks.*.interface_name", "/said" has ("`services.web.networks.default.interface_name` needs engine API 1.49");
    bind_recursive_readonly: "services.*.volumes[].bind.recursive", "/said" has ("bind.recursive: readonly` needs engine API 1.44");
    isolation: "services.*.isolation", "/web/HostConfig/Isolation" is ("default");
    credential_spec: "services.*.credential_spec", "/said" has ("`services.web.credential_spec` has no effect");
    use_api_socket: "services.*.use_api_socket", "/said" has ("`services.web.use_api_socket` has no effect");
    pull_refresh_after: "services.*.pull_refresh_after", "/said" has ("`services.web.pull_refresh_after` has no effect");
    deploy_mode: "services.*.deploy.mode", "/said" has ("`services.web.deploy.mode` has no effect");
    deploy_endpoint_mode: "services.*.deploy.endpoint_mode", "/said" has ("`services.web.deploy.endpoint_mode` has no effect");
    deploy_labels: "services.*.deploy.labels", "/said" has ("`services.web.deploy.labels` has no effect");
    deploy_placement: "services.*.deploy.placement", "/said" has ("`services.web.deploy.placement` has no effect");
    deploy_update_config: "services.*.deploy.update_config", "/said" has ("`services.web.deploy.update_config` has no effect");
    deploy_rollback_config: "services.*.deploy.rollback_config", "/said" has ("`services.web.deploy.rollback_config` has no effect");
    deploy_window: "services.*.deploy.restart_policy.window", "/said" has ("`services.web.deploy.restart_policy.window` has no effect");
    deploy_delay: "services.*.deploy.restart_policy.delay", "/said" has ("`services.web.deploy.restart_policy.delay` has no effect");
    enable_ipv4: "networks.*.enable_ipv4", "/said" has ("`networks.default.enable_ipv4` needs engine API 1.48");
    port_mode: "services.*.ports[].mode", "/said" has ("`services.web.ports[0].mode` has no effect");
    port_name: "services.*.ports[].name", "/said" has ("`services.web.ports[0].name` has no effect");
}

// What it refuses, it refuses by the container's name, and the others go on.
attributes! {
    refused, Group {
        compose: "services:
  storage: {IDLE, storage_opt: {size: 1G}}
  privileged: {IDLE, privileged: true}
  gpus: {IDLE, gpus: all}
  device: {IDLE, deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}}
  realtime: {IDLE, cpu_rt_runtime: 1000}
  cdi: {IDLE, devices: ['vendor.com/class=name']}
",
        ..Group::default()
    };
    storage_opt: "services.*.storage_opt", "/said" has ("--storage-opt is supported only for overlay over xfs");
    privileged: "services.*.privileged", "/said" has ("P-privileged-1` could not be started");
    gpus: "services.*.gpus", "/said" has ("P-gpus-1` could not be started: could not select device driver");
    deploy_devices: "services.*.deploy.resources.reservations.devices", "/said" has ("P-device-1` could not be started: could not select device driver");
    cpu_rt_runtime: "services.*.cpu_rt_runtime", "/said" has ("cpu.rt_runtime_us");
    devices_cdi: "services.*.devices", "/said" has ("P-cdi-1` could not be");
    code: "services", "/code" is (1);
}

attributes! {
    impossible, Group {
        compose: "services:
  models: {IDLE, models: [m]}
  subpath: {IDLE, volumes: [{type: volume, source: v, target: /v, volume: {subpath: below}}]}
  image: {IDLE, volumes: [{type: image, source: IMAGE, target: /i, image: {subpath: etc}}]}
volumes: {v: {}}
models: {m: {model: ai/x}}
",
        ..Group::default()
    };
    models: "services.*.models", "/said" has ("`services.models.models` is refused");
    volume_subpath: "services.*.volumes[].volume.subpath", "/said" has ("volume.subpath` needs engine API 1.45");
    volume_image: "services.*.volumes[].type", "/said" has ("type: image` needs engine API 1.4");
    nothing_is_made: "services", "/volume v" is (null);
}

attributes! {
    provided, Group { compose: "services: {web: {provider: {type: x}}}", ..Group::default() };
    provider: "services.*.provider", "/said" has ("service `web` is run by a provider, which devenv does not do");
}

/// Attributes that no inspection shows, and where their tests are.
const ELSEWHERE: &[(&str, &str)] = &[
    ("services.*.develop", "watch::saved_is_there_and_what_is_removed_is_not"),
    ("services.*.pre_stop", "conditions::hooks_run_after_the_start_and_before_the_stop"),
    ("networks.*.external", "made::external_networks_and_volumes_have_to_be_there"),
    ("volumes.*.external", "made::external_networks_and_volumes_have_to_be_there"),
];

#[test]
fn every_attribute_has_a_row() {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/src/library/schemas/compose-spec.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let groups = [
        plain::PATHS,
        limits::PATHS,
        spaces::PATHS,
        files::PATHS,
        volumes::PATHS,
        networks::PATHS,
        ports::PATHS,
        forms::PATHS,
        built::PATHS,
        told::PATHS,
        refused::PATHS,
        values::PATHS,
        impossible::PATHS,
        provided::PATHS,
    ];
    let paths: Vec<&str> =
        groups.into_iter().flatten().copied().chain(ELSEWHERE.iter().map(|(path, _)| *path)).collect();
    let mut missing = Vec::new();
    for (definition, prefix) in [
        ("service", "services.*"),
        ("deployment", "services.*.deploy"),
        ("healthcheck", "services.*.healthcheck"),
        ("network", "networks.*"),
        ("volume", "volumes.*"),
    ] {
        let found = &schema["definitions"][definition]["properties"];
        assert!(found.is_object(), "{definition}");
        for key in found.as_object().into_iter().flatten().map(|(key, _)| format!("{prefix}.{key}")) {
            let has = |path: &&str| {
                path.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            if !paths.iter().any(has) {
                missing.push(key);
            }
        }
    }
    assert!(missing.is_empty(), "without a row: {missing:#?}");
}
