//! An encrypted connection that is Node's: Node gets one end of a pair of sockets, and this server carries what comes
//! between the other end and the peer.
//!
//! Each direction holds one buffer and reads no further before that is written, so a side that reads slowly slows the
//! other down, through the buffers of the sockets. An end of either side is passed on as what it is: the end of what it
//! sends, or of the connection. That a peer is lost, Node asks for when its socket ends: a pair knows no reset.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::addresses::{Origin, Secured};
use super::descriptor::Descriptor;
use super::linger::discard;
use crate::events::Event;
use crate::shared::Shared;
use crate::stream::Stream;

/// What is carried at once: a record of TLS holds as much (RFC 8446, section 5.1).
const BUFFER_BYTES: usize = 16 << 10;
/// How often this side looks whether Node has closed its end, while nothing else would show it.
const LOOK: Duration = Duration::from_millis(200);
/// How long a peer may take nothing of what Node left for it when it closed its end.
const LEFT_BEHIND_TIMEOUT: Duration = Duration::from_secs(30);

/// Hands one end of a pair over to Node, and carries until the connection is over.
///
/// # Errors
/// If there are no sockets for a pair, or the peer is gone already.
pub async fn give(shared: &Arc<Shared>, stream: Stream, head: Bytes) -> io::Result<()> {
    // `stop` waits until what Node has sent has left. A server that stops hands nothing more to Node.
    let Some(alive) = shared.alive() else { return Ok(()) };
    let origin = Origin::of(&stream)?;
    let is_lost = Arc::new(AtomicBool::new(false));
    let (own, nodes) = StdUnixStream::pair()?;
    own.set_nonblocking(true)?;
    nodes.set_nonblocking(true)?;
    let own = UnixStream::from_std(own)?;
    let secured = Some(Box::new(Secured { origin, is_lost: Arc::clone(&is_lost) }));
    shared.events.push(Event::Connection { socket: Descriptor::of_pair(nodes), head, secured });
    let (mut from_peer, mut to_peer) = split(stream);
    match carry_both(&own, &mut from_peer, &mut to_peer).await {
        Over::Ended => {}
        Over::Lost => is_lost.store(true, Ordering::SeqCst),
        Over::NodeLeft => {
            drop((alive, own));
            // So that the peer can read what it was sent last.
            discard(&mut from_peer).await;
        }
    }
    Ok(())
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    /// Both sides said all they had to say.
    Ended,
    /// The peer broke off.
    Lost,
    /// Node has closed its end. The peer has been sent all, and that nothing more comes, or took too long for it.
    NodeLeft,
}

async fn carry_both(node: &UnixStream, from_peer: &mut ReadHalf<Stream>, to_peer: &mut WriteHalf<Stream>) -> Over {
    let mut inbound = pin!(async {
        let end = carry(from_peer, &mut NodeEnd(node), None).await;
        if end == End::Source {
            NodeEnd(node).shutdown().await.ok();
        }
        end
    });
    let mut outbound = pin!(async {
        let end = carry(&mut NodeEnd(node), to_peer, Some(node)).await;
        // Node closes its end in both cases; in the second it has not read all.
        if end != End::Target && timeout(LEFT_BEHIND_TIMEOUT, to_peer.shutdown()).await.is_err() {
            return End::Target;
        }
        end
    });
    let mut peer_has_ended = false;
    loop {
        tokio::select! {
            end = &mut inbound, if !peer_has_ended => match end {
                End::Lost => return Over::Lost,
                // The peer may have asked something, and wait for the answer; or Node reads nothing more, and what it
                // sends is carried to its end.
                End::Source | End::Target => peer_has_ended = true,
            },
            end = &mut outbound => {
                if has_left(node) {
                    return Over::NodeLeft;
                }
                match end {
                    End::Source if !peer_has_ended => break,
                    End::Source | End::Lost => return Over::Ended,
                    End::Target => return Over::Lost,
                }
            }
        }
    }
    // Node has said that it sends nothing more, and may still read.
    loop {
        if has_left(node) {
            return Over::NodeLeft;
        }
        match timeout(LOOK, &mut inbound).await {
            Ok(End::Lost) => return Over::Lost,
            Ok(End::Source | End::Target) => return Over::Ended,
            Err(_) => {}
        }
    }
}

/// Why nothing more is carried in one direction.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The source has ended.
    Source,
    /// The source is lost.
    Lost,
    /// The target takes nothing more.
    Target,
}

/// Carries until there is an end. A target that takes nothing is given up some time after `source_node` was closed.
async fn carry(
    source: &mut (impl AsyncRead + Unpin),
    target: &mut (impl AsyncWrite + Unpin),
    source_node: Option<&UnixStream>,
) -> End {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = match source.read(&mut buffer).await {
            Ok(0) => return End::Source,
            Ok(length) => length,
            // TLS that ends without saying so: as an end of TCP, which says no more.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return End::Source,
            Err(_) => return End::Lost,
        };
        let mut write = pin!(async {
            target.write_all(&buffer[..length]).await?;
            target.flush().await
        });
        let written = loop {
            match timeout(LEFT_BEHIND_TIMEOUT, &mut write).await {
                Ok(written) => break written,
                Err(_) if source_node.is_some_and(has_left) => return End::Target,
                Err(_) => {}
            }
        };
        if written.is_err() {
            return End::Target;
        }
    }
}

/// Whether Node has closed its end, and not only said that it sends nothing more.
fn has_left(node: &UnixStream) -> bool {
    let mut ready = pin!(node.ready(Interest::READABLE | Interest::WRITABLE));
    let polled = ready.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Ready(Ok(ready)) if ready.is_write_closed())
}

/// This server's end of the pair. Both directions use it at once, and so does what watches over them.
struct NodeEnd<'a>(&'a UnixStream);

impl AsyncRead for NodeEnd<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|length| buffer.advance(length))),
            }
        }
    }
}

impl AsyncWrite for NodeEnd<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.0).shutdown(Shutdown::Write))
    }
}
