//! What the clients do, one kind of work a module.

mod answer;
mod beats;
mod heartbeats;
mod receive;
mod sending;
mod still;
mod stream;

use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use crate::config::{Config, Kind};
use crate::connection::Outbox;
use crate::fleet::Fleet;
use crate::http::Http;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// As workers do.
    WebSocket,
    /// HTTP/1.1 on connections that are kept.
    Http,
}

/// What the clients do.
pub trait Work {
    /// What they speak.
    fn protocol(&self) -> Protocol {
        Protocol::WebSocket
    }

    /// Whether everyone connects before the work begins.
    fn connects_first(&self) -> bool {
        true
    }

    /// The work begins.
    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()>;

    /// A message came to a registered worker. False if it is none that should come.
    fn message(&mut self, _index: usize, _out: &mut Outbox, _payload: &[u8], _now: Instant) -> bool {
        false
    }

    /// Bytes came on an HTTP connection. Gives how many answers in them were none that should come.
    fn bytes(&mut self, _index: usize, _out: &mut Outbox, _bytes: &[u8]) -> u64 {
        0
    }

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

/// The work that a run is for.
pub fn of(config: &Config) -> Box<dyn Work> {
    let seed = config.seed;
    match config.work {
        Kind::Flood { messages, size } => Box::new(sending::Flood::new(seed, messages, size)),
        Kind::Paced { messages, rate, size } => Box::new(sending::Paced::new(seed, messages, rate, size)),
        Kind::Heartbeats { messages, in_flight } => {
            Box::new(heartbeats::Heartbeats::new(seed, messages, in_flight, config.workers))
        }
        Kind::Beats { every_ms, for_ms } => Box::new(beats::Beats::new(seed, every_ms, for_ms, config.workers)),
        Kind::Receive { messages, report_every } => Box::new(receive::Receive::new(seed, messages, report_every)),
        Kind::Answer { messages, size, acks } => Box::new(answer::Answer::new(seed, messages, size, acks)),
        Kind::Stream { messages, chunks, size } => Box::new(stream::Stream::new(seed, messages, chunks, size)),
        Kind::Hold => Box::new(still::Hold),
        Kind::Register => Box::new(still::Register::new(config.workers)),
        Kind::Idle => Box::new(still::Idle),
        Kind::Http { messages } => Box::new(Http::new(messages, config.workers)),
    }
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
