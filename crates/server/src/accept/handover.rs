//! The one seam where the operating system matters: giving an accepted connection to Node, and (see
//! [`super::descriptor`]) taking one back.
//!
//! On Unix its file descriptor changes hands, and this server has nothing more to do with it; of an encrypted one that
//! of a socket whose other end this server keeps, see [`super::socket_pair`]. Where Node can't be given one (Windows),
//! the connection stays here and its bytes are relayed to a loopback port on which Node listens for them; Node asks for
//! the real addresses by the port that the relay came from.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpSocket;

use super::addresses::Origin;
use super::descriptor::Descriptor;
use crate::events::Event;
use crate::shared::Shared;
use crate::stream::Stream;

/// Hands a connection over to Node, with what was read of it. Returns when this server has no more part in it.
///
/// # Errors
/// If the connection can't be given; it is lost then.
pub async fn give(shared: &Arc<Shared>, stream: Stream, head: Bytes) -> io::Result<()> {
    match (shared.config.relay_port, stream) {
        (Some(port), stream) => relay(shared, stream, &head, port).await,
        (None, Stream::Plain(stream)) => {
            let socket = Descriptor::of(stream)?;
            shared.events.push(Event::Connection { socket, head, secured: None });
            Ok(())
        }
        #[cfg(unix)]
        (None, stream) => super::socket_pair::give(shared, stream, head).await,
        #[cfg(not(unix))]
        (None, Stream::Tls(_)) => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn relay(shared: &Arc<Shared>, mut outer: Stream, head: &[u8], port: u16) -> io::Result<()> {
    let origin = Arc::new(Origin::of(&outer)?);
    let socket = TcpSocket::new_v4()?;
    // Bound before it connects, so that Node finds the address however soon it accepts.
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let own_port = socket.local_addr()?.port();
    shared.relayed.lock().insert(own_port, origin);
    let relayed = async {
        let mut inner = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        inner.set_nodelay(true)?;
        inner.write_all(head).await?;
        // When either side ends, the other sees the end of its socket.
        if copy_bidirectional(&mut outer, &mut inner).await.is_err() {
            // A peer that broke off has not just said all it had to say: Node sees a reset too.
            SockRef::from(&inner).set_linger(Some(Duration::ZERO)).ok();
        }
        Ok(())
    };
    let result = relayed.await;
    shared.relayed.lock().remove(&own_port);
    result
}
