//! Build script: lists `compose/` and `seeds/` for embedding.
//!
//! `include_dir` would take what a test run leaves behind (`node_modules`), and loses which files are executable.

use std::error::Error;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Never part of what a project is given.
const SKIPPED: [&str; 4] = ["node_modules", "test", "README.md", ".DS_Store"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut files = Vec::new();
    for top in ["compose", "seeds"] {
        walk(&root.join(top), &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for path in files {
        let name = path.strip_prefix(&root)?.to_str().ok_or("a name that is not UTF-8")?;
        let full = path.to_str().ok_or("a folder that is not UTF-8")?;
        let executable = fs::metadata(&path)?.permissions().mode() & 0o100 != 0;
        writeln!(
            table,
            "    File {{ path: {name:?}, bytes: include_bytes!({full:?}), executable: {executable} }},"
        )?;
    }
    table.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("library.rs"), table)?;
    println!("cargo::rerun-if-changed=src/library/build.rs");
    Ok(())
}

/// Collects the files below `folder`; gives whether nothing below it was skipped.
///
/// Cargo looks at all that is below a folder which it watches: one that holds `node_modules` is therefore not
/// watched itself, only its files are, or every `npm ci` would build the whole program again.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<bool, Box<dyn Error>> {
    let mut whole = true;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            whole &= name != "node_modules";
        } else if entry.file_type()?.is_dir() {
            whole &= walk(&entry.path(), files)?;
        } else {
            println!("cargo::rerun-if-changed={}", entry.path().display());
            files.push(entry.path());
        }
    }
    if whole {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    Ok(whole)
}
