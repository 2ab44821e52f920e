//! A folder of its own for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

pub(crate) struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        fs::create_dir(root.path().join("shop")).unwrap();
        Self { root }
    }

    /// The folder that commands are given in.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder().join(path)).unwrap()
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.folder().join(path).exists()
    }

    /// Every file with what is in it.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        fn walk(folder: &Path, top: &Path, files: &mut Vec<(String, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, top, files);
                } else {
                    let name = path.strip_prefix(top).unwrap().display().to_string();
                    files.push((name, fs::read(&path).unwrap()));
                }
            }
        }
        let mut files = Vec::new();
        walk(&self.folder(), &self.folder(), &mut files);
        files.sort();
        files
    }

    /// Runs `devenv` with words split at spaces; gives exit code, stdout and stderr in one text.
    pub(crate) fn devenv(&self, words: &str) -> String {
        let (code, stdout, stderr) = self.parts(words);
        let mut text = format!("exit {code}\n");
        for (name, part) in [("stdout", stdout), ("stderr", stderr)] {
            if !part.is_empty() {
                text.extend(["--- ", name, "\n", part.trim_end(), "\n"]);
            }
        }
        without_counts(&text)
    }

    /// The same in parts.
    pub(crate) fn parts(&self, words: &str) -> (i32, String, String) {
        let root = self.root.path();
        let output = Command::new(cargo_bin!("devenv"))
            .args(words.split_whitespace())
            .current_dir(self.folder())
            .env_clear()
            .env("HOME", root.join("home"))
            .env("TMPDIR", root)
            .env("PATH", "/nowhere")
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let real = root.canonicalize().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(real.to_str().unwrap(), "[ROOT]").replace(root.to_str().unwrap(), "[ROOT]")
        };
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

/// `(64 files)` as `(N files)`: a template may gain a file without a test to change.
fn without_counts(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive(" files)") {
        match part.strip_suffix(" files)").map(|head| head.trim_end_matches(|c: char| c.is_ascii_digit())) {
            Some(head) => out.extend([head, "N files)"]),
            None => out.push_str(part),
        }
    }
    out
}
