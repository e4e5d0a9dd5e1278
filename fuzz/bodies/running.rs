//! A server that runs for all inputs of a target, and connections to it that need no port.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::slice::Chunks;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use worker_server::Server;
use worker_server::accept::addresses::{Addresses, Origin};
use worker_server::events::Event;
use worker_server_core::config::ServerConfig;

/// How long an end may take. libFuzzer reports a slow input earlier.
pub const DEADLINE: Duration = Duration::from_secs(15);

const HEAD: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The server, and the bell that its wake rings.
pub struct Running {
    pub server: Server,
    bell: Arc<(Mutex<bool>, Condvar)>,
}

impl Running {
    pub fn start(config: ServerConfig) -> Self {
        let bell = Arc::new((Mutex::new(false), Condvar::new()));
        let rings = Arc::clone(&bell);
        let wake = move || {
            *rings.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            rings.1.notify_one();
        };
        Self { server: Server::start(config, wake).expect("the server starts"), bell }
    }

    /// The peer's end of a connection on which `early` has come together with the handshake.
    pub fn connect(&self, early: &[u8]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let head = [HEAD.as_bytes(), early].concat();
        let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let origin = Origin { addresses: Addresses { remote: unspecified, local: unspecified }, security: None };
        // A socket is a socket: this spares a TCP connection, and its port, for every input.
        // SAFETY: `theirs` is open.
        unsafe { self.server.take_back(theirs.as_raw_fd(), &head, Some(origin)) }.expect("the server takes it");
        ours.set_nonblocking(true).expect("a socket that does not block");
        ours
    }

    /// Waits for the server to wake the application, for `patience` at most. False if it has not.
    pub fn wait(&self, patience: Duration) -> bool {
        let (rang, bell) = &*self.bell;
        let mut rang = rang.lock().unwrap_or_else(PoisonError::into_inner);
        if !*rang {
            rang = bell.wait_timeout(rang, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::replace(&mut *rang, false)
    }

    /// Has the application handle all that waits for it.
    pub fn drain(&self, mut handle: impl FnMut(Event)) {
        self.server.flush();
        loop {
            let events = self.server.drain(512, 1 << 20, false, false).0;
            if events.is_empty() {
                break;
            }
            events.into_iter().for_each(&mut handle);
        }
    }
}

/// What comes behind the handshake, in pieces of that size (0: all at once).
pub fn pieces(bytes: &[u8], size: u8) -> Chunks<'_, u8> {
    match usize::from(size) {
        0 => bytes.chunks(usize::MAX),
        size => bytes.chunks(size),
    }
}

/// The peer sends nothing more.
pub fn shut(socket: &UnixStream) {
    // It may have been shut already.
    socket.shutdown(Shutdown::Write).ok();
}

/// Reads what there is.
pub fn read_some(mut socket: &UnixStream, received: &mut Vec<u8>) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = socket.read(&mut bytes) {
        received.extend_from_slice(&bytes[..length]);
    }
}

/// Reads until the server has closed its socket.
pub fn read_to_end(mut socket: &UnixStream, received: &mut Vec<u8>) {
    socket.set_nonblocking(false).expect("a socket that blocks");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket with a timeout");
    if let Err(error) = socket.read_to_end(received) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server closes its socket");
    }
}
