//! Names as git allows them, the hostile ones first: what they are called at the engine is made of them, and nothing
//! in them is ever executed.

use crate::pooled::FILES;
use crate::site::{Run, Site, engine};

/// Names that `git check-ref-format --branch` accepts, each with what it would do to careless code. $CANARY is in the
/// environment, and no such name holds a blank.
fn hostile() -> Vec<String> {
    let long = "long/".repeat(48) + "0123456789";
    [
        "$(touch${IFS}$CANARY)",
        "`touch${IFS}$CANARY`",
        "a';touch${IFS}$CANARY;'",
        "a\"&touch${IFS}$CANARY&\"",
        "a|touch${IFS}$CANARY",
        "a>$CANARY",
        "{{.ID}}",
        "%s%n%d",
        "x{y,z}",
        "@",
        "a@b",
        "#1",
        "!important",
        "$HOME",
        "a=b",
        "a,b",
        "<b>",
        "😀",
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{202e}txt.exe",
        "שלום",
        "Feature/A",
        "feature/a",
        "FEATURE/a",
        "con",
        "nul.txt",
        "123",
        "007",
        "main-0a1b2c",
        "___",
        "a.b_c-d",
        "a\u{a0}b",
        &long,
    ]
    .iter()
    .map(|name| (*name).to_owned())
    .collect()
}

/// Where nothing may appear.
fn canary(site: &mut Site) -> std::path::PathBuf {
    let canary = site.state().join("canary");
    site.set("CANARY", canary.to_str().unwrap());
    canary
}

fn b(site: &Site, words: &[&str]) -> Run {
    site.run_args(&[&["db", "branch"], words].concat()).exits(0)
}

#[test]
fn git_allows_the_names_of_this_test() {
    let site = Site::new("ngit");
    for name in hostile() {
        let run = site.program("git").args(["check-ref-format", "--branch", &name]).output().unwrap();
        assert!(run.status.success(), "{name}");
    }
}

#[test]
fn every_name_is_made_listed_turned_to_and_deleted() {
    let mut site = Site::pooled_up("names", FILES, "one");
    let canary = canary(&mut site);
    let names = hostile();
    for name in &names {
        b(&site, &["create", "--no-switch", "--", name]);
    }
    let listed = site.branches();
    assert_eq!(listed[1..], names[..], "each is there, by the name that it was given");
    for mode in [&["list", "--tree"][..], &["list", "--sizes"]] {
        let run = b(&site, mode);
        assert_eq!(run.out.lines().count(), names.len() + 2, "{run}");
        assert!(!run.out.contains('\u{202e}'), "what turns the direction of text is shown as such: {run}");
    }
    for (number, name) in names.iter().enumerate().filter(|(number, _)| number % 3 == 0) {
        b(&site, &["switch", "--", name]);
        assert_eq!(b(&site, &["current", "--json"]).json()["branch"]["name"], **name);
        site.write(&number.to_string());
    }
    b(&site, &["switch", "main"]);
    assert_eq!(site.row(), "one");
    for name in &names {
        b(&site, &["show", "--", name]);
        b(&site, &["delete", "--", name]);
    }
    assert_eq!(site.branches(), ["*main"]);
    for name in &names {
        b(&site, &["undelete", "--", name]);
    }
    assert_eq!(site.branches().len(), names.len() + 1);
    assert!(!canary.exists(), "something in a name was executed");
    site.agrees();
}

#[test]
fn whatever_its_name_a_branch_runs_beside() {
    let mut site = Site::pooled_up(
        "nbeside",
        "services: {db: {IDLE, volumes: ['data:/data', 'files:/files']}}\nvolumes: {data: {}, files: {}}",
        "one",
    );
    let canary = canary(&mut site);
    let names = hostile();
    let chosen = [
        "{{.ID}}",
        "😀",
        "caf\u{e9}",
        "cafe\u{301}",
        "Feature/A",
        "feature/a",
        "007",
        &names[0],
        names.last().unwrap(),
    ];
    let mut environments = std::collections::BTreeSet::new();
    for name in chosen {
        let made = b(&site, &["create", "--start", "--json", "--", name]).json();
        let environment = made["environment"].as_str().unwrap().to_owned();
        let (code, found) = engine("GET", &format!("/containers/{environment}-db-1/json"));
        assert_eq!((code, &found["State"]["Running"]), (200, &true.into()), "{name}: {environment}");
        assert!(environments.insert(environment), "{name} runs in an environment of its own");
        let run = site.run_args(&["--branch", name, "exec", "-T", "db", "cat", "/data/row"]).exits(0);
        assert_eq!(run.out, "one\n");
        b(&site, &["delete", "--", name]);
    }
    assert!(!canary.exists(), "something in a name was executed");
    site.agrees();
}

#[test]
fn what_git_refuses_is_refused_with_the_reason() {
    let site = Site::pooled_up("nbad", FILES, "one");
    for name in [
        "", "a b", "a..b", "a~b", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "/a", "a/", "a//b", ".a", "a/.b",
        "a.lock", "a.", "a@{b", "a\u{7f}", "a\nb", "HEAD",
    ] {
        for words in [&["branch", "create", "--", name][..], &["snapshot", "save", "--", name]] {
            let run = site.run_args(&[&["db"], words].concat()).exits(2);
            run.says(&["cannot be the name of a", "check-ref-format"]);
        }
    }
    site.run_args(&["db", "branch", "create", "--", "-a"]).exits(2).says(&["cannot be the name"]);
    let long = "a".repeat(2000);
    site.run_args(&["db", "branch", "create", &long]).exits(2).says(&["cannot be the name"]);
    assert_eq!(site.branches(), ["*main"]);
    assert!(site.snapshots().is_empty());
}
