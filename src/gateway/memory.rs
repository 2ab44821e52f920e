//! What the gateway remembers beside what the engine knows. It is kept in a small file of its own, so that no restart
//! and no kill forgets anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::Place;

/// The file's name in the gateway's volume.
pub const FILE: &str = "memory.json";

/// How long an environment may be without traffic before it is put to sleep, in seconds.
pub const IDLE: u64 = 4 * 3600;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The port that HTTP was served on, which is tried first the next time.
    pub http_port: Option<u16>,
    /// The port that HTTPS was served on.
    pub https_port: Option<u16>,
    /// The current environment of each project.
    pub current: BTreeMap<String, String>,
    /// The branch of the data that an environment works on.
    pub branches: BTreeMap<Place, String>,
    /// Ports of this machine that lead to a service of a project's current environment.
    pub ports: BTreeMap<u16, Fixed>,
    /// What puts environments to sleep.
    pub idle: Idle,
    /// Environments that the gateway put to sleep.
    pub asleep: BTreeMap<Place, Asleep>,
    /// Containers that somebody stopped, by id.
    pub stopped: BTreeSet<String>,
}

/// Where a port of this machine leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed {
    /// The project, as a label.
    pub project: String,
    /// The service.
    pub service: String,
    /// The container's port.
    pub container_port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether the project's compose file says so, which may say otherwise the next time.
    #[serde(default)]
    pub declared: bool,
}

impl Fixed {
    /// Whether it leads to the same, whoever said so.
    #[must_use]
    pub fn leads_as(&self, other: &Self) -> bool {
        (&self.project, &self.service, self.container_port, self.protocol)
            == (&other.project, &other.service, other.container_port, other.protocol)
    }
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// Anything.
    Tcp,
    /// PostgreSQL's, version 3.
    Postgres,
}

/// After how long without traffic environments are put to sleep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Idle {
    /// For all that devenv made and nothing else is said of; none for [`IDLE`].
    pub usual: Option<Span>,
    /// For a project.
    pub projects: BTreeMap<String, Span>,
    /// For one environment.
    pub places: BTreeMap<Place, Span>,
    /// For a project, by its compose file.
    pub declared: BTreeMap<String, Span>,
}

/// A span without traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Stays awake.
    Never,
    /// So many seconds.
    Seconds(u64),
}

impl Idle {
    /// What was said of an environment or its project, nearest first, and what its file says last; none when nothing
    /// was.
    #[must_use]
    pub fn said(&self, place: &Place) -> Option<Span> {
        let of = |map: &BTreeMap<String, Span>| map.get(&place.project).copied();
        self.places.get(place).copied().or_else(|| of(&self.projects)).or_else(|| of(&self.declared))
    }

    /// What holds for all of which nothing was said.
    #[must_use]
    pub fn usual(&self) -> Span {
        self.usual.unwrap_or(Span::Seconds(IDLE))
    }
}

impl Memory {
    /// Takes what a project's compose file says, in the place of what it said before. Gives the ports that lead to
    /// something else already, which they go on doing, and where to.
    pub fn declare(
        &mut self,
        project: &str,
        idle: Option<Span>,
        ports: BTreeMap<u16, Fixed>,
    ) -> BTreeMap<u16, Fixed> {
        match idle {
            Some(idle) => drop(self.idle.declared.insert(project.to_owned(), idle)),
            None => drop(self.idle.declared.remove(project)),
        }
        self.ports.retain(|_, fixed| !fixed.declared || fixed.project != project);
        let mut taken = BTreeMap::new();
        for (port, leads) in ports {
            match self.ports.get(&port) {
                Some(other) if !other.leads_as(&leads) => drop(taken.insert(port, other.clone())),
                Some(_) => {}
                None => drop(self.ports.insert(port, Fixed { declared: true, ..leads })),
            }
        }
        taken
    }

    /// Nothing is remembered of a place any more.
    pub fn forget(&mut self, place: &Place) {
        self.current.retain(|project, current| *project != place.project || *current != place.environment);
        self.branches.remove(place);
        self.idle.places.remove(place);
        self.asleep.remove(place);
    }
}

/// An environment that was put to sleep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asleep {
    /// The containers that ran then, by id; what wakes it starts these.
    pub containers: BTreeSet<String>,
}

impl Memory {
    /// Reads it from its folder. What cannot be understood is kept beside, and forgotten: the gateway has to serve.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        serde_json::from_str(&text).or_else(|_| {
            fs::rename(&path, folder.join("memory.damaged.json"))?;
            Ok(Self::default())
        })
    }

    /// Writes it: the file is the old one or the new one at any moment.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        write(folder, FILE, self)
    }
}

/// Writes a file that nobody else may read: it is the old one or the new one at any moment.
pub(super) fn write(folder: &Path, name: &str, content: &impl Serialize) -> io::Result<()> {
    let (path, beside) = (folder.join(name), folder.join(format!("{name}.new")));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Memory::load(folder.path()).unwrap(), Memory::default());
        let mut memory = Memory { http_port: Some(8080), ..Memory::default() };
        memory.current.insert("shop".to_owned(), "feat".to_owned());
        let fixed = Fixed {
            project: "shop".to_owned(),
            service: "db".to_owned(),
            container_port: 5432,
            protocol: Protocol::Postgres,
            declared: false,
        };
        memory.ports.insert(5432, fixed);
        memory.asleep.insert(Place::new("shop", "feat"), Asleep { containers: ["a".to_owned()].into() });
        memory.idle.places.insert(Place::new("shop", "main"), Span::Never);
        memory.idle.usual = Some(Span::Seconds(5));
        memory.save(folder.path()).unwrap();
        assert_eq!(Memory::load(folder.path()).unwrap(), memory);
        assert_eq!(memory.idle.said(&Place::new("shop", "main")), Some(Span::Never));
        assert_eq!(memory.idle.said(&Place::new("shop", "x")), None);
        assert_eq!(memory.idle.usual(), Span::Seconds(5));
    }

    #[test]
    fn a_file_says_what_holds_until_it_says_otherwise() {
        let leads = |project: &str, service: &str| Fixed {
            project: project.to_owned(),
            service: service.to_owned(),
            container_port: 80,
            protocol: Protocol::Http,
            declared: false,
        };
        let mut memory = Memory::default();
        memory.ports.insert(1, leads("blog", "web"));
        memory.ports.insert(2, leads("shop", "web"));
        let place = Place::new("shop", "main");
        let wanted = [(1, leads("shop", "web")), (2, leads("shop", "web")), (3, leads("shop", "api"))];
        let taken = memory.declare("shop", Some(Span::Seconds(60)), wanted.into());
        assert_eq!(taken, BTreeMap::from([(1, leads("blog", "web"))]), "another project's stays");
        assert!(!memory.ports[&2].declared, "what was asked for by hand stays so");
        assert_eq!(memory.ports[&3], Fixed { declared: true, ..leads("shop", "api") });
        assert_eq!(memory.idle.said(&place), Some(Span::Seconds(60)));
        memory.idle.projects.insert("shop".to_owned(), Span::Never);
        assert_eq!(memory.idle.said(&place), Some(Span::Never), "a command comes before a file");
        assert_eq!(memory.declare("shop", None, BTreeMap::new()), BTreeMap::new());
        assert!(memory.ports.keys().eq([&1, &2]) && memory.idle.declared.is_empty());
    }

    #[test]
    fn what_is_gone_is_forgotten_and_nothing_else() {
        let mut memory = Memory::default();
        let (main, feat) = (Place::new("shop", "main"), Place::new("shop", "feat"));
        memory.current.insert("shop".to_owned(), "feat".to_owned());
        for place in [&main, &feat] {
            memory.branches.insert(place.clone(), "data".to_owned());
            memory.asleep.insert(place.clone(), Asleep::default());
            memory.idle.places.insert(place.clone(), Span::Never);
        }
        memory.forget(&main);
        assert_eq!(memory.current["shop"], "feat");
        assert!(memory.branches.keys().eq([&feat]) && memory.idle.places.keys().eq([&feat]));
        memory.forget(&feat);
        assert_eq!(memory, Memory::default());
    }

    #[test]
    fn a_damaged_file_is_kept_beside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{\"http_port\": 80").unwrap();
        assert_eq!(Memory::load(folder.path()).unwrap(), Memory::default());
        assert!(folder.path().join("memory.damaged.json").exists());
        // A half-written successor is nothing.
        fs::write(folder.path().join("memory.json.new"), "{").unwrap();
        assert_eq!(Memory::load(folder.path()).unwrap(), Memory::default());
    }
}
