//! Getting to a container: waits for what is on its way, wakes what sleeps, and says why when there is no way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::super::table::{Place, Way};
use super::{Gateway, HOLD, waker, watch};

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aim {
    pub(super) place: Place,
    pub(super) service: String,
    /// The container's port; none for the one that speaks HTTP.
    pub(super) port: Option<u16>,
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// Somebody stopped it.
    Stopped,
    /// It has no port that could be meant.
    NoPort,
    /// It is still on its way.
    Starting,
    /// Nothing answers at its address.
    Silent(SocketAddr),
    /// It could not be woken.
    Asleep(String),
}

/// How long a service that has been up for a while may refuse connections, as one that restarts itself does.
const HICCUP: Duration = Duration::from_secs(2);
/// How long the kernel may take to connect on this machine.
const CONNECT: Duration = Duration::from_secs(2);

/// One try after the other.
pub(super) struct Attempt<'a> {
    gateway: &'a Arc<Gateway>,
    aim: &'a Aim,
    began: Instant,
    tries: u32,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(gateway: &'a Arc<Gateway>, aim: &'a Aim) -> Self {
        Self { gateway, aim, began: Instant::now(), tries: 0 }
    }

    /// The container and its address, as soon as it is one to connect to.
    pub(super) async fn way(&mut self) -> Result<(String, SocketAddr), Refused> {
        let (mut asked, mut woken) = (false, false);
        let mut turned = self.gateway.turned.subscribe();
        loop {
            turned.borrow_and_update();
            let snapshot = self.gateway.snapshot();
            let Aim { place, service, port } = self.aim;
            let turn = self.gateway.turn.fetch_add(1, Ordering::Relaxed);
            let mut way = snapshot.table.way(place, service, *port, &snapshot.memory, turn);
            if snapshot.falling.contains(place) {
                way = Way::Wait;
            } else if snapshot.waking.contains(place) && !woken {
                // What runs may not be ready: whoever wakes it knows.
                way = Way::Wake;
            }
            let refused = match way {
                Way::To { container, address } => return Ok((container, address)),
                Way::NoPort => return Err(Refused::NoPort),
                Way::Wake => {
                    waker::wake(self.gateway, place, service).await.map_err(Refused::Asleep)?;
                    // That took as long as it takes; what is held from now on is held anew.
                    self.began = Instant::now();
                    if !woken {
                        woken = true;
                        continue;
                    }
                    Refused::Starting
                }
                Way::Wait => Refused::Starting,
                Way::Stopped => Refused::Stopped,
            };
            let left = HOLD.saturating_sub(self.began.elapsed());
            if !snapshot.falling.contains(place) && (!self.is_changing() || left.is_zero()) {
                if asked {
                    return Err(refused);
                }
                // What a command has just done may be told a little later than it answers.
                asked = true;
                watch::look(self.gateway).await;
                continue;
            }
            // Looked at again even if nothing turns, for the end of the change.
            let _ = tokio::time::timeout(left.min(Duration::from_millis(100)), turned.changed()).await;
        }
    }

    /// A connection was refused: waits a little, or gives up.
    pub(super) async fn failed(&mut self, address: SocketAddr) -> Result<(), Refused> {
        let patience = if self.is_changing() { HOLD } else { HICCUP };
        if self.began.elapsed() >= patience {
            return Err(if patience == HOLD { Refused::Starting } else { Refused::Silent(address) });
        }
        self.tries += 1;
        let pause = Duration::from_millis(u64::from(self.tries.min(10)) * 5);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// A connection.
    pub(super) async fn connect(&mut self) -> Result<(TcpStream, SocketAddr), Refused> {
        loop {
            let (_, address) = self.way().await?;
            match connect(address).await {
                Ok(stream) => return Ok((stream, address)),
                Err(_) => self.failed(address).await?,
            }
        }
    }

    fn is_changing(&self) -> bool {
        self.gateway.snapshot().is_changing(&self.aim.place, self.gateway.now())
    }
}

/// Connects, without waiting to fill packets.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
