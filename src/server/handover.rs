//! The one seam where the operating system matters: giving an accepted connection to Node, and taking one back.
//!
//! On Unix its file descriptor changes hands, and this server has nothing more to do with it. Where Node can't be given
//! one (Windows), the connection stays here and its bytes are relayed to a loopback port on which Node listens for
//! them; Node asks for the real addresses by the port that the relay came from.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpSocket, TcpStream};

use super::events::Event;
use super::shared::Shared;

#[cfg(unix)]
pub use unix::{Descriptor, take_back};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::net::TcpStream as StdStream;
    use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};

    use tokio::net::TcpStream;

    /// A socket on its way to Node. Dropped on the way, it is closed.
    #[derive(Debug)]
    pub struct Descriptor(OwnedFd);

    impl Descriptor {
        pub(in crate::server) fn of(stream: TcpStream) -> io::Result<Self> {
            Ok(Self(stream.into_std()?.into()))
        }

        /// Gives the file descriptor, for `new net.Socket({ fd })`. Whoever takes it must close it.
        pub fn into_raw(self) -> RawFd {
            self.0.into_raw_fd()
        }
    }

    /// Takes a connection back from Node, by the descriptor of its socket. Node keeps, and closes, its own. Must be
    /// called within the runtime.
    ///
    /// # Errors
    /// If the descriptor is not open, or too many are.
    pub fn take_back(fd: RawFd) -> io::Result<TcpStream> {
        if fd < 0 {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // SAFETY: the caller holds the socket that owns `fd` open for the length of this call.
        let owned = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        let stream = StdStream::from(owned);
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }
}

/// Where there are no descriptors to exchange, everything is relayed.
#[cfg(not(unix))]
mod elsewhere {
    use std::convert::Infallible;
    use std::io;

    use tokio::net::TcpStream;

    /// There is none on this platform.
    #[derive(Debug)]
    pub struct Descriptor(Infallible);

    impl Descriptor {
        pub(super) fn of(_: TcpStream) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Never called: there is none.
        pub fn into_raw(self) -> i32 {
            match self.0 {}
        }
    }

    /// Not possible on this platform.
    ///
    /// # Errors
    /// Always.
    pub fn take_back(_: i32) -> io::Result<TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(unix))]
pub use elsewhere::{Descriptor, take_back};

/// Gives a connection to Node, with what was read of it. Ends when this server has no more part in it.
///
/// # Errors
/// If the connection can't be given; it is lost then.
pub async fn give(shared: &Arc<Shared>, stream: TcpStream, head: Bytes) -> io::Result<()> {
    match shared.config.relay_port {
        None => {
            let socket = Descriptor::of(stream)?;
            shared.events.push(Event::Connection { socket, head });
            Ok(())
        }
        Some(port) => relay(shared, stream, &head, port).await,
    }
}

/// The addresses of a connection's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The peer's.
    pub remote: SocketAddr,
    /// This server's.
    pub local: SocketAddr,
}

async fn relay(shared: &Arc<Shared>, mut outer: TcpStream, head: &[u8], port: u16) -> io::Result<()> {
    let ends = Ends { remote: outer.peer_addr()?, local: outer.local_addr()? };
    let socket = TcpSocket::new_v4()?;
    // Bound before it connects, so that Node finds the address however soon it accepts.
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let own_port = socket.local_addr()?.port();
    shared.relayed.lock().insert(own_port, ends);
    let relayed = async {
        let mut inner = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        inner.set_nodelay(true)?;
        inner.write_all(head).await?;
        // Whichever side breaks off, the other sees it by the end of its socket.
        copy_bidirectional(&mut outer, &mut inner).await.ok();
        Ok(())
    };
    let result = relayed.await;
    shared.relayed.lock().remove(&own_port);
    result
}
