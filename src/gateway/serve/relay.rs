//! Bytes, both ways, until both ends are done. A connection on which nothing happens holds no memory for it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at once: a bulk copy of a database fills it, and it stands on the stack.
const CHUNK: usize = 16 << 10;

/// Passes on what either end says until both have said all, or one breaks off.
pub(super) async fn relay<A, B>(near: &mut A, far: &mut B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Direction::default(), Direction::default());
    poll_fn(|context| {
        // Both are asked each time: either may be woken by what the other did.
        let there = there.poll(context, near, far)?;
        let back = back.poll(context, far, near)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// One way.
#[derive(Default)]
struct Direction {
    /// What was read and could not be written yet, and how much of it has been since.
    left: Vec<u8>,
    written: usize,
    /// Whether what was written may still be held back by the writer, as TLS does.
    flushes: bool,
    stage: Stage,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Passing,
    /// All was read; the other end is to be told.
    Ending,
    Done,
}

impl Direction {
    fn poll<R, W>(&mut self, context: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while self.written < self.left.len() {
                let written = ready!(Pin::new(&mut *to).poll_write(context, &self.left[self.written..]))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += written;
            }
            if !self.left.is_empty() {
                (self.left, self.written) = (Vec::new(), 0);
            }
            match self.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                Stage::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                    self.stage = Stage::Done;
                }
                Stage::Passing => match self.pass(context, from, to)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => {
                        if self.flushes {
                            ready!(Pin::new(&mut *to).poll_flush(context))?;
                            self.flushes = false;
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// Reads once, and writes that as far as it goes.
    fn pass<R, W>(&mut self, context: &mut Context<'_>, from: &mut R, to: &mut W) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        if Pin::new(from).poll_read(context, &mut chunk)?.is_pending() {
            return Ok(Poll::Pending);
        }
        let read = chunk.filled();
        if read.is_empty() {
            self.stage = Stage::Ending;
            return Ok(Poll::Ready(()));
        }
        let written = match Pin::new(to).poll_write(context, read)? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(written) => written,
            Poll::Pending => 0,
        };
        self.flushes = true;
        if written < read.len() {
            self.left.extend_from_slice(&read[written..]);
        }
        Ok(Poll::Ready(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn all_arrives_both_ways_though_little_fits_at_a_time() {
        let said: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        let (mut client, mut near) = duplex(100);
        let (mut far, mut server) = duplex(7000);
        let relayed = tokio::spawn(async move { relay(&mut near, &mut far).await });
        let asks = async {
            client.write_all(&said).await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let answers = async {
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            // It answers after the other end has said all.
            server.write_all(&heard[4..]).await.unwrap();
            drop(server);
            heard
        };
        let (answered, asked) = tokio::join!(asks, answers);
        assert!(asked == said && answered == said[4..]);
        relayed.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_said_at_once_both_ways_does_not_wait_for_the_other() {
        let (mut client, mut near) = duplex(64);
        let (mut far, mut server) = duplex(64);
        let relayed = tokio::spawn(async move { relay(&mut near, &mut far).await });
        let much = vec![7; 100_000];
        // Nobody reads before all is written, but for the relay, which holds one chunk each way.
        let (mut from_client, mut to_client) = tokio::io::split(&mut client);
        let (mut from_server, mut to_server) = tokio::io::split(&mut server);
        let read = |count| vec![0; count];
        let (mut one, mut two) = (read(much.len()), read(much.len()));
        let (a, b, c, d) = tokio::join!(
            to_client.write_all(&much),
            to_server.write_all(&much),
            from_client.read_exact(&mut one),
            from_server.read_exact(&mut two),
        );
        assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
        assert!(one == much && two == much);
        drop((client, server));
        let _ = relayed.await.unwrap();
    }

    #[tokio::test]
    async fn an_end_that_is_gone_ends_it() {
        let (client, mut near) = duplex(64);
        let (mut far, mut server) = duplex(64);
        drop(client);
        let relayed = tokio::spawn(async move { relay(&mut near, &mut far).await });
        server.write_all(b"hello").await.unwrap();
        assert!(relayed.await.unwrap().is_err());
    }
}
