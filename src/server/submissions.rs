//! What the application has sent, in memory that both sides see.
//!
//! A call into the addon costs more than a short message, so JavaScript writes what it sends into this memory, one text behind the other,
//! and publishes each by a count. It is taken from there at the end of the turn at the latest. Should the turn be long, a thread of the
//! runtime takes it meanwhile: nothing that was sent waits where only the application's thread can reach it.
//!
//! JavaScript alone writes texts, records and their count; only a call on its own thread begins anew at the start.

use std::borrow::Cow;
use std::cell::UnsafeCell;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::core::worker::WorkerKey;

/// As many messages as there is room for. Before there are more they must be taken.
pub const MAX_MESSAGES: usize = 512;
/// Bytes of UTF-8, of all messages together.
pub const TEXT_BYTES: usize = 64 << 10;
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
    pub texts: Texts,
}

/// Memory that JavaScript writes without asking.
#[derive(Debug)]
pub struct Texts(UnsafeCell<[u8; TEXT_BYTES]>);

// SAFETY: Rust reads only what was published, which JavaScript does not write again before it was taken.
unsafe impl Sync for Texts {}

impl Texts {
    /// Where it is.
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.get().cast()
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
}

impl Default for Submissions {
    fn default() -> Self {
        let memory = Memory {
            counters: [const { AtomicU32::new(0) }; counter::COUNT],
            records: [const { AtomicU64::new(0) }; MAX_MESSAGES * RECORD_FIELDS],
            texts: Texts(UnsafeCell::new([0; TEXT_BYTES])),
        };
        Self { memory: Arc::new(memory), taken: Mutex::default() }
    }
}

impl Submissions {
    /// The memory, for JavaScript.
    pub fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    /// Gives what was published and not taken yet to `each`, in its order. On any thread; one at a time, so that the order holds.
    pub fn take(&self, each: impl FnMut(WorkerKey, Cow<'_, str>)) {
        self.take_into(&mut self.taken.lock(), each);
    }

    /// The same, on the application's thread alone, which publishes from the start again afterwards.
    pub fn take_all(&self, each: impl FnMut(WorkerKey, Cow<'_, str>)) {
        let mut taken = self.taken.lock();
        self.take_into(&mut taken, each);
        *taken = Taken::default();
        self.counter(counter::PUBLISHED).store(0, Ordering::Relaxed);
    }

    fn take_into(&self, taken: &mut Taken, mut each: impl FnMut(WorkerKey, Cow<'_, str>)) {
        let published = self.published();
        let records = self.memory.records.as_chunks::<RECORD_FIELDS>().0;
        for [key, length] in records.get(taken.messages..published).unwrap_or_default() {
            let read = |slot: &AtomicU64| f64::from_bits(slot.load(Ordering::Relaxed));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is wanted")]
            let (key, length) = (WorkerKey(read(key) as u64), read(length) as usize);
            let Some(text) = self.memory.texts.published(taken.bytes, length) else { break };
            each(key, String::from_utf8_lossy(text));
            taken.bytes += length;
        }
        taken.messages = published;
    }

    /// Whether something was published and not taken yet.
    pub fn are_there(&self) -> bool {
        self.published() > self.taken.lock().messages
    }

    /// Whether somebody looks after long turns.
    pub fn are_watched(&self) -> bool {
        self.counter(counter::WATCHED).load(Ordering::SeqCst) != 0
    }

    /// Notes whether somebody looks after long turns. Gives whether somebody did.
    pub fn set_watched(&self, watched: bool) -> bool {
        self.counter(counter::WATCHED).swap(u32::from(watched), Ordering::SeqCst) != 0
    }

    /// Something has left though the turn was not over: JavaScript can't rely on what it planned for its end.
    pub fn note_early(&self) {
        self.counter(counter::EARLY).fetch_add(1, Ordering::Relaxed);
    }

    fn published(&self) -> usize {
        // With this, what was written before it was published is seen.
        (self.counter(counter::PUBLISHED).load(Ordering::SeqCst) as usize).min(MAX_MESSAGES)
    }

    fn counter(&self, place: usize) -> &AtomicU32 {
        &self.memory.counters[place]
    }
}
