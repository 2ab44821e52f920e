//! Who listens on a TCP port of this machine.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// A socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    port: u16,
    uid: u32,
    inode: u64,
}

/// A process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its command line, the arguments joined by spaces, shortened.
    pub command: String,
}

/// A port that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// The address it is taken on; all of them for `0.0.0.0` and `::`.
    pub address: IpAddr,
    /// By whom; none when the process belongs to somebody else and this user may not see it.
    pub process: Option<Process>,
    /// The number of the user that owns the socket.
    pub uid: u32,
}

/// Which of `ports` are taken. `proc` is where the kernel shows its processes (`/proc`).
#[must_use]
pub fn taken(proc: &Path, ports: &[u16]) -> Vec<Taken> {
    let read = |name: &str| std::fs::read_to_string(proc.join(name)).unwrap_or_default();
    let mut listeners = parse(&read("net/tcp"));
    listeners.extend(parse(&read("net/tcp6")));
    listeners.retain(|listener| ports.contains(&listener.port));
    listeners.sort_by_key(|listener| listener.port);
    listeners.dedup_by_key(|listener| listener.port);
    if listeners.is_empty() {
        return Vec::new();
    }
    let processes = processes_of(proc, &listeners);
    listeners
        .into_iter()
        .map(|listener| Taken {
            port: listener.port,
            address: listener.address,
            process: processes.get(&listener.inode).cloned(),
            uid: listener.uid,
        })
        .collect()
}

/// The listening sockets of `/proc/net/tcp` or `/proc/net/tcp6`.
fn parse(table: &str) -> Vec<Listener> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (local, state) = (fields.get(1)?, fields.get(3)?);
            if *state != "0A" {
                return None;
            }
            let (address, port) = local.split_once(':')?;
            Some(Listener {
                address: address_of(address)?,
                port: u16::from_str_radix(port, 16).ok()?,
                uid: fields.get(7)?.parse().ok()?,
                inode: fields.get(9)?.parse().ok()?,
            })
        })
        .collect()
}

/// An address as the kernel prints it: words of 32 bits, each in the byte order of the machine.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// The processes that hold the sockets, by inode, as far as this user may look.
fn processes_of(proc: &Path, listeners: &[Listener]) -> HashMap<u64, Process> {
    let wanted: HashMap<String, u64> =
        listeners.iter().map(|listener| (format!("socket:[{}]", listener.inode), listener.inode)).collect();
    let mut found = HashMap::new();
    for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        for file in std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = std::fs::read_link(file.path()) else { continue };
            if let Some(inode) = target.to_str().and_then(|target| wanted.get(target)) {
                found.entry(*inode).or_insert_with(|| Process { pid, command: command_of(&entry.path()) });
            }
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    found
}

/// The command line of a process, at most 120 characters, without anything a terminal would act on.
fn command_of(process: &Path) -> String {
    let bytes = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
    let short: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    if short.is_empty() {
        return std::fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned();
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 4242 1 0 100 0
   1: 0100007F:1539 0100007F:A000 01 00000000:00000000 00:00000000 00000000   999        0 4243 1 0 100 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn only_listening_sockets_count() {
        let found = parse(TABLE);
        let expected = Listener { address: Ipv4Addr::LOCALHOST.into(), port: 5432, uid: 999, inode: 4242 };
        assert_eq!(found, [expected]);
        let six = address_of("00000000000000000000000001000000").unwrap();
        assert_eq!(six, Ipv6Addr::LOCALHOST);
    }

    /// Waits until `holds`: a child that another test starts has our sockets too, until it runs its program.
    fn eventually(holds: impl Fn() -> bool) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !holds() {
            assert!(std::time::Instant::now() < end, "it never came true");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn our_own_port_is_found_with_our_command_line() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = || taken(Path::new("/proc"), &[port]);
        eventually(|| {
            taken()
                .iter()
                .filter_map(|taken| taken.process.as_ref())
                .any(|process| process.pid == std::process::id() && process.command.contains("devenv"))
        });
        drop(listener);
        eventually(|| taken().is_empty());
    }
}
