//! The receiver of the messages of a [`WebSocket`](super::socket::WebSocket).

use bytes::Bytes;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::decoder::Violation;

/// The receiver of a connection's messages. Its methods are called by the connection's task and must not wait.
pub trait Consumer {
    /// Whether it can take one more message. If not it is asked again when the outbox is alerted.
    fn is_ready(&mut self) -> bool {
        true
    }

    /// Whether, while it is not ready, control frames are answered all the same and the peer's end is noticed. Messages
    /// that come in between are kept for it, a few KiB at most; what comes behind them stays unread.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// So many bytes are kept in all, of what was read while it only [looks ahead](Consumer::looks_ahead).
    fn on_kept(&mut self, _bytes: usize) {}

    /// A text message.
    fn on_text(&mut self, text: Utf8Bytes);

    /// A binary message.
    fn on_binary(&mut self, data: Bytes);

    /// An answer to a ping.
    fn on_pong(&mut self) {}

    /// Everything that one read brought has been handed over.
    fn on_pause(&mut self) {}

    /// The outbox has room again, for which somebody waits: see [`Outbox::await_room`](crate::outbox::Outbox::await_room).
    fn on_room(&mut self) {}

    /// Nothing that is sent will reach the peer any more: it has sent its close frame, or the socket failed.
    fn on_unwritable(&mut self) {}

    /// The peer has taken nothing of what waits for it for as long as the stall timeout.
    fn on_stall(&mut self) {}

    /// The peer broke the protocol or a limit. The connection will be closed.
    fn on_violation(&mut self, _violation: &Violation) {}

    /// When [`Consumer::on_deadline`] is to be called next, if ever.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Its deadline has come.
    fn on_deadline(&mut self) {}

    /// Since when time counts against the peer: before, this process may not have run. It may be looked up.
    fn awake_since(&self) -> Option<Instant> {
        None
    }

    /// Something is about to be judged by time: [`Consumer::awake_since`] must be true now.
    fn observe_time(&mut self) {}
}
