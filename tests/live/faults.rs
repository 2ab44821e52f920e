//! Commands that are cut short, run at the same time, or find what others have changed: the next `up` converges.

use rustix::process::Signal;

use crate::site::{Run, Site, engine, engine_with, signal, until};

/// Networks, a volume, a build of dependencies: enough steps to die between any two.
const CHAIN: &str = "services:
  web: {IDLE, depends_on: {api: {condition: service_healthy}}, networks: [front, back]}
  api: {IDLE, depends_on: {migrate: {condition: service_completed_successfully}, db: {condition: service_healthy}},
    networks: [back], healthcheck: {test: 'true', interval: 100ms}}
  migrate: {image: IMAGE, command: 'true', depends_on: [db], networks: [back]}
  db: {IDLE, networks: [back], volumes: ['data:/data', /anonymous], healthcheck: {test: 'true', interval: 100ms}}
networks: {front: {}, back: {}}
volumes: {data: {}}
";

const WHOLE: [&str; 7] = [
    "container P-api-1 running",
    "container P-db-1 running",
    "container P-migrate-1 exited",
    "container P-web-1 running",
    "network P_back",
    "network P_front",
    "volume P_data",
];

/// A number that differs from round to round, spread over the run of a command.
fn spread(round: u64, most: u64) -> std::time::Duration {
    std::time::Duration::from_millis(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % most)
}

fn converged(site: &Site) {
    site.ok("up");
    site.holds(&WHOLE);
    site.is_settled();
}

#[test]
fn up_killed_at_any_moment_converges() {
    let site = Site::with("kill", CHAIN);
    for round in 0..15 {
        let mut up = site.spawn("up");
        std::thread::sleep(spread(round, 3000));
        let _ = up.kill();
        up.wait().unwrap();
        // Every other round goes on from where the one before died.
        if round % 2 == 1 {
            converged(&site);
            site.ok("down -v --yes");
            site.holds(&[]);
        }
    }
    converged(&site);
}

#[test]
fn a_replacement_killed_at_any_moment_converges() {
    let site = Site::up("killre", CHAIN);
    let ids = site.ids();
    for round in 0..10 {
        let changed = CHAIN.replace("db: {IDLE,", &format!("db: {{IDLE, environment: {{ROUND: '{round}'}},"));
        site.compose(&changed);
        let mut up = site.spawn("up");
        std::thread::sleep(spread(round, 1500));
        let _ = up.kill();
        up.wait().unwrap();
        converged(&site);
        let environment = site.inspect("db")["Config"]["Env"].to_string();
        assert!(environment.contains(&format!("ROUND={round}")), "{environment}");
    }
    assert_ne!(site.ids(), ids);
    // The anonymous volume is the first one still: no replacement lost it on the way.
    let mounts = site.inspect("db")["Mounts"].clone();
    assert_eq!(mounts.as_array().unwrap().len(), 2, "{mounts}");
}

#[test]
fn a_replacement_keeps_anonymous_data_when_it_is_killed() {
    let text = "services: {db: {IDLE, volumes: [/anonymous]}}";
    let site = Site::up("killdata", text);
    site.ok("exec db touch /anonymous/row");
    for round in 0..8 {
        site.compose(&text.replace("IDLE,", &format!("IDLE, environment: {{ROUND: '{round}'}},")));
        let mut up = site.spawn("up");
        std::thread::sleep(spread(round + 3, 900));
        let _ = up.kill();
        up.wait().unwrap();
        site.ok("up");
        site.ok("exec db test -e /anonymous/row");
    }
    site.holds(&["container P-db-1 running", "network P_default"]);
}

#[test]
fn ctrl_c_ends_up_with_130_and_the_next_up_converges() {
    let site = Site::with(
        "ctrlc",
        &CHAIN.replace("command: 'true'", "command: \"sh -c 'until test -e /go; do sleep 0.05; done'\""),
    );
    for (stop, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let up = site.spawn("up");
        until("migrate runs", || {
            site.inventory().contains(&"container P-migrate-1 running".to_owned()).then_some(())
        });
        signal(&up, stop);
        let run = Run::of("up", up).exits(code);
        assert!(!run.err.contains("✔ service web"), "{run}");
        // What waits for its dependency was not started.
        assert!(site.inventory().contains(&"container P-api-1 created".to_owned()), "{:?}", site.inventory());
        site.ok("down");
    }
    let up = site.spawn("up");
    until("migrate may end", || (site.run("exec migrate touch /go").code == Some(0)).then_some(()));
    Run::of("up", up).exits(0);
    site.holds(&WHOLE);
}

#[test]
fn several_up_at_once_come_to_the_same_end() {
    let site = Site::with("atonce", CHAIN);
    for count in [2, 5] {
        let all: Vec<_> = (0..count).map(|_| site.spawn("up")).collect();
        let told: Vec<Run> = all.into_iter().map(|up| Run::of("up", up).exits(0)).collect();
        site.holds(&WHOLE);
        assert!(told.iter().any(|run| run.err.contains("waiting for process")), "{told:?}");
        site.ok("down -v --yes");
        site.holds(&[]);
    }
}

#[test]
fn a_lock_is_told_and_ends_with_its_holder() {
    let site = Site::with(
        "lock",
        "services: {web: {IDLE, healthcheck: {test: test -e /ok, interval: 100ms, retries: 1000}}}",
    );
    let mut holder = site.spawn("up");
    until("web runs", || site.inventory().contains(&"container P-web-1 running".to_owned()).then_some(()));
    let own = format!("process {}", holder.id());
    let run = site.run("down --lock-timeout 300ms").exits(5);
    run.says(&[&own, "up", "--lock-timeout"]);
    // Looking needs no lock.
    site.ok("status");
    site.ok("logs");
    holder.kill().unwrap();
    holder.wait().unwrap();
    site.ok("down --lock-timeout 300ms");
    site.holds(&[]);
}

#[test]
fn down_while_up_runs_waits_for_it() {
    let site = Site::with("updown", CHAIN);
    let up = site.spawn("up");
    until("up has begun", || (!site.inventory().is_empty()).then_some(()));
    site.ok("down -v --yes");
    Run::of("up", up).exits(0);
    site.holds(&[]);
}

#[test]
fn a_container_that_was_removed_stopped_or_renamed_is_mended() {
    let site = Site::up("behind", CHAIN);
    engine("DELETE", &format!("/containers/{}?force=1", site.id("web")));
    let status = site.json("status --json");
    assert_eq!(status["services"][3]["state"], "missing", "{status}");
    converged(&site);
    engine("POST", &format!("/containers/{}/kill", site.id("api")));
    until("api is dead", || (site.inspect("api")["State"]["Running"] == false).then_some(()));
    converged(&site);
    engine("POST", &format!("/containers/{}/pause", site.id("api")));
    converged(&site);
    let id = site.id("db");
    engine("POST", &format!("/containers/{id}/rename?name={}-other", site.name));
    site.ok("up");
    // It may stay as it is, but it is one container still, and it is found.
    assert_eq!(site.ids().len(), 4);
    site.ok("exec db true");
    site.is_settled();
    site.ok("down -v --yes");
    site.holds(&[]);
}

#[test]
fn a_network_that_was_removed_is_made_again() {
    let site = Site::up("netgone", CHAIN);
    let network = format!("{}_front", site.name);
    engine_with(
        "POST",
        &format!("/networks/{network}/disconnect"),
        &format!(r#"{{"Container": "{}", "Force": true}}"#, site.id("web")),
    );
    assert_eq!(engine("DELETE", &format!("/networks/{network}")).0, 204);
    converged(&site);
    let ends = site.inspect("web")["NetworkSettings"]["Networks"].clone();
    assert!(ends.get(&network).is_some(), "{ends}");
    // And when all is stopped and every network is gone.
    site.ok("stop");
    for key in ["front", "back"] {
        assert_eq!(engine("DELETE", &format!("/networks/{}_{key}", site.name)).0, 204);
    }
    converged(&site);
    site.ok("exec -T web getent hosts db");
}

#[test]
fn a_disconnected_container_is_connected_again() {
    let site = Site::up("discon", CHAIN);
    let network = format!("{}_back", site.name);
    engine_with(
        "POST",
        &format!("/networks/{network}/disconnect"),
        &format!(r#"{{"Container": "{}", "Force": true}}"#, site.id("web")),
    );
    converged(&site);
    site.ok("exec -T web getent hosts db");
}

#[test]
fn a_second_network_of_the_same_name_is_removed() {
    let site = Site::up("twonets", "services: {web: {IDLE}}");
    let network = engine("GET", &format!("/networks/{}_default", site.name)).1;
    let labels = network["Labels"].to_string();
    let body = format!(r#"{{"Name": "{}_default", "Labels": {labels}}}"#, site.name);
    assert_eq!(engine_with("POST", "/networks/create", &body).0, 201);
    site.ok("up");
    site.holds(&["container P-web-1 running", "network P_default"]);
    site.is_settled();
    // The engine cannot start a container while there are two: the second goes before.
    site.ok("stop");
    assert_eq!(engine_with("POST", "/networks/create", &body).0, 201);
    site.ok("up");
    site.is_settled();
    assert_eq!(engine_with("POST", "/networks/create", &body).0, 201);
    site.ok("down");
    site.holds(&[]);
}

#[test]
fn a_foreign_container_with_our_name_is_a_conflict() {
    let site = Site::with("nameclash", "services: {web: {IDLE}}");
    let name = format!("{}-web-1", site.name);
    let body = format!(r#"{{"Image": "{}", "Cmd": ["true"]}}"#, crate::site::IMAGE);
    assert_eq!(engine_with("POST", &format!("/containers/create?name={name}"), &body).0, 201);
    let run = site.run("up");
    let kept = engine("DELETE", &format!("/containers/{name}")).0;
    run.exits(5).says(&[&name]);
    assert_eq!(kept, 204, "a container that is not ours was touched");
}

#[test]
fn a_compose_file_that_changes_while_up_runs_is_read_once() {
    let text = "services: {web: {IDLE, depends_on: {db: {condition: service_healthy}}, environment: {A: before}}, db: {IDLE, healthcheck: {test: test -e /ok, interval: 100ms, retries: 1000}}}";
    let site = Site::with("edited", text);
    let up = site.spawn("up");
    until("db runs", || site.inventory().contains(&"container P-db-1 running".to_owned()).then_some(()));
    site.compose(&text.replace("before", "after"));
    site.ok("exec db touch /ok");
    Run::of("up", up).exits(0);
    assert!(site.inspect("web")["Config"]["Env"].to_string().contains("A=before"));
    let status = site.json("status --json");
    assert_eq!(
        (&status["services"][0]["drifted"], &status["services"][1]["drifted"]),
        (&false.into(), &true.into()),
        "{status}"
    );
    site.ok("up");
    assert!(site.inspect("web")["Config"]["Env"].to_string().contains("A=after"));
    site.is_settled();
}

#[test]
fn a_replacement_that_was_left_behind_makes_way_for_the_next() {
    let text = "services: {db: {IDLE}}";
    let site = Site::up("behindhand", text);
    // As a command leaves it that dies between making the new container and removing the old one.
    let old = site.inspect("db");
    let mut labels = old["Config"]["Labels"].clone();
    labels["com.docker.compose.replace"] = format!("{}-db-1", site.name).into();
    let name = format!("{}_{}-db-1", &site.id("db")[..12], site.name);
    let body = format!(r#"{{"Image": "{}", "Cmd": ["true"], "Labels": {labels}}}"#, crate::site::IMAGE);
    assert_eq!(engine_with("POST", &format!("/containers/create?name={name}"), &body).0, 201);
    site.compose(&text.replace("IDLE", "IDLE, environment: {A: b}"));
    site.ok("up");
    site.holds(&["container P-db-1 running", "network P_default"]);
    site.is_settled();
}
