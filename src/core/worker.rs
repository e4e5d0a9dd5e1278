//! The record of one registered worker.

use std::collections::HashMap;
use std::sync::Arc;

use super::clock::Moment;
use super::index::GroupId;
use super::registration::Capabilities;
use super::rules::{CategorySlots, Slots, Status};

/// Names one registration of a worker, and never another one. Later registrations have greater keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerKey(pub u64);

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
    pub limits: Box<[(Arc<str>, f64)]>,
    /// Its group in the index of its pool.
    pub group: GroupId,
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
    /// Pending request ids, each with the category that it was last tracked under.
    pub requests: HashMap<Arc<str>, Option<Arc<str>>>,
    /// Active requests by category. A category that was once counted stays, at 0 if need be.
    pub category_active: HashMap<Arc<str>, u64>,
}

impl<P> Worker<P> {
    /// A worker that has just registered.
    pub fn new(id: &str, capabilities: &Capabilities, peer: P, now: Moment) -> Self {
        Self {
            id: id.into(),
            peer,
            models: capabilities.models.iter().map(|model| model.as_str().into()).collect(),
            max: capabilities.max,
            limits: capabilities.limits.iter().map(|(name, limit)| (name.as_str().into(), *limit)).collect(),
            group: GroupId::default(),
            status: Status::Available,
            closed: false,
            active: 0,
            completed: 0,
            connected_at: now,
            last_seen: now,
            requests: HashMap::new(),
            category_active: HashMap::new(),
        }
    }

    /// What selection sees of it. A worker whose socket closed is shown as unhealthy.
    pub fn slots(&self, category: Option<&str>) -> Slots {
        Slots {
            status: if self.closed { Status::Unhealthy } else { self.status },
            active: self.active as f64,
            max: self.max,
            category: category.and_then(|category| {
                let (_, limit) = self.limits.iter().find(|(name, _)| **name == *category)?;
                Some(CategorySlots { active: self.category_count(category) as f64, limit: *limit })
            }),
        }
    }

    /// Active requests of a category.
    pub fn category_count(&self, category: &str) -> u64 {
        self.category_active.get(category).copied().unwrap_or(0)
    }

    /// Whether it can be reached and is available or busy.
    pub fn reachable(&self) -> bool {
        !self.closed && matches!(self.status, Status::Available | Status::Busy)
    }
}
