//! Workers that take what the server sends.

use std::io;
use std::time::Instant;

use serde_json::Value;

use super::{Span, Work, counted};
use crate::connection::Outbox;
use crate::consumer::Consumer;
use crate::fleet::Fleet;
use crate::text::Texts;

/// Counts what comes. The first worker reports now and then how far it is.
pub struct Receive {
    messages: u64,
    report_every: u64,
    received: u64,
    bytes: u64,
    of_the_first: u64,
    caught_up: Vec<u8>,
    span: Span,
}

impl Receive {
    /// `messages` messages in all; the first worker reports after `report_every` of its own.
    pub fn new(seed: u64, messages: u64, report_every: u64) -> Self {
        let caught_up = Texts::new(seed).framed(r#"{"type":"caught-up"}"#);
        let (received, bytes, of_the_first) = (0, 0, 0);
        Self { messages, report_every, received, bytes, of_the_first, caught_up, span: Span::default() }
    }
}

impl Consumer for Receive {
    fn message(&mut self, index: usize, out: &mut Outbox, payload: &[u8], now: Instant) -> bool {
        self.received += 1;
        self.bytes += payload.len() as u64;
        self.span.note(now);
        if index == 0 {
            self.of_the_first += 1;
            if self.of_the_first.is_multiple_of(self.report_every) {
                out.push(&self.caught_up);
            }
        }
        payload.starts_with(br#"{"type":"work","#)
    }
}

impl Work for Receive {
    fn go(&mut self, _fleet: &mut Fleet, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn is_done(&self, _fleet: &Fleet) -> bool {
        self.received >= self.messages
    }

    fn report(&mut self) -> Value {
        let mut report = counted(self.received, self.span);
        report["bytes"] = self.bytes.into();
        report
    }
}
