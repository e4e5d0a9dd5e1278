//! What limits the log lines that peers can cause.

use parking_lot::Mutex;
use tokio::sync::Notify;

use worker_server_core::log::LogLimiter;

/// The limiter, and who waits for a line that it leaves out.
#[derive(Debug, Default)]
pub struct LogLimits {
    pub(crate) limiter: Mutex<LogLimiter>,
    /// Notified when the limiter leaves a line out.
    pub(crate) left_out: Notify,
}
