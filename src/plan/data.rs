//! Which data of a project a branch holds: all its named volumes that hold state, and what it cannot hold and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::project::{Project, Service};

/// The data of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// The volumes that belong to a branch: the engine's name of each by its key in the compose file.
    pub volumes: BTreeMap<String, String>,
    /// Volumes that do not, and why.
    pub left_out: Vec<LeftOut>,
    /// Databases whose data lies where no branch can hold it, and where that is.
    pub unheld: Vec<Unheld>,
}

/// A volume that no branch holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its key in the compose file.
    pub volume: String,
    /// Why.
    pub why: Why,
}

/// Why a volume belongs to no branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// `x-devenv.branches.leave_out` names it.
    Asked,
    /// It is made and kept by somebody else (`external: true`).
    External,
    /// It lies where its driver puts it.
    Driver,
}

/// A database with data outside of named volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheld {
    /// The service.
    pub service: String,
    /// The host's folder that it is bound to; none for an anonymous volume or the container's own layer.
    pub bind: Option<String>,
}

/// What `x-devenv.branches.leave_out` names.
#[must_use]
pub fn asked_out(project: &Project) -> BTreeSet<String> {
    let list =
        project.extensions.get("x-devenv").and_then(|own| own.get("branches")?.get("leave_out")?.as_array());
    list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Sorts the volumes of a project.
#[must_use]
pub fn data(project: &Project) -> Data {
    let asked = asked_out(project);
    let mut data = Data::default();
    let used: BTreeSet<&String> = project
        .services
        .values()
        .flat_map(|service| &service.volumes)
        .filter(|mount| mount.kind == "volume" && !mount.source.is_empty() && !mount.read_only)
        .map(|mount| &mount.source)
        .collect();
    for (key, volume) in &project.volumes {
        if !used.contains(key) {
            continue;
        }
        let plain = (volume.driver.is_empty() || volume.driver == "local") && volume.driver_opts.is_empty();
        let why = match () {
            () if asked.contains(key) => Some(Why::Asked),
            () if volume.external => Some(Why::External),
            () if !plain => Some(Why::Driver),
            () => None,
        };
        match why {
            Some(why) => data.left_out.push(LeftOut { volume: key.clone(), why }),
            None => {
                data.volumes.insert(key.clone(), volume.name.clone());
            }
        }
    }
    data.unheld = project.services.iter().filter_map(|(name, service)| unheld(name, service)).collect();
    data
}

/// Where the well-known images keep their data, for what would be missed most if a branch lacked it.
const DATABASES: [(&str, &str); 7] = [
    ("postgres", "/var/lib/postgresql"),
    ("postgis", "/var/lib/postgresql"),
    ("pgvector", "/var/lib/postgresql"),
    ("timescaledb", "/var/lib/postgresql"),
    ("mysql", "/var/lib/mysql"),
    ("mariadb", "/var/lib/mysql"),
    ("mongo", "/data/db"),
];

fn unheld(name: &str, service: &Service) -> Option<Unheld> {
    let image = service.image.rsplit('/').next().unwrap_or_default();
    let image = image.split([':', '@']).next().unwrap_or_default();
    let home = DATABASES.iter().find(|(known, _)| *known == image)?.1;
    let mounts = || {
        service
            .volumes
            .iter()
            .filter(|mount| mount.target.starts_with(home) || home.starts_with(&mount.target))
    };
    if mounts().any(|mount| mount.kind == "volume" && !mount.source.is_empty()) {
        return None;
    }
    let bind = mounts().find(|mount| mount.kind == "bind").map(|mount| mount.source.clone());
    // In memory there is nothing to keep.
    let memory = mounts().any(|mount| mount.kind == "tmpfs")
        || service.tmpfs.iter().any(|path| path.starts_with(home));
    (!memory).then(|| Unheld { service: name.to_owned(), bind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::project::{Mount, Volume};

    fn mount(kind: &str, source: &str, target: &str) -> Mount {
        Mount { kind: kind.into(), source: source.into(), target: target.into(), ..Mount::default() }
    }

    fn volume(name: &str) -> Volume {
        Volume { name: name.into(), ..Volume::default() }
    }

    #[test]
    fn named_volumes_in_use_belong_to_a_branch() {
        let mut project = Project::default();
        let volumes = vec![
            mount("volume", "db", "/a"),
            mount("volume", "cache", "/b"),
            mount("volume", "shared", "/c"),
            mount("volume", "nfs", "/d"),
        ];
        project.services.insert("app".into(), Service { volumes, ..Service::default() });
        project.volumes.insert("db".into(), volume("shop_db"));
        project.volumes.insert("cache".into(), volume("shop_cache"));
        project.volumes.insert("unused".into(), volume("shop_unused"));
        project.volumes.insert("shared".into(), Volume { external: true, ..volume("shared") });
        let driver_opts = [("type".to_owned(), "nfs".to_owned())].into();
        project.volumes.insert("nfs".into(), Volume { driver_opts, ..volume("shop_nfs") });
        let own = serde_json::json!({ "branches": { "leave_out": ["cache"] } });
        project.extensions.insert("x-devenv".into(), own);
        let data = data(&project);
        assert_eq!(data.volumes.keys().collect::<Vec<_>>(), ["db"]);
        let out: Vec<(&str, Why)> = data.left_out.iter().map(|out| (out.volume.as_str(), out.why)).collect();
        assert_eq!(out, [("cache", Why::Asked), ("nfs", Why::Driver), ("shared", Why::External)]);
    }

    #[test]
    fn a_database_outside_of_volumes_is_noticed() {
        let service =
            |image: &str, volumes: Vec<Mount>| Service { image: image.into(), volumes, ..Service::default() };
        let at = "/var/lib/postgresql/data";
        assert_eq!(unheld("db", &service("postgres:17", vec![mount("volume", "db", at)])), None);
        assert_eq!(
            unheld("db", &service("registry:5000/postgres@sha256:1", vec![mount("tmpfs", "", at)])),
            None
        );
        assert_eq!(unheld("db", &service("node:22", Vec::new())), None);
        let bound = unheld("db", &service("postgres:17", vec![mount("bind", "/srv/pg", at)])).unwrap();
        assert_eq!(bound.bind.as_deref(), Some("/srv/pg"));
        assert_eq!(
            unheld("db", &service("postgis/postgis", vec![mount("volume", "", at)])).unwrap().bind,
            None
        );
    }
}
