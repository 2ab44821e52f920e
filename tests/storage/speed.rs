//! How long a capture takes, by driver. Not a test of limits: `cargo test --release --test storage -- --ignored
//! --nocapture how_fast` prints a table.

use std::time::Instant;

use super::contract::{Bench, capture};
use super::place::{Place, cluster};
use super::protocol::{Ask, Driver, Outcome};

#[test]
#[ignore = "a measurement"]
fn how_fast() {
    let mib = 1500;
    for driver in [Driver::Btrfs, Driver::Reflink, Driver::Copy] {
        let place = Place::new(driver, 8192);
        let keeper = place.keeper();
        let root = place.root();
        let bench = Bench { root: &root, driver, ask: &|ask| keeper.ask(ask) };
        let db = bench.make("source");
        cluster(&db, mib);
        assert_eq!(keeper.ask(Ask::Sync), Ok(Outcome::Nothing));
        let rounds = if driver == Driver::Copy { 3 } else { 20 };
        let (mut captures, mut removes) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let id = format!("copy-{round}");
            let begin = Instant::now();
            assert_eq!(keeper.ask(capture("source", &id)), Ok(Outcome::Nothing));
            captures.push(begin.elapsed());
        }
        let begin = Instant::now();
        assert!(matches!(keeper.ask(Ask::Sizes { ids: vec!["source".into()] }), Ok(Outcome::Sizes(_))));
        let sizes = begin.elapsed();
        for round in 0..rounds {
            let begin = Instant::now();
            assert_eq!(keeper.ask(Ask::Remove { id: format!("copy-{round}") }), Ok(Outcome::Nothing));
            removes.push(begin.elapsed());
        }
        captures.sort();
        removes.sort();
        println!(
            "{:8} capture median {:?} min {:?} · remove median {:?} · sizes of one {sizes:?}",
            driver.word(),
            captures[captures.len() / 2],
            captures[0],
            removes[removes.len() / 2],
        );
    }
}
