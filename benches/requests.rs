//! What requests cost in the core as more of them wait, for more models.
//!
//! `cargo bench --bench requests`; a part of a name as an argument picks some. One round of "release and submit" ends a
//! request, gives its slot to the next one that waits, and lets a new one wait: as many wait afterwards as before.
//! "submit and release" finds a free slot.

// `criterion_group!` makes items without docs, and a benchmark may fail loudly.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use worker_server_core::clock::Moment;
use worker_server_core::metadata::Metadata;
use worker_server_core::pool::Pool;
use worker_server_core::registration::Capabilities;
use worker_server_core::requests::affinity::Affinity;
use worker_server_core::requests::demand::{Demand, Name};
use worker_server_core::requests::demands::DemandId;
use worker_server_core::requests::{QueueLimits, Requests, Submission, Submitted};
use worker_server_core::worker::{Takes, WorkerKey};

const NOW: Moment = Moment { elapsed_ms: 0, unix_ms: 0 };
/// How many wait, and for how many models.
const WAITING: [(usize, usize); 4] = [(100, 10), (1_000, 100), (10_000, 1_000), (100_000, 1_000)];
const TENANTS: usize = 100;

/// Who serves the models.
#[derive(Clone, Copy)]
enum Fleet {
    /// A worker for each.
    Each,
    /// Ten workers, every one of them all.
    All,
}

struct Crowd {
    pool: Pool<()>,
    requests: Requests,
    workers: Vec<WorkerKey>,
    models: Vec<DemandId>,
    submitted: usize,
    has_tenants: bool,
}

fn worker(pool: &mut Pool<()>, id: &str, models: Vec<String>, max: f64) -> WorkerKey {
    let key = pool.add(id, &Capabilities { models, max, limits: Vec::new() }, (), NOW);
    pool.set_offer(key, Takes::Anything, Metadata::default());
    key
}

fn model(number: usize) -> String {
    format!("model-{number:05}")
}

impl Crowd {
    /// Workers with one slot each that all have a request, and this many that wait.
    fn new(fleet: Fleet, waiting: usize, models: usize, has_tenants: bool) -> Self {
        let mut pool = Pool::new();
        let mut requests = Requests::new(QueueLimits { max_size: u64::MAX, max_bytes: u64::MAX, max_per_key: None });
        let served: Vec<Vec<String>> = match fleet {
            Fleet::Each => (0..models).map(|number| vec![model(number)]).collect(),
            Fleet::All => vec![(0..models).map(model).collect(); 10],
        };
        let workers: Vec<WorkerKey> = served
            .into_iter()
            .enumerate()
            .map(|(number, models)| worker(&mut pool, &format!("worker-{number}"), models, 1.0))
            .collect();
        for &key in &workers {
            pool.track(key, None);
        }
        let demand = |number| Demand { model: Some(Name::new(&model(number))), ..Demand::any() };
        let models = (0..models).map(|number| requests.intern(&mut pool, demand(number))).collect();
        let mut crowd = Self { pool, requests, workers, models, submitted: 0, has_tenants };
        for _ in 0..waiting {
            crowd.submit();
        }
        crowd
    }

    fn submit(&mut self) {
        let tenant = format!("tenant-{}", self.submitted % TENANTS);
        let demand = self.models[self.submitted * 7_919 % self.models.len()];
        self.submitted += 1;
        let fair_key = self.has_tenants.then_some(tenant.as_bytes());
        let submission = Submission { fair_key, payload_bytes: 1_000, ..Submission::new(demand) };
        let Submitted::Waits { .. } = self.requests.submit(&mut self.pool, &submission, NOW) else {
            panic!("every slot is taken");
        };
    }

    fn release_one(&mut self) {
        let worker = self.workers[self.submitted * 104_729 % self.workers.len()];
        self.pool.release(worker, None, true);
        while let Some(grant) = self.requests.dispatch(&mut self.pool, NOW) {
            black_box(grant);
        }
    }
}

fn waiting(criterion: &mut Criterion) {
    let fleets = [("a worker each", Fleet::Each), ("ten workers with all", Fleet::All)];
    for (name, fleet) in fleets {
        for (suffix, has_tenants) in [("", false), (", 100 fair keys", true)] {
            let mut group = criterion.benchmark_group(format!("release and submit: {name}{suffix}"));
            for (count, models) in WAITING {
                let mut crowd = Crowd::new(fleet, count, models, has_tenants);
                group.bench_function(BenchmarkId::from_parameter(format!("{count} over {models}")), |bench| {
                    bench.iter(|| {
                        crowd.release_one();
                        crowd.submit();
                    });
                });
                assert!(crowd.requests.size().abs_diff(count) <= 1, "as many wait as before");
            }
            group.finish();
        }
    }
}

fn free(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("submit and release: workers with free slots");
    for size in [100, 1_000, 10_000] {
        let mut pool = Pool::new();
        let mut requests = Requests::new(QueueLimits::default());
        for number in 0..size {
            worker(&mut pool, &format!("worker-{number}"), vec!["llama-3-70b".into()], 4.0);
        }
        let demand = Demand { model: Some(Name::new("llama-3-70b")), ..Demand::any() };
        let demand = requests.intern(&mut pool, demand);
        let mut round = |submission: &Submission<'_>| {
            let Submitted::Taken(slot) = requests.submit(&mut pool, submission, NOW) else { panic!("slots are free") };
            black_box(pool.release(slot.worker.key, slot.limit, true))
        };
        group.bench_function(BenchmarkId::new("plain", size), |bench| {
            bench.iter(|| round(&Submission::new(demand)));
        });
        let affinity = Some(Affinity::of(b"session"));
        group.bench_function(BenchmarkId::new("affinity", size), |bench| {
            bench.iter(|| round(&Submission { affinity, ..Submission::new(demand) }));
        });
        group.bench_function(BenchmarkId::new("select, track and release", size), |bench| {
            bench.iter(|| {
                let key = pool.select("llama-3-70b", None).expect("slots are free");
                pool.track(key, None);
                black_box(pool.release(key, None, true))
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = waiting, free
}
criterion_main!(benches);
