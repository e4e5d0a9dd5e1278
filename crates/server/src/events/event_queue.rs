//! The queue between the connections and the application's thread.
//!
//! Connections push; the application's thread drains. It is woken once, when something comes into a queue that
//! it had found empty, and then drains until it finds it empty again: a wake costs more than many messages. Those who
//! push are served in turn, see [`fair_queue`](super::fair_queue).
//!
//! `tests/loom_events.rs` runs this file, as it is, through every interleaving of its threads.

use std::fmt;

use super::entry::{Charge, Entry};
use super::fair_queue::FairQueue;
use super::sync::{AtomicUsize, Mutex, Ordering};

/// The queue of one server.
pub struct EventQueue<E: Entry> {
    state: Mutex<State<E>>,
    /// Bytes that were charged and not yet credited, over all accounts.
    unhandled: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct State<E: Entry> {
    entries: FairQueue<E>,
    /// The application's thread was woken and has not found the queue empty since.
    awake: bool,
    /// Only the last entry is still wanted.
    closed: bool,
    /// What the entries that were drained last are charged with.
    draining: Vec<E::Charge>,
}

impl<E: Entry> fmt::Debug for EventQueue<E> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("EventQueue").field("waiting", &self.state.lock().entries.waiting()).finish_non_exhaustive()
    }
}

impl<E: Entry> EventQueue<E> {
    /// An empty queue. `wake` is called on any thread and should have [`EventQueue::drain`] called soon.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let state = State { entries: FairQueue::default(), awake: false, closed: false, draining: Vec::new() };
        Self { state: Mutex::new(state), unhandled: AtomicUsize::new(0), wake: Box::new(wake) }
    }

    /// Puts an entry in. After [`EventQueue::close`] it is dropped.
    pub fn push(&self, entry: E) {
        let mut state = self.state.lock();
        if (state.closed && !entry.is_last()) || entry.may_be_left_out(state.entries.waiting()) {
            return;
        }
        if !entry.admit() {
            return;
        }
        if let Some(charge) = entry.charge() {
            charge.debit();
            self.unhandled.fetch_add(charge.bytes(), Ordering::SeqCst);
        }
        state.entries.push(entry);
        let wake = !std::mem::replace(&mut state.awake, true);
        drop(state);
        if wake {
            (self.wake)();
        }
    }

    /// Puts an entry of `make` behind what waits in each lane, where something does. Returns how many lanes that were.
    pub fn push_behind_each(&self, make: impl Fn(u64) -> E) -> usize {
        let mut state = self.state.lock();
        // The thread that put something in has woken the application.
        let lanes = state.entries.lanes();
        for &lane in &lanes {
            state.entries.push(make(lane));
        }
        lanes.len()
    }

    /// Takes out entries, lane by lane, until they count as `max_entries` or have `max_bytes`; the last one may exceed
    /// that.
    ///
    /// That the application asks again says that it has handled what it got before. When it gets nothing it will be
    /// woken, but if it says that it will come again by itself (`returns`).
    pub fn drain(&self, max_entries: usize, max_bytes: usize, returns: bool) -> Vec<E> {
        let mut state = self.state.lock();
        self.credit(state.draining.drain(..));
        let mut drained = Vec::with_capacity(state.entries.waiting().min(max_entries));
        let (mut count, mut bytes) = (0, 0);
        while count < max_entries
            && bytes < max_bytes
            && let Some((entry, charge)) = state.entries.pop()
        {
            if let Some(charge) = charge {
                bytes += charge.bytes();
                state.draining.push(charge);
            }
            count += entry.count();
            drained.push(entry);
        }
        if drained.is_empty() {
            state.awake = returns;
            if !returns {
                // An idle queue keeps no buffer.
                state.entries = FairQueue::default();
                state.draining = Vec::new();
            }
        }
        drained
    }

    /// Drops all entries, and from now on takes in none but the last.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.entries);
        self.credit(dropped.iter().filter_map(Entry::charge));
    }

    /// Bytes that were received and not yet handled, over all accounts.
    pub fn unhandled(&self) -> usize {
        self.unhandled.load(Ordering::SeqCst)
    }

    fn credit(&self, charges: impl Iterator<Item = E::Charge>) {
        for charge in charges {
            self.unhandled.fetch_sub(charge.bytes(), Ordering::SeqCst);
            charge.credit();
        }
    }
}
