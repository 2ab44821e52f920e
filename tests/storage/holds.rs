//! The contract on real file systems, and what only they can do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use devenv::storage::{Client, StorageError};
use serde_json::json;

use super::contract::{Bench, capture, hold};
use super::place::{Place, run};
use super::protocol::{Ask, Driver, Outcome, Refusal};

fn holds(driver: Driver) {
    let place = Place::new(driver, 400);
    let keeper = place.keeper();
    hold(&Bench { root: &place.root(), driver, ask: &|ask| keeper.ask(ask) });
    assert!(keeper.end());
}

#[test]
fn btrfs_holds_the_contract() {
    holds(Driver::Btrfs);
}

#[test]
fn reflink_on_xfs_holds_the_contract() {
    holds(Driver::Reflink);
}

#[test]
fn copy_holds_the_contract() {
    holds(Driver::Copy);
}

#[test]
fn a_pool_takes_all_of_its_file_and_grows_while_it_is_used() {
    for driver in [Driver::Btrfs, Driver::Reflink] {
        let place = Place::new(driver, 400);
        let keeper = place.keeper();
        let status = keeper.status();
        assert!(status.total > 300 << 20, "{status:?}");
        assert!(status.allocated && !status.read_only && status.image == Some(400 << 20), "{status:?}");
        let root = place.root();
        let bench = Bench { root: &root, driver, ask: &|ask| keeper.ask(ask) };
        let db = bench.make("before");
        fs::write(db.join("file"), "before").unwrap();
        assert_eq!(keeper.ask(Ask::Grow { bytes: 700 << 20 }), Ok(Outcome::Nothing));
        let grown = keeper.status();
        assert!(grown.total >= status.total + (290 << 20), "{grown:?}");
        assert!(grown.allocated && grown.image == Some(700 << 20), "{grown:?}");
        fs::write(db.join("large"), vec![1; 450 << 20]).unwrap();
        assert!(
            matches!(keeper.ask(Ask::Grow { bytes: 1 << 20 }), Err(Refusal::System { .. })),
            "never smaller"
        );
        let too_large = keeper.ask(Ask::Grow { bytes: 1 << 50 });
        assert!(matches!(too_large, Err(Refusal::Full { .. })), "{too_large:?}");
        // The same pool after a restart of the machine, on whatever device.
        assert!(keeper.end());
        place.unmount();
        place.detach();
        let again = place.attach(&[]);
        assert!(!again.created && again.driver == driver);
        assert_eq!(place.attach(&["--uuid", &again.uuid]).device, again.device, "attached once");
        run(
            "mount",
            &["-t", image_type(driver), "-o", options(driver), &again.device, &root.to_string_lossy()],
        );
        let keeper = place.keeper();
        assert_eq!(keeper.status().total, grown.total);
        assert_eq!(fs::read_to_string(root.join("data/before/db/file")).unwrap(), "before");
    }
}

fn image_type(driver: Driver) -> &'static str {
    devenv::storage::image::options(driver).unwrap().0
}

fn options(driver: Driver) -> &'static str {
    devenv::storage::image::options(driver).unwrap().1
}

#[test]
fn two_pools_at_once() {
    for driver in [Driver::Btrfs, Driver::Reflink] {
        let (one, other) = (Place::new(driver, 320), Place::new(driver, 320));
        assert_ne!(one.device, other.device);
        assert_ne!(one.attach(&[]).uuid, other.attach(&[]).uuid);
        let (a, b) = (one.keeper(), other.keeper());
        let make = |id: &str| Ask::Make { id: id.into(), folders: vec!["db".into()], manifest: json!({}) };
        assert_eq!((a.ask(make("a")), b.ask(make("b"))), (Ok(Outcome::Nothing), Ok(Outcome::Nothing)));
        assert!(one.root().join("data/a/db").is_dir() && !one.root().join("data/b").exists());
    }
}

#[test]
fn a_pool_of_256_mib() {
    let place = Place::new(Driver::Btrfs, 256);
    let status = place.keeper().status();
    assert!(status.free > 200 << 20 && status.floor == 64 << 20, "{status:?}");
}

#[test]
fn subvolumes_that_a_container_made_are_not_lost_silently_and_go_with_the_data() {
    let place = Place::new(Driver::Btrfs, 256);
    let keeper = place.keeper();
    let root = place.root();
    let bench = Bench { root: &root, driver: Driver::Btrfs, ask: &|ask| keeper.ask(ask) };
    let db = bench.make("host");
    let inner = db.join("inner");
    run("btrfs", &["-q", "subvolume", "create", &inner.to_string_lossy()]);
    run("btrfs", &["-q", "subvolume", "create", &inner.join("innermost").to_string_lossy()]);
    fs::write(inner.join("innermost/file"), "").unwrap();
    assert!(matches!(keeper.ask(capture("host", "copy")), Err(Refusal::System { .. })));
    bench.remove("host");
    // Made by hand, beside ours: listed, and left alone.
    let by_hand = root.join("data/by-hand");
    run("btrfs", &["-q", "subvolume", "create", &by_hand.to_string_lossy()]);
    assert!(bench.items()[0].manifest.is_none());
    assert!(matches!(keeper.ask(Ask::Remove { id: "by-hand".into() }), Err(Refusal::System { .. })));
}

#[test]
fn an_import_runs_beside_the_keeper() {
    let place = Place::new(Driver::Btrfs, 256);
    let keeper = place.keeper();
    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("file"), vec![1; 5 << 20]).unwrap();
    let mut import = super::place::devenv();
    import.args(["__keeper", "import", "--driver", "btrfs", "--id", "old", "--manifest", "{\"a\":1}"]);
    import.arg("--root").arg(place.root()).arg("--folder").arg(format!("db={}", from.path().display()));
    let output = import.output().unwrap();
    let last = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(last.ends_with("{\"id\":\"import\",\"answer\":{\"done\":\"nothing\"}}\n"), "{output:?}");
    let Ok(Outcome::Items(items)) = keeper.ask(Ask::List) else { panic!() };
    assert_eq!(items[0].manifest, Some(json!({ "a": 1 })));
    assert_eq!(fs::metadata(place.root().join("data/old/db/file")).unwrap().len(), 5 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_ask_one_keeper_at_once() {
    let place = Place::new(Driver::Btrfs, 256);
    let mut serve = tokio::process::Command::from(place.serve());
    serve.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let mut child = serve.spawn().unwrap();
    let client = Client::new(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let client = client.patience(Duration::from_mins(1));
    let make = |id: String| Ask::Make { id, folders: vec!["db".into()], manifest: json!({}) };
    let made = (0..20).map(|n| client.order(make(format!("m{n}")), |_, _| ()));
    for made in futures_util::future::join_all(made).await {
        made.unwrap();
    }
    let captures = (0..20).map(|n| client.order(capture("m0", &format!("c{n}")), |_, _| ()));
    let (captured, status, sizes) = tokio::join!(
        futures_util::future::join_all(captures),
        client.status(),
        client.sizes(vec!["m1".into()])
    );
    assert!(captured.iter().all(Result::is_ok) && status.is_ok() && sizes.unwrap().len() == 1);
    assert_eq!(client.list().await.unwrap().len(), 40);
    assert!(client.live().await.unwrap().is_empty() && client.check().await.unwrap().is_empty());
    // The input ends: what is under way is finished first.
    drop(client);
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap();
    assert!(ended.success());
}

#[tokio::test]
async fn a_keeper_stays_when_its_input_ends_if_it_is_told_to() {
    let place = Place::new(Driver::Copy, 0);
    let mut serve = tokio::process::Command::from(place.serve());
    serve.arg("--stay").stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = serve.kill_on_drop(true).spawn().unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(700), child.wait()).await.is_err(), "it ended");
    run("kill", &["-TERM", &child.id().unwrap().to_string()]);
    assert!(tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap().success());
    let client = Client::new(child.stdout.take().unwrap(), tokio::io::sink());
    assert!(matches!(client.status().await, Err(StorageError::Gone)));
    assert!(Path::new(&place.root()).join("format.json").exists());
}
