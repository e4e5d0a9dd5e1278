//! What a server counts, as a JavaScript class: it is there before the server is started, and goes on when that is
//! stopped.

use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::Float64ArraySlice;
use napi_derive::napi;

use super::abi::{self, MetricNoteKind};
use super::options::count;
use super::wtf8::Wtf8;
use worker_server_core::metrics::{AttemptReason, ClusterDrop, Gauges, Label, LimitName, Metrics, ModelLabel, Outcome};

/// [`abi::METRIC_NOTE_FIELDS`], as a length.
const NOTE_FIELDS: usize = abi::METRIC_NOTE_FIELDS as usize;

/// The metrics of one `WorkerServer`.
#[napi]
#[derive(Default)]
pub struct NativeMetrics {
    pub(super) metrics: Arc<Metrics>,
}

#[napi]
impl NativeMetrics {
    /// Nothing has been counted.
    #[napi(constructor, catch_unwind)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a model among the labels. It may be another one when a worker has registered.
    #[napi(catch_unwind)]
    pub fn model_label(&self, model: Wtf8) -> f64 {
        // What is no Unicode no worker has registered.
        let label =
            std::str::from_utf8(&model.0).map_or(ModelLabel::OTHER, |model| self.metrics.models.of(Some(model)));
        label.place() as f64
    }

    /// A worker of another node has registered these models, which are labels from now on, as this server's own are.
    #[napi(catch_unwind)]
    pub fn learn_models(&self, models: Vec<String>) {
        self.metrics.models.learn(models.iter().map(String::as_str));
    }

    /// Counts what JavaScript has noted: [`abi::METRIC_NOTE_FIELDS`] doubles for each of `number` notes.
    #[napi(catch_unwind)]
    pub fn take(&self, mut notes: Float64ArraySlice<'_>, number: u32) {
        // SAFETY: JavaScript runs again only when this call has returned.
        let notes = unsafe { notes.as_mut() };
        for note in notes.as_chunks::<NOTE_FIELDS>().0.iter().take(number as usize) {
            self.take_one(*note);
        }
    }

    /// The metrics as Prometheus text, while no server runs.
    #[napi(catch_unwind)]
    pub fn text(&self) -> String {
        self.metrics.render(&Gauges::default(), 0.0)
    }

    fn take_one(&self, [kind, model, which, ms]: [f64; NOTE_FIELDS]) {
        let metrics = &*self.metrics;
        let model = ModelLabel::at(count(model)).unwrap_or(ModelLabel::OTHER);
        let time = Duration::try_from_secs_f64(ms / 1000.0).ok();
        match MetricNoteKind::of(kind) {
            Some(MetricNoteKind::Sent) => {
                if let Some(reason) = at(which) {
                    metrics.request_sent(model, reason, time);
                }
            }
            Some(MetricNoteKind::FirstChunk) => metrics.first_chunk(model, time.unwrap_or_default()),
            Some(MetricNoteKind::Ended) => {
                if let Some(outcome) = at(which) {
                    metrics.request_ended(model, outcome, time);
                }
            }
            Some(MetricNoteKind::Stale) => metrics.answer_was_stale(),
            Some(MetricNoteKind::LimitHit) => {
                if let Some(limit) = at(which) {
                    metrics.limit_hit(limit);
                }
            }
            Some(MetricNoteKind::ClusterDropped) => {
                if let Some(reason) = at(which) {
                    metrics.cluster_dropped(reason);
                }
            }
            None => {}
        }
    }
}

/// The value of a label that has crossed as its place.
fn at<L: Label>(place: f64) -> Option<L> {
    L::ALL.get(count(place)).copied()
}

/// What the labels are called whose values JavaScript names, in the order of their places.
#[napi(object, object_from_js = false)]
pub struct MetricLabels {
    /// `outcome` of `requests_total`.
    pub outcomes: Vec<&'static str>,
    /// `reason` of `request_attempts_total`.
    pub attempt_reasons: Vec<&'static str>,
    /// `limit` of `limit_hits_total`.
    pub limits: Vec<&'static str>,
    /// `reason` of `cluster_dropped_total`.
    pub cluster_drops: Vec<&'static str>,
}

impl MetricLabels {
    /// All of them.
    pub fn all() -> Self {
        Self {
            outcomes: Outcome::names(),
            attempt_reasons: AttemptReason::names(),
            limits: LimitName::names(),
            cluster_drops: ClusterDrop::names(),
        }
    }
}
