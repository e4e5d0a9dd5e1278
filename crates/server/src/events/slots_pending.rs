//! Whether the application has been notified already that a slot has become free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// While this lives an [`Event::Slots`](super::Event::Slots) is on its way, and no second one is needed.
#[derive(Debug)]
pub struct SlotsPending(Arc<AtomicBool>);

impl SlotsPending {
    /// Clears `is_pending`, which is set, when it is dropped.
    pub fn new(is_pending: &Arc<AtomicBool>) -> Self {
        Self(Arc::clone(is_pending))
    }
}

impl Drop for SlotsPending {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
