//! The place of a thread of the runtime that stands by while the application handles what it got.
//!
//! Where a few peers and the application answer each other at once, most of a round's time goes into waking threads:
//! the system interrupts a processor for that, and one that sleeps comes back slowly. While the application looks for
//! messages instead of sleeping, and can't [read the sockets](super::polled_task) of these peers itself, a thread that
//! has just got some for it does not sleep either, and writes the answer itself. The application need not wait for the
//! socket then, and the same thread is there for what the peer says to it.
//!
//! `tests/loom_standby.rs` runs this file, as it is, through every interleaving of the two threads.

use super::sync::{AtomicBool, AtomicU8, Ordering};

/// Nobody stands by.
const IDLE: u8 = 0;
/// A thread does.
const WAITING: u8 = 1;
/// It was given something to write.
const WRITING: u8 = 2;

/// The place of the thread that stands by. There is one at most.
#[derive(Debug)]
pub struct Standby {
    is_wanted: AtomicBool,
    state: AtomicU8,
}

impl Default for Standby {
    fn default() -> Self {
        Self { is_wanted: AtomicBool::new(false), state: AtomicU8::new(IDLE) }
    }
}

impl Standby {
    /// Whether somebody should stand by from now on.
    pub fn set_wanted(&self, is_wanted: bool) {
        self.is_wanted.store(is_wanted, Ordering::Relaxed);
    }

    /// Whether somebody should stand by.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// This thread stands by, until [`Standby::end`]. False if another one does.
    pub fn begin(&self) -> bool {
        self.change(IDLE, WAITING)
    }

    /// This thread no longer stands by. Returns whether it was given something to write, which nobody else writes.
    pub fn end(&self) -> bool {
        self.state.swap(IDLE, Ordering::SeqCst) == WRITING
    }

    /// Whether a thread stands by.
    pub fn is_there(&self) -> bool {
        self.state.load(Ordering::SeqCst) == WAITING
    }

    /// Has the thread that stands by write. False if there is none any more.
    pub fn give(&self) -> bool {
        self.change(WAITING, WRITING)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
