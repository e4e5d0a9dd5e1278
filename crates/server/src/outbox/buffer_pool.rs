//! Memory of outboxes that were emptied, for those that are filled next.
//!
//! The application's thread fills outboxes, and a thread of the runtime empties them. If one allocated what the other
//! frees, both would keep waiting for the allocator, which locks the memory that it takes back from another thread.

use parking_lot::Mutex;

use super::write_buffer::SpareBuffer;

/// How many are kept, each of up to some 8 KiB.
const MAX_KEPT: usize = 4096;

/// What is kept.
#[derive(Debug, Default)]
pub struct BufferPool {
    kept: Mutex<Vec<SpareBuffer>>,
}

impl BufferPool {
    /// Takes all of them, so that many outboxes can be filled without locking anything in between.
    pub fn take(&self) -> Vec<SpareBuffer> {
        std::mem::take(&mut self.kept.lock())
    }

    /// Keeps some, or what is left of those that were taken.
    pub fn put(&self, mut spares: Vec<SpareBuffer>) {
        let mut kept = self.kept.lock();
        if kept.is_empty() {
            std::mem::swap(&mut *kept, &mut spares);
        }
        kept.append(&mut spares);
        kept.truncate(MAX_KEPT);
    }

    /// Frees all of it.
    pub fn clear(&self) {
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize) -> Vec<SpareBuffer> {
        (0..count).map(|_| SpareBuffer::default()).collect()
    }

    #[test]
    fn what_is_put_can_be_taken_once_up_to_the_bound() {
        let spares = BufferPool::default();
        spares.put(some(3));
        spares.put(some(2));
        assert_eq!([spares.take().len(), spares.take().len()], [5, 0]);
        spares.put(some(MAX_KEPT - 1));
        spares.put(some(2));
        assert_eq!(spares.take().len(), MAX_KEPT);
        spares.put(some(MAX_KEPT + 1));
        assert_eq!(spares.take().len(), MAX_KEPT);
    }
}
