//! Whose files are (faults 44): an administrator in somebody's folder, somebody whose folders are an administrator's, a
//! home that cannot be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::site::{IMAGE, Site};

const NOBODY: u32 = 65534;
const STACK: &str = "services: {db: {IDLE, volumes: ['data:/data']}}\nvolumes: {data: {}}\n";

/// Files under a folder that are not a user's.
fn not_of(user: u32, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let there = entry.path().symlink_metadata().unwrap();
        if there.uid() != user {
            found.push(entry.path().display().to_string());
        }
        if there.is_dir() {
            found.extend(not_of(user, &entry.path()));
        }
    }
    found
}

fn give(user: u32, folder: &Path) {
    chown(folder, Some(user), Some(user)).unwrap();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { give(user, &entry) } else { chown(&entry, Some(user), Some(user)).unwrap() }
    }
}

#[test]
fn an_administrator_leaves_nothing_of_his_own_in_a_repository() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut site = Site::pooled("sudo", &format!("{STACK}x-devenv: {{dotenv: true}}\n"));
    for who in ["AUTHOR", "COMMITTER"] {
        site.set(&format!("GIT_{who}_NAME"), "A");
        site.set(&format!("GIT_{who}_EMAIL"), "a@example.com");
    }
    site.file(".gitignore", ".env.local\n");
    fs::write(site.dir().parent().unwrap().join("home/.gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    let git = |words: &str| {
        let done = site.program("git").args(words.split(' ')).output().unwrap();
        assert!(done.status.success(), "git {words}: {}", String::from_utf8_lossy(&done.stderr));
    };
    for words in ["init -q -b main", "add .", "commit -q -m one"] {
        git(words);
    }
    give(NOBODY, &site.dir());
    site.ok("up");
    git("symbolic-ref HEAD refs/heads/feat");
    git("update-ref refs/heads/feat refs/heads/main");
    give(NOBODY, &site.dir().join(".git"));
    site.ok("up");
    site.ok("hooks install");
    site.ok("init --template supabase --name x inside");
    assert!(site.dir().join(".devenv/environment").is_file() && site.dir().join(".env.local").is_file());
    assert!(fs::read_to_string(site.dir().join(".git/config")).unwrap().contains("devenv-id"));
    assert_eq!(not_of(NOBODY, &site.dir()), Vec::<String>::new());
}

#[test]
fn who_owns_what_cannot_be_used_is_told() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let site = Site::pooled("owner", STACK);
    site.ok("up");
    // Everything of it is root's now: its records, as after `sudo devenv`, and the project.
    let home = site.dir().parent().unwrap().join("home");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    let run = site.run_as_nobody("db branch create feat", true).exits(4);
    run.says(&["root", "as the same user each time, without sudo"]);
    // Its own project, and a home that it may not write into.
    give(NOBODY, &site.dir());
    let mut other = Site::with("ownerhome", STACK);
    other.set("DEVENV_POOL", crate::pooled::pool());
    give(NOBODY, &other.dir());
    let run = other.run_as_nobody("db branch create feat", true).exits(4);
    run.says(&["cannot be written; it belongs to user `root`"]);
    assert!(!other.state().exists());
    // What needs no records works all the same.
    other.run_as_nobody("config", true).exits(0).prints(&[IMAGE]);
}
