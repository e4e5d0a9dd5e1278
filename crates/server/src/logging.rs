//! What the server logs.
//!
//! The application's thread writes the lines; they reach it through the events queue. A line that any peer can cause is
//! limited: only so many of a kind are written, and the others are counted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::events::Event;
use crate::peer::Peer;
use crate::shared::Shared;
use worker_server_core::log::{Level, Line};
use worker_server_core::metrics::LimitName;

impl Shared {
    /// Logs a line that no peer can cause at will.
    pub fn log(&self, line: Line) {
        if self.config.logging {
            self.events.push(Event::Log { line, peer: None });
        }
    }

    /// Logs a line that any peer can cause, unless there are too many of its kind.
    pub fn log_limited(&self, line: Line) {
        if self.admits_line(line.level, line.message) {
            self.events.push(Event::Log { line, peer: None });
        }
    }

    /// Logs a line that a peer caused, unless there are too many of its kind; it counts as something of the peer that is
    /// not handled.
    pub fn log_for(&self, peer: &Arc<Peer>, line: Line) {
        if self.admits_line(line.level, line.message) {
            self.events.push(Event::Log { line, peer: Some(Arc::clone(peer)) });
        }
    }

    /// The same, with a context that is made only if the line is written.
    pub fn log_for_with(&self, peer: &Arc<Peer>, mut line: Line, context: impl FnOnce() -> Value) {
        if self.admits_line(line.level, line.message) {
            line.context = context();
            self.events.push(Event::Log { line, peer: Some(Arc::clone(peer)) });
        }
    }

    /// Whether one more line that any peer can cause may be logged now. If not, it is counted.
    pub fn admits_line(&self, level: Level, message: &str) -> bool {
        if !self.config.logging {
            return false;
        }
        let admitted = self.log_limits.limiter.lock().admits(level, message, self.clock.now());
        if !admitted {
            self.metrics.log_line_suppressed();
            self.log_limits.left_out.notify_one();
        }
        admitted
    }

    /// Tells once a second how many lines were left out, if any were. Never ends.
    pub async fn tell_what_is_left_out(&self) {
        loop {
            let due_ms = self.log_limits.limiter.lock().due_ms();
            let Some(due_ms) = due_ms else {
                self.log_limits.left_out.notified().await;
                continue;
            };
            sleep(Duration::from_millis(due_ms.saturating_sub(self.clock.now().elapsed_ms))).await;
            let lines = self.log_limits.limiter.lock().summaries(self.clock.now());
            for line in lines {
                self.log(line);
            }
        }
    }

    /// Something was refused since as much waits for a peer as may. Logged once until there is room again.
    pub fn log_full(&self, peer: &Arc<Peer>) {
        if peer.outbox.note_full() {
            self.metrics.limit_hit(LimitName::MaxQueuedBytes);
            self.log_for(peer, Line::warn("Too much is waiting to be sent to worker", self.describe(peer)));
        }
    }

    /// Names a peer's worker for the log.
    pub fn describe(&self, peer: &Peer) -> Value {
        let pool = self.pool();
        match peer.worker().and_then(|key| pool.get(key)) {
            Some(worker) => json!({ "workerId": *worker.id }),
            None => json!({}),
        }
    }
}
