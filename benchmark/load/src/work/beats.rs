//! Heartbeats on a schedule, whether or not earlier ones were answered, and how long each answer takes.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::heartbeats::ACK;
use super::latencies::Latencies;
use super::{Span, Work};
use crate::connection::Outbox;
use crate::consumer::Consumer;
use crate::fleet::Fleet;
use crate::pace::Pace;
use crate::text::{Texts, heartbeat};

/// An open loop of heartbeats. The workers' turns are spread evenly over the interval.
pub struct Beats {
    every: Duration,
    time: Option<Duration>,
    pace: Option<(Pace, Instant)>,
    texts: Texts,
    /// For each worker, when its unanswered heartbeats were due: a late start counts as latency too.
    waiting: Vec<VecDeque<Instant>>,
    unanswered: u64,
    sent: u64,
    latencies: Latencies,
    span: Span,
}

impl Beats {
    /// One heartbeat of each worker every `every_ms`, for `for_ms` if it is given.
    pub fn new(seed: u64, every_ms: u64, for_ms: Option<u64>, workers: usize) -> Self {
        Self {
            every: Duration::from_millis(every_ms),
            time: for_ms.map(Duration::from_millis),
            pace: None,
            texts: Texts::new(seed),
            waiting: vec![VecDeque::new(); workers],
            unanswered: 0,
            sent: 0,
            latencies: Latencies::default(),
            span: Span::default(),
        }
    }

    fn over(&self, pace: &Pace, start: Instant) -> bool {
        self.time.is_some_and(|time| pace.due() >= start + time)
    }
}

impl Consumer for Beats {
    fn message(&mut self, index: usize, _out: &mut Outbox, payload: &[u8], now: Instant) -> bool {
        let Some(sent) = self.waiting.get_mut(index).and_then(VecDeque::pop_front) else { return false };
        self.unanswered -= 1;
        self.span.note(now);
        self.latencies.record(now - sent);
        payload.starts_with(ACK)
    }
}

impl Work for Beats {
    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()> {
        let every = self.every.div_f64(fleet.len().max(1) as f64);
        self.pace = Some((Pace::new(now, every), now));
        self.waiting.resize_with(fleet.len(), VecDeque::new);
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        self.pace.filter(|(pace, start)| !self.over(pace, *start)).map(|(pace, _)| pace.due())
    }

    fn tick(&mut self, fleet: &mut Fleet, now: Instant) {
        while let Some((mut pace, start)) = self.pace
            && !self.over(&pace, start)
            && let Some((number, due)) = pace.next(now)
        {
            self.pace = Some((pace, start));
            let index = usize::try_from(number).unwrap_or(0) % fleet.len();
            if !fleet.is_open(index) {
                continue;
            }
            self.waiting[index].push_back(due);
            self.unanswered += 1;
            self.sent += 1;
            let frame = self.texts.framed(&heartbeat(&fleet.id(index)));
            fleet.send(index, &frame);
        }
    }

    fn is_done(&self, _fleet: &Fleet) -> bool {
        self.pace.is_some_and(|(pace, start)| self.over(&pace, start)) && self.unanswered == 0
    }

    fn report(&mut self) -> Value {
        let report = json!({
            "messages": self.latencies.count(),
            "sent": self.sent,
            "unanswered": self.unanswered,
            "seconds": self.span.seconds(),
            "latency": self.latencies.percentiles(),
        });
        self.latencies.reset();
        self.sent = 0;
        report
    }
}
