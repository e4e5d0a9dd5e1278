//! See `bodies/door.rs`.

#![no_main]

#[path = "../bodies/door.rs"]
mod door;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| door::run(bytes));
