//! One client's socket: what is read from it in bulk, and what waits to be written.

use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use mio::net::TcpStream;

use crate::frame::{self, Frames};

/// What waits to be written: single messages first, then a piece that may be repeated.
#[derive(Debug, Default)]
pub struct Outbox {
    single: Vec<u8>,
    written: usize,
    piece: Option<Rc<[u8]>>,
    at: usize,
    /// What is left to write of the piece and its repetitions, in bytes.
    left: u64,
}

impl Outbox {
    /// Adds a message, framed.
    pub fn push(&mut self, framed: &[u8]) {
        self.single.extend(framed);
    }

    /// Adds a message, framing it.
    pub fn push_text(&mut self, mask: [u8; 4], text: &[u8]) {
        frame::append_text(&mut self.single, mask, text);
    }

    /// Adds an answer to a ping.
    pub fn push_pong(&mut self, payload: &[u8]) {
        frame::append_pong(&mut self.single, [1, 2, 3, 4], payload);
    }

    /// Adds `bytes` bytes of `piece`, over and over. A connection has one piece in its life.
    pub fn repeat(&mut self, piece: &Rc<[u8]>, bytes: u64) {
        self.piece.get_or_insert_with(|| piece.clone());
        self.left += bytes;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.single.is_empty() && self.left == 0
    }

    /// Writes until everything is out, or until the socket takes no more.
    fn flush(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while self.written < self.single.len() {
            let Some(written) = unless_blocked(|| socket.write(&self.single[self.written..]))? else { return Ok(()) };
            self.written += written;
        }
        if self.written > 0 {
            self.single.clear();
            self.written = 0;
        }
        let Some(piece) = &self.piece else { return Ok(()) };
        while self.left > 0 {
            let end = usize::try_from(self.left).unwrap_or(usize::MAX).saturating_add(self.at).min(piece.len());
            let Some(written) = unless_blocked(|| socket.write(&piece[self.at..end]))? else { return Ok(()) };
            self.left -= written as u64;
            self.at = if self.at + written == piece.len() { 0 } else { self.at + written };
        }
        Ok(())
    }
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The socket connects.
    Connecting,
    /// The WebSocket handshake was sent.
    Upgrading,
    /// The registration was sent.
    Registering,
    /// It may work.
    Open,
    /// It is gone.
    Closed,
}

/// A client.
#[derive(Debug)]
pub struct Connection {
    /// `None` once it is closed.
    pub socket: Option<TcpStream>,
    /// How far it has come.
    pub stage: Stage,
    /// What waits to be written.
    pub out: Outbox,
    /// What arrived, in frames; what arrives before the first frame is in `head`.
    pub frames: Frames,
    /// The head of the answer to the handshake, as far as it has come.
    pub head: Vec<u8>,
}

impl Connection {
    /// A client whose socket connects.
    pub fn new(socket: TcpStream) -> Self {
        Self {
            socket: Some(socket),
            stage: Stage::Connecting,
            out: Outbox::default(),
            frames: Frames::default(),
            head: Vec::new(),
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.socket {
            Some(socket) if !self.out.is_empty() => self.out.flush(socket),
            _ => Ok(()),
        }
    }

    /// Reads once: 0 bytes are the peer's end, `None` is nothing for now.
    pub fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        match &mut self.socket {
            Some(socket) => unless_blocked(|| socket.read(scratch)),
            None => Ok(None),
        }
    }
}

/// The bytes of a call that transferred some; `None` if it would have to wait.
fn unless_blocked(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
