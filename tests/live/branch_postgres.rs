//! Branches of a real PostgreSQL: its rows, its settings, its address.

use crate::site::{Site, until};
use crate::stacks::POSTGRES;

fn up(test: &str) -> Site {
    let site = Site::pooled(test, POSTGRES);
    site.ok("up");
    site.sql(&[], "create table t (v int); insert into t values (1)");
    site
}

/// Wants that the address leads to the database, by nothing but what was printed.
fn reaches(url: &str, rows: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found: i64 = runtime.block_on(async {
        use sqlx::{Connection, Row};
        let mut connection =
            sqlx::PgConnection::connect(&format!("{}?sslmode=disable", url.trim())).await.unwrap();
        sqlx::query("select sum(v) from t").fetch_one(&mut connection).await.unwrap().get(0)
    });
    assert_eq!(found.to_string(), rows, "{url}");
}

#[test]
fn rows_go_with_the_branch_and_connections_end_with_a_switch() {
    let site = up("pgrows");
    site.ok("db branch create feat");
    assert_eq!(site.sql(&[], "select sum(v) from t"), "1");
    // Somebody in the middle of a transaction.
    let idle = site.spawn("psql -- -c begin;select(pg_sleep(600))");
    until("somebody is connected", || {
        (site.sql(&[], "select count(*) from pg_stat_activity where query like '%600%'") != "1").then_some(())
    });
    site.sql(&[], "insert into t values (10)");
    site.ok("db branch switch main");
    assert!(!idle.wait_with_output().unwrap().status.success());
    assert_eq!(site.sql(&[], "select sum(v) from t"), "1");
    site.sql(&[], "insert into t values (100)");
    site.ok("db branch switch feat");
    assert_eq!(site.sql(&[], "select sum(v) from t"), "11");
    site.ok("db branch reset");
    assert_eq!(site.sql(&[], "select sum(v) from t"), "101");
    site.agrees();
}

#[test]
fn a_copy_does_not_do_what_only_the_original_should() {
    let site = up("pgjobs");
    let set = |branch: &[&str], name: &str| site.sql(branch, &format!("show {name}"));
    let workers = set(&[], "max_logical_replication_workers");
    assert_ne!(workers, "0");
    site.ok("db branch create feat --no-switch");
    site.ok("db branch create quick --fast --no-switch").says(&["does not wait for the disk"]);
    assert_eq!(set(&["feat"], "max_logical_replication_workers"), "0");
    assert_eq!(set(&["feat"], "fsync"), "on");
    assert_eq!(set(&["quick"], "fsync"), "off");
    assert_eq!(set(&["quick"], "max_logical_replication_workers"), "0");
    // The original is as it was.
    assert_eq!(set(&[], "max_logical_replication_workers"), workers);
    assert_eq!(set(&[], "fsync"), "on");
    site.ok("db branch list").prints(&["fsync off"]);
    site.agrees();
}

#[test]
fn the_address_of_each_branch() {
    let site = up("pgurl");
    let url = site.ok("db url").out;
    reaches(&url, "1");
    assert!(url.contains("pass%20word"), "{url}");
    let made = site.json("db branch create feat/login --start --json");
    reaches(made["url"].as_str().unwrap(), "1");
    site.sql(&["feat/login"], "insert into t values (10)");
    let beside = site.ok("db url feat/login").out;
    assert_eq!(beside.trim(), made["url"]);
    reaches(&beside, "11");
    reaches(&url, "1");
    site.ok("db url --format dsn").prints(&["host=127.0.0.1 port=", "password='pass word'"]);
    let script = site.ok("db url feat/login --format env").out;
    let shell = site
        .program("/bin/sh")
        .args(["-c", "eval \"$0\"; printf '%s|%s' \"$DATABASE_URL\" \"$PGPASSWORD\"", &script])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), format!("{}|pass word", beside.trim()));
    let json = site.json("db url --json");
    assert_eq!(json["url"], url.trim());
    site.ok("db branch create cold --no-switch");
    site.run("db url cold").exits(6).says(&["does not run", "--start", "switch cold"]);
    reaches(&site.ok("db url cold --start").out, "1");
    let shown = site.ok("db branch show feat/login");
    shown.prints(&["127.0.0.1:", "MiB", "off: pg_cron"]);
    site.ok("down");
    site.run("db url").exits(6).says(&["does not run"]);
    site.agrees();
}

/// A database does not wait for what stops slowly; which is then still on the data before.
#[test]
fn a_switch_that_was_cut_off_leaves_no_service_on_the_data_before() {
    let slow = "  slow:
    image: devenv.local/debian:trixie
    command: sleep infinity
    stop_grace_period: 3s
    volumes: ['files:/files']
volumes: {data: {}, files: {}}
";
    let site = Site::pooled("pslow", &POSTGRES.replace("volumes: {data: {}}\n", slow));
    let file = |words: &str| site.run_args(&["exec", "-T", "slow", "sh", "-c", words]).exits(0).out;
    site.ok("up");
    site.sql(&[], "create table t (v int); insert into t values (1)");
    file("echo 1 >/files/v");
    site.ok("db branch create feat");
    site.sql(&[], "update t set v = 2");
    file("echo 2 >/files/v");
    for (branch, value) in [("main", "1"), ("feat", "2")] {
        let run = site.failing("branch:switch:pointed=return(KILL)", &format!("db branch switch {branch}"));
        assert_eq!(run.code, None, "{run}");
        site.ok("up");
        assert_eq!(site.sql(&[], "select v from t"), value);
        assert_eq!(file("cat /files/v").trim(), value);
        assert!(site.branches().contains(&format!("*{branch}")));
    }
    site.agrees();
}
