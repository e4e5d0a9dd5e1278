//! What a server counts from its construction on, over all its starts, and how that reads as Prometheus text.
//!
//! Counters are plain atomics, which any thread may add to. What is true only at the moment ([`Gauges`]) is looked up
//! when somebody asks. Every label has a bounded number of values, whatever peers say: see [`models`].

pub mod gauges;
pub mod histogram;
pub mod label;
pub mod models;
mod render;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::gauges::Gauges;
use self::histogram::Histogram;
pub use self::label::{
    AttemptReason, CloseCode, ClusterDrop, Counters, Direction, Label, LimitName, Outcome, UpgradeResult,
};
pub use self::models::{MODEL_LABELS, ModelLabel, ModelLabelSet, ModelLabels};

/// What one server has counted.
#[derive(Debug)]
pub struct Metrics {
    /// The models that are labels.
    pub models: ModelLabels,
    by_model: Box<[ByModel]>,
    attempts: Counters<AttemptReason>,
    stale_answers: AtomicU64,
    upgrades: Counters<UpgradeResult>,
    disconnects: Counters<CloseCode>,
    messages: Counters<Direction>,
    bytes: Counters<Direction>,
    auth_failures: AtomicU64,
    limit_hits: Counters<LimitName>,
    log_lines_suppressed: AtomicU64,
    cluster_dropped: Counters<ClusterDrop>,
}

/// What is counted for each model.
#[derive(Debug, Default)]
struct ByModel {
    requests: Counters<Outcome>,
    queue_wait: Histogram,
    request_duration: Histogram,
    first_chunk: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            models: ModelLabels::default(),
            by_model: (0..MODEL_LABELS).map(|_| ByModel::default()).collect(),
            attempts: Counters::default(),
            stale_answers: AtomicU64::new(0),
            upgrades: Counters::default(),
            disconnects: Counters::default(),
            messages: Counters::default(),
            bytes: Counters::default(),
            auth_failures: AtomicU64::new(0),
            limit_hits: Counters::default(),
            log_lines_suppressed: AtomicU64::new(0),
            cluster_dropped: Counters::default(),
        }
    }
}

impl Metrics {
    // ---- Requests ----

    /// A request was sent to a worker. `waited`: how long it had waited, if it was sent for the first time.
    pub fn request_sent(&self, model: ModelLabel, reason: AttemptReason, waited: Option<Duration>) {
        self.attempts.add(reason, 1);
        if let Some(waited) = waited {
            self.by_model[model.place()].queue_wait.observe(waited);
        }
    }

    /// The first chunk of a stream has come, this long `after` the call.
    pub fn first_chunk(&self, model: ModelLabel, after: Duration) {
        self.by_model[model.place()].first_chunk.observe(after);
    }

    /// A request has ended. `took`: how long, if it was taken in at all.
    pub fn request_ended(&self, model: ModelLabel, outcome: Outcome, took: Option<Duration>) {
        let by_model = &self.by_model[model.place()];
        by_model.requests.add(outcome, 1);
        if let Some(took) = took {
            by_model.request_duration.observe(took);
        }
    }

    /// A worker has sent a message about an attempt that it does not have.
    pub fn answer_was_stale(&self) {
        self.stale_answers.fetch_add(1, Ordering::Relaxed);
    }

    // ---- Connections ----

    /// A worker's upgrade was answered.
    pub fn upgraded(&self, result: UpgradeResult) {
        self.upgrades.add(result, 1);
    }

    /// A worker connection has ended.
    pub fn disconnected(&self, code: u16) {
        self.disconnects.add(code.into(), 1);
    }

    /// `count` messages went to workers or came from them, with `bytes` bytes of text in all.
    pub fn messages(&self, direction: Direction, count: u64, bytes: usize) {
        self.messages.add(direction, count);
        self.bytes.add(direction, bytes as u64);
    }

    /// A worker sent a wrong token, or the application did not let it in.
    pub fn auth_failed(&self) {
        self.auth_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// A limit held.
    pub fn limit_hit(&self, limit: LimitName) {
        self.limit_hits.add(limit, 1);
    }

    /// A log line was left out, there being too many of its kind.
    pub fn log_line_suppressed(&self) {
        self.log_lines_suppressed.fetch_add(1, Ordering::Relaxed);
    }

    /// A message of another node was dropped.
    pub fn cluster_dropped(&self, reason: ClusterDrop) {
        self.cluster_dropped.add(reason, 1);
    }
}
