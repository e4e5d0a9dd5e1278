//! Workers that get nothing new: because they leave, because the application says so, or because their outbox is full.
//!
//! These rules are for the server's own workers. The records of a caller's `WorkerPool` keep those of
//! [`crate::rules`].

use super::Pool;
use crate::rules::{self, Status};
use crate::worker::{Worker, WorkerKey};

/// Who wants a worker to drain, or no longer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drainer {
    /// The worker itself, by `worker_status`.
    Worker,
    /// The application, by `setWorkerStatus`.
    Application,
}

/// What became of a worker whose mark was set or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether it drains now: what `worker_status_ack` says.
    pub drains: bool,
    /// Whether that was different before: then `onWorkerUpdated` runs.
    pub is_changed: bool,
}

impl<P> Pool<P> {
    /// Sets or takes away a mark. `None` if there is no such worker.
    ///
    /// With both gone a worker is available, or busy at capacity. One that is unhealthy stays so until its next
    /// heartbeat.
    pub fn set_draining(&mut self, key: WorkerKey, drainer: Drainer, drains: bool) -> Option<Drained> {
        let outcome = self.update(key, |worker| {
            let before = worker.draining.is_set();
            match drainer {
                Drainer::Worker => worker.draining.by_worker = drains,
                Drainer::Application => worker.draining.by_application = drains,
            }
            let drains = worker.draining.is_set();
            if worker.status != Status::Unhealthy {
                worker.status = match (drains, worker.is_at_capacity()) {
                    (true, _) => Status::Draining,
                    (false, _) if before == drains => worker.status,
                    (false, true) => Status::Busy,
                    (false, false) => Status::Available,
                };
            }
            Drained { drains, is_changed: before != drains }
        });
        self.note_freed(key);
        outcome
    }

    /// The outbox of a worker refused a message, or has room again. While it is full the worker counts as busy.
    pub fn set_full(&mut self, key: WorkerKey, is_full: bool) {
        self.update(key, |worker| worker.is_full = is_full);
        self.note_freed(key);
    }
}

impl<P> Worker<P> {
    /// The status after one more request: one that drains keeps it.
    pub(super) fn status_after_track(&self) -> Status {
        if self.draining.is_set() {
            return self.status;
        }
        rules::status_after_track(self.status, self.active as f64, self.max)
    }

    /// The status after a heartbeat: an unhealthy worker drains again if it did, else it recovers.
    pub(super) fn status_after_heartbeat(&self) -> Status {
        match self.status {
            Status::Unhealthy if self.draining.is_set() => Status::Draining,
            status => rules::status_after_heartbeat(status, self.active as f64, self.max),
        }
    }

    /// Whether it has as many requests as it takes, or more.
    pub(super) fn is_at_capacity(&self) -> bool {
        self.active as f64 >= self.max
    }
}
