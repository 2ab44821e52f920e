//! Which environments are put to sleep: a decision from facts and a clock that is handed in.

use std::collections::BTreeSet;
use std::time::Duration;

use super::memory::Span;
use super::table::Place;

/// What is known of one environment. Times are those of one clock that never goes back and stands still while the
/// machine sleeps, so that no suspended laptop and no changed date puts anything to sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Which.
    pub place: Place,
    /// Whether devenv made it; nothing else is put to sleep unless somebody asked for it.
    pub ours: bool,
    /// Whether any of it runs.
    pub running: bool,
    /// Whether a port of this machine leads to it, so that it has traffic that the gateway does not see.
    pub published: bool,
    /// What was said of it, or of its project.
    pub said: Option<Span>,
    /// What holds where nothing was said.
    pub usual: Span,
    /// Requests and connections that are open.
    pub open: usize,
    /// When it last had traffic, or was started.
    pub last: Duration,
    /// Whether it is being woken or put to sleep.
    pub busy: bool,
}

/// After how long without traffic it is put to sleep; none for never. What is usual holds for what devenv made and the
/// gateway sees all traffic of; everything else sleeps only where somebody said so of it.
#[must_use]
pub fn span(facts: &Facts) -> Option<Duration> {
    let usual = (facts.ours && !facts.published).then_some(facts.usual);
    match facts.said.or(usual)? {
        Span::Never => None,
        Span::Seconds(seconds) => Some(Duration::from_secs(seconds)),
    }
}

/// The environments to put to sleep now.
#[must_use]
pub fn decide(now: Duration, all: &[Facts]) -> BTreeSet<Place> {
    let due = |facts: &&Facts| {
        let quiet = now.saturating_sub(facts.last);
        facts.running && !facts.busy && facts.open == 0 && span(facts).is_some_and(|span| quiet >= span)
    };
    all.iter().filter(due).map(|facts| facts.place.clone()).collect()
}

/// Bytes that containers of one environment received and sent in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

/// Less than this is what a network says to itself (ARP, neighbour discovery) in some minutes.
const MURMUR: u64 = 4096;

/// Whether an environment spoke to anybody outside between two measurements. What its containers say to one another
/// is sent by one and received by another, so that it is in both sums; what goes in or out is in one of them.
#[must_use]
pub fn had_visitors(before: Moved, after: Moved) -> bool {
    if after.received < before.received || after.sent < before.sent {
        // A container was started anew: its counters begin again.
        return true;
    }
    let (received, sent) = (after.received - before.received, after.sent - before.sent);
    received.abs_diff(sent) > MURMUR
}

/// Whether anybody on this machine is connected to one of these ports, or was a minute ago, by the kernel's table of
/// connections (`proc_pid_net(5)`, `/proc/net/tcp` and `tcp6`). Little that is said both ways is in no sum of bytes.
#[must_use]
pub fn is_connected(table: &str, ports: &BTreeSet<u16>) -> bool {
    /// `TCP_LISTEN` (Linux, `include/net/tcp_states.h`).
    const LISTENS: &str = "0A";
    /// `127.0.0.1`, `::1`, and the first of them as the second writes it.
    const LOOPBACKS: [&str; 3] =
        ["0100007F:", "00000000000000000000000001000000:", "0000000000000000FFFF00000100007F:"];
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (Some(local), Some(remote), Some(state)) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        let is_ours = |end: &str| {
            let port = end.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            port.is_some_and(|port| ports.contains(&port))
        };
        // Of a connection that is over, only the end that closed it first is remembered.
        let is_here = LOOPBACKS.iter().any(|address| remote.starts_with(address));
        state != LISTENS && (is_ours(local) || (is_here && is_ours(remote)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::memory::IDLE;
    use super::*;

    fn facts(said: Option<Span>) -> Facts {
        Facts {
            place: Place::new("shop", "main"),
            ours: true,
            running: true,
            published: false,
            said,
            usual: Span::Seconds(IDLE),
            open: 0,
            last: Duration::from_secs(100),
            busy: false,
        }
    }

    #[test]
    fn four_hours_unless_something_else_was_said() {
        let sleeps = |facts: &Facts, after: u64| {
            !decide(Duration::from_secs(100 + after), std::slice::from_ref(facts)).is_empty()
        };
        assert!(!sleeps(&facts(None), IDLE - 1) && sleeps(&facts(None), IDLE));
        assert!(sleeps(&facts(Some(Span::Seconds(5))), 5));
        assert!(!sleeps(&facts(Some(Span::Never)), 10 * IDLE));
        assert!(!sleeps(&Facts { published: true, ..facts(None) }, 10 * IDLE), "its traffic is not all seen");
        assert!(sleeps(&Facts { published: true, ..facts(Some(Span::Seconds(5))) }, 5), "somebody asked");
        assert!(!sleeps(&Facts { ours: false, ..facts(None) }, 10 * IDLE), "not ours");
        let soon = Facts { usual: Span::Seconds(1), ..facts(None) };
        assert!(sleeps(&soon, 1));
        for left_alone in [Facts { ours: false, ..soon.clone() }, Facts { published: true, ..soon }] {
            assert!(!sleeps(&left_alone, 10 * IDLE), "what is usual is said of neither");
        }
    }

    #[test]
    fn visitors_are_told_from_a_stack_that_talks_to_itself() {
        let moved = |received, sent| Moved { received, sent };
        assert!(!had_visitors(moved(0, 0), moved(5_000_000, 5_000_300)));
        assert!(had_visitors(moved(0, 0), moved(20_000, 2_000)));
        assert!(had_visitors(moved(90, 90), moved(10, 10)), "started anew");
    }

    #[test]
    fn connections_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   \
                     1: 0100007F:0050 0100007F:D431 06 00000000:00000000\n   \
                     2: 0100007F:C350 0200000A:1538 01 00000000:00000000\n   \
                     3: 0100007F:C351 0100007F:1F91 06 00000000:00000000\n   4: cut\n";
        let ports = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
        assert!(is_connected(table, &ports(&[80, 1])), "a moment ago");
        assert!(!is_connected(table, &ports(&[8080])), "somebody only listens");
        assert!(!is_connected(table, &ports(&[5432])), "of another machine");
        assert!(is_connected(table, &ports(&[8081])), "closed by who asked");
        assert!(is_connected(table, &ports(&[50000])));
        assert!(!is_connected("", &ports(&[80])));
    }

    proptest! {
        #[test]
        fn nothing_that_is_used_or_excepted_sleeps(
            now in 0_u64..1_000_000, last in 0_u64..1_000_000, open in 0_usize..3, usual in 0_u64..50_000, flags in any::<[bool; 4]>(),
            said in prop_oneof![Just(None), Just(Some(Span::Never)), (0_u64..50_000).prop_map(|s| Some(Span::Seconds(s)))],
        ) {
            let [ours, running, published, busy] = flags;
            let it = Facts {
                place: Place::new("a", "b"), ours, running, published,
                said,
                usual: Span::Seconds(usual),
                open,
                last: Duration::from_secs(last), busy,
            };
            let sleeps = !decide(Duration::from_secs(now), std::slice::from_ref(&it)).is_empty();
            if open > 0 || !running || busy || said == Some(Span::Never) || (said.is_none() && (!ours || published)) {
                prop_assert!(!sleeps);
            }
            // Time only ever makes it likelier, and a clock that seems to go back wakes nobody and lulls nobody.
            if sleeps {
                prop_assert!(!decide(Duration::from_secs(now + 1), std::slice::from_ref(&it)).is_empty());
                let at_once = said.map_or(usual == 0, |said| said == Span::Seconds(0));
                prop_assert!(now >= last || at_once);
            }
        }
    }
}
