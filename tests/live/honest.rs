//! Every key acts, or says that it does not; and a replacement says which field is the reason.

use serde_json::Value;

use crate::site::{Site, engine};

#[test]
fn keys_without_effect_are_told_with_their_place() {
    let site = Site::with(
        "told",
        "services:\n  web:\n    IDLE_\n    deploy: {labels: {a: b}, restart_policy: {condition: none, delay: 5s}}\n    \
         ports: [{target: 80, name: http}]\n"
            .replace("IDLE_", "image: IMAGE\n    command: sleep infinity\n    stop_signal: SIGKILL")
            .as_str(),
    );
    let said = [
        "compose.yaml:6:14",
        "`services.web.deploy.labels` has no effect: only a swarm reads it",
        "`services.web.deploy.restart_policy.delay` has no effect",
        "`services.web.ports[0].name` has no effect",
    ];
    for words in ["config", "up", "up --dry-run", "run web true", "build"] {
        let run = site.ok(words).says(&said);
        assert_eq!(run.err.matches("deploy.labels").count(), 1, "{run}");
    }
    for words in ["status", "exec web true", "logs"] {
        let run = site.ok(words);
        assert!(!run.err.contains("has no effect"), "{run}");
    }
    site.ok("down");
    // All at once, and nothing was made.
    for words in ["--strict config", "up --strict"] {
        site.run(words).exits(3).says(&said);
    }
    site.holds(&[]);
}

#[test]
fn what_cannot_be_had_is_refused_before_anything_is_made() {
    for (text, said) in [
        (
            "services: {web: {IDLE, models: [m]}}\nmodels: {m: {model: ai/x}}",
            "`services.web.models` is refused",
        ),
        (
            "services: {web: {IDLE, secrets: [s]}}\nsecrets: {s: {file: ./f, template_driver: x}}",
            "`secrets.s.template_driver`",
        ),
        ("services: {web: {IDLE, provider: {type: x}}}", "provider"),
    ] {
        let site = Site::with("refused", text);
        let run = site.run("up").says(&[said]);
        assert_ne!(run.code, Some(0), "{run}");
        site.holds(&[]);
    }
}

#[test]
fn files_have_the_owner_and_the_mode_that_they_are_given() {
    let site = Site::with(
        "owner",
        "services:
  web:
    image: IMAGE
    command: sleep infinity
    stop_signal: SIGKILL
    secrets: [{source: s, uid: '33', gid: '34', mode: 0440}, {source: s, target: plain}]
    configs: [{source: c, target: /etc/c, mode: 0600}]
    volumes: [{type: volume, source: data, target: /d, volume: {labels: {from: mount}}}]
secrets: {s: {file: ./s}}
configs: {c: {file: ./c}}
volumes: {data: {labels: {own: label}}}
networks: {default: {ipam: {options: {some: option}}}}",
    );
    site.file("s", "secret");
    site.file("c", "config");
    site.ok("up");
    site.ok("exec -T web stat -c %u:%g:%a /run/secrets/s /etc/c").prints(&["33:34:440\n0:0:600"]);
    site.ok("exec -T web cat /run/secrets/s /run/secrets/plain /etc/c").prints(&["secretsecretconfig"]);
    let (_, volume) = engine("GET", &format!("/volumes/{}_data", site.name));
    assert_eq!((&volume["Labels"]["from"], &volume["Labels"]["own"]), (&"mount".into(), &"label".into()));
    let (_, network) = engine("GET", &format!("/networks/{}_default", site.name));
    assert_eq!(network["IPAM"]["Options"]["some"], Value::from("option"));
    site.is_settled();
}

#[test]
fn a_replacement_names_the_fields() {
    let text = "services: {web: {IDLE, environment: {A: '1', API_KEY: old}, mem_limit: 64m, networks: [default]}, db: {IDLE}}";
    let site = Site::up("explain", text);
    site.ok("up --explain").says(&["no container would be replaced"]);
    site.compose(&text.replace("'1', API_KEY: old", "'2', API_KEY: new").replace("64m", "128m"));
    let id = site.id("web");
    let run = site.ok("up --explain").prints(&[
        "-web-1: configuration changed\n  environment.A: \"1\" → \"2\"\n  environment.API_KEY: *** → ***\n  mem_limit: 67108864 → 134217728",
    ]);
    assert!(!run.out.contains("-db-1") && !run.out.contains("new"), "{run}");
    let json = site.json("up --explain --json");
    assert_eq!(json["replaced"][0]["changes"][0]["field"], "environment.A");
    site.ok("up --dry-run").prints(&["configuration changed: environment.A, environment.API_KEY, mem_limit"]);
    assert_eq!(site.id("web"), id);
}
