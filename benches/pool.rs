//! What questions to the pool cost as the fleet grows, beside a plain scan over the same workers.
//!
//! `cargo bench --bench pool`; a part of a name as an argument picks some, such as `select` or `100000`. Names of models differ
//! in the fleet where "each" has its own, and all, or one in ten, or none of the workers serve the model asked for otherwise.

// `criterion_group!` makes items without docs, and a benchmark may fail loudly.
#![allow(missing_docs, clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use worker_server_core::clock::Clock;
use worker_server_core::pool::Pool;
use worker_server_core::registration::Capabilities;
use worker_server_core::rules::supports;

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// How many different workers or names are asked for, in an order that no prefetcher follows.
const ASKED: usize = 100;
const CATEGORY: &str = "chat";

/// Which models a fleet serves, and which are asked for.
#[derive(Clone, Copy)]
enum Fleet {
    /// Each worker has its own; a hundred of them are asked for.
    Each,
    /// The same, and all of them are asked for, which is more than the index remembers.
    EachAny,
    All,
    OneInTen,
    None,
}

impl Fleet {
    const EVERY: [(&str, Self); 5] = [
        ("one model each", Self::Each),
        ("one model each, any asked for", Self::EachAny),
        ("served by all", Self::All),
        ("served by one in ten", Self::OneInTen),
        ("served by none", Self::None),
    ];

    fn model(self, index: usize) -> String {
        match self {
            Self::Each | Self::EachAny => format!("model-{index:06}"),
            Self::OneInTen if !index.is_multiple_of(10) => "mistral-7b".into(),
            _ => "llama-3-70b".into(),
        }
    }

    fn asked(self, size: usize) -> Vec<String> {
        match self {
            Self::Each => spread(ASKED, size).map(|index| self.model(index)).collect(),
            Self::EachAny => spread(size, size).map(|index| self.model(index)).collect(),
            Self::All | Self::OneInTen => vec!["llama-3-70b".into()],
            Self::None => vec!["gemma-2-9b".into()],
        }
    }
}

/// `count` indices below `size`, far from each other.
fn spread(count: usize, size: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| (index * 7_919 + 13) % size)
}

/// A worker's record as one would keep it without an index.
struct Record {
    models: Vec<String>,
    max: f64,
    limits: HashMap<String, f64>,
    active: f64,
    pending: HashSet<String>,
    category_active: HashMap<String, f64>,
}

impl Record {
    fn free(&self, category: Option<&str>) -> f64 {
        let own = (self.max - self.active).max(0.0);
        category.and_then(|category| Some((category, self.limits.get(category)?))).map_or(own, |(category, limit)| {
            own.min((limit - self.category_active.get(category).unwrap_or(&0.0)).max(0.0))
        })
    }
}

/// A pool that looks at everyone for every question.
#[derive(Default)]
struct Scan {
    records: Vec<Record>,
    ids: HashMap<String, usize>,
}

impl Scan {
    fn select(&self, model: &str, category: Option<&str>) -> Option<usize> {
        let mut best = None;
        let mut best_load = f64::INFINITY;
        for (index, record) in self.records.iter().enumerate() {
            if !record.models.iter().any(|own| supports(own, model)) || record.free(category) <= 0.0 {
                continue;
            }
            let load = record.active / record.max;
            if load < best_load {
                (best, best_load) = (Some(index), load);
            }
        }
        best
    }

    fn free_slots(&self, model: &str, category: Option<&str>) -> f64 {
        let serving = self.records.iter().filter(|record| record.models.iter().any(|own| supports(own, model)));
        serving.map(|record| record.free(category)).sum()
    }

    fn track(&mut self, id: &str, request: &str) {
        if let Some(record) = self.ids.get(id).and_then(|&index| self.records.get_mut(index)) {
            record.active += 1.0;
            record.pending.insert(request.to_owned());
        }
    }

    fn release(&mut self, request: &str) {
        if let Some(record) = self.records.iter_mut().find(|record| record.pending.contains(request)) {
            record.pending.remove(request);
            record.active -= 1.0;
        }
    }
}

/// The same fleet in either, in which everyone has one to three requests.
fn fleets(fleet: Fleet, size: usize) -> (Pool<()>, Scan) {
    let now = Clock::start().now();
    let (mut pool, mut scan) = (Pool::new(), Scan::default());
    for index in 0..size {
        let (id, model) = (format!("worker-{index}"), fleet.model(index));
        let limits = vec![(CATEGORY.to_owned(), 3.0)];
        let capabilities = Capabilities { models: vec![model.clone()], max: 4.0, limits: limits.clone() };
        let key = pool.add(&id, &capabilities, (), now);
        scan.ids.insert(id.clone(), index);
        scan.records.push(Record {
            models: vec![model],
            max: 4.0,
            limits: limits.into_iter().collect(),
            active: 0.0,
            pending: HashSet::new(),
            category_active: HashMap::new(),
        });
        for request in 0..=index % 3 {
            assert!(pool.track(key, None), "a worker of that key");
            scan.track(&id, &format!("busy-{index}-{request}"));
        }
    }
    (pool, scan)
}

/// Both, and the names that they are asked for, each of which has been asked for once: the first question for a name looks for the
/// models that it supports, and it is the others that are many.
fn asked_once(fleet: Fleet, size: usize, category: Option<&str>) -> (Pool<()>, Scan, Vec<String>) {
    let (mut pool, scan) = fleets(fleet, size);
    let asked = fleet.asked(size);
    for name in asked.iter().take(ASKED) {
        pool.select(name, category);
    }
    (pool, scan, asked)
}

fn questions(criterion: &mut Criterion) {
    for (name, fleet) in Fleet::EVERY {
        for category in [None, Some(CATEGORY)] {
            let suffix = if category.is_some() { ", category" } else { "" };
            let mut select = criterion.benchmark_group(format!("select: {name}{suffix}"));
            for size in SIZES {
                let (mut pool, scan, asked) = asked_once(fleet, size, category);
                let mut names = asked.iter().cycle();
                let mut name = || names.next().map_or("", String::as_str);
                let expected = scan.select(&asked[0], category).is_some();
                assert_eq!(pool.select(&asked[0], category).is_some(), expected, "both give the same answer");
                select.bench_function(BenchmarkId::new("pool", size), |bench| {
                    bench.iter(|| black_box(pool.select(name(), category)));
                });
                select.bench_function(BenchmarkId::new("scan", size), |bench| {
                    bench.iter(|| black_box(scan.select(name(), category)));
                });
            }
            select.finish();
            let mut slots = criterion.benchmark_group(format!("free slots: {name}{suffix}"));
            for size in SIZES {
                let (mut pool, scan, asked) = asked_once(fleet, size, category);
                let mut names = asked.iter().cycle();
                let mut name = || names.next().map_or("", String::as_str);
                let free = |slots: f64| slots.to_bits();
                assert_eq!(
                    free(pool.free_slots(&asked[0], category)),
                    free(scan.free_slots(&asked[0], category) + 0.0)
                );
                slots.bench_function(BenchmarkId::new("pool", size), |bench| {
                    bench.iter(|| black_box(pool.free_slots(name(), category)));
                });
                slots.bench_function(BenchmarkId::new("scan", size), |bench| {
                    bench.iter(|| black_box(scan.free_slots(name(), category)));
                });
            }
            slots.finish();
        }
    }
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("track and release, a random worker");
    for size in SIZES {
        let (mut pool, mut scan) = fleets(Fleet::All, size);
        let ids: Vec<String> = spread(1_000, size).map(|index| format!("worker-{index}")).collect();
        let keys: Vec<_> = ids.iter().filter_map(|id| pool.key_of(id)).collect();
        let mut ids = ids.iter().cycle();
        let mut id = || ids.next().map_or("", String::as_str);
        let mut keys = keys.iter().copied().cycle();
        let mut key = || keys.next().expect("there are workers");
        group.bench_function(BenchmarkId::new("pool", size), |bench| {
            bench.iter(|| {
                let key = key();
                pool.track(key, None);
                black_box(pool.release(key, None, true))
            });
        });
        group.bench_function(BenchmarkId::new("scan", size), |bench| {
            bench.iter(|| {
                scan.track(id(), "request-1");
                scan.release("request-1");
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    // Short: the rows are many, and the differences that matter are large.
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = questions, requests
}
criterion_main!(benches);
