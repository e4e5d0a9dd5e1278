//! Memory that both sides see.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use napi::bindgen_prelude::Float64Array;

/// Slots, each the bits of a double, as an array for JavaScript. They live until it lets go of it.
pub fn doubles<const N: usize>(slots: Arc<[AtomicU64; N]>) -> Float64Array {
    let slots = Arc::into_raw(slots);
    // SAFETY: an atomic has the layout of its integer, and any bits are a double. The pointer is given back to the `Arc` that it came
    // from when JavaScript lets go of the array.
    unsafe {
        Float64Array::with_external_data(slots.cast_mut().cast::<f64>(), N, move |_, _| {
            drop(Arc::from_raw(slots));
        })
    }
}
