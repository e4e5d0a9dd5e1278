//! x
pub mod affinity;
pub mod demand;
pub mod retry;
pub mod selector;
