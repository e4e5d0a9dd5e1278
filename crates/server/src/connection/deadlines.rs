//! Until when a peer must have done what: registered, said something, answered a ping.
//!
//! No peer is judged by time in which this process was suspended, or did not read what the peer sent.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

use super::WorkerConsumer;
use crate::websocket::frame::encode;
use crate::websocket::socket::Consumer;
use worker_server_core::log::Line;
use worker_server_core::metrics::LimitName;
use worker_server_core::protocol::Closing;

/// How often a deadline is looked at again while a peer waits for this server.
const RECHECK: Duration = Duration::from_millis(50);

/// When a peer is pinged, so that one whose machine is gone is noticed.
pub(super) struct Ping {
    next: Instant,
    /// When the first ping left that is not answered.
    asked_at: Option<Instant>,
}

impl Ping {
    pub(super) fn new(next: Instant) -> Self {
        Self { next, asked_at: None }
    }

    /// The peer has answered.
    pub(super) fn on_answer(&mut self) {
        self.asked_at = None;
    }
}

impl WorkerConsumer<'_> {
    /// When [`Self::judge_due`] is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        // A worker need not keep a timer for what is asked of strangers.
        let next_ping = self.ping.as_ref().map(|ping| ping.next);
        [self.stranger_deadline(), next_ping, self.answer_deadline(), self.room_deadline()].into_iter().flatten().min()
    }

    /// Judges what is due.
    pub(super) fn judge_due(&mut self) {
        let now = Instant::now();
        if self.stranger_deadline().is_some_and(|by| by <= now) {
            self.check_stranger();
        }
        self.check_pings(now);
    }

    /// What the peer sent is read again, after a while in which it was not: that was not the peer's silence.
    pub(super) fn on_resumed(&mut self) {
        self.heard_at = Instant::now();
        if let Some(Ping { asked_at: Some(asked_at), .. }) = &mut self.ping {
            *asked_at = self.heard_at;
        }
    }

    /// When a peer that is no worker is judged: it must register in time, or, if a handler took one of its messages,
    /// not be silent for too long.
    fn stranger_deadline(&self) -> Option<Instant> {
        if self.peer.worker().is_some() || !self.peer.is_open() || self.looks_ahead() {
            return None;
        }
        let (since, limit) = if self.may_stay() {
            (self.heard_at, self.shared.config.death_timeout())
        } else {
            let limit = self.shared.config.limits.registration_timeout;
            (self.connected_at, Some(limit).filter(|limit| !limit.is_zero())?)
        };
        let judged_at = since.max(self.shared.awake_since()).checked_add(limit)?;
        Some(self.judged_from.map_or(judged_at, |from| from.max(judged_at)))
    }

    /// When to check again whether a registration has room: nothing notifies this task of that.
    fn room_deadline(&self) -> Option<Instant> {
        let waits = self.shared.config.door.authenticates && self.peer.is_paused() && self.peer.worker().is_none();
        waits.then(|| Instant::now() + RECHECK)
    }

    /// Closes a peer that is no worker, and had its time.
    fn check_stranger(&mut self) {
        // A message of it must be looked at first, by an application that may be busy.
        if self.peer.is_unread() || self.peer.unhandled_messages() > 0 {
            self.judged_from = Some(Instant::now() + RECHECK);
            return;
        }
        let timeout_ms = |limit: Duration| json!({ "timeoutMs": u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) });
        self.log(if self.may_stay() {
            let context = timeout_ms(self.shared.config.death_timeout());
            Line::warn("Unregistered connection presumed dead, closing", context)
        } else {
            self.shared.metrics.limit_hit(LimitName::RegistrationTimeoutMs);
            let context = timeout_ms(self.shared.config.limits.registration_timeout);
            Line::warn("WebSocket connection did not register in time, closing", context)
        });
        self.shared.close(self.peer, Closing::REGISTRATION_TIMEOUT);
    }

    /// When the peer must have answered a ping.
    fn answer_deadline(&self) -> Option<Instant> {
        let asked_at = self.ping.as_ref()?.asked_at?;
        let timeout = Duration::from_millis(self.shared.config.heartbeat_timeout_ms);
        asked_at.max(self.shared.awake_since()).checked_add(timeout)
    }

    /// Pings the peer, and closes the connection if it has answered no ping for too long.
    fn check_pings(&mut self, now: Instant) {
        let is_late = self.answer_deadline().is_some_and(|by| by <= now);
        let (Some(ping), Some(interval)) = (&mut self.ping, self.shared.config.ping_interval) else { return };
        if is_late {
            ping.asked_at = None;
            // While nothing is read from it, its answer may wait in the socket.
            if !self.peer.is_unread() && self.peer.is_open() {
                self.log(Line::warn("Ping not answered, closing", self.shared.describe(self.peer)));
                self.shared.give_up(self.peer, Closing::PING_TIMEOUT);
                self.peer.outbox.close(Closing::PING_TIMEOUT);
            }
            return;
        }
        if ping.next <= now {
            ping.next = now + interval;
            ping.asked_at.get_or_insert(now);
            self.peer.outbox.send_control(&encode(Frame::ping(Bytes::new())));
            self.peer.outbox.write();
        }
    }

    /// Whether it need not register: a handler took one of its messages, and would take another.
    fn may_stay(&self) -> bool {
        self.peer.is_in_use() && self.is_heard()
    }
}
