//! Workers that send reports: as fast as they can, or at a steady rate.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Span, Work, counted};
use crate::consumer::Consumer;
use crate::fleet::Fleet;
use crate::pace::Pace;
use crate::text::Texts;

/// Everyone sends as fast as the sockets take it.
pub struct Flood {
    messages: u64,
    chunk: Rc<[u8]>,
    frame: usize,
    span: Span,
}

impl Flood {
    /// `messages` messages of `size` bytes.
    pub fn new(seed: u64, messages: u64, size: usize) -> Self {
        let (chunk, frame) = Texts::new(seed).reports(size);
        Self { messages, chunk, frame, span: Span::default() }
    }
}

impl Consumer for Flood {}

impl Work for Flood {
    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()> {
        self.span.note(now);
        let workers = fleet.len() as u64;
        for (index, worker) in (0..workers).enumerate() {
            let share = self.messages / workers + u64::from(worker < self.messages % workers);
            fleet.repeat(index, &self.chunk, share * self.frame as u64);
        }
        Ok(())
    }

    fn tick(&mut self, _fleet: &mut Fleet, now: Instant) {
        self.span.note(now);
    }

    fn is_done(&self, fleet: &Fleet) -> bool {
        fleet.all_sent()
    }

    fn report(&mut self) -> Value {
        counted(self.messages, self.span)
    }
}

/// A steady rate, each message from the next worker.
pub struct Paced {
    messages: u64,
    every: Duration,
    chunk: Rc<[u8]>,
    frame: usize,
    pace: Option<Pace>,
    /// When the first one is due, in milliseconds since 1970.
    start_ms: f64,
    span: Span,
}

impl Paced {
    /// `messages` messages of `size` bytes, `rate` of them a second.
    pub fn new(seed: u64, messages: u64, rate: f64, size: usize) -> Self {
        let (chunk, frame) = Texts::new(seed).reports(size);
        Self {
            messages,
            every: Duration::from_secs_f64(1.0 / rate),
            chunk,
            frame,
            pace: None,
            start_ms: 0.0,
            span: Span::default(),
        }
    }

    fn sent(&self) -> u64 {
        self.pace.map_or(0, |pace| pace.done())
    }
}

impl Consumer for Paced {}

impl Work for Paced {
    fn go(&mut self, _fleet: &mut Fleet, now: Instant) -> io::Result<()> {
        self.pace = Some(Pace::new(now, self.every));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.start_ms = since.saturating_sub(now.elapsed()).as_secs_f64() * 1e3;
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        self.pace.filter(|pace| pace.done() < self.messages).map(|pace| pace.due())
    }

    fn tick(&mut self, fleet: &mut Fleet, now: Instant) {
        let Some(pace) = &mut self.pace else { return };
        while pace.done() < self.messages
            && let Some((number, _)) = pace.next(now)
        {
            let number = usize::try_from(number).unwrap_or(0);
            let at = number % (self.chunk.len() / self.frame) * self.frame;
            fleet.send(number % fleet.len(), &self.chunk[at..at + self.frame]);
            self.span.note(now);
        }
    }

    fn is_done(&self, fleet: &Fleet) -> bool {
        self.sent() == self.messages && fleet.all_sent()
    }

    fn report(&mut self) -> Value {
        let mut report = counted(self.sent(), self.span);
        report["startMs"] = self.start_ms.into();
        report
    }
}
