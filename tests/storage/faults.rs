//! What must be survived: section D of the catalogue of faults, as far as the pool alone can.

use std::fs;
use std::io::Write;

use devenv::storage::protocol::Item;

use super::contract::{Bench, capture};
use super::place::{Place, run};
use super::protocol::{Ask, Driver, Outcome, Refusal};

/// Case 51, and a copy that does not fit.
#[test]
fn a_full_pool_refuses_and_goes_on_afterwards() {
    for driver in [Driver::Btrfs, Driver::Reflink] {
        let place = Place::new(driver, 320);
        let keeper = place.keeper();
        let root = place.root();
        let bench = Bench { root: &root, driver, ask: &|ask| keeper.ask(ask) };
        let db = bench.make("full");
        let mut file = fs::File::create(db.join("file")).unwrap();
        let piece = vec![1; 1 << 20];
        while keeper.status().free > 60 << 20 {
            (0..8).for_each(|_| file.write_all(&piece).unwrap());
            file.sync_all().unwrap();
        }
        let refused = keeper.ask(capture("full", "copy"));
        assert!(matches!(refused, Err(Refusal::Full { free, needed }) if free < needed), "{refused:?}");
        let forced = Ask::Capture {
            from: "full".into(),
            id: "forced".into(),
            frozen: false,
            force: true,
            manifest: serde_json::json!({}),
        };
        assert_eq!(keeper.ask(forced), Ok(Outcome::Nothing));
        bench.remove("forced");
        // To the last byte: what is there stays readable, what is taken away makes room.
        while file.write_all(&piece).and_then(|()| file.sync_all()).is_ok() {}
        assert!(keeper.status().free < 20 << 20);
        drop(file);
        bench.remove("full");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(40);
        while keeper.status().free < 100 << 20 {
            assert!(std::time::Instant::now() < end, "{:?}", keeper.status());
            let _ = keeper.ask(Ask::Sync);
        }
        bench.make("again");
    }
}

#[test]
fn a_copy_that_finds_no_room_leaves_nothing() {
    // Plain folders on a small disk.
    let place = Place::new(Driver::Copy, 0);
    let root = place.root();
    run("mount", &["-t", "tmpfs", "-o", "size=200m", "tmpfs", &root.to_string_lossy()]);
    let keeper = place.keeper();
    let bench = Bench { root: &root, driver: Driver::Copy, ask: &|ask| keeper.ask(ask) };
    let db = bench.make("db");
    for name in ["one", "two", "three"] {
        fs::write(db.join(name), vec![1; 20 << 20]).unwrap();
    }
    bench.capture("db", "copy");
    let refused = keeper.ask(capture("db", "second"));
    assert!(matches!(refused, Err(Refusal::Full { .. })), "{refused:?}");
    // From elsewhere, sparse until it is looked at more closely: it looks small and is not.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::write(elsewhere.path().join("file"), vec![1; 10 << 20]).unwrap();
    let names: Vec<String> = (0..9).map(|n| format!("v{n}")).collect();
    let folders = names.iter().map(|n| (n.clone(), elsewhere.path().to_string_lossy().into_owned()));
    let import =
        Ask::Import { id: "big".into(), folders: folders.collect(), manifest: serde_json::json!({}) };
    let refused = keeper.ask(import);
    assert!(matches!(refused, Err(Refusal::Full { .. })), "{refused:?}");
    let ids: Vec<_> = bench.items().into_iter().map(|Item { id, .. }| id).collect();
    assert_eq!(ids, ["copy", "db"]);
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(root.join("manifests")).unwrap().count(), 2);
    drop(keeper);
    run("umount", &[&root.to_string_lossy()]);
}

/// Case 57.
#[test]
fn a_pool_that_can_only_be_read_says_so_before_anything_is_done() {
    for driver in [Driver::Btrfs, Driver::Reflink] {
        let place = Place::new(driver, 320);
        let root = place.root();
        let keeper = place.keeper();
        let bench = Bench { root: &root, driver, ask: &|ask| keeper.ask(ask) };
        bench.make("db");
        run("mount", &["-o", "remount,ro", &root.to_string_lossy()]);
        assert!(keeper.status().read_only);
        let remove = Ask::Remove { id: "db".into() };
        let point = Ask::Point { environment: "env".into(), id: "db".into() };
        for ask in [capture("db", "copy"), remove, point, Ask::Grow { bytes: 1 << 30 }] {
            assert_eq!(keeper.ask(ask), Err(Refusal::ReadOnly));
        }
        assert_eq!(bench.items().len(), 1);
        // A keeper that starts there can tell.
        assert!(keeper.end());
        let keeper = place.keeper();
        assert!(keeper.status().read_only);
        drop(keeper);
        run("mount", &["-o", "remount,rw", &root.to_string_lossy()]);
        assert_eq!(place.keeper().ask(capture("db", "copy")), Ok(Outcome::Nothing));
    }
}

/// Case 58.
#[test]
fn a_damaged_file_is_told_and_left_alone() {
    let place = Place::new(Driver::Btrfs, 256);
    let own = place.attach(&[]).uuid;
    let refuses = |arguments: &[&str], words: &str| {
        let output = place.try_attach(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(8) && told.contains(words), "{told}");
    };
    refuses(&["--uuid", "another"], &format!("is the pool {own}, not another"));
    place.unmount();
    place.detach();
    let file = fs::File::options().write(true).open(place.file()).unwrap();
    file.set_len(100 << 20).unwrap();
    refuses(&["--create"], "was cut off: it has 104857600 bytes, and its file system");
    assert_eq!(fs::metadata(place.file()).unwrap().len(), 100 << 20, "nothing was done to it");
    fs::rename(place.file(), place.file().with_extension("moved")).unwrap();
    refuses(&[], "there is no pool at");
    fs::write(place.file(), "").unwrap();
    refuses(&["--create"], "is no pool of devenv");
    assert_eq!(fs::read(place.file()).unwrap(), b"");
}

/// Case 55: the keeper dies between any two steps, or a step fails; the next one finds nothing or the whole.
#[cfg(feature = "failpoints")]
#[test]
fn a_keeper_that_dies_leaves_nothing_or_the_whole() {
    const MAKING: &[&str] = &["before-tmp", "after-tmp", "after-sync", "after-manifest", "after-rename"];
    const AT_ONCE: &[&str] = &["before-manifest", "after-manifest", "after-rename"];
    const REMOVING: &[&str] = &["before-rename", "after-rename", "after-manifest"];
    for driver in [Driver::Btrfs, Driver::Reflink, Driver::Copy] {
        let place = Place::new(driver, 320);
        let root = place.root();
        let capturing = if driver == Driver::Btrfs { AT_ONCE } else { MAKING };
        for (verb, steps) in [("make", MAKING), ("capture", capturing), ("remove", REMOVING)] {
            for step in steps {
                for action in ["return(abort)", "return(told)"] {
                    die(&place, &root, verb, &format!("pool:{verb}:{step}={action}"));
                }
            }
        }
    }
}

#[cfg(feature = "failpoints")]
fn die(place: &Place, root: &std::path::Path, verb: &str, failpoint: &str) {
    let keeper = place.keeper();
    let db = Bench { root, driver: place.driver, ask: &|ask| keeper.ask(ask) }.make("old");
    fs::write(db.join("file"), "content").unwrap();
    assert!(keeper.end());
    let mut serve = place.serve();
    serve.env("FAILPOINTS", failpoint);
    let keeper = super::place::Keeper::start(serve);
    let ask = match verb {
        "make" => Ask::Make {
            id: "new".into(),
            folders: vec!["db".into()],
            manifest: serde_json::json!({ "whole": 1 }),
        },
        "capture" => capture("old", "new"),
        _ => Ask::Remove { id: "old".into() },
    };
    let answer = keeper.try_ask(ask);
    assert_eq!(answer.is_none(), failpoint.contains("abort"), "{failpoint}: {answer:?}");
    drop(keeper);
    let keeper = place.keeper();
    let bench = Bench { root, driver: place.driver, ask: &|ask| keeper.ask(ask) };
    let items = bench.items();
    for Item { id, folders, manifest } in &items {
        assert_eq!(folders, &["db"], "{failpoint}: {id}");
        assert!(manifest.as_ref().is_some_and(serde_json::Value::is_object), "{failpoint}: {id}");
        if verb == "capture" || id == "old" {
            let file = root.join("data").join(id).join("db/file");
            assert_eq!(fs::read_to_string(file).unwrap(), "content", "{failpoint}: {id}");
        }
    }
    let has = |id: &str| items.iter().any(|item| item.id == id);
    assert!(has("old") || verb == "remove", "{failpoint}");
    if let Some(Err(_)) = answer {
        assert!(has("old") && !has("new"), "{failpoint}: it said that nothing was done");
    }
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0, "{failpoint}");
    assert_eq!(fs::read_dir(root.join("manifests")).unwrap().count(), items.len(), "{failpoint}");
    assert_eq!(keeper.ask(Ask::Check), Ok(Outcome::Problems(vec![])), "{failpoint}");
    for item in &items {
        bench.remove(&item.id);
    }
}
