//! The documented rules of the pool, each as a sentence.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod health;
mod requests;
mod selection;

use worker_server_core::clock::Moment;
use worker_server_core::pool::Pool;
use worker_server_core::registration::Capabilities;
use worker_server_core::rules::Status;
use worker_server_core::worker::WorkerKey;

const MODEL: &str = "llama-3";

fn at(elapsed_ms: u64) -> Moment {
    Moment { elapsed_ms, unix_ms: 0 }
}

fn capabilities(model: &str, max: f64, limits: &[(&str, f64)]) -> Capabilities {
    let limits = limits.iter().map(|&(category, limit)| (category.to_owned(), limit)).collect();
    Capabilities { models: vec![model.to_owned()], max, limits }
}

/// A pool of workers for [`MODEL`] with the given ids and `maxConcurrentRequests`.
fn pool_of<const N: usize>(workers: [(&str, f64); N]) -> (Pool<()>, [WorkerKey; N]) {
    let mut pool = Pool::new();
    let keys = workers.map(|(id, max)| pool.add(id, &capabilities(MODEL, max, &[]), (), at(0)));
    (pool, keys)
}

fn status(pool: &Pool<()>, key: WorkerKey) -> Status {
    pool.get(key).unwrap().status
}

fn active(pool: &Pool<()>, key: WorkerKey) -> u64 {
    pool.get(key).unwrap().active
}

/// A worker is given a request of a category.
fn track(pool: &mut Pool<()>, id: &str, category: Option<&str>) -> Option<WorkerKey> {
    let (key, limit) = place(pool, id, category)?;
    pool.track(key, limit).then_some(key)
}

/// A request of a category ends, and counts as completed.
fn release(pool: &mut Pool<()>, id: &str, category: Option<&str>) -> Option<WorkerKey> {
    let (key, limit) = place(pool, id, category)?;
    pool.release(key, limit, true).then_some(key)
}

fn place(pool: &Pool<()>, id: &str, category: Option<&str>) -> Option<(WorkerKey, Option<usize>)> {
    let key = pool.key_of(id)?;
    Some((key, category.and_then(|category| pool.get(key)?.place_of(category))))
}

#[track_caller]
fn assert_free(pool: &mut Pool<()>, category: Option<&str>, expected: f64) {
    let free = pool.free_slots(MODEL, category);
    assert!((free - expected).abs() < 1e-9, "{free} slots free, expected {expected}");
}

fn ids(pool: &Pool<()>) -> Vec<&str> {
    pool.iter().map(|(_, worker)| &*worker.id).collect()
}
