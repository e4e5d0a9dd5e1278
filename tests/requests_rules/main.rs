//! The documented rules of waiting and choosing, each as a sentence. The quotes are the documentation's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]
#![allow(clippy::doc_markdown, reason = "quotes are left as they are")]

mod coming_back;
mod draining;
mod explaining;
mod next;
mod queue;
mod updates;
mod wants;
mod workers;

use worker_server_core::clock::Moment;
use worker_server_core::metadata::Metadata;
use worker_server_core::pool::Pool;
use worker_server_core::registration::Capabilities;
use worker_server_core::requests::demand::{Demand, Name};
use worker_server_core::requests::{Place, Priority, QueueLimits, Requests, Slot, Submission, Submitted, Ticket};
use worker_server_core::rules::Status;
use worker_server_core::worker::{Takes, WorkerKey};

/// A pool and its requests, at a time that tests set.
struct Server {
    pool: Pool<()>,
    requests: Requests,
    now_ms: u64,
}

fn capabilities(models: &[&str], max: f64, limits: &[(&str, f64)]) -> Capabilities {
    Capabilities {
        models: models.iter().map(|&model| model.to_owned()).collect(),
        max,
        limits: limits.iter().map(|&(category, limit)| (category.to_owned(), limit)).collect(),
    }
}

fn for_model(model: &str) -> Demand {
    Demand { model: Some(Name::new(model)), ..Demand::any() }
}

impl Server {
    fn new() -> Self {
        Self::with_limits(QueueLimits::default())
    }

    fn with_limits(limits: QueueLimits) -> Self {
        Self { pool: Pool::new(), requests: Requests::new(limits), now_ms: 0 }
    }

    fn now(&self) -> Moment {
        Moment { elapsed_ms: self.now_ms, unix_ms: 0 }
    }

    /// A worker that takes all requests.
    fn register(&mut self, id: &str, models: &[&str], max: f64) -> WorkerKey {
        self.register_as(id, &capabilities(models, max, &[]), Takes::Anything, "{}")
    }

    fn register_as(&mut self, id: &str, capabilities: &Capabilities, takes: Takes, metadata: &str) -> WorkerKey {
        let key = self.pool.add(id, capabilities, (), self.now());
        self.pool.set_offer(key, takes, Metadata::read(metadata));
        key
    }

    /// A worker whose slots are all taken.
    fn register_busy(&mut self, id: &str, models: &[&str], max: u32) -> WorkerKey {
        let key = self.register(id, models, f64::from(max));
        (0..max).for_each(|_| {
            self.pool.track(key, None);
        });
        key
    }

    fn submit(&mut self, demand: &Demand, options: impl FnOnce(&mut Submission<'_>)) -> Submitted {
        let mut submission = Submission::new(self.requests.intern(&mut self.pool, demand.clone()));
        options(&mut submission);
        let now = self.now();
        self.requests.submit(&mut self.pool, &submission, now)
    }

    /// Submits a request that gets a slot. Returns the worker's id with it.
    #[track_caller]
    fn take(&mut self, demand: &Demand, options: impl FnOnce(&mut Submission<'_>)) -> (String, Slot) {
        match self.submit(demand, options) {
            Submitted::Taken(slot) => (self.id_of(slot.worker.key), slot),
            other => panic!("expected a slot, got {other:?}"),
        }
    }

    /// Submits a request that has to wait.
    #[track_caller]
    fn wait(&mut self, demand: &Demand, options: impl FnOnce(&mut Submission<'_>)) -> (Ticket, Place) {
        match self.submit(demand, options) {
            Submitted::Waits { ticket, place, .. } => (ticket, place),
            other => panic!("expected to wait, got {other:?}"),
        }
    }

    /// Requests that wait, in this order, with a priority and a fair key each.
    #[track_caller]
    fn wait_each<const N: usize>(&mut self, demand: &Demand, requests: [(Priority, Option<&str>); N]) -> [Ticket; N] {
        requests.map(|(priority, fair_key)| {
            let queue_ms = f64::INFINITY;
            self.wait(demand, |request| {
                request.priority = priority;
                request.queue_ms = queue_ms;
                request.fair_key = fair_key.map(|key| key.to_owned().leak().as_bytes());
            })
            .0
        })
    }

    /// Frees a slot of a worker and returns who gets it.
    fn release(&mut self, key: WorkerKey) -> Option<Ticket> {
        self.pool.release(key, None, true);
        self.dispatch().map(|(ticket, _)| ticket)
    }

    fn dispatch(&mut self) -> Option<(Ticket, String)> {
        let now = self.now();
        let grant = self.requests.dispatch(&mut self.pool, now)?;
        Some((grant.ticket, self.id_of(grant.slot.worker.key)))
    }

    /// Frees slots of a worker, and returns who gets them, one after the other.
    fn release_times<const N: usize>(&mut self, key: WorkerKey) -> [Option<Ticket>; N] {
        [(); N].map(|()| self.release(key))
    }

    fn id_of(&self, key: WorkerKey) -> String {
        self.pool.get(key).unwrap().id.to_string()
    }

    fn status(&self, key: WorkerKey) -> Status {
        self.pool.get(key).unwrap().status
    }
}
