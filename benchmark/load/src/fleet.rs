//! All clients: their way from connecting to registered, and their sockets' events.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdStream};
use std::time::Instant;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::{Config, Registration};
use crate::connection::{Connection, Stage};
use crate::consumer::{Consumer, Protocol};
use crate::frame::Received;
use crate::text;

/// What is read at once.
const READ: usize = 256 * 1024;
/// What the kernel may hold of one client's messages. A fast network's window, and a bound on what a flood piles up.
const SEND_BUFFER: usize = 256 * 1024;
/// A mask for what is sent once.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// The clients of this process.
pub struct Fleet {
    registry: Registry,
    port: u16,
    first: usize,
    per_address: usize,
    registration: Registration,
    connecting_max: usize,
    connections: Vec<Connection>,
    wanted: usize,
    connecting: usize,
    open: usize,
    lost: u64,
    unexpected: u64,
    scratch: Vec<u8>,
}

impl Fleet {
    /// Nobody yet.
    pub fn new(config: &Config, registry: Registry) -> Self {
        Self {
            registry,
            port: config.port,
            first: config.first,
            per_address: config.per_address,
            registration: config.registration.clone(),
            connecting_max: config.connecting,
            connections: Vec::with_capacity(config.workers),
            wanted: 0,
            connecting: 0,
            open: 0,
            lost: 0,
            unexpected: 0,
            scratch: vec![0; READ],
        }
    }

    /// How many are registered (or, for HTTP, connected) and still there.
    pub fn open(&self) -> usize {
        self.open
    }

    /// How many connections ended that nobody here had ended.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many frames or answers came that should not have come.
    pub fn unexpected(&self) -> u64 {
        self.unexpected
    }

    /// How many clients there are, whatever became of them.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// The id of the worker at `index`.
    pub fn id(&self, index: usize) -> String {
        format!("w{}", self.first + index)
    }

    /// Whether the client at `index` is registered and there.
    pub fn is_open(&self, index: usize) -> bool {
        self.connections.get(index).is_some_and(|connection| connection.stage == Stage::Open)
    }

    /// Connects until there are `count` clients.
    pub fn connect(&mut self, count: usize) -> io::Result<()> {
        self.wanted = count;
        self.connect_more()
    }

    fn connect_more(&mut self) -> io::Result<()> {
        while self.connections.len() < self.wanted && self.connecting < self.connecting_max {
            let index = self.connections.len();
            let mut socket = self.socket(self.first + index)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(&mut socket, Token(index), interest)?;
            self.connections.push(Connection::new(socket));
            self.connecting += 1;
        }
        Ok(())
    }

    fn socket(&self, number: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        let address = number / self.per_address;
        if address > 0 {
            let address = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + u32::try_from(address).unwrap_or(0));
            socket.bind(&SockAddr::from(SocketAddr::from((address, 0))))?;
        }
        match socket.connect(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))) {
            Ok(()) => {}
            // What a connect that doesn't wait returns on Unix, and on Windows.
            Err(error) if error.raw_os_error() == Some(IN_PROGRESS) || error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(TcpStream::from_std(StdStream::from(socket)))
    }

    /// Has a worker send a message, and hand it to the kernel now.
    pub fn send(&mut self, index: usize, framed: &[u8]) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.out.push(framed);
        }
        self.flush(index);
    }

    /// Has a worker send `bytes` bytes of `piece`, over and over.
    pub fn repeat(&mut self, index: usize, piece: &std::rc::Rc<[u8]>, bytes: u64) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.out.repeat(piece, bytes);
        }
        self.flush(index);
    }

    /// Whether everything that workers were to send is with the kernel.
    pub fn all_sent(&self) -> bool {
        self.connections.iter().all(|connection| connection.out.is_empty())
    }

    /// Whether everything that a worker was to send is with the kernel.
    pub fn has_sent(&self, index: usize) -> bool {
        self.connections.get(index).is_some_and(|connection| connection.out.is_empty())
    }

    /// Drops `count` connections without a word.
    pub fn vanish(&mut self, count: usize) {
        let leaving = self.connections.iter_mut().filter(|connection| connection.stage == Stage::Open).take(count);
        for connection in leaving {
            connection.stage = Stage::Closed;
            connection.socket = None;
            self.open -= 1;
        }
    }

    /// Deals with what happened on a socket.
    pub fn handle(&mut self, event: &Event, consumer: &mut dyn Consumer, now: Instant) -> io::Result<()> {
        let Token(index) = event.token();
        if self.step(index, event, consumer, now).is_err() {
            self.lose(index);
        }
        self.connect_more()
    }

    fn step(&mut self, index: usize, event: &Event, consumer: &mut dyn Consumer, now: Instant) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        if connection.stage == Stage::Connecting && event.is_writable() {
            if let Some(socket) = &connection.socket
                && let Some(error) = socket.take_error()?
            {
                return Err(error);
            }
            match consumer.protocol() {
                Protocol::WebSocket => {
                    connection.stage = Stage::Upgrading;
                    connection.out.push(HANDSHAKE);
                }
                Protocol::Http => self.opened(index),
            }
        }
        if event.is_readable() || event.is_read_closed() {
            loop {
                let read = match self.connections[index].read(&mut self.scratch)? {
                    Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Some(read) => read,
                    None => break,
                };
                let scratch = std::mem::take(&mut self.scratch);
                self.arrived(index, &scratch[..read], consumer, now);
                self.scratch = scratch;
                // A short read has emptied the socket, and the next arrival is a new event; but an end that came along is not.
                if read < READ && !event.is_read_closed() {
                    break;
                }
            }
        }
        self.connections[index].flush()
    }

    fn arrived(&mut self, index: usize, bytes: &[u8], consumer: &mut dyn Consumer, now: Instant) {
        let connection = &mut self.connections[index];
        let bytes = match (connection.stage, consumer.protocol()) {
            (Stage::Closed, _) => return,
            (_, Protocol::Http) => {
                self.unexpected += consumer.bytes(index, &mut connection.out, bytes);
                return;
            }
            (Stage::Upgrading, _) => {
                connection.head.extend(bytes);
                let Some(end) = connection.head.windows(4).position(|window| window == b"\r\n\r\n") else { return };
                let head = std::mem::take(&mut connection.head);
                self.unexpected += u64::from(!head.starts_with(b"HTTP/1.1 101 "));
                connection.stage = Stage::Registering;
                let text = text::registration(self.first + index, &self.registration);
                connection.out.push_text(MASK, text.as_bytes());
                &head[end + 4..].to_vec()
            }
            _ => bytes,
        };
        let mut frames = std::mem::take(&mut connection.frames);
        frames.take(bytes, |received| self.received(index, &received, consumer, now));
        self.connections[index].frames = frames;
    }

    fn received(&mut self, index: usize, received: &Received, consumer: &mut dyn Consumer, now: Instant) {
        let connection = &mut self.connections[index];
        match received {
            Received::Message(payload) if connection.stage == Stage::Open => {
                self.unexpected += u64::from(!consumer.message(index, &mut connection.out, payload, now));
            }
            Received::Message(payload) if payload.starts_with(ACCEPTED) => self.opened(index),
            Received::Ping(payload) => connection.out.push_pong(payload),
            // The connection's end follows, and is counted.
            Received::Close => {}
            Received::Message(_) | Received::Unexpected => self.unexpected += 1,
        }
    }

    fn opened(&mut self, index: usize) {
        self.connections[index].stage = Stage::Open;
        self.connecting -= 1;
        self.open += 1;
    }

    fn flush(&mut self, index: usize) {
        if self.connections.get_mut(index).is_some_and(|connection| connection.flush().is_err()) {
            self.lose(index);
        }
    }

    fn lose(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        match connection.stage {
            Stage::Closed => return,
            Stage::Open => self.open -= 1,
            Stage::Connecting | Stage::Upgrading | Stage::Registering => self.connecting -= 1,
        }
        connection.stage = Stage::Closed;
        connection.socket = None;
        self.lost += 1;
    }
}

const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const ACCEPTED: &[u8] = br#"{"type":"worker_registration_ack","success":true,"#;

#[cfg(target_os = "linux")]
const IN_PROGRESS: i32 = 115;
#[cfg(not(target_os = "linux"))]
const IN_PROGRESS: i32 = 36;
