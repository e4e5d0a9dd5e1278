//! The frames that wait in an outbox, and how things stand with its socket.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::Sent;
use super::buffered_amounts::BufferedAmount;
use super::write_buffer::{SpareBuffer, WriteBuffer};
use crate::stream::WriteHalf;

/// When more waits it should be written soon.
pub const MUCH_BYTES: usize = 256 << 10;

/// Whether it matters that there is room in an outbox again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// Nobody waits for it.
    #[default]
    NotAwaited,
    /// See [`super::Outbox::await_room`].
    Awaited,
    /// It is there, and what waits for it has not been notified.
    Found,
}

/// What an outbox keeps under its lock.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is true or false for reasons of its own")]
pub struct Queue {
    /// `None` before the connection is upgraded, and when it is gone.
    pub socket: Option<Arc<WriteHalf>>,
    pub write_buffer: WriteBuffer,
    /// Bytes that wait, those included that are being written just now.
    pub bytes: usize,
    /// Somebody is writing, and will look again for what is put in meanwhile.
    pub writing: bool,
    pub blocked_since: Option<Instant>,
    pub late_pong: Option<Vec<u8>>,
    /// That it is full was noted, and there has not been much room since.
    pub noted_full: bool,
    /// The length of the frame that was refused last.
    pub refused: usize,
    /// Who waits for room in it.
    pub room: Room,
    pub closed_at: Option<Instant>,
    pub has_failed: bool,
    /// Where the application reads how much waits, while the peer is a worker.
    pub buffered_amount: Option<BufferedAmount>,
    /// The application may send nothing more.
    pub shut: bool,
}

impl Queue {
    pub fn is_closed(&self) -> bool {
        self.closed_at.is_some() || self.has_failed
    }

    /// Copies a short frame, given in parts, to the end.
    pub fn copy(&mut self, parts: &[&[u8]]) {
        self.copy_into_spare(parts, &mut Vec::new());
    }

    /// The same, into memory that was used before, if it is the first.
    pub fn copy_into_spare(&mut self, parts: &[&[u8]], spares: &mut Vec<SpareBuffer>) {
        self.bytes += self.write_buffer.copy(parts, spares);
    }

    pub fn share(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.write_buffer.share(bytes);
    }

    /// Puts the payload of a frame behind its header, which was copied.
    pub fn share_payload(&mut self, payload: Bytes) {
        self.bytes += payload.len();
        self.write_buffer.share_payload(payload);
    }

    /// Drops what waits, but for the rest of a frame that has begun to leave.
    pub fn cut(&mut self) {
        // While somebody writes, what is in flight is not in this buffer.
        let socket = self.socket.as_ref().filter(|_| !self.writing);
        self.bytes = self.write_buffer.cut(socket.map_or(0, |socket| socket.in_flight()));
    }

    /// Puts something in if there is room for `length` bytes more. A message larger than the bound still passes when
    /// nothing else waits.
    pub fn admit(&mut self, length: usize, max_bytes: usize, put: impl FnOnce(&mut Self)) -> Sent {
        if self.is_closed() {
            Sent::Closed
        } else if self.bytes > 0 && self.bytes + length > max_bytes {
            self.refused = length;
            Sent::Full
        } else {
            put(self);
            self.publish();
            Sent::Queued { is_much: self.is_much() }
        }
    }

    pub fn fail(&mut self) {
        self.has_failed = true;
        self.write_buffer = WriteBuffer::default();
        (self.bytes, self.blocked_since) = (0, None);
        self.publish();
    }

    /// Shows the application how things stand. After each change of that.
    pub fn publish(&self) {
        match &self.buffered_amount {
            Some(buffered_amount) if self.shut || self.is_closed() => buffered_amount.close(),
            Some(buffered_amount) => buffered_amount.set(self.bytes),
            None => {}
        }
    }

    /// Whether what was refused last would be taken now, and there is much room. Not at the first gap, or it would be
    /// full again at once.
    pub fn has_room(&self, max_bytes: usize) -> bool {
        let fits = || self.bytes <= max_bytes / 2 && self.bytes + self.refused <= max_bytes;
        !self.is_closed() && !self.shut && (self.bytes == 0 || fits())
    }

    /// Whether more waits by now than should be put off to the end of the turn. While somebody writes, or nothing can
    /// be written, there is nothing that could be done about it.
    pub fn is_much(&self) -> bool {
        !self.writing && self.blocked_since.is_none() && self.bytes > MUCH_BYTES
    }
}
