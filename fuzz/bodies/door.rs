//! What follows a handshake while the application judges: bytes behind it, and behind registrations whose decision is
//! awaited, into a running server.
//!
//! Whatever comes and however it is decided, the server lives, the application hears what a plain decoder of RFC 6455
//! finds, in its order and no further than it has let the peer in, pings are answered in order, the end is told once and
//! last, and what is held for a peer that waits is bounded and in the end nothing.
//!
//! The input is what the peer sends after its handshake, with messages of 1 KiB at most. In front of it three bytes: how
//! much comes together with the handshake, in which pieces the rest comes (0: all at once), and how registrations are
//! decided, two bits each, the lowest first and again from there: 0 yes, 1 yes but later, 2 no, 3 no but later.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use worker_server::door::Refusal;
use worker_server::events::Event;
use worker_server::peer::PeerId;
use worker_server_core::config::{Limits, ServerConfig};
use worker_server_core::door::DoorConfig;

#[path = "rfc6455.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "each target is a program of its own; that of frames uses all of this"
)]
mod rfc6455;
#[path = "running.rs"]
#[allow(clippy::duplicate_mod, reason = "each target is a program of its own")]
mod running;

use self::rfc6455::{Answers, Conversation};
use self::running::{DEADLINE, Running};

const MAX_MESSAGE_BYTES: usize = 1 << 10;
/// What one read may bring, behind a registration.
const MAX_HELD_BYTES: usize = 64 << 10;

static RUNNING: LazyLock<Running> = LazyLock::new(|| {
    let limits = Limits { max_message_bytes: MAX_MESSAGE_BYTES, ..Limits::default() };
    let door = DoorConfig { authenticates: true, ..DoorConfig::default() };
    // Strangers are heard, so that what must not be heard would be.
    Running::start(ServerConfig { limits, door, accept_unregistered: Some(true), ..ServerConfig::default() })
});

/// Runs one input.
pub fn run(input: &[u8]) {
    let [early, piece, decisions, frames @ ..] = input else { return };
    let (early, rest) = frames.split_at(usize::from(*early).min(frames.len()));
    let mut peer = Peer {
        socket: RUNNING.connect(early),
        received: Vec::new(),
        since: Instant::now(),
        told: Vec::new(),
        decisions: *decisions,
        later: None,
        standing: Standing::Stranger,
        is_gone: false,
    };
    for piece in running::pieces(rest, *piece) {
        peer.send(piece);
    }
    peer.finish();
    assert_eq!(RUNNING.server.worker_count(), 0, "nobody is left");
    while RUNNING.server.held_at_the_door() > 0 {
        // Its task ends a moment after the application has heard of that.
        assert!(peer.since.elapsed() < DEADLINE, "nothing is held in the end");
        std::thread::sleep(Duration::from_millis(1));
    }

    let expected = Conversation::read(frames, MAX_MESSAGE_BYTES);
    assert!(expected.told.starts_with(&peer.told), "{:?} instead of {:?}", peer.told, expected.told);
    match peer.standing {
        Standing::Stranger => assert_eq!(peer.told, expected.told, "it was heard to its end"),
        // Unless it went away in the very moment in which it was let in.
        Standing::Worker => assert!(
            peer.told == expected.told || peer.told.last().is_some_and(|last| last.starts_with("registration ")),
            "{:?} instead of {:?}",
            peer.told,
            expected.told
        ),
        Standing::Waiting | Standing::Refused => {
            let last = peer.told.last().expect("its registration");
            assert!(last.starts_with("registration "), "I2: {last} comes behind a registration that nobody approved");
        }
    }
    let mut pings = expected.pings.iter();
    let answers = Answers::read(&peer.received);
    assert!(answers.pongs.iter().all(|pong| pings.any(|ping| ping == pong)), "pongs answer pings, in order");
}

/// What the peer is to the application.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Stranger,
    Waiting,
    Worker,
    Refused,
}

/// The peer, and the application that judges it.
struct Peer {
    socket: UnixStream,
    received: Vec<u8>,
    since: Instant,
    told: Vec<String>,
    decisions: u8,
    /// What is to be decided when nothing else is to be done.
    later: Option<(PeerId, bool)>,
    standing: Standing,
    is_gone: bool,
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
        while !self.is_gone {
            self.attend(Duration::from_millis(5));
        }
        running::read_to_end(&self.socket, &mut self.received);
        self.drain();
    }

    /// Handles what there is, after waiting a while for something; if nothing comes, decides what was left for later.
    fn attend(&mut self, patience: Duration) {
        assert!(self.since.elapsed() < DEADLINE, "the end is told in time");
        let is_quiet = !RUNNING.wait(patience);
        if let Some((id, is_yes)) = self.later.take_if(|_| is_quiet) {
            self.decide(id, is_yes);
        }
        self.drain();
        running::read_some(&self.socket, &mut self.received);
    }

    fn decide(&mut self, id: PeerId, is_yes: bool) {
        if is_yes {
            RUNNING.server.approve(id);
        } else if RUNNING.server.refuse(id, Refusal::NotAuthentic) {
            self.standing = Standing::Refused;
        }
    }

    fn drain(&mut self) {
        RUNNING.drain(|event| {
            // Lines about several connections are nobody's.
            let is_nobodys = matches!(event, Event::Log { peer: None, .. });
            assert!(!self.is_gone || is_nobodys, "I2: nothing comes after the end: {event:?}");
            self.handle(event);
        });
        assert!(RUNNING.server.held_at_the_door() <= MAX_HELD_BYTES + MAX_MESSAGE_BYTES, "I5: little is held");
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Register { peer, text, .. } => {
                assert_ne!(self.standing, Standing::Waiting, "I2: one registration waits at a time");
                self.told.push(format!("registration {text}"));
                self.standing = Standing::Waiting;
                let decision = self.decisions & 3;
                self.decisions = self.decisions.rotate_right(2);
                match decision {
                    0 => self.decide(peer.id, true),
                    2 => self.decide(peer.id, false),
                    later => self.later = Some((peer.id, later == 1)),
                }
            }
            Event::Approved { peer, .. } => {
                let before = RUNNING.server.worker_count();
                let displaced = RUNNING.server.displace(peer.id).len();
                // The peer may have gone meanwhile.
                if RUNNING.server.register(peer.id).is_some() {
                    assert_eq!((displaced, RUNNING.server.worker_count()), (before, 1), "I3: it is there, once");
                    self.standing = Standing::Worker;
                }
            }
            Event::Message { text, .. } => self.tell(&text),
            Event::TextBatch { texts, .. } => texts.iter().for_each(|text| self.tell(&text)),
            Event::Closed { peer, .. } => {
                RUNNING.server.depart(peer.id);
                self.is_gone = true;
            }
            Event::Log { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn tell(&mut self, text: &str) {
        let is_heard = matches!(self.standing, Standing::Stranger | Standing::Worker);
        assert!(is_heard, "I2: a message of one that is {:?}", self.standing);
        self.told.push(format!("message {text}"));
    }
}
