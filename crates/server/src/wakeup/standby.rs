//! A thread of the runtime that stands by while the application handles what it got.
//!
//! Where a few peers and the application answer each other at once, most of a round's time goes into waking threads: the system
//! interrupts a processor for that, and one that sleeps comes back slowly. While the application looks for messages instead of
//! sleeping (see [`Server::look`](crate::Server::look)), a thread that has just got some for it does not sleep either, and writes the
//! answer itself. The application need not wait for the socket then, and the same thread is there for what the peer says to it.
//!
//! It is done only as long as it proves right: where the application answers late, or not at all, or both threads have to
//! share a processor, waiting only keeps others from their work.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// It does not wait longer for what the application has to write.
const MAX_STANDBY: Duration = Duration::from_micros(50);
/// After it has waited for nothing it lets so many occasions pass.
const SKIPPED_OCCASIONS: u32 = 16;

/// Nobody stands by.
const IDLE: u8 = 0;
/// A thread does.
const WAITING: u8 = 1;
/// It was given something to write.
const WRITING: u8 = 2;

/// The place of the thread that stands by. There is one at most.
#[derive(Debug, Default)]
pub struct Standby {
    is_wanted: AtomicBool,
    state: AtomicU8,
    /// Occasions that are still to pass.
    passes: AtomicU32,
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

    /// Waits, without sleeping, for something to write, as long as `may_come` says that there may be some. Gives whether there is.
    pub fn wait(&self, may_come: impl Fn() -> bool) -> bool {
        if !self.is_wanted() || !may_come() || self.passes() || !self.change(IDLE, WAITING) {
            return false;
        }
        let begun = Instant::now();
        while self.is_there() && may_come() && begun.elapsed() < MAX_STANDBY {
            hint::spin_loop();
        }
        let is_given = self.state.swap(IDLE, Ordering::SeqCst) == WRITING;
        if !is_given {
            self.passes.store(SKIPPED_OCCASIONS, Ordering::Relaxed);
        }
        is_given
    }

    /// Whether a thread stands by.
    pub fn is_there(&self) -> bool {
        self.state.load(Ordering::SeqCst) == WAITING
    }

    /// Tells the thread that stands by to write. False if there is none any more.
    pub fn give(&self) -> bool {
        self.change(WAITING, WRITING)
    }

    fn passes(&self) -> bool {
        let left = self.passes.load(Ordering::Relaxed);
        self.passes.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    fn wanted() -> Standby {
        let standby = Standby::default();
        standby.set_wanted(true);
        standby
    }

    #[test]
    fn the_thread_that_stands_by_is_given_what_there_is_to_write_once() {
        let standby = wanted();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                // This thread may have no processor for longer than it is waited for.
                while !standby.wait(|| true) {}
            });
            while !standby.give() {
                assert!(!waiting.is_finished());
            }
        });
        assert!(!standby.is_there());
        assert!(!standby.give());
    }

    #[test]
    fn nobody_stands_by_unless_it_is_wanted_and_something_may_come() {
        let looked = AtomicUsize::new(0);
        let may_come = |yes| {
            looked.fetch_add(1, Ordering::SeqCst);
            yes
        };
        assert!(!Standby::default().wait(|| may_come(true)));
        assert_eq!(looked.load(Ordering::SeqCst), 0);
        assert!(!wanted().wait(|| may_come(false)));
        assert_eq!(looked.load(Ordering::SeqCst), 1);
        let standby = wanted();
        standby.set_wanted(false);
        assert!(!standby.wait(|| may_come(true)));
        assert_eq!(looked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_has_waited_for_nothing_does_not_wait_again_soon() {
        let standby = wanted();
        let waits = || {
            let begun = Instant::now();
            assert!(!standby.wait(|| true));
            begun.elapsed() >= MAX_STANDBY
        };
        assert!(waits());
        for _ in 0..SKIPPED_OCCASIONS {
            assert_ne!(standby.passes.load(Ordering::Relaxed), 0);
            assert!(!standby.wait(|| true));
        }
        assert!(waits());
    }

    #[test]
    fn a_second_thread_does_not_stand_by() {
        let standby = wanted();
        standby.state.store(WAITING, Ordering::SeqCst);
        assert!(!standby.wait(|| true));
        assert!(standby.is_there());
    }
}
