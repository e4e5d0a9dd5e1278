//! The indexed pool against a naive one: whatever is done to both, every answer is the same.
//!
//! The model scans all workers for each answer, in the words of the pool's documented semantics, and shares no
//! code with the crate but its types.

mod names;

use std::collections::BTreeMap;

use proptest::prelude::*;
use worker_server_core::clock::Moment;
use worker_server_core::pool::{Finding, Pool};
use worker_server_core::registration::Capabilities;
use worker_server_core::rules::Status;
use worker_server_core::worker::WorkerKey;

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Some are within others, so that a name is supported by equality, from without and from within.
const MODELS: [&str; 6] = ["llama", "llama-3", "llama-3-70b", "gpt", "pt", "embed"];
/// Asked for after every step, so they are known before most groups of workers are.
const ASKED: [&str; 5] = ["llama-3", "gpt", "a", "", "none"];
/// Asked for in steps of their own, so they are first heard of when there are workers.
const ASKED_LATE: [&str; 5] = ["llama", "llama-3-70b-instruct", "pt", "embed", "m"];
const CATEGORIES: [&str; 3] = ["chat", "embed", "vision"];

#[derive(Clone, Debug)]
enum Step {
    Add { id: usize, capabilities: Capabilities, excused: bool },
    Remove { id: usize },
    Track { id: usize, category: Option<usize> },
    Release { id: usize, category: Option<usize>, increment_completed: bool },
    Heartbeat { id: usize, after_ms: u64 },
    MarkClosed { id: usize },
    CheckHealth { after_ms: u64, timeout_ms: u64 },
    Ask { name: usize, category: Option<usize> },
    AskForManyNames,
    Clear,
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let max = prop_oneof![
        4 => (0_u32..4).prop_map(f64::from),
        1 => Just(0.5),
        1 => Just(2.5),
        1 => Just(1e18),
    ];
    let limit = prop_oneof![(-1_i32..4).prop_map(f64::from), Just(1.5), Just(-0.5), Just(f64::NEG_INFINITY)];
    (
        prop::collection::vec(prop::sample::select(&MODELS[..]).prop_map(str::to_owned), 0..3),
        max,
        prop::collection::btree_map(prop::sample::select(&CATEGORIES[..]).prop_map(str::to_owned), limit, 0..3),
    )
        .prop_map(|(models, max, limits)| Capabilities { models, max, limits: limits.into_iter().collect() })
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..IDS.len();
    let category = prop::option::of(0..CATEGORIES.len());
    prop_oneof![
        20 => (id.clone(), capabilities(), prop::bool::weighted(0.2))
            .prop_map(|(id, capabilities, excused)| Step::Add { id, capabilities, excused }),
        6 => id.clone().prop_map(|id| Step::Remove { id }),
        40 => (id.clone(), category.clone()).prop_map(|(id, category)| Step::Track { id, category }),
        25 => (id.clone(), category.clone(), any::<bool>())
            .prop_map(|(id, category, increment_completed)| Step::Release { id, category, increment_completed }),
        12 => (id.clone(), 0_u64..50).prop_map(|(id, after_ms)| Step::Heartbeat { id, after_ms }),
        4 => id.prop_map(|id| Step::MarkClosed { id }),
        10 => (0_u64..50, 1_u64..60).prop_map(|(after_ms, timeout_ms)| Step::CheckHealth { after_ms, timeout_ms }),
        10 => (0..ASKED_LATE.len(), category).prop_map(|(name, category)| Step::Ask { name, category }),
        1 => Just(Step::AskForManyNames),
        1 => Just(Step::Clear),
    ]
}

/// One worker of the model.
#[derive(Clone, Debug)]
struct Naive {
    key: WorkerKey,
    id: &'static str,
    capabilities: Capabilities,
    excused: bool,
    status: Status,
    closed: bool,
    active: u64,
    completed: u64,
    last_seen: u64,
    category_active: BTreeMap<&'static str, u64>,
}

impl Naive {
    fn supports(&self, name: &str) -> bool {
        self.capabilities.models.iter().any(|model| model == name || model.contains(name) || name.contains(&**model))
    }

    fn is_available(&self) -> bool {
        !self.closed && self.status == Status::Available
    }

    /// Active requests and limit of a category, if the worker limits it.
    fn category(&self, category: Option<&str>) -> Option<(f64, f64)> {
        let (name, limit) = self.capabilities.limits.iter().find(|(name, _)| Some(&**name) == category)?;
        Some((self.category_active.get(&**name).copied().unwrap_or(0) as f64, *limit))
    }

    fn is_candidate(&self, name: &str, category: Option<&str>) -> bool {
        self.is_available()
            && self.supports(name)
            && (self.active as f64) < self.capabilities.max
            && self.category(category).is_none_or(|(active, limit)| active < limit)
    }

    fn free(&self, name: &str, category: Option<&str>) -> f64 {
        if !self.is_available() || !self.supports(name) {
            return 0.0;
        }
        let own = (self.capabilities.max - self.active as f64).max(0.0);
        self.category(category).map_or(own, |(active, limit)| own.min((limit - active).max(0.0)))
    }

    fn load(&self) -> f64 {
        self.active as f64 / self.capabilities.max
    }
}

/// The model: workers in the order of their registration.
#[derive(Debug, Default)]
struct Model {
    workers: Vec<Naive>,
    now: u64,
}

impl Model {
    fn moment(&self) -> Moment {
        Moment { elapsed_ms: self.now, unix_ms: 0 }
    }

    fn find(&mut self, id: &str) -> Option<&mut Naive> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    fn select(&self, name: &str, category: Option<&str>) -> Option<WorkerKey> {
        let mut best: Option<&Naive> = None;
        for worker in self.workers.iter().filter(|worker| worker.is_candidate(name, category)) {
            if best.is_none_or(|best| worker.load() < best.load()) {
                best = Some(worker);
            }
        }
        best.map(|worker| worker.key)
    }

    fn free_slots(&self, name: &str, category: Option<&str>) -> f64 {
        self.workers.iter().map(|worker| worker.free(name, category)).sum()
    }

    fn select_any(&self) -> Option<WorkerKey> {
        let reachable = |worker: &&Naive| !worker.closed && matches!(worker.status, Status::Available | Status::Busy);
        self.workers.iter().find(reachable).map(|worker| worker.key)
    }

    fn track(&mut self, id: &str, category: Option<&'static str>) -> bool {
        let Some(worker) = self.find(id) else { return false };
        worker.active += 1;
        if let Some(category) = category {
            *worker.category_active.entry(category).or_insert(0) += 1;
        }
        if worker.active as f64 >= worker.capabilities.max {
            worker.status = Status::Busy;
        }
        true
    }

    fn release(&mut self, id: &str, category: Option<&str>, increment_completed: bool) -> bool {
        let Some(worker) = self.find(id) else { return false };
        worker.active = worker.active.saturating_sub(1);
        if let Some(count) = category.and_then(|category| worker.category_active.get_mut(category)) {
            *count = count.saturating_sub(1);
        }
        if increment_completed {
            worker.completed += 1;
        }
        if worker.status == Status::Busy && (worker.active as f64) < worker.capabilities.max {
            worker.status = Status::Available;
        }
        true
    }

    fn heartbeat(&mut self, id: &str) -> bool {
        let now = self.now;
        let Some(worker) = self.find(id).filter(|worker| !worker.closed) else { return false };
        worker.last_seen = now;
        if worker.status == Status::Unhealthy {
            let full = worker.active as f64 >= worker.capabilities.max;
            worker.status = if full { Status::Busy } else { Status::Available };
        }
        true
    }

    fn check_health(&mut self, timeout_ms: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        for worker in self.workers.iter_mut().filter(|worker| !worker.closed && !worker.excused) {
            let silent_ms = self.now - worker.last_seen;
            if silent_ms > timeout_ms && worker.status != Status::Unhealthy {
                worker.status = Status::Unhealthy;
                findings.push(Finding::TimedOut { id: worker.id.into(), silent_ms });
            }
            if silent_ms > 3 * timeout_ms {
                findings.push(Finding::Dead { key: worker.key, id: worker.id.into() });
            }
        }
        findings
    }
}

/// A worker's key, and the place of a category among its limits.
fn place(pool: &Pool<bool>, id: &str, category: Option<&str>) -> Option<(WorkerKey, Option<usize>)> {
    let key = pool.key_of(id)?;
    Some((key, category.and_then(|category| pool.get(key)?.place_of(category))))
}

/// Whether two sums of slots are the same, but for the order in which fractions were added.
fn same_sum(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0)
}

/// Does a step to both, and compares what it returns.
fn take(step: Step, pool: &mut Pool<bool>, model: &mut Model) -> Result<(), TestCaseError> {
    match step {
        Step::Add { id, capabilities, excused } => {
            let id = IDS[id];
            if let Some(key) = pool.key_of(id) {
                pool.remove(key);
            }
            model.workers.retain(|worker| worker.id != id);
            let key = pool.add(id, &capabilities, excused, model.moment());
            prop_assert!(model.workers.iter().all(|worker| worker.key < key), "a later key is greater");
            model.workers.push(Naive {
                key,
                id,
                capabilities,
                excused,
                status: Status::Available,
                closed: false,
                active: 0,
                completed: 0,
                last_seen: model.now,
                category_active: BTreeMap::new(),
            });
        }
        Step::Remove { id } => {
            let removed = pool.key_of(IDS[id]).and_then(|key| pool.remove(key));
            prop_assert_eq!(removed.map(|worker| worker.active), model.find(IDS[id]).map(|worker| worker.active));
            model.workers.retain(|worker| worker.id != IDS[id]);
        }
        Step::Track { id, category } => {
            let (id, category) = (IDS[id], category.map(|category| CATEGORIES[category]));
            let tracked = place(pool, id, category).is_some_and(|(key, limit)| pool.track(key, limit));
            prop_assert_eq!(tracked, model.track(id, category));
        }
        Step::Release { id, category, increment_completed } => {
            let (id, category) = (IDS[id], category.map(|category| CATEGORIES[category]));
            let released =
                place(pool, id, category).is_some_and(|(key, limit)| pool.release(key, limit, increment_completed));
            prop_assert_eq!(released, model.release(id, category, increment_completed));
        }
        Step::Heartbeat { id, after_ms } => {
            model.now += after_ms;
            prop_assert_eq!(pool.heartbeat(IDS[id], model.moment()), model.heartbeat(IDS[id]));
        }
        Step::MarkClosed { id } => {
            if let Some(key) = pool.key_of(IDS[id]) {
                pool.mark_closed(key);
            }
            if let Some(worker) = model.find(IDS[id]) {
                worker.closed = true;
            }
        }
        Step::CheckHealth { after_ms, timeout_ms } => {
            model.now += after_ms;
            let findings = pool.check_health(model.moment(), timeout_ms, |excused| *excused);
            prop_assert_eq!(findings, model.check_health(timeout_ms));
        }
        Step::Ask { name, category } => {
            compare_answers(ASKED_LATE[name], category.map(|category| CATEGORIES[category]), pool, model)?;
        }
        Step::AskForManyNames => {
            for number in 0..1100 {
                compare_answers(&format!("llama-{number}"), None, pool, model)?;
            }
        }
        Step::Clear => {
            pool.clear();
            model.workers.clear();
        }
    }
    Ok(())
}

fn compare_answers(
    name: &str,
    category: Option<&str>,
    pool: &mut Pool<bool>,
    model: &Model,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(pool.select(name, category), model.select(name, category), "select {:?} {:?}", name, category);
    let (free, expected) = (pool.free_slots(name, category), model.free_slots(name, category));
    prop_assert!(same_sum(free, expected), "free slots {name:?} {category:?}: {free}, expected {expected}");
    Ok(())
}

/// Compares all that a pool can be asked for.
fn compare(pool: &mut Pool<bool>, model: &Model) -> Result<(), TestCaseError> {
    for name in ASKED {
        for category in [None, Some("chat"), Some("embed"), Some("vision"), Some("unlimited")] {
            compare_answers(name, category, pool, model)?;
        }
    }
    prop_assert_eq!(pool.select_any(), model.select_any());
    prop_assert_eq!(pool.len(), model.workers.len());
    prop_assert_eq!(pool.is_empty(), model.workers.is_empty());
    prop_assert_eq!(pool.available(), model.workers.iter().filter(|worker| worker.is_available()).count());
    prop_assert_eq!(
        pool.iter().map(|(key, _)| key).collect::<Vec<_>>(),
        model.workers.iter().map(|worker| worker.key).collect::<Vec<_>>()
    );
    for expected in &model.workers {
        prop_assert_eq!(pool.key_of(expected.id), Some(expected.key));
        let Some(worker) = pool.get(expected.key) else { return Err(TestCaseError::fail("a worker is missing")) };
        prop_assert_eq!(
            (worker.status, worker.closed, worker.active, worker.completed, worker.last_seen.elapsed_ms),
            (expected.status, expected.closed, expected.active, expected.completed, expected.last_seen)
        );
        for limit in &worker.limits {
            prop_assert_eq!(limit.active, expected.category_active.get(&*limit.category).copied().unwrap_or(0));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_sequence_of_operations_the_pool_answers_as_a_scan_does(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let (mut pool, mut model) = (Pool::new(), Model::default());
        for step in steps {
            take(step, &mut pool, &mut model)?;
            compare(&mut pool, &model)?;
        }
    }
}
