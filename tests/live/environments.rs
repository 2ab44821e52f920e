//! Environments that follow git: what each has for itself, and what git does to them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::site::{Run, Site, engine, until};
use crate::stacks::POSTGRES;

/// A service with data, and one whose name and port the file fixes.
const STACK: &str = "services:
  db: {IDLE, volumes: ['data:/data', 'files:/files']}
  web: {IDLE, container_name: NAME-web, ports: ['127.0.0.1:PORT:80']}
volumes: {data: {}, files: {}}
";

/// A repository with that stack, up on `main` and with a row there.
fn site(test: &str) -> Site {
    let mut site = Site::pooled(test, "services: {}");
    for who in ["AUTHOR", "COMMITTER"] {
        site.set(&format!("GIT_{who}_NAME"), "A");
        site.set(&format!("GIT_{who}_EMAIL"), "a@example.com");
    }
    let port = crate::site::free_port().to_string();
    site.compose(&STACK.replace("NAME", &site.name).replace("PORT", &port));
    git(&site, "init -q -b main");
    git(&site, "add compose.yaml");
    git(&site, "commit -q -m one");
    site.ok("up");
    site.write("one");
    site
}

#[track_caller]
fn git(site: &Site, words: &str) -> String {
    git_words(site, &words.split(' ').collect::<Vec<_>>())
}

#[track_caller]
fn git_words(site: &Site, words: &[&str]) -> String {
    let output = site.program("git").args(words).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What commands in the folder mean.
fn current(site: &Site) -> String {
    site.json("env current --json")["environment"].as_str().unwrap().to_owned()
}

/// The environments that are there, by name.
fn environments(site: &Site) -> Vec<String> {
    let listed = site.json("env list --json");
    let name = |row: &Value| row["environment"].as_str().unwrap().to_owned();
    listed["environments"].as_array().unwrap().iter().map(name).collect()
}

fn shown(site: &Site, name: &str) -> Value {
    let listed = site.json("env list --destroyed --json");
    let rows = listed["environments"].as_array().unwrap();
    rows.iter().find(|row| row["environment"] == name).unwrap_or_else(|| panic!("{name}: {listed}")).clone()
}

fn log(site: &Site) -> String {
    fs::read_to_string(site.dir().join(".devenv/hook.log")).unwrap_or_default()
}

/// Containers of a compose project that run.
fn running(project: &str) -> usize {
    let label = format!("%7B%22label%22%3A%5B%22com.docker.compose.project%3D{project}%22%5D%7D");
    crate::site::list(&format!("/containers/json?filters={label}")).len()
}

/// Everything at the engine that carries a compose project's label.
fn left(project: &str) -> usize {
    let filter = format!("filters=%7B%22label%22%3A%5B%22com.docker.compose.project%3D{project}%22%5D%7D");
    let volumes = engine("GET", &format!("/volumes?{filter}")).1["Volumes"].as_array().map_or(0, Vec::len);
    crate::site::list(&format!("/containers/json?all=1&{filter}")).len()
        + crate::site::list(&format!("/networks?{filter}")).len()
        + volumes
}

#[test]
fn two_git_branches_are_up_at_once() {
    let site = site("env");
    let main_port = site.ok("port web 80").out;
    git(&site, "checkout -q -b feat/login");
    site.run("status").exits(1).says(&[
        "no environment `feat-login-",
        "git branch feat/login",
        "`devenv up`",
    ]);
    site.ok("up --dry-run").says(&["would make environment feat-login-"]);
    site.ok("up").says(&["is made from main", "container_name of service `web`", "port 80 of service `web`"]);
    assert_eq!(site.row(), "one");
    site.write("two");
    let port = site.ok("port web 80").out;
    assert_ne!(port, main_port);
    site.is_settled();
    let label = current(&site);
    let row = shown(&site, &label);
    assert_eq!(
        (&row["state"], &row["git"], &row["branch"]),
        (&"running".into(), &"feat/login".into(), &"feat/login".into(),)
    );
    assert!(row["memory"].as_u64().is_some() && row["disk"].as_u64().is_some(), "{row}");
    // Another one, of the nearest git branch and not of the default one.
    git(&site, "commit -q --allow-empty -m two");
    git(&site, "checkout -q -b fix");
    site.ok("up").says(&[&format!("is made from {label}")]);
    assert_eq!((site.row().as_str(), current(&site).as_str()), ("two", "fix"));
    git(&site, "checkout -q main");
    assert_eq!((site.row().as_str(), current(&site).as_str()), ("one", "main"));
    assert_eq!(site.ok("-e feat/login exec -T db cat /data/row").out, "two\n");
    assert_eq!(site.ok("-e fix exec -T db cat /data/row").out, "two\n");
    site.run("-e nothing status").exits(1).says(&["no such environment", "there are: main"]);
}

#[test]
fn ports_stay_through_down_and_up() {
    let site = site("envport");
    git(&site, "checkout -q -b feat");
    site.ok("up");
    site.write("two");
    let port = site.ok("port web 80").out;
    site.ok("down");
    assert_eq!(running(&format!("{}-feat", site.name)), 0);
    site.ok("up");
    assert_eq!((site.ok("port web 80").out, site.row()), (port.clone(), "two".to_owned()));
    // Somebody else takes the port meanwhile (faults 20): another one, and it is said.
    site.ok("down");
    let _taken = std::net::TcpListener::bind(port.trim()).unwrap();
    site.ok("up").says(&["is taken by somebody else"]);
    assert_ne!(site.ok("port web 80").out, port);
    site.agrees();
}

#[cfg(feature = "failpoints")]
#[test]
fn a_port_that_is_taken_after_it_was_found_free() {
    let site = site("envrace");
    git(&site, "checkout -q -b feat");
    site.ok("up");
    let port = site.ok("port web 80").out;
    let fixed = site.ok("-e main port web 80").out;
    let made =
        |container: &str| engine("GET", &format!("/containers/{}-{container}/json", site.name)).0 == 200;
    let found_free = |words: &str, container: &str| {
        let mut command = site.program(env!("CARGO_BIN_EXE_devenv"));
        command.env("FAILPOINTS", "up:start=sleep(4000)").args(words.split(' '));
        let child = command.spawn().unwrap();
        until("its container is made", || made(container).then_some(()));
        child
    };
    // Devenv chose it: it chooses another one, once, and goes on.
    site.ok("down");
    let up = found_free("up", "web-feat");
    let _taken = std::net::TcpListener::bind(port.trim()).unwrap();
    Run::of("up", up).exits(0).says(&["is taken by somebody else"]);
    let other = site.ok("port web 80").out;
    assert_ne!(other, port);
    site.ok("up");
    assert_eq!(site.ok("port web 80").out, other);
    // The file says it: who has it is told, and nothing is left of the attempt.
    site.ok("-e main down");
    let up = found_free("-e main up", "web");
    let _fixed = std::net::TcpListener::bind(fixed.trim()).unwrap();
    let process = format!("process {}", std::process::id());
    Run::of("up", up).exits(5).says(&["service `web` cannot have port", &process, "publish another port"]);
    assert!(!made("web"), "a corpse is left");
    assert_eq!(site.ok("port web 80").out, other);
}

#[test]
fn eight_at_once_make_one_environment() {
    let site = site("env8");
    git(&site, "checkout -q -b feat");
    let all: Vec<_> = (0..8).map(|_| site.spawn("up")).collect();
    for child in all {
        Run::of("up", child).exits(0);
    }
    assert_eq!(environments(&site), ["main", "feat"]);
    assert_eq!(site.row(), "one");
    site.is_settled();
    site.agrees();
}

#[test]
fn a_checkout_with_the_hook_brings_the_environment_up() {
    let site = site("envhook");
    site.ok("hooks install").prints(&["post-checkout", "pre-commit"]);
    git(&site, "checkout -q -b feat");
    let feat = format!("{}-feat", site.name);
    until("the environment follows", || {
        (running(&feat) == 2 && log(&site).contains("feat is up")).then_some(())
    });
    assert_eq!((current(&site).as_str(), site.row().as_str()), ("feat", "one"));
    site.write("two");
    git(&site, "checkout -q main");
    assert_eq!((current(&site).as_str(), site.row().as_str()), ("main", "one"));
    // Files, a commit, a rebase and a bisect are no git branches.
    let before = until("all is written down", || {
        let text = log(&site);
        text.contains("main is up").then_some(text)
    });
    git(&site, "checkout -q -- compose.yaml");
    git(&site, "checkout -q --detach");
    assert_eq!(current(&site), "main");
    git(&site, "checkout -q main");
    git(&site, "commit -q --allow-empty -m two");
    git(&site, "bisect start -q");
    git(&site, "bisect reset");
    git(&site, "worktree add -q ../side -b side");
    assert_eq!(log(&site), before);
    assert!(!environments(&site).contains(&"side".to_owned()));
    // Where another environment was chosen, none follows, and a commit is told so.
    site.ok("env switch feat");
    let refused = site.program("git").args(["commit", "-q", "--allow-empty", "-m", "x"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("devenv env switch main"), "{said}");
    git(&site, "commit -q --allow-empty --no-verify -m x");
    assert_eq!(site.row(), "two");
    site.ok("env switch -");
    git(&site, "commit -q --allow-empty -m y");
    assert_eq!((current(&site).as_str(), site.row().as_str()), ("main", "one"));
    site.ok("hooks uninstall");
    assert!(!site.dir().join(".git/hooks/post-checkout").exists());
}

#[test]
fn a_rebase_stays_in_its_environment() {
    let site = site("envrebase");
    git(&site, "checkout -q -b feat");
    site.ok("up");
    site.write("two");
    for (branch, text) in [("feat", "a"), ("main", "b")] {
        git(&site, &format!("checkout -q {branch}"));
        site.file("file", text);
        git(&site, "add file");
        git(&site, &format!("commit -q -m {text}"));
    }
    git(&site, "checkout -q feat");
    let rebase = site.program("git").args(["rebase", "main"]).output().unwrap();
    assert!(!rebase.status.success());
    assert_eq!((current(&site).as_str(), site.row().as_str()), ("feat", "two"));
    site.ok("env current").says(&["in a rebase"]);
    git(&site, "rebase --abort");
    assert_eq!(current(&site), "feat");
}

#[test]
fn a_worktree_is_an_environment_of_its_own() {
    let site = site("envtree");
    let side = site.dir().join("../side");
    let at = side.to_str().unwrap().to_owned();
    git_words(&site, &["worktree", "add", "-q", &at, "-b", "side"]);
    site.ok(&format!("-C {at} up")).says(&["environment side is made from main"]);
    assert_eq!(site.ok(&format!("-C {at} exec -T db cat /data/row")).out, "one\n");
    site.ok(&format!("-C {at} exec -T db sh -c true"));
    assert_eq!(environments(&site), ["main", "side"]);
    // The same git branch twice: the second working tree has one of its own.
    let again = site.dir().join("../again").to_str().unwrap().to_owned();
    git_words(&site, &["worktree", "add", "-q", "-f", &again, "main"]);
    let meant = site.json(&format!("-C {again} env current --json"));
    assert!(meant["environment"].as_str().unwrap().starts_with("main-again-"), "{meant}");
    assert_eq!(current(&site), "main");
    let detached = site.dir().join("../loose").to_str().unwrap().to_owned();
    git_words(&site, &["worktree", "add", "-q", "--detach", &detached]);
    let meant = site.json(&format!("-C {detached} env current --json"));
    assert!(meant["environment"].as_str().unwrap().starts_with("worktree-loose-"), "{meant}");
    site.agrees();
}

#[test]
fn a_git_branch_is_renamed_and_deleted() {
    let site = site("envname");
    git(&site, "checkout -q -b old");
    site.ok("up");
    site.write("two");
    git(&site, "branch -m old new");
    assert_eq!((current(&site).as_str(), site.row().as_str()), ("old", "two"));
    assert_eq!(shown(&site, "old")["git"], "new");
    // Its first name is somebody else's now.
    git(&site, "checkout -q -b old main");
    assert!(current(&site).starts_with("old-again-"));
    git(&site, "checkout -q main");
    git(&site, "branch -q -D new old");
    site.ok("env list").says(&["git branch new is gone", "seven days"]).prints(&["git branch gone"]);
    let orphan = shown(&site, "old");
    assert!(orphan["orphaned"].as_i64().is_some() && orphan["expires"].as_i64().is_some(), "{orphan}");
    // Nothing is lost: it is there, with its data.
    assert_eq!(site.ok("-e old exec -T db cat /data/row").out, "two\n");
    site.ok("gc");
    assert_eq!(environments(&site), ["main", "old"]);
}

#[test]
fn what_is_over_is_swept_and_can_be_had_back() {
    let site = site("envttl");
    site.ok("env create qa --ttl 1s").says(&["environment qa is made from main"]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    until("its time is over", || {
        site.ok("gc");
        (shown(&site, "qa")["state"] == "destroyed").then_some(())
    });
    assert_eq!(left(&format!("{}-qa", site.name)), 0);
    site.ok("env undelete qa");
    assert_eq!(site.ok("-e qa exec -T db cat /data/row").out, "one\n");
    site.ok("env ttl qa 3d").says(&["ends in 3 d"]);
    site.ok("env ttl qa never");
    site.ok("gc");
    assert_eq!(environments(&site), ["main", "qa"]);
}

#[test]
fn destroy_leaves_nothing_and_undelete_brings_it_back() {
    let site = site("envgone");
    site.ok("env create qa --from main");
    let project = format!("{}-qa", site.name);
    site.ok("-e qa exec -T db sh -c true");
    site.run_args(&["-e", "qa", "exec", "-T", "db", "sh", "-c", "echo two > /data/row"]).exits(0);
    let port = site.ok("-e qa port web 80").out;
    site.run("env destroy qa").exits(2).says(&["--yes"]);
    let proof = site.json("env destroy qa --yes --json");
    let proof = &proof["destroyed"][0];
    for what in ["containers", "networks", "volumes", "branches"] {
        assert_eq!(proof[what], 0, "{proof}");
    }
    assert_eq!((left(&project), environments(&site).len()), (0, 1));
    assert_eq!(site.branches(), ["*main"]);
    site.run("-e qa status").exits(1).says(&["`devenv env undelete qa`"]);
    site.ok("env undelete qa");
    assert_eq!(site.ok("-e qa exec -T db cat /data/row").out, "two\n");
    assert_eq!(site.ok("-e qa port web 80").out, port);
    site.run("env destroy main --yes").exits(5).says(&["compose project itself"]);
    site.agrees();
}

#[test]
fn a_clone_an_empty_one_and_how_they_differ() {
    let site = site("envclone");
    site.ok("env clone main demo --no-up").says(&["is made from main"]);
    site.ok("env create blank --data empty");
    let read = ["-e", "blank", "exec", "-T", "db", "sh", "-c", "cat /data/row || echo nothing"];
    assert_eq!(site.run_args(&read).exits(0).out, "nothing\n");
    let different = site.json("env diff main blank --json");
    let what: Vec<&str> =
        different["differences"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert!(what.contains(&"branch of the data"), "{different}");
    site.run("env create demo").exits(5).says(&["there is an environment `demo` already"]);
    site.run("env create bad..name").exits(2).says(&["cannot be the name"]);
    site.ok("env create other --dry-run").says(&["would make environment other"]);
    assert_eq!(environments(&site), ["main", "blank", "demo"]);
    let all = site.json("env list --all-projects --json");
    assert!(all["environments"].as_array().unwrap().iter().any(|row| row["name"] == site.name.as_str()));
}

#[test]
fn nothing_of_one_is_seen_from_inside_of_another() {
    let site = site("envwall");
    git(&site, "checkout -q -b feat");
    site.ok("up");
    site.run_args(&["exec", "-T", "db", "sh", "-c", "echo secret > /data/secret"]).exits(0);
    let serve = "use IO::Socket::INET; my $s=IO::Socket::INET->new(Listen=>5,LocalPort=>7777,ReuseAddr=>1); \
                 while(my $c=$s->accept){print $c 1; close $c}";
    site.run_args(&["exec", "-d", "db", "perl", "-e", serve]).exits(0);
    let container = format!("{}-feat-db-1", site.name);
    let networks =
        engine("GET", &format!("/containers/{container}/json")).1["NetworkSettings"]["Networks"].clone();
    let address =
        networks.as_object().unwrap().values().next().unwrap()["IPAddress"].as_str().unwrap().to_owned();
    let reach = format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/7777' && echo reached");
    let from = |environment: &str, script: &str| {
        site.run_args(&["-e", environment, "exec", "-T", "web", "bash", "-c", script]).out
    };
    until("it listens", || from("feat", &reach).contains("reached").then_some(()));
    // The engine writes its rules anew while networks of other tests come and go.
    until("another network is closed", || (!from("main", &reach).contains("reached")).then_some(()));
    assert_eq!(from("main", &format!("getent hosts {container}")), "");
    assert!(from("feat", "getent hosts db").contains(&address));
    assert!(!from("main", "getent hosts db").contains(&address));
    let look =
        ["-e", "main", "exec", "-T", "db", "sh", "-c", "find / -xdev -name secret -not -path '/proc/*'"];
    assert_eq!(site.run_args(&look).out, "");
    let look = ["-e", "main", "exec", "-T", "db", "ls", "/data"];
    assert_eq!(site.run_args(&look).out, "row\n");
    assert!(!from("main", "env").contains("-feat"));
}

#[test]
fn two_switches_at_once_end_the_same() {
    let site = site("envrace");
    for name in ["a", "b"] {
        site.ok(&format!("env create {name} --no-up"));
    }
    for _ in 0..3 {
        let all = ["a", "b"].map(|name| site.spawn(&format!("env switch {name}")));
        for child in all {
            Run::of("env switch", child).exits(0);
        }
        let now = current(&site);
        assert!(["a", "b"].contains(&now.as_str()), "{now}");
        assert_eq!(site.row(), "one");
        site.is_settled();
    }
    site.agrees();
}

#[test]
fn addresses_are_exported_and_written_where_git_does_not_look() {
    let site = site("envdot");
    let text = fs::read_to_string(site.dir().join("compose.yaml")).unwrap();
    site.compose(&format!("{text}x-devenv: {{dotenv: .env.local}}\n"));
    site.run("up").exits(3).says(&["git does not ignore it", ".gitignore"]);
    site.file(".gitignore", ".env.local\n");
    site.file(".env.local", "MINE=1\n");
    site.ok("up");
    let written = || fs::read_to_string(site.dir().join(".env.local")).unwrap();
    let port = site.ok("port web 80").out;
    assert!(written().starts_with("MINE=1\n") && written().contains(port.trim()), "{}", written());
    let mode = fs::metadata(site.dir().join(".env.local")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    site.ok("env create qa");
    site.ok("env switch qa").says(&[".env.local"]);
    assert!(written().contains("DEVENV_ENVIRONMENT=\"qa\"") && !written().contains(port.trim()));
    site.ok("env export --shell fish").prints(&["set -gx DEVENV_ENVIRONMENT 'qa';"]);
    assert_eq!(site.json("env export --shell json")["DEVENV_ENVIRONMENT"], "qa");
}

#[test]
fn every_name_that_git_allows_is_an_environment() {
    let mut site = site("envnames");
    let canary: PathBuf = site.state().join("canary");
    site.set("CANARY", canary.to_str().unwrap());
    let long = "long/".repeat(40) + "end";
    let names = [
        "$(touch${IFS}$CANARY)",
        "`touch${IFS}$CANARY`",
        "a';touch${IFS}$CANARY;'",
        "{{.ID}}",
        "%s%n",
        "\u{1f600}",
        "caf\u{e9}",
        "cafe\u{301}",
        "Feature/A",
        "feature-a",
        "con",
        "007",
        &long,
    ];
    let mut labels = BTreeSet::new();
    for name in names {
        git_words(&site, &["checkout", "-q", "-b", name, "main"]);
        let made = site.run_args(&["env", "create", "--no-up", "--json", "--", name]).exits(0).json();
        assert_eq!(made["git"], name);
        let label = made["environment"].as_str().unwrap().to_owned();
        assert!(label.len() <= 40, "{label}");
        assert_eq!(current(&site), label);
        assert!(labels.insert(label));
    }
    assert_eq!(environments(&site).len(), names.len() + 1);
    site.ok("env list");
    // One of them for real.
    site.ok("up");
    assert_eq!(site.row(), "one");
    git(&site, "checkout -q main");
    for name in names {
        site.run_args(&["env", "destroy", "--yes", "--", name]).exits(0);
    }
    assert_eq!(environments(&site), ["main"]);
    assert!(!canary.exists(), "something in a name was executed");
    site.agrees();
}

#[test]
fn a_project_that_has_the_name_already_is_left_alone() {
    let site = site("envsame");
    let other = Site::with("envother", "services: {web: {IDLE}}");
    let taken = format!("{}-feat", site.name);
    other.ok(&format!("-p {taken} up"));
    git(&site, "checkout -q -b feat");
    site.run("down").exits(1);
    site.ok("up").says(&["somebody else's compose project", "environment is feat-apart-"]);
    assert!(current(&site).starts_with("feat-apart-"));
    assert_eq!((running(&taken), site.row().as_str()), (1, "one"));
    site.ok("down");
    assert_eq!(running(&taken), 1);
    git(&site, "checkout -q main");
    site.run("env create feat").exits(5).says(&["feat-apart-"]);
    assert_eq!(running(&taken), 1);
}

#[test]
fn an_old_project_is_taken_over_and_keeps_what_it_has() {
    let old = Site::up("envold", crate::pooled::FILES);
    old.write("old");
    let site = Site::pooled("envnew", crate::pooled::FILES);
    site.run(&format!("env adopt {}", old.name)).exits(5).says(&["writes to volume", "stop"]);
    old.ok("stop");
    site.ok(&format!("env adopt {}", old.name)).says(&["branch main of the pool"]);
    site.ok("up");
    assert_eq!(site.row(), "old");
    site.write("new");
    site.run(&format!("env adopt {}", old.name)).exits(5);
    site.run("env adopt nobody").exits(5);
    old.ok("start");
    assert_eq!(old.row(), "old");
    site.agrees();
}

#[test]
fn a_stage_is_an_environment() {
    let mut site = site("envstage");
    site.set("STAGE", "staging");
    site.ok("up").says(&["environment staging is made from main"]);
    assert_eq!(current(&site), "staging");
    site.set("STAGE", "development");
    assert_eq!(current(&site), "main");
    site.set("DEVENV_ENV", "staging");
    assert_eq!(current(&site), "staging");
    site.run("check").exits(5).says(&["DEVENV_ENV"]);
    site.ok("check --expect-env staging");
}

#[cfg(feature = "failpoints")]
mod cut {
    use super::*;

    /// How a step ends a command.
    const ENDS: [&str; 2] = ["return", "return(KILL)"];

    #[test]
    fn making_one_cut_off_at_any_step() {
        let site = site("envcut");
        git(&site, "checkout -q -b feat");
        for end in ENDS {
            for step in [
                "branch:create:begun",
                "branch:create:copied",
                "branch:create:committed",
                "env:create:data",
                "env:create:pointed",
                "env:create:committed",
            ] {
                let run = site.failing(&format!("{step}={end}"), "up");
                assert_ne!(run.code, Some(0), "{step} is no step of: {run}");
                assert!(environments(&site).len() <= 2, "{step}");
                site.ok("up");
                assert_eq!((current(&site).as_str(), site.row().as_str()), ("feat", "one"), "{step}");
                assert_eq!(environments(&site), ["main", "feat"], "{step}");
                site.is_settled();
                site.ok("env destroy feat --yes");
                // What was made is deleted with it; the next one is a new one.
                assert_eq!(left(&format!("{}-feat", site.name)), 0, "{step}");
            }
        }
        site.agrees();
    }

    /// Faults 45.
    #[test]
    fn a_clock_that_jumped_ends_nothing() {
        let site = site("envclock");
        site.ok("env create qa --ttl 2h --no-up");
        git(&site, "branch gone");
        site.ok("env create gone --no-up");
        git(&site, "branch -D gone");
        site.ok("env list");
        for jump in [315_360_000_i64, -259_200] {
            let run = site.failing(&format!("clock=return({jump})"), "up").exits(0);
            assert!(!run.err.contains("was destroyed"), "{run}");
            // As the clock is again.
            site.ok("up");
            assert_eq!(environments(&site), ["main", "gone", "qa"], "after {jump} s");
        }
        let run = site.failing("clock=return(315360000)", "up").exits(0);
        run.says(&["the clock jumped", "left for now"]);
        // A clock that goes on from there was right.
        site.failing("clock=return(315360060)", "up").exits(0).says(&["qa was destroyed: its time is over"]);
        assert_eq!(environments(&site), ["main"]);
        site.agrees();
    }

    #[test]
    fn destroying_one_cut_off_at_any_step() {
        let site = site("envdcut");
        site.ok("env create other");
        for end in ENDS {
            for step in ["begun", "deleted", "removed", "unpointed"] {
                site.ok("env create qa");
                let run = site.failing(&format!("env:destroy:{step}={end}"), "env destroy qa --yes");
                assert_ne!(run.code, Some(0), "{step} is no step of: {run}");
                site.ok("env destroy qa --yes");
                assert_eq!(left(&format!("{}-qa", site.name)), 0, "{step}");
                assert_eq!(environments(&site), ["main", "other"], "{step}");
                assert_eq!(running(&format!("{}-other", site.name)), 2, "{step}");
                site.ok("env undelete qa");
                assert_eq!(site.ok("-e qa exec -T db cat /data/row").out, "one\n", "{step}");
                let run = site.failing(&format!("env:undelete:pointed={end}"), "env undelete qa");
                run.exits(5);
                site.ok("env destroy qa --yes");
            }
        }
        site.agrees();
    }
}

// ── a schema without rows ───────────────────────────────────────────────────────────────────────────────

#[test]
fn a_clone_of_the_schema_never_held_a_row() {
    let stack =
        POSTGRES.replace("['data:", "['files:/files', 'data:").replace("data: {}", "data: {}, files: {}");
    let site = Site::pooled("envschema", &format!("{stack}x-devenv: {{migrations: migrations}}\n"));
    site.file(
        "migrations/1_users.sql",
        "create table users (id serial primary key, email text not null unique); create role reader;
         grant select on users to reader; create view emails as select email from users;
         insert into users (email) values ('canary-of-a-migration@example.com');",
    );
    site.ok("up");
    site.ok("db migrate up");
    site.sql(&[], "insert into users (email) select 'canary' || n || '@example.com' from generate_series(1, 1000) n; checkpoint");
    site.run_args(&["exec", "-T", "db", "sh", "-c", "echo canary >/files/f"]).exits(0);
    site.ok("env clone main blank --data schema");
    let there = |sql: &str| {
        site.run_args(&["-e", "blank", "psql", "--", "-At", "-c", sql]).exits(0).out.trim().to_owned()
    };
    assert_eq!(there("select count(*) from users"), "0");
    let privilege =
        there("select has_table_privilege('reader', 'users', 'select'), to_regclass('emails') is not null");
    assert_eq!(privilege, "t|t");
    // Neither rows of today nor of yesterday, in any of its files.
    let files = "grep -rlE 'canary(1|7|1000)@' /var/lib/postgresql/data /files; ls /files";
    assert_eq!(site.run_args(&["-e", "blank", "exec", "-T", "db", "sh", "-c", files]).exits(0).out, "");
    let source = site.run_args(&["exec", "-T", "db", "sh", "-c", files]).exits(0).out;
    assert!(source.contains("/base/") && source.ends_with("\nf\n"), "{source}");
    // What was applied is known there, and it begins to count anew.
    site.ok("-e blank db migrate up").says(&["nothing to"]);
    there("insert into users (email) values ('first@example.com')");
    assert_eq!(there("select id from users"), "1");
    assert_eq!(site.sql(&[], "select count(*) from users"), "1001");
    site.ok("-e blank stop");
    site.ok("stop");
    site.run("env clone main other --data schema").exits(6).says(&["does not run"]);
    assert!(!environments(&site).contains(&"other".to_owned()));
}

// ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn each_environment_has_secrets_of_its_own() {
    let site = site("envsecret");
    let stack = |more: &str| {
        format!(
            "services:
  db: {{IDLE, volumes: ['data:/data', 'files:/files']}}
  web: {{IDLE, environment: {{TOKEN: '${{TOKEN:-of the file}}', URL: 'http://u:${{TOKEN:-of the file}}@db', NAMED: '${{NAMED:-n}}'}}{more}}}
volumes: {{data: {{}}, files: {{}}}}
x-devenv: {{secrets: {{TOKEN: tok_, NAMED: }}}}
"
        )
    };
    site.compose(&stack(""));
    let held = |environment: &str| {
        let words = ["-e", environment, "exec", "-T", "web", "sh", "-c", "echo $TOKEN $URL $NAMED"];
        site.run_args(&words).exits(0).out.trim().to_owned()
    };
    site.ok("up");
    assert_eq!(held("main"), "of the file http://u:of the file@db n");
    let made = site.ok("env create qa");
    site.ok("env create demo");
    let (qa, demo) = (held("qa"), held("demo"));
    let token = qa.split(' ').next().unwrap();
    assert!(token.starts_with("tok_") && token.len() == 4 + 64, "{qa}");
    assert!(
        qa.contains(&format!("http://u:{token}@db ")) && !qa.ends_with(" n") && qa != demo,
        "{qa} {demo}"
    );
    // Known to nobody else, written nowhere, and the same the next time.
    let key = site.state().join("secrets.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!made.err.contains(token) && !site.ok("env show qa --json").out.contains(token));
    for file in
        fs::read_dir(site.state()).unwrap().map(|entry| entry.unwrap().path()).filter(|it| it.is_file())
    {
        let bytes = fs::read(&file).unwrap();
        let found = bytes.windows(64).any(|window| window == &token.as_bytes()[4..]);
        assert!(!found, "{} holds a secret", file.display());
    }
    site.ok("-e qa down");
    site.ok("-e qa up");
    assert_eq!(held("qa"), qa);
    // What a person says counts.
    site.file(".env", "TOKEN=mine\n");
    site.ok("-e qa up");
    assert!(held("qa").starts_with("mine http://u:mine@db "));
    site.compose(&stack("").replace("TOKEN: tok_", "TOKEN: [tok_]"));
    site.run("-e qa up")
        .exits(3)
        .says(&["`x-devenv.secrets.TOKEN` is how the value begins", "compose.yaml:5:"]);
    site.compose(&stack(""));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    site.run("-e demo up").exits(7).says(&["others can read the key", "chmod 600"]);
}

/// The status that an API answers a request with this key with.
fn asked(site: &Site, environment: &str, key: &str) -> String {
    use std::io::{Read, Write};
    let address = site.ok(&format!("-e {environment} port api 54321")).out;
    let mut stream = std::net::TcpStream::connect(address.trim()).unwrap();
    write!(stream, "GET /rest/v1/ HTTP/1.1\r\nHost: localhost\r\napikey: {key}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_key_of_one_environment_is_refused_by_another() {
    let mut site = Site::pooled("envkeys", "services: {}");
    for port in ["API_PORT", "STUDIO_PORT", "DB_PORT", "MAIL_PORT"] {
        site.set(port, &crate::site::free_port().to_string());
    }
    fs::remove_file(site.dir().join("compose.yaml")).unwrap();
    let name = site.name.clone();
    site.ok(&format!("init --template supabase --name {name}"));
    site.ok("up api");
    site.ok("env create qa --no-up");
    site.ok("-e qa up api");
    let key = |environment: &str, name: &str| {
        let told = site.ok(&format!("-e {environment} status -o env")).out;
        let found = told.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).map(str::to_owned);
        found.unwrap_or_else(|| panic!("{name} in {told}")).trim_matches('"').to_owned()
    };
    for name in ["SECRET_KEY", "PUBLISHABLE_KEY", "SERVICE_ROLE_KEY", "ANON_KEY"] {
        let (main, qa) = (key("main", name), key("qa", name));
        assert_ne!(main, qa, "{name}");
        for (environment, own, other) in [("main", &main, &qa), ("qa", &qa, &main)] {
            assert_ne!(asked(&site, environment, own), "401", "{name} of {environment} there");
            assert_eq!(asked(&site, environment, other), "401", "{name} of another one at {environment}");
        }
    }
}
