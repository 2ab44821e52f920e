//! A damaged file is kept, and a fresh one takes its place (faults 64).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use super::*;

/// A folder with some records, closed in order.
async fn filled() -> TempDir {
    let folder = folder();
    let catalogue = open(&folder).await;
    catalogue.settle().await.unwrap();
    catalogue.apply(&all()).await.unwrap();
    let many = (0..300).map(|number| branch(&format!("branch-{number}"), number)).collect();
    catalogue.apply(&Changes { put_branches: many, ..Changes::default() }).await.unwrap();
    catalogue.close().await;
    folder
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("damaged"))
        .collect();
    names.sort();
    names
}

/// What is seen when the file is opened, and the names of what is kept.
async fn seen(folder: &TempDir) -> (Sign, Vec<String>) {
    let opened = Catalogue::open(folder.path()).await.unwrap();
    let damage = opened.repaired.expect("damage was not seen");
    assert!(opened.fresh);
    // Should this command be killed now, the next one knows that the records are still to be made again.
    opened.catalogue.close().await;
    let opened = Catalogue::open(folder.path()).await.unwrap();
    assert!(opened.fresh && opened.repaired.is_none());
    let lineage = Lineage::default().after(&all());
    let lineages = BTreeMap::from([("p1".to_owned(), lineage)]);
    opened.catalogue.replace(&[shop()], &lineages, 5).await.unwrap();
    opened.catalogue.close().await;
    let again = Catalogue::open(folder.path()).await.unwrap();
    assert!(!again.fresh && again.repaired.is_none());
    let again = again.catalogue;
    assert_eq!(again.lineage("p1").await.unwrap().branches.len(), 3);
    again.close().await;
    let kept = damage.kept.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let mut kept: Vec<String> = kept.collect();
    kept.sort();
    (damage.sign, kept)
}

#[tokio::test]
async fn what_can_be_seen_from_outside() {
    type Harm = fn(&Path);
    let harms: [(Harm, Sign); 6] = [
        (|file| fs::write(file, "").unwrap(), Sign::Empty),
        (|file| fs::write(file, "hello\n").unwrap(), corrupt("file is not a database")),
        (|file| fs::write(file, "garbage ".repeat(4096)).unwrap(), corrupt("file is not a database")),
        (|file| fs::write(file, [0; 8192]).unwrap(), corrupt("file is not a database")),
        (cut_in_half, corrupt("database disk image is malformed")),
        (
            |file| {
                // Another program's database.
                let file = OpenOptions::new().write(true).open(file).unwrap();
                file.write_all_at(&[0; 4], 68).unwrap();
            },
            corrupt("it is not a catalogue"),
        ),
    ];
    for (harm, expected) in harms {
        let folder = filled().await;
        let file = folder.path().join("catalogue.db");
        harm(&file);
        let harmed = fs::read(&file).unwrap();
        let (sign, kept) = seen(&folder).await;
        assert_eq!(sign, expected);
        assert_eq!(kept, ["catalogue.db.damaged-1"]);
        assert_eq!(fs::read(folder.path().join("catalogue.db.damaged-1")).unwrap(), harmed);
    }
}

fn corrupt(said: &str) -> Sign {
    Sign::Corrupt(said.to_owned())
}

fn cut_in_half(file: &Path) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / 2).unwrap();
}

#[tokio::test]
async fn a_second_damage_gets_a_number_of_its_own() {
    let folder = filled().await;
    let file = folder.path().join("catalogue.db");
    for _ in 0..2 {
        fs::write(&file, "").unwrap();
        seen(&folder).await;
    }
    assert_eq!(names(&folder), ["catalogue.db.damaged-1", "catalogue.db.damaged-2"]);
}

#[tokio::test]
async fn the_first_pages_are_needed_to_open_it() {
    let folder = filled().await;
    let file = OpenOptions::new().write(true).open(folder.path().join("catalogue.db")).unwrap();
    // The tables' own table, behind the header.
    file.write_all_at(&[0xff; 3000], 100).unwrap();
    let (sign, kept) = seen(&folder).await;
    assert!(matches!(sign, Sign::Corrupt(_)), "{sign:?}");
    assert_eq!(kept, ["catalogue.db.damaged-1"]);
}

#[tokio::test]
async fn every_flipped_page_is_found_when_it_is_read() {
    let folder = filled().await;
    let whole = fs::read(folder.path().join("catalogue.db")).unwrap();
    let expected = open(&folder).await.lineage("p1").await.unwrap();
    let (mut at_once, mut found) = (0, 0);
    for page in 1..whole.len() / 4096 {
        let folder = super::folder();
        let mut harmed = whole.clone();
        for byte in &mut harmed[page * 4096..(page + 1) * 4096] {
            *byte = !*byte;
        }
        fs::write(folder.path().join("catalogue.db"), &harmed).unwrap();
        let opened = Catalogue::open(folder.path()).await.unwrap();
        if let Some(damage) = opened.repaired {
            assert!(matches!(damage.sign, Sign::Corrupt(_)), "page {page}");
            at_once += 1;
            continue;
        }
        match opened.catalogue.lineage("p1").await {
            // An index that reading does not need, or a free page.
            Ok(lineage) => assert_eq!(lineage, expected, "page {page}"),
            Err(error) => {
                assert!(matches!(error, Error::Damaged { .. }), "page {page}: {error:?}");
                assert_eq!(error.kind(), Kind::Storage);
                found += 1;
            }
        }
        let mended = opened.catalogue.mend().await.unwrap();
        assert!(mended.fresh, "page {page}");
        assert!(matches!(mended.repaired.unwrap().sign, Sign::Corrupt(_)), "page {page}");
        assert_eq!(mended.catalogue.lineage("p1").await.unwrap(), Lineage::default());
        assert_eq!(fs::read(folder.path().join("catalogue.db.damaged-1")).unwrap(), harmed);
    }
    assert!(at_once == 1 && found > 5, "{at_once} pages are read at once, {found} for a lineage");
}

#[tokio::test]
async fn a_sound_file_is_left_as_it_is() {
    let folder = filled().await;
    let mended = open(&folder).await.mend().await.unwrap();
    assert!(mended.repaired.is_none() && !mended.fresh);
    assert_eq!(mended.catalogue.lineage("p1").await.unwrap().branches.len(), 303);
    assert_eq!(names(&folder), [""; 0]);
}

#[tokio::test]
async fn the_log_is_missed() {
    // As after a crash: the file, its log and the log's index are there, and somebody tidies up.
    for (lost, expected) in [
        (&["-wal"][..], Some(Sign::LogLost)),
        (&[""], Some(Sign::Missing)),
        (&["", "-shm"], Some(Sign::Missing)),
        (&["", "-wal"], Some(Sign::Missing)),
        (&["-shm"], None),
        // Nothing tells of this one but the pool's manifests.
        (&["-wal", "-shm"], None),
        (&["", "-wal", "-shm"], None),
    ] {
        let folder = folder();
        let catalogue = open(&folder).await;
        catalogue.settle().await.unwrap();
        catalogue.close().await;
        let catalogue = open(&folder).await;
        catalogue.apply(&all()).await.unwrap();
        let crashed = super::folder();
        for end in ["", "-wal", "-shm"].into_iter().filter(|end| !lost.contains(end)) {
            let name = format!("catalogue.db{end}");
            fs::copy(folder.path().join(&name), crashed.path().join(&name)).unwrap();
        }
        match expected {
            Some(expected) => {
                let (sign, kept) = seen(&crashed).await;
                assert_eq!(sign, expected, "{lost:?}");
                assert_eq!(kept.len(), 3 - lost.len());
            }
            None => {
                let opened = Catalogue::open(crashed.path()).await.unwrap();
                assert_eq!(opened.repaired, None, "{lost:?}");
                assert_eq!(opened.fresh, lost.len() == 3);
                let there = opened.catalogue.lineage("p1").await.unwrap();
                assert_eq!(there.branches.is_empty(), lost.contains(&"-wal"), "{lost:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_log_of_garbage_is_no_part_of_it() {
    let folder = filled().await;
    fs::write(folder.path().join("catalogue.db-wal"), "garbage ".repeat(4096)).unwrap();
    assert_eq!(open(&folder).await.lineage("p1").await.unwrap().branches.len(), 303);
}

#[tokio::test]
async fn a_row_that_nobody_wrote_is_damage() {
    let folder = filled().await;
    let catalogue = open(&folder).await;
    let harm =
        "PRAGMA ignore_check_constraints = ON; UPDATE branches SET volumes = '[1' WHERE id = 'main-id'";
    sqlx::raw_sql(harm).execute(&mut *catalogue.connection.lock().await).await.unwrap();
    assert!(matches!(catalogue.lineage("p1").await, Err(Error::Damaged { .. })));
}
