//! What waits to be sent to one peer.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::core::protocol::Closing;

/// Bytes that are handed to the socket at once, so that many small messages take one system call.
const BATCH_BYTES: usize = 64 << 10;

/// What a message costs beyond its bytes, roughly.
const MESSAGE_BYTES: usize = 64;

/// What a message takes of the bound while it waits.
pub fn cost(message: &Message) -> usize {
    MESSAGE_BYTES + message.len()
}

/// What became of a message that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It will leave after those before it.
    Queued,
    /// Too much is waiting already. `first` since there was room, so that it can be logged once.
    Full {
        /// Whether this is the first refusal since there was room.
        first: bool,
    },
    /// The connection is closing.
    Closed,
}

/// The outgoing messages of one connection, bounded in bytes.
#[derive(Debug)]
pub struct Outbox {
    max_bytes: usize,
    queue: Mutex<Queue>,
    /// Something was put in.
    filled: Notify,
    /// The close frame was put in.
    closing: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    /// Bytes of the queue, and of the messages that were taken out and are not yet written.
    bytes: usize,
    refused: bool,
    closed: bool,
}

impl Outbox {
    /// An empty outbox for up to `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, queue: Mutex::default(), filled: Notify::new(), closing: Notify::new() }
    }

    /// Queues a text message. A message larger than the bound still passes when nothing else waits.
    pub fn send(&self, text: Utf8Bytes) -> Sent {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Sent::Closed;
        }
        let message = Message::Text(text);
        let bytes = cost(&message);
        if queue.bytes > 0 && queue.bytes + bytes > self.max_bytes {
            let first = !queue.refused;
            queue.refused = true;
            return Sent::Full { first };
        }
        queue.bytes += bytes;
        queue.messages.push_back(message);
        drop(queue);
        self.filled.notify_one();
        Sent::Queued
    }

    /// Queues the close frame behind what waits. Nothing can be queued after it. False if that was so already.
    pub fn close(&self, closing: Closing) -> bool {
        self.close_after(closing, |_| {})
    }

    /// Drops what waits and queues the close frame.
    pub fn cut(&self, closing: Closing) {
        self.close_after(closing, VecDeque::clear);
    }

    fn close_after(&self, closing: Closing, prepare: impl FnOnce(&mut VecDeque<Message>)) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return false;
        }
        queue.closed = true;
        prepare(&mut queue.messages);
        let frame = CloseFrame { code: closing.code.into(), reason: closing.reason.into() };
        queue.messages.push_back(Message::Close(Some(frame)));
        drop(queue);
        self.filled.notify_one();
        self.closing.notify_one();
        true
    }

    /// Waits until a close frame is queued.
    pub async fn closing(&self) {
        self.closing.notified().await;
    }

    /// Takes out the next messages, waiting for the first. [`Outbox::confirm`] must follow.
    pub async fn take(&self, batch: &mut Vec<Message>) {
        loop {
            {
                let mut queue = self.queue.lock();
                let mut bytes = 0;
                while bytes < BATCH_BYTES
                    && let Some(message) = queue.messages.pop_front()
                {
                    bytes += cost(&message);
                    batch.push(message);
                }
                if queue.messages.is_empty() {
                    // An idle connection keeps no buffer.
                    queue.messages = VecDeque::new();
                }
            }
            if !batch.is_empty() {
                return;
            }
            self.filled.notified().await;
        }
    }

    /// The socket has taken messages of so much [`cost`].
    pub fn confirm(&self, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        queue.refused = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_its_bound_it_refuses_until_there_is_room() {
        let outbox = Outbox::new(2 * MESSAGE_BYTES + 10);
        assert_eq!(outbox.send("12345678".into()), Sent::Queued);
        assert_eq!(outbox.send("123".into()), Sent::Full { first: true });
        assert_eq!(outbox.send("123".into()), Sent::Full { first: false });
        assert_eq!(outbox.send("12".into()), Sent::Queued);
        outbox.confirm(MESSAGE_BYTES + 8);
        assert_eq!(outbox.send("123".into()), Sent::Queued);
    }

    #[test]
    fn many_small_messages_count_for_more_than_their_bytes() {
        let outbox = Outbox::new(1000);
        let taken = (0..1000).take_while(|_| outbox.send("1".into()) == Sent::Queued).count();
        assert_eq!(taken, 1000 / (MESSAGE_BYTES + 1));
    }

    #[test]
    fn a_message_beyond_the_bound_passes_when_nothing_waits() {
        let outbox = Outbox::new(2);
        assert_eq!(outbox.send("12345".into()), Sent::Queued);
        assert_eq!(outbox.send("1".into()), Sent::Full { first: true });
    }

    #[tokio::test]
    async fn nothing_is_queued_behind_the_close_frame_and_order_is_kept() {
        let outbox = Outbox::new(1000);
        outbox.send("a".into());
        outbox.send("b".into());
        assert!(outbox.close(Closing::REPLACED));
        assert!(!outbox.close(Closing::GOING_AWAY));
        assert_eq!(outbox.send("c".into()), Sent::Closed);
        let mut batch = Vec::new();
        outbox.take(&mut batch).await;
        let frame = CloseFrame { code: 4003.into(), reason: "Replaced by new connection".into() };
        assert_eq!(batch, [Message::text("a"), Message::text("b"), Message::Close(Some(frame))]);
    }

    #[tokio::test]
    async fn cutting_drops_what_waited() {
        let outbox = Outbox::new(1000);
        outbox.send("a".into());
        outbox.cut(Closing::SLOW_CONSUMER);
        let mut batch = Vec::new();
        outbox.take(&mut batch).await;
        assert!(matches!(batch[..], [Message::Close(_)]));
    }
}
