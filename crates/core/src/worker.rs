//! The record of one registered worker.

use std::sync::Arc;

use super::clock::Moment;
use super::models::GroupId;
use super::registration::Capabilities;
use super::rules::{CategorySlots, Slots, Status};

/// Names one registration of a worker, and never another one. Later registrations have greater keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerKey(pub u64);

/// What may change in a worker from one moment to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// Which worker.
    pub key: WorkerKey,
    /// Its status.
    pub status: Status,
    /// When it last gave a sign of life.
    pub last_seen: Moment,
    /// Its active requests.
    pub active: u64,
    /// Its completed requests.
    pub completed: u64,
}

impl Snapshot {
    /// How a worker is now.
    pub fn of<P>(key: WorkerKey, worker: &Worker<P>) -> Self {
        Self {
            key,
            status: worker.status,
            last_seen: worker.last_seen,
            active: worker.active,
            completed: worker.completed,
        }
    }
}

/// A worker's limit for the requests of one category.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The category.
    pub category: Arc<str>,
    /// How many of its requests may be active.
    pub max: f64,
    /// How many are.
    pub active: u64,
    /// How many were when the worker was entered in the index.
    entered: u64,
}

/// A worker in the pool. `P` is whatever reaches its peer.
#[derive(Debug)]
pub struct Worker<P> {
    /// The id that it registered.
    pub id: Arc<str>,
    /// How to reach it.
    pub peer: P,
    /// The models it serves.
    pub models: Arc<[Arc<str>]>,
    /// Its `maxConcurrentRequests`.
    pub max: f64,
    /// Its `concurrencyLimits`.
    pub limits: Box<[Limit]>,
    /// Its group in the index of its pool.
    pub group: GroupId,
    /// How it was when it was entered there: its status, as selection saw it, and its active requests.
    entered: (Status, u64),
    /// Something has changed since.
    pub is_stale: bool,
    /// Its status.
    pub status: Status,
    /// Whether its socket is closing or gone: selection passes it over, but it stays until its end is delivered.
    pub closed: bool,
    /// Active requests.
    pub active: u64,
    /// Requests that ended with `incrementCompleted`.
    pub completed: u64,
    /// When it registered.
    pub connected_at: Moment,
    /// When it last gave a sign of life.
    pub last_seen: Moment,
}

impl<P> Worker<P> {
    /// A worker that has just registered.
    pub fn new(id: &str, capabilities: &Capabilities, peer: P, now: Moment) -> Self {
        Self {
            id: id.into(),
            peer,
            models: capabilities.models.iter().map(|model| model.as_str().into()).collect(),
            max: capabilities.max,
            limits: capabilities
                .limits
                .iter()
                .map(|(category, max)| Limit { category: category.as_str().into(), max: *max, active: 0, entered: 0 })
                .collect(),
            group: GroupId::default(),
            entered: (Status::Available, 0),
            is_stale: false,
            status: Status::Available,
            closed: false,
            active: 0,
            completed: 0,
            connected_at: now,
            last_seen: now,
        }
    }

    /// What selection sees of it.
    pub fn slots(&self, category: Option<&str>) -> Slots {
        let limit = category.and_then(|category| self.limits.get(self.place_of(category)?));
        Slots {
            status: self.shown_status(),
            active: self.active as f64,
            max: self.max,
            category: limit.map(|limit| CategorySlots { active: limit.active as f64, limit: limit.max }),
        }
    }

    /// The place in its limits of a category that it limits.
    pub fn place_of(&self, category: &str) -> Option<usize> {
        self.limits.iter().position(|limit| *limit.category == *category)
    }

    /// What selection saw of it when it was entered in the index, of requests without a category and of those that `limit`
    /// is for.
    pub fn entered_slots(&self, limit: Option<&Limit>) -> Slots {
        let (status, active) = self.entered;
        Slots {
            status,
            active: active as f64,
            max: self.max,
            category: limit.map(|limit| CategorySlots { active: limit.entered as f64, limit: limit.max }),
        }
    }

    /// From now on [`Worker::entered_slots`] gives what is true now.
    pub fn enter(&mut self) {
        self.is_stale = false;
        self.entered = (self.shown_status(), self.active);
        for limit in &mut self.limits {
            limit.entered = limit.active;
        }
    }

    /// Its status. A worker whose socket closed is shown as unhealthy.
    fn shown_status(&self) -> Status {
        if self.closed { Status::Unhealthy } else { self.status }
    }

    /// Whether it can be reached and is available or busy.
    pub fn reachable(&self) -> bool {
        !self.closed && matches!(self.status, Status::Available | Status::Busy)
    }
}
