//! See `bodies/classifier.rs`.

#![no_main]

#[path = "../bodies/classifier.rs"]
mod classifier;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| classifier::run(bytes));
