//! What services wait for, and what is said when it never comes.

use crate::site::{Site, until};

/// A check that passes once `/ok` is there.
const CHECK: &str = "healthcheck: {test: test -e /ok, interval: 100ms, retries: 1000}";

fn check(text: &str) -> String {
    text.replace("CHECK", CHECK)
}

#[test]
fn a_dependent_starts_after_its_dependency_is_healthy() {
    let site = Site::with(
        "healthy",
        "services:
  web: {IDLE, depends_on: {db: {condition: service_healthy}}}
  db: {image: IMAGE, stop_signal: SIGKILL, command: \"sh -c 'sleep 0.5; touch /ok; exec sleep infinity'\",
    healthcheck: {test: test -e /ok, interval: 100ms, retries: 1000}}",
    );
    site.ok("up").says(&["service db  healthy"]);
    let db = site.inspect("db");
    let healthy = &db["State"]["Health"]["Log"];
    let first_good = healthy.as_array().unwrap().iter().find(|probe| probe["ExitCode"] == 0).unwrap();
    let web = site.inspect("web");
    let (web, good) = (web["State"]["StartedAt"].as_str().unwrap(), first_good["Start"].as_str().unwrap());
    // RFC 3339; the two may be written with other offsets, so only the same form is compared.
    assert!(web.ends_with('Z') && (!good.ends_with('Z') || web > good), "{web} {good}");
    site.ok("status").prints(&["healthy"]);
}

#[test]
fn a_one_shot_that_ends_well_lets_its_dependents_start_and_is_not_run_again() {
    let site = Site::up(
        "oneshot",
        "services:
  web: {IDLE, depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: IMAGE, command: 'true'}
  alone: {image: IMAGE, command: 'true'}",
    );
    let migrate = site.inspect("migrate");
    assert_eq!(migrate["State"]["ExitCode"], 0);
    let web = site.inspect("web");
    assert!(web["State"]["StartedAt"].as_str() >= migrate["State"]["FinishedAt"].as_str());
    site.ok("up");
    assert_eq!(site.inspect("migrate")["State"]["StartedAt"], migrate["State"]["StartedAt"]);
    site.ok("status --exit-code").prints(&["completed"]);
}

#[test]
fn a_dependency_that_exits_is_named_with_its_last_words() {
    let site = Site::with(
        "exits",
        "services:
  web: {IDLE, depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: IMAGE, command: \"sh -c 'echo the table is missing >&2; exit 7'\"}",
    );
    let run = site.run("up").exits(6);
    run.says(&[
        "service `migrate` exited (7)",
        "`web` waits for it",
        "the table is missing",
        "devenv logs migrate",
    ]);
    // What waited was not started.
    assert_eq!(site.inspect("web")["State"]["Status"], "created");
    // The same with a check that never gets its chance.
    let site = Site::with(
        "exitsh",
        "services:
  web: {IDLE, depends_on: {db: {condition: service_healthy}}}
  db: {image: IMAGE, command: \"sh -c 'echo no disk; exit 1'\", healthcheck: {test: 'true', interval: 1h}}",
    );
    site.run("up").exits(6).says(&["service `db` exited (1)", "no disk"]);
}

#[test]
fn a_service_nobody_waits_for_fails_up_too() {
    let site = Site::with(
        "alone",
        "services: {web: {IDLE}, bad: {image: IMAGE, command: \"sh -c 'echo oh; exit 3'\", healthcheck: {test: 'true', interval: 1h}}}",
    );
    // Without a check it counts as ready as soon as it runs, and may end a moment later.
    site.run("up").exits(6).says(&["service `bad` exited (3)", "oh"]);
    assert_eq!(site.inspect("web")["State"]["Running"], true);
    let failed = site.run("up --json").exits(6);
    for line in failed.err.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn a_crash_loop_is_not_running() {
    let site = Site::with(
        "loop",
        "services: {bad: {image: IMAGE, restart: always, command: \"sh -c 'echo again; exit 3'\"}, \
         web: {IDLE, depends_on: {bad: {condition: service_healthy}}}}",
    );
    site.compose("services: {bad: {image: IMAGE, restart: always, command: \"sh -c 'echo again; exit 3'\", healthcheck: {test: 'true', interval: 1h}}, web: {IDLE, depends_on: {bad: {condition: service_healthy}}}}");
    site.run("up").exits(6).says(&["`bad` exited (3)", "restarted", "again"]);
}

#[test]
fn a_check_that_never_passes_is_shown_with_its_last_probe() {
    let site = Site::with(
        "sick",
        "services:
  web: {IDLE, depends_on: {db: {condition: service_healthy}}}
  db: {image: IMAGE, stop_signal: SIGKILL, command: \"sh -c 'echo starting up; exec sleep infinity'\",
    healthcheck: {test: 'echo no connection; exit 1', interval: 100ms, retries: 2}}",
    );
    let run = site.run("up").exits(6);
    run.says(&[
        "service `db` is unhealthy",
        "exit code 1: no connection",
        "starting up",
        "`web` waits for it",
    ]);
    // The time that one is willing to wait ends it too.
    site.compose("services: {db: {IDLE, healthcheck: {test: 'echo not yet; exit 1', interval: 100ms, retries: 100000}}}");
    let run = site.run("up --wait-timeout 1s").exits(6);
    run.says(&["service `db`", "exit code 1: not yet", "--wait-timeout"]);
    // Not waiting is possible too.
    site.ok("up --no-wait");
}

#[test]
fn what_is_not_required_only_warns() {
    let site = Site::with(
        "optional",
        "services:
  web: {IDLE, depends_on: {cache: {condition: service_completed_successfully, required: false}}}
  cache: {image: IMAGE, command: 'false'}",
    );
    let run = site.run("up --no-wait").exits(0);
    run.says(&["warning", "cache", "not required"]);
    assert_eq!(site.inspect("web")["State"]["Running"], true);
    // A service that a profile leaves out is no obstacle either.
    let site = Site::with(
        "absent",
        "services:
  web: {IDLE, depends_on: {cache: {condition: service_started, required: false}}}
  cache: {IDLE, profiles: [extra]}",
    );
    site.ok("up");
    site.holds(&["container P-web-1 running", "network P_default"]);
}

#[test]
fn restart_true_restarts_the_dependent_of_a_replaced_service() {
    let text = "services:
  web: {IDLE, depends_on: {db: {condition: service_started, restart: true}}}
  calm: {IDLE, depends_on: [db]}
  db: {IDLE}";
    let site = Site::up("restarts", text);
    let began = |service: &str| site.inspect(service)["State"]["StartedAt"].clone();
    let (web, calm, ids) = (began("web"), began("calm"), (site.id("web"), site.id("calm")));
    site.compose(&text.replace("db: {IDLE}", "db: {IDLE, environment: {A: b}}"));
    site.ok("up --dry-run").prints(&["restart container", "db was replaced"]);
    site.ok("up");
    assert_eq!((site.id("web"), site.id("calm")), ids);
    assert_ne!(began("web"), web);
    assert_eq!(began("calm"), calm);
}

#[test]
fn wait_ends_when_the_condition_holds() {
    let site = Site::with("wait", "");
    site.compose(&check("services: {db: {IDLE, CHECK}, job: {image: IMAGE, command: \"sh -c 'until test -e /go; do sleep 0.05; done; exit 4'\"}}"));
    site.ok("up --no-wait");
    let healthy = site.spawn("wait db --for healthy");
    let gone = site.spawn("wait job --json");
    site.run("wait db --for healthy --timeout 200ms").exits(6);
    site.ok("exec db touch /ok");
    assert_eq!(healthy.wait_with_output().unwrap().status.code(), Some(0));
    site.ok("exec job touch /go");
    let gone = crate::site::Run::of("wait job", gone).exits(4);
    assert_eq!(gone.json()["exit_codes"][format!("{}-job-1", site.name)], 4);
    site.run("wait nobody").exits(2).says(&["no such service: nobody"]);
}

#[test]
fn hooks_run_after_the_start_and_before_the_stop() {
    let site = Site::with(
        "hooks",
        "services:
  web:
    image: IMAGE
    command: sleep infinity
    stop_signal: SIGKILL
    volumes: ['data:/data']
    environment: {A: service}
    post_start: [{command: [sh, -c, 'echo $$A $$B $$(id -u) $$PWD >> /data/log'], user: '7', environment: [B=hook], working_dir: /tmp}]
    pre_stop: [{command: [sh, -c, 'echo stopping >> /data/log']}]
    post_stop_: 1
volumes: {data: {}}",
    );
    site.run("up").exits(3).says(&["post_stop_", "compose.yaml:10:5"]);
    let text = std::fs::read_to_string(site.dir().join("compose.yaml")).unwrap();
    site.compose(&text.replace("    post_stop_: 1\n", "").replace("user: '7', ", ""));
    site.ok("up");
    site.ok("exec web cat /data/log").prints(&["service hook 0 /tmp"]);
    site.ok("stop");
    site.ok("start");
    site.ok("exec web cat /data/log").prints(&["stopping\n"]);
    let log = site.ok("exec web cat /data/log");
    assert_eq!(log.out.matches("service hook").count(), 2, "{log}");
    site.compose(&text.replace("    post_stop_: 1\n", "").replace("echo $$A", "exit 9; echo"));
    site.run("up").says(&["post_start"]).exits(1);
}

#[test]
fn a_dependency_that_becomes_healthy_late_is_seen_at_once() {
    let site = Site::with("late", "");
    site.compose(&check(
        "services: {web: {IDLE, depends_on: {db: {condition: service_healthy}}}, db: {IDLE, CHECK}}",
    ));
    let up = site.spawn("up");
    until("db runs", || site.inventory().contains(&"container P-db-1 running".to_owned()).then_some(()));
    assert_eq!(site.inspect("web")["State"]["Status"], "created");
    site.ok("exec db touch /ok");
    crate::site::Run::of("up", up).exits(0);
    assert_eq!(site.inspect("web")["State"]["Status"], "running");
}
