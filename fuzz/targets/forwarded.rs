//! See `bodies/forwarded.rs`.

#![no_main]

#[path = "../bodies/forwarded.rs"]
mod forwarded;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| forwarded::run(bytes));
