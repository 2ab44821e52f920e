//! What the engine tells about itself.

use bollard::Docker;
pub use bollard::errors::Error;
use serde::Serialize;

use crate::base::civil::{self, DAY};

/// Facts about an engine that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// The newest API that it speaks, such as `1.41`.
    pub api: String,
    /// Its operating system and architecture, such as `linux/x86_64`.
    pub platform: String,
    /// Where it keeps images and volumes, on its own machine.
    pub root: String,
    /// The version of the control groups that it uses: `1` or `2`.
    pub cgroup_version: Option<String>,
    /// Who makes its control groups: `systemd`, `cgroupfs` or `none`.
    pub cgroup_driver: Option<String>,
    /// Whether it can limit memory and processes.
    pub limits: bool,
    /// How it keeps image layers, such as `overlay2`.
    pub storage: String,
    /// Memory of its machine in bytes.
    pub memory: u64,
    /// Whether it works without root.
    pub rootless: bool,
    /// The proxies that it uses to reach a registry.
    pub proxies: Vec<String>,
    /// The mirrors that it asks before Docker Hub.
    pub mirrors: Vec<String>,
    /// Its clock when it answered, in seconds since 1970.
    pub clock: Option<i64>,
    /// What it warns about itself.
    pub warnings: Vec<String>,
}

/// Asks the engine about itself.
pub async fn facts(engine: &Docker) -> Result<Facts, Error> {
    let (info, version) = tokio::try_join!(engine.info(), engine.version())?;
    let unknown = || "unknown".to_owned();
    let security = info.security_options.unwrap_or_default();
    Ok(Facts {
        version: version.version.unwrap_or_else(unknown),
        api: version.api_version.unwrap_or_else(unknown),
        platform: format!(
            "{}/{}",
            info.os_type.unwrap_or_else(unknown),
            info.architecture.unwrap_or_else(unknown)
        ),
        root: info.docker_root_dir.unwrap_or_default(),
        cgroup_version: info
            .cgroup_version
            .map(|version| version.to_string())
            .filter(|text| !text.is_empty()),
        cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).filter(|text| !text.is_empty()),
        limits: info.memory_limit.unwrap_or(false) && info.pids_limit.unwrap_or(false),
        storage: info.driver.unwrap_or_else(unknown),
        memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        rootless: security.iter().any(|option| option == "name=rootless"),
        proxies: [info.https_proxy, info.http_proxy]
            .into_iter()
            .flatten()
            .filter(|proxy| !proxy.is_empty())
            .collect(),
        mirrors: info.registry_config.and_then(|registry| registry.mirrors).unwrap_or_default(),
        clock: info.system_time.as_deref().and_then(seconds),
        warnings: info.warnings.unwrap_or_default(),
    })
}

/// Seconds since 1970 of a time such as `2026-11-20T06:45:28.9+01:00`.
fn seconds(time: &str) -> Option<i64> {
    let (date, clock) = time.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let at_zone = clock.find(['Z', '+', '-'])?;
    let (clock, zone) = clock.split_at(at_zone);
    let hours = |text: &str| {
        let mut parts = text.splitn(3, ':').map(|part| part.split('.').next()?.parse::<i64>().ok());
        Some(parts.next()?? * 3600 + parts.next()?? * 60 + parts.next().flatten().unwrap_or(0))
    };
    let offset = match zone.split_at_checked(1)? {
        ("+", zone) => hours(zone)?,
        ("-", zone) => -hours(zone)?,
        _ => 0,
    };
    let days = civil::days(year, month, day);
    Some(days * DAY + hours(clock)? - offset)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_in_every_zone() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2026-11-20T06:45:28.909717649Z"), Some(1_795_157_128));
        assert_eq!(seconds("2026-11-20T07:45:28+01:00"), Some(1_795_157_128));
        assert_eq!(seconds("2024-02-29T23:59:59-05:30"), Some(1_709_270_999));
        assert_eq!(seconds("yesterday"), None);
    }
}
