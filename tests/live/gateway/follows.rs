//! The gateway is told whatever makes another environment or another branch of the data the current one.

use serde_json::Value;

use super::{Gate, query};
use crate::site::Site;
use crate::stacks::{POSTGRES, WEB};

#[test]
fn a_connection_finds_the_branch_that_it_names() {
    let gate = Gate::over(Site::pooled("gwbranch", POSTGRES));
    gate.site.ok("up");
    let port = gate.fixed("db", 5432, "postgres");
    let here = |options: &[(&str, &str)]| query(port, "postgres", options, "select name from here");
    let write = |name: &str| {
        let sql =
            format!("do $$ begin create table here (name text); insert into here values ('{name}'); end $$");
        query(port, "postgres", &[], &sql).unwrap();
    };
    gate.site.ok("db branch create feat/login");
    write("feat");
    assert_eq!(here(&[("devenv.branch", "feat/login")]).unwrap(), "feat");
    gate.site.ok("db branch switch main");
    let missing = here(&[("devenv.branch", "feat/login")]).unwrap_err();
    assert!(missing.to_string().contains("none that works on a branch of that name"), "{missing}");
    assert!(here(&[]).is_err(), "main has no such table");
    gate.site.ok("db branch create side --start");
    gate.site.ok("db branch switch feat/login");
    gate.site.ok("db branch rename feat/login feat/sign-in");
    assert_eq!(here(&[("devenv.branch", "feat/sign-in")]).unwrap(), "feat");
    assert!(here(&[("devenv.branch", "feat/login")]).is_err(), "it is not called so any more");
    assert!(here(&[("devenv.branch", "side")]).is_err(), "beside, without the table");
    let side = query(port, "postgres.side", &[], "select 'there'").unwrap();
    assert_eq!(side, "there");
}

fn current(gate: &Gate) -> Value {
    gate.site.json("gateway status --json")["gateway"]["current"][&gate.site.name].clone()
}

#[test]
fn a_choice_without_a_start_is_known_too() {
    let gate = Gate::new("gwchoice");
    gate.site.compose(WEB);
    gate.site.ok("up");
    gate.site.ok("env create qa");
    // Making another one does not leave the one before.
    gate.site.ok("env switch main --no-up");
    assert_eq!(current(&gate), "main");
    gate.site.ok("env switch qa --no-up");
    assert_eq!(current(&gate), "qa");
    gate.site.ok("env switch main --no-up --dry-run");
    assert_eq!(current(&gate), "qa");
    gate.sleep("qa");
    gate.answers("web", "web");
    gate.is("qa", "awake");
    gate.site.ok("env destroy qa --yes");
    assert_eq!(current(&gate), Value::Null, "nothing leads to what is gone");
    gate.answers("web", "web");
    assert_eq!(gate.site.json("env current --json")["environment"], "main", "nor does the choice");
}
