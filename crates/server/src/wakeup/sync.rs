//! The atomics of the standby, in one place, so that a test can put others under it.

pub use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
