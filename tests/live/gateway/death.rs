//! An engine that dies under the gateway: one of the test's own, on a machine of its own.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{exchange, gateway_of_its_own};
use crate::machine::Machine;
use crate::site::{Run, until};
use crate::stacks::WEB;

const PORT: u16 = 8099;

#[test]
fn the_engine_dies_and_what_ran_is_woken_by_the_next_request() {
    let machine = Machine::new();
    let mut site = machine.site("gwdeath", WEB, 0);
    gateway_of_its_own(&mut site);
    let network = format!("/proc/{}/ns/net", machine.first_process());
    // Commands, and requests, of somebody on that machine.
    let devenv = |words: &str| -> Run {
        let mut command = site.program("nsenter");
        command.arg(format!("--net={network}")).arg(env!("CARGO_BIN_EXE_devenv")).args(words.split(' '));
        Run::new(words, &command.output().unwrap())
    };
    let host = format!("web.{}.localhost", site.name);
    let get = || -> Option<(u16, String)> {
        let (network, host) = (network.clone(), host.clone());
        let asked = std::thread::spawn(move || {
            let file = File::open(network).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let mut stream = TcpStream::connect(("127.0.0.1", PORT)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
            stream.flush().ok()?;
            Some(exchange(
                &mut stream,
                &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            ))
        });
        asked.join().unwrap()
    };
    devenv(&format!("gateway up --port {PORT}")).exits(0);
    devenv("up").exits(0);
    let answered = Some((200, "web".to_owned()));
    assert_eq!(get(), answered);

    machine.kill_engine();
    devenv("status").exits(4);
    machine.start_engine();
    // Whether it starts anything again is its own affair: the next command does, and the next request wakes the rest.
    devenv("gateway status").exits(0);
    until("it is answered again", || (get() == answered).then_some(()));
    devenv("up").exits(0);
    assert_eq!(get(), answered);
}
