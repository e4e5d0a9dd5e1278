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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn queue() -> (ServerEvents, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let wake = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        (ServerEvents::new(wake), wakes)
    }

    fn message(peer: &Arc<Peer>, text: &'static str) -> Event {
        Event::Message { peer: Arc::clone(peer), text: Utf8Bytes::from_static(text) }
    }

    #[test]
    fn many_events_need_one_wake_until_the_queue_was_found_empty() {
        let (queue, wakes) = queue();
        let peer = Arc::new(Peer::new(1, 0));
        for _ in 0..3 {
            queue.push(message(&peer, "x"));
        }
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(queue.drain(2, usize::MAX, false).len(), 2);
        queue.push(message(&peer, "x"));
        assert_eq!(queue.drain(9, usize::MAX, false).len(), 2);
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert!(queue.drain(9, usize::MAX, false).is_empty());
        queue.push(message(&peer, "x"));
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn an_application_that_comes_again_by_itself_is_not_woken() {
        let (queue, wakes) = queue();
        let peer = Arc::new(Peer::new(1, 0));
        queue.push(message(&peer, "x"));
        assert_eq!(queue.drain(9, usize::MAX, true).len(), 1);
        assert!(queue.drain(9, usize::MAX, true).is_empty());
        queue.push(message(&peer, "x"));
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(queue.drain(9, usize::MAX, true).len(), 1);
        assert!(queue.drain(9, usize::MAX, false).is_empty());
        queue.push(message(&peer, "x"));
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn i5_bytes_count_as_unhandled_until_the_next_drain() {
        let (queue, _) = queue();
        let peer = Arc::new(Peer::new(1, 0));
        queue.push(message(&peer, "12345"));
        assert_eq!((peer.unhandled(), queue.unhandled()), (EVENT_BYTES + 5, EVENT_BYTES + 5));
        assert_eq!(queue.drain(9, usize::MAX, false).len(), 1);
        assert_eq!(peer.unhandled(), EVENT_BYTES + 5);
        assert!(queue.drain(9, usize::MAX, false).is_empty());
        assert_eq!((peer.unhandled(), queue.unhandled()), (0, 0));
    }

    #[test]
    fn i5_a_log_line_costs_what_its_peer_wrote_into_it() {
        let (queue, _) = queue();
        let peer = Arc::new(Peer::new(1, 0));
        let line = Line::warn("x", serde_json::json!({ "workerId": "y".repeat(5000) }));
        queue.push(Event::Log { line, peer: Some(Arc::clone(&peer)) });
        assert!(peer.unhandled() > 5000);
        assert_eq!(peer.unhandled_messages(), 0);
    }

    /// The events in the order in which they are drained, `count` at a time.
    fn drained(queue: &ServerEvents, at_most: usize) -> Vec<Event> {
        let drained = || Some(queue.drain(at_most, usize::MAX, false)).filter(|events| !events.is_empty());
        std::iter::from_fn(drained).flatten().collect()
    }

    /// Whose events these are.
    fn lanes(events: &[Event]) -> Vec<PeerId> {
        events.iter().map(Entry::lane).collect()
    }

    #[test]
    fn i7_a_peer_that_floods_does_not_keep_the_others_waiting() {
        let (queue, _) = queue();
        let [flooding, other] = [1, 2].map(|id| Arc::new(Peer::new(id, 0)));
        (0..50_000).for_each(|_| queue.push(message(&flooding, "x")));
        queue.push(message(&other, "x"));
        queue.push(Event::Log { line: Line::warn("x", Value::Null), peer: None });
        let drained = lanes(&drained(&queue, 512));
        let place = |lane| drained.iter().position(|&of| of == lane);
        assert!(place(other.id).is_some_and(|place| place < 100));
        assert!(place(SERVER_LANE).is_some_and(|place| place < 100));
        assert_eq!(drained.len(), 50_002);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn i7_a_connection_for_node_goes_between_what_peers_have_sent() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (queue, _) = queue();
        for id in 1..=8 {
            let peer = Arc::new(Peer::new(id, 0));
            (0..1_000).for_each(|_| queue.push(message(&peer, "x")));
        }
        queue.push(Event::Connection { socket: Descriptor::of(stream).unwrap(), head: Bytes::new(), secured: None });
        let place = drained(&queue, 512).iter().position(|event| matches!(event, Event::Connection { .. }));
        assert_eq!(place, Some(8 * 64));
    }

    #[test]
    fn i2_one_peers_events_stay_in_order() {
        let (queue, _) = queue();
        let [flooding, other] = [1, 2].map(|id| Arc::new(Peer::new(id, 0)));
        let text = Utf8Bytes::from_static("register");
        queue.push(Event::Register { peer: Arc::clone(&other), text, replaces: None });
        for number in 0..1_000 {
            queue.push(message(&flooding, "x"));
            let text = number.to_string().into();
            queue.push(Event::Message { peer: Arc::clone(&other), text });
        }
        queue.push(Event::Closed { peer: Arc::clone(&other), code: 1000, reason: Utf8Bytes::default() });
        let drained = drained(&queue, 7);
        let mut events = drained.iter().filter(|event| event.lane() == other.id);
        assert!(matches!(events.next(), Some(Event::Register { .. })));
        for number in 0..1_000 {
            let Some(Event::Message { text, .. }) = events.next() else { unreachable!("a message is missing") };
            assert_eq!(text.as_str(), number.to_string());
        }
        assert!(matches!(events.next(), Some(Event::Closed { .. })));
        assert!(events.next().is_none());
    }

    #[test]
    fn i2_nothing_of_a_peer_is_taken_in_behind_its_end_and_only_the_first_end_counts() {
        let (queue, _) = queue();
        let peer = Arc::new(Peer::new(1, 0));
        let end = |code| Event::Closed { peer: Arc::clone(&peer), code, reason: Utf8Bytes::default() };
        queue.push(message(&peer, "before"));
        queue.push(end(4003));
        queue.push(message(&peer, "behind"));
        queue.push(Event::Log { line: Line::warn("x", Value::Null), peer: Some(Arc::clone(&peer)) });
        queue.push(end(1006));
        let drained = drained(&queue, 9);
        assert!(matches!(drained[..], [Event::Message { .. }, Event::Closed { code: 4003, .. }]), "{drained:?}");
        assert_eq!((peer.unhandled(), queue.unhandled()), (0, 0));
    }

    #[test]
    fn i2_a_registration_comes_after_what_the_replaced_peer_has_sent() {
        let (queue, _) = queue();
        let [old, new] = [1, 2].map(|id| Arc::new(Peer::new(id, 0)));
        (0..1_000).for_each(|_| queue.push(message(&old, "x")));
        let text = Utf8Bytes::from_static("register");
        queue.push(Event::Register { peer: Arc::clone(&new), text, replaces: Some(old.id) });
        let drained = lanes(&drained(&queue, 512));
        assert_eq!(drained.iter().position(|&lane| lane == new.id), Some(1_000));
    }

    #[test]
    fn a_barrier_comes_behind_all_that_was_in_its_lane_and_lanes_with_nothing_have_none() {
        let (queue, wakes) = queue();
        let peers = [1, 2, 3].map(|id| Arc::new(Peer::new(id, 0)));
        let barrier = |number| queue.push_behind_each(|lane| Event::Barrier { number, lane });
        assert_eq!(barrier(1), 0);
        assert_eq!(wakes.load(Ordering::SeqCst), 0);
        for peer in &peers[..2] {
            (0..1_000).for_each(|_| queue.push(message(peer, "x")));
        }
        queue.push(Event::Closed { peer: Arc::clone(&peers[0]), code: 1000, reason: Utf8Bytes::default() });
        queue.push(Event::Log { line: Line::warn("x", Value::Null), peer: None });
        assert_eq!(barrier(2), 3);
        peers[1..].iter().for_each(|peer| queue.push(message(peer, "later")));
        let mut before = std::collections::HashMap::new();
        let mut barriers = Vec::new();
        for event in drained(&queue, 7) {
            match event {
                Event::Barrier { number: 2, lane } => barriers.push((lane, before.get(&lane).copied())),
                event => *before.entry(event.lane()).or_insert(0) += 1,
            }
        }
        barriers.sort_unstable();
        assert_eq!(barriers, [(SERVER_LANE, Some(1)), (1, Some(1_001)), (2, Some(1_000))]);
        queue.push(message(&peers[1], "x"));
        queue.close();
        assert_eq!(barrier(3), 0);
    }

    #[test]
    fn a_closed_queue_drops_everything_but_the_end() {
        let (queue, _) = queue();
        let peer = Arc::new(Peer::new(1, 0));
        queue.push(message(&peer, "x"));
        queue.close();
        assert_eq!((peer.unhandled(), queue.unhandled()), (0, 0));
        queue.push(message(&peer, "x"));
        queue.push(Event::Stopped);
        assert!(matches!(queue.drain(9, usize::MAX, false)[..], [Event::Stopped]));
    }
}
