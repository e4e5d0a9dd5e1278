//! See `bodies/session.rs`.

#![no_main]

#[path = "../bodies/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session::run(bytes));
