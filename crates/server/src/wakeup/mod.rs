//! How the runtime's threads and the application's thread wait for each other: [`worker_server_core::pacing`] decides,
//! and what is here does it.

pub mod busy_poll;
pub mod notifier;
pub mod pacer;
pub mod polled_task;
#[cfg(unix)]
mod readable;
mod rest;
pub mod standby;
mod sync;
