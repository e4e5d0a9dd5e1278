//! A worker's connection: what its messages mean to the server.

mod deadlines;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::deadlines::Ping;
use crate::end_guard::EndGuard;
use crate::events::Event;
use crate::events::text_batch::TextBatch;
use crate::outbox::Sent;
use crate::peer::Peer;
use crate::shared::{Admission, Shared};
use crate::stream::Stream;
use crate::websocket::decoder::Violation;
use crate::websocket::socket::{Consumer, End, SocketLimits, WebSocket};
use worker_server_core::log::Line;
use worker_server_core::metrics::{Direction, LimitName};
use worker_server_core::protocol::{Closing, heartbeat_ack, names_active};
use worker_server_core::session::{self, Action, Session};

/// Most messages in one event.
pub const MAX_JOINED: usize = 256;

/// A connection that was let in, before its upgrade.
pub struct Setup {
    /// Its socket.
    pub stream: Stream,
    /// The answer to its handshake.
    pub response: String,
    /// What came behind the request head.
    pub early: Vec<u8>,
}

/// Upgrades a connection that was let in and runs it to its end.
///
/// What this future holds is held for each connection: so it is written as a block, since an `async fn` would hold its
/// arguments twice, and what is needed only at the beginning is in a future of its own, or in a box.
#[allow(clippy::manual_async_fn, reason = "for its size")]
pub fn run(admission: Admission, setup: Box<Setup>) -> impl Future<Output = ()> + Send {
    async move {
        // Whatever happens in this task, a panic included, the application is notified of the connection's end.
        let mut guard = EndGuard::new(&admission);
        let Some(mut socket) = upgrade(&admission, setup).await else { return };
        let end = socket.run(&mut WorkerConsumer::new(&admission.shared, &admission.peer)).await;
        let goodbye = match end {
            End::Closed(code, reason) => {
                guard.set_close(code, reason);
                None
            }
            End::Lost => None,
            End::Broken(closing) => Some(Box::pin(socket.say_goodbye(closing))),
        };
        if let Some(goodbye) = goodbye {
            admission.shared.shut(&admission.peer);
            guard.tell();
            // The application need not wait for the goodbye.
            goodbye.await;
        }
    }
}

async fn upgrade(Admission { shared, peer, .. }: &Admission, setup: Box<Setup>) -> Option<WebSocket<'_>> {
    let Setup { mut stream, response, early } = *setup;
    stream.write_all(response.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    shared.log_for(peer, Line::debug("New WebSocket connection from potential worker", json!(null)));
    let limits = &shared.config.limits;
    let limits = SocketLimits { max_message_bytes: limits.max_message_bytes, stall_timeout: limits.stall_timeout };
    Some(WebSocket::new(stream, early, &peer.outbox, limits))
}

/// Passes a worker's messages to the session, and does what it says.
struct WorkerConsumer<'a> {
    shared: &'a Shared,
    peer: &'a Arc<Peer>,
    session: Session,
    /// Messages for the application that were read and are not in the queue yet.
    texts: TextBatch,
    /// Messages that were read and are not counted yet, and their bytes.
    read: (u64, usize),
    connected_at: Instant,
    /// When it was last heard of, while it is no worker.
    heard_at: Instant,
    /// Until when it is not judged for being no worker, since it waits for this server.
    judged_from: Option<Instant>,
    /// Nothing was read of it for a while.
    is_held: bool,
    /// What it said in what is being read.
    life: Life,
    ping: Option<Ping>,
}

/// Whether what is being read has shown that a worker which takes requests is alive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Silent,
    /// It has, and its pool entry does not show it.
    Heard,
    /// Its pool entry shows it.
    Shown,
}

impl<'a> WorkerConsumer<'a> {
    fn new(shared: &'a Shared, peer: &'a Arc<Peer>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            peer,
            session: Session::new(),
            texts: TextBatch::default(),
            read: (0, 0),
            connected_at: now,
            heard_at: now,
            judged_from: None,
            is_held: false,
            life: Life::Silent,
            ping: shared.config.ping_interval.map(|interval| Ping::new(now + interval)),
        }
    }

    /// Whether this peer has as much as `own_limit` unhandled, or its part in as much as the server may have.
    fn has_unhandled(&self, own_limit: usize) -> bool {
        let own = self.peer.unhandled() + self.texts.charge();
        // A peer that has nothing waiting may go on even when the others have filled the server's share, so that
        // heartbeats pass.
        own >= own_limit
            || (self.peer.worker().is_none()
                && self.shared.door.held() >= self.shared.config.limits.max_unhandled_bytes_total)
            || (own > 0 && self.shared.events.unhandled() >= self.shared.config.limits.max_unhandled_bytes_total)
    }

    /// Puts the messages that were read into the queue. Before anything else about this peer, so that the order is
    /// kept.
    fn push_texts(&mut self) {
        self.count_read();
        self.show_life();
        if !self.texts.is_empty() {
            let texts = std::mem::take(&mut self.texts);
            self.shared.events.push(Event::TextBatch { peer: Arc::clone(self.peer), texts });
        }
    }

    /// Counts what was read, all at once and before the application sees any of it.
    fn count_read(&mut self) {
        let (messages, bytes) = std::mem::take(&mut self.read);
        if messages > 0 {
            self.shared.metrics.messages(Direction::In, messages, bytes);
        }
    }

    /// All that a worker says which takes requests is a sign of life. Noted once for all that is read at once, and
    /// before the application sees any of it (I3).
    fn show_life(&mut self) {
        if self.life == Life::Heard {
            self.life = Life::Shown;
            self.shared.touch(self.peer);
        }
    }

    fn log(&mut self, line: Line) {
        self.push_texts();
        self.shared.log_for(self.peer, line);
    }

    fn deliver(&mut self, text: Utf8Bytes) {
        if TextBatch::takes(&text) {
            self.texts.push(&text);
            self.on_joined();
        } else {
            self.push_texts();
            self.shared.events.push(Event::Message { peer: Arc::clone(self.peer), text });
        }
    }

    fn on_joined(&mut self) {
        if self.texts.len() >= MAX_JOINED {
            self.push_texts();
        }
    }

    fn on_heartbeat(&mut self, worker_id: Option<&str>, named: Option<Value>, timestamp: Option<&str>) {
        let now = self.shared.clock.now();
        if worker_id.is_some_and(|id| self.shared.heartbeat(id, now)) {
            let ack = heartbeat_ack(timestamp, now, self.shared.config.heartbeat_timeout_ms);
            self.shared.take_submissions_early();
            self.answer(ack);
        } else {
            let context = named.map_or_else(|| json!({}), |named| json!({ "workerId": named }));
            self.log(Line::warn("Heartbeat from unknown worker", context));
        }
    }

    /// Sends something that this server says by itself.
    fn answer(&self, text: String) {
        let bytes = text.len();
        match self.peer.outbox.send(text.into()) {
            Sent::Queued { .. } => self.shared.metrics.messages(Direction::Out, 1, bytes),
            Sent::Full => self.shared.log_full(self.peer),
            Sent::Closed => {}
        }
    }

    /// Whether the application hears of what this peer says: where a token is asked for, only of those who have given
    /// it.
    fn is_heard(&self) -> bool {
        self.peer.has_registered() || self.shared.door.accepts_unregistered()
    }
}

impl Consumer for WorkerConsumer<'_> {
    /// Not while a registration is being settled, nor while this peer has as much unhandled as it may.
    fn is_ready(&mut self) -> bool {
        if self.peer.is_registering() {
            self.is_held = true;
            return false;
        }
        let limit = self.shared.config.limits.max_unhandled_bytes;
        if self.peer.is_paused() {
            // Not until there is room for more than one message, or it would pause, and be logged, at each.
            if self.has_unhandled((limit / 2).max(1)) {
                return false;
            }
            // Its heartbeats may be among what could not be read.
            self.shared.touch(self.peer);
            self.peer.set_paused(false);
        } else if self.has_unhandled(limit) {
            self.peer.set_paused(true);
            let is_own = self.peer.unhandled() + self.texts.charge() >= limit;
            let limit = if is_own { LimitName::MaxUnhandledBytes } else { LimitName::MaxUnhandledBytesTotal };
            self.shared.metrics.limit_hit(limit);
            self.is_held = true;
            self.log(Line::warn("Too much is unhandled, reading pauses", self.shared.describe(self.peer)));
            return false;
        }
        if std::mem::take(&mut self.is_held) {
            self.on_resumed();
        }
        true
    }

    /// While the application judges its registration, which may take long.
    fn looks_ahead(&self) -> bool {
        self.shared.config.door.authenticates && self.peer.is_registering()
    }

    fn on_kept(&mut self, bytes: usize) {
        self.peer.hold_behind(bytes);
    }

    fn on_text(&mut self, text: Utf8Bytes) {
        let peer = self.peer;
        self.read = (self.read.0 + 1, self.read.1 + text.len());
        if peer.is_dismissed() {
            return;
        }
        let is_attentive = peer.is_attentive();
        if is_attentive && self.life == Life::Silent {
            self.life = Life::Heard;
        }
        if self.texts.push_next_chunk(&text) {
            self.on_joined();
            return;
        }
        match self.session.on_text_judged(&text, |token| self.shared.door.is_authentic(token, &peer.connection)) {
            Action::Deliver | Action::Heartbeat { .. } if !self.is_heard() => {
                let line = Line::warn("Message from unregistered connection", json!(null));
                self.shared.log_for_with(peer, line, || session::type_of(&text));
            }
            Action::Deliver => self.deliver(text),
            Action::Heartbeat { worker_id, named, timestamp } => {
                self.on_heartbeat(worker_id.as_deref(), named, timestamp);
                if is_attentive && names_active(&text) {
                    self.deliver(text);
                }
            }
            // A connection that is being closed can't be acknowledged, and what it says from now on is of a session
            // that never begins.
            Action::Register(_) if !peer.is_open() => peer.dismiss(),
            Action::Register(registration) => {
                self.push_texts();
                let judged = self.shared.config.door.authenticates;
                // One that the application judges comes behind what it displaces when that is done.
                let replaces = if judged { None } else { self.shared.peer_of(&registration.worker_id) };
                peer.propose(registration, judged.then(|| self.shared.door.hold(text.len())));
                self.shared.events.push(Event::Register { peer: Arc::clone(peer), text, replaces });
                if !peer.is_open() {
                    // The server may have stopped just now, and nobody will settle it.
                    peer.withdraw();
                }
            }
            Action::Refuse { answer, closing, line } => {
                self.log(line);
                if closing == Closing::AUTHENTICATION_FAILED {
                    self.shared.note_auth_failure(peer);
                }
                self.answer(answer);
                self.shared.close(peer, closing);
            }
            Action::Complain(line) => self.log(line),
            Action::Ignore => {}
        }
    }

    fn on_binary(&mut self, data: Bytes) {
        // A binary frame may hold JSON text; as Node's Buffer.toString, bad UTF-8 becomes U+FFFD.
        self.on_text(Utf8Bytes::from(String::from_utf8_lossy(&data).into_owned()));
    }

    fn on_pong(&mut self) {
        if let Some(ping) = &mut self.ping {
            ping.on_answer();
        }
    }

    fn on_pause(&mut self) {
        if self.peer.worker().is_none() {
            self.heard_at = Instant::now();
        }
        self.push_texts();
        self.life = Life::Silent;
        self.shared.notifier.on_progress();
    }

    fn on_room(&mut self) {
        self.shared.on_room(self.peer);
    }

    fn on_unwritable(&mut self) {
        self.shared.shut(self.peer);
    }

    fn on_stall(&mut self) {
        self.shared.metrics.limit_hit(LimitName::StallTimeoutMs);
        self.log(Line::warn("Slow consumer, closing", self.shared.describe(self.peer)));
        self.shared.give_up(self.peer, Closing::SLOW_CONSUMER);
        self.peer.outbox.cut(Closing::SLOW_CONSUMER);
    }

    fn on_violation(&mut self, violation: &Violation) {
        if violation.closing == Closing::TOO_BIG {
            self.shared.metrics.limit_hit(LimitName::MaxMessageBytes);
        }
        self.log(Line::error("Worker WebSocket error", json!({ "error": violation.error.to_string() })));
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn on_deadline(&mut self) {
        self.judge_due();
    }

    fn awake_since(&self) -> Option<Instant> {
        Some(self.shared.awake_since())
    }

    fn observe_time(&mut self) {
        self.shared.observe_time();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// It is most of what an idle worker costs here.
    #[test]
    fn what_a_connection_holds_all_the_time_stays_small() {
        let sizes = (size_of_future(run), size_of::<Peer>());
        assert!(sizes.0 <= 576 && sizes.1 <= 352, "a task has {} bytes, a peer {}", sizes.0, sizes.1);
    }
}
