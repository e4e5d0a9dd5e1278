//! Bytes from a socket, into a running server: its handshake, its decoder, its sessions and its limits.
//!
//! Whatever comes, the server lives, the application is notified of the connection's end once and last, what is unhandled stays bounded, and
//! what the server sends are well-formed frames. And beside a plain decoder of RFC 6455 in this file: the same messages
//! reach the application in the same order, and the connection ends the same way.
//!
//! The input is what the peer sends after its handshake, with these limits: messages of 1 KiB, 8 KiB unhandled.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use worker_server::events::Event;
use worker_server_core::config::{Limits, ServerConfig};

#[path = "rfc6455.rs"]
mod rfc6455;
#[path = "running.rs"]
mod running;

use self::rfc6455::{Answers, Conversation, End};
use self::running::{DEADLINE, Running};

const MAX_MESSAGE_BYTES: usize = 1 << 10;
const MAX_UNHANDLED_BYTES: usize = 8 << 10;
/// What an event may cost beyond its text: the queue's own overhead, and that of the values in a log line.
const OVERHEAD_BYTES: usize = 64 << 10;

static RUNNING: LazyLock<Running> = LazyLock::new(|| {
    let limits =
        Limits { max_message_bytes: MAX_MESSAGE_BYTES, max_unhandled_bytes: MAX_UNHANDLED_BYTES, ..Limits::default() };
    Running::start(ServerConfig { limits, ..ServerConfig::default() })
});

/// Runs one input: the first byte says how much comes together with the handshake, the second in which pieces the rest
/// comes (0: all at once).
pub fn run(input: &[u8]) {
    let [early, piece, frames @ ..] = input else { return };
    let (early, rest) = frames.split_at(usize::from(*early).min(frames.len()));
    let mut peer = Peer {
        socket: RUNNING.connect(early),
        received: Vec::new(),
        since: Instant::now(),
        told: Vec::new(),
        end: None,
    };
    for piece in running::pieces(rest, *piece) {
        peer.send(piece);
    }
    peer.finish();
    assert_eq!(RUNNING.server.worker_count(), 0, "nobody is left");

    let expected = Conversation::read(frames, MAX_MESSAGE_BYTES);
    let answers = Answers::read(&peer.received);
    assert_eq!(peer.told, expected.told, "what the application was told");
    check_end(&expected, &peer.end.expect("an end"), answers.close.as_deref());
    let mut pings = expected.pings.iter();
    assert!(answers.pongs.iter().all(|pong| pings.any(|ping| ping == pong)), "pongs answer pings, in order");
}

/// The peer, and the application that hears of it.
struct Peer {
    socket: UnixStream,
    received: Vec<u8>,
    since: Instant,
    told: Vec<String>,
    end: Option<(u16, String)>,
}

impl Peer {
    fn send(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            match self.socket.write(piece) {
                Ok(taken) => piece = &piece[taken..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.attend(Duration::from_millis(1)),
                // The server has had enough.
                Err(_) => break,
            }
        }
    }

    fn finish(&mut self) {
        running::shut(&self.socket);
        while self.end.is_none() {
            self.attend(Duration::from_millis(100));
        }
        running::read_to_end(&self.socket, &mut self.received);
        self.drain();
    }

    /// Handles what there is, after waiting a while for something.
    fn attend(&mut self, patience: Duration) {
        assert!(self.since.elapsed() < DEADLINE, "the end is told in time");
        RUNNING.wait(patience);
        self.drain();
        running::read_some(&self.socket, &mut self.received);
    }

    fn drain(&mut self) {
        RUNNING.drain(|event| {
            // Lines about several connections are nobody's.
            let is_nobodys = matches!(event, Event::Log { peer: None, .. });
            assert!(self.end.is_none() || is_nobodys, "I2: nothing comes after the end: {event:?}");
            self.handle(event);
        });
    }

    fn handle(&mut self, event: Event) {
        if let Event::Register { peer, .. }
        | Event::Message { peer, .. }
        | Event::TextBatch { peer, .. }
        | Event::Log { peer: Some(peer), .. } = &event
        {
            let unhandled = peer.unhandled();
            assert!(unhandled <= MAX_UNHANDLED_BYTES + MAX_MESSAGE_BYTES + OVERHEAD_BYTES, "I5: {unhandled} unhandled");
        }
        match event {
            Event::Register { peer, text, .. } => {
                self.told.push(format!("registration {text}"));
                let before = RUNNING.server.worker_count();
                assert_eq!(RUNNING.server.displace(peer.id).len(), before, "I3: its earlier session leaves");
                assert!(RUNNING.server.register(peer.id).is_some(), "who asks to be registered can be");
                assert_eq!(RUNNING.server.worker_count(), 1, "I3: it is there");
            }
            Event::Message { text, .. } => self.told.push(format!("message {text}")),
            Event::TextBatch { texts, .. } => self.told.extend(texts.iter().map(|text| format!("message {text}"))),
            Event::Closed { peer, code, reason } => {
                RUNNING.server.depart(peer.id);
                self.end = Some((code, reason.to_string()));
            }
            Event::Log { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The application is notified of the end as it was, and the peer answered as RFC 6455 says.
fn check_end(expected: &Conversation, told: &(u16, String), close: Option<&[u8]>) {
    let answered = close.map(|payload| match payload {
        [first, second, ..] => u16::from_be_bytes([*first, *second]),
        _ => 1005,
    });
    if expected.is_refused {
        assert!(answered == Some(4002), "the refusal comes first: {answered:?}");
        return;
    }
    let fits = expected.ends.iter().any(|end| match end {
        End::Closed(code, reason) => *told == (*code, reason.clone()) && answered == Some(*code),
        End::Lost => told.0 == 1006 && answered.is_none(),
        End::Broken(code) => told.0 == 1006 && answered == Some(*code),
    });
    assert!(fits, "told {told:?} and answered {answered:?} instead of one of {:?}", expected.ends);
}
