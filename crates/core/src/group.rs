//! Workers that serve the same models, ordered by load.
//!
//! Fleets have many workers and few kinds of them. All workers of one kind form a group, which keeps those that
//! may take a request in order, once for requests without a category and once for each category that the kind
//! limits. The best worker of a group is then its first, and its free slots are a sum that is kept up.
//!
//! A worker has its place by what was true when it was entered (see [`Worker::enter`]), and keeps it until it is
//! entered anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::rules::{Load, Slots};
use super::worker::{Takes, Worker, WorkerKey};

/// What makes workers one kind: their models, the categories that they limit, and which requests they take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    models: Arc<[Arc<str>]>,
    limited: Box<[Arc<str>]>,
    takes: Takes,
}

impl Kind {
    /// The kind of a worker.
    pub fn of<P>(worker: &Worker<P>) -> Self {
        Self {
            models: worker.models.clone(),
            limited: worker.limits.iter().map(|limit| limit.category.clone()).collect(),
            takes: worker.takes,
        }
    }

    /// The models that its workers serve.
    pub fn models(&self) -> &Arc<[Arc<str>]> {
        &self.models
    }
}

/// The candidates for one sort of request, and their free slots.
#[derive(Debug, Default)]
struct Candidates {
    by_load: BTreeSet<(Load, WorkerKey)>,
    /// Free slots of the workers whose count of them is a whole number.
    whole: i128,
    /// Workers with a fraction of a slot free; while there are some, sums are taken anew to stay exact.
    fractional: usize,
}

impl Candidates {
    fn insert(&mut self, key: WorkerKey, slots: Slots) {
        if let Some(load) = slots.load() {
            self.by_load.insert((load, key));
        }
        match whole(slots.free()) {
            Some(free) => self.whole += free,
            None => self.fractional += 1,
        }
    }

    fn remove(&mut self, key: WorkerKey, slots: Slots) {
        if let Some(load) = slots.load() {
            self.by_load.remove(&(load, key));
        }
        match whole(slots.free()) {
            Some(free) => self.whole -= free,
            None => self.fractional -= 1,
        }
    }
}

/// The workers of one kind.
#[derive(Debug)]
pub struct Group {
    kind: Kind,
    /// Distinguishes it from every other group that its index has ever had: the places of groups that are gone are used
    /// again.
    born: u64,
    members: BTreeSet<WorkerKey>,
    any: Candidates,
    limited: HashMap<Arc<str>, Candidates>,
}

impl Group {
    /// A group without members.
    pub fn new(kind: Kind, born: u64) -> Self {
        Self { kind, born, members: BTreeSet::new(), any: Candidates::default(), limited: HashMap::new() }
    }

    /// What no other group of the index has had or will have.
    pub fn born(&self) -> u64 {
        self.born
    }

    /// The models that its workers serve.
    pub fn models(&self) -> &[Arc<str>] {
        &self.kind.models
    }

    /// Which requests its workers take.
    pub fn takes(&self) -> Takes {
        self.kind.takes
    }

    /// Whether its workers limit a category.
    pub fn limits(&self, category: &str) -> bool {
        self.limited.contains_key(category)
    }

    /// Its workers in the order of their registration.
    pub fn members(&self) -> impl Iterator<Item = WorkerKey> {
        self.members.iter().copied()
    }

    /// The workers that may take a request of `category`, the least loaded first and of equals the earliest registered.
    pub fn candidates(&self, category: Option<&str>) -> impl Iterator<Item = (Load, WorkerKey)> {
        self.candidates_for(category).by_load.iter().copied()
    }

    /// Takes a worker in, as it was entered.
    pub fn insert<P>(&mut self, key: WorkerKey, worker: &Worker<P>) {
        self.members.insert(key);
        self.each_candidates(worker, |candidates_for, slots| candidates_for.insert(key, slots));
    }

    /// Leaves a worker out, as it was entered.
    pub fn remove<P>(&mut self, key: WorkerKey, worker: &Worker<P>) {
        self.members.remove(&key);
        self.each_candidates(worker, |candidates_for, slots| candidates_for.remove(key, slots));
    }

    /// Has a worker entered anew, as it is now.
    pub fn update<P>(&mut self, key: WorkerKey, worker: &mut Worker<P>) {
        self.each_candidates(worker, |candidates_for, slots| candidates_for.remove(key, slots));
        worker.enter();
        self.each_candidates(worker, |candidates_for, slots| candidates_for.insert(key, slots));
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The least loaded worker that may take a request of `category`; of equals the earliest registered.
    pub fn best(&self, category: Option<&str>) -> Option<(Load, WorkerKey)> {
        self.candidates_for(category).by_load.first().copied()
    }

    /// Free slots for requests of `category`; `free` returns those of one worker.
    pub fn free(&self, category: Option<&str>, free: impl Fn(WorkerKey) -> f64) -> f64 {
        let candidates_for = self.candidates_for(category);
        if candidates_for.fractional == 0 {
            candidates_for.whole as f64
        } else {
            self.members.iter().fold(0.0, |sum, &key| sum + free(key))
        }
    }

    fn candidates_for(&self, category: Option<&str>) -> &Candidates {
        category.and_then(|category| self.limited.get(category)).unwrap_or(&self.any)
    }

    fn each_candidates<P>(&mut self, worker: &Worker<P>, mut change: impl FnMut(&mut Candidates, Slots)) {
        change(&mut self.any, worker.entered_slots(None));
        for limit in &worker.limits {
            let candidates_for = match self.limited.get_mut(&limit.category) {
                Some(candidates_for) => candidates_for,
                None => self.limited.entry(limit.category.clone()).or_default(),
            };
            change(candidates_for, worker.entered_slots(Some(limit)));
        }
    }
}

/// A count of slots as an integer, if it is one that a sum of doubles would hold exactly.
fn whole(free: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "checked to be a whole number within range")]
    (free.fract() == 0.0 && free.abs() <= EXACT).then_some(free as i128)
}
