//! The Rust half of `@hardlydifficult/worker-server`.
//!
//! Three layers, each knowing only those above it in this list:
//!
//! - [`core`]: workers, pool, selection, health and protocol, with neither sockets nor Node;
//! - [`server`]: the tokio side, from the listening socket to the queue of events;
//! - [`binding`]: the classes that Node sees, without a decision of their own.

pub mod binding;
pub mod core;
pub mod server;
