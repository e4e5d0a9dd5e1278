//! What workers offer beside their models: requests that they take, metadata, and other capabilities than they came
//! with.

use super::Pool;
use crate::metadata::Metadata;
use crate::metrics::ModelLabelSet;
use crate::models::ModelMatch;
use crate::registration::Capabilities;
use crate::rules::Status;
use crate::worker::{Limit, Takes, Worker, WorkerKey};

impl<P> Pool<P> {
    /// An empty pool whose selectors compare models like this.
    pub fn with_model_match(model_match: ModelMatch) -> Self {
        Self { model_match, ..Self::default() }
    }

    /// Says which requests a worker takes, and its metadata: in the call in which it was added.
    pub fn set_offer(&mut self, key: WorkerKey, takes: Takes, metadata: Metadata) -> bool {
        self.regroup(key, |worker| {
            worker.takes = takes;
            worker.metadata = metadata;
        })
    }

    /// Asks what metrics call the models of a worker.
    pub fn set_model_labels(
        &mut self,
        key: WorkerKey,
        label: impl FnOnce(&mut dyn Iterator<Item = &str>) -> ModelLabelSet,
    ) {
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.model_labels = label(&mut worker.models.iter().map(|model| &**model));
        }
    }

    /// Replaces what a worker can do, in the same session. False if there is no such worker.
    ///
    /// Its requests stay: with more than it now takes it is busy, and nothing is cancelled. `active_in` returns how
    /// many of them are of a category. Places in [`Worker::limits`] are new: those that were kept must be looked up
    /// again.
    pub fn set_capabilities(
        &mut self,
        key: WorkerKey,
        capabilities: &Capabilities,
        metadata: Metadata,
        active_in: impl Fn(&str) -> u64,
    ) -> bool {
        self.regroup(key, |worker| {
            worker.models = capabilities.models.iter().map(|model| model.as_str().into()).collect();
            worker.max = capabilities.max;
            worker.limits = capabilities
                .limits
                .iter()
                .map(|(category, max)| Limit::new(category, *max, active_in(category)))
                .collect();
            worker.metadata = metadata;
            if matches!(worker.status, Status::Available | Status::Busy) {
                worker.status = if worker.is_at_capacity() { Status::Busy } else { Status::Available };
            }
        })
    }

    /// Says how a worker is that another process counts for: its status, its active requests, and those of each
    /// category that it limits, in the order of [`Worker::limits`]. False if there is no such worker.
    pub fn set_state(&mut self, key: WorkerKey, status: Status, active: u64, limited: &[u64]) -> bool {
        let changed = self.update(key, |worker| {
            worker.status = status;
            worker.active = active;
            for (limit, &active) in worker.limits.iter_mut().zip(limited) {
                limit.active = active;
            }
        });
        changed.is_some()
    }

    /// Has a worker changed by `change`, which may put it into another group.
    fn regroup(&mut self, key: WorkerKey, change: impl FnOnce(&mut Worker<P>)) -> bool {
        let is_known = self.workers.contains_key(&key);
        if let Some(worker) = self.workers.get(&key) {
            self.index.remove(key, worker);
        }
        self.update(key, change);
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.enter();
            self.index.insert(key, worker);
            // It is in the list of what is stale still, and entered anew with the others.
            worker.is_stale = true;
        }
        self.note_freed(key);
        is_known
    }
}
