//! `hooks` beside every kind of hook that may be there, and which environment is meant.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

/// A repository with a project in it, and git on the PATH.
struct Repo {
    root: TempDir,
}

impl Repo {
    fn new() -> Self {
        let repo = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["home", "repo"] {
            fs::create_dir(repo.root.path().join(folder)).unwrap();
        }
        repo.write("compose.yaml", "name: shop\nservices: {web: {image: x}}\n");
        repo.git("init -q -b main");
        repo.git("add .");
        repo.git("commit -q -m one");
        repo
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join("repo").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn hook(&self, path: &str, text: &str) {
        self.write(path, text);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, program: impl AsRef<std::ffi::OsStr>, words: &str, more: &[(&str, &str)]) -> Output {
        let mut command = Command::new(program);
        command.args(words.split_whitespace()).current_dir(self.path("")).env_clear();
        command.env("HOME", self.root.path().join("home")).env("TMPDIR", self.root.path());
        command.env("PATH", "/usr/bin:/bin").env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@b");
        }
        command.envs(more.iter().copied()).output().unwrap()
    }

    fn git(&self, words: &str) -> String {
        let output = self.run("git", words, &[]);
        assert!(output.status.success(), "git {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn devenv(&self, words: &str) -> (i32, String) {
        self.devenv_with(words, &[])
    }

    fn devenv_with(&self, words: &str, more: &[(&str, &str)]) -> (i32, String) {
        let output = self.run(cargo_bin!("devenv"), words, more);
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), text)
    }

    /// What the hook's file and its mode are.
    fn state(&self, path: &str) -> Option<(Vec<u8>, u32)> {
        let bytes = fs::read(self.path(path)).ok()?;
        Some((bytes, fs::metadata(self.path(path)).unwrap().permissions().mode()))
    }
}

impl Repo {
    /// Installs twice, looks, and uninstalls: the hook that was there runs meanwhile, and is as it was afterwards.
    #[track_caller]
    fn there_and_back(&self, hook: &str, how: &str) {
        let before = self.state(hook);
        for _ in 0..2 {
            let (code, told) = self.devenv("hooks install");
            assert!(code == 0 && told.contains(how), "{told}");
        }
        let text = fs::read_to_string(self.path(hook)).unwrap();
        assert_eq!(text.matches(">>> devenv >>>").count(), 1, "{text}");
        let runs = |state: &(Vec<u8>, u32)| {
            state.1 & 0o100 != 0 && String::from_utf8_lossy(&state.0).contains("ran")
        };
        self.git("checkout -q -B other");
        self.git("checkout -q main");
        if before.as_ref().is_some_and(runs) {
            assert_eq!(fs::read_to_string(self.path("ran")).unwrap().lines().count(), 2);
        }
        let (code, told) = self.devenv("hooks uninstall");
        assert!(code == 0 && told.contains("not installed"), "{told}");
        assert_eq!(self.state(hook), before, "{hook} is as it was");
        assert!(!self.path(&format!("{hook}.devenv-old")).exists());
    }
}

const HOOK: &str = ".git/hooks/post-checkout";

#[test]
fn where_there_is_no_hook_none_is_left() {
    let repo = Repo::new();
    repo.there_and_back(HOOK, "installed  ");
    assert!(!repo.path(HOOK).exists());
    let (code, told) = repo.devenv("hooks status --json");
    let status: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &status["hooks"][0]["found"]), (0, &"missing".into()));
}

#[test]
fn a_shell_script_goes_on() {
    let repo = Repo::new();
    for script in [
        "#!/bin/sh\necho $3 >> ran\n",
        "#!/usr/bin/env bash\nset -eu\necho $3 >> ran\nexit 0",
        "#!/bin/sh\nexec true\n",
    ] {
        repo.hook(HOOK, script);
        repo.there_and_back(HOOK, "in a hook that was there");
        let _ = fs::remove_file(repo.path("ran"));
    }
}

#[test]
fn another_program_goes_on() {
    let repo = Repo::new();
    repo.hook(HOOK, "#!/usr/bin/perl\nopen(F, '>>', 'ran'); print F \"x\\n\";\n");
    repo.there_and_back(HOOK, "before a hook that was there");
    // One that git passes over stays passed over.
    repo.write(HOOK, "#!/bin/sh\ntouch not-to-be-run\n");
    fs::set_permissions(repo.path(HOOK), fs::Permissions::from_mode(0o644)).unwrap();
    repo.there_and_back(HOOK, "before a hook that was there");
    assert!(!repo.path("not-to-be-run").exists());
    // A link stays a link.
    fs::remove_file(repo.path(HOOK)).unwrap();
    repo.hook("tools/hook", "#!/bin/sh\necho x >> ran\n");
    std::os::unix::fs::symlink("../../tools/hook", repo.path(HOOK)).unwrap();
    let _ = fs::remove_file(repo.path("ran"));
    repo.there_and_back(HOOK, "before a hook that was there");
    assert!(repo.path(HOOK).symlink_metadata().unwrap().is_symlink());
}

#[test]
fn husky_lefthook_and_a_path_of_hooks_go_on() {
    let repo = Repo::new();
    // Husky 9: its own scripts lie in `_`, and run what stands above them.
    repo.git("config core.hooksPath .husky/_");
    repo.hook(
        ".husky/_/post-checkout",
        "#!/usr/bin/env sh\nexec sh -e \"$(dirname \"$0\")/../post-checkout\" \"$@\"\n",
    );
    repo.write(".husky/post-checkout", "echo x >> ran\n");
    let before = repo.state(".husky/_/post-checkout");
    repo.there_and_back(".husky/post-checkout", "husky keeps hooks here too");
    assert_eq!(repo.state(".husky/_/post-checkout"), before);
    repo.git("config core.hooksPath tools/hooks");
    repo.hook("tools/hooks/post-checkout", "#!/bin/sh\necho $1 >> ran\n");
    let _ = fs::remove_file(repo.path("ran"));
    repo.there_and_back("tools/hooks/post-checkout", "in a hook that was there");
    repo.git("config --unset core.hooksPath");
    repo.write("lefthook.yml", "post-checkout: {}\n");
    repo.hook(
        HOOK,
        "#!/bin/sh\n\ncall_lefthook() { echo x >> ran; }\n\ncall_lefthook run \"post-checkout\" \"$@\"\n",
    );
    let _ = fs::remove_file(repo.path("ran"));
    repo.there_and_back(HOOK, "lefthook keeps hooks here too");
}

#[test]
fn a_hook_that_cannot_work_is_not_in_gits_way() {
    let repo = Repo::new();
    repo.devenv("hooks install");
    // The files are wrong, and there is no engine.
    repo.write("compose.yaml", "services: [\n");
    fs::create_dir_all(repo.path(".devenv")).unwrap();
    repo.write(".devenv/environment", "{\"current\":\"main\",\"base\":\"shop\"}");
    repo.git("checkout -q -b feat");
    repo.git("commit -q --allow-empty -m two");
    // devenv is gone.
    for hook in ["post-checkout", "pre-commit"] {
        let path = format!(".git/hooks/{hook}");
        let text = fs::read_to_string(repo.path(&path)).unwrap();
        let gone = text.replace(cargo_bin!("devenv").to_str().unwrap(), "/nowhere/devenv");
        assert_ne!(text, gone);
        fs::write(repo.path(&path), gone).unwrap();
    }
    repo.git("checkout -q main");
    repo.git("commit -q --allow-empty -m three");
}

#[test]
fn which_environment_is_meant_is_told() {
    let repo = Repo::new();
    let meant = |words: &str, more: &[(&str, &str)]| repo.devenv_with(words, more).1.replace('\n', " ");
    assert_eq!(meant("env current", &[]), "main meant by git branch main ");
    repo.git("checkout -q -b feat");
    assert_eq!(meant("env current", &[]), "feat meant by git branch feat ");
    assert_eq!(meant("env current", &[("STAGE", "production")]), "prod meant by STAGE ");
    assert_eq!(meant("env current", &[("NODE_ENV", "development")]), "feat meant by git branch feat ");
    assert_eq!(meant("env current", &[("DEVENV_ENV", "main"), ("STAGE", "x")]), "main meant by DEVENV_ENV ");
    assert_eq!(meant("-e main env current", &[("DEVENV_ENV", "x")]), "main meant by --env ");
    assert_eq!(meant("-p other env current", &[]), "main meant by --project ");
    let (code, told) = repo.devenv("-e mian env current");
    assert!(code == 1 && told.contains("did you mean `main`?"), "{told}");
    let (code, told) = repo.devenv("-e main -b x status");
    assert!(code == 2 && told.contains("cannot be used with"), "{told}");
    let (code, told) = repo.devenv("-e main config");
    assert!(code == 2 && told.contains("takes no --env"), "{told}");
    assert_eq!(repo.devenv_with("check", &[("DEVENV_ENV", "main")]).0, 5);
    assert_eq!(repo.devenv("check").0, 0);
    // Chosen for the folder, whatever is checked out.
    assert_eq!(repo.devenv("env switch main --no-up").0, 0);
    assert_eq!(meant("env current", &[]), "main meant by devenv env switch ");
    repo.devenv("env switch feat --no-up");
    assert_eq!(meant("env current", &[]), "feat meant by git branch feat ");
    repo.git("checkout -q --detach");
    assert_eq!(meant("env current", &[]), "feat meant by as before, HEAD is detached ");
    assert!(!repo.git("status --short").contains(".devenv"));
}

#[test]
fn help_has_examples() {
    let repo = Repo::new();
    for words in ["env", "env create", "env switch", "env export", "hooks", "check", "hook"] {
        let (code, told) = repo.devenv(&format!("{words} --help"));
        assert!(code == 0 && told.contains("Example"), "{words}: {told}");
    }
    assert!(repo.devenv("hook direnv").1.contains("devenv env export"));
}
