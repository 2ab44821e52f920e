//! What the scanner finds on real schemas whose personal columns are known. The schemas are not part of this project;
//! without them there is nothing to measure, and the test says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::site::Site;
use crate::stacks::POSTGRES;

fn corpus() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .map(|folder| folder.join("shared/corpus/pii"))
        .find(|it| it.join("open.tar.xz").is_file())
}

/// The columns of one sort, in lower case as they are compared.
fn columns(truth: &Value, sort: &str) -> BTreeSet<String> {
    truth[sort].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()).collect()
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "counts of columns are small")]
fn real_schemas_with_a_known_truth() {
    let Some(corpus) = corpus() else {
        println!("skipped: there is no shared/corpus/pii beside the project");
        return;
    };
    let site = Site::up("maskcorpus", POSTGRES);
    let folder = tempfile::tempdir().unwrap();
    let unpacked =
        Command::new("tar").arg("xJf").arg(corpus.join("open.tar.xz")).current_dir(folder.path()).status();
    assert!(unpacked.unwrap().success());
    let truth: Value =
        serde_json::from_slice(&fs::read(folder.path().join("pii-truth.json")).unwrap()).unwrap();
    let (mut right, mut wrong, mut missed, mut seconds, mut total) = (0, 0, 0, 0.0, 0);
    for (name, truth) in truth["datasets"].as_object().unwrap() {
        let database = format!("c_{name}");
        site.run_args(&["psql", "--", "-c", &format!("create database {database}")]).exits(0);
        for file in truth["files"].as_array().unwrap() {
            // Whatever this server's role may not do is no matter: tables and rows are there.
            let sql = fs::read(folder.path().join(file.as_str().unwrap())).unwrap();
            site.run_fed(&["psql", "--", "-q", "-d", &database], &sql);
        }
        let url = site.ok("db url").out;
        let url = format!("{}/{database}", url.trim().rsplit_once('/').unwrap().0);
        let found = site.run_args(&["db", "mask", "scan", "--from", &url, "--json"]).exits(0).json();
        seconds += found["seconds"].as_f64().unwrap();
        total += found["columns"].as_u64().unwrap();
        let flagged: BTreeSet<String> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["tier"] == "personal" || it["tier"] == "secret")
            .map(|it| {
                format!("{}.{}", it["table"].as_str().unwrap(), it["column"].as_str().unwrap()).to_lowercase()
            })
            .collect();
        let must: BTreeSet<String> = &columns(truth, "pii") | &columns(truth, "secret");
        let may: BTreeSet<String> = &columns(truth, "quasi") | &columns(truth, "text");
        let lost: Vec<&String> = must.difference(&flagged).collect();
        let extra: Vec<&String> =
            flagged.iter().filter(|it| !must.contains(*it) && !may.contains(*it)).collect();
        println!("{name}: found {}, missed {lost:?}, too many {extra:?}", must.len() - lost.len());
        right += must.len() - lost.len();
        missed += lost.len();
        wrong += extra.len();
    }
    let (precision, recall) = (right as f64 / (right + wrong) as f64, right as f64 / (right + missed) as f64);
    println!("precision {precision:.3}, recall {recall:.3}; {total} columns in {seconds:.2} s");
    assert!(recall >= 0.95 && precision >= 0.90, "precision {precision:.3}, recall {recall:.3}");
}
