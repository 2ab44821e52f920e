//! The life of a project: up, changed, scaled, down.

use crate::site::{Site, engine, engine_with, until};

const TWO: &str = "services:
  web: {IDLE, depends_on: [db], volumes: [data:/data]}
  db: {IDLE}
volumes: {data: {}}
";

#[test]
fn up_makes_all_and_down_keeps_only_the_data() {
    let site = Site::up("life", TWO);
    site.holds(&[
        "container P-db-1 running",
        "container P-web-1 running",
        "network P_default",
        "volume P_data",
    ]);
    site.ok("status").prints(&["web", "db", "running"]);
    let status = site.json("status --json");
    assert_eq!(status["services"].as_array().unwrap().len(), 2, "{status}");
    assert_eq!(status["project"], site.name.as_str());
    site.ok("down");
    site.holds(&["volume P_data"]);
    site.ok("down").says(&["nothing to remove"]);
}

#[test]
fn down_volumes_asks_and_then_leaves_nothing() {
    let site = Site::up("downv", &TWO.replace("data:/data", "data:/data, /anonymous"));
    let mounts = site.inspect("web")["Mounts"].clone();
    let anonymous: Vec<&str> =
        mounts.as_array().unwrap().iter().filter_map(|mount| mount["Name"].as_str()).collect();
    assert_eq!(anonymous.len(), 2, "{mounts}");
    site.run("down --volumes").exits(2).says(&["_data", "--yes"]);
    assert_eq!(site.inventory().len(), 4);
    site.ok("down --volumes --yes");
    site.holds(&[]);
    for volume in anonymous {
        assert_eq!(engine("GET", &format!("/volumes/{volume}")).0, 404, "{volume}");
    }
}

#[test]
fn foreign_objects_are_untouched() {
    let site = Site::with("foreign", TWO);
    // Named as ours would be, but without our label.
    let volume = format!("{}_other", site.name);
    engine_with("POST", "/volumes/create", &format!(r#"{{"Name": "{volume}"}}"#));
    let network = format!("{}_other", site.name);
    engine_with("POST", "/networks/create", &format!(r#"{{"Name": "{network}"}}"#));
    let neighbour = Site::up("foreign-b", "services: {web: {IDLE}}");
    let before = neighbour.ids();
    site.ok("up");
    site.ok("down --volumes --yes --remove-orphans");
    let kept =
        (engine("GET", &format!("/volumes/{volume}")).0, engine("GET", &format!("/networks/{network}")).0);
    engine("DELETE", &format!("/volumes/{volume}"));
    engine("DELETE", &format!("/networks/{network}"));
    assert_eq!(kept, (200, 200));
    assert_eq!(neighbour.ids(), before);
    assert_eq!(neighbour.inspect("web")["State"]["Running"], true);
}

#[test]
fn the_second_up_has_nothing_to_do() {
    let site = Site::up("twice", TWO);
    let before = site.ids();
    site.is_settled();
    let second = site.json("up --json");
    assert_eq!(second["steps"], 0, "{second}");
    assert_eq!(site.ids(), before);
}

#[test]
fn a_dry_run_changes_nothing() {
    let site = Site::with("dry", TWO);
    site.ok("up --dry-run").prints(&["create network", "create volume", "create container", "# not there"]);
    let plan = site.json("up --dry-run --json");
    assert!(plan["plan"]["steps"].as_array().unwrap().len() >= 6, "{plan}");
    site.holds(&[]);
}

#[test]
fn a_changed_service_is_the_only_one_that_is_replaced() {
    let site = Site::up("changed", TWO);
    let (web, db) = (site.id("web"), site.id("db"));
    site.compose(&TWO.replace("db: {IDLE", "db: {IDLE, environment: {A: b}"));
    let plan = site.ok("up --dry-run");
    assert_eq!(plan.out.matches("create container").count(), 1, "{plan}");
    let plan = plan.prints(&["configuration changed"]);
    assert!(!plan.out.contains("-web-1"), "{plan}");
    assert_eq!(site.json("status --json")["services"][0]["drifted"], true);
    site.ok("up");
    assert_ne!(site.id("db"), db);
    assert_eq!(site.id("web"), web);
    site.is_settled();
}

#[test]
fn another_image_replaces_the_container() {
    let site = Site::with("image", "");
    let text = |label: &str| {
        format!(
            "services: {{web: {{build: {{dockerfile_inline: \"FROM IMAGE\\nLABEL a={label}\"}}, \
             command: sleep infinity, stop_signal: SIGKILL}}, other: {{IDLE}}}}"
        )
    };
    site.compose(&text("one"));
    site.ok("up");
    let (web, other) = (site.id("web"), site.id("other"));
    site.compose(&text("two"));
    // Without --build the image that is there is the one that is used.
    site.ok("up");
    assert_eq!(site.id("web"), web);
    site.ok("build");
    site.ok("up --dry-run").prints(&["image changed"]);
    site.ok("up");
    assert_ne!(site.id("web"), web);
    assert_eq!(site.id("other"), other);
    assert_eq!(site.inspect("web")["Config"]["Labels"]["a"], "two");
    site.ok("down --rmi local");
    assert_eq!(engine("GET", &format!("/images/{}-web/json", site.name)).0, 404);
}

#[test]
fn up_build_replaces_the_container_of_a_changed_image_only() {
    let site = Site::with("upbuild", "");
    let text = |label: &str| {
        format!(
            "services: {{web: {{build: {{dockerfile_inline: \"FROM IMAGE\\nLABEL a={label}\"}}, \
             command: sleep infinity, stop_signal: SIGKILL}}}}"
        )
    };
    site.compose(&text("one"));
    site.ok("up");
    let web = site.id("web");
    site.ok("up --build");
    assert_eq!(site.id("web"), web, "an image that came out the same is no reason");
    site.compose(&text("two"));
    site.ok("up --build");
    assert_ne!(site.id("web"), web);
    assert_eq!(site.inspect("web")["Config"]["Labels"]["a"], "two");
}

#[test]
fn scale_goes_up_and_down() {
    let site = Site::up("scale", "services: {web: {IDLE, scale: 2}, db: {IDLE}}");
    let first = site.id("web");
    let all = ["container P-db-1 running", "container P-web-1 running", "container P-web-2 running"];
    site.holds(&[&all[..], &["network P_default"]].concat());
    site.ok("up --scale web=3");
    assert_eq!(site.inventory().len(), 5);
    site.ok("up --scale web=1");
    site.holds(&["container P-db-1 running", "container P-web-1 running", "network P_default"]);
    assert_eq!(site.id("web"), first);
    site.ok("up --scale web=0");
    site.holds(&["container P-db-1 running", "network P_default"]);
    site.run("up --scale wep=1").exits(2).says(&["no such service: wep", "did you mean `web`?"]);
}

#[test]
fn anonymous_volumes_are_carried_over() {
    let text = "services: {web: {IDLE, volumes: [/data]}}";
    let site = Site::up("anonymous", text);
    site.run_args(&["exec", "web", "sh", "-c", "echo kept > /data/file"]).exits(0);
    let changed = text.replace("IDLE,", "IDLE, environment: {A: b},");
    site.compose(&changed);
    site.ok("up");
    site.ok("exec web cat /data/file").prints(&["kept"]);
    site.is_settled();
    site.compose(text);
    site.ok("up -V");
    site.run("exec web cat /data/file").exits(1);
    site.ok("down -v --yes");
}

#[test]
fn a_named_service_brings_its_dependencies_unless_told_not_to() {
    let site = Site::with("nodeps", "services: {web: {IDLE, depends_on: [db]}, db: {IDLE}, other: {IDLE}}");
    site.ok("up --no-deps web");
    site.holds(&["container P-web-1 running", "network P_default"]);
    site.ok("up web");
    site.holds(&["container P-db-1 running", "container P-web-1 running", "network P_default"]);
}

#[test]
fn profiles_choose_services() {
    let site = Site::with("profiles", "services: {web: {IDLE}, tool: {IDLE, profiles: [tools]}}");
    site.ok("up");
    site.holds(&["container P-web-1 running", "network P_default"]);
    site.ok("--profile tools up");
    assert_eq!(site.inventory().len(), 3);
    // Without the profile the service is known still, and goes with the others.
    site.ok("down");
    site.holds(&[]);
    site.ok("up tool");
    site.holds(&["container P-tool-1 running", "network P_default"]);
}

#[test]
fn files_merge_and_variables_come_from_env_files() {
    let mut site = Site::with("files", "services: {web: {IDLE, environment: {A: '${A}', B: '${B:-none}'}}}");
    site.file("more.yaml", "services: {web: {environment: {C: c}}, extra: {IDLE}}");
    site.file(".env", "A=dot\n");
    site.file("other.env", "A=other\nB=two\n");
    let environment = |site: &Site| {
        let env = site.inspect("web")["Config"]["Env"].clone();
        let mut env: Vec<String> =
            env.as_array().unwrap().iter().map(|e| e.as_str().unwrap().to_owned()).collect();
        env.retain(|entry| !entry.starts_with("PATH="));
        env.sort();
        env.join(" ")
    };
    site.ok("up");
    assert_eq!(environment(&site), "A=dot B=none");
    site.ok("--env-file other.env -f compose.yaml -f more.yaml up");
    assert_eq!(environment(&site), "A=other B=two C=c");
    assert_eq!(site.inspect("extra")["State"]["Running"], true);
    let labels = site.inspect("web")["Config"]["Labels"].clone();
    let dir = site.dir();
    let files = format!("{0}/compose.yaml,{0}/more.yaml", dir.display());
    assert_eq!(labels["com.docker.compose.project.config_files"], files.as_str(), "{labels}");
    site.set("A", "shell");
    site.ok("-f compose.yaml -f more.yaml up");
    assert_eq!(environment(&site), "A=shell B=none C=c");
}

#[test]
fn another_name_is_another_project() {
    let site = Site::up("name", "services: {web: {IDLE}}");
    let other = format!("{}-b", site.name);
    site.ok(&format!("-p {other} up"));
    let (code, found) = engine("GET", &format!("/containers/{other}-web-1/json"));
    assert_eq!(
        (code, found["Config"]["Labels"]["com.docker.compose.project"].as_str()),
        (200, Some(&*other))
    );
    site.ok(&format!("down -p {other}"));
    assert_eq!(engine("GET", &format!("/containers/{other}-web-1/json")).0, 404);
    site.holds(&["container P-web-1 running", "network P_default"]);
}

#[test]
fn orphans_are_told_and_removed_on_request() {
    let site = Site::up("orphans", "services: {web: {IDLE}, old: {IDLE}}");
    site.compose("services: {web: {IDLE}}");
    site.ok("up").says(&["warning", "-old-1", "--remove-orphans"]);
    assert_eq!(site.inventory().len(), 3);
    let rows = site.json("status --json");
    assert_eq!(rows["services"][0]["orphan"], true, "{rows}");
    site.ok("up --remove-orphans");
    site.holds(&["container P-web-1 running", "network P_default"]);
}

#[test]
fn without_the_compose_file_down_works_by_name() {
    let site = Site::up("nofile", TWO);
    std::fs::remove_file(site.dir().join("compose.yaml")).unwrap();
    site.run("down").exits(3);
    site.ok(&format!("down -p {}", site.name));
    site.holds(&["volume P_data"]);
    site.ok(&format!("down -v --yes -p {}", site.name));
    site.holds(&[]);
}

#[test]
fn stop_start_restart_pause_keep_the_container() {
    let site = Site::up("turns", "services: {web: {IDLE, depends_on: [db]}, db: {IDLE}}");
    let ids = site.ids();
    let state = |service: &str| site.inspect(service)["State"]["Status"].as_str().unwrap().to_owned();
    site.ok("stop web");
    assert_eq!((state("web"), state("db")), ("exited".into(), "running".into()));
    site.ok("start web");
    assert_eq!(state("web"), "running");
    let began = site.inspect("web")["State"]["StartedAt"].clone();
    site.ok("restart web");
    assert_ne!(site.inspect("web")["State"]["StartedAt"], began);
    site.ok("pause db");
    assert_eq!(state("db"), "paused");
    site.ok("unpause db");
    assert_eq!(state("db"), "running");
    site.ok("kill db");
    until("db is dead", || (state("db") == "exited").then_some(()));
    site.run("status --exit-code").exits(6);
    site.ok("up");
    assert_eq!(site.ids(), ids);
    site.ok("status --exit-code");
}

#[test]
fn a_network_that_changed_is_made_again() {
    let text = "services: {web: {IDLE}, db: {IDLE}}\nnetworks: {default: {labels: {a: one}}}";
    let site = Site::up("netchange", text);
    site.compose(&text.replace("one", "two"));
    site.ok("up --dry-run").prints(&["remove network", "create network"]);
    site.ok("up");
    site.holds(&["container P-db-1 running", "container P-web-1 running", "network P_default"]);
    let network = engine("GET", &format!("/networks/{}_default", site.name)).1;
    assert_eq!(network["Labels"]["a"], "two", "{network}");
    assert_eq!(network["Containers"].as_object().unwrap().len(), 2, "{network}");
    site.is_settled();
}
