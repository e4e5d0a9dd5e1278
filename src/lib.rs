//! The addon: what Node sees of [`worker_server_core`] and [`worker_server`], as thin classes and functions.
//!
//! Names are camel-cased on the way. Statuses and levels cross as numbers, keys and counts as doubles. Nothing is
//! decided here.

#![allow(clippy::needless_pass_by_value, reason = "napi-rs makes the values that it passes")]

pub mod abi;
pub mod batch;
pub mod door;
pub mod handover;
pub mod metrics;
pub mod notes;
pub mod options;
pub mod outgoing;
pub mod remote_workers;
pub mod requests;
pub mod secure_context;
pub mod server;
pub mod shared_memory;
pub mod standalone;
pub mod wtf8;
