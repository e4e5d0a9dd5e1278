//! What standby and rest are built on, in one place, so that a test can put something else under them.

use std::time::Duration;

pub use parking_lot::{Condvar, Mutex, MutexGuard};
pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

/// Waits until it is notified, for this time at most.
pub fn wait_for(condvar: &Condvar, mut guard: MutexGuard<'_, ()>, time: Duration) {
    condvar.wait_for(&mut guard, time);
}
