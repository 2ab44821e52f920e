//! The short form of a port: `[[address:][published]:]target[/protocol]`, with ranges.

use std::net::IpAddr;

/// One port of a short form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShortPort {
    pub host_ip: String,
    pub published: String,
    pub target: u16,
    pub protocol: String,
}

/// Reads a short form; a range gives several ports.
pub(crate) fn parse(text: &str) -> Result<Vec<ShortPort>, String> {
    let mut parts = text.rsplitn(3, ':');
    let target = parts.next().unwrap_or_default();
    let published = parts.next().unwrap_or_default();
    let address = parts.next().unwrap_or_default();

    let mut pieces = target.split('/');
    let target = pieces.next().unwrap_or_default();
    let protocol = match pieces.next() {
        None | Some("") => "tcp",
        Some(protocol) => protocol,
    };
    let host_ip = host_address(address)?;
    if target.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    // Any host port may be left to the engine by a 0, no container port.
    let (first, last) = range(target)
        .filter(|(first, _)| *first > 0)
        .ok_or_else(|| format!("invalid container port: {target}"))?;
    let (first_published, last_published) = if published.is_empty() {
        (0, 0)
    } else {
        range(published).ok_or_else(|| format!("invalid host port: {published}"))?
    };
    if !published.is_empty() && last - first != last_published - first_published && last != first {
        return Err(format!("the ranges of host and container differ in length: {published} and {target}"));
    }
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid protocol: {protocol}"));
    }
    let mut ports: Vec<ShortPort> = (first..=last)
        .map(|target| {
            let published = if published.is_empty() {
                String::new()
            } else if first == last && first_published != last_published {
                format!("{first_published}-{last_published}")
            } else {
                (first_published + (target - first)).to_string()
            };
            ShortPort { host_ip: host_ip.clone(), published, target, protocol: protocol.clone() }
        })
        .collect();
    // In the order of the text, as the reference sorts them: 10 comes before 9.
    ports.sort_by_key(|port| format!("{}/{}", port.target, port.protocol));
    Ok(ports)
}

fn host_address(address: &str) -> Result<String, String> {
    if address.is_empty() {
        return Ok(String::new());
    }
    let bare = match address.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').filter(|inner| !inner.contains(['[', ']'])),
        None if address.contains([':', ']']) => None,
        None => Some(address),
    };
    let without_zone = bare.map(|bare| bare.split_once('%').map_or(bare, |(ip, _)| ip));
    match (bare, without_zone) {
        (Some(bare), Some(ip)) if ip.parse::<IpAddr>().is_ok() && ip == bare => Ok(bare.to_owned()),
        _ => Err(format!(
            "invalid address {address}: an IPv6 address stands in brackets, as in `[::1]:8080:80`"
        )),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    let mut parts = text.split('-');
    let first = number(parts.next()?)?;
    let last = match parts.next() {
        Some(last) => number(last)?,
        None => first,
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(text: &str) -> Vec<String> {
        let port = |p: ShortPort| format!("{}:{}:{}/{}", p.host_ip, p.published, p.target, p.protocol);
        parse(text).unwrap().into_iter().map(port).collect()
    }

    #[test]
    fn every_short_form() {
        assert_eq!(ports("80"), ["::80/tcp"]);
        assert_eq!(ports("8080:80/UDP"), [":8080:80/udp"]);
        assert_eq!(ports("127.0.0.1::80"), ["127.0.0.1::80/tcp"]);
        assert_eq!(ports("[::1]:8080:80"), ["::1:8080:80/tcp"]);
        assert_eq!(ports("8000-8001:9000-9001"), [":8000:9000/tcp", ":8001:9001/tcp"]);
        assert_eq!(ports("8000-8010:80"), [":8000-8010:80/tcp"]);
        assert_eq!(ports("9-10"), ["::10/tcp", "::9/tcp"]);
        // The fuzz target `loader` found `818:0`: it loaded, was printed without its port, and did not load again.
        for wrong in [
            "",
            "8080:",
            "a:80",
            "80:a",
            "::1:80:80",
            "1.2.3:80:80",
            "80/foo",
            "8000-8002:80-81",
            "70000",
            "818:0",
            "0-1",
            "-1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
