//! A connection of the served fleet: what its peer did, and what the application must hear of that.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpStream;

use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};
use worker_server_core::worker::WorkerKey;

use super::served::DEADLINE;

/// Something that a peer did and the application must hear of.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    Register(usize),
    Say(Said),
    End,
}

/// A message, and whose it is: the peer had registered so often on its connection, and under this id last.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub text: String,
    pub registrations: usize,
    pub id: Option<usize>,
}

/// A connection, as its peer and the model know it.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Connection {
    pub socket: Option<WebSocket<TcpStream>>,
    pub deeds: VecDeque<Deed>,
    /// What it was sent, and must find before the end of its socket.
    pub sent: VecDeque<String>,
    /// It vanished: what was on its way may be lost.
    pub is_lossy: bool,
    /// The server closes it: it can't register any more.
    pub is_closing: bool,
    /// The application was notified of its end.
    pub is_over: bool,
    /// The server did not wait for its close frame.
    pub is_given_up: bool,
    /// A registration of it was not settled, since it is being closed: it is not heard any more.
    pub is_dismissed: bool,
    /// How often it has registered, and under which id last, as its peer knows.
    pub registrations: usize,
    pub id: Option<usize>,
    /// The same as the application has heard.
    pub heard: usize,
    pub worker: Option<WorkerKey>,
}

impl Connection {
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = client(format!("ws://127.0.0.1:{port}/"), stream).unwrap();
        Self {
            socket: Some(socket),
            deeds: VecDeque::new(),
            sent: VecDeque::new(),
            is_lossy: false,
            is_closing: false,
            is_over: false,
            is_given_up: false,
            is_dismissed: false,
            registrations: 0,
            id: None,
            heard: 0,
            worker: None,
        }
    }

    /// The next that must be heard of it, unless `wanted` comes before.
    fn due(&self, wanted: Option<&Deed>) -> Option<&Deed> {
        // What it says behind a registration that is ignored, since it is being closed, is nobody's.
        let mut is_ignored = self.is_dismissed;
        self.deeds.iter().find(|deed| {
            is_ignored |= self.is_closing && matches!(deed, Deed::Register(_));
            let may_be_lost = match deed {
                Deed::Register(_) => self.is_closing || self.is_lossy || is_ignored,
                Deed::Say(_) => self.is_lossy || is_ignored,
                Deed::End => false,
            };
            Some(*deed) == wanted || !may_be_lost
        })
    }

    /// Whether there is nothing that the application must hear of.
    pub fn is_heard_out(&self) -> bool {
        self.due(None).is_none()
    }

    /// Whether this may be the next that is heard of it.
    pub fn expects(&self, deed: &Deed) -> bool {
        // A server that closes it does not wait for ever.
        self.due(Some(deed)) == Some(deed) || (*deed == Deed::End && self.is_closing)
    }

    /// Neither side has begun to close it.
    pub fn is_surely_open(&self) -> bool {
        self.socket.is_some() && !self.is_closing && !self.deeds.contains(&Deed::End)
    }

    /// In order, and all of it: what had left by the events.
    pub fn read_to_the_end(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    if self.sent.front().is_some_and(|next| *next == *text) {
                        self.sent.pop_front();
                    }
                }
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => break,
                Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(self.sent.is_empty() || self.is_given_up, "{:?} did not arrive", self.sent);
    }
}
