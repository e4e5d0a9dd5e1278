//! The two halves of a worker's encrypted connection: its task reads one, and any thread may write to the other.
//!
//! To an [`Outbox`](crate::outbox::Outbox) the write half is like a socket: bytes count as taken when the system has
//! taken the records that they are in, and nothing more is encrypted before. So what waits in an outbox is all that
//! waits, limits and deadlines count the same for both kinds of connection, and no more than [`MAX_IN_FLIGHT`] is held
//! a second time, encrypted.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::handshake::TlsStream;
use crate::tcp_read_half::TcpReadHalf;

/// What is encrypted at once. A few records, so that a system call takes them together.
const MAX_IN_FLIGHT: usize = 64 << 10;
/// What is read at once. With a record of which a part came before it must fit into what a WebSocket reads at once.
const SCRATCH_BYTES: usize = 32 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// What both halves use.
struct Session {
    connection: ServerConnection,
    /// Bytes that were encrypted, and whose records the system has not taken whole.
    in_flight: usize,
}

/// Splits a connection whose handshake is done.
pub fn split(stream: TlsStream) -> (TlsReadHalf, TlsWriteHalf) {
    let (tcp, mut connection) = stream.into_inner();
    connection.set_buffer_limit(Some(MAX_IN_FLIGHT));
    let (reader, writer) = tcp.into_split();
    let session = Arc::new(Mutex::new(Session { connection, in_flight: 0 }));
    let read_half =
        TlsReadHalf { tcp: reader.into(), session: Arc::clone(&session), has_ended: false, may_hold_some: true };
    (read_half, TlsWriteHalf { tcp: writer, session })
}

/// The half that is read.
pub struct TlsReadHalf {
    tcp: TcpReadHalf,
    session: Arc<Mutex<Session>>,
    /// Nothing more comes: the peer said so, or what it sent is no TLS.
    has_ended: bool,
    /// Something may be decrypted that was not read: the handshake may have read on, or there was no room.
    may_hold_some: bool,
}

impl TlsReadHalf {
    /// The socket below.
    pub fn tcp_mut(&mut self) -> &mut TcpReadHalf {
        &mut self.tcp
    }

    /// Reads what there is into `out`, which must have room for [`SCRATCH_BYTES`] and a record; nothing at the end.
    /// Returns whether more waits.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        if std::mem::take(&mut self.may_hold_some)
            && let Err(error) = self.decrypt(&[], out)
        {
            return Poll::Ready(Err(error));
        }
        loop {
            if !out.filled().is_empty() || self.has_ended {
                return Poll::Ready(Ok(false));
            }
            let is_much = SCRATCH.with_borrow_mut(|scratch| {
                let mut input = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut input))?;
                let is_much = input.remaining() == 0;
                self.has_ended |= input.filled().is_empty();
                Poll::Ready(self.decrypt(input.filled(), out).map(|()| is_much))
            });
            match ready!(is_much) {
                Ok(true) if !out.filled().is_empty() => return Poll::Ready(Ok(true)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Takes records, or a part of one, and puts what is in them into `out`.
    fn decrypt(&mut self, mut input: &[u8], out: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut session = self.session.lock();
        let connection = &mut session.connection;
        loop {
            match connection.reader().read(out.initialize_unfilled()) {
                // Its last words.
                Ok(0) if out.remaining() > 0 => self.has_ended = true,
                Ok(length) => out.advance(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if input.is_empty() || self.has_ended {
                self.may_hold_some = out.remaining() == 0;
                return Ok(());
            }
            connection.read_tls(&mut input)?;
            if connection.process_new_packets().is_err() {
                // What came before is good. The write half notifies the peer when it is dropped.
                self.has_ended = true;
            }
        }
    }
}

/// The half that is written. When it is dropped, it notifies the peer that nothing more comes.
pub struct TlsWriteHalf {
    tcp: OwnedWriteHalf,
    session: Arc<Mutex<Session>>,
}

impl TlsWriteHalf {
    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        self.tcp.as_ref()
    }

    /// Bytes that were encrypted and do not count as taken yet: they can't be taken back.
    pub fn in_flight(&self) -> usize {
        self.session.lock().in_flight
    }

    /// As that of a socket, with one difference: what it did not take must be passed again, unless it is more than
    /// [`TlsWriteHalf::in_flight`] from the beginning.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`], or what the socket says.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let session = &mut *self.session.lock();
        let mut flushed = self.flush(session)?;
        if session.in_flight == 0 && flushed.is_all {
            session.in_flight = session.connection.writer().write_vectored(slices)?;
            flushed = self.flush(session)?;
        }
        session.take(&flushed)
    }

    /// Writes as many records as the system takes.
    fn flush(&self, session: &mut Session) -> io::Result<Flushed> {
        let mut bytes = 0;
        while session.connection.wants_write() {
            match session.connection.write_tls(&mut TrySocket(self.tcp())) {
                Ok(written) => bytes += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed { bytes, is_all: false }),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed { bytes, is_all: true })
    }
}

impl Drop for TlsWriteHalf {
    fn drop(&mut self) {
        let session = &mut *self.session.lock();
        session.connection.send_close_notify();
        // As far as the socket takes it: nobody waits for it any more.
        self.flush(session).ok();
    }
}

/// What the system has taken.
struct Flushed {
    bytes: usize,
    is_all: bool,
}

impl Session {
    /// How much counts as taken now: all that is in flight, or, so that progress shows, a part of it.
    fn take(&mut self, flushed: &Flushed) -> io::Result<usize> {
        let taken = if flushed.is_all { self.in_flight } else { flushed.bytes.min(self.in_flight.saturating_sub(1)) };
        self.in_flight -= taken;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }
}

/// A socket, as far as it takes something without waiting.
struct TrySocket<'a>(&'a TcpStream);

impl Write for TrySocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // A call that is cheaper for the system.
            [only] => self.0.try_write(only),
            several => self.0.try_write_vectored(several),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
