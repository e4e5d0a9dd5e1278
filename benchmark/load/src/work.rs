//! What the clients do, one kind of work a module.

mod answer;
mod ask;
mod beats;
mod heartbeats;
mod http;
pub mod kinds;
mod latencies;
mod receive;
mod sending;
mod still;
mod stream;

use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use crate::consumer::Consumer;
use crate::fleet::Fleet;

/// What the clients do.
pub trait Work: Consumer {
    /// Whether everyone connects before the work begins.
    fn connects_first(&self) -> bool {
        true
    }

    /// The work begins.
    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()>;

    /// When there is something to do by the clock.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Does what is due. Called after each round of events.
    fn tick(&mut self, _fleet: &mut Fleet, _now: Instant) {}

    /// Whether all is done.
    fn is_done(&self, fleet: &Fleet) -> bool;

    /// What was done.
    fn report(&mut self) -> Value;
}

/// The time from the first to the last thing that counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span(Option<(Instant, Instant)>);

impl Span {
    /// Something that counts happened.
    pub fn note(&mut self, now: Instant) {
        self.0 = Some((self.0.map_or(now, |(start, _)| start), now));
    }

    /// In seconds.
    pub fn seconds(&self) -> f64 {
        self.0.map_or(0.0, |(start, end)| (end - start).as_secs_f64())
    }
}

/// The usual report: how many, and how long it took.
pub fn counted(messages: u64, span: Span) -> Value {
    json!({ "messages": messages, "seconds": span.seconds() })
}
