//! The lock and the atomics of the event queue, in one place, so that a test can put others under it.

pub use std::sync::atomic::{AtomicUsize, Ordering};

pub use parking_lot::Mutex;
