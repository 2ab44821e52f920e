//! The verbs of `devenv db branch` and `devenv db snapshot`, on files in volumes: what a user types, and what is there
//! afterwards.

use serde_json::Value;

use crate::pooled::FILES;
use crate::site::{Site, engine, until};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What keeps a container: its id, so that nothing was made anew.
fn kept<T>(site: &Site, what: impl FnOnce() -> T) -> T {
    let ids = site.ids();
    let done = what();
    assert_eq!(site.ids(), ids, "containers were made anew");
    done
}

#[test]
fn create_adopts_what_ran_before_and_switches() {
    let site = Site::pooled_up("bcreate", FILES, "one");
    let made = site.json("db branch create feat --json");
    assert_eq!((text(&made["from"]), &made["switched"]), ("main", &true.into()), "{made}");
    assert_eq!(site.branches(), ["main", "*feat"]);
    assert_eq!(site.row(), "one");
    kept(&site, || {
        site.write("two");
        site.ok("db branch switch main");
        assert_eq!(site.row(), "one");
        site.ok("db branch switch -");
        assert_eq!(site.row(), "two");
        let stays = site.json("db branch switch feat --json");
        assert_eq!(stays["services"], serde_json::json!([]));
    });
    site.holds(&[
        "container P-db-1 running",
        "container P-web-1 running",
        "network P_default",
        "volume P_data",
        "volume P_files",
    ]);
    site.is_settled();
    site.agrees();
}

#[test]
fn a_switch_leaves_services_without_data_alone() {
    let site = Site::pooled_up("bleave", FILES, "one");
    site.ok("db branch create feat");
    let since = |service: &str| site.inspect(service)["State"]["StartedAt"].clone();
    let (db, web) = (since("db"), since("web"));
    let turned = site.json("db branch switch main --json");
    assert_eq!(turned["services"], serde_json::json!(["db"]));
    assert_ne!(since("db"), db);
    assert_eq!(since("web"), web);
}

#[test]
fn create_from_a_branch_or_a_snapshot() {
    let site = Site::pooled_up("bfrom", FILES, "one");
    site.ok("db branch create a");
    site.write("two");
    site.ok("db snapshot save point -m hello");
    site.write("three");
    site.ok("db branch create b --from main");
    assert_eq!(site.row(), "one");
    site.ok("db branch create c --from point");
    assert_eq!(site.row(), "two");
    site.ok("db branch create d --from a --no-switch");
    assert_eq!(site.row(), "two");
    assert_eq!(site.branches(), ["main", "a", "*c", "d", "b"]);
    let shown = site.json("db branch show d --json");
    assert_eq!((text(&shown["parent"]), &shown["current"]), ("a", &false.into()), "{shown}");
    site.ok("db branch switch d");
    assert_eq!(site.row(), "three");
    site.run("db branch create e --from nothing").exits(2).says(&["no such branch or snapshot", "nothing"]);
    site.run("db branch create d").exits(5).says(&["there is a branch `d` already", "hint:"]);
    site.agrees();
}

#[test]
fn create_works_while_nothing_runs() {
    let site = Site::pooled_up("bdown", FILES, "one");
    site.ok("down");
    site.ok("db branch create feat");
    site.holds(&["volume P_data", "volume P_files"]);
    site.ok("up");
    assert_eq!(site.row(), "one");
    site.write("two");
    site.ok("down");
    site.ok("db branch switch main");
    site.ok("up");
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn a_stack_that_never_ran_has_branches_too() {
    let site = Site::pooled("bnew", FILES);
    site.run("db branch switch feat").exits(2).says(&["hint:"]);
    site.run("db branch current").exits(1).says(&["has no branches yet", "db branch create"]);
    site.ok("db branch list").says(&["no branches yet"]);
    site.ok("db branch create feat");
    site.ok("up");
    site.write("one");
    site.ok("db branch switch main");
    site.run("exec -T db cat /data/row").exits(1);
    site.agrees();
}

#[test]
fn a_new_stack_begins_in_the_pool() {
    let site = Site::pooled_up("bborn", FILES, "one");
    let volume = engine("GET", &format!("/volumes/{}_data", site.name)).1;
    assert!(volume["Options"]["device"].is_string(), "{volume}");
    let before = site.ids();
    site.ok("db branch create feat");
    assert_eq!(site.ids(), before, "nothing had to be moved");
    assert_eq!(site.row(), "one");
}

#[test]
fn list_shows_the_tree_the_sizes_and_the_deleted() {
    let site = Site::pooled_up("blist", FILES, "one");
    site.ok("db branch create a");
    site.ok("db branch create a/b --ttl 3d");
    site.ok("db branch create c --from main --no-switch");
    site.ok("db branch protect a");
    let tree = site.ok("db branch list --tree");
    tree.prints(&["└─ c", "├─ a", "│  └─ a/b", "ends in 3 d", "protected"]);
    site.ok("db b ls --sizes").prints(&["OWN", "SHARED", " B "]);
    let sizes = site.json("db branch list --sizes --json");
    assert!(sizes["branches"][0]["size"]["shared"].as_u64().is_some(), "{sizes}");
    site.ok("db branch delete c");
    assert_eq!(site.branches(), ["main", "a", "*a/b"]);
    site.ok("db branch list --deleted").prints(&["deleted"]);
    assert_eq!(site.json("db branch current --json")["branch"]["name"], "a/b");
    assert_eq!(site.ok("db branch current").out, "a/b\n");
    let shown = site.ok("db branch show").prints(&["a/b", "Parent", "data, files"]);
    assert!(!shown.out.contains("Database"), "{shown}");
    site.agrees();
}

#[test]
fn delete_keeps_refuses_or_cascades() {
    let site = Site::pooled_up("bdelete", FILES, "one");
    for branch in ["a", "b", "c"] {
        site.ok(&format!("db branch create {branch}"));
        site.write(branch);
    }
    site.run("db branch delete c").exits(5).says(&["`c` is the current one", "db branch switch"]);
    site.run("db branch delete a --children refuse").exits(5).says(&["`a` has b made from it", "--children"]);
    site.ok("db branch delete a").says(&["for seven days", "db branch undelete a"]);
    assert_eq!(site.branches(), ["main", "b", "*c"]);
    assert_eq!(site.row(), "c");
    site.ok("db branch switch b");
    assert_eq!(site.row(), "b");
    site.ok("db branch switch main");
    site.run("db branch delete b nothing --yes").exits(2);
    assert_eq!(site.branches(), ["*main", "b", "c"], "all or none");
    site.ok("db branch delete b --children cascade");
    assert_eq!(site.branches(), ["*main"]);
    // What was deleted last comes back whole.
    site.ok("db branch undelete b");
    site.ok("db branch undelete c");
    site.ok("db branch switch c");
    assert_eq!(site.row(), "c");
    site.ok("db branch switch main");
    site.run("db branch delete b c").exits(2).says(&["--yes"]);
    site.ok("db branch delete b c --yes");
    assert_eq!(site.branches(), ["*main"]);
    site.agrees();
}

#[test]
fn undelete_under_another_name() {
    let site = Site::pooled_up("bundelete", FILES, "one");
    site.ok("db branch create a");
    site.write("first");
    site.ok("db branch switch main");
    site.ok("db branch delete a");
    site.run("db branch switch a").exits(2).says(&["it was deleted", "undelete a"]);
    site.ok("db branch create a");
    let run = site.run("db branch undelete a").exits(5);
    run.says(&["there is a branch `a` already", "--rename"]);
    site.ok("db branch undelete a --rename old");
    site.ok("db branch switch old");
    assert_eq!(site.row(), "first");
    site.run("db branch undelete nothing").exits(2);
    site.agrees();
}

#[test]
fn reset_goes_back_to_the_parent_and_keeps_what_was() {
    let site = Site::pooled_up("breset", FILES, "one");
    site.run("db branch reset").exits(1).says(&["no parent to go back to", "--to"]);
    site.ok("db branch create a");
    site.write("two");
    let done = kept(&site, || site.json("db branch reset --json"));
    assert_eq!(site.row(), "one");
    let kept = text(&done["kept"]["name"]).to_owned();
    site.run_args(&["db", "snapshot", "restore", &kept]).exits(0);
    assert_eq!(site.row(), "two");
    site.ok("db snapshot save point");
    site.write("three");
    site.ok("db branch reset --to point").says(&["`devenv db snapshot restore"]);
    assert_eq!(site.row(), "two");
    site.ok("db branch create b --from main --no-switch");
    site.ok("db branch reset --to b");
    assert_eq!(site.row(), "one");
    site.run("db branch reset --to a").exits(2).says(&["cannot be reset to itself"]);
    // One that nothing stands on.
    site.ok("db branch reset b --to point");
    assert_eq!(site.row(), "one");
    site.ok("db branch switch b");
    assert_eq!(site.row(), "two");
    site.agrees();
}

#[test]
fn protected_is_neither_deleted_nor_reset() {
    let site = Site::pooled_up("bprotect", FILES, "one");
    site.ok("db branch create a");
    site.ok("db branch protect");
    for refused in ["db branch reset", "db branch delete a", "down --volumes --yes"] {
        site.run(refused).exits(5).says(&["`a` is protected", "unprotect"]);
    }
    site.ok("up");
    assert_eq!(site.row(), "one", "nothing was taken away on the way to the refusal");
    site.ok("db branch unprotect a");
    site.ok("db branch reset");
    site.agrees();
}

#[test]
fn rename_and_ttl() {
    let site = Site::pooled_up("brename", FILES, "one");
    site.ok("db branch create a --no-switch");
    site.ok("db branch mv a b");
    site.ok("db branch mv main trunk");
    assert_eq!(site.branches(), ["*trunk", "b"]);
    site.run("db branch rename b trunk").exits(5);
    site.run("db branch rename b b..c").exits(2).says(&["check-ref-format"]);
    site.ok("db branch ttl b 1s");
    until("its time is over", || {
        let due = site.json("gc --dry-run --json");
        (due["decisions"].as_array().unwrap().len() == 1).then_some(())
    });
    site.ok("gc").prints(&["b", "its time is over"]);
    assert_eq!(site.branches(), ["*trunk"]);
    let back = site.json("db branch undelete b --json");
    assert_eq!(back["branch"]["expires"], Value::Null, "what is had back does not end at once");
    site.ok("db branch ttl b never");
    site.run("db branch ttl b soon").exits(2);
    site.agrees();
}

#[test]
fn snapshots_are_points_to_go_back_to() {
    let site = Site::pooled_up("bsnap", FILES, "one");
    site.ok("db snapshot list").says(&["no snapshots yet"]);
    let saved = site.json("db snapshot save before -m why --json");
    assert_eq!(saved["snapshot"]["message"], "why");
    site.write("two");
    let own = site.json("db snap save --json");
    let own = text(&own["snapshot"]["name"]);
    assert!(own.starts_with("main-"), "{own}");
    assert_eq!(site.snapshots(), ["before", own]);
    site.run("db snapshot save before").exits(5).says(&["there is a snapshot `before` already"]);
    site.ok("db snapshot list").prints(&["before", "why", "main"]);
    site.ok("db snapshot show before").prints(&["before", "why"]);
    kept(&site, || site.ok("db snapshot restore before"));
    assert_eq!(site.row(), "one");
    site.ok(&format!("db snapshot restore {own} --as other"));
    assert_eq!(site.row(), "two");
    site.ok("db snapshot restore before --onto other");
    assert_eq!(site.row(), "one");
    site.run("db snapshot restore befor").exits(2).says(&["did you mean `before`?"]);
    site.ok("db snapshot delete before");
    site.run("db snapshot restore before").exits(2).says(&["snapshot undelete before"]);
    site.ok("db snapshot undelete before --rename again");
    site.ok("db snapshot restore again");
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn a_branch_runs_beside_its_parent() {
    let compose = "services:
  db: {IDLE, container_name: NAME-fixed, ports: ['127.0.0.1::80'], volumes: ['data:/data', 'files:/files']}
volumes: {data: {}, files: {name: NAME-files}}
";
    let site = Site::pooled("bbeside", "services: {}");
    site.compose(&compose.replace("NAME", &site.name));
    site.ok("up");
    site.write("one");
    let made = site.json("db branch create feat --start --json");
    assert_eq!(text(&made["environment"]), format!("{}-feat", site.name), "{made}");
    assert_eq!(site.branches(), ["*main", "feat"]);
    let beside = |words: &str| site.run(&format!("--branch feat {words}"));
    beside("exec -T db sh -c true").exits(0);
    site.run_args(&["--branch", "feat", "exec", "-T", "db", "sh", "-c", "echo two > /data/row"]).exits(0);
    assert_eq!(site.row(), "one");
    beside("exec -T db cat /data/row").exits(0).prints(&["two"]);
    let status = beside("status --json").exits(0).json();
    assert_eq!(status["services"][0]["state"], "running", "{status}");
    let (here, there) = (site.ok("port db 80").out, beside("port db 80").exits(0).out);
    assert_ne!(here, there);
    site.ok("db branch list").prints(&["runs as"]);
    site.run("db branch reset feat").exits(5).says(&["runs beside", "down"]);
    site.ok("--branch main exec -T db cat /data/row").prints(&["one"]);
    beside("down").exits(0);
    let left = list_of(&format!("{}-feat", site.name));
    assert!(left.is_empty(), "{left:?}");
    beside("status").exits(1).says(&["does not run beside", "up"]);
    beside("up").exits(0);
    beside("exec -T db cat /data/row").exits(0).prints(&["two"]);
    site.ok("db branch delete feat").says(&["was taken away"]);
    let left = list_of(&format!("{}-feat", site.name));
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(site.row(), "one");
    site.agrees();
}

/// The names of containers and volumes of a compose project.
fn list_of(project: &str) -> Vec<String> {
    let filter = format!("%7B%22label%22%3A%5B%22com.docker.compose.project%3D{project}%22%5D%7D");
    let containers = engine("GET", &format!("/containers/json?all=1&filters={filter}")).1;
    let mut names: Vec<String> =
        containers.as_array().unwrap().iter().map(|it| it["Names"][0].to_string()).collect();
    let volumes = engine("GET", &format!("/volumes?filters={filter}")).1;
    names.extend(volumes["Volumes"].as_array().into_iter().flatten().map(|it| it["Name"].to_string()));
    names
}

#[test]
fn down_volumes_is_kept_for_seven_days() {
    let site = Site::pooled_up("bdownv", FILES, "one");
    site.ok("db branch create a");
    site.write("two");
    let run = site.ok("down --volumes --yes");
    run.says(&["kept for seven days", "db snapshot restore"]);
    site.holds(&[]);
    site.ok("up");
    site.run("exec -T db cat /data/row").exits(1);
    let kept = site.snapshots();
    site.run_args(&["db", "snapshot", "restore", &kept[0]]).exits(0);
    assert_eq!(site.row(), "two");
    site.ok("db branch switch main");
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn a_volume_that_the_file_gains_belongs_to_the_branch() {
    let site = Site::pooled_up("bgain", FILES, "one");
    site.ok("db branch create a");
    let more = FILES
        .replace("web: {IDLE}", "web: {IDLE, volumes: ['more:/more']}")
        .replace("files: {}}", "files: {}, more: {}}");
    site.compose(&more);
    site.ok("up");
    site.ok("exec -T web touch /more/here");
    site.ok("db branch create b");
    site.ok("exec -T web test -e /more/here");
    site.ok("exec -T web rm /more/here");
    site.ok("db branch switch a");
    site.ok("exec -T web test -e /more/here");
    // A branch from before has none of it.
    site.ok("db branch switch main");
    site.run("exec -T web test -e /more/here").exits(1);
    assert_eq!(site.row(), "one");
    site.is_settled();
    site.agrees();
}

#[test]
fn what_is_left_out_or_external_belongs_to_no_branch() {
    let external = format!("dvt-bout-theirs-{:x}", std::process::id());
    let compose = "services:
  db: {IDLE, volumes: ['data:/data', 'files:/files', 'cache:/cache', 'theirs:/theirs', /anonymous]}
volumes: {data: {}, files: {}, cache: {}, theirs: {external: true, name: EXTERNAL}}
x-devenv: {branches: {leave_out: [cache]}}
";
    let site = Site::pooled("bout", &compose.replace("EXTERNAL", &external));
    crate::site::engine_with("POST", "/volumes/create", &format!(r#"{{"Name": "{external}"}}"#));
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        site.ok("up").says(&["`theirs` belongs to no branch: it is external"]);
        site.write("one");
        for folder in ["cache", "theirs"] {
            site.run_args(&["exec", "-T", "db", "touch", &format!("/{folder}/here")]).exits(0);
        }
        site.ok("db branch create a");
        site.write("two");
        site.ok("db branch switch main");
        assert_eq!(site.row(), "one");
        site.ok("exec -T db test -e /cache/here -a -e /theirs/here");
        let shown = site.json("db branch show --json");
        assert_eq!(shown["volumes"], serde_json::json!(["data", "files"]));
    }));
    site.ok("down");
    engine("DELETE", &format!("/volumes/{external}"));
    done.unwrap();
}

#[test]
fn data_that_no_branch_can_hold_is_refused_with_a_hint() {
    for (mount, place) in
        [("./pg:/var/lib/postgresql/data", "a folder of this machine"), ("", "without a name")]
    {
        let volumes = if mount.is_empty() { String::new() } else { format!(", volumes: ['{mount}']") };
        let site = Site::pooled("bbind", &format!("services: {{db: {{image: 'postgres:17'{volumes}}}}}"));
        let run = site.run("db branch create a").exits(7);
        run.says(&["service `db` keeps its data", place, "hint:", "`volumes:`"]);
        site.holds(&[]);
    }
    let site = Site::pooled("bnone", "services: {web: {IDLE}}");
    site.run("db branch create a").exits(7).says(&["no data that a branch could hold", "hint:"]);
}

#[test]
fn plain_volumes_of_before_are_moved_once() {
    let mut site = Site::pooled("badopt", FILES);
    // As if the pool had come later.
    site.set("DEVENV_POOL", "dvt-no-pool");
    site.ok("up");
    site.write("one");
    site.set("DEVENV_POOL", crate::pooled::pool());
    let run = site.ok("db branch create a");
    run.says(&["in the pool"]);
    assert_eq!(site.row(), "one");
    site.holds(&[
        "container P-db-1 running",
        "container P-web-1 running",
        "network P_default",
        "volume P_data",
        "volume P_files",
    ]);
    site.is_settled();
    site.write("two");
    site.ok("db branch switch main");
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn a_lost_catalogue_is_made_again_from_the_pool() {
    let site = Site::pooled_up("brebuild", FILES, "one");
    site.ok("db branch create a --ttl 30d");
    site.ok("db branch protect");
    site.ok("db snapshot save point -m why");
    site.ok("db branch create b");
    site.ok("db branch switch main");
    site.ok("db branch delete b");
    let all = || {
        let branches = site.json("db branch list --deleted --json")["branches"].clone();
        let plain: Vec<Value> = branches
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let mut it = it.clone();
                // When it was used last is told by no manifest.
                it["used"] = Value::Null;
                it
            })
            .collect();
        (plain, site.json("db snapshot list --json"))
    };
    let before = all();
    for file in std::fs::read_dir(site.state()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    // Nothing is ever begun anew over data that is there.
    site.ok("down");
    site.ok("up").says(&["are made again from the pool"]);
    let (branches, snapshots) = all();
    assert_eq!(branches, before.0);
    assert_eq!(snapshots, before.1);
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn gc_takes_away_what_was_deleted() {
    let site = Site::pooled_up("bgc", FILES, "one");
    site.ok("gc").says(&["nothing is due"]);
    site.ok("db branch create a --no-switch");
    site.ok("db branch delete a");
    site.run("gc --older 1s").exits(2).says(&["--yes"]);
    until("it is due", || {
        let due = site.json("gc --dry-run --older 1s --json");
        (!due["decisions"].as_array().unwrap().is_empty()).then_some(())
    });
    site.ok("gc --older 1s --dry-run").prints(&["branch", "a", "some days ago"]);
    site.ok("gc --older 1s --yes");
    site.run("db branch undelete a").exits(2);
    let left = site.json("db branch list --deleted --json");
    assert_eq!(left["branches"].as_array().unwrap().len(), 1);
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn a_pool_is_told_grown_and_checked() {
    let pool = format!("dvt-bpool-{:x}", std::process::id());
    let mut site = Site::with("bpool", FILES);
    site.set("DEVENV_POOL", &pool);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        site.run("pool status").exits(8).says(&["there is no pool", "first use"]);
        let made = site.json("pool create --size 300M --driver btrfs --json");
        assert_eq!(made["pool"], *pool);
        site.run("pool create").exits(5).says(&["already", "pool grow"]);
        site.ok("pool status").prints(&["Driver", "Size", "Kept free"]);
        let before = made["status"]["total"].as_u64().unwrap();
        let grown = site.json("pool grow 500M --json");
        assert!(grown["status"]["total"].as_u64().unwrap() > before, "{grown}");
        site.run("pool grow 300M").exits(8);
        site.ok("pool check").says(&["the pool is well"]);
        assert_eq!(site.json("pool check --json")["problems"], serde_json::json!([]));
    }));
    crate::pooled::take_away(&pool);
    done.unwrap();
}

#[test]
fn the_newer_records_of_another_devenv_are_left_alone() {
    let site = Site::pooled_up("bnewer", FILES, "one");
    site.ok("db branch create a");
    let path = site.state().join("catalogue.db");
    let sql = |query: &'static str| -> i64 {
        use sqlx::{Connection, Row};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!("sqlite://{}", path.display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            let row = sqlx::raw_sql(query).fetch_optional(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            row.map_or(0, |row| row.get(0))
        })
    };
    sql("PRAGMA user_version = 99");
    let changes = sql("SELECT count(*) FROM branches");
    for words in ["db branch list", "db branch create b", "db branch switch main"] {
        site.run(words).exits(3).says(&["by a later release", "upgrade devenv"]);
    }
    assert_eq!((sql("PRAGMA user_version"), sql("SELECT count(*) FROM branches")), (99, changes));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let site = Site::pooled_up("bpipe", FILES, "one");
    site.ok("db branch create a");
    let script = "\"$0\" db branch list | head -c 1; echo \"${PIPESTATUS[0]}\"";
    let mut shell = site.program("/bin/bash");
    let output = shell.args(["-c", script, env!("CARGO_BIN_EXE_devenv")]).output().unwrap();
    let run = crate::site::Run::new("db branch list | head -c 1", &output);
    assert!(run.err.is_empty(), "{run}");
    assert!(["0", "141"].contains(&run.out.trim().lines().last().unwrap_or_default().trim()), "{run}");
}
