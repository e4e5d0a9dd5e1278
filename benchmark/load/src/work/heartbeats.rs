//! Workers that send the next heartbeat once one was answered.

use std::io;
use std::time::Instant;

use serde_json::Value;

use super::{Span, Work, counted};
use crate::connection::Outbox;
use crate::consumer::Consumer;
use crate::fleet::Fleet;
use crate::text::{Texts, heartbeat};

/// How every acknowledgement begins.
pub const ACK: &[u8] = br#"{"type":"heartbeat_ack","timestamp":""#;

/// A closed loop of heartbeats.
pub struct Heartbeats {
    messages: u64,
    in_flight: u64,
    sent: u64,
    answered: u64,
    texts: Texts,
    frames: Vec<Vec<u8>>,
    span: Span,
}

impl Heartbeats {
    /// `messages` in all, and `in_flight` of each worker unanswered at a time.
    pub fn new(seed: u64, messages: u64, in_flight: u64, workers: usize) -> Self {
        let texts = Texts::new(seed);
        let frames = Vec::with_capacity(workers);
        Self { messages, in_flight, sent: 0, answered: 0, texts, frames, span: Span::default() }
    }
}

impl Consumer for Heartbeats {
    fn message(&mut self, index: usize, out: &mut Outbox, payload: &[u8], now: Instant) -> bool {
        self.answered += 1;
        self.span.note(now);
        if self.sent < self.messages {
            self.sent += 1;
            out.push(&self.frames[index]);
        }
        payload.starts_with(ACK)
    }
}

impl Work for Heartbeats {
    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()> {
        self.frames = (0..fleet.len()).map(|index| self.texts.framed(&heartbeat(&fleet.id(index)))).collect();
        self.span.note(now);
        for index in 0..fleet.len() {
            let first = self.in_flight.min(self.messages - self.sent);
            let frames = self.frames[index].repeat(usize::try_from(first).unwrap_or(0));
            fleet.send(index, &frames);
            self.sent += first;
        }
        Ok(())
    }

    fn is_done(&self, _fleet: &Fleet) -> bool {
        self.answered >= self.messages
    }

    fn report(&mut self) -> Value {
        counted(self.answered, self.span)
    }
}
