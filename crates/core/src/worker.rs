//! The record of one registered worker.

use std::sync::Arc;

use super::clock::Moment;
use super::metadata::Metadata;
use super::metrics::ModelLabelSet;
use super::models::GroupId;
use super::registration::Capabilities;
use super::requests::affinity::WorkerHash;
use super::rules::{CategorySlots, Slots, Status};

/// Names one registration of a worker, and never another one. Later registrations have greater keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerKey(pub u64);

/// Which requests of `request()` and `stream()` a worker takes; each kind takes all that the one before it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Takes {
    /// None: it named no feature, and the server has no types for such workers.
    #[default]
    Nothing,
    /// Those whose payload is a plain object, since its keys become a message of the application's own type.
    Objects,
    /// All: it registered with the feature `request`.
    Anything,
}

/// Who wants a worker to get nothing new. It drains while at least one of both does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draining {
    /// The worker itself, by `worker_status`.
    pub by_worker: bool,
    /// The application, by `setWorkerStatus`.
    pub by_application: bool,
}

impl Draining {
    /// Whether it drains.
    pub fn is_set(self) -> bool {
        self.by_worker || self.by_application
    }
}

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

impl Limit {
    /// The limit of a category, and how many of its requests are active.
    pub fn new(category: &str, max: f64, active: u64) -> Self {
        Self { category: category.into(), max, active, entered: active }
    }
}

/// A worker in the pool. `P` is whatever reaches its peer.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Worker<P> {
    /// The id that it registered.
    pub id: Arc<str>,
    /// The same, as an affinity sees it.
    pub hash: WorkerHash,
    /// How to reach it.
    pub peer: P,
    /// The models it serves.
    pub models: Arc<[Arc<str>]>,
    /// What metrics call them.
    pub model_labels: ModelLabelSet,
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
    /// Which requests of `request()` it takes.
    pub takes: Takes,
    /// Its `metadata`.
    pub metadata: Metadata,
    /// Who wants it to get nothing new.
    pub draining: Draining,
    /// Its outbox has refused a message, and there has been no room since: it counts as busy.
    pub is_full: bool,
    /// It is among those of its pool that may have got a free slot.
    pub is_freed: bool,
    /// Its status.
    pub status: Status,
    /// Whether its socket is closing or gone: selection passes it over, but it stays until its end is delivered.
    pub closed: bool,
    /// Active requests.
    pub active: u64,
    /// Requests that ended with `incrementCompleted`.
    pub completed: u64,
    /// When it last gave a sign of life.
    pub last_seen: Moment,
}

impl<P> Worker<P> {
    /// A worker that has just registered.
    pub fn new(id: &str, capabilities: &Capabilities, peer: P, now: Moment) -> Self {
        Self {
            id: id.into(),
            hash: WorkerHash::of(id),
            peer,
            models: capabilities.models.iter().map(|model| model.as_str().into()).collect(),
            model_labels: ModelLabelSet::default(),
            max: capabilities.max,
            limits: capabilities.limits.iter().map(|(category, max)| Limit::new(category, *max, 0)).collect(),
            group: GroupId::default(),
            entered: (Status::Available, 0),
            is_stale: false,
            takes: Takes::Nothing,
            metadata: Metadata::default(),
            draining: Draining::default(),
            is_full: false,
            is_freed: false,
            status: Status::Available,
            closed: false,
            active: 0,
            completed: 0,
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

    /// What selection saw of it when it was entered in the index, of requests without a category and of those that
    /// `limit`
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

    /// From now on [`Worker::entered_slots`] returns what is true now.
    pub fn enter(&mut self) {
        self.is_stale = false;
        self.entered = (self.shown_status(), self.active);
        for limit in &mut self.limits {
            limit.entered = limit.active;
        }
    }

    /// Its status. To selection a worker whose socket closed is unhealthy, and one whose outbox is full is busy.
    fn shown_status(&self) -> Status {
        match self.status {
            _ if self.closed => Status::Unhealthy,
            Status::Available if self.is_full => Status::Busy,
            status => status,
        }
    }

    /// Whether it can be reached and is available or busy.
    pub fn reachable(&self) -> bool {
        !self.closed && matches!(self.status, Status::Available | Status::Busy)
    }
}
