//! PostgreSQL's connections: the first message says where to, and after `ReadyForQuery` all is bytes. Passwords and
//! queries go by unseen.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::memory::Fixed;
use super::super::startup::{self, First, Refusal, Session, Wish, Word};
use super::super::table::Place;
use super::attempt::{Aim, Attempt, Refused, connect};
use super::relay::relay;
use super::{Gateway, Visit, hold, tcp};

/// How long a client may take to say where it wants to.
const FIRST: Duration = Duration::from_mins(1);
/// A message of a server that is looked at whole; longer ones are none of those.
const KEY: usize = 1 << 10;

/// A key that a client was given, and whose it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    server: SocketAddr,
    key: Vec<u8>,
}

/// Keys of sessions that are open. Each client has one that the gateway made: those of two servers may be the same.
#[derive(Default)]
pub(super) struct Cancels(Mutex<HashMap<Vec<u8>, Held>>);

/// Forgets a key when its session ends.
struct Given<'a> {
    cancels: &'a Cancels,
    key: Vec<u8>,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        hold(&self.cancels.0).remove(&self.key);
    }
}

impl Cancels {
    /// Makes a key of the same length that nobody else has.
    fn give(&self, server: SocketAddr, key: &[u8]) -> io::Result<Given<'_>> {
        loop {
            let mut made = vec![0; key.len()];
            rustix::rand::getrandom(&mut made, rustix::rand::GetRandomFlags::empty())?;
            // A process id is a positive number.
            made[0] &= 0x7f;
            let mut all = hold(&self.0);
            if !all.contains_key(&made) {
                all.insert(made.clone(), Held { server, key: key.to_vec() });
                return Ok(Given { cancels: self, key: made });
            }
        }
    }

    fn find(&self, key: &[u8]) -> Option<Held> {
        hold(&self.0).get(key).cloned()
    }
}

/// Serves a connection.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: TcpStream, fixed: Fixed) {
    // A client that went away has nobody to be told.
    let _ = greet(&gateway, stream, &fixed).await;
}

/// The first byte of TLS without a request for it (RFC 8446, 5.1: a handshake record).
const HANDSHAKE: u8 = 22;

async fn greet(gateway: &Arc<Gateway>, mut stream: TcpStream, fixed: &Fixed) -> io::Result<()> {
    let mut byte = [0];
    tokio::time::timeout(FIRST, stream.peek(&mut byte)).await??;
    let wants = byte[0] == HANDSHAKE || begin(gateway, &mut stream, fixed, gateway.tls.is_there()).await?;
    if wants {
        // Nothing was read ahead, so that nothing said in the clear is taken for what was said under TLS.
        let mut secure = gateway.tls.accept_postgres(stream).await?;
        begin(gateway, &mut secure, fixed, false).await?;
        secure.shutdown().await?;
    }
    Ok(())
}

/// Reads first messages until one begins something, and serves that; true where TLS was agreed on instead.
async fn begin<S>(gateway: &Arc<Gateway>, stream: &mut S, fixed: &Fixed, tls: bool) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let first = tokio::time::timeout(FIRST, first(stream)).await??;
        match first {
            Some(First::Tls) if tls => {
                stream.write_all(b"S").await?;
                return Ok(true);
            }
            Some(First::Tls | First::Gss) => {
                stream.write_all(b"N").await?;
                continue;
            }
            Some(First::Cancel(key)) => cancel(gateway, &key).await?,
            Some(First::Session(session)) => run(gateway, stream, fixed, session).await?,
            None => {
                let refusal = Refusal {
                    code: startup::NOT_UNDERSTOOD,
                    message: "this port speaks PostgreSQL's protocol, version 3".to_owned(),
                    hint: String::new(),
                };
                stream.write_all(&refusal.write()).await?;
            }
        }
        stream.flush().await?;
        return Ok(false);
    }
}

async fn first<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<First>> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if !(8..=startup::LONGEST).contains(&length) {
        return Ok(None);
    }
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await?;
    Ok(startup::read(&body).ok())
}

/// Passes on that a query is to be cancelled; there is no answer, whatever comes of it.
async fn cancel(gateway: &Arc<Gateway>, key: &[u8]) -> io::Result<()> {
    let Some(held) = gateway.cancels.find(key) else { return Ok(()) };
    let mut server = connect(held.server).await?;
    server.write_all(&startup::cancel(&held.key)).await?;
    // The server closes when it has done so, and the client waits for that.
    let mut rest = [0; 16];
    while server.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Serves a session.
async fn run<S>(gateway: &Arc<Gateway>, client: &mut S, fixed: &Fixed, mut session: Session) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let aim = match aim(gateway, fixed, &mut session) {
        Ok(aim) => aim,
        Err(refusal) => return client.write_all(&refusal.write()).await,
    };
    let visit: Visit = gateway.visit(&aim.place);
    let mut attempt = Attempt::new(gateway, &aim);
    let (mut server, address) = match attempt.connect().await {
        Ok(connected) => connected,
        Err(refused) => return client.write_all(&refusal(&aim, &refused).write()).await,
    };
    server.write_all(&session.write()).await?;
    let _given = until_ready(gateway, client, &mut server, address).await?;
    let result = relay(client, &mut server).await;
    drop(visit);
    result
}

/// Where a session wants to.
fn aim(gateway: &Arc<Gateway>, fixed: &Fixed, session: &mut Session) -> Result<Aim, Refusal> {
    let snapshot = gateway.snapshot();
    let environments = snapshot.table.environments(&fixed.project);
    let named = |name: &str| snapshot.table.named(&fixed.project, name, &snapshot.memory);
    let hint = || format!("environments of {}: {}", fixed.project, environments.join(", "));
    let refused = |message: String| Refusal { code: startup::NO_SUCH, message, hint: hint() };
    match session.take_wish(|name| named(name).is_some()) {
        Wish::Current => tcp::aim(gateway, fixed)
            .ok_or_else(|| refused(format!("no environment of `{}` is the current one", fixed.project))),
        Wish::Named(name) => match named(&name) {
            Some(environment) => Ok(Aim {
                place: Place::new(&fixed.project, &environment),
                service: fixed.service.clone(),
                port: Some(fixed.container_port),
            }),
            None => Err(refused(format!(
                "`{}` has no environment `{name}`, and none that works on a branch of that name",
                fixed.project
            ))),
        },
    }
}

fn refusal(aim: &Aim, refused: &Refused) -> Refusal {
    let Aim { place, service, .. } = aim;
    let up = "start it with `devenv up`".to_owned();
    let (message, hint) = match refused {
        Refused::Stopped => (format!("{place} was stopped"), up),
        Refused::NoPort => (format!("{service} of {place} has no such port"), String::new()),
        Refused::Starting => (format!("{service} of {place} is not up (yet)"), up),
        Refused::Silent(address) => (
            format!("nothing answers for {service} of {place} at {address}"),
            "`devenv logs` says why".to_owned(),
        ),
        Refused::Asleep(why) => (format!("{place} could not be woken: {why}"), up),
    };
    Refusal { code: startup::NOT_NOW, message, hint }
}

/// Passes everything on, both ways, until the server is ready for the first query; the key that it gives is replaced.
async fn until_ready<'a, S>(
    gateway: &'a Gateway,
    client: &mut S,
    server: &mut TcpStream,
    address: SocketAddr,
) -> io::Result<Option<Given<'a>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut given = None;
    let (mut from_server, mut from_client) = (Vec::with_capacity(1024), vec![0; 4096]);
    // Bytes of a message that is passed on as it comes.
    let mut passing = 0_usize;
    loop {
        tokio::select! {
            read = server.read_buf(&mut from_server) => {
                if read? == 0 {
                    client.write_all(&from_server).await?;
                    return Ok(given);
                }
                let mut out = Vec::with_capacity(from_server.len());
                let mut ready = false;
                loop {
                    let now = passing.min(from_server.len());
                    out.extend(from_server.drain(..now));
                    passing -= now;
                    if passing > 0 || ready {
                        break;
                    }
                    let Some(word) = startup::word(&from_server) else { break };
                    match word {
                        Word::Key(length) if (13..=KEY).contains(&length) => {
                            if from_server.len() < length {
                                break;
                            }
                            let key: Vec<u8> = from_server.drain(..length).collect();
                            let replaced = gateway.cancels.give(address, &key[5..])?;
                            out.extend_from_slice(&key[..5]);
                            out.extend_from_slice(&replaced.key);
                            given = Some(replaced);
                        }
                        Word::Ready(length) => {
                            ready = true;
                            passing = length;
                        }
                        other => passing = other.length(),
                    }
                }
                if ready && passing == 0 {
                    // Whatever else has come belongs to what follows.
                    out.append(&mut from_server);
                }
                client.write_all(&out).await?;
                client.flush().await?;
                if ready && passing == 0 {
                    return Ok(given);
                }
            }
            read = client.read(&mut from_client) => {
                let length = read?;
                if length == 0 {
                    client.write_all(&from_server).await?;
                    server.shutdown().await?;
                    return Ok(given);
                }
                server.write_all(&from_client[..length]).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_given_once_and_forgotten() {
        let cancels = Cancels::default();
        let server = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let first = cancels.give(server(1), &[0, 0, 0, 1, 9, 9, 9, 9]).unwrap();
        let second = cancels.give(server(2), &[0, 0, 0, 1, 9, 9, 9, 9]).unwrap();
        assert_ne!(first.key, second.key);
        assert_eq!(cancels.find(&first.key).unwrap().server, server(1));
        assert_eq!(cancels.find(&second.key).unwrap().key, [0, 0, 0, 1, 9, 9, 9, 9]);
        let key = first.key.clone();
        drop(first);
        assert_eq!(cancels.find(&key), None);
    }
}
