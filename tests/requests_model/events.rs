//! What each step does to both.

use proptest::prelude::*;
use worker_server_core::pool::Drainer;
use worker_server_core::registration::Capabilities;
use worker_server_core::requests::{Requests, Slot};
use worker_server_core::rules::Status;
use worker_server_core::worker::Snapshot;

use super::both::{Both, Running, metadata};
use super::naive::{Request, Worker};
use super::steps::{End, IDS, Step, category, region};

impl Both {
    pub fn step(&mut self, step: Step, is_dispatched: bool) -> Result<(), TestCaseError> {
        self.take(step)?;
        if is_dispatched {
            self.dispatch_all()?;
        }
        self.compare()
    }

    fn end(&mut self, which: usize, end: &End) -> Result<(), TestCaseError> {
        if self.running.is_empty() {
            return Ok(());
        }
        let Running { mut request, place, worker, id } = self.running.swap_remove(which % self.running.len());
        if let End::Refused = end {
            // The snapshot says no more than the key here.
            let slot = Slot {
                worker: Snapshot::of(worker, self.pool.get(worker).expect("registered")),
                limit: request.ask.category.and_then(|category| self.pool.get(worker)?.place_of(category)),
                place,
            };
            Requests::refuse(&mut self.pool, &slot);
            self.naive.worker(id).expect("it is registered").full = true;
            self.count(worker, request.ask.category, false);
        } else {
            self.release(worker, request.ask.category);
        }
        self.dispatch_all()?;
        let now = self.naive.now;
        match *end {
            End::Done => return Ok(()),
            End::Rejected { pause_ms } => {
                request.avoid.retain(|(other, _)| *other != id);
                request.avoid.push((id, now + pause_ms));
            }
            End::NextAttempt => {
                request.avoid.retain(|(other, _)| *other != id);
                request.avoid.push((id, 0));
                request.queued_ms = now;
            }
            End::Refused => {}
        }
        request.priority = request.base_priority;
        request.is_promoted = false;
        self.submit(request, Some(place), false)
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Register { id, capabilities, takes, region: place, resumed } => {
                self.register(id, capabilities, takes, region(place), resumed);
            }
            Step::Leave { id } => self.leave(IDS[id]),
            Step::MarkClosed { id } => {
                if let Some(key) = self.pool.key_of(IDS[id]) {
                    self.pool.mark_closed(key);
                    self.naive.worker(IDS[id]).expect("it is registered").closed = true;
                }
            }
            Step::Track { id, category: place } => {
                if let Some(key) = self.pool.key_of(IDS[id]) {
                    self.track(key, place.map(category));
                }
            }
            Step::Release { which } => {
                if !self.tracked.is_empty() {
                    let (key, category) = self.tracked.swap_remove(which % self.tracked.len());
                    self.release(key, category);
                }
            }
            Step::Health { timeout_ms } => {
                self.pool.check_health(self.now(), timeout_ms, |()| false);
                let now = self.naive.now;
                for worker in self.naive.workers.iter_mut().filter(|worker| !worker.closed) {
                    if now - worker.last_seen > timeout_ms {
                        worker.status = Status::Unhealthy;
                    }
                }
            }
            Step::Heartbeat { id } => {
                self.pool.heartbeat(IDS[id], self.now());
                let now = self.naive.now;
                if let Some(worker) = self.naive.worker(IDS[id]).filter(|worker| !worker.closed) {
                    worker.last_seen = now;
                    if worker.status == Status::Unhealthy {
                        worker.status = status_of(worker);
                    }
                }
            }
            Step::Drain { id, drainer, drains } => self.drain(IDS[id], drainer, drains)?,
            Step::Update { id, capabilities, region: place } => self.update(IDS[id], &capabilities, region(place)),
            Step::Full { id, is_full } => {
                if let Some(key) = self.pool.key_of(IDS[id]) {
                    self.pool.set_full(key, is_full);
                    self.naive.worker(IDS[id]).expect("it is registered").full = is_full;
                }
            }
            Step::Submit { ask, priority, fair_key, affinity, bytes, queue_ms, fails } => {
                let request = Request {
                    number: self.naive.next(),
                    ask,
                    base_priority: priority,
                    priority,
                    fair_key,
                    affinity,
                    bytes,
                    queue_ms,
                    queued_ms: self.naive.now,
                    is_promoted: false,
                    is_alone: false,
                    arrival: 0,
                    place: 0,
                    avoid: Vec::new(),
                };
                self.submit(request, None, fails)?;
            }
            Step::Withdraw { which } => {
                let count = self.tickets.len();
                if let Some((&number, &(ticket, _))) = self.tickets.iter().nth(which.checked_rem(count).unwrap_or(0)) {
                    self.tickets.remove(&number);
                    prop_assert!(self.requests.withdraw(&mut self.pool, ticket));
                    prop_assert!(!self.requests.withdraw(&mut self.pool, ticket), "it waits no longer");
                    self.naive.withdraw(number);
                }
            }
            Step::End { which, end } => self.end(which, &end)?,
            Step::Tick { ms } => self.naive.now += ms,
        }
        Ok(())
    }

    fn drain(&mut self, id: &str, drainer: Drainer, drains: bool) -> Result<(), TestCaseError> {
        let Some(key) = self.pool.key_of(id) else { return Ok(()) };
        let outcome = self.pool.set_draining(key, drainer, drains);
        let worker = self.naive.worker(id).expect("it is registered");
        let before = worker.drains();
        worker.marks[usize::from(drainer == Drainer::Application)] = drains;
        if worker.status != Status::Unhealthy && before != worker.drains() {
            worker.status = status_of(worker);
        }
        let (drains, is_changed) = (worker.drains(), before != worker.drains());
        prop_assert_eq!(outcome.map(|outcome| (outcome.drains, outcome.is_changed)), Some((drains, is_changed)));
        Ok(())
    }

    fn update(&mut self, id: &str, capabilities: &Capabilities, region: &'static str) {
        let Some(key) = self.pool.key_of(id) else { return };
        let worker = self.naive.worker(id).expect("it is registered");
        worker.capabilities = capabilities.clone();
        worker.region = region;
        if matches!(worker.status, Status::Available | Status::Busy) {
            worker.status = status_of(worker);
        }
        let categories = worker.categories.clone();
        let active_in = |category: &str| categories.get(category).copied().unwrap_or(0);
        assert!(self.pool.set_capabilities(key, capabilities, metadata(region), active_in));
    }
}

/// The status of a worker that is not silent.
fn status_of(worker: &Worker) -> Status {
    match (worker.drains(), worker.is_at_capacity()) {
        (true, _) => Status::Draining,
        (false, true) => Status::Busy,
        (false, false) => Status::Available,
    }
}
