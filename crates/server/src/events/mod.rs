//! What the application's thread is notified of, and on whose account it waits.
pub mod entry;
pub mod event_queue;
pub mod fair_queue;
pub mod slots_pending;
mod sync;
pub mod text_batch;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::entry::{Charge, Entry};
use self::event_queue::EventQueue;
use self::slots_pending::SlotsPending;
use self::text_batch::{EVENT_BYTES, TextBatch};
use crate::accept::addresses::Secured;
use crate::accept::descriptor::Descriptor;
use crate::peer::{Peer, PeerId};
use worker_server_core::log::Line;

/// The events of one server.
pub type ServerEvents = EventQueue<Event>;

/// The lane of what is no peer's.
const SERVER_LANE: PeerId = 0;
/// While this many events wait, log lines on nobody's account are left out. Health is judged however long the
/// application is busy, and nothing else would bound the lines about it.
const MAX_EVENTS_BEFORE_SILENCE: usize = 100_000;

/// The text in a value, in bytes: peers may write much of it.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| EVENT_BYTES + weight(item)).sum(),
        Value::Object(fields) => fields.iter().map(|(key, field)| EVENT_BYTES + key.len() + weight(field)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Something for the application's thread.
#[derive(Debug)]
pub enum Event {
    /// A peer asks to be registered; its [`Peer::proposal`] waits to be settled.
    Register {
        /// Who.
        peer: Arc<Peer>,
        /// The whole message.
        text: Utf8Bytes,
        /// The connection whose worker it displaces: what that one has sent is delivered before.
        replaces: Option<PeerId>,
    },
    /// The application has judged a registration and wants it, and it is its turn: its [`Peer::proposal`] waits to be
    /// settled.
    Approved {
        /// Whose.
        peer: Arc<Peer>,
        /// As of [`Event::Register`].
        replaces: Option<PeerId>,
    },
    /// A message for the application's handlers.
    Message {
        /// Who sent it.
        peer: Arc<Peer>,
        /// The whole message.
        text: Utf8Bytes,
    },
    /// Messages for the application's handlers that came together.
    TextBatch {
        /// Who sent them.
        peer: Arc<Peer>,
        /// The messages.
        texts: TextBatch,
    },
    /// A connection is gone. The last event of its peer.
    Closed {
        /// Whose.
        peer: Arc<Peer>,
        /// The peer's close code; 1005 if it gave none, 1006 if the connection was lost.
        code: u16,
        /// The peer's close reason.
        reason: Utf8Bytes,
    },
    /// A connection that is Node's to serve.
    Connection {
        /// The socket.
        socket: Descriptor,
        /// What was read of it.
        head: Bytes,
        /// What is known of it if it is encrypted: the socket is one of a pair then, and can't be asked.
        secured: Option<Box<Secured>>,
    },
    /// A line for the application's logger.
    Log {
        /// The line.
        line: Line,
        /// The peer that caused it, on whose account it waits.
        peer: Option<Arc<Peer>>,
    },
    /// A slot has become free that somebody waits for, and not by something that the application did.
    Slots {
        /// Until it is dropped no second one comes.
        pending: SlotsPending,
    },
    /// All that was in a lane when [`Server::barrier`](crate::Server::barrier) was called came before this.
    Barrier {
        /// The number that it was called with.
        number: u64,
        /// The lane.
        lane: PeerId,
    },
    /// `stop` is done: every worker connection is gone. The last event of a server.
    Stopped,
}

impl Event {
    /// The peer that said it.
    pub fn speaker(&self) -> Option<&Arc<Peer>> {
        match self {
            Self::Message { peer, .. } | Self::TextBatch { peer, .. } => Some(peer),
            _ => None,
        }
    }
}

impl Entry for Event {
    type Charge = PeerCharge;

    fn lane(&self) -> u64 {
        match self {
            Self::Register { peer, .. }
            | Self::Approved { peer, .. }
            | Self::Message { peer, .. }
            | Self::TextBatch { peer, .. }
            | Self::Closed { peer, .. }
            | Self::Log { peer: Some(peer), .. } => peer.id,
            Self::Connection { .. } | Self::Log { peer: None, .. } | Self::Slots { .. } | Self::Stopped => SERVER_LANE,
            Self::Barrier { lane, .. } => *lane,
        }
    }

    fn after(&self) -> Option<u64> {
        if let Self::Register { replaces, .. } | Self::Approved { replaces, .. } = self { *replaces } else { None }
    }

    fn charge(&self) -> Option<PeerCharge> {
        match self {
            Self::Register { peer, text, .. } | Self::Message { peer, text } => {
                Some(PeerCharge { peer: Arc::clone(peer), bytes: EVENT_BYTES + text.len(), messages: 1 })
            }
            Self::TextBatch { peer, texts } => {
                Some(PeerCharge { peer: Arc::clone(peer), bytes: texts.charge(), messages: texts.len() })
            }
            Self::Log { peer: Some(peer), line } => {
                Some(PeerCharge { peer: Arc::clone(peer), bytes: EVENT_BYTES + weight(&line.context), messages: 0 })
            }
            _ => None,
        }
    }

    fn count(&self) -> usize {
        if let Self::TextBatch { texts, .. } = self { texts.len() } else { 1 }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    fn may_be_left_out(&self, waiting: usize) -> bool {
        matches!(self, Self::Log { peer: None, .. }) && waiting >= MAX_EVENTS_BEFORE_SILENCE
    }

    fn admit(&self) -> bool {
        match self {
            Self::Closed { peer, .. } => peer.end(),
            Self::Register { peer, .. }
            | Self::Approved { peer, .. }
            | Self::Message { peer, .. }
            | Self::TextBatch { peer, .. }
            | Self::Log { peer: Some(peer), .. } => !peer.has_ended(),
            Self::Connection { .. }
            | Self::Log { peer: None, .. }
            | Self::Slots { .. }
            | Self::Barrier { .. }
            | Self::Stopped => true,
        }
    }
}

/// What is on a peer's account.
#[derive(Debug)]
pub struct PeerCharge {
    peer: Arc<Peer>,
    bytes: usize,
    messages: usize,
}

impl Charge for PeerCharge {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn debit(&self) {
        self.peer.add_unhandled(self.bytes, self.messages);
    }

    fn credit(&self) {
        self.peer.sub_unhandled(self.bytes, self.messages);
    }
}

#[cfg(test)]
mod tests;
