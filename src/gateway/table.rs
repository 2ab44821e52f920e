//! What leads where: pure, from the containers that the engine holds and what the gateway remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::name::{self, Asked};
use crate::base::ports::USUAL_FOR_HTTP;

/// An environment of a project, both as labels of a host name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Place {
    /// The project.
    pub project: String,
    /// The environment.
    pub environment: String,
}

impl Place {
    /// By both names.
    #[must_use]
    pub fn new(project: &str, environment: &str) -> Self {
        Self { project: project.to_owned(), environment: environment.to_owned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (project, environment) = text.split_once('/').ok_or("a place is PROJECT/ENVIRONMENT")?;
        Ok(Self::new(project, environment))
    }
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, or is paused.
    Running,
    /// It was never started.
    Created,
    /// It ended with this exit code.
    Ended(i64),
    /// It is between two runs, or on its way out.
    Changing,
}

/// What another container has to have reached first (Compose, `depends_on`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It runs.
    Started,
    /// Its health check passes.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

/// A port of the machine that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The address of the machine that it is published on; unspecified for all.
    pub address: IpAddr,
    /// The port of the machine; none where the engine chooses one at each start.
    pub port: Option<u16>,
    /// The container's port.
    pub target: u16,
}

/// A container of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The environment it belongs to.
    pub place: Place,
    /// The name of the Compose project that it is of.
    pub stack: String,
    /// Its service, as the compose file has it.
    pub service: String,
    /// Whether devenv made it for an environment, so that it may be put to sleep.
    pub ours: bool,
    /// What it does.
    pub state: State,
    /// Where it is reached, while it runs.
    pub address: Option<IpAddr>,
    /// The TCP ports that it exposes.
    pub ports: Vec<u16>,
    /// The port that its label names for HTTP.
    pub http: Option<u16>,
    /// Its ports on this machine, TCP only.
    pub published: Vec<Published>,
    /// Services that it needs, and how.
    pub needs: Vec<(String, Condition)>,
}

impl Container {
    /// The port that speaks HTTP: the one it says, else its only one, else a well-known one, else the lowest.
    #[must_use]
    pub fn http_port(&self) -> Option<u16> {
        let known = || USUAL_FOR_HTTP.into_iter().find(|port| self.ports.contains(port));
        self.http.or_else(|| match self.ports.as_slice() {
            [only] => Some(*only),
            ports => known().or_else(|| ports.iter().min().copied()),
        })
    }

    /// Whether a browser may find something there: it says so, or has a port on which that is usual.
    #[must_use]
    pub fn speaks_http(&self) -> bool {
        self.http.is_some() || self.ports.iter().any(|port| USUAL_FOR_HTTP.contains(port))
    }
}

/// All stacks of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    places: BTreeMap<Place, Vec<Container>>,
}

/// What a host name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A service.
    Service(Place, String),
    /// A list: of all projects, of one project's environments, or of one environment's services.
    Index {
        /// Of this project only.
        project: Option<String>,
        /// Of this environment only.
        environment: Option<String>,
    },
    /// An environment that is to be, and is not there (yet).
    NotUp(Place),
    /// Nothing.
    Missing(String),
}

/// How to get to a port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Connect there.
    To {
        /// The container's id.
        container: String,
        /// Its address.
        address: SocketAddr,
    },
    /// Its containers do not run and may be started.
    Wake,
    /// It is on its way: look again.
    Wait,
    /// It was stopped by somebody who meant it.
    Stopped,
    /// It has no port that could be meant.
    NoPort,
}

impl Table {
    /// Sorts containers into places; those of one service stay in the order of their names.
    #[must_use]
    pub fn new(mut containers: Vec<Container>) -> Self {
        containers.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        let mut places: BTreeMap<Place, Vec<Container>> = BTreeMap::new();
        for container in containers {
            places.entry(container.place.clone()).or_default().push(container);
        }
        Self { places }
    }

    /// All environments and their containers.
    pub fn places(&self) -> impl Iterator<Item = (&Place, &[Container])> {
        self.places.iter().map(|(place, containers)| (place, containers.as_slice()))
    }

    /// The containers of an environment.
    #[must_use]
    pub fn at(&self, place: &Place) -> &[Container] {
        self.places.get(place).map_or(&[], Vec::as_slice)
    }

    /// All containers.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.places.values().flatten()
    }

    /// The projects.
    #[must_use]
    pub fn projects(&self) -> BTreeSet<&str> {
        self.places.keys().map(|place| place.project.as_str()).collect()
    }

    /// The environments of a project.
    #[must_use]
    pub fn environments(&self, project: &str) -> Vec<&str> {
        let of_it = self.places.keys().filter(|place| place.project == project);
        of_it.map(|place| place.environment.as_str()).collect()
    }

    /// The environment that a project's short names lead to: the one that was named, else the only one, else `main`.
    #[must_use]
    pub fn current(&self, project: &str, memory: &Memory) -> Option<String> {
        if let Some(named) = memory.current.get(project) {
            return Some(named.clone());
        }
        match self.environments(project).as_slice() {
            [only] => Some((*only).to_owned()),
            all => all.iter().find(|name| **name == "main").map(|name| (*name).to_owned()),
        }
    }

    /// The environment of a project that a name in a connection means: the one that works on the branch of the data
    /// that is called so, else the one that is called so itself, else what either becomes as a label.
    #[must_use]
    pub fn named(&self, project: &str, text: &str, memory: &Memory) -> Option<String> {
        let all = self.environments(project);
        let current = self.current(project, memory);
        let label = name::label(text);
        let on = |environment: &str, wanted: &dyn Fn(&str) -> bool| {
            memory.branches.get(&Place::new(project, environment)).is_some_and(|branch| wanted(branch))
        };
        let ways: [&dyn Fn(&str) -> bool; 4] = [
            &|environment| on(environment, &|branch| branch == text),
            &|environment| environment == text,
            &|environment| environment == label,
            &|environment| on(environment, &|branch| name::label(branch) == label),
        ];
        // Of several, the one that is called so too, then the current one.
        let foremost = |it: &&str| (*it != text && *it != label, current.as_deref() != Some(*it));
        let found = ways.iter().find_map(|way| all.iter().copied().filter(|it| way(it)).min_by_key(foremost));
        found.map(str::to_owned)
    }

    /// What a host name leads to.
    #[must_use]
    pub fn find(&self, asked: &Asked, memory: &Memory) -> Found {
        match asked {
            Asked::Everything => Found::Index { project: None, environment: None },
            Asked::Project(project) => self.find_in_current(project, None, memory),
            Asked::Either(first, project) => {
                let found = self.find_in_current(project, Some(first), memory);
                let place = Place::new(project, first);
                match found {
                    Found::Missing(_) if self.places.contains_key(&place) => self.front(&place),
                    found => found,
                }
            }
            Asked::Service { service, environment, project } => {
                self.service(&Place::new(project, environment), service, memory)
            }
        }
    }

    fn find_in_current(&self, project: &str, service: Option<&String>, memory: &Memory) -> Found {
        let index = || Found::Index { project: Some(project.to_owned()), environment: None };
        match (self.current(project, memory), service) {
            (Some(current), Some(service)) => self.service(&Place::new(project, &current), service, memory),
            (Some(current), None) => {
                let place = Place::new(project, &current);
                if self.places.contains_key(&place) { self.front(&place) } else { Found::NotUp(place) }
            }
            (None, _) if self.environments(project).is_empty() => {
                Found::Missing(format!("there is no project `{project}`"))
            }
            (None, None) => index(),
            (None, Some(_)) => Found::Missing(format!("no environment of `{project}` is the current one")),
        }
    }

    /// What an environment's own name leads to: the one service that speaks HTTP, else a list.
    fn front(&self, place: &Place) -> Found {
        let containers = self.at(place);
        let services = |wanted: &dyn Fn(&Container) -> bool| -> BTreeSet<&str> {
            containers.iter().filter(|it| wanted(it)).map(|it| it.service.as_str()).collect()
        };
        let said = services(&|it| it.http.is_some());
        let likely = services(&Container::speaks_http);
        let one = [said, likely].into_iter().find(|found| found.len() == 1);
        match one.and_then(|found| found.into_iter().next()) {
            Some(service) => Found::Service(place.clone(), service.to_owned()),
            None => Found::Index {
                project: Some(place.project.clone()),
                environment: Some(place.environment.clone()),
            },
        }
    }

    fn service(&self, place: &Place, service: &str, memory: &Memory) -> Found {
        let containers = self.at(place);
        let named = |wanted: &dyn Fn(&str) -> bool| {
            containers.iter().map(|it| it.service.as_str()).find(|name| wanted(name)).map(str::to_owned)
        };
        // A name that is one already comes before one that only becomes it.
        let found = named(&|name| name == service)
            .or_else(|| named(&|name| name.eq_ignore_ascii_case(service)))
            .or_else(|| named(&|name| name::label(name) == service));
        match found {
            Some(service) => Found::Service(place.clone(), service),
            None if containers.is_empty() => {
                if memory.current.get(&place.project) == Some(&place.environment) {
                    return Found::NotUp(place.clone());
                }
                if self.environments(&place.project).is_empty() {
                    return Found::Missing(format!("there is no project `{}`", place.project));
                }
                Found::Missing(format!("`{}` has no environment `{}`", place.project, place.environment))
            }
            None => Found::Missing(format!("{place} has no service `{service}`")),
        }
    }

    /// How to get to a service, whose containers are used in turn; `port` is one of the container's, none for the one
    /// that speaks HTTP.
    #[must_use]
    pub fn way(&self, place: &Place, service: &str, port: Option<u16>, memory: &Memory, turn: usize) -> Way {
        let all: Vec<&Container> = self.at(place).iter().filter(|it| it.service == service).collect();
        let up: Vec<_> = all
            .iter()
            .filter(|it| it.state == State::Running)
            .filter_map(|it| Some((*it, it.address?)))
            .collect();
        if !up.is_empty() {
            let (container, address) = up[turn % up.len()];
            return match port.or_else(|| container.http_port()) {
                Some(port) => {
                    Way::To { container: container.id.clone(), address: SocketAddr::new(address, port) }
                }
                None => Way::NoPort,
            };
        }
        if memory.asleep.contains_key(place) {
            return Way::Wake;
        }
        if all.is_empty() || all.iter().any(|it| matches!(it.state, State::Running | State::Changing)) {
            return Way::Wait;
        }
        if all.iter().all(|it| memory.stopped.contains(&it.id)) {
            return Way::Stopped;
        }
        // One that was made and never started is in the hands of a command that is at work.
        if all.iter().all(|it| it.state == State::Created) {
            return Way::Wait;
        }
        Way::Wake
    }

    /// Ports of the machine that are listened on in place of environments that sleep: where a connection leads.
    #[must_use]
    pub fn vacant(&self, memory: &Memory) -> BTreeMap<SocketAddr, (Place, String, u16)> {
        let mut vacant = BTreeMap::new();
        for place in memory.asleep.keys() {
            for container in self.at(place).iter().filter(|it| it.state != State::Running) {
                for published in &container.published {
                    let Some(port) = published.port else { continue };
                    for address in loopbacks(published.address) {
                        let leads = (place.clone(), container.service.clone(), published.target);
                        vacant.entry(SocketAddr::new(address, port)).or_insert(leads);
                    }
                }
            }
        }
        vacant
    }
}

/// The addresses of the loopback that a published address covers: nothing is ever listened on beyond it.
fn loopbacks(address: IpAddr) -> Vec<IpAddr> {
    let (four, six) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
    match address {
        address if address.is_loopback() => vec![address],
        IpAddr::V4(address) if address.is_unspecified() => vec![four],
        IpAddr::V6(address) if address.is_unspecified() => vec![six],
        _ => Vec::new(),
    }
}

/// Reads Compose's label `service:condition:restart,…`.
#[must_use]
pub fn read_needs(label: &str) -> Vec<(String, Condition)> {
    let entries = label.split(',').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let mut parts = entry.split(':');
            let service = parts.next().unwrap_or_default().to_owned();
            let condition = match parts.next() {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::Completed,
                _ => Condition::Started,
            };
            (service, condition)
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::memory::Asleep;
    use super::*;

    pub(in crate::gateway) fn container(project: &str, environment: &str, service: &str) -> Container {
        Container {
            id: format!("{project}-{environment}-{service}"),
            name: format!("{project}-{environment}-{service}-1"),
            place: Place::new(project, environment),
            stack: format!("{project}-{environment}"),
            service: service.to_owned(),
            ours: true,
            state: State::Running,
            address: Some(IpAddr::from([172, 17, 0, 2])),
            ports: vec![80],
            http: None,
            published: Vec::new(),
            needs: Vec::new(),
        }
    }

    fn shop() -> Table {
        let mut db = container("shop", "main", "db");
        db.ports = vec![5432];
        let web = container("shop", "main", "web");
        let other = container("shop", "feat", "web");
        Table::new(vec![
            db,
            web,
            other,
            container("blog", "main", "web"),
            container("blog", "main", "My_API"),
        ])
    }

    fn find(host: &str, memory: &Memory) -> Found {
        shop().find(&name::read(host).unwrap(), memory)
    }

    fn service(project: &str, environment: &str, service: &str) -> Found {
        Found::Service(Place::new(project, environment), service.to_owned())
    }

    #[test]
    fn a_connection_names_a_branch_or_an_environment() {
        let mut memory = Memory::default();
        let named = |text: &str, memory: &Memory| shop().named("shop", text, memory);
        let (main, feat) = (Some("main".to_owned()), Some("feat".to_owned()));
        assert_eq!(named("feat", &memory), feat);
        assert_eq!(named("Feat", &memory), feat, "as a label");
        assert_eq!(named("fix/login", &memory), None);
        memory.branches.insert(Place::new("shop", "main"), "fix/login".to_owned());
        assert_eq!(named("fix/login", &memory), main);
        assert_eq!(named("fix-login", &memory), main, "as a label");
        assert_eq!(named("main", &memory), main, "itself, as nobody works on a branch of that name");
        memory.branches.insert(Place::new("shop", "main"), "feat".to_owned());
        assert_eq!(named("feat", &memory), main, "who works on it comes before who is called so");
        memory.branches.insert(Place::new("shop", "feat"), "feat".to_owned());
        assert_eq!(named("feat", &memory), feat, "but not before who is both");
        memory.branches.insert(Place::new("blog", "main"), "else".to_owned());
        assert_eq!(named("else", &memory), None, "another project's");
    }

    #[test]
    fn names_lead_to_services() {
        let mut memory = Memory::default();
        assert_eq!(find("web.feat.shop.localhost", &memory), service("shop", "feat", "web"));
        assert_eq!(find("web.shop.localhost", &memory), service("shop", "main", "web"), "main, unless told");
        memory.current.insert("shop".to_owned(), "feat".to_owned());
        assert_eq!(find("web.shop.localhost", &memory), service("shop", "feat", "web"));
        assert_eq!(find("shop.localhost", &memory), service("shop", "feat", "web"));
        assert_eq!(find("main.shop.localhost", &memory), service("shop", "main", "web"), "an environment");
        assert_eq!(find("my-api.blog.localhost", &memory), service("blog", "main", "My_API"));
        assert_eq!(find("my_api.blog.localhost", &memory), service("blog", "main", "My_API"));
        let list = Found::Index { project: Some("blog".to_owned()), environment: Some("main".to_owned()) };
        assert_eq!(find("blog.localhost", &memory), list, "two services might be meant");
        assert!(matches!(find("db.feat.shop.localhost", &memory), Found::Missing(_)));
        assert!(matches!(find("web.other.localhost", &memory), Found::Missing(_)));
    }

    #[test]
    fn a_current_environment_that_is_not_there_is_replaced_by_no_other() {
        let mut memory = Memory::default();
        memory.current.insert("shop".to_owned(), "gone".to_owned());
        assert_eq!(find("web.shop.localhost", &memory), Found::NotUp(Place::new("shop", "gone")));
        assert_eq!(find("shop.localhost", &memory), Found::NotUp(Place::new("shop", "gone")));
    }

    #[test]
    fn which_port_speaks_http() {
        let port = |http: Option<u16>, ports: &[u16]| {
            Container { http, ports: ports.to_vec(), ..container("a", "b", "c") }.http_port()
        };
        assert_eq!(port(Some(9), &[80]), Some(9));
        assert_eq!(port(None, &[5432]), Some(5432));
        assert_eq!(port(None, &[9999, 8080, 3000]), Some(3000));
        assert_eq!(port(None, &[7001, 7000]), Some(7000));
        assert_eq!(port(None, &[]), None);
    }

    #[test]
    fn what_does_not_run_is_woken_unless_somebody_stopped_it() {
        let mut web = container("shop", "main", "web");
        (web.state, web.address) = (State::Ended(137), None);
        let place = web.place.clone();
        let table = Table::new(vec![web.clone()]);
        let mut memory = Memory::default();
        let way = |table: &Table, memory: &Memory| table.way(&place, "web", None, memory, 0);
        assert_eq!(way(&table, &memory), Way::Wake, "nobody saw it stop");
        memory.stopped.insert(web.id.clone());
        assert_eq!(way(&table, &memory), Way::Stopped);
        memory.asleep.insert(place.clone(), Asleep::default());
        assert_eq!(way(&table, &memory), Way::Wake, "asleep");
        memory = Memory::default();
        web.state = State::Created;
        assert_eq!(way(&Table::new(vec![web]), &memory), Way::Wait);
        assert_eq!(way(&Table::default(), &memory), Way::Wait);
    }

    #[test]
    fn ports_of_sleepers_are_kept_on_the_loopback_only() {
        let mut web = container("shop", "main", "web");
        web.state = State::Ended(0);
        let published =
            |address: [u8; 4], port| Published { address: IpAddr::from(address), port, target: 80 };
        web.published = vec![
            published([127, 0, 0, 1], Some(8080)),
            published([0, 0, 0, 0], Some(8081)),
            published([192, 168, 0, 9], Some(8082)),
            published([127, 0, 0, 1], None),
        ];
        let place = web.place.clone();
        let table = Table::new(vec![web]);
        let mut memory = Memory::default();
        assert!(table.vacant(&memory).is_empty());
        memory.asleep.insert(place, Asleep::default());
        let found: Vec<_> = table.vacant(&memory).into_keys().map(|address| address.to_string()).collect();
        assert_eq!(found, ["127.0.0.1:8080", "127.0.0.1:8081"]);
    }

    #[test]
    fn needs_are_read_from_composes_label() {
        let read = read_needs("db:service_healthy:false,job:service_completed_successfully:true,x");
        let wanted = [("db", Condition::Healthy), ("job", Condition::Completed), ("x", Condition::Started)];
        assert_eq!(read, wanted.map(|(name, condition)| (name.to_owned(), condition)));
        assert!(read_needs("").is_empty());
    }

    proptest! {
        #[test]
        fn a_way_leads_only_into_the_environment_that_was_asked_for(
            spots in proptest::collection::vec((0..3_usize, 0..3_usize, 0..3_usize, any::<bool>()), 0..20),
            asked in (0..3_usize, 0..3_usize, 0..3_usize),
            turn in any::<usize>(),
        ) {
            let names = ["a", "b", "c"];
            let containers = spots.into_iter().enumerate().map(|(number, (project, environment, service, runs))| {
                let mut made = container(names[project], names[environment], names[service]);
                made.id = format!("{}/{}/{}#{number}", names[project], names[environment], names[service]);
                made.state = if runs { State::Running } else { State::Ended(0) };
                made
            });
            let table = Table::new(containers.collect());
            let (project, environment, service) = (names[asked.0], names[asked.1], names[asked.2]);
            let place = Place::new(project, environment);
            if let Way::To { container, .. } = table.way(&place, service, None, &Memory::default(), turn) {
                let wanted = format!("{project}/{environment}/{service}#");
                prop_assert!(container.starts_with(&wanted), "{}", container);
            }
        }
    }
}
