//! Addresses in a compose file's variables that name a published port of the project itself, such as
//! `SITE_URL: http://localhost:3000`: in a copy that publishes other ports they follow.
//!
//! A port that the service itself listens on stays: there `localhost` may be the container.

use std::collections::BTreeMap;

/// Names and addresses that mean the machine.
const HOSTS: [&str; 5] = ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "host.docker.internal"];

/// An address that followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// What stood there, such as `localhost:3000`.
    pub was: String,
    /// What stands there now.
    pub is: String,
}

/// Replaces ports of this machine in a text; `ports` has the new one of each. None where none is named.
#[must_use]
pub fn follow(text: &str, ports: &BTreeMap<u16, u16>) -> Option<(String, Vec<Followed>)> {
    let (mut out, mut followed, mut rest) = (String::new(), Vec::new(), text);
    while let Some(at) = rest.find(':') {
        let (before, after) = rest.split_at(at);
        let digits = after[1..].bytes().take_while(u8::is_ascii_digit).count();
        let port = after[1..=digits].parse::<u16>().ok();
        out.push_str(before);
        // What was passed already is part of what stands before.
        let found = port.and_then(|port| Some((host_at_end(&out)?, port, *ports.get(&port)?)));
        match found {
            Some((host, was, is)) => {
                followed.push(Followed { was: format!("{host}:{was}"), is: format!("{host}:{is}") });
                out.push_str(&format!(":{is}"));
                rest = &after[1 + digits..];
            }
            None => {
                out.push(':');
                rest = &after[1..];
            }
        }
    }
    out.push_str(rest);
    (!followed.is_empty()).then_some((out, followed))
}

/// The name of this machine that a text ends with, and that begins a word.
fn host_at_end(text: &str) -> Option<&'static str> {
    HOSTS.into_iter().find(|host| {
        let Some(before) = text.strip_suffix(host) else { return false };
        match before.chars().next_back() {
            None => true,
            // Every name below `localhost` means this machine too (RFC 6761, 6.3).
            Some('.') => *host == "localhost",
            Some(c) => !(c.is_alphanumeric() || c == '-' || c == '_'),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ports() -> BTreeMap<u16, u16> {
        BTreeMap::from([(3000, 20_001), (5432, 20_002), (80, 20_003)])
    }

    #[test]
    fn addresses_of_this_machine_follow_and_nothing_else() {
        let changed = [
            ("http://localhost:3000", "http://localhost:20001"),
            ("http://127.0.0.1:3000/a?b=localhost:80", "http://127.0.0.1:20001/a?b=localhost:20003"),
            ("postgres://u:5432@localhost:5432/db", "postgres://u:5432@localhost:20002/db"),
            ("a.localhost:80,[::1]:80", "a.localhost:20003,[::1]:20003"),
            ("host.docker.internal:3000", "host.docker.internal:20001"),
        ];
        for (text, wanted) in changed {
            assert_eq!(follow(text, &ports()).map(|(text, _)| text).as_deref(), Some(wanted), "{text}");
        }
        for same in [
            "http://db:5432",
            "http://localhost:3001",
            "http://localhost:30000",
            "http://mylocalhost:3000",
            "http://8.127.0.0.1:3000",
            "http://my-localhost:3000",
            "localhost 3000",
            "3000:80",
            "localhost:",
            "",
            ":::",
        ] {
            assert_eq!(follow(same, &ports()), None, "{same}");
        }
        let (_, told) = follow("postgres://u:secret@localhost:5432/db", &ports()).unwrap();
        assert_eq!(
            told,
            [Followed { was: "localhost:5432".into(), is: "localhost:20002".into() }],
            "no more"
        );
    }

    proptest! {
        #[test]
        fn all_else_stays(text in "[a-z:0-9/@.é -]{0,30}(localhost:3000)?[a-z:0-9é]{0,10}") {
            if let Some((changed, followed)) = follow(&text, &ports()) {
                prop_assert!(!followed.is_empty());
                let back: BTreeMap<u16, u16> = ports().into_iter().map(|(was, is)| (is, was)).collect();
                prop_assert_eq!(follow(&changed, &back).unwrap().0, text);
            }
        }
    }
}
