//! When the runtime's threads and the application's thread wake each other, and when they rather wait.

pub mod notifier;
pub mod rest;
pub mod standby;
