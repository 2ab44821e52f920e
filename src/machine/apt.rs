//! Packages of Debian and Ubuntu, and where this machine gets them.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::{MachineError, Programs};

/// Where Debian's packages are when nothing else is said.
pub const DEBIAN: &str = "http://deb.debian.org/debian";

/// Where Debian's security updates are when nothing else is said.
pub const DEBIAN_SECURITY: &str = "http://deb.debian.org/debian-security";

/// How long apt waits for another package manager to finish, in seconds.
const LOCK_WAIT: &str = "DPkg::Lock::Timeout=300";

/// Where packages of Debian come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The address of the archive.
    pub archive: String,
    /// The address of the security updates.
    pub security: String,
}

impl Default for Mirror {
    fn default() -> Self {
        Self { archive: DEBIAN.to_owned(), security: DEBIAN_SECURITY.to_owned() }
    }
}

/// The arguments that install `packages` without questions.
#[must_use]
pub fn install_arguments<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    arguments
}

/// Installs packages, after fetching the package lists where `fetch_lists` says so; every line that apt writes
/// goes to `line`.
///
/// That some lists cannot be had (a third party's archive is down) only matters when the installation fails
/// after it.
pub async fn install(
    programs: &Programs,
    packages: &[&str],
    fetch_lists: bool,
    mut line: impl FnMut(&str),
) -> Result<(), MachineError> {
    let apt = |arguments: &[&str]| {
        let mut command = programs.command("apt-get")?;
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("NEEDRESTART_SUSPEND", "1")
            .args(["--quiet", "--option", LOCK_WAIT])
            .args(["--option", "Dpkg::Options::=--force-confdef"])
            .args(["--option", "Dpkg::Options::=--force-confold"])
            .args(arguments);
        Ok::<_, MachineError>(command)
    };
    let mut missing_lists = Vec::new();
    if fetch_lists && let Err(problem) = programs.follow(apt(&["update"])?, "apt-get update", &mut line).await
    {
        missing_lists.extend(problem.evidence().iter().filter(|line| line.starts_with("E:")).cloned());
    }
    match programs.follow(apt(&install_arguments(packages))?, "apt-get install", &mut line).await {
        Err(MachineError::ProgramFailed { program, status, last }) => {
            missing_lists.extend(last);
            Err(MachineError::ProgramFailed { program, status, last: missing_lists })
        }
        other => other,
    }
}

/// The mirror of Debian that this machine uses itself; none where its sources name none (Ubuntu).
#[must_use]
pub fn mirror_of_this_machine() -> Option<Mirror> {
    let mut texts = vec![std::fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    for file in std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        let path = file.path();
        if matches!(path.extension().and_then(OsStr::to_str), Some("list" | "sources")) {
            texts.push(std::fs::read_to_string(path).unwrap_or_default());
        }
    }
    mirror(&texts)
}

/// The mirror of Debian that apt's source files name.
///
/// An address that carries a name and a password is passed over, because it would end in the image.
fn mirror(texts: &[String]) -> Option<Mirror> {
    let mut archive = None;
    let mut security = None;
    for uri in texts.iter().flat_map(|text| uris(text)) {
        let uri = uri.trim_end_matches('/');
        let usable = (uri.starts_with("http://") || uri.starts_with("https://"))
            && !uri.contains('@')
            && !uri.contains('"');
        if !usable {
            continue;
        }
        match uri.rsplit('/').next() {
            Some("debian-security") => security.get_or_insert_with(|| uri.to_owned()),
            Some("debian") => archive.get_or_insert_with(|| uri.to_owned()),
            _ => continue,
        };
    }
    let archive = archive?;
    // A company's mirror rarely has the one without the other at the same place.
    let beside = archive.strip_suffix("/debian").map(|base| format!("{base}/debian-security"));
    let security = security.or(beside).unwrap_or_else(|| DEBIAN_SECURITY.to_owned());
    Some(Mirror { archive, security })
}

/// The addresses in a source file, in the form of one line each or of paragraphs.
fn uris(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let disabled = paragraph.lines().any(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("enabled:").is_some_and(|value| matches!(value.trim(), "no" | "false" | "0"))
        });
        for line in paragraph.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("deb ") {
                let rest = match rest.trim_start().strip_prefix('[') {
                    Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
                    None => rest,
                };
                found.extend(rest.split_whitespace().next());
            } else if !disabled && line.get(..5).is_some_and(|key| key.eq_ignore_ascii_case("uris:")) {
                found.extend(line[5..].split_whitespace());
            }
        }
    }
    found
}

/// The settings of this machine's apt that another Debian needs to reach the same mirror: proxies, certificates,
/// and how old a list may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Needed only while the packages are fetched; may hold a proxy's password.
    pub passing: Vec<String>,
    /// Needed as long as the mirror is used, so also in the image.
    pub lasting: Vec<String>,
}

/// Asks `apt-config` for the settings that [`Access`] holds.
pub async fn access(programs: &Programs) -> Result<Access, MachineError> {
    Ok(access_of(&programs.output("apt-config", &["dump"], Duration::from_secs(10)).await?))
}

fn access_of(dump: &str) -> Access {
    let mut access = Access::default();
    for line in dump.lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        if value == "\"\";" {
            continue;
        }
        let name = name.to_ascii_lowercase();
        let Some(name) = name.strip_prefix("acquire::") else { continue };
        match name {
            "check-valid-until" | "check-date" | "max-futuretime" => access.lasting.push(line.to_owned()),
            "retries" | "forceipv4" | "forceipv6" => access.passing.push(line.to_owned()),
            _ if name.starts_with("http::") || name.starts_with("https::") => {
                access.passing.push(line.to_owned());
            }
            _ => {}
        }
    }
    access
}

/// Whether this machine has Debian's keys for trixie where mmdebstrap looks for them.
#[must_use]
pub fn has_keys_of_trixie() -> bool {
    [
        "/etc/apt/trusted.gpg.d/debian-archive-trixie-automatic.asc",
        "/etc/apt/trusted.gpg.d/debian-archive-trixie-automatic.gpg",
    ]
    .iter()
    .any(|path| Path::new(path).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_from_both_forms() {
        let one_line = "# deb http://old/debian x main\n\
                        deb [arch=amd64 signed-by=/k] https://mirror.corp/debian/ bookworm main\n\
                        deb-src http://src/debian bookworm main\n\
                        deb https://packages.cloud.google.com/apt cloud-sdk main\n";
        assert_eq!(
            mirror(&[one_line.to_owned()]),
            Some(Mirror {
                archive: "https://mirror.corp/debian".to_owned(),
                security: "https://mirror.corp/debian-security".to_owned(),
            })
        );
        let paragraphs = "Types: deb\n# note\nURIs: http://a/debian\nSuites: bookworm\n\n\
                          Types: deb\nURIs: http://s/debian-security\nSuites: bookworm-security\n";
        assert_eq!(
            mirror(&[paragraphs.to_owned()]),
            Some(Mirror {
                archive: "http://a/debian".to_owned(),
                security: "http://s/debian-security".to_owned(),
            })
        );
    }

    #[test]
    fn no_mirror_with_a_password_and_none_that_is_disabled() {
        assert_eq!(mirror(&["deb http://me:pw@corp/debian x main".to_owned()]), None);
        assert_eq!(mirror(&["Enabled: no\nURIs: http://a/debian".to_owned()]), None);
        assert_eq!(mirror(&["deb http://archive.ubuntu.com/ubuntu noble main".to_owned()]), None);
    }

    #[test]
    fn proxies_pass_and_dates_last() {
        let dump = "APT \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://u:p@proxy:3128\";\n\
                    Acquire::Check-Valid-Until \"false\";\nAcquire::AllowInsecureRepositories \"1\";\n\
                    Acquire::https::CAInfo \"/ca.pem\";\n";
        let access = access_of(dump);
        assert_eq!(
            access.passing,
            ["Acquire::http::Proxy \"http://u:p@proxy:3128\";", "Acquire::https::CAInfo \"/ca.pem\";"]
        );
        assert_eq!(access.lasting, ["Acquire::Check-Valid-Until \"false\";"]);
    }
}
