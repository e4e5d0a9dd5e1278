//! All registered workers: who they are, what they do, and who gets the next request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;

use super::clock::Moment;
use super::health::{Verdict, judge};
use super::index::Index;
use super::registration::Capabilities;
use super::rules::{self, Status};
use super::worker::{Snapshot, Worker, WorkerKey};

/// A finding of [`Pool::check_health`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A worker turned unhealthy; it had been silent for so many milliseconds.
    TimedOut {
        /// Which.
        id: Arc<str>,
        /// How long it had been silent, in milliseconds.
        silent_ms: u64,
    },
    /// A worker's connection is presumed dead and should be closed.
    Dead {
        /// Which.
        key: WorkerKey,
        /// Its id.
        id: Arc<str>,
    },
}

/// A request that was released.
#[derive(Clone, Debug, PartialEq)]
pub struct Released {
    /// The worker that held it, as it is now.
    pub worker: Snapshot,
    /// The category that it was tracked under.
    pub category: Option<Arc<str>>,
}

type Holders = SmallVec<[WorkerKey; 1]>;

/// So many workers may have changed without the index being told.
const MAX_STALE: usize = 1024;

/// Workers in the order of their registration. `P` is whatever reaches a worker's peer.
///
/// Requests come and go far more often than the index is asked, so it learns of what has changed only then.
#[derive(Debug)]
pub struct Pool<P> {
    next_key: u64,
    workers: BTreeMap<WorkerKey, Worker<P>>,
    ids: HashMap<Arc<str>, WorkerKey>,
    index: Index,
    /// Workers that were available or busy when they were entered in the index.
    reachable: BTreeSet<WorkerKey>,
    /// Workers that have changed since, and some that are gone.
    stale: Vec<WorkerKey>,
    available: usize,
    /// Which workers hold a request id, earliest registered first. It is one, but for ids used twice.
    holders: HashMap<Arc<str>, Holders>,
}

impl<P> Default for Pool<P> {
    fn default() -> Self {
        Self {
            next_key: 0,
            workers: BTreeMap::new(),
            ids: HashMap::new(),
            index: Index::default(),
            reachable: BTreeSet::new(),
            stale: Vec::new(),
            available: 0,
            holders: HashMap::new(),
        }
    }
}

impl<P> Pool<P> {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a worker as the last in order. One of the same id must have been removed before.
    pub fn add(&mut self, id: &str, capabilities: &Capabilities, peer: P, now: Moment) -> WorkerKey {
        self.next_key += 1;
        let key = WorkerKey(self.next_key);
        let mut worker = Worker::new(id, capabilities, peer, now);
        self.ids.insert(worker.id.clone(), key);
        self.index.insert(key, &mut worker);
        self.reachable.insert(key);
        self.available += 1;
        self.workers.insert(key, worker);
        key
    }

    /// Takes a worker out, with all that it held.
    pub fn remove(&mut self, key: WorkerKey) -> Option<Worker<P>> {
        let worker = self.workers.remove(&key)?;
        self.index.remove(key, &worker);
        self.reachable.remove(&key);
        self.available -= usize::from(is_available(&worker));
        self.ids.remove(&worker.id);
        for request in worker.requests.keys() {
            self.change_holders(request, |holders| holders.retain(|holder| *holder != key));
        }
        Some(worker)
    }

    /// Takes all workers out.
    pub fn clear(&mut self) {
        // Keys go on, so that none is ever used twice.
        *self = Self { next_key: self.next_key, ..Self::default() };
    }

    /// The worker of an id.
    pub fn key_of(&self, id: &str) -> Option<WorkerKey> {
        self.ids.get(id).copied()
    }

    /// The record of a worker.
    pub fn get(&self, key: WorkerKey) -> Option<&Worker<P>> {
        self.workers.get(&key)
    }

    /// All workers in the order of their registration.
    pub fn iter(&self) -> impl Iterator<Item = (WorkerKey, &Worker<P>)> {
        self.workers.iter().map(|(&key, worker)| (key, worker))
    }

    /// How many workers there are.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// How many workers are available.
    pub fn available(&self) -> usize {
        self.available
    }

    /// The socket of a worker is closing or gone: selection passes it over from now on.
    pub fn mark_closed(&mut self, key: WorkerKey) {
        self.update(key, |worker| worker.closed = true);
    }

    /// A heartbeat that names `id`. False if there is no such worker, or its socket closed.
    pub fn heartbeat(&mut self, id: &str, now: Moment) -> bool {
        let Some(key) = self.key_of(id) else { return false };
        let Some(worker) = self.workers.get_mut(&key).filter(|worker| !worker.closed) else {
            return false;
        };
        worker.last_seen = now;
        if worker.status == Status::Unhealthy {
            self.update(key, |worker| {
                worker.status = rules::status_after_heartbeat(worker.status, worker.active as f64, worker.max);
            });
        }
        true
    }

    /// Notes that a worker was given a request. Gives its new state, `None` if there is no such worker.
    pub fn track(&mut self, key: WorkerKey, request: &str, category: Option<&str>) -> Option<Snapshot> {
        let request: Arc<str> = request.into();
        let category: Option<Arc<str>> = category.map(Into::into);
        let tracked = self.update(key, |worker| {
            worker.active += 1;
            worker.status = rules::status_after_track(worker.status, worker.active as f64, worker.max);
            if let Some(category) = &category {
                *worker.category_active.entry(category.clone()).or_default() += 1;
            }
            let tracked_as = worker.requests.entry(request.clone()).or_default();
            if category.is_some() {
                *tracked_as = category;
            }
            Snapshot::of(key, worker)
        })?;
        let holders = self.holders.entry(request).or_default();
        if let Err(place) = holders.binary_search(&key) {
            holders.insert(place, key);
        }
        Some(tracked)
    }

    /// Notes that a request ended, on the earliest registered worker that holds it. `None` if nobody does.
    pub fn release(&mut self, request: &str, increment_completed: bool) -> Option<Released> {
        let key = self.change_holders(request, |holders| {
            let earliest = *holders.first()?;
            holders.remove(0);
            Some(earliest)
        })??;
        self.update(key, |worker| {
            let category = worker.requests.remove(request).flatten();
            worker.active = worker.active.saturating_sub(1);
            worker.completed += u64::from(increment_completed);
            worker.status = rules::status_after_release(worker.status, worker.active as f64, worker.max);
            if let Some(count) = category.as_ref().and_then(|category| worker.category_active.get_mut(category)) {
                *count = count.saturating_sub(1);
            }
            Released { worker: Snapshot::of(key, worker), category }
        })
    }

    /// The least loaded worker that supports `model` and may take a request of `category`.
    pub fn select(&mut self, model: &str, category: Option<&str>) -> Option<WorkerKey> {
        self.refresh();
        self.index.best(model, category)
    }

    /// The earliest registered worker that is available or busy.
    pub fn select_any(&mut self) -> Option<WorkerKey> {
        self.refresh();
        self.reachable.first().copied()
    }

    /// Free slots for `model` and `category` over all available workers.
    pub fn free_slots(&mut self, model: &str, category: Option<&str>) -> f64 {
        self.refresh();
        let workers = &self.workers;
        self.index.free(model, category, |key| workers.get(&key).map_or(0.0, |worker| worker.slots(category).free()))
    }

    /// Judges the silence of every worker whose socket is open. `excused` tells of a peer whose silence is this
    /// server's own doing.
    pub fn check_health(&mut self, now: Moment, timeout_ms: u64, excused: impl Fn(&P) -> bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let silent: Vec<(WorkerKey, u64, Verdict)> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.closed && !excused(&worker.peer))
            .map(|(&key, worker)| (key, now.since(worker.last_seen)))
            .map(|(key, silent_ms)| (key, silent_ms, judge(silent_ms as f64, timeout_ms as f64)))
            .filter(|(_, _, verdict)| *verdict != Verdict::Alive)
            .collect();
        for (key, silent_ms, verdict) in silent {
            self.update(key, |worker| {
                if worker.status != Status::Unhealthy {
                    worker.status = Status::Unhealthy;
                    findings.push(Finding::TimedOut { id: worker.id.clone(), silent_ms });
                }
                if verdict == Verdict::Dead {
                    findings.push(Finding::Dead { key, id: worker.id.clone() });
                }
            });
        }
        findings
    }

    /// Has a worker changed by `change`, and gives what that gives. `None` if there is no such worker.
    fn update<T>(&mut self, key: WorkerKey, change: impl FnOnce(&mut Worker<P>) -> T) -> Option<T> {
        if self.stale.len() >= MAX_STALE {
            self.refresh();
        }
        let worker = self.workers.get_mut(&key)?;
        let was_available = is_available(worker);
        let changed = change(worker);
        self.available = self.available - usize::from(was_available) + usize::from(is_available(worker));
        if !std::mem::replace(&mut worker.is_stale, true) {
            self.stale.push(key);
        }
        Some(changed)
    }

    /// Tells the index of all that has changed.
    fn refresh(&mut self) {
        for key in self.stale.drain(..) {
            let Some(worker) = self.workers.get_mut(&key) else { continue };
            self.index.update(key, worker);
            if worker.reachable() {
                self.reachable.insert(key);
            } else {
                self.reachable.remove(&key);
            }
        }
    }

    /// Has the holders of a request changed by `change`, and gives what that gives. Of a request that nobody holds then nothing is kept.
    fn change_holders<T>(&mut self, request: &str, change: impl FnOnce(&mut Holders) -> T) -> Option<T> {
        let holders = self.holders.get_mut(request)?;
        let changed = change(holders);
        if holders.is_empty() {
            self.holders.remove(request);
        }
        Some(changed)
    }
}

fn is_available<P>(worker: &Worker<P>) -> bool {
    !worker.closed && worker.status == Status::Available
}
