//! What is true of a server at the moment.

use super::models::{MODEL_LABELS, ModelLabels};
use crate::clock::Moment;
use crate::pool::Pool;
use crate::requests::{PRIORITIES, Requests};
use crate::rules::Status;

/// The state of a server, as metrics show it. The default is that of one that does not run.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauges {
    /// How many workers there are of each status, in the order of [`Status::ALL`].
    pub workers: [u64; Status::ALL.len()],
    /// For each model label the slots of its workers.
    pub slots: [f64; MODEL_LABELS],
    /// The same of slots that have a request.
    pub busy: [u64; MODEL_LABELS],
    /// For each model label, and each priority, how many requests wait.
    pub waiting: [[u64; PRIORITIES]; MODEL_LABELS],
    /// How long the oldest of them has waited, in ms.
    pub oldest_ms: u64,
    /// How long ago the worker that has been silent for longest sent its last sign of life, in ms.
    pub silent_ms: u64,
    /// Worker connections that are open.
    pub connections: usize,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            workers: Default::default(),
            slots: [0.0; MODEL_LABELS],
            busy: [0; MODEL_LABELS],
            waiting: [[0; PRIORITIES]; MODEL_LABELS],
            oldest_ms: 0,
            silent_ms: 0,
            connections: 0,
        }
    }
}

impl Gauges {
    /// The state of these workers and requests.
    pub fn of<P>(pool: &Pool<P>, requests: &Requests, models: &ModelLabels, now: Moment) -> Self {
        let mut gauges = Self::default();
        for (_, worker) in pool.iter() {
            gauges.workers[worker.status as usize] += 1;
            gauges.silent_ms = gauges.silent_ms.max(now.since(worker.last_seen));
            for label in worker.model_labels.iter() {
                gauges.slots[label.place()] += worker.max;
                gauges.busy[label.place()] += worker.active;
            }
        }
        for (model, waiting) in requests.waiting_by_model() {
            let sums = &mut gauges.waiting[models.of(model).place()];
            for (sum, count) in sums.iter_mut().zip(waiting) {
                *sum += count as u64;
            }
        }
        gauges.oldest_ms = requests.oldest_ms(now);
        gauges
    }
}
