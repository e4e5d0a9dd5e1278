//! Memory that both sides see.
//!
//! Some hosts forbid JavaScript to see memory that V8 has not allocated (Electron does), and there napi passes a copy
//! without a word: what one side writes the other never reads. So `lib/native/shared-memory.js` looks, with a
//! [`MemoryProbe`], whether memory is shared at all, and if it isn't, everything that goes through such memory
//! elsewhere goes through ordinary calls.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use napi::bindgen_prelude::{Float64Array, Int32Array, Uint8Array};
use napi_derive::napi;

use worker_server::outbox::submissions::{self, Memory};

/// If this variable is `1`, memory is copied, as where it can't be shared: so tests have that on every host.
const COPIED_MEMORY: &str = "WORKER_SERVER_COPIED_MEMORY";

/// Doubles that one side writes and the other reads.
#[derive(Debug)]
pub struct Doubles<const N: usize>(Arc<[AtomicU64; N]>);

impl<const N: usize> Default for Doubles<N> {
    fn default() -> Self {
        Self(Arc::new([const { AtomicU64::new(0) }; N]))
    }
}

impl<const N: usize> From<Arc<[AtomicU64; N]>> for Doubles<N> {
    fn from(slots: Arc<[AtomicU64; N]>) -> Self {
        Self(slots)
    }
}

impl<const N: usize> Doubles<N> {
    /// An array for JavaScript. The memory lives until JavaScript lets go of it.
    pub fn to_array(&self) -> Float64Array {
        if env::var_os(COPIED_MEMORY).is_some_and(|value| value == "1") {
            return self.values().collect::<Vec<_>>().into();
        }
        let slots = Arc::into_raw(Arc::clone(&self.0));
        // SAFETY: an atomic has the layout of its integer, and any bits are a double. The pointer is given back to the
        // `Arc` that it came from when JavaScript lets go of the array.
        unsafe {
            Float64Array::with_external_data(slots.cast_mut().cast::<f64>(), N, move |_, _| {
                drop(Arc::from_raw(slots));
            })
        }
    }

    /// The slots, each the bits of a double.
    pub fn slots(&self) -> &[AtomicU64; N] {
        &self.0
    }

    /// Copies them to an array of JavaScript's own, for hosts where the two can't share memory.
    pub fn copy_to(&self, array: &mut [f64]) {
        for (field, value) in array.iter_mut().zip(self.values()) {
            *field = value;
        }
    }

    /// Writes all of them. JavaScript reads them when the native call has returned.
    pub fn write(&self, values: [f64; N]) {
        for (slot, value) in self.0.iter().zip(values) {
            slot.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// What they are now.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|slot| f64::from_bits(slot.load(Ordering::Relaxed)))
    }
}

/// A double that both sides see, if memory is shared.
#[napi]
#[derive(Default)]
pub struct MemoryProbe(Doubles<1>);

#[napi]
impl MemoryProbe {
    /// One whose double is 0.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Its memory, as JavaScript sees it.
    #[napi(catch_unwind)]
    pub fn memory(&self) -> Float64Array {
        self.0.to_array()
    }

    /// Doubles what this side sees.
    #[napi(catch_unwind)]
    pub fn double(&self) {
        self.0.values().for_each(|seen| self.0.write([2.0 * seen]));
    }
}

/// [`Memory`], as JavaScript sees it: each array lives until it lets go of it.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of Memory")]
pub struct NativeSubmissions {
    pub counters: Int32Array,
    pub records: Float64Array,
    pub texts: Uint8Array,
}

impl NativeSubmissions {
    /// The arrays over some memory.
    pub fn of(memory: &Arc<Memory>) -> Self {
        let held = || {
            let memory = Arc::clone(memory);
            move || drop(memory)
        };
        let Memory { counters, records, texts } = &**memory;
        let [release_counters, release_records, release_texts] = [held(), held(), held()];
        // SAFETY: atomics have the layout of their integers, and any bits are a double. The memory is held until
        // JavaScript lets go of the array.
        unsafe {
            Self {
                counters: Int32Array::with_external_data(
                    counters.as_ptr().cast_mut().cast(),
                    counters.len(),
                    move |_, _| {
                        release_counters();
                    },
                ),
                records: Float64Array::with_external_data(
                    records.as_ptr().cast_mut().cast(),
                    records.len(),
                    move |_, _| {
                        release_records();
                    },
                ),
                texts: Uint8Array::with_external_data(texts.as_ptr(), submissions::TEXT_BYTES, move |_, _| {
                    release_texts();
                }),
            }
        }
    }
}
