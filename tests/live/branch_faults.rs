//! Commands about branches that fail, are killed or are interrupted at each of their steps, and several at once: what
//! was there before is there afterwards, nothing half-made is seen, and the same command again gets there.

use rustix::process::Signal;

use crate::pooled::FILES;
use crate::site::{Run, Site, engine, signal, until};

/// How a step ends a command: with a failure, and as `kill -9` does.
const ENDS: [&str; 2] = ["return", "return(KILL)"];

const CAPTURE: [&str; 3] = ["branch:capture:checkpointed", "branch:capture:paused", "branch:capture:copied"];
const TURN: [&str; 3] = ["branch:switch:stopped", "branch:switch:pointed", "branch:switch:committed"];

/// Runs a command that `step` ends; its exit code, or that it was killed, is as it should be.
#[track_caller]
fn cut(site: &Site, step: &str, end: &str, words: &str) -> Run {
    let run = site.failing(&format!("{step}={end}"), words);
    if end == "return" {
        run.exits(1).says(&[&format!("failpoint {step}")])
    } else {
        assert_eq!(run.code, None, "{step} is no step of: {run}");
        run
    }
}

/// The branches but for the star.
fn names(site: &Site) -> Vec<String> {
    site.branches().iter().map(|name| name.trim_start_matches('*').to_owned()).collect()
}

#[test]
fn create_cut_off_at_any_step() {
    let site = Site::pooled_up("fcreate", FILES, "one");
    site.ok("db branch create first");
    site.ok("db branch switch main");
    let own = ["branch:create:begun", "branch:create:copied"];
    let after = ["branch:create:committed", "branch:switch:begun"];
    for end in ENDS {
        for step in own.iter().chain(&CAPTURE) {
            cut(&site, step, end, "db branch create feat");
            assert_eq!(names(&site), ["main", "first"], "{step}");
            site.ok("db branch create feat");
            assert_eq!(site.branches(), ["main", "first", "*feat"], "{step}");
            back_to_main(&site);
        }
        for step in after.iter().chain(&TURN) {
            cut(&site, step, end, "db branch create feat");
            assert_eq!(names(&site), ["main", "first", "feat"], "{step}");
            // It is there, whole; the refusal says how to go on.
            site.run("db branch create feat").exits(5).says(&["`devenv db branch switch feat`"]);
            site.ok("db branch switch feat");
            assert_eq!(site.branches(), ["main", "first", "*feat"], "{step}");
            back_to_main(&site);
        }
    }
}

/// Wants that `feat` is what `main` is, and takes it away.
fn back_to_main(site: &Site) {
    assert_eq!(site.row(), "one");
    site.write("two");
    site.ok("db branch switch main");
    assert_eq!(site.row(), "one");
    site.ok("db branch delete feat");
    site.agrees();
}

#[test]
fn adoption_cut_off_at_any_step() {
    let steps = ["begun", "stopped", "imported", "bound", "cleared", "removed"];
    std::thread::scope(|scope| {
        for end in ENDS {
            scope.spawn(move || {
                for step in steps {
                    let mut site = Site::pooled("fadopt", FILES);
                    site.set("DEVENV_POOL", "dvt-no-pool");
                    site.ok("up");
                    site.write("one");
                    site.set("DEVENV_POOL", crate::pooled::pool());
                    let step = format!("branch:adopt:{step}");
                    cut(&site, &step, end, "db branch create feat");
                    site.ok("db branch create feat");
                    assert_eq!(site.branches(), ["main", "*feat"], "{step}");
                    assert_eq!(site.row(), "one", "{step}");
                    site.write("two");
                    site.ok("db branch switch main");
                    assert_eq!(site.row(), "one", "{step}");
                    site.is_settled();
                    site.agrees();
                }
            });
        }
    });
}

#[test]
fn an_adoption_cut_off_is_finished_by_up() {
    for step in ["stopped", "imported", "bound", "cleared", "removed"] {
        let mut site = Site::pooled("fadoptup", FILES);
        site.set("DEVENV_POOL", "dvt-no-pool");
        site.ok("up");
        site.write("one");
        site.set("DEVENV_POOL", crate::pooled::pool());
        cut(&site, &format!("branch:adopt:{step}"), "return(KILL)", "db branch create feat");
        site.ok("up");
        assert_eq!(site.row(), "one", "{step}");
        site.is_settled();
    }
}

#[test]
fn switch_cut_off_at_any_step() {
    let site = Site::pooled_up("fswitch", FILES, "one");
    site.ok("db branch create feat");
    site.write("two");
    for end in ENDS {
        for step in ["branch:switch:begun"].iter().chain(&TURN) {
            site.ok("db branch switch main");
            cut(&site, step, end, "db branch switch feat");
            let current: Vec<_> = site.branches().into_iter().filter(|name| name.starts_with('*')).collect();
            assert_eq!(current.len(), 1, "{step}");
            // What is said to be current is what services work on.
            site.ok("up");
            let row = site.row();
            assert_eq!(site.branches().contains(&"*feat".to_owned()), row == "two", "{step}: {row}");
            site.ok("db branch switch feat");
            assert_eq!(site.row(), "two", "{step}");
            site.agrees();
        }
    }
}

#[test]
fn what_was_cut_off_is_told_by_who_only_looks() {
    let site = Site::pooled_up("flook", FILES, "one");
    site.ok("db branch create feat");
    site.ok("db branch switch main");
    site.failing("branch:switch:pointed=return(KILL)", "db branch switch feat");
    site.ok("db branch list").says(&["`branch switch` was cut off", "devenv up"]);
    site.ok("up");
    let after = site.ok("db branch list");
    assert!(!after.err.contains("cut off"), "{after}");
    site.agrees();
}

#[test]
fn a_recovery_cut_off_is_gone_on_with() {
    let site = Site::pooled_up("frecover", FILES, "one");
    site.ok("db branch create feat");
    site.write("two");
    for end in ENDS {
        site.ok("db branch switch main");
        cut(&site, "branch:switch:pointed", "return(KILL)", "db branch switch feat");
        cut(&site, "recover:switch:looked", "return(KILL)", "db branch switch feat");
        cut(&site, "recover:switch:started", end, "db branch switch feat");
        site.ok("db branch switch feat");
        assert_eq!(site.row(), "two");
        site.agrees();
    }
}

#[test]
fn reset_and_restore_cut_off_at_any_step() {
    let site = Site::pooled_up("freset", FILES, "one");
    site.ok("db snapshot save point");
    site.ok("db branch create feat");
    let own = ["branch:reset:begun", "branch:reset:copied", "branch:reset:committed"];
    // Nobody works on the parent, and a snapshot is frozen: nothing is paused.
    for words in ["db branch reset", "db snapshot restore point"] {
        for end in ENDS {
            for step in own.iter().chain(&TURN) {
                site.write("two");
                cut(&site, step, end, words);
                site.ok("up");
                let row = site.row();
                assert!(row == "one" || row == "two", "{step}: {row}");
                site.ok(words);
                assert_eq!(site.row(), "one", "{step}");
                // What it had can be had back.
                let kept = site.snapshots();
                let found = kept.iter().rev().take(2).any(|name| {
                    site.run_args(&["db", "snapshot", "restore", name]).exits(0);
                    site.row() == "two"
                });
                assert!(found, "{step}: {kept:?}");
                site.agrees();
            }
        }
    }
    assert_eq!(site.branches(), ["main", "*feat"]);
    site.ok("db branch switch main");
    assert_eq!(site.row(), "one");
}

#[test]
fn a_reset_of_another_branch_cut_off_at_any_step() {
    let site = Site::pooled_up("fother", FILES, "one");
    site.ok("db branch create other --no-switch");
    site.write("two");
    let own = ["branch:reset:begun", "branch:reset:copied", "branch:reset:committed"];
    for end in ENDS {
        for step in own.iter().chain(&CAPTURE) {
            cut(&site, step, end, "db branch reset other");
            site.ok("db branch reset other");
            assert_eq!(site.row(), "two", "{step}");
            site.agrees();
        }
    }
    site.ok("db branch switch other");
    assert_eq!(site.row(), "two");
}

#[test]
fn a_snapshot_cut_off_at_any_step() {
    let site = Site::pooled_up("fsnap", FILES, "one");
    site.ok("db branch create feat");
    for end in ENDS {
        for step in ["snapshot:save:begun", "snapshot:save:copied"].iter().chain(&CAPTURE) {
            cut(&site, step, end, "db snapshot save point");
            assert!(site.snapshots().is_empty(), "{step}");
            site.ok("db snapshot save point");
            site.ok("db snapshot show point");
            site.ok("db snapshot delete point");
            assert_eq!(site.row(), "one");
            site.agrees();
        }
    }
}

#[test]
fn delete_cut_off_at_any_step() {
    let site = Site::pooled_up("fdelete", FILES, "one");
    for end in ENDS {
        for step in
            ["branch:beside:unpointed", "branch:delete:ended", "describe:applied", "branch:delete:committed"]
        {
            site.ok("db branch create feat --start");
            cut(&site, step, end, "db branch delete feat");
            if names(&site).len() == 2 {
                // Still there, and whole.
                site.ok("--branch feat up");
                site.ok("--branch feat exec -T db cat /data/row").prints(&["one"]);
                site.ok("db branch delete feat");
            }
            assert_eq!(names(&site), ["main"], "{step}");
            site.ok("db branch undelete feat");
            site.ok("db branch delete feat");
            site.agrees();
        }
    }
    assert_eq!(site.row(), "one");
}

#[test]
fn a_start_beside_cut_off_is_made_good() {
    let site = Site::pooled_up("fbeside", FILES, "one");
    for end in ENDS {
        for step in ["branch:beside:pointed", "branch:beside:stands"] {
            cut(&site, step, end, "db branch create feat --start");
            site.ok("--branch feat up");
            site.ok("--branch feat exec -T db cat /data/row").prints(&["one"]);
            site.ok("db branch delete feat");
            cut(&site, step, end, "db branch create feat --start");
            site.ok("db branch delete feat");
            site.agrees();
        }
    }
}

#[test]
fn an_emptying_cut_off_is_made_good() {
    let site = Site::pooled_up("fempty", FILES, "one");
    site.ok("db branch create feat");
    for end in ENDS {
        site.write("two");
        cut(&site, "branch:empty:made", end, "down --volumes --yes");
        site.ok("down --volumes --yes");
        site.ok("up");
        site.run("exec -T db cat /data/row").exits(1);
        let found = site.snapshots().iter().rev().any(|name| {
            site.run_args(&["db", "snapshot", "restore", name]).exits(0);
            site.run("exec -T db cat /data/row").out.trim() == "two"
        });
        assert!(found);
        site.agrees();
    }
    site.ok("db branch switch main");
    assert_eq!(site.row(), "one");
}

#[test]
fn a_change_of_the_records_alone_is_described_in_the_pool() {
    let site = Site::pooled_up("frecord", FILES, "one");
    site.ok("db branch create feat --no-switch");
    site.ok("db snapshot save point");
    for end in ENDS {
        for words in [
            "db branch protect feat",
            "db branch unprotect feat",
            "db branch ttl feat 9d",
            "db snapshot delete point",
            "db snapshot undelete point",
        ] {
            cut(&site, "describe:applied", end, words);
            site.ok("db branch unprotect main");
            site.agrees();
        }
    }
}

#[test]
fn a_sweep_cut_off_is_gone_on_with() {
    let site = Site::pooled_up("fsweep", FILES, "one");
    for end in ENDS {
        for step in ["sweep:begun", "sweep:removed"] {
            site.ok("db branch create feat --no-switch");
            site.ok("db branch delete feat");
            until("it is due", || {
                let due = site.json("gc --dry-run --older 1s --json");
                (!due["decisions"].as_array().unwrap().is_empty()).then_some(())
            });
            cut(&site, step, end, "gc --older 1s --yes");
            site.ok("gc --older 1s --yes");
            let left = site.json("db branch list --deleted --json");
            assert_eq!(left["branches"].as_array().unwrap().len(), 1, "{step}");
            site.agrees();
        }
    }
    assert_eq!(site.row(), "one");
}

#[test]
fn a_signal_ends_a_command_and_leaves_nothing_paused() {
    let site = Site::pooled_up("fsignal", FILES, "one");
    site.ok("db branch create feat");
    site.ok("db branch switch main");
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        for step in CAPTURE.iter().chain(&["branch:create:copied"]) {
            let run = site.failing(&format!("{step}=return({signal})"), "db branch create new");
            run.exits(code).says(&["interrupted", "hint:"]);
            // Without any other command.
            site.nothing_is_paused();
            assert_eq!(site.row(), "one");
            assert_eq!(names(&site), ["main", "feat"]);
            site.agrees_after_the_next("db branch switch main");
        }
        for step in TURN {
            let run = site.failing(&format!("{step}=return({signal})"), "db branch switch feat");
            assert!([Some(0), Some(code)].contains(&run.code), "{step}: {run}");
            site.ok("db branch switch feat");
            assert_eq!(site.row(), "one");
            site.ok("db branch switch main");
        }
    }
    // Nothing has to be waited for.
    site.ok("db branch create new --lock-timeout 1ms");
}

impl Site {
    fn agrees_after_the_next(&self, words: &str) {
        self.ok(words);
        self.agrees();
    }
}

#[test]
fn a_panic_is_told_as_a_failure_with_a_report() {
    let site = Site::pooled_up("fpanic", FILES, "one");
    site.ok("db branch create feat");
    let run = site.failing("branch:capture:paused=panic", "db branch create new").exits(1);
    let path = run.err.split_whitespace().find(|word| word.contains("/crash-")).unwrap();
    let report = std::fs::read_to_string(path).unwrap();
    assert!(report.contains("failpoint branch:capture:paused panic"), "{report}");
    site.ok("db branch create new");
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn a_holder_of_the_lock_that_is_killed_is_in_nobodys_way() {
    let site = Site::pooled_up("flock", FILES, "one");
    site.ok("db branch create feat");
    let mut holder = site.program(env!("CARGO_BIN_EXE_devenv"));
    holder.env("FAILPOINTS", "branch:capture:copied=sleep(600000)");
    let mut holder = holder.args(["db", "branch", "create", "new"]).spawn().unwrap();
    until("it is paused", || site.inventory().contains(&"container P-db-1 paused".to_owned()).then_some(()));
    let run = site.run("db branch create other --lock-timeout 300ms").exits(5);
    run.says(&[&format!("process {}", holder.id()), "db branch create new", "--lock-timeout"]);
    // Looking needs no lock.
    assert_eq!(names(&site), ["main", "feat"]);
    let waiting = site.spawn("db branch create other");
    holder.kill().unwrap();
    holder.wait().unwrap();
    Run::of("db branch create other", waiting).exits(0).says(&["was cut off"]);
    assert_eq!(names(&site), ["main", "feat", "other"]);
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn what_an_old_lock_file_says_is_not_believed() {
    let site = Site::pooled_up("fstale", FILES, "one");
    for entry in std::fs::read_dir(site.locks()).unwrap() {
        // The first process of this machine runs, and has nothing to do with it.
        std::fs::write(entry.unwrap().path(), "process 1: devenv up\n").unwrap();
    }
    site.ok("db branch create feat --lock-timeout 1s");
}

#[test]
fn of_several_that_make_one_name_one_does() {
    let site = Site::pooled_up("fsame", FILES, "one");
    let all: Vec<_> = (0..8).map(|_| site.spawn("db branch create feat")).collect();
    let told: Vec<Run> = all.into_iter().map(|child| Run::of("db branch create feat", child)).collect();
    let codes: Vec<_> = told.iter().map(|run| run.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{told:#?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(5)).count(), 7, "{told:#?}");
    assert_eq!(site.branches(), ["main", "*feat"]);
    assert_eq!(site.row(), "one");
    site.agrees();
}

#[test]
fn several_that_make_different_names_all_do() {
    let site = Site::pooled_up("fmany", FILES, "one");
    let words = |number: i32| format!("db branch create b{number} --no-switch");
    let all: Vec<_> = (0..8).map(|number| site.spawn(&words(number))).collect();
    for child in all {
        Run::of("db branch create", child).exits(0);
    }
    assert_eq!(site.branches().len(), 9);
    site.agrees();
}

#[test]
fn one_project_does_not_wait_for_another() {
    let (a, b) = (Site::pooled_up("fonea", FILES, "one"), Site::pooled_up("foneb", FILES, "one"));
    b.ok("db branch create feat");
    a.ok("down");
    let mut held = b.program(env!("CARGO_BIN_EXE_devenv"));
    held.env("FAILPOINTS", "branch:capture:copied=sleep(600000)");
    let mut held = held.args(["db", "branch", "create", "new"]).spawn().unwrap();
    until("it is paused", || b.inventory().contains(&"container P-db-1 paused".to_owned()).then_some(()));
    a.ok("up --lock-timeout 1s");
    a.ok("db branch create feat --lock-timeout 1s");
    held.kill().unwrap();
    held.wait().unwrap();
    // And both at once.
    let up = a.spawn("up");
    let create = b.spawn("db branch create more");
    Run::of("up", up).exits(0);
    Run::of("db branch create", create).exits(0);
    assert_eq!((a.row(), b.row()), ("one".to_owned(), "one".to_owned()));
    a.agrees();
    b.agrees();
}

#[test]
fn deleting_a_branch_while_another_is_made_of_it() {
    let site = Site::pooled_up("frace", FILES, "one");
    for round in 0..20 {
        site.ok("db branch create source --no-switch");
        let delete = site.spawn("db branch delete source");
        let create = site.spawn("db branch create made --no-switch --from source");
        Run::of("delete", delete).exits(0);
        let create = Run::of("create", create);
        match create.code {
            Some(0) => {
                assert_eq!(names(&site), ["main", "made"], "round {round}");
                site.ok("db branch delete made");
            }
            Some(2) => {
                create.says(&["no such branch", "it was deleted", "undelete source"]);
                assert_eq!(names(&site), ["main"], "round {round}");
            }
            _ => panic!("{create}"),
        }
    }
    site.agrees();
}

// ── folders ─────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_folder_may_be_called_anything() {
    for name in ["with blank", "two\nlines", "ünïcödé 😀", "a'b\"c$(d)"] {
        let site = Site::pooled("fpath", "");
        let folder = site.dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let text = format!("name: {}\n{FILES}", site.name);
        site.file(&format!("{name}/compose.yaml"), &text);
        let inside = |words: &[&str]| {
            let run = site.program(env!("CARGO_BIN_EXE_devenv")).current_dir(&folder).args(words).output();
            Run::new(words.join(" "), &run.unwrap()).exits(0)
        };
        inside(&["up"]);
        inside(&["exec", "-T", "db", "touch", "/data/row"]);
        inside(&["db", "branch", "create", "feat"]);
        inside(&["exec", "-T", "db", "rm", "/data/row"]);
        inside(&["db", "branch", "switch", "main"]);
        inside(&["exec", "-T", "db", "test", "-e", "/data/row"]);
        inside(&["db", "branch", "delete", "feat"]);
        site.agrees();
    }
}

#[test]
fn a_checkout_that_moves_keeps_its_branches() {
    let site = Site::pooled("fmove", "services: {}");
    let text = format!("name: {}\n{FILES}", site.name);
    site.file("here/compose.yaml", &text);
    let at = |folder: &str, words: &str| {
        let folder = site.dir().join(folder);
        let mut command = site.program(env!("CARGO_BIN_EXE_devenv"));
        command.current_dir(folder).args(words.split_whitespace());
        Run::new(words, &command.output().unwrap())
    };
    at("here", "up").exits(0);
    at("here", "exec -T db touch /data/row").exits(0);
    at("here", "db branch create feat").exits(0);
    // By another way.
    std::os::unix::fs::symlink(site.dir().join("here"), site.dir().join("link")).unwrap();
    at("link", "db branch current").exits(0).prints(&["feat"]);
    std::fs::rename(site.dir().join("here"), site.dir().join("there")).unwrap();
    at("there", "db branch current").exits(0).prints(&["feat"]);
    at("there", "db branch switch main").exits(0);
    at("there", "exec -T db test -e /data/row").exits(0);
    // A copy claims to be the same.
    let mut copy = site.program("cp");
    copy.args(["-a", "there", "copy"]).output().unwrap();
    let run = at("copy", "db branch create more").exits(5);
    run.says(&["two checkouts claim", "there", "copy", ".devenv/project", "name:"]);
    at("there", "db branch list").exits(0);
    // With a name of its own it has branches of its own.
    site.file("copy/compose.yaml", &text.replace(&site.name, &format!("{}-copy", site.name)));
    at("copy", "db branch list").exits(0).says(&["is a copy of", "no branches yet"]);
    at("copy", "db branch create more").exits(0);
    at("there", "db branch list").exits(0).prints(&["feat"]);
    at("copy", "down").exits(0);
}

// ── any moment ──────────────────────────────────────────────────────────────────────────────────────────

/// Numbers that look random and are the same in each run (Knuth's linear congruence).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(below).unwrap()).unwrap()
    }
}

/// Kills commands at random moments; afterwards all is as one of them could have left it.
fn soak(test: &str, kills: usize, seed: u64) {
    const MIX: [&str; 12] = [
        "db branch create B",
        "db branch create B --no-switch",
        "db branch create B --start",
        "db branch switch B",
        "db branch switch main",
        "db branch reset B",
        "db branch delete B",
        "db branch undelete B",
        "db snapshot save",
        "up",
        "down",
        "down --volumes --yes",
    ];
    let site = Site::pooled_up(test, FILES, "one");
    site.ok("db branch create keep");
    site.ok("db branch protect keep");
    site.ok("db branch switch main");
    site.ok("db branch protect main");
    let mut numbers = Numbers(seed);
    for round in 0..kills {
        let words = MIX[numbers.next(MIX.len())].replace('B', ["a", "b", "c"][numbers.next(3)]);
        let mut child = site.spawn(&words);
        std::thread::sleep(std::time::Duration::from_millis(numbers.next(700) as u64));
        let _ = child.kill();
        let run = Run::of(&words, child);
        // What comes to an end before it is killed says what it refuses.
        assert!(matches!(run.code, None | Some(0 | 1 | 2 | 5)), "seed {seed}, round {round}: {run}");
    }
    site.ok("db branch switch keep");
    site.ok("up");
    assert_eq!(site.row(), "one", "seed {seed}");
    site.ok("db branch switch main");
    assert_eq!(site.row(), "one", "seed {seed}");
    for branch in names(&site) {
        site.ok(&format!("db branch switch {branch}"));
    }
    site.is_settled();
    site.agrees();
}

#[test]
fn killed_at_any_moment() {
    soak("fsoak", 15, 1);
}

#[test]
#[ignore = "ten minutes: make soak"]
fn soak_of_200_kills() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2);
    println!("SEED={seed}");
    soak("flong", 200, seed);
}

// A signal from outside, at no step in particular.
#[test]
fn ctrl_c_while_the_data_is_copied() {
    let site = Site::pooled_up("fctrlc", FILES, "one");
    site.ok("db branch create feat");
    let mut command = site.program(env!("CARGO_BIN_EXE_devenv"));
    command.env("FAILPOINTS", "branch:capture:paused=sleep(300)");
    let child = command.args(["db", "branch", "create", "new"]).spawn().unwrap();
    until("it is paused", || site.inventory().contains(&"container P-db-1 paused".to_owned()).then_some(()));
    signal(&child, Signal::INT);
    Run::of("db branch create new", child).exits(130);
    site.nothing_is_paused();
    let (code, _) = engine("GET", &format!("/containers/{}-db-1/json", site.name));
    assert_eq!(code, 200);
}
