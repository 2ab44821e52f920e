//! What is listened on: the port of host names, ports that lead to one service, and those of environments that sleep.
//! All of it on the loopback, nothing beyond.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::super::memory::{Fixed, Protocol};
use super::super::table::Place;
use super::attempt::Aim;
use super::thrift::Thrift;
use super::{Gateway, hold, http, postgres, tcp, tls};

const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
/// The ports that are tried in turn where none is named.
const PLAIN: (u16, std::ops::Range<u16>) = (80, 8080..8100);
const SECURE: (u16, std::ops::Range<u16>) = (443, 8443..8463);

/// What a port is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Host names.
    Front,
    /// Host names, by TLS.
    Secure,
    /// One service of a project's current environment.
    Fixed(Fixed),
    /// A published port of an environment that sleeps.
    Vacant(Place, String, u16),
}

/// What is open.
#[derive(Default)]
pub(super) struct Listeners {
    open: tokio::sync::Mutex<BTreeMap<SocketAddr, (Kind, JoinHandle<()>)>>,
    front: Mutex<Option<u16>>,
    secure: Mutex<Option<u16>>,
    troubles: Mutex<BTreeMap<u16, String>>,
}

impl Listeners {
    /// The port of host names, once there is one.
    pub(super) fn front(&self) -> Option<u16> {
        *hold(&self.front)
    }

    /// The port of host names by TLS, once there is one and a certificate.
    pub(super) fn secure(&self) -> Option<u16> {
        *hold(&self.secure)
    }

    /// Why a port is not listened on.
    pub(super) fn trouble(&self, port: u16) -> Option<String> {
        hold(&self.troubles).get(&port).cloned()
    }
}

/// Finds the ports for host names that are not open yet: the one that is named, else the one of the last time, else a
/// usual one.
pub(super) async fn open_fronts(gateway: &Arc<Gateway>) {
    let memory = gateway.snapshot().memory.clone();
    let (mut plain, mut secure) = (gateway.listeners.front(), gateway.listeners.secure());
    if plain.is_none() {
        plain = free(gateway.options.port, memory.http_port, PLAIN).await;
        if plain.is_none() {
            gateway.note("no port for host names is free");
        }
    }
    if !gateway.tls.is_there() {
        secure = None;
    } else if secure.is_none() {
        secure = free(None, memory.https_port, SECURE).await;
        if secure.is_none() {
            gateway.note("no port for HTTPS is free");
        }
    }
    *hold(&gateway.listeners.front) = plain;
    *hold(&gateway.listeners.secure) = secure;
    let remembered = gateway.remember(|memory| {
        memory.http_port = plain.or(memory.http_port);
        memory.https_port = secure.or(memory.https_port);
    });
    if let Err(error) = remembered.await {
        gateway.note(format!("cannot remember the port: {error}"));
    }
}

async fn free(
    named: Option<u16>,
    remembered: Option<u16>,
    (usual, others): (u16, std::ops::Range<u16>),
) -> Option<u16> {
    let choices: Vec<u16> = match named {
        Some(port) => vec![port],
        None => remembered.into_iter().chain([usual]).chain(others).collect(),
    };
    for port in choices {
        if is_free(port).await {
            return Some(port);
        }
    }
    None
}

async fn is_free(port: u16) -> bool {
    for address in LOOPBACKS {
        match TcpListener::bind((address, port)).await {
            Ok(_) => {}
            Err(error) if is_absent(address, &error) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Whether this machine simply has no such loopback.
fn is_absent(address: IpAddr, error: &io::Error) -> bool {
    address.is_ipv6()
        && (error.kind() == io::ErrorKind::AddrNotAvailable || error.kind() == io::ErrorKind::Unsupported)
}

/// Tries again what could not be opened, for ever.
pub(super) async fn keep_open(gateway: Arc<Gateway>) {
    let mut thrift = Thrift::default();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if gateway.listeners.front().is_none()
            || gateway.listeners.secure().is_some() != gateway.tls.is_there()
        {
            open_fronts(&gateway).await;
        }
        reconcile(&gateway).await;
        gateway.pool.sweep();
        thrift.look(&gateway);
    }
}

/// Makes what is open what is to be open. When this ends, what is closed is closed.
// Named as it is because a connection may wake, waking opens and closes, and what is opened serves connections.
pub(super) fn reconcile(gateway: &Arc<Gateway>) -> BoxFuture<'_, ()> {
    Box::pin(make_so(gateway))
}

async fn make_so(gateway: &Arc<Gateway>) {
    let mut open = gateway.listeners.open.lock().await;
    let wanted = wanted(gateway);
    let gone: Vec<SocketAddr> = open
        .iter()
        .filter(|(address, (kind, task))| wanted.get(address) != Some(kind) || task.is_finished())
        .map(|(address, _)| *address)
        .collect();
    for address in gone {
        if let Some((_, task)) = open.remove(&address) {
            task.abort();
            // The socket is closed when the task is.
            let _ = task.await;
        }
    }
    let mut troubles = BTreeMap::new();
    for (address, kind) in wanted {
        if open.contains_key(&address) {
            continue;
        }
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let task = tokio::spawn(accept(Arc::clone(gateway), listener, kind.clone()));
                open.insert(address, (kind, task));
            }
            Err(error) if is_absent(address.ip(), &error) => {}
            Err(error) => {
                troubles.insert(address.port(), format!("{address}: {error}"));
            }
        }
    }
    *hold(&gateway.listeners.troubles) = troubles;
}

fn wanted(gateway: &Arc<Gateway>) -> BTreeMap<SocketAddr, Kind> {
    let snapshot = gateway.snapshot();
    let mut wanted = BTreeMap::new();
    let mut want = |port: u16, kind: &Kind| {
        for address in LOOPBACKS {
            wanted.entry(SocketAddr::new(address, port)).or_insert_with(|| kind.clone());
        }
    };
    if let Some(port) = gateway.listeners.front() {
        want(port, &Kind::Front);
    }
    if let Some(port) = gateway.listeners.secure() {
        want(port, &Kind::Secure);
    }
    for (port, fixed) in &snapshot.memory.ports {
        want(*port, &Kind::Fixed(fixed.clone()));
    }
    for (address, (place, service, target)) in snapshot.table.vacant(&snapshot.memory) {
        if !snapshot.waking.contains(&place) && !snapshot.falling.contains(&place) {
            wanted.entry(address).or_insert(Kind::Vacant(place, service, target));
        }
    }
    wanted
}

async fn accept(gateway: Arc<Gateway>, listener: TcpListener, kind: Kind) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of files or memory: what is open has to end first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        match &kind {
            Kind::Front => {
                tokio::spawn(http::serve_when_it_speaks(Arc::clone(&gateway), stream, http::Entry::Names));
            }
            Kind::Secure => {
                tokio::spawn(tls::serve(Arc::clone(&gateway), stream));
            }
            Kind::Fixed(fixed) => {
                let (gateway, fixed) = (Arc::clone(&gateway), fixed.clone());
                match fixed.protocol {
                    Protocol::Http => {
                        tokio::spawn(http::serve_when_it_speaks(gateway, stream, http::Entry::Fixed(fixed)));
                    }
                    Protocol::Tcp => {
                        tokio::spawn(tcp::serve(gateway, stream, fixed));
                    }
                    Protocol::Postgres => {
                        tokio::spawn(postgres::serve(gateway, stream, fixed));
                    }
                }
            }
            Kind::Vacant(place, service, target) => {
                let aim = Aim { place: place.clone(), service: service.clone(), port: Some(*target) };
                let mut held: Vec<TcpStream> = vec![stream];
                while let Some(Ok((more, _))) = listener.accept().now_or_never() {
                    held.push(more);
                }
                // The container is about to ask for this port.
                drop(listener);
                for stream in held {
                    tokio::spawn(tcp::splice(Arc::clone(&gateway), stream, aim.clone()));
                }
                return;
            }
        }
    }
}
