//! An environment in one file and back, and files that are not let in.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::pooled::FILES;
use crate::site::{Run, Site};

const FILE: &str = "one.devenv";

/// Things that a careless copy would lose.
const MADE: &str = "umask 077; mkdir -p /data/deep/er; echo secret > /data/deep/er/file; chown -R 999:998 /data/deep
    ln /data/deep/er/file /data/deep/twin; ln -s /etc/hostname /data/deep/link; mkfifo /data/deep/pipe
    echo run > /data/deep/run; chmod 4750 /data/deep/run; chmod 640 /data/deep/er/file; head -c 3000000 /dev/urandom > /files/large; touch -d @1000000000 /files/large";
const LOOK: &str =
    "cd /data/deep; stat -c '%n %a %u %g %h %F' er run er/file twin link pipe; readlink link; cat twin
    stat -c '%Y %s' /files/large; md5sum < /files/large";

fn shell(site: &Site, environment: &str, script: &str) -> String {
    site.run_args(&["-e", environment, "exec", "-T", "db", "sh", "-c", script]).exits(0).out
}

/// A project with an environment `qa` that has an archive.
fn archived(test: &str) -> (Site, PathBuf) {
    let site = Site::pooled_up(test, FILES, "one");
    site.file(".env", "WORD=hidden\n");
    site.ok("env create qa");
    shell(&site, "qa", MADE);
    shell(&site, "qa", "echo qa > /data/row; echo qa > /files/row");
    let told = site.ok(&format!("env archive qa {FILE}"));
    assert!(told.err.contains("MiB of data in") && !told.err.contains("hidden"), "{told}");
    let file = site.dir().join(FILE);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    (site, file)
}

/// Nothing was made of a file that was not let in.
#[track_caller]
fn nothing_was_made(site: &Site, run: Run, why: &str) {
    run.exits(7).says(&["not let in", why]);
    assert_eq!(site.branches(), ["*main", "qa"]);
    site.agrees();
}

#[test]
fn all_of_it_comes_back_under_another_name_and_in_another_folder() {
    let (site, file) = archived("archive");
    site.run(&format!("env archive qa {FILE}")).exits(5).says(&["already"]);
    let looked = site.json(&format!("env restore {FILE} --dry-run --json"));
    assert_eq!(looked["archive"]["environment"], "qa");
    site.run(&format!("env restore {FILE}")).exits(5).says(&["--as NAME"]);
    let wanted = shell(&site, "qa", LOOK);
    assert!(wanted.contains("run 4750 "), "{wanted}");
    assert!(wanted.contains("er/file 640 999 998 2 regular file"), "{wanted}");
    site.ok(&format!("env restore {FILE} --as again"));
    assert_eq!(shell(&site, "again", LOOK), wanted);
    assert_eq!(shell(&site, "again", "cat /data/row /files/row"), "qa\nqa\n");
    // It is one of its own.
    shell(&site, "again", "echo again > /data/row");
    assert_eq!(shell(&site, "qa", "cat /data/row"), "qa\n");
    site.agrees();

    // Elsewhere, where there is nothing but the file.
    let other = Site::pooled("archother", "services: {}");
    fs::remove_file(other.dir().join("compose.yaml")).unwrap();
    fs::copy(&file, other.dir().join(FILE)).unwrap();
    let restored = other.ok(&format!("env restore {FILE}"));
    restored.says(&["written: compose.yaml", "written: .env", "environment qa is restored"]);
    assert_eq!(shell(&other, "qa", LOOK), wanted);
    assert_eq!(fs::metadata(other.dir().join(".env")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(other.dir().join("compose.yaml")).unwrap(),
        fs::read_to_string(site.dir().join("compose.yaml")).unwrap()
    );
    other.agrees();
    // The default environment has no data yet, so that it can be restored too.
    site.ok("env archive main main.devenv");
    let third = Site::pooled("archmain", FILES);
    fs::copy(site.dir().join("main.devenv"), third.dir().join("main.devenv")).unwrap();
    third.ok("env restore main.devenv").says(&["environment main is restored"]);
    assert_eq!(third.row(), "one");
    third.run("env restore main.devenv").exits(5).says(&["has data already"]);
    third.agrees();
}

/// The archive's tar, changed.
fn forged(file: &Path, to: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(file).unwrap()).read_to_end(&mut tar).unwrap();
    let mut out = flate2::write::GzEncoder::new(fs::File::create(to).unwrap(), flate2::Compression::fast());
    out.write_all(&change(tar)).unwrap();
    out.finish().unwrap();
}

/// Where a text stands in bytes.
fn find(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

/// A tar with one more entry before the end.
fn with_entry(tar: &[u8], path: &str, kind: tar::EntryType, target: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Archive::new(tar);
    let mut out = tar::Builder::new(Vec::new());
    let mut added = false;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes().starts_with(b"devenv/seal") && !added {
            added = true;
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            // Written as it is: the library would refuse it.
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_cksum();
            out.append(&header, content).unwrap();
        }
        let mut header = entry.header().clone();
        let path = entry.path().unwrap().into_owned();
        match entry.link_name().unwrap() {
            Some(target) => out.append_link(&mut header, path, target).unwrap(),
            None => out.append_data(&mut header, path, &mut entry).unwrap(),
        }
    }
    out.into_inner().unwrap()
}

#[test]
fn what_was_damaged_or_forged_is_not_let_in() {
    use tar::EntryType;
    let (site, file) = archived("archbad");
    let bad = site.dir().join("bad.devenv");
    let try_it = || site.run("env restore bad.devenv --as bad");
    let bytes = fs::read(&file).unwrap();
    for length in [bytes.len() / 2, bytes.len() - 9, 100, 0] {
        fs::write(&bad, &bytes[..length]).unwrap();
        let run = try_it();
        assert!(
            ["damaged or cut off", "no archive of devenv"].iter().any(|why| run.err.contains(why)),
            "{run}"
        );
        nothing_was_made(&site, run, "not let in");
    }
    // One byte of one file, in a file that is whole otherwise.
    forged(&file, &bad, |mut tar| {
        let at = find(&tar, "secret\n");
        tar[at] = b'S';
        tar
    });
    nothing_was_made(&site, try_it(), "its checksum is wrong");
    for (path, kind, target, why) in [
        ("data/db/../../../etc/x", EntryType::Regular, "", "leads out of its place"),
        ("/etc/x", EntryType::Regular, "", "leads out of its place"),
        ("data/data/deep/link/x", EntryType::Regular, "", "leads out of its place"),
        ("data/data/hard", EntryType::Link, "/etc/shadow", "is a link to"),
        ("data/data/device", EntryType::Block, "", "is a device"),
        ("data/other/x", EntryType::Regular, "", "does not name"),
        ("devenv/files/../x", EntryType::Regular, "", "leads out of its place"),
    ] {
        forged(&file, &bad, |tar| with_entry(&tar, path, kind, target, b""));
        nothing_was_made(&site, try_it(), why);
    }
    fs::write(&bad, "no archive").unwrap();
    nothing_was_made(&site, try_it(), "no archive of devenv");
    site.run("env restore missing.devenv").exits(1).says(&["cannot be read"]);
}

#[cfg(feature = "failpoints")]
#[test]
fn cut_off_at_any_step() {
    let (site, _) = archived("archcut");
    for end in ["return", "return(KILL)"] {
        let run = site.failing(&format!("env:archive:frozen={end}"), "env archive qa cut.devenv");
        assert_ne!(run.code, Some(0), "{run}");
        assert!(!site.dir().join("cut.devenv").exists());
        site.ok("env archive qa cut.devenv");
        fs::remove_file(site.dir().join("cut.devenv")).unwrap();
        for step in ["begun", "made", "unpacked", "committed"] {
            let name = format!("{step}{}", end.len());
            let words = format!("env restore {FILE} --as {name} --no-up");
            let run = site.failing(&format!("env:restore:{step}={end}"), &words);
            assert_ne!(run.code, Some(0), "{step} is no step of: {run}");
            site.ok(&words);
            site.agrees();
            site.ok(&format!("-e {name} up"));
            assert_eq!(shell(&site, &name, "cat /data/row"), "qa\n", "{step}");
            site.ok(&format!("env destroy {name} --yes"));
        }
    }
}
