//! What the application sends, from its call to the outboxes.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::flusher::Flusher;
use super::submissions::Submissions;
use crate::outbox::{Outbox, Sent};
use crate::peer::Peer;
use crate::shared::Shared;
use crate::websocket::frame::text_frame;
use worker_server_core::metrics::Direction;
use worker_server_core::worker::WorkerKey;

impl Shared {
    /// Sends a text message to a peer. False if its socket is not open, or too much is waiting for it.
    pub fn send_to(&self, peer: &Arc<Peer>, text: &Utf8Bytes) -> bool {
        let is_sent = self.put_out(peer, |outbox| outbox.send(text.clone()));
        self.count_sent(u64::from(is_sent), text.len());
        is_sent
    }

    /// Sends a text message to all workers.
    pub fn send_to_all(&self, text: &str) {
        let frame = text_frame(text);
        let peers: Vec<_> = self.pool().iter().map(|(_, worker)| Arc::clone(&worker.peer)).collect();
        let sent = peers.iter().filter(|peer| self.put_out(peer, |outbox| outbox.send_frame(&frame))).count();
        self.count_sent(sent as u64, sent * text.len());
    }

    /// Puts what the application has published into the outboxes. On its own thread, which publishes from the start
    /// again afterwards.
    pub fn take_submissions(&self) {
        self.put_out_promised(|submissions, each| submissions.take_all(each));
    }

    /// The end of a turn: all that was sent leaves.
    pub fn flush(&self) {
        if self.flusher.flush() {
            self.pacer.on_send();
            if self.flusher.leaves_some() {
                self.busy_poll.end();
            }
        }
    }

    /// Puts what the application has published into the outboxes, before something that this server says by itself: a
    /// peer that was sent a message before it asked gets the answer after it. On a thread of the runtime.
    pub fn take_submissions_early(&self) {
        if self.flusher.submissions.are_there() {
            self.put_out_promised(|submissions, each| submissions.take_published(each));
        }
    }

    /// A turn takes long: what was sent in it leaves before it is over, on a thread of the runtime. That is what was
    /// there at the last look.
    pub fn flush_early(&self) {
        self.put_out_promised(|submissions, each| submissions.take_seen(each));
        self.flush();
        self.flusher.submissions.note_early();
    }

    /// Writes all that was sent, as far as the sockets take it, before it returns. On the application's thread.
    pub fn write_all(&self) {
        self.take_submissions();
        self.flusher.write_all();
    }

    /// Puts messages into the outboxes for which the application has seen that the worker's socket was open and had
    /// room.
    fn put_out_promised(&self, take: impl FnOnce(&Submissions, &mut dyn FnMut(WorkerKey, &[u8]))) {
        let Flusher { submissions, buffer_pool, .. } = &*self.flusher;
        let mut kept = None;
        let (mut sent, mut bytes) = (0, 0);
        take(submissions, &mut |key, text| {
            if let Some(peer) = self.peer_with(key) {
                let buffer_pool = kept.get_or_insert_with(|| buffer_pool.take());
                if self.put_out(&peer, |outbox| outbox.send_promised(text, buffer_pool)) {
                    (sent, bytes) = (sent + 1, bytes + text.len());
                }
            }
        });
        self.count_sent(sent, bytes);
        if let Some(kept) = kept {
            buffer_pool.put(kept);
        }
    }

    /// So many messages are on their way; `bytes` are those of their texts.
    fn count_sent(&self, messages: u64, bytes: usize) {
        if messages > 0 {
            self.metrics.messages(Direction::Out, messages, bytes);
        }
    }

    fn put_out(&self, peer: &Arc<Peer>, mut send: impl FnMut(&Outbox) -> Sent) -> bool {
        if !peer.is_open() {
            return false;
        }
        let mut outcome = send(&peer.outbox);
        if outcome == Sent::Full && !peer.outbox.is_blocked() {
            // It is not the peer that is slow, but the thread that writes.
            self.flusher.write_all();
            outcome = send(&peer.outbox);
        }
        match outcome {
            Sent::Queued { is_much } => {
                if self.flusher.add(peer) {
                    self.pacer.on_send();
                } else if is_much {
                    self.flush();
                }
                true
            }
            Sent::Closed => false,
            Sent::Full => {
                self.log_full(peer);
                false
            }
        }
    }
}
