//! What a worker server decides, without sockets, clocks or Node.
//!
//! Time comes in as an argument ([`clock::Moment`]), text comes in as `&str`, and what should happen
//! goes out as values. Everything here is tested by `cargo test` alone.

pub mod auth;
pub mod chunk;
pub mod clock;
pub mod config;
pub mod door;
pub mod group;
pub mod health;
pub mod index;
pub mod json;
pub mod log;
pub mod metadata;
pub mod metrics;
pub mod models;
pub mod pacing;
pub mod pool;
pub mod protocol;
pub mod quote;
pub mod registration;
pub mod requests;
pub mod rules;
pub mod scan;
pub mod session;
pub mod suspension;
pub mod worker;
