//! How much waits for each worker, where the application's thread can read it without asking.
//!
//! Whether a worker's socket is open and has room decides what `send` returns, and calling into the addon for each
//! message would cost more than all the rest. So each worker has a slot in memory that both sides see: the bytes that
//! wait for it, or infinity when nothing can be sent to it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Slots of one page.
pub const PAGE_SLOTS: usize = 1024;

/// How many workers one page of memory is for. Each slot is the bits of a double.
pub type Page = Arc<[AtomicU64; PAGE_SLOTS]>;

/// The slots of all workers of a server. It grows with them, a page at a time.
#[derive(Debug, Default)]
pub struct BufferedAmounts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pages: Vec<Page>,
    free: Vec<usize>,
}

/// One worker's slot, given back when it is dropped.
#[derive(Debug)]
pub struct BufferedAmount {
    page: Page,
    index: usize,
    buffered_amounts: Arc<BufferedAmounts>,
}

impl BufferedAmounts {
    /// A slot, at 0 bytes.
    pub fn take(self: &Arc<Self>) -> BufferedAmount {
        let mut state = self.state.lock();
        if state.free.is_empty() {
            let first = state.pages.len() * PAGE_SLOTS;
            state.pages.push(Arc::new([const { AtomicU64::new(0) }; PAGE_SLOTS]));
            state.free.extend((first..first + PAGE_SLOTS).rev());
        }
        let index = state.free.pop().unwrap_or_default();
        let page = Arc::clone(&state.pages[index / PAGE_SLOTS]);
        drop(state);
        let buffered_amount = BufferedAmount { page, index, buffered_amounts: Arc::clone(self) };
        buffered_amount.set(0);
        buffered_amount
    }

    /// A page, once a slot in it was taken.
    pub fn page(&self, number: usize) -> Option<Page> {
        self.state.lock().pages.get(number).cloned()
    }
}

impl BufferedAmount {
    /// Its number, over all pages.
    pub fn index(&self) -> usize {
        self.index
    }

    /// This many bytes wait.
    pub fn set(&self, bytes: usize) {
        self.store(bytes as f64);
    }

    /// Nothing can be sent any more.
    pub fn close(&self) {
        self.store(f64::INFINITY);
    }

    fn store(&self, value: f64) {
        self.page[self.index % PAGE_SLOTS].store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Drop for BufferedAmount {
    fn drop(&mut self) {
        self.close();
        self.buffered_amounts.state.lock().free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(buffered_amounts: &BufferedAmounts, index: usize, value: f64) -> bool {
        let page = buffered_amounts.page(index / PAGE_SLOTS).expect("the page is there");
        page[index % PAGE_SLOTS].load(Ordering::Relaxed) == value.to_bits()
    }

    #[test]
    fn a_slot_shows_what_waits_and_is_used_again_when_its_worker_is_gone() {
        let buffered_amounts = Arc::new(BufferedAmounts::default());
        let buffered_amount = buffered_amounts.take();
        let index = buffered_amount.index();
        assert!(shows(&buffered_amounts, index, 0.0));
        buffered_amount.set(5);
        assert!(shows(&buffered_amounts, index, 5.0));
        buffered_amount.close();
        assert!(shows(&buffered_amounts, index, f64::INFINITY));
        drop(buffered_amount);
        let next = buffered_amounts.take();
        assert!(next.index() == index && shows(&buffered_amounts, index, 0.0));
    }

    #[test]
    fn it_grows_a_page_at_a_time() {
        let buffered_amounts = Arc::new(BufferedAmounts::default());
        let taken: Vec<_> = (0..=PAGE_SLOTS).map(|_| buffered_amounts.take()).collect();
        let last = taken.last().map(BufferedAmount::index);
        assert_eq!(last, Some(PAGE_SLOTS));
        assert!(buffered_amounts.page(1).is_some() && buffered_amounts.page(2).is_none());
    }
}
