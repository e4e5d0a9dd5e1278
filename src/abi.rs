//! Every number and layout that both languages know, defined here (or in the layers below) and exported as `abi`.
//!
//! JavaScript reads them through `lib/native/abi.js` and writes none of them down itself. Kinds cross as numbers of
//! their enumeration, what stands in memory as doubles, at the places that the enumerations of fields name.

pub mod tables;

use napi_derive::napi;

use crate::options::count;
use worker_server::connection::MAX_JOINED;
use worker_server::door::Refusal;
use worker_server::events::text_batch;
use worker_server::outbox::buffered_amounts;
use worker_server::outbox::submissions::{self, counter};
use worker_server_core::health;
use worker_server_core::pacing::Verdict;

// ---- Events: see `crate::batch` ----

/// Kinds of events. Each has two fields, `a` and `b`, that depend on its kind.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum EventKind {
    /// Messages that are joined; `a`: how many. Their lengths follow the event: see [`LENGTH_BITS`].
    Texts,
    /// A message; `a`: its place in the extras.
    Message,
    /// A registration; `a`: the place of its text.
    Register,
    /// A closed connection; `a`: its close code, `b`: the place of its reason.
    Closed,
    /// A connection for Node; `a`: its number in the [`Sockets`](crate::batch::Sockets), `b`: the place of what was
    /// read.
    Connection,
    /// The same, encrypted: behind what was read stand whose it is, as [`origin_text`](crate::batch::origin_text) has
    /// it, and the certificates of the peer.
    SecureConnection,
    /// A log line; `a`: its level, `b`: the place of its message. Its context follows as JSON text, empty if it has
    /// none.
    Log,
    /// The server has stopped.
    Stopped,
    /// A slot may have become free that somebody waits for.
    Slots,
    /// What came before a barrier was handled; `a`: its number.
    Barrier,
    /// It is the turn of a registration that the application has approved.
    Approved,
}

/// What the application does when it finds no events: see [`Verdict`].
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum PacingVerdict {
    /// It sleeps.
    Sleep,
    /// So it does here, too; the runtime's thread rests.
    Coalesce,
    /// It looks again after a turn of its event loop.
    Poll,
}

impl From<Verdict> for PacingVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Sleep => Self::Sleep,
            Verdict::Coalesce => Self::Coalesce,
            Verdict::Poll => Self::Poll,
        }
    }
}

/// Doubles before the first event of a batch: where the events end, where the rows behind them end, how many extras
/// there are, and a [`PacingVerdict`].
#[napi(namespace = "abi")]
pub const HEAD_FIELDS: u32 = 4;
/// The place of the verdict among them. It is written when there are no events, too.
#[napi(namespace = "abi")]
pub const VERDICT_FIELD: u32 = 3;
/// Doubles for each event: its kind, its peer, `a` and `b`.
#[napi(namespace = "abi")]
pub const EVENT_FIELDS: u32 = 4;

/// What is drained at once, at most: about this many events, and bytes.
pub const MAX_EVENTS: usize = 512;
/// See [`MAX_EVENTS`].
pub const MAX_BYTES: usize = 1 << 20;
// The joined texts of a batch make one string, and V8 holds none of 2^28 characters where addresses have 32 bits. What
// is drained exceeds its bound by one event at most.
const _: () = assert!(MAX_BYTES + MAX_JOINED * (text_batch::MAX_JOINED_BYTES + 2) < 1 << 27);

/// Doubles that any batch fits in: an event and a row for each, and a length if it is a joined text.
#[napi(namespace = "abi")]
pub const BATCH_FIELDS: u32 = HEAD_FIELDS + small(MAX_EVENTS + MAX_JOINED) * (EVENT_FIELDS + 1 + ROW_FIELDS);

/// See [`text_batch::ARRAY_TEXTS`].
#[napi(namespace = "abi")]
pub const ARRAY_TEXTS: u32 = small(text_batch::ARRAY_TEXTS);

/// See [`text_batch::LENGTH_BITS`].
#[napi(namespace = "abi")]
pub const LENGTH_BITS: u32 = text_batch::LENGTH_BITS;

// ---- Rows: the state of a worker ----

/// The doubles of a row.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum RowField {
    /// The worker's key.
    Key,
    /// The place of its status among [`tables::Tables::statuses`].
    Status,
    /// Its last sign of life, in ms since 1970.
    LastHeartbeat,
    /// How many requests it has.
    ActiveRequests,
    /// How many it has completed.
    CompletedRequests,
}

/// Doubles of a row.
#[napi(namespace = "abi")]
pub const ROW_FIELDS: u32 = 5;

// ---- Notes: see `crate::notes` ----

/// As many notes as there is room for. Before there are more they must be taken.
#[napi(namespace = "abi")]
pub const MAX_NOTES: u32 = 512;
/// Doubles for each note: the worker's key, the place of the category among those that the worker limits, and a kind.
#[napi(namespace = "abi")]
pub const NOTE_FIELDS: u32 = 3;
/// The place of a category that is not limited.
#[napi(namespace = "abi")]
pub const NO_PLACE: i32 = -1;

/// Kinds of notes.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum NoteKind {
    /// A request began.
    Tracked,
    /// One ended that doesn't count as completed.
    Released,
    /// One ended that does.
    Completed,
}

// ---- What JavaScript counts: see `crate::metrics` ----

/// As many of its notes as cross at once.
#[napi(namespace = "abi")]
pub const MAX_METRIC_NOTES: u32 = 256;
/// Doubles for each: its kind, the place of a model's label, that of another label's value, and a time in ms. What a
/// kind does not need counts for nothing.
#[napi(namespace = "abi")]
pub const METRIC_NOTE_FIELDS: u32 = 4;

/// Kinds of what is counted.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum MetricNoteKind {
    /// A request of a model was sent, for a reason; the time: how long it waited for that. NaN if it was sent before.
    Sent,
    /// The first chunk of a stream has come; the time: since the call.
    FirstChunk,
    /// A request of a model has ended, with an outcome; the time: since the call. NaN if it was not taken in.
    Ended,
    /// A worker has said something about no attempt that it has.
    Stale,
    /// A limit held.
    LimitHit,
    /// A message of another node was dropped, for a reason.
    ClusterDropped,
}

impl MetricNoteKind {
    /// The kind that has crossed as a double.
    pub fn of(number: f64) -> Option<Self> {
        [Self::Sent, Self::FirstChunk, Self::Ended, Self::Stale, Self::LimitHit, Self::ClusterDropped]
            .into_iter()
            .nth(count(number))
    }
}

// ---- Who may come in: see `crate::door` ----

/// Why a worker is not let in: [`worker_server::door::Refusal`].
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum RefusalKind {
    /// It is not who it says.
    NotAuthentic,
    /// It was not judged in time.
    Late,
    /// Another connection has its id, and keeps it.
    IdInUse,
}

impl From<RefusalKind> for Refusal {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::NotAuthentic => Self::NotAuthentic,
            RefusalKind::Late => Self::Late,
            RefusalKind::IdInUse => Self::IdInUse,
        }
    }
}

// ---- Requests: see `crate::requests` ----

/// The doubles that say what became of a request.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum RequestField {
    /// Its place in the queue, a small whole number.
    Ticket,
    /// When it first arrived, as the queue numbers that.
    Arrival,
    /// Its place among those that wait.
    Position,
    /// How many wait.
    Size,
    /// The place of its category among those that the worker limits, or [`NO_PLACE`].
    LimitPlace,
}

/// Doubles that say what became of a request.
pub const REQUEST_FIELDS: usize = 5;

/// What became of a request that was submitted.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum SubmitOutcome {
    /// It got a slot: the worker's row is written, and of its fields `Arrival` and `LimitPlace`.
    Taken,
    /// It waits: `Ticket`, `Arrival`, `Position` and `Size` are written.
    Waits,
    /// Somebody else is owed a slot first: dispatch, then submit again.
    Owed,
    /// No registered worker could ever take it.
    NoWorker,
    /// It would have to wait, and a bound of the queue is reached.
    Full,
    /// It would have to wait, and may not.
    NeverWaits,
    /// The number of its demand counts no longer: intern it again.
    Forgotten,
}

/// What [`NativeServer::set_draining`](crate::server::NativeServer::set_draining) returns, bit by bit: the worker
/// drains now.
#[napi(namespace = "abi")]
pub const DRAINS: u32 = 1;
/// The same: it did not before, or no longer does.
#[napi(namespace = "abi")]
pub const DRAINING_CHANGED: u32 = 2;

// ---- What is sent: see `worker_server::outbox` ----

/// See [`submissions::MAX_MESSAGES`].
#[napi(namespace = "abi")]
pub const MAX_SUBMISSIONS: u32 = small(submissions::MAX_MESSAGES);
/// See [`submissions::RECORD_FIELDS`].
#[napi(namespace = "abi")]
pub const SUBMISSION_FIELDS: u32 = small(submissions::RECORD_FIELDS);
/// See [`counter::PUBLISHED`].
#[napi(namespace = "abi")]
pub const PUBLISHED_COUNTER: u32 = small(counter::PUBLISHED);
/// See [`counter::WATCHED`].
#[napi(namespace = "abi")]
pub const WATCHED_COUNTER: u32 = small(counter::WATCHED);
/// See [`counter::EARLY`].
#[napi(namespace = "abi")]
pub const EARLY_COUNTER: u32 = small(counter::EARLY);
/// Slots in what [`NativeServer::buffered_amount_page`](crate::server::NativeServer::buffered_amount_page) returns.
#[napi(namespace = "abi")]
pub const BUFFERED_AMOUNT_PAGE_SLOTS: u32 = small(buffered_amounts::PAGE_SLOTS);

// ---- The rules of workers: see `crate::standalone` ----

/// What silence says of a worker: [`health::Verdict`].
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum SilenceVerdict {
    /// It was heard of within the timeout.
    Alive,
    /// Silent for longer than the timeout.
    Unhealthy,
    /// Silent for longer than a living worker would be: it is presumed dead.
    Dead,
}

impl From<health::Verdict> for SilenceVerdict {
    fn from(verdict: health::Verdict) -> Self {
        match verdict {
            health::Verdict::Alive => Self::Alive,
            health::Verdict::Unhealthy => Self::Unhealthy,
            health::Verdict::Dead => Self::Dead,
        }
    }
}

/// What changes the status of a worker.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum StatusRule {
    /// One more request began.
    Track,
    /// A request ended.
    Release,
    /// A heartbeat came.
    Heartbeat,
}

/// How the active requests of a worker compare with its maximum.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum Fill {
    /// There are fewer.
    BelowMax,
    /// There are as many, or more.
    AtMax,
    /// One of the two is no number.
    Unknown,
}

/// A constant of this side as JavaScript takes it.
#[allow(clippy::cast_possible_truncation, reason = "all of them are small")]
const fn small(number: usize) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enumerations_of_fields_have_as_many_as_there_are_doubles() {
        assert_eq!(RowField::CompletedRequests as u32 + 1, ROW_FIELDS);
        assert_eq!(RequestField::LimitPlace as usize + 1, REQUEST_FIELDS);
    }
}
