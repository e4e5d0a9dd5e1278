//! Workers that only register, only stay, or only take what they are given.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use super::{Span, Work, counted};
use crate::connection::Outbox;
use crate::consumer::Consumer;
use crate::fleet::Fleet;

/// Everyone connects and registers at the word `go`.
pub struct Register {
    workers: usize,
    open: usize,
    span: Span,
}

impl Register {
    /// So many.
    pub fn new(workers: usize) -> Self {
        Self { workers, open: 0, span: Span::default() }
    }
}

impl Consumer for Register {}

impl Work for Register {
    fn connects_first(&self) -> bool {
        false
    }

    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()> {
        self.span.note(now);
        fleet.connect(self.workers)
    }

    fn tick(&mut self, fleet: &mut Fleet, now: Instant) {
        if fleet.open() > self.open {
            self.open = fleet.open();
            self.span.note(now);
        }
    }

    fn is_done(&self, fleet: &Fleet) -> bool {
        fleet.open() == self.workers
    }

    fn report(&mut self) -> Value {
        counted(self.open as u64, self.span)
    }
}

/// Nothing happens.
pub struct Idle;

impl Consumer for Idle {}

impl Work for Idle {
    fn go(&mut self, _fleet: &mut Fleet, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn is_done(&self, _fleet: &Fleet) -> bool {
        true
    }

    fn report(&mut self) -> Value {
        json!({})
    }
}

/// Requests are taken, and none is answered; how many of them are under way is the server's business.
pub struct Hold;

impl Consumer for Hold {
    fn message(&mut self, _index: usize, _out: &mut Outbox, _payload: &[u8], _now: Instant) -> bool {
        true
    }
}

impl Work for Hold {
    fn go(&mut self, _fleet: &mut Fleet, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn is_done(&self, _fleet: &Fleet) -> bool {
        true
    }

    fn report(&mut self) -> Value {
        json!({})
    }
}
