//! What the clients' sockets pass on, and to whom: the fleet knows no work, and asks this instead.

use std::time::Instant;

use crate::connection::Outbox;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// As workers do.
    WebSocket,
    /// HTTP/1.1 on connections that are kept.
    Http,
}

/// Takes what arrives.
pub trait Consumer {
    /// What the clients speak.
    fn protocol(&self) -> Protocol {
        Protocol::WebSocket
    }

    /// A message came to a registered worker. Returns false if it is none that should come.
    fn message(&mut self, _index: usize, _out: &mut Outbox, _payload: &[u8], _now: Instant) -> bool {
        false
    }

    /// Bytes came on an HTTP connection. Returns how many answers in them were none that should come.
    fn bytes(&mut self, _index: usize, _out: &mut Outbox, _bytes: &[u8]) -> u64 {
        0
    }
}
