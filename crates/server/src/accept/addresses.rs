//! Whose connection it is, where Node can't ask the socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::stream::Stream;
use crate::tls::peer_security::PeerSecurity;

/// The addresses of a connection's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The peer's.
    pub remote: SocketAddr,
    /// This server's.
    pub local: SocketAddr,
}

/// Whose connection it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it comes from.
    pub addresses: Addresses,
    /// What the handshake has shown; `None` if the connection is plain.
    pub security: Option<PeerSecurity>,
}

impl Origin {
    /// # Errors
    /// If the connection is gone.
    pub fn of(stream: &Stream) -> io::Result<Self> {
        let tcp = stream.tcp();
        let addresses = Addresses { remote: tcp.peer_addr()?, local: tcp.local_addr()? };
        Ok(Self { addresses, security: stream.security() })
    }
}

/// An encrypted connection that Node gets one end of a pair for.
#[derive(Debug)]
pub struct Secured {
    /// Whose it is.
    pub origin: Origin,
    /// Whether the peer was lost: known when Node reads the end of its socket.
    pub is_lost: Arc<AtomicBool>,
}
