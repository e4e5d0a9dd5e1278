//! See `bodies/request_head.rs`.

#![no_main]

#[path = "../bodies/request_head.rs"]
mod request_head;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| request_head::run(bytes));
