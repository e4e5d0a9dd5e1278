//! The rest of the runtime's thread while the application's serves the sockets.
//!
//! `tests/loom_rest.rs` runs this file, as it is, through every interleaving of the two threads.

use super::sync::{AtomicBool, AtomicU32, Condvar, Mutex, Ordering, wait_for};
use worker_server_core::pacing::REST_TIME;

/// Whether a thread rests, and until when.
#[derive(Debug, Default)]
pub struct Rest {
    /// The application looks.
    is_on: AtomicBool,
    /// How often it has looked.
    looks: AtomicU32,
    place: Mutex<()>,
    ended: Condvar,
}

impl Rest {
    /// The application looks. True if it did not before: then somebody should [take](Rest::take) the rest.
    pub fn begin(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed);
        // It mostly is on already, and a swap costs more than a look.
        !self.is_on.load(Ordering::SeqCst) && !self.is_on.swap(true, Ordering::SeqCst)
    }

    /// Ends it.
    pub fn end(&self) {
        if self.is_on.load(Ordering::SeqCst) && self.is_on.swap(false, Ordering::SeqCst) {
            let _place = self.place.lock();
            self.ended.notify_all();
        }
    }

    /// Whether it is neither ended nor over.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    /// Rests, for [`REST_TIME`] at most. False if there was no rest to be taken. It is over once the application has not
    /// looked meanwhile.
    pub fn take(&self) -> bool {
        let looks = self.looks.load(Ordering::Relaxed);
        let place = self.place.lock();
        if !self.is_on() {
            return false;
        }
        wait_for(&self.ended, place, REST_TIME);
        if self.looks.load(Ordering::Relaxed) == looks {
            self.is_on.store(false, Ordering::SeqCst);
        }
        true
    }
}
