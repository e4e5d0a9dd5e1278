//! All registered workers: who they are, what they do, and who gets the next request.

mod draining;
mod freed;
mod offer;

pub use self::draining::{Drained, Drainer};

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::clock::Moment;
use super::health::{Verdict, judge};
use super::index::Index;
use super::models::ModelMatch;
use super::registration::Capabilities;
use super::rules::{self, Status};
use super::worker::{Worker, WorkerKey};

/// A finding of [`Pool::check_health`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A worker turned unhealthy; how long it had been silent, in ms.
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

/// How many workers may have changed before the index is brought up to date.
const MAX_STALE: usize = 1024;

/// Workers in the order of their registration. `P` is whatever reaches a worker's peer.
///
/// It counts requests; their ids, and the collections that show them, are the application's.
///
/// Requests come and go far more often than the index is asked, so it learns of what has changed only then.
#[derive(Debug)]
pub struct Pool<P> {
    next_key: u64,
    /// In boxes: keys only ever grow, so half of the places in the tree's nodes stay empty.
    workers: BTreeMap<WorkerKey, Box<Worker<P>>>,
    ids: HashMap<Arc<str>, WorkerKey>,
    index: Index,
    /// Workers that were available or busy when they were entered in the index.
    reachable: BTreeSet<WorkerKey>,
    /// Workers that have changed since, and some that are gone.
    stale: Vec<WorkerKey>,
    available: usize,
    /// See [`Pool::count_silence_from`].
    silence_from: Moment,
    /// How [`Pool::select`] and [`Pool::free_slots`] compare models.
    model_match: ModelMatch,
    /// Workers that may have got a free slot: see [`Pool::watch`].
    freed: VecDeque<WorkerKey>,
    watched: bool,
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
            silence_from: Moment { elapsed_ms: 0, unix_ms: 0 },
            model_match: ModelMatch::Loose,
            freed: VecDeque::new(),
            watched: false,
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
        let mut worker = Box::new(Worker::new(id, capabilities, peer, now));
        self.ids.insert(worker.id.clone(), key);
        self.index.insert(key, &mut worker);
        self.reachable.insert(key);
        self.available += 1;
        self.workers.insert(key, worker);
        self.note_freed(key);
        key
    }

    /// Takes a worker out.
    pub fn remove(&mut self, key: WorkerKey) -> Option<Worker<P>> {
        let worker = self.workers.remove(&key)?;
        self.index.remove(key, &worker);
        self.reachable.remove(&key);
        self.available -= usize::from(is_available(&worker));
        self.ids.remove(&worker.id);
        Some(*worker)
    }

    /// Takes all workers out.
    pub fn clear(&mut self) {
        // Keys go on, so that none is ever used twice.
        *self = Self {
            next_key: self.next_key,
            model_match: self.model_match,
            index: self.index.emptied(),
            watched: self.watched,
            ..Self::default()
        };
    }

    /// The worker of an id.
    pub fn key_of(&self, id: &str) -> Option<WorkerKey> {
        self.ids.get(id).copied()
    }

    /// The record of a worker.
    pub fn get(&self, key: WorkerKey) -> Option<&Worker<P>> {
        self.workers.get(&key).map(|worker| &**worker)
    }

    /// All workers in the order of their registration.
    pub fn iter(&self) -> impl Iterator<Item = (WorkerKey, &Worker<P>)> {
        self.workers.iter().map(|(&key, worker)| (key, &**worker))
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
        self.key_of(id).is_some_and(|key| self.touch(key, now))
    }

    /// A worker gave a sign of life. False if there is no such worker, or its socket closed.
    pub fn touch(&mut self, key: WorkerKey, now: Moment) -> bool {
        let Some(worker) = self.workers.get_mut(&key).filter(|worker| !worker.closed) else {
            return false;
        };
        worker.last_seen = now;
        if worker.status == Status::Unhealthy {
            self.update(key, |worker| worker.status = worker.status_after_heartbeat());
            self.note_freed(key);
        }
        true
    }

    /// A worker was given a request; `limit` is the place in [`Worker::limits`] of its category, if that is limited.
    /// False if there is no such worker.
    pub fn track(&mut self, key: WorkerKey, limit: Option<usize>) -> bool {
        let tracked = self.update(key, |worker| {
            worker.active += 1;
            worker.status = worker.status_after_track();
            if let Some(limit) = limit.and_then(|place| worker.limits.get_mut(place)) {
                limit.active += 1;
            }
        });
        tracked.is_some()
    }

    /// A request ended that a worker was given; `limit` as it was then. False if there is no such worker.
    pub fn release(&mut self, key: WorkerKey, limit: Option<usize>, increment_completed: bool) -> bool {
        let released = self.update(key, |worker| {
            worker.active = worker.active.saturating_sub(1);
            worker.completed += u64::from(increment_completed);
            worker.status = rules::status_after_release(worker.status, worker.active as f64, worker.max);
            if let Some(limit) = limit.and_then(|place| worker.limits.get_mut(place)) {
                limit.active = limit.active.saturating_sub(1);
            }
        });
        self.note_freed(key);
        released.is_some()
    }

    /// The least loaded worker that supports `model` and may take a request of `category`.
    pub fn select(&mut self, model: &str, category: Option<&str>) -> Option<WorkerKey> {
        self.refresh();
        self.index.best(model, self.model_match, category)
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
        let free = |key| workers.get(&key).map_or(0.0, |worker| worker.slots(category).free());
        self.index.free(model, self.model_match, category, free)
    }

    /// No silence counts that was before: this process may not have run then, and have heard nobody.
    pub fn count_silence_from(&mut self, moment: Moment) {
        self.silence_from = moment;
    }

    /// Judges the silence of every worker whose socket is open. `excused` returns true for a peer whose silence is this
    /// server's own doing.
    pub fn check_health(&mut self, now: Moment, timeout_ms: u64, excused: impl Fn(&P) -> bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let silent: Vec<(WorkerKey, u64, Verdict)> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.closed && !excused(&worker.peer))
            .map(|(&key, worker)| (key, now.since(worker.last_seen).min(now.since(self.silence_from))))
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

    /// Changes a worker by `change`, and returns what that returns. `None` if there is no such worker.
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

    /// Brings the index up to date with all that has changed.
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
}

fn is_available<P>(worker: &Worker<P>) -> bool {
    !worker.closed && worker.status == Status::Available
}
