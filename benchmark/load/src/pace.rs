//! A steady rate: how much is due by now.

use std::time::{Duration, Instant};

/// Counts what falls due at a rate.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    every: Duration,
    done: u64,
}

impl Pace {
    /// One in `every`, the first of them at once.
    pub fn new(start: Instant, every: Duration) -> Self {
        Self { start, every, done: 0 }
    }

    /// When the next one is due.
    pub fn due(&self) -> Instant {
        let nanos = self.every.as_nanos().saturating_mul(u128::from(self.done));
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The number of the next one, if it is due, and when it was.
    pub fn next(&mut self, now: Instant) -> Option<(u64, Instant)> {
        let due = self.due();
        if due > now {
            return None;
        }
        self.done += 1;
        Some((self.done - 1, due))
    }

    /// How many there were.
    pub fn done(&self) -> u64 {
        self.done
    }
}
