//! The queue between the connections and the application's thread.
//!
//! Connections push; the application's thread drains. It is woken once, when something comes into a queue that
//! it had found empty, and then drains until it finds it empty again: a wake costs more than many messages.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::handover::Descriptor;
use super::peer::Peer;
use super::texts::{EVENT_BYTES, Texts};
use crate::core::log::Line;

/// While so many events wait, log lines on nobody's account are left out. Health is judged however long the application is
/// busy, and nothing else would bound what is to be told of it.
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
    },
    /// A message for the application's handlers.
    Message {
        /// Who sent it.
        peer: Arc<Peer>,
        /// The whole message.
        text: Utf8Bytes,
    },
    /// Messages for the application's handlers that came together.
    Texts {
        /// Who sent them.
        peer: Arc<Peer>,
        /// The messages.
        texts: Texts,
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
    },
    /// A line for the application's logger.
    Log {
        /// The line.
        line: Line,
        /// The peer that caused it, on whose account it waits.
        peer: Option<Arc<Peer>>,
    },
    /// `stop` is done: every worker connection is gone. The last event of a server.
    Stopped,
}

impl Event {
    /// What it costs its peer until it is handled.
    fn charge(&self) -> Option<Charge> {
        match self {
            Self::Register { peer, text } | Self::Message { peer, text } => {
                Some(Charge { peer: Arc::clone(peer), bytes: EVENT_BYTES + text.len(), messages: 1 })
            }
            Self::Texts { peer, texts } => {
                Some(Charge { peer: Arc::clone(peer), bytes: texts.charge(), messages: texts.len() })
            }
            Self::Log { peer: Some(peer), line } => {
                Some(Charge { peer: Arc::clone(peer), bytes: EVENT_BYTES + weight(&line.context), messages: 0 })
            }
            _ => None,
        }
    }
}

/// What is on a peer's account.
#[derive(Debug)]
struct Charge {
    peer: Arc<Peer>,
    bytes: usize,
    messages: usize,
}

/// The queue of one server.
pub struct EventQueue {
    state: Mutex<State>,
    /// Bytes that were charged and not yet credited, over all peers.
    unhandled: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    /// The application's thread was woken and has not found the queue empty since.
    awake: bool,
    /// Only [`Event::Stopped`] is still wanted.
    closed: bool,
    /// What the events that were drained last are charged with.
    draining: Vec<Charge>,
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("EventQueue").field("state", &self.state).finish_non_exhaustive()
    }
}

impl EventQueue {
    /// An empty queue. `wake` is called on any thread and should have [`EventQueue::drain`] called soon.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { state: Mutex::default(), unhandled: AtomicUsize::new(0), wake: Box::new(wake) }
    }

    /// Puts an event in. After [`EventQueue::close`] it is dropped.
    pub fn push(&self, event: Event) {
        let mut state = self.state.lock();
        if state.closed && !matches!(event, Event::Stopped) {
            return;
        }
        if matches!(event, Event::Log { peer: None, .. }) && state.events.len() >= MAX_EVENTS_BEFORE_SILENCE {
            return;
        }
        if let Some(Charge { peer, bytes, messages }) = event.charge() {
            peer.add_unhandled(bytes, messages);
            self.unhandled.fetch_add(bytes, Ordering::SeqCst);
        }
        state.events.push_back(event);
        let wake = !std::mem::replace(&mut state.awake, true);
        drop(state);
        if wake {
            (self.wake)();
        }
    }

    /// Takes out events until they are `max_events`, messages that travel together counted as they are, or have `max_bytes`;
    /// the last one may exceed that.
    ///
    /// That the application asks again says that it has handled what it got before. When it gets nothing it will be
    /// woken, but if it says that it will come again by itself (`returns`).
    pub fn drain(&self, max_events: usize, max_bytes: usize, returns: bool) -> Vec<Event> {
        let mut state = self.state.lock();
        self.credit(state.draining.drain(..));
        let mut events = Vec::with_capacity(state.events.len().min(max_events));
        let mut count = 0;
        let mut bytes = 0;
        while count < max_events
            && bytes < max_bytes
            && let Some(event) = state.events.pop_front()
        {
            if let Some(charge) = event.charge() {
                bytes += charge.bytes;
                state.draining.push(charge);
            }
            count += if let Event::Texts { texts, .. } = &event { texts.len() } else { 1 };
            events.push(event);
        }
        if events.is_empty() {
            state.awake = returns;
            if !returns {
                // An idle queue keeps no buffer.
                state.events = VecDeque::new();
                state.draining = Vec::new();
            }
        }
        events
    }

    /// Drops all events, and from now on takes in none but [`Event::Stopped`].
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.events);
        self.credit(dropped.iter().filter_map(Event::charge));
    }

    /// Bytes that were received and not yet handled, over all peers.
    pub fn unhandled(&self) -> usize {
        self.unhandled.load(Ordering::SeqCst)
    }

    fn credit(&self, charges: impl Iterator<Item = Charge>) {
        for Charge { peer, bytes, messages } in charges {
            self.unhandled.fetch_sub(bytes, Ordering::SeqCst);
            peer.sub_unhandled(bytes, messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (EventQueue, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let wake = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        (EventQueue::new(wake), wakes)
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
