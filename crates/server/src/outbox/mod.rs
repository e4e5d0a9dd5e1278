//! What waits to be sent to one peer, and its way into the socket.
//!
//! Messages are framed as they are put in, one behind the other. [`Outbox::write`] then hands all that waits to the
//! socket in one system call, on whatever thread it is called, and never waits: what the socket does not take is left
//! to the task that owns the connection.
pub mod buffer_pool;
pub mod buffered_amounts;
pub mod flusher;
mod queue;
pub mod sending;
pub mod submissions;
pub mod turn_watch;
pub mod write_buffer;

use std::io::ErrorKind;
#[cfg(unix)]
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

use self::buffered_amounts::BufferedAmount;
use self::queue::{Queue, Room};
use self::write_buffer::SpareBuffer;
use crate::stream::WriteHalf;
use crate::websocket::frame::{encode, text_header};
use worker_server_core::protocol::Closing;

/// Shorter frames are copied into one piece of memory, longer ones wait as they are.
const COPIED_BYTES: usize = 4 << 10;
/// While more than this waits, only the last ping is answered (RFC 6455, section 5.5.3).
const PONG_BYTES: usize = 64 << 10;
/// How often one call goes back to what was put in while it wrote, before it lets others have their turn.
const ROUNDS: usize = 4;

/// What became of a message that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It will leave after those before it.
    Queued {
        /// Too much waits by now to be put off to the end of the turn.
        is_much: bool,
    },
    /// Too much is waiting already.
    Full,
    /// The connection is closing.
    Closed,
}

/// How far an outbox has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Nothing waits.
    pub is_empty: bool,
    /// Since when the socket takes nothing.
    pub blocked_since: Option<Instant>,
    /// When the close frame was put in.
    pub closed_at: Option<Instant>,
    /// The socket failed: nothing will ever leave.
    pub has_failed: bool,
    /// See [`Outbox::take_room`].
    pub has_room: bool,
}

/// The outgoing frames of one connection, bounded in bytes.
#[derive(Debug)]
pub struct Outbox {
    max_bytes: usize,
    queue: Mutex<Queue>,
    attention: Notify,
}

impl Outbox {
    /// An empty outbox for up to `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, queue: Mutex::default(), attention: Notify::new() }
    }

    /// From now on what waits can be written.
    pub fn open(&self, socket: WriteHalf) {
        self.queue.lock().socket = Some(Arc::new(socket));
    }

    /// The connection is gone, and its socket with it: the peer reads its end.
    pub fn detach(&self) {
        let mut queue = self.queue.lock();
        queue.socket = None;
        queue.fail();
    }

    /// Shows in `buffered_amount` how much waits, from now on, and no longer in the one before. The peer is a worker,
    /// or with `None` no more.
    pub fn publish_in(&self, buffered_amount: Option<BufferedAmount>) {
        let mut queue = self.queue.lock();
        queue.buffered_amount = buffered_amount;
        queue.publish();
    }

    /// The application can send nothing more.
    pub fn shut(&self) {
        let mut queue = self.queue.lock();
        queue.shut = true;
        queue.publish();
    }

    /// Queues a text message.
    pub fn send(&self, text: Utf8Bytes) -> Sent {
        let mut queue = self.queue.lock();
        let header = text_header(text.len());
        let length = header.len() + text.len();
        queue.admit(length, self.max_bytes, |queue| {
            if length <= COPIED_BYTES {
                queue.copy(&[&header, text.as_bytes()]);
            } else {
                queue.copy(&[&header]);
                queue.share_payload(text.into());
            }
        })
    }

    /// Queues a text message, in UTF-8, for which there was room when the application looked. Nothing becomes of it if
    /// the connection is closing.
    pub fn send_promised(&self, text: &[u8], spares: &mut Vec<SpareBuffer>) -> Sent {
        let header = text_header(text.len());
        self.queue.lock().admit(0, usize::MAX, |queue| {
            queue.copy_into_spare(&[&header, text], spares);
        })
    }

    /// Queues a frame that many are sent, from [`crate::websocket::frame::text_frame`].
    pub fn send_frame(&self, frame: &Bytes) -> Sent {
        self.queue.lock().admit(frame.len(), self.max_bytes, |queue| {
            if frame.len() <= COPIED_BYTES && queue.bytes > 0 {
                queue.copy(&[frame]);
            } else {
                queue.share(frame.clone());
            }
        })
    }

    /// Queues a control frame of this side: a ping, or the decoder's answer to a ping. Dropped if the connection is
    /// closing.
    pub fn send_control(&self, frame: &[u8]) {
        let mut queue = self.queue.lock();
        if queue.is_closed() {
        } else if queue.bytes > PONG_BYTES {
            queue.late_pong = Some(frame.to_vec());
        } else {
            queue.copy(&[frame]);
            queue.publish();
        }
    }

    /// Queues the close frame behind what waits, and alerts the connection's task. Nothing can be queued after it.
    /// False if that was so already.
    pub fn close(&self, closing: Closing) -> bool {
        self.close_as(closing.code, closing.reason)
    }

    /// The same, with a code and a reason of the application's.
    pub fn close_as(&self, code: u16, reason: &str) -> bool {
        self.close_with(&close_frame(code, reason), |_| {})
    }

    /// Drops what waits, but for a frame of which a part has left, and queues the close frame.
    pub fn cut(&self, closing: Closing) {
        self.close_with(&close_frame(closing.code, closing.reason), Queue::cut);
    }

    /// Queues the answer to the peer's close frame, if this side has not sent its own.
    pub fn answer_close(&self, frame: &[u8]) {
        self.close_with(frame, |_| {});
    }

    fn close_with(&self, frame: &[u8], prepare: impl FnOnce(&mut Queue)) -> bool {
        let mut queue = self.queue.lock();
        if queue.is_closed() {
            return false;
        }
        queue.closed_at = Some(Instant::now());
        queue.late_pong = None;
        prepare(&mut queue);
        queue.copy(&[frame]);
        queue.publish();
        drop(queue);
        self.alert();
        true
    }

    /// How far it has come.
    pub fn outgoing(&self) -> Outgoing {
        let queue = self.queue.lock();
        Outgoing {
            is_empty: queue.bytes == 0,
            blocked_since: queue.blocked_since,
            closed_at: queue.closed_at,
            has_failed: queue.has_failed,
            has_room: queue.room == Room::Found,
        }
    }

    /// A message was refused. When there is room again, the connection's task is alerted. True
    /// if there is room already, and nobody will be.
    pub fn await_room(&self) -> bool {
        let mut queue = self.queue.lock();
        let has_room = queue.has_room(self.max_bytes);
        queue.room = if has_room { Room::NotAwaited } else { Room::Awaited };
        has_room
    }

    /// Whether there is room that was awaited. True once.
    pub fn take_room(&self) -> bool {
        let mut queue = self.queue.lock();
        let is_found = queue.room == Room::Found;
        if is_found {
            queue.room = Room::NotAwaited;
        }
        is_found
    }

    /// Notes that something was refused. True for the first time since there was room, so that it can be logged once.
    pub fn note_full(&self) -> bool {
        !std::mem::replace(&mut self.queue.lock().noted_full, true)
    }

    /// The descriptor of its socket, while it has one. Its number may be another's afterwards.
    #[cfg(unix)]
    pub fn descriptor(&self) -> Option<RawFd> {
        self.queue.lock().socket.as_ref().map(|socket| socket.tcp().as_raw_fd())
    }

    /// Whether the socket takes nothing.
    pub fn is_blocked(&self) -> bool {
        self.queue.lock().blocked_since.is_some()
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Writes what waits, as far as the socket takes it. The connection's task is alerted if it does not take all.
    /// Returns memory that is no longer needed.
    pub fn write(&self) -> SpareBuffer {
        let mut queue = self.queue.lock();
        if queue.blocked_since.is_some() {
            return SpareBuffer::default();
        }
        self.write_queue(&mut queue)
    }

    /// The socket takes something again.
    pub fn write_on(&self) {
        self.write_queue(&mut self.queue.lock());
    }

    fn write_queue(&self, queue: &mut MutexGuard<'_, Queue>) -> SpareBuffer {
        let mut spare = SpareBuffer::default();
        if queue.writing || queue.has_failed {
            return spare;
        }
        let Some(socket) = queue.socket.clone() else { return spare };
        let was_blocked = queue.blocked_since.is_some();
        let mut total = 0;
        for _ in 0..ROUNDS {
            if queue.write_buffer.is_empty() {
                break;
            }
            let mut write_buffer = std::mem::take(&mut queue.write_buffer);
            queue.writing = true;
            let (taken, result) = MutexGuard::unlocked(queue, || write_buffer.write(&socket, &mut spare));
            queue.writing = false;
            total += taken;
            queue.bytes = queue.bytes.saturating_sub(taken);
            if taken > 0 {
                queue.blocked_since = None;
            }
            queue.publish();
            // Not at the first gap, or it would be full, and logged, again at once.
            queue.noted_full &= queue.bytes > self.max_bytes / 2;
            if queue.has_failed {
                break;
            }
            if result.is_err_and(|kind| kind != ErrorKind::WouldBlock) {
                queue.fail();
                break;
            }
            if !write_buffer.is_empty() {
                write_buffer.append(&mut queue.write_buffer);
                queue.write_buffer = write_buffer;
                queue.blocked_since.get_or_insert_with(Instant::now);
                break;
            }
            queue.blocked_since = None;
            if let Some(pong) = queue.late_pong.take() {
                queue.copy(&[&pong]);
            }
        }
        if !queue.write_buffer.is_empty() {
            queue.blocked_since.get_or_insert_with(Instant::now);
        }
        // Only at the change, or the connection's task would be kept busy by its own writing. It ends when all has left
        // that was to be sent before the connection closes, and it may be somebody else who wrote the last of that.
        let is_blocked = queue.blocked_since.is_some() && !was_blocked;
        let is_finished = queue.closed_at.is_some() && queue.bytes == 0 && total > 0;
        let has_room = queue.room == Room::Awaited && queue.has_room(self.max_bytes);
        if has_room {
            queue.room = Room::Found;
        }
        if is_blocked || is_finished || has_room || queue.has_failed {
            self.alert();
        }
        spare
    }

    /// Ready when the socket may take something again. For the connection's task alone: the socket knows one waker.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let socket = self.queue.lock().socket.clone();
        match socket {
            // What is wrong with the socket shows when it is written.
            Some(socket) => socket.tcp().poll_write_ready(cx).map(drop),
            None => Poll::Pending,
        }
    }

    /// Has the connection's task look at how things stand.
    pub fn alert(&self) {
        self.attention.notify_one();
    }

    /// Waits for [`Outbox::alert`].
    pub fn attention(&self) -> Notified<'_> {
        self.attention.notified()
    }
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    encode(Frame::close(Some(CloseFrame { code: code.into(), reason: reason.into() })))
}

#[cfg(test)]
mod tests;
