//! Host names: what a request may call itself, and what it asks for by that.

use std::fmt;

/// The longest label of a host name, in bytes (RFC 1035, 2.3.4).
const LABEL: usize = 63;

/// What a host name asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `localhost`: what there is.
    Everything,
    /// `<project>.localhost`.
    Project(String),
    /// `<service>.<project>.localhost`, or `<environment>.<project>.localhost`.
    Either(String, String),
    /// `<service>.<environment>.<project>.localhost`.
    Service {
        /// The service, as a label.
        service: String,
        /// The environment, as a label.
        environment: String,
        /// The project, as a label.
        project: String,
    },
}

/// A name that is none of ours. Answering it would let any site whose name leads to the loopback (DNS rebinding)
/// read what is served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign(pub String);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().filter(|c| !c.is_control()).take(100).collect();
        write!(f, "`{shown}` is no address of this gateway: it answers only names that end in `.localhost`")
    }
}

/// Reads a `Host` header (RFC 9110, 7.2): a name and perhaps a port, which may be any.
pub fn read(host: &str) -> Result<Asked, Foreign> {
    let foreign = || Foreign(host.to_owned());
    let name = without_port(host).ok_or_else(foreign)?.to_ascii_lowercase();
    // A name may end in the root's dot (RFC 3986, 3.2.2).
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name == "localhost" {
        return Ok(Asked::Everything);
    }
    let before = name.strip_suffix(".localhost").ok_or_else(foreign)?;
    let labels: Vec<&str> = before.split('.').collect();
    let all_well = labels.iter().all(|label| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=LABEL).contains(&label.len()) && label.chars().all(plain)
    });
    match labels.as_slice() {
        _ if !all_well => Err(foreign()),
        [project] => Ok(Asked::Project((*project).to_owned())),
        [first, project] => Ok(Asked::Either((*first).to_owned(), (*project).to_owned())),
        [service, environment, project] => Ok(Asked::Service {
            service: (*service).to_owned(),
            environment: (*environment).to_owned(),
            project: (*project).to_owned(),
        }),
        _ => Err(foreign()),
    }
}

/// Whether a request to a port that leads to one service may carry this `Host`: the loopback by any of its names.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let Some(name) = without_port(host) else { return false };
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]") || name.ends_with(".localhost")
}

/// The name alone; none where what follows the colon is no port.
fn without_port(host: &str) -> Option<&str> {
    let digits = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if host.starts_with('[') {
        let end = host.find(']')? + 1;
        let rest = &host[end..];
        return (rest.is_empty() || rest.strip_prefix(':').is_some_and(digits)).then(|| &host[..end]);
    }
    match host.split_once(':') {
        Some((name, port)) => digits(port).then_some(name),
        None => Some(host),
    }
}

/// A name as one label of a host name: small letters, digits and `-`. Not injective: for what carries no label of
/// ours, whose names are all but always labels already.
#[must_use]
pub fn label(text: &str) -> String {
    let mut label = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.ends_with('-') {
            label.push('-');
        }
    }
    let cut = label.trim_matches('-');
    let cut = cut.get(..LABEL).unwrap_or(cut).trim_end_matches('-');
    if cut.is_empty() { "x".to_owned() } else { cut.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_ours() {
        let service = |service: &str, environment: &str, project: &str| Asked::Service {
            service: service.to_owned(),
            environment: environment.to_owned(),
            project: project.to_owned(),
        };
        assert_eq!(read("localhost:8080"), Ok(Asked::Everything));
        assert_eq!(read("Shop.localhost"), Ok(Asked::Project("shop".to_owned())));
        assert_eq!(read("api.shop.localhost."), Ok(Asked::Either("api".to_owned(), "shop".to_owned())));
        assert_eq!(read("api.feat-x.shop.localhost:80"), Ok(service("api", "feat-x", "shop")));
    }

    #[test]
    fn foreign_names_are_refused() {
        for host in [
            "",
            "example.com",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "10.0.0.1",
            "localhost.evil.com",
            "evillocalhost",
            "a.b.c.d.localhost",
            "..localhost",
            ".localhost",
            "a b.localhost",
            "a.localhost:x",
            "a.localhost:80:80",
            "a.localhost@evil",
            "api.shop.localhost.evil.com",
            "localhost:999999",
            "é.localhost",
            "2130706433",
            "0x7f.1",
        ] {
            assert!(read(host).is_err(), "{host}");
        }
    }

    #[test]
    fn ports_of_one_service_take_the_loopback_by_any_name() {
        for host in ["localhost:1", "127.0.0.1", "[::1]:9", "api.shop.localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["example.com", "127.0.0.1.nip.io", "10.0.0.1:1", "[::1", "localhost:x", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn only_localhost_is_ever_accepted(host in ".{0,80}") {
            if read(&host).is_ok() {
                let name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
                let name = name.trim_end_matches('.');
                prop_assert!(name == "localhost" || name.ends_with(".localhost"), "{}", host);
            }
            let _ = is_loopback(&host);
        }

        #[test]
        fn a_label_is_a_label_and_stays_one(text in ".{0,100}") {
            let made = label(&text);
            prop_assert!((1..=LABEL).contains(&made.len()));
            let host = format!("{made}.localhost");
            prop_assert_eq!(read(&host), Ok(Asked::Project(made.clone())));
            prop_assert_eq!(label(&made), made);
        }
    }
}
