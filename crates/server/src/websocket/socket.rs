//! A WebSocket connection: one task owns its socket from the upgrade to the last byte, and passes what comes to a
//! [`Consumer`].
//!
//! The task sleeps until there is something to read, until its outbox wants attention, or until a deadline. What it
//! reads goes through memory that all connections of a thread share, so that an idle one has no buffer of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::sync::futures::Notified;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub use super::consumer::Consumer;
use super::inbound::Inbound;
use crate::accept::linger::discard;
use crate::outbox::{Outbox, Outgoing};
use crate::stream::{ReadHalf, Stream};
use worker_server_core::protocol::Closing;

/// How long a peer may take to answer a close frame, as RFC 6455, section 7.1.1 lets the server decide.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read at once.
const SCRATCH_BYTES: usize = 64 << 10;
/// How often it is read after a write failed. What had come by then fits into that; who goes on sending is not listened
/// to.
const LAST_READS: u32 = 128;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub struct SocketLimits {
    /// Largest message that is read.
    pub max_message_bytes: usize,
    /// How long a peer may take nothing of what waits for it.
    pub stall_timeout: Duration,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The peer sent a close frame, with this code (1005: none) and reason.
    Closed(u16, Utf8Bytes),
    /// It was lost, or given up.
    Lost,
    /// The peer broke the protocol. [`WebSocket::say_goodbye`] is to notify it.
    Broken(Closing),
}

/// A connection that was upgraded.
pub struct WebSocket<'a> {
    reader: ReadHalf,
    inbound: Inbound,
    outbox: &'a Outbox,
    stall_timeout: Duration,
    timer: Timer,
}

/// What a connection's task waits for.
struct Awaited<'a, 'b> {
    attention: Pin<&'a mut Notified<'b>>,
    /// Until the socket takes something again.
    is_blocked: bool,
    /// How often more is read, once a write has failed.
    last_reads: Option<u32>,
    /// When something must be done if nothing happens before.
    deadline: Option<Instant>,
}

impl Awaited<'_, '_> {
    /// Whether only what is there is taken.
    fn is_last(&self) -> bool {
        self.last_reads.is_some()
    }
}

impl<'a> WebSocket<'a> {
    /// A connection over `stream`, which sends what is put into `outbox`. `early` is what came behind the request head.
    pub fn new(stream: impl Into<Stream>, early: Vec<u8>, outbox: &'a Outbox, limits: SocketLimits) -> Self {
        let (reader, writer) = stream.into().into_split();
        outbox.open(writer);
        let held = (!early.is_empty()).then_some(early);
        let inbound = Inbound::new(limits.max_message_bytes, held);
        Self { reader, inbound, outbox, stall_timeout: limits.stall_timeout, timer: Timer::default() }
    }

    /// Passes what comes to `consumer` until the connection is over.
    ///
    /// A block, since an `async fn` would hold its arguments twice; what it waits for is one variable, of which a future
    /// that borrows it holds the address alone.
    #[allow(clippy::manual_async_fn, reason = "for its size")]
    pub fn run(&mut self, consumer: &mut impl Consumer) -> impl Future<Output = End> {
        async move {
            let attention = pin!(self.outbox.attention());
            let mut awaited = Awaited { attention, is_blocked: false, last_reads: None, deadline: None };
            loop {
                if let Err(end) = self.prepare(consumer, &mut awaited) {
                    return end;
                }
                if awaited.is_last() {
                    // So that the runtime learns of all that has come.
                    yield_now().await;
                }
                match poll_fn(|cx| self.poll(cx, &mut awaited, consumer)).await {
                    Turn::Attention => awaited.attention.set(self.outbox.attention()),
                    Turn::Writable => self.outbox.write_on(),
                    Turn::Deadline if self.on_deadline(consumer) => return self.end(),
                    Turn::Deadline | Turn::Read(Read::Some) => {}
                    // More waits in the socket, and others wait for this thread.
                    Turn::Read(Read::Much) => yield_now().await,
                    Turn::Read(Read::End) => return self.end(),
                    Turn::Read(Read::Broken(closing)) => return End::Broken(closing),
                }
            }
        }
    }

    /// Does what can be done without waiting, and notes what is waited for. Once a write has failed it counts how often
    /// more is read.
    fn prepare(&mut self, consumer: &mut impl Consumer, awaited: &mut Awaited<'_, '_>) -> Result<(), End> {
        let outbox = self.outbox;
        if self.inbound.keeps_something() && consumer.is_ready() {
            let held = self.inbound.held.take().unwrap_or_default();
            if let Some(closing) = self.inbound.feed(&held, outbox, consumer) {
                return Err(End::Broken(closing));
            }
        }
        outbox.write();
        let outgoing = outbox.outgoing();
        if outgoing.has_room {
            consumer.on_room();
        }
        if outgoing.has_failed {
            match &mut awaited.last_reads {
                None => consumer.on_unwritable(),
                Some(0) => return Err(self.end()),
                // The consumer has enough at present, and goes on later.
                Some(left) if self.inbound.held.is_some() => *left += 1,
                Some(_) => {}
            }
            awaited.last_reads = Some(awaited.last_reads.map_or(LAST_READS, |left| left - 1));
        }
        if self.inbound.closed.is_some() && (outgoing.is_empty || outgoing.has_failed) {
            return Err(self.end());
        }
        let awake_since = consumer.awake_since();
        let deadlines =
            [close_deadline(&outgoing, awake_since), self.stall_deadline(&outgoing, awake_since), consumer.deadline()];
        awaited.is_blocked = outgoing.blocked_since.is_some();
        awaited.deadline = deadlines.into_iter().flatten().min();
        Ok(())
    }

    /// Waits for whatever comes next, or takes only what is there. What this needs it has at hand: futures, which would
    /// be kept for each connection, take much more memory.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        awaited: &mut Awaited<'_, '_>,
        consumer: &mut impl Consumer,
    ) -> Poll<Turn> {
        if awaited.attention.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Turn::Attention);
        }
        if awaited.is_blocked && self.outbox.poll_writable(cx).is_ready() {
            return Poll::Ready(Turn::Writable);
        }
        if self.timer.poll_reached(cx, awaited.deadline).is_ready() {
            return Poll::Ready(Turn::Deadline);
        }
        if self.inbound.closed.is_some() {
            return Poll::Pending;
        }
        let looks_ahead = consumer.looks_ahead();
        if self.inbound.held.is_some() || looks_ahead && self.inbound.room_ahead() == 0 {
            // Nothing more is read, and only one who looks ahead wants to know of the end that may be behind it.
            return if looks_ahead { self.poll_hung_up(cx) } else { Poll::Pending };
        }
        match poll_read(&mut self.reader, &mut self.inbound, self.outbox, consumer, cx) {
            // What had come before the write failed has been read, and nothing is waited for.
            Poll::Pending if awaited.is_last() => Poll::Ready(Turn::Read(Read::End)),
            read => read.map(Turn::Read),
        }
    }

    fn poll_hung_up(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.reader.tcp_mut().poll_hung_up(cx).map(|()| Turn::Read(Read::End))
    }

    /// Tells a peer that broke the protocol, and hangs up so that it can read that.
    pub async fn say_goodbye(mut self, closing: Closing) {
        let outbox = self.outbox;
        outbox.close(closing);
        let all_written = async {
            loop {
                outbox.write();
                let outgoing = outbox.outgoing();
                if outgoing.is_empty || outgoing.has_failed {
                    return;
                }
                poll_fn(|cx| outbox.poll_writable(cx)).await;
                outbox.write_on();
            }
        };
        if timeout(CLOSE_TIMEOUT, all_written).await.is_ok() {
            outbox.detach();
            discard(self.reader.tcp_mut()).await;
        }
    }

    fn end(&mut self) -> End {
        self.inbound.take_close().map_or(End::Lost, |(code, reason)| End::Closed(code, reason))
    }

    fn stall_deadline(&self, outgoing: &Outgoing, awake_since: Option<Instant>) -> Option<Instant> {
        // Once it is closing the close deadline counts.
        let since = outgoing.blocked_since.filter(|_| outgoing.closed_at.is_none())?;
        Some(awake_since.map_or(since, |awake_since| since.max(awake_since)) + self.stall_timeout)
    }

    /// Does what is due. True if the connection is given up.
    fn on_deadline(&self, consumer: &mut impl Consumer) -> bool {
        consumer.observe_time();
        let awake_since = consumer.awake_since();
        let now = Instant::now();
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        // As it is now: somebody else may have written meanwhile.
        let outgoing = self.outbox.outgoing();
        if is_due(close_deadline(&outgoing, awake_since)) {
            return true;
        }
        if is_due(self.stall_deadline(&outgoing, awake_since)) {
            consumer.on_stall();
        }
        if is_due(consumer.deadline()) {
            consumer.on_deadline();
        }
        false
    }
}

/// When a peer that does not answer the close frame is given up.
fn close_deadline(outgoing: &Outgoing, awake_since: Option<Instant>) -> Option<Instant> {
    let closed_at = outgoing.closed_at?;
    Some(awake_since.map_or(closed_at, |awake_since| closed_at.max(awake_since)) + CLOSE_TIMEOUT)
}

/// What a connection's task has to do next.
enum Turn {
    /// See how things stand with the outbox.
    Attention,
    /// The socket takes something again.
    Writable,
    /// A deadline has come.
    Deadline,
    /// Something was read.
    Read(Read),
}

/// What came of reading.
enum Read {
    Some,
    /// As much as is read at once.
    Much,
    /// The peer sends nothing more, or the connection failed.
    End,
    Broken(Closing),
}

/// Passes what there is to read to the consumer.
fn poll_read(
    reader: &mut ReadHalf,
    inbound: &mut Inbound,
    outbox: &Outbox,
    consumer: &mut impl Consumer,
    cx: &mut Context<'_>,
) -> Poll<Read> {
    // What is kept for a consumer that is not ready is as little as can be. Of TLS that is a whole record.
    let most = match reader {
        ReadHalf::Plain(_) if consumer.looks_ahead() => inbound.room_ahead(),
        _ => SCRATCH_BYTES,
    };
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(&mut scratch[..most]);
        Poll::Ready(match ready!(reader.poll_read(cx, &mut buffer)) {
            Ok(_) if buffer.filled().is_empty() => Read::End,
            Err(_) => Read::End,
            Ok(is_much) => match inbound.feed(buffer.filled(), outbox, consumer) {
                Some(closing) => Read::Broken(closing),
                None if is_much => Read::Much,
                None => Read::Some,
            },
        })
    })
}

/// A timer that costs nothing while there is no deadline.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_reached(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            self.0 = None;
            return Poll::Pending;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests;
