//! A worker's connection: what its messages mean to the server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

use super::codec::Violation;
use super::events::Event;
use super::frame::encode;
use super::outbox::Sent;
use super::peer::Peer;
use super::shared::{Admission, Shared};
use super::socket::{Consumer, End, SocketLimits, WebSocket};
use super::texts::Texts;
use crate::core::log::Line;
use crate::core::protocol::{Closing, heartbeat_ack};
use crate::core::session::{Action, Session};

/// How often a deadline is looked at again while a peer waits for this server.
const RECHECK: Duration = Duration::from_millis(50);
/// Most messages in one event.
pub const MAX_JOINED: usize = 256;

/// A connection that was let in, before its upgrade.
pub struct Setup {
    /// Its socket.
    pub stream: TcpStream,
    /// The answer to its handshake.
    pub response: String,
    /// What came behind the request head.
    pub early: Vec<u8>,
}

/// Upgrades a connection that was let in and runs it to its end.
///
/// What this future holds is held for each connection: so it is written as a block, since an `async fn` would hold its arguments
/// twice, and what is needed only at the beginning is in a future of its own, or in a box.
#[allow(clippy::manual_async_fn, reason = "for its size")]
pub fn run(admission: Admission, setup: Box<Setup>) -> impl Future<Output = ()> + Send {
    async move {
        // Whatever happens in this task, a panic included, the end of the connection is told.
        let mut guard = EndGuard { admission: &admission, code: 1006, reason: Utf8Bytes::default(), is_told: false };
        let Some(mut socket) = upgrade(&admission, setup).await else { return };
        match socket.run(&mut WorkerConsumer::new(&admission.shared, &admission.peer)).await {
            End::Closed(code, reason) => (guard.code, guard.reason) = (code, reason),
            End::Lost => {}
            End::Broken(closing) => {
                admission.shared.shut(&admission.peer);
                guard.tell();
                // The application need not wait for the goodbye.
                Box::pin(socket.say_goodbye(closing)).await;
            }
        }
    }
}

async fn upgrade(Admission { shared, peer, .. }: &Admission, setup: Box<Setup>) -> Option<WebSocket<'_>> {
    let Setup { mut stream, response, early } = *setup;
    stream.write_all(response.as_bytes()).await.ok()?;
    shared.log_for(peer, Line::debug("New WebSocket connection from potential worker", json!(null)));
    let limits = &shared.config.limits;
    let limits = SocketLimits { max_message_bytes: limits.max_message_bytes, stall_timeout: limits.stall_timeout };
    Some(WebSocket::new(stream, early, &peer.outbox, limits))
}

struct EndGuard<'a> {
    admission: &'a Admission,
    code: u16,
    reason: Utf8Bytes,
    is_told: bool,
}

impl EndGuard<'_> {
    /// Tells the application that the connection is gone.
    fn tell(&mut self) {
        if !std::mem::replace(&mut self.is_told, true) {
            let Admission { shared, peer, .. } = self.admission;
            let reason = std::mem::take(&mut self.reason);
            shared.events.push(Event::Closed { peer: Arc::clone(peer), code: self.code, reason });
        }
    }
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let Admission { shared, peer, .. } = self.admission;
        shared.shut(peer);
        peer.outbox.detach();
        self.tell();
    }
}

/// Gives a worker's messages to the session, and does what it says.
struct WorkerConsumer<'a> {
    shared: &'a Shared,
    peer: &'a Arc<Peer>,
    session: Session,
    /// Messages for the application that were read and are not in the queue yet.
    texts: Texts,
    /// When the peer must have registered.
    register_by: Option<Instant>,
    ping: Option<Ping>,
}

/// When a peer is pinged, so that one whose machine is gone is noticed.
struct Ping {
    next: Instant,
    /// When an answer must have come.
    answer_by: Option<Instant>,
}

impl<'a> WorkerConsumer<'a> {
    fn new(shared: &'a Shared, peer: &'a Arc<Peer>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            peer,
            session: Session::new(),
            texts: Texts::default(),
            register_by: Some(now + shared.config.limits.registration_timeout),
            ping: shared.config.ping_interval.map(|interval| Ping { next: now + interval, answer_by: None }),
        }
    }

    /// Whether this peer has as much as `own_limit` unhandled, or its part in as much as the server may have.
    fn has_unhandled(&self, own_limit: usize) -> bool {
        let own = self.peer.unhandled() + self.texts.charge();
        // A peer that has nothing waiting may go on even when the others have filled the server's share, so that
        // heartbeats pass.
        own >= own_limit
            || (own > 0 && self.shared.events.unhandled() >= self.shared.config.limits.max_unhandled_bytes_total)
    }

    /// Puts the messages that were read into the queue. Before anything else that is told of this peer, so that the order is
    /// kept.
    fn push_texts(&mut self) {
        if !self.texts.is_empty() {
            let texts = std::mem::take(&mut self.texts);
            self.shared.events.push(Event::Texts { peer: Arc::clone(self.peer), texts });
        }
    }

    fn log(&mut self, line: Line) {
        self.push_texts();
        self.shared.log_for(self.peer, line);
    }

    fn deliver(&mut self, text: Utf8Bytes) {
        if Texts::takes(&text) {
            self.texts.push(&text);
            if self.texts.len() >= MAX_JOINED {
                self.push_texts();
            }
        } else {
            self.push_texts();
            self.shared.events.push(Event::Message { peer: Arc::clone(self.peer), text });
        }
    }

    fn on_heartbeat(&mut self, worker_id: Option<&str>, named: Option<Value>, timestamp: Option<&str>) {
        let now = self.shared.clock.now();
        if worker_id.is_some_and(|id| self.shared.pool.lock().heartbeat(id, now)) {
            let ack = heartbeat_ack(timestamp, now, self.shared.config.heartbeat_timeout_ms);
            if self.peer.outbox.send(ack.into()) == Sent::Full {
                self.shared.log_full(self.peer);
            }
        } else {
            let context = named.map_or_else(|| json!({}), |named| json!({ "workerId": named }));
            self.log(Line::warn("Heartbeat from unknown worker", context));
        }
    }

    /// Closes a connection that is neither registered nor in use in time.
    fn check_registration(&mut self) {
        // A message of it must be looked at first, by an application that may be busy.
        if self.peer.is_registering() || self.peer.unhandled_messages() > 0 {
            self.register_by = Some(Instant::now() + RECHECK);
            return;
        }
        self.register_by = None;
        if self.peer.worker().is_none() && !self.peer.is_in_use() && self.peer.is_open() {
            let limit = self.shared.config.limits.registration_timeout;
            let context = json!({ "timeoutMs": u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) });
            self.log(Line::warn("WebSocket connection did not register in time, closing", context));
            self.shared.close(self.peer, Closing::REGISTRATION_TIMEOUT);
        }
    }

    /// Pings the peer, and closes the connection if it has answered no ping for too long.
    fn check_pings(&mut self, now: Instant) {
        let config = &self.shared.config;
        let (Some(ping), Some(interval)) = (&mut self.ping, config.ping_interval) else { return };
        if ping.answer_by.is_some_and(|by| by <= now) {
            ping.answer_by = None;
            // While nothing is read from it, its answer may wait in the socket.
            if !self.peer.is_paused() && self.peer.is_open() {
                self.log(Line::warn("Ping not answered, closing", self.shared.describe(self.peer)));
                self.shared.close(self.peer, Closing::PING_TIMEOUT);
            }
            return;
        }
        if ping.next <= now {
            ping.next = now + interval;
            ping.answer_by.get_or_insert(now + Duration::from_millis(config.heartbeat_timeout_ms));
            self.peer.outbox.send_control(&encode(Frame::ping(Bytes::new())));
            self.peer.outbox.write();
        }
    }
}

impl Consumer for WorkerConsumer<'_> {
    /// Not while a registration is being settled, nor while this peer has as much unhandled as it may.
    fn is_ready(&mut self) -> bool {
        if self.peer.is_registering() {
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
            self.log(Line::warn("Too much is unhandled, reading pauses", self.shared.describe(self.peer)));
            return false;
        }
        true
    }

    fn on_text(&mut self, text: Utf8Bytes) {
        let peer = self.peer;
        match self.session.on_text(&text, self.shared.config.auth_tokens.as_deref()) {
            Action::Deliver => self.deliver(text),
            Action::Heartbeat { worker_id, named, timestamp } => {
                self.on_heartbeat(worker_id.as_deref(), named, timestamp);
            }
            // Whoever is being closed can't be told that it is registered.
            Action::Register(_) if !peer.is_open() => {}
            Action::Register(registration) => {
                self.push_texts();
                let replaces = self.shared.peer_of(&registration.worker_id);
                peer.propose(registration);
                self.shared.events.push(Event::Register { peer: Arc::clone(peer), text, replaces });
                if !peer.is_open() {
                    // The server may have stopped just now, and nobody will settle it.
                    peer.settle();
                }
            }
            Action::Refuse { answer, closing, line } => {
                self.log(line);
                peer.outbox.send(answer.into());
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
            ping.answer_by = None;
        }
    }

    fn on_pause(&mut self) {
        self.push_texts();
        self.shared.waker.on_progress();
    }

    fn on_unwritable(&mut self) {
        self.shared.shut(self.peer);
    }

    fn on_stall(&mut self) {
        self.log(Line::warn("Slow consumer, closing", self.shared.describe(self.peer)));
        self.shared.shut(self.peer);
        self.peer.outbox.cut(Closing::SLOW_CONSUMER);
    }

    fn on_violation(&mut self, violation: &Violation) {
        self.log(Line::error("Worker WebSocket error", json!({ "error": violation.error.to_string() })));
    }

    fn deadline(&self) -> Option<Instant> {
        let ping =
            self.ping.as_ref().map(|ping| ping.answer_by.map_or(ping.next, |answer_by| answer_by.min(ping.next)));
        // A worker need not keep a timer until then.
        let register_by = self.register_by.filter(|_| self.peer.worker().is_none());
        [register_by, ping].into_iter().flatten().min()
    }

    fn on_deadline(&mut self) {
        let now = Instant::now();
        if self.register_by.is_some_and(|by| by <= now) {
            self.check_registration();
        }
        self.check_pings(now);
    }
}
