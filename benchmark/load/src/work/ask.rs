//! Workers that ask the server something, and ask again once they have the answer.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use super::latencies::Latencies;
use super::{Span, Work};
use crate::connection::Outbox;
use crate::consumer::Consumer;
use crate::fleet::Fleet;
use crate::text::Texts;

/// How every answer begins.
const ANSWER: &[u8] = br#"{"type":"answer","requestId":""#;

/// A closed loop of questions.
pub struct Ask {
    messages: u64,
    in_flight: u64,
    sent: u64,
    answered: u64,
    size: usize,
    texts: Texts,
    text: String,
    /// For each worker, when its unanswered questions were sent.
    waiting: Vec<VecDeque<Instant>>,
    latencies: Latencies,
    span: Span,
}

impl Ask {
    /// `messages` questions of `size` bytes in all, and `in_flight` of each worker unanswered at a time.
    pub fn new(seed: u64, messages: u64, in_flight: u64, size: usize, workers: usize) -> Self {
        Self {
            messages,
            in_flight,
            sent: 0,
            answered: 0,
            size,
            texts: Texts::new(seed),
            text: String::with_capacity(size),
            waiting: vec![VecDeque::new(); workers],
            latencies: Latencies::default(),
            span: Span::default(),
        }
    }

    /// Writes the next question into `self.text`. Their letters are all the same: making random ones would cost more than the rest.
    fn write_question(&mut self) {
        use std::fmt::Write as _;
        self.text.clear();
        // Writing into a string does not fail.
        let _ = write!(self.text, r#"{{"type":"ask","requestId":"r-{:08}","text":""#, self.sent);
        let end = r#""}"#;
        let missing = self.size.saturating_sub(self.text.len() + end.len());
        self.text.extend(std::iter::repeat_n('a', missing));
        self.text.push_str(end);
        self.sent += 1;
    }
}

impl Consumer for Ask {
    fn message(&mut self, index: usize, out: &mut Outbox, payload: &[u8], now: Instant) -> bool {
        let Some(asked_at) = self.waiting.get_mut(index).and_then(VecDeque::pop_front) else { return false };
        self.answered += 1;
        self.span.note(now);
        self.latencies.record(now - asked_at);
        if self.sent < self.messages {
            self.write_question();
            self.waiting[index].push_back(now);
            out.push_text(self.texts.mask(), self.text.as_bytes());
        }
        payload.starts_with(ANSWER)
    }
}

impl Work for Ask {
    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()> {
        self.span.note(now);
        for index in 0..fleet.len() {
            for _ in 0..self.in_flight.min(self.messages - self.sent) {
                self.write_question();
                let frame = self.texts.framed(&self.text);
                self.waiting[index].push_back(now);
                fleet.send(index, &frame);
            }
        }
        Ok(())
    }

    fn is_done(&self, _fleet: &Fleet) -> bool {
        self.answered >= self.messages
    }

    fn report(&mut self) -> Value {
        json!({ "messages": self.answered, "seconds": self.span.seconds(), "latency": self.latencies.percentiles() })
    }
}
