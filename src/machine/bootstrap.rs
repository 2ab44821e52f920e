//! The file system of the base image, made from Debian's packages where no registry answers.
//!
//! `mmdebstrap` writes it as a tar stream that goes straight into the engine. It is what `debian:trixie-slim`
//! is, with `ca-certificates`: no package lists, no caches, no manual pages, no trace of this machine's proxy,
//! name server or host name. The suite is trixie whatever the machine runs.
//!
//! `keys/` holds Debian's public archive keys for trixie, as the package debian-archive-keyring ships them, for
//! machines whose own keyring is older than trixie.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use tokio_util::io::ReaderStream;

use super::apt::{Access, Mirror};
use super::program::{Last, cannot_run, lines};
use super::{MachineError, Programs};

/// The packages that make a base image on this machine.
pub const PACKAGES: [&str; 2] = ["mmdebstrap", "debian-archive-keyring"];

/// The release of Debian that every image stands on.
pub const SUITE: &str = "trixie";

/// Debian's keys: of the archive, of its security updates, and of the stable releases.
const KEYS: [(&str, &str); 3] = [
    ("debian-archive-trixie-automatic.asc", include_str!("keys/debian-archive-trixie-automatic.asc")),
    (
        "debian-archive-trixie-security-automatic.asc",
        include_str!("keys/debian-archive-trixie-security-automatic.asc"),
    ),
    ("debian-archive-trixie-stable.asc", include_str!("keys/debian-archive-trixie-stable.asc")),
];

/// What debuerreotype does for the official image: nothing that apt can fetch again stays in a layer.
const APT_SETTINGS: &str = r#"// Image layers stay small: what apt can fetch again is not kept.
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
"#;

/// What the slim image leaves out of every package.
const LEFT_OUT: [&str; 8] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/linda/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-include=/usr/share/locale/locale.alias",
];

/// Removes what is of this machine. `$1` is the new root; the text is fixed, nothing is put into it.
const CLEAN: &str = r#"--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/resolv.conf" "$1/etc/hostname" && rm -rf "$1"/var/cache/apt/* "$1/var/cache/debconf/templates.dat-old" "$1/var/log/apt" "$1/var/log/dpkg.log" "$1/var/log/alternatives.log" "$1/var/log/bootstrap.log""#;

/// A base file system that is being made.
#[derive(Debug)]
pub struct RootFs {
    child: tokio::process::Child,
    /// Files that mmdebstrap reads; gone when this is dropped.
    files: Files,
    outcome: Outcome,
}

/// How the making ended; the stream itself can only carry an I/O error, which the engine's answer hides.
#[derive(Debug, Clone, Default)]
pub struct Outcome(Arc<Mutex<Ended>>);

#[derive(Debug, Default)]
struct Ended {
    last: Last,
    failed: Option<ExitStatus>,
}

impl Outcome {
    fn with<T>(&self, change: impl FnOnce(&mut Ended) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The failure of mmdebstrap, with the last lines that it wrote; none while it works and when it succeeded.
    #[must_use]
    pub fn failure(&self) -> Option<MachineError> {
        self.with(|ended| {
            let program = "mmdebstrap".to_owned();
            let status = ended.failed?.code();
            Some(MachineError::ProgramFailed { program, status, last: ended.last.take() })
        })
    }
}

/// A directory of ours that is removed again.
#[derive(Debug)]
struct Files(PathBuf);

impl Files {
    fn write() -> Result<Self, MachineError> {
        let at = |path: PathBuf| move |source| MachineError::Io { doing: "cannot write", path, source };
        let dir = PathBuf::from(format!("/var/tmp/devenv-bootstrap-{}", std::process::id()));
        let keys = dir.join("keys");
        match std::fs::remove_dir_all(&dir) {
            Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => {
                return Err(at(dir)(problem));
            }
            _ => {}
        }
        std::fs::create_dir(&dir).map_err(at(dir.clone()))?;
        let files = Self(dir);
        std::fs::create_dir(&keys).map_err(at(keys.clone()))?;
        for (name, text) in KEYS {
            std::fs::write(keys.join(name), text).map_err(at(keys.join(name)))?;
        }
        Ok(files)
    }

    fn settings(&self, access: &Access) -> Result<PathBuf, MachineError> {
        let path = self.0.join("apt.conf");
        let text = format!("{APT_SETTINGS}{}\n", access.lasting.join("\n"));
        std::fs::write(&path, text).map_err(|source| MachineError::Io {
            doing: "cannot write",
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The arguments of mmdebstrap, without the files that exist only while it runs.
#[must_use]
pub fn arguments(access: &Access) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["--variant=minbase", "--include=ca-certificates", "--format=tar"].map(str::to_owned).to_vec();
    arguments.extend(access.passing.iter().chain(&access.lasting).map(|line| format!("--aptopt={line}")));
    arguments.extend(LEFT_OUT.iter().map(|rule| format!("--dpkgopt={rule}")));
    arguments
}

/// Where the packages come from, after the suite and the output.
#[must_use]
pub fn sources(mirror: &Mirror) -> [String; 3] {
    [
        format!("deb {} {SUITE} main", mirror.archive),
        format!("deb {} {SUITE}-updates main", mirror.archive),
        format!("deb {} {SUITE}-security main", mirror.security),
    ]
}

impl RootFs {
    /// Starts to make the file system. `own_keys` uses the keys that we carry instead of the machine's.
    ///
    /// Every line that mmdebstrap says goes to `line`.
    pub fn start(
        programs: &Programs,
        mirror: &Mirror,
        access: &Access,
        own_keys: bool,
        line: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, MachineError> {
        let files = Files::write()?;
        let settings = files.settings(access)?;
        let mut command = programs.command("mmdebstrap")?;
        command.env("TMPDIR", "/var/tmp").args(arguments(access));
        if own_keys {
            command.arg(format!("--keyring={}", files.0.join("keys").display()));
        }
        command
            .arg(format!("--customize-hook=upload {} /etc/apt/apt.conf.d/docker-clean", settings.display()))
            .arg(CLEAN)
            .args([SUITE, "-"])
            .args(sources(mirror))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(false);
        let mut child = command.spawn().map_err(|source| cannot_run("mmdebstrap", source))?;
        let outcome = Outcome::default();
        if let Some(err) = child.stderr.take() {
            let (tell, mut told) = tokio::sync::mpsc::channel(64);
            tokio::spawn(lines(err, tell));
            let outcome = outcome.clone();
            tokio::spawn(async move {
                while let Some(text) = told.recv().await {
                    line(&text);
                    outcome.with(|ended| ended.last.push(text));
                }
            });
        }
        Ok(Self { child, files, outcome })
    }

    /// What can be asked when the stream is gone.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }

    /// The file system as a tar stream. It ends with an error unless mmdebstrap succeeded, so that an engine
    /// that reads it never keeps half an image.
    pub fn stream(mut self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        async_stream::stream! {
            if let Some(out) = self.child.stdout.take() {
                for await piece in ReaderStream::with_capacity(out, 256 * 1024) {
                    yield piece;
                }
            }
            match self.child.wait().await {
                Ok(status) if status.success() => {}
                Ok(status) => {
                    self.outcome.with(|ended| ended.failed = Some(status));
                    yield Err(std::io::Error::other("mmdebstrap failed"));
                }
                Err(problem) => yield Err(problem),
            }
            drop(self.files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_trixie_from_the_given_mirror() {
        let mirror = Mirror { archive: "http://m/debian".to_owned(), security: "http://m/sec".to_owned() };
        assert_eq!(
            sources(&mirror),
            [
                "deb http://m/debian trixie main",
                "deb http://m/debian trixie-updates main",
                "deb http://m/sec trixie-security main"
            ]
        );
        let access = Access { passing: vec!["P \"1\";".to_owned()], lasting: vec!["L \"1\";".to_owned()] };
        let arguments = arguments(&access);
        assert!(arguments.contains(&"--aptopt=P \"1\";".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"--aptopt=L \"1\";".to_owned()), "{arguments:?}");
    }

    #[test]
    fn the_keys_are_public_and_whole() {
        for (name, text) in KEYS {
            assert!(text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{name}");
            assert!(text.trim_end().ends_with("-----END PGP PUBLIC KEY BLOCK-----"), "{name}");
        }
    }
}
