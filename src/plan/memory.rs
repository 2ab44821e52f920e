//! Whether an environment that is about to start fits into the memory of its machine, and what gives way where it does
//! not: `x-devenv.memory`.
//!
//! ```yaml
//! x-devenv:
//!   memory:
//!     policy: sleep     # or refuse, or ignore
//!     reserve: 512M     # what has to stay free for everything else
//! ```

use std::collections::BTreeMap;

use super::mistake::Mistake;
use crate::base::size;
use crate::compose::project::{Bytes, Project, Service};

/// What is done where memory would run out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Act {
    /// The environments that were not used for the longest time are put to sleep; where that is not enough, nothing is,
    /// and nothing is started.
    #[default]
    Sleep,
    /// Nothing is started.
    Refuse,
    /// It is started all the same.
    Ignore,
}

/// What a project says about memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What is done.
    pub act: Act,
    /// Bytes that have to stay free.
    pub reserve: u64,
}

/// What has to stay free where nothing is said of it.
pub const RESERVE: u64 = 512 << 20;

impl Default for Policy {
    fn default() -> Self {
        Self { act: Act::default(), reserve: RESERVE }
    }
}

const PATH: &str = "x-devenv.memory";

/// Reads what a project says; its mistakes are told all at once.
pub fn read(project: &Project) -> Result<Policy, Vec<Mistake>> {
    let mut policy = Policy::default();
    let Some(value) = project.extensions.get("x-devenv").and_then(|own| own.get("memory")) else {
        return Ok(policy);
    };
    let mut mistakes = Vec::new();
    let mut mistake = |path: String, why: String| mistakes.push(Mistake { path, why });
    let Some(members) = value.as_object() else {
        mistake(PATH.to_owned(), format!("`{PATH}` is a mapping with policy, reserve"));
        return Err(mistakes);
    };
    for (key, value) in members {
        let path = format!("{PATH}.{key}");
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match (key.as_str(), text.as_str()) {
            ("policy", "sleep") => policy.act = Act::Sleep,
            ("policy", "refuse") => policy.act = Act::Refuse,
            ("policy", "ignore") => policy.act = Act::Ignore,
            ("policy", _) => {
                mistake(path.clone(), format!("`{path}` is sleep, refuse or ignore, not `{text}`"));
            }
            ("reserve", _) => {
                match Bytes::parse(&text).ok().and_then(|bytes| u64::try_from(bytes.get()).ok()) {
                    Some(reserve) => policy.reserve = reserve,
                    None => mistake(path.clone(), format!("`{path}` is a size such as `512M`, not `{text}`")),
                }
            }
            _ => mistake(path.clone(), format!("`{path}` is not a known key; known are policy, reserve")),
        }
    }
    if mistakes.is_empty() { Ok(policy) } else { Err(mistakes) }
}

/// The most that a service may take of memory, in all its containers; none where nothing limits it.
#[must_use]
pub fn limit(service: &Service) -> Option<u64> {
    let deployed = service.deploy.as_ref().and_then(|deploy| Some(deploy.resources.limits.as_ref()?.memory));
    let all = [Some(service.mem_limit), deployed];
    let one =
        all.into_iter().flatten().filter_map(|bytes| u64::try_from(bytes.get()).ok()).find(|it| *it > 0)?;
    Some(one.saturating_mul(service.scale.and_then(|scale| u64::try_from(scale).ok()).unwrap_or(1)))
}

/// What services need: their limits, and for those that have none, what `measured` says that the same service takes in
/// another environment of the project. Of what is not known, nothing.
pub fn needs<'a>(
    project: &Project,
    services: impl IntoIterator<Item = &'a str>,
    measured: &BTreeMap<String, u64>,
) -> u64 {
    let one = |name: &str| {
        let limited = project.services.get(name).and_then(limit);
        limited.or_else(|| measured.get(name).copied()).unwrap_or(0)
    };
    services.into_iter().map(one).fold(0, u64::saturating_add)
}

/// The most that services can turn out to need, before any container is looked at: their limits, and where one has none,
/// `used`, which is what the whole machine uses: containers that were measured are a part of that.
pub fn needs_at_most<'a>(project: &Project, services: impl IntoIterator<Item = &'a str>, used: u64) -> u64 {
    let limits = services.into_iter().map(|name| project.services.get(name).and_then(limit));
    let (mut all, mut unlimited) = (0_u64, 0);
    for limit in limits {
        match limit {
            Some(limit) => all = all.saturating_add(limit),
            None => unlimited = used,
        }
    }
    all.saturating_add(unlimited)
}

/// Another environment that runs, and may be put to sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its project, as a label.
    pub project: String,
    /// Its name, as a label.
    pub environment: String,
    /// Bytes that it holds now.
    pub holds: u64,
    /// Seconds since it was used last.
    pub unused: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Fits,
    /// It fits once these sleep, in this order.
    Sleep(Vec<Other>),
    /// It does not fit.
    Refuse(Short),
    /// It does not fit, and is started all the same.
    Ignore(Short),
}

/// How much is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    /// What it needs.
    pub needs: u64,
    /// What is free.
    pub free: u64,
    /// What has to stay free.
    pub reserve: u64,
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { needs, free, reserve } = *self;
        let (needs, free, reserve) = (size::bytes(needs), size::bytes(free), size::bytes(reserve));
        write!(f, "it needs {needs} of memory; {free} are free, of which {reserve} are reserved")
    }
}

/// Decides, from what is free on the machine and what the environment needs, in bytes.
#[must_use]
pub fn decide(policy: Policy, free: u64, needs: u64, others: &[Other]) -> Verdict {
    let short = Short { needs, free, reserve: policy.reserve };
    let wanted = needs.saturating_add(policy.reserve);
    // What needs nothing that is known is no reason to do anything.
    if needs == 0 || wanted <= free {
        return Verdict::Fits;
    }
    match policy.act {
        Act::Ignore => return Verdict::Ignore(short),
        Act::Refuse => return Verdict::Refuse(short),
        Act::Sleep => {}
    }
    let mut all: Vec<&Other> = others.iter().filter(|other| other.holds > 0).collect();
    all.sort_by(|a, b| {
        let name = |other: &Other| (other.project.clone(), other.environment.clone());
        b.unused.cmp(&a.unused).then_with(|| name(a).cmp(&name(b)))
    });
    let (mut gained, mut chosen) = (free, Vec::new());
    for other in all {
        if gained >= wanted {
            break;
        }
        gained = gained.saturating_add(other.holds);
        chosen.push(other.clone());
    }
    if gained >= wanted { Verdict::Sleep(chosen) } else { Verdict::Refuse(short) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn project(memory: &Value) -> Project {
        let mut project = Project::default();
        project.extensions.insert("x-devenv".to_owned(), json!({ "memory": memory }));
        project
    }

    fn other(environment: &str, holds: u64, unused: u64) -> Other {
        Other { project: "shop".to_owned(), environment: environment.to_owned(), holds: holds * MIB, unused }
    }

    #[test]
    fn what_is_said_and_what_is_not() {
        assert_eq!(read(&Project::default()), Ok(Policy { act: Act::Sleep, reserve: 512 * MIB }));
        let said = read(&project(&json!({ "policy": "refuse", "reserve": "1G" })));
        assert_eq!(said, Ok(Policy { act: Act::Refuse, reserve: 1024 * MIB }));
        let wrong =
            read(&project(&json!({ "policy": "queue", "reserve": "much", "reserved": 1 }))).unwrap_err();
        let paths: Vec<&str> = wrong.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, ["x-devenv.memory.policy", "x-devenv.memory.reserve", "x-devenv.memory.reserved"]);
        assert!(read(&project(&json!("refuse"))).is_err());
    }

    #[test]
    fn limits_come_before_what_was_measured() {
        let mut project = Project::default();
        let limited = |bytes: i64, scale| Service {
            mem_limit: Bytes::parse(&bytes.to_string()).unwrap(),
            scale,
            ..Service::default()
        };
        project.services.insert("db".to_owned(), limited(100, None));
        project.services.insert("web".to_owned(), limited(10, Some(3)));
        project.services.insert("job".to_owned(), Service::default());
        let measured = BTreeMap::from([("db".to_owned(), 7), ("job".to_owned(), 5)]);
        assert_eq!(needs(&project, ["db", "web", "job", "none"], &measured), 100 + 30 + 5);
        assert_eq!(needs(&project, ["job"], &BTreeMap::new()), 0);
        assert_eq!(needs_at_most(&project, ["db", "web"], 1000), 130, "nothing is to be measured");
        assert_eq!(
            needs_at_most(&project, ["db", "job", "none"], 1000),
            1100,
            "once for all that have no limit"
        );
    }

    #[test]
    fn the_least_recently_used_give_way_as_far_as_needed() {
        let policy = |act| Policy { act, reserve: 100 * MIB };
        let others = [other("new", 300, 5), other("old", 200, 900), other("older", 50, 9000)];
        let decide = |act, free: u64, needs: u64| decide(policy(act), free * MIB, needs * MIB, &others);
        assert_eq!(decide(Act::Sleep, 400, 300), Verdict::Fits);
        assert_eq!(decide(Act::Sleep, 0, 0), Verdict::Fits, "nothing is known of its needs");
        let names = |verdict| match verdict {
            Verdict::Sleep(others) => others.into_iter().map(|it| it.environment).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(decide(Act::Sleep, 400, 340)), ["older"]);
        assert_eq!(names(decide(Act::Sleep, 400, 500)), ["older", "old"]);
        let short = Short { needs: 2000 * MIB, free: 400 * MIB, reserve: 100 * MIB };
        assert_eq!(decide(Act::Sleep, 400, 2000), Verdict::Refuse(short), "nobody sleeps in vain");
        assert_eq!(decide(Act::Ignore, 400, 2000), Verdict::Ignore(short));
        assert!(matches!(decide(Act::Refuse, 400, 340), Verdict::Refuse(_)));
        let told = short.to_string();
        assert_eq!(told, "it needs 2.0 GiB of memory; 400 MiB are free, of which 100 MiB are reserved");
    }

    proptest! {
        #[test]
        fn sleep_is_enough_and_no_more_than_that(
            free in 0_u64..1000, needs in 0_u64..1000, reserve in 0_u64..200,
            held in proptest::collection::vec((0_u64..300, 0_u64..50), 0..6),
        ) {
            let others: Vec<Other> =
                held.iter().enumerate().map(|(at, (holds, unused))| other(&at.to_string(), *holds, *unused)).collect();
            let policy = Policy { act: Act::Sleep, reserve: reserve * MIB };
            let wanted = (needs + reserve) * MIB;
            match decide(policy, free * MIB, needs * MIB, &others) {
                Verdict::Fits => prop_assert!(needs == 0 || wanted <= free * MIB),
                Verdict::Sleep(chosen) => {
                    let gained: u64 = chosen.iter().map(|it| it.holds).sum();
                    let last = chosen.last().unwrap();
                    prop_assert!(free * MIB + gained >= wanted && free * MIB + gained - last.holds < wanted);
                    // Nobody who stays awake was unused for longer.
                    let awake = others.iter().filter(|it| it.holds > 0 && !chosen.contains(it));
                    prop_assert!(awake.into_iter().all(|it| it.unused <= last.unused));
                }
                Verdict::Refuse(_) => {
                    prop_assert!(free * MIB + others.iter().map(|it| it.holds).sum::<u64>() < wanted);
                }
                Verdict::Ignore(_) => prop_assert!(false),
            }
        }
    }
}
