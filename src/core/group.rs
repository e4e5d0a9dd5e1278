//! Workers that serve the same models, ordered by load.
//!
//! Fleets have many workers and few kinds of them. All workers of one kind form a group, which keeps those that
//! may take a request in order, once for requests without a category and once for each category that the kind
//! limits. The best worker of a group is then its first, and its free slots are a sum that is kept up.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::rules::{CategorySlots, Load, Slots};
use super::worker::{Worker, WorkerKey};

/// What makes workers one kind: their models, and the categories that they limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    models: Arc<[Arc<str>]>,
    limited: Box<[Arc<str>]>,
}

impl Kind {
    /// The kind of a worker.
    pub fn of<P>(worker: &Worker<P>) -> Self {
        Self {
            models: worker.models.clone(),
            limited: worker.limits.iter().map(|(category, _)| category.clone()).collect(),
        }
    }

    /// The models that its workers serve.
    pub fn models(&self) -> &[Arc<str>] {
        &self.models
    }
}

/// The candidates for one sort of request, and their free slots.
#[derive(Debug, Default)]
struct Lane {
    candidates: BTreeSet<(Load, WorkerKey)>,
    /// Free slots of the workers whose count of them is a whole number.
    whole: i128,
    /// Workers with a fraction of a slot free; while there are some, sums are taken anew to stay exact.
    fractional: usize,
}

/// The workers of one kind.
#[derive(Debug, Default)]
pub struct Group {
    members: BTreeSet<WorkerKey>,
    any: Lane,
    limited: HashMap<Arc<str>, Lane>,
}

impl Group {
    /// Takes a worker in.
    pub fn insert<P>(&mut self, key: WorkerKey, worker: &Worker<P>) {
        self.members.insert(key);
        self.each_lane(worker, |lane, load, free| {
            if let Some(load) = load {
                lane.candidates.insert((load, key));
            }
            match whole(free) {
                Some(free) => lane.whole += free,
                None => lane.fractional += 1,
            }
        });
    }

    /// Leaves a worker out. It must be as it was when it was taken in.
    pub fn remove<P>(&mut self, key: WorkerKey, worker: &Worker<P>) {
        self.members.remove(&key);
        self.each_lane(worker, |lane, load, free| {
            if let Some(load) = load {
                lane.candidates.remove(&(load, key));
            }
            match whole(free) {
                Some(free) => lane.whole -= free,
                None => lane.fractional -= 1,
            }
        });
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The least loaded worker that may take a request of `category`; of equals the earliest registered.
    pub fn best(&self, category: Option<&str>) -> Option<(Load, WorkerKey)> {
        self.lane(category).candidates.first().copied()
    }

    /// Free slots for requests of `category`; `free` tells them for one worker.
    pub fn free(&self, category: Option<&str>, free: impl Fn(WorkerKey) -> f64) -> f64 {
        let lane = self.lane(category);
        if lane.fractional == 0 {
            lane.whole as f64
        } else {
            self.members.iter().fold(0.0, |sum, &key| sum + free(key))
        }
    }

    fn lane(&self, category: Option<&str>) -> &Lane {
        category.and_then(|category| self.limited.get(category)).unwrap_or(&self.any)
    }

    fn each_lane<P>(&mut self, worker: &Worker<P>, mut change: impl FnMut(&mut Lane, Option<Load>, f64)) {
        let slots = worker.slots(None);
        change(&mut self.any, slots.load(), slots.free());
        for (category, limit) in &worker.limits {
            let active = worker.category_count(category) as f64;
            let slots = Slots { category: Some(CategorySlots { active, limit: *limit }), ..slots };
            let lane = match self.limited.get_mut(category) {
                Some(lane) => lane,
                None => self.limited.entry(category.clone()).or_default(),
            };
            change(lane, slots.load(), slots.free());
        }
    }
}

/// A count of slots as an integer, if it is one that a sum of doubles would hold exactly.
fn whole(free: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "checked to be a whole number within range")]
    (free.fract() == 0.0 && free.abs() <= EXACT).then_some(free as i128)
}
