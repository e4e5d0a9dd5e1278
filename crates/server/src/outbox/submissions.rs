//! What the application has sent, in memory that both sides see.
//!
//! A call into the addon costs more than a short message, so JavaScript writes what it sends into this memory, one text
//! behind the other, and publishes each by a count. It is taken from there at the end of the turn at the latest. Should
//! the turn be long, a thread of the runtime takes it meanwhile: nothing that was sent waits where only the
//! application's thread can reach it.
//!
//! JavaScript alone writes texts, records and their count; only a call on its own thread begins anew at the start. Its
//! writes are plain ones: an atomic one waits until all before it have reached the cache, which takes as long as
//! writing the text. So the two threads may see each other's writes late, or in another order, by some nanoseconds.
//! What takes messages on another thread therefore takes those that it saw published at its look before, which is
//! milliseconds ago, and looks once more after it has said that it does not look any more.

use std::cell::UnsafeCell;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use worker_server_core::worker::WorkerKey;

/// As many messages as there is room for. Before there are more they must be taken.
pub const MAX_MESSAGES: usize = 512;
/// Bytes of UTF-8, of all messages together.
pub const TEXT_BYTES: usize = 128 << 10;
/// Doubles for each message: the key of its worker, and its length in bytes.
pub const RECORD_FIELDS: usize = 2;

/// Numbers that both sides see, by their places.
pub mod counter {
    /// How many messages are published.
    pub const PUBLISHED: usize = 0;
    /// Whether somebody looks after long turns. While nobody does, who publishes something has to say so.
    pub const WATCHED: usize = 1;
    /// How often something left before the turn in which it was sent was over.
    pub const EARLY: usize = 2;
    /// How many numbers there are.
    pub const COUNT: usize = 3;
}

/// The memory of [`Submissions`].
#[derive(Debug)]
pub struct Memory {
    /// See [`counter`].
    pub counters: [AtomicU32; counter::COUNT],
    /// [`RECORD_FIELDS`] for each message, the bits of doubles.
    pub records: [AtomicU64; MAX_MESSAGES * RECORD_FIELDS],
    /// The texts, one behind the other.
    pub texts: TextMemory,
}

/// Memory that JavaScript writes without asking.
#[derive(Debug)]
pub struct TextMemory(Box<[UnsafeCell<u8>]>);

// SAFETY: Rust reads only what was published, which JavaScript does not write again before it was taken.
unsafe impl Sync for TextMemory {}

impl TextMemory {
    /// Where it is.
    pub fn as_ptr(&self) -> *mut u8 {
        UnsafeCell::raw_get(self.0.as_ptr())
    }

    /// A part of it that was published. `None` if it ends beyond the memory.
    fn published(&self, from: usize, length: usize) -> Option<&[u8]> {
        let end = from.checked_add(length)?;
        // SAFETY: it lies within the memory, and nobody writes it until it was taken.
        (end <= TEXT_BYTES).then(|| unsafe { slice::from_raw_parts(self.as_ptr().add(from), length) })
    }
}

/// The messages of one server's application.
#[derive(Debug)]
pub struct Submissions {
    memory: Arc<Memory>,
    /// How much of what was published is taken already.
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    messages: usize,
    bytes: usize,
    /// How many were published when somebody last looked.
    seen: usize,
}

impl Default for Submissions {
    fn default() -> Self {
        let memory = Memory {
            counters: [const { AtomicU32::new(0) }; counter::COUNT],
            records: [const { AtomicU64::new(0) }; MAX_MESSAGES * RECORD_FIELDS],
            texts: TextMemory((0..TEXT_BYTES).map(|_| UnsafeCell::new(0)).collect()),
        };
        Self { memory: Arc::new(memory), taken: Mutex::default() }
    }
}

impl Submissions {
    /// The memory, for JavaScript.
    pub fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    /// Passes what was published by the last look, and not taken yet, to `each`, in its order. On any thread; one at a
    /// time, so that the order holds.
    pub fn take_seen(&self, each: impl FnMut(WorkerKey, &[u8])) {
        let mut taken = self.taken.lock();
        self.take_to(taken.seen, &mut taken, each);
    }

    /// The same with what has been published since that look, where the processor shows one thread's writes to another
    /// in their order (x86 does). Elsewhere a text might be seen after its count.
    pub fn take_published(&self, each: impl FnMut(WorkerKey, &[u8])) {
        let mut taken = self.taken.lock();
        let end = if cfg!(target_arch = "x86_64") { self.published() } else { taken.seen };
        self.take_to(end, &mut taken, each);
    }

    /// Whether something was published and not taken yet.
    pub fn are_there(&self) -> bool {
        self.published() > self.taken.lock().messages
    }

    /// Looks how much is published.
    pub fn look(&self) {
        let mut taken = self.taken.lock();
        taken.seen = self.published();
    }

    /// Passes all that was published and not taken yet to `each`. On the application's thread alone, which publishes
    /// from the start again afterwards.
    pub fn take_all(&self, each: impl FnMut(WorkerKey, &[u8])) {
        let mut taken = self.taken.lock();
        self.take_to(self.published(), &mut taken, each);
        *taken = Taken::default();
        self.counter(counter::PUBLISHED).store(0, Ordering::Relaxed);
    }

    fn take_to(&self, end: usize, taken: &mut Taken, mut each: impl FnMut(WorkerKey, &[u8])) {
        let records = self.memory.records.as_chunks::<RECORD_FIELDS>().0;
        for [key, length] in records.get(taken.messages..end).unwrap_or_default() {
            let read = |slot: &AtomicU64| f64::from_bits(slot.load(Ordering::Relaxed));
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "`as` saturates, which is what is wanted"
            )]
            let (key, length) = (WorkerKey(read(key) as u64), read(length) as usize);
            let Some(text) = self.memory.texts.published(taken.bytes, length) else { break };
            each(key, text);
            taken.bytes += length;
        }
        taken.messages = taken.messages.max(end);
    }

    /// Whether somebody looks after long turns.
    pub fn are_watched(&self) -> bool {
        self.counter(counter::WATCHED).load(Ordering::SeqCst) != 0
    }

    /// Notes whether somebody looks after long turns. Returns whether somebody did.
    pub fn set_watched(&self, watched: bool) -> bool {
        // It mostly is already, and a swap costs more than a look.
        watched && self.are_watched() || self.counter(counter::WATCHED).swap(u32::from(watched), Ordering::SeqCst) != 0
    }

    /// Something has left though the turn was not over: JavaScript can't rely on what it planned for its end.
    pub fn note_early(&self) {
        self.counter(counter::EARLY).fetch_add(1, Ordering::Relaxed);
    }

    fn published(&self) -> usize {
        (self.counter(counter::PUBLISHED).load(Ordering::Acquire) as usize).min(MAX_MESSAGES)
    }

    fn counter(&self, place: usize) -> &AtomicU32 {
        &self.memory.counters[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes texts behind each other, as JavaScript does, for workers with the keys 1, 2 and so on.
    fn publish(submissions: &Submissions, texts: &[&str]) {
        let memory = submissions.memory();
        let mut at = 0;
        for (number, text) in texts.iter().enumerate() {
            let [key, length] = [number + 1, text.len()].map(|number| (number as f64).to_bits());
            memory.records[number * RECORD_FIELDS].store(key, Ordering::Relaxed);
            memory.records[number * RECORD_FIELDS + 1].store(length, Ordering::Relaxed);
            // SAFETY: there is room, and nobody else is here.
            unsafe { memory.texts.as_ptr().add(at).copy_from(text.as_ptr(), text.len()) };
            at += text.len();
        }
        let count = u32::try_from(texts.len()).unwrap();
        memory.counters[counter::PUBLISHED].store(count, Ordering::SeqCst);
    }

    fn taken(take: impl FnOnce(&mut dyn FnMut(WorkerKey, &[u8]))) -> Vec<(u64, String)> {
        let mut taken = Vec::new();
        take(&mut |key, text| taken.push((key.0, String::from_utf8(text.to_vec()).unwrap())));
        taken
    }

    #[test]
    fn another_thread_takes_what_was_there_at_its_last_look_and_the_application_takes_the_rest() {
        let submissions = Submissions::default();
        publish(&submissions, &["a", "bc"]);
        assert_eq!(taken(|each| submissions.take_seen(each)), []);
        submissions.look();
        publish(&submissions, &["a", "bc", "d"]);
        assert_eq!(taken(|each| submissions.take_seen(each)), [(1, "a".to_owned()), (2, "bc".to_owned())]);
        assert!(submissions.are_there());
        assert_eq!(taken(|each| submissions.take_all(each)), [(3, "d".to_owned())]);
        assert!(!submissions.are_there());
    }

    #[test]
    fn what_is_published_from_the_start_again_was_not_there_at_the_look_before() {
        let submissions = Submissions::default();
        publish(&submissions, &["a", "b"]);
        submissions.look();
        submissions.take_all(|_, _| {});
        publish(&submissions, &["c"]);
        assert_eq!(taken(|each| submissions.take_seen(each)), []);
        assert_eq!(taken(|each| submissions.take_all(each)), [(1, "c".to_owned())]);
    }

    #[test]
    fn a_length_that_leads_out_of_the_memory_is_not_followed() {
        let submissions = Submissions::default();
        publish(&submissions, &["a", "b"]);
        let beyond = ((TEXT_BYTES + 1) as f64).to_bits();
        submissions.memory().records[1].store(beyond, Ordering::Relaxed);
        assert_eq!(taken(|each| submissions.take_all(each)), []);
    }
}
