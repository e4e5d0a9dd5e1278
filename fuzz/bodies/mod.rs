//! What each fuzz target does with one input. The targets run these under libFuzzer, and `tests/corpus.rs` runs them over
//! the seeds, on any toolchain. A body panics when it finds a fault.

pub mod classifier;
// This and `frames` work over a pair of sockets without a port.
#[cfg(unix)]
pub mod door;
pub mod forwarded;
#[cfg(unix)]
pub mod frames;
pub mod request_head;
pub mod session;
