//! Whose connection it is, where Node can't ask the socket.

use std::net::SocketAddr;

/// The addresses of a connection's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The peer's.
    pub remote: SocketAddr,
    /// This server's.
    pub local: SocketAddr,
}
