//! The end of a connection, which the application must hear of.

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::shared::Admission;

/// However a connection's task ends, a panic included, the application is notified of the end when this is dropped, if
/// not before.
pub struct EndGuard<'a> {
    admission: &'a Admission,
    /// Code and reason, if the peer closed it. In a box, since each connection has a guard all the time.
    close: Option<Box<(u16, Utf8Bytes)>>,
    is_told: bool,
}

impl<'a> EndGuard<'a> {
    /// Of a connection that is lost, unless it is closed before.
    pub fn new(admission: &'a Admission) -> Self {
        Self { admission, close: None, is_told: false }
    }

    /// The peer closed the connection.
    pub fn set_close(&mut self, code: u16, reason: Utf8Bytes) {
        self.close = Some(Box::new((code, reason)));
    }

    /// Notifies the application that the connection is gone.
    pub fn tell(&mut self) {
        if !std::mem::replace(&mut self.is_told, true) {
            let Admission { shared, peer, .. } = self.admission;
            let (code, reason) = self.close.take().map_or((1006, Utf8Bytes::default()), |close| *close);
            shared.tell_end(peer, code, reason);
        }
    }
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let Admission { shared, peer, .. } = self.admission;
        shared.shut(peer);
        peer.outbox.detach();
        self.tell();
    }
}
