//! Every number and layout that both languages know, defined here (or in the layers below) and exported as `abi`.
//!
//! JavaScript reads them through `lib/native/abi.js` and writes none of them down itself. Kinds cross as numbers of their enumeration,
//! what stands in memory as doubles, at the places that the enumerations of fields name.

use std::time::Duration;

use napi_derive::napi;

use worker_server::connection::MAX_JOINED;
use worker_server::events::text_batch;
use worker_server::outbox::buffered_amounts;
use worker_server::outbox::submissions::{self, counter};
use worker_server_core::config::{Limits, ServerConfig, defaults};
use worker_server_core::health;
use worker_server_core::log::Level;
use worker_server_core::models::ModelMatch;
use worker_server_core::requests::{Priority, QueueLimits};
use worker_server_core::rules::{Status, status_after_heartbeat, status_after_release, status_after_track};

// ---- Events: see `crate::batch` ----

/// Kinds of events. Each has two fields, `a` and `b`, that depend on its kind.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum EventKind {
    /// Messages that are joined; `a`: how many. Their lengths follow the event.
    Texts,
    /// A message; `a`: its place in the extras.
    Message,
    /// A registration; `a`: the place of its text.
    Register,
    /// A closed connection; `a`: its close code, `b`: the place of its reason.
    Closed,
    /// A connection for Node; `a`: its number in the [`Sockets`](crate::batch::Sockets), `b`: the place of what was read.
    Connection,
    /// A log line; `a`: its level, `b`: the place of its message. Its context follows as JSON text, empty if it has none.
    Log,
    /// The server has stopped.
    Stopped,
    /// A slot may have become free that somebody waits for.
    Slots,
    /// What came before a barrier was handled; `a`: its number.
    Barrier,
}

/// Doubles before the first event of a batch: where the events end, where the rows behind them end, and how many extras there are.
#[napi(namespace = "abi")]
pub const HEAD_FIELDS: u32 = 3;
/// Doubles for each event: its kind, its peer, `a` and `b`.
#[napi(namespace = "abi")]
pub const EVENT_FIELDS: u32 = 4;

/// What is drained at once: about so many events, and bytes.
pub const MAX_EVENTS: usize = 512;
/// See [`MAX_EVENTS`].
pub const MAX_BYTES: usize = 1 << 20;
// The joined texts of a batch make one string, and V8 holds none of 2^28 characters where addresses have 32 bits. What is drained exceeds its
// bound by one event at most.
const _: () = assert!(MAX_BYTES + MAX_JOINED * (text_batch::MAX_JOINED_BYTES + 2) < 1 << 27);

/// Doubles that any batch fits in: an event and a row for each, and a length if it is a joined text.
#[napi(namespace = "abi")]
pub const BATCH_FIELDS: u32 = HEAD_FIELDS + small(MAX_EVENTS + MAX_JOINED) * (EVENT_FIELDS + 1 + ROW_FIELDS);

/// See [`text_batch::ARRAY_TEXTS`].
#[napi(namespace = "abi")]
pub const ARRAY_TEXTS: u32 = small(text_batch::ARRAY_TEXTS);

// ---- Rows: the state of a worker ----

/// The doubles of a row.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum RowField {
    /// The worker's key.
    Key,
    /// The place of its status among [`Tables::statuses`].
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

// ---- Requests: see `crate::requests` ----

/// The doubles that say what became of a request.
#[napi(namespace = "abi")]
#[derive(Debug)]
pub enum RequestField {
    /// Its number in the queue.
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

/// What [`NativeServer::set_draining`](crate::server::NativeServer::set_draining) returns, bit by bit: the worker drains now.
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
    /// Silent for so long that it is presumed dead.
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

/// An example of each [`Fill`], in their order: active requests, and the maximum.
const FILLS: [(f64, f64); 3] = [(0.0, 1.0), (1.0, 1.0), (f64::NAN, 1.0)];

/// The next status for each [`StatusRule`], status and [`Fill`], one after the other.
fn status_rules() -> Vec<u32> {
    [status_after_track, status_after_release, status_after_heartbeat]
        .iter()
        .flat_map(|rule| Status::ALL.map(|status| FILLS.map(|(active, max)| rule(status, active, max) as u32)))
        .flatten()
        .collect()
}

// ---- Names, tables and defaults ----

/// What is no single number.
#[napi(object, object_from_js = false)]
pub struct Tables {
    /// The statuses of a worker. They cross as their places.
    pub statuses: Vec<&'static str>,
    /// For each rule, status and fill the place of the next status.
    pub status_rules: Vec<u32>,
    /// The methods of a logger. Levels cross as their places.
    pub levels: Vec<&'static str>,
    /// The option `priority`. Priorities cross as their places.
    pub priorities: Vec<&'static str>,
    /// The option `modelMatch`.
    pub model_matches: Vec<&'static str>,
    /// What holds where an option is not given.
    pub defaults: Defaults,
}

/// The defaults of options, by their names. Times are in milliseconds, sizes in bytes.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of the options in index.d.ts")]
pub struct Defaults {
    pub server: ServerDefaults,
    pub limits: LimitDefaults,
    pub queue: QueueDefaults,
    pub request: RequestDefaults,
    pub drain: DrainDefaults,
}

/// Of `WorkerServerOptions`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of ServerConfig")]
pub struct ServerDefaults {
    pub heartbeat_timeout_ms: f64,
    pub health_check_interval_ms: f64,
    pub heartbeat_interval_ms: f64,
    pub ping_interval_ms: f64,
    pub reuse_port: bool,
    pub model_match: &'static str,
}

/// Of `WorkerServerLimits`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of Limits and of config::defaults")]
pub struct LimitDefaults {
    pub max_message_bytes: f64,
    pub head_timeout_ms: f64,
    pub max_head_bytes: f64,
    pub registration_timeout_ms: f64,
    pub max_connections: f64,
    pub max_unregistered: f64,
    pub max_queued_bytes: f64,
    pub stall_timeout_ms: f64,
    pub max_unhandled_bytes: f64,
    pub max_unhandled_bytes_total: f64,
    pub stop_grace_ms: f64,
    pub cancel_grace_ms: f64,
    pub resume_grace_ms: f64,
    pub max_stream_bytes: f64,
}

/// Of `QueueOptions`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of QueueLimits and of config::defaults")]
pub struct QueueDefaults {
    pub max_size: f64,
    pub max_bytes: f64,
    pub timeout_ms: f64,
}

/// Of `RequestOptions`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of config::defaults")]
pub struct RequestDefaults {
    pub priority: &'static str,
    pub timeout_ms: f64,
    pub idle_timeout_ms: f64,
    pub max_attempts: u32,
}

/// Of the options of `drain()`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of config::defaults")]
pub struct DrainDefaults {
    pub timeout_ms: f64,
}

/// All tables.
#[napi(namespace = "abi", catch_unwind)]
pub fn tables() -> Tables {
    let ServerConfig { limits, queue, model_match, reuse_port, ping_interval, .. } = ServerConfig::default();
    let config = ServerConfig::default();
    Tables {
        statuses: Status::ALL.map(Status::as_str).to_vec(),
        status_rules: status_rules(),
        levels: Level::ALL.map(Level::as_str).to_vec(),
        priorities: Priority::ALL.map(Priority::as_str).to_vec(),
        model_matches: ModelMatch::ALL.map(ModelMatch::as_str).to_vec(),
        defaults: Defaults {
            server: ServerDefaults {
                heartbeat_timeout_ms: config.heartbeat_timeout_ms as f64,
                health_check_interval_ms: config.health_check_interval_ms as f64,
                heartbeat_interval_ms: config.heartbeat_interval_ms,
                // To JavaScript 0 is never.
                ping_interval_ms: ping_interval.map_or(0.0, ms),
                reuse_port,
                model_match: model_match.as_str(),
            },
            limits: limits.into(),
            queue: queue.into(),
            request: RequestDefaults {
                priority: Priority::default().as_str(),
                timeout_ms: ms(defaults::REQUEST_TIMEOUT),
                idle_timeout_ms: ms(defaults::IDLE_TIMEOUT),
                max_attempts: defaults::MAX_ATTEMPTS,
            },
            drain: DrainDefaults { timeout_ms: ms(defaults::DRAIN_TIMEOUT) },
        },
    }
}

impl From<Limits> for LimitDefaults {
    fn from(limits: Limits) -> Self {
        Self {
            max_message_bytes: limits.max_message_bytes as f64,
            head_timeout_ms: ms(limits.head_timeout),
            max_head_bytes: limits.max_head_bytes as f64,
            registration_timeout_ms: ms(limits.registration_timeout),
            max_connections: limits.max_connections as f64,
            max_unregistered: limits.max_unregistered as f64,
            max_queued_bytes: limits.max_queued_bytes as f64,
            stall_timeout_ms: ms(limits.stall_timeout),
            max_unhandled_bytes: limits.max_unhandled_bytes as f64,
            max_unhandled_bytes_total: limits.max_unhandled_bytes_total as f64,
            stop_grace_ms: ms(limits.stop_grace),
            cancel_grace_ms: ms(defaults::CANCEL_GRACE),
            resume_grace_ms: ms(defaults::RESUME_GRACE),
            max_stream_bytes: defaults::MAX_STREAM_BYTES as f64,
        }
    }
}

impl From<QueueLimits> for QueueDefaults {
    fn from(limits: QueueLimits) -> Self {
        Self {
            max_size: limits.max_size as f64,
            max_bytes: limits.max_bytes as f64,
            timeout_ms: ms(defaults::QUEUE_TIMEOUT),
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_millis() as f64
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

    #[test]
    fn names_stand_where_their_numbers_say() {
        assert!(Status::ALL.iter().enumerate().all(|(place, &status)| status as usize == place));
        assert!(Level::ALL.iter().enumerate().all(|(place, &level)| level as usize == place));
    }

    #[test]
    fn the_rules_of_statuses_are_those_of_the_core() {
        let table = status_rules();
        let next = |rule: StatusRule, status: Status, fill: Fill| {
            let row = rule as usize * Status::ALL.len() + status as usize;
            Status::ALL[table[row * FILLS.len() + fill as usize] as usize]
        };
        assert_eq!(table.len(), 36);
        assert_eq!(next(StatusRule::Track, Status::Draining, Fill::AtMax), Status::Busy);
        assert_eq!(next(StatusRule::Track, Status::Available, Fill::BelowMax), Status::Available);
        assert_eq!(next(StatusRule::Release, Status::Busy, Fill::BelowMax), Status::Available);
        assert_eq!(next(StatusRule::Release, Status::Busy, Fill::Unknown), Status::Busy);
        assert_eq!(next(StatusRule::Heartbeat, Status::Unhealthy, Fill::BelowMax), Status::Available);
        assert_eq!(next(StatusRule::Heartbeat, Status::Unhealthy, Fill::Unknown), Status::Busy);
    }
}
