//! Requests against a naive model: whatever happens to both, the same ones wait, and the same ones get the same workers.
//!
//! The model keeps plain lists and scans them, in the words of the documented rules. It shares no code with the crate but its types, and the
//! weights of affinities.
#![allow(clippy::expect_used, reason = "a test may fail loudly")]

mod naive;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use worker_server_core::clock::Moment;
use worker_server_core::metadata::Metadata;
use worker_server_core::pool::{Drainer, Pool};
use worker_server_core::registration::Capabilities;
use worker_server_core::requests::affinity::Affinity;
use worker_server_core::requests::choose::Avoid;
use worker_server_core::requests::demand::{Demand, Name};
use worker_server_core::requests::demands::DemandId;
use worker_server_core::requests::explain::explain;
use worker_server_core::requests::selector::Selector;
use worker_server_core::requests::{
    Bound, Place, Priority, QueueLimits, Requests, Slot, Submission, Submitted, Ticket,
};
use worker_server_core::rules::Status;
use worker_server_core::worker::{Takes, WorkerKey};

use self::naive::{Ask, Naive, Request, Worker};
use self::steps::{End, IDS, Step, category, region};

/// So that they are reached.
const LIMITS: QueueLimits = QueueLimits { max_size: 12, max_bytes: 200, max_per_key: Some(4) };
/// So that they are not.
const WIDE_LIMITS: QueueLimits = QueueLimits { max_size: u64::MAX, max_bytes: u64::MAX, max_per_key: None };

/// A request that a worker has.
struct Running {
    request: Request,
    place: Place,
    worker: WorkerKey,
    id: &'static str,
}

struct Both {
    limits: QueueLimits,
    pool: Pool<()>,
    requests: Requests,
    naive: Naive,
    tickets: BTreeMap<u64, (Ticket, Place)>,
    running: Vec<Running>,
    /// What the application tracked: workers and categories.
    tracked: Vec<(WorkerKey, Option<&'static str>)>,
}

fn metadata(region: &str) -> Metadata {
    Metadata::read(&format!(r#"{{"region":"{region}"}}"#))
}

fn demand(ask: &Ask) -> Demand {
    let selector = ask.region.map(|region| format!(r#"{{"region":"{region}"}}"#));
    Demand {
        model: ask.model.map(Name::new),
        model_match: ask.model_match(),
        category: ask.category.map(Arc::from),
        worker_id: ask.worker_id.map(Name::new),
        selector: selector.map(|text| Arc::new(Selector::read(&text).expect("a selector"))),
        needs: if ask.is_object { Takes::Objects } else { Takes::Anything },
    }
}

impl Both {
    fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            pool: Pool::new(),
            requests: Requests::new(limits),
            naive: Naive::default(),
            tickets: BTreeMap::new(),
            running: Vec::new(),
            tracked: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment { elapsed_ms: self.naive.now, unix_ms: 0 }
    }

    fn intern(&mut self, ask: &Ask) -> DemandId {
        self.requests.intern(&mut self.pool, demand(ask))
    }

    fn count(&mut self, key: WorkerKey, category: Option<&'static str>, is_more: bool) {
        let worker = self.naive.workers.iter_mut().find(|worker| worker.key == key).expect("it is registered");
        if is_more {
            worker.active += 1;
            if !worker.drains() && worker.is_at_capacity() {
                worker.status = Status::Busy;
            }
            if let Some(category) = category {
                *worker.categories.entry(category).or_insert(0) += 1;
            }
            return;
        }
        worker.active -= 1;
        if worker.status == Status::Busy && !worker.is_at_capacity() {
            worker.status = Status::Available;
        }
        if let Some(category) = category {
            *worker.categories.get_mut(category).expect("it was counted") -= 1;
        }
    }

    /// As JavaScript does it: the place of the category is looked up when the request ends.
    fn release(&mut self, key: WorkerKey, category: Option<&'static str>) {
        let limit = category.and_then(|category| self.pool.get(key)?.place_of(category));
        assert!(self.pool.release(key, limit, false));
        self.count(key, category, false);
    }

    fn leave(&mut self, id: &str) {
        let Some(key) = self.pool.key_of(id) else { return };
        self.pool.remove(key);
        self.naive.workers.retain(|worker| worker.key != key);
        self.running.retain(|running| running.worker != key);
        self.tracked.retain(|(worker, _)| *worker != key);
    }

    fn register(&mut self, id: usize, capabilities: Capabilities, takes: Takes, region: &'static str, resumed: usize) {
        let id = IDS[id];
        self.leave(id);
        let key = self.pool.add(id, &capabilities, (), self.now());
        self.pool.set_offer(key, takes, metadata(region));
        self.naive.workers.push(Worker {
            key,
            id,
            capabilities,
            takes,
            region,
            status: Status::Available,
            marks: [false; 2],
            closed: false,
            full: false,
            last_seen: self.naive.now,
            active: 0,
            categories: BTreeMap::new(),
        });
        for _ in 0..resumed {
            self.track(key, None);
        }
    }

    fn track(&mut self, key: WorkerKey, category: Option<&'static str>) {
        let limit = category.and_then(|category| self.pool.get(key)?.place_of(category));
        assert!(self.pool.track(key, limit));
        self.count(key, category, true);
        self.tracked.push((key, category));
    }

    fn run(&mut self, request: Request, place: Place, slot: Slot) -> Result<(), TestCaseError> {
        let worker = self.naive.workers.iter().find(|worker| worker.key == slot.worker.key).expect("it is registered");
        let id = worker.id;
        self.count(slot.worker.key, request.ask.category, true);
        let worker = self.naive.workers.iter().find(|worker| worker.key == slot.worker.key).expect("it is registered");
        prop_assert_eq!((slot.worker.active, slot.worker.status), (worker.active, worker.status));
        prop_assert_eq!(slot.place, place);
        self.running.push(Running { request, place, worker: slot.worker.key, id });
        Ok(())
    }

    /// Submits a request to both.
    fn submit(&mut self, mut request: Request, comes_back: Option<Place>, fails: bool) -> Result<(), TestCaseError> {
        let avoid = request.avoid.iter().map(|&(id, until_ms)| Avoid { worker_id: id.into(), until_ms });
        let submission = Submission {
            demand: self.intern(&request.ask),
            priority: Priority::ALL[request.base_priority],
            fair_key: request.fair_key.map(str::as_bytes),
            affinity: request.affinity.map(|key| Affinity::of(key.as_bytes())),
            avoid: avoid.collect(),
            payload_bytes: request.bytes,
            queue_ms: request.queue_ms,
            queued_ms: Some(request.queued_ms),
            comes_back,
            fails_without_worker: fails,
        };
        let now = self.now();
        let mut submitted = self.requests.submit(&mut self.pool, &submission, now);
        prop_assert_eq!(submitted == Submitted::Owed, self.naive.owes_slot());
        if submitted == Submitted::Owed {
            self.dispatch_all()?;
            submitted = self.requests.submit(&mut self.pool, &submission, now);
        }
        // "a new request never overtakes those that wait for its slot": there is no slot that one of them could take.
        prop_assert!(!self.naive.owes_slot());
        let chosen = self.naive.choose(&request);
        let naive = &self.naive;
        let has_no_worker = !naive.workers.iter().any(|worker| worker.could_ever_take(&request.ask));
        prop_assert_eq!(Requests::has_no_worker(&mut self.pool, &demand(&request.ask)), has_no_worker);
        let of_key = |key| naive.waiting.iter().filter(|other| other.fair_key == Some(key)).count();
        let bytes: u64 = naive.waiting.iter().map(|request| request.bytes).sum();
        let expected_bound = if comes_back.is_some() {
            None
        } else if naive.waiting.len() as u64 >= self.limits.max_size {
            Some(Bound::Size)
        } else if bytes + request.bytes > self.limits.max_bytes {
            Some(Bound::Bytes)
        } else {
            let is_full = |key: &&'static str| self.limits.max_per_key.is_some_and(|most| of_key(key) as u64 >= most);
            request.fair_key.filter(is_full).map(|_| Bound::PerKey)
        };
        match submitted {
            Submitted::Taken(slot) => {
                prop_assert_eq!(Some(slot.worker.key), chosen);
                if comes_back.is_none() {
                    request.arrival = self.naive.next();
                }
                self.run(request, slot.place, slot)?;
            }
            Submitted::NoWorker => prop_assert!(chosen.is_none() && fails && has_no_worker),
            Submitted::NeverWaits => {
                prop_assert!(chosen.is_none() && !(fails && has_no_worker) && request.queue_ms == 0.0);
            }
            Submitted::Full(bound) => {
                prop_assert!(chosen.is_none() && !(fails && has_no_worker) && request.queue_ms > 0.0);
                prop_assert_eq!(Some(bound), expected_bound);
            }
            Submitted::Waits { ticket, place, position, size } => {
                prop_assert!(chosen.is_none() && !(fails && has_no_worker) && request.queue_ms > 0.0);
                prop_assert_eq!(expected_bound, None);
                if comes_back.is_none() {
                    request.arrival = self.naive.next();
                }
                request.is_alone = comes_back.is_some();
                prop_assert!(comes_back.is_none_or(|before| before == place));
                let (model, priority) = (request.ask.model, request.priority);
                self.tickets.insert(request.number, (ticket, place));
                self.naive.enqueue(request);
                let waiting = &self.naive.waiting;
                let ahead = waiting.iter().filter(|other| other.ask.model == model && other.priority <= priority);
                prop_assert_eq!((position, size), (ahead.count(), waiting.len()));
            }
            Submitted::Owed | Submitted::Forgotten => prop_assert!(false, "{:?}", submitted),
        }
        Ok(())
    }

    /// Gives away what can be given away, and judges each gift.
    fn dispatch_all(&mut self) -> Result<(), TestCaseError> {
        let now = self.now();
        loop {
            let is_owed = self.naive.owes_slot();
            prop_assert_eq!(self.requests.owes_slot(&mut self.pool, now), is_owed);
            let Some(grant) = self.requests.dispatch(&mut self.pool, now) else {
                prop_assert!(!is_owed, "a slot is free that somebody waits for");
                return Ok(());
            };
            self.naive.promote();
            let granted = self.tickets.iter().find(|(_, (ticket, _))| *ticket == grant.ticket);
            let (number, place) = granted.map(|(&number, &(_, place))| (number, place)).expect("it waits");
            self.tickets.remove(&number);
            let key = grant.slot.worker.key;
            let firsts = |key| {
                let worker = self.naive.workers.iter().find(|worker| worker.key == key).expect("it is registered");
                self.naive.first_for(worker)
            };
            prop_assert_eq!(firsts(key), Some(number), "the slot goes to who is next for it");
            let request = self.naive.waiting.iter().find(|request| request.number == number).expect("it waits");
            if let Some(better) = self.naive.choose(request).filter(|&better| firsts(better) == Some(number)) {
                prop_assert_eq!(key, better, "and it goes to the worker that it should have");
            }
            let request = self.naive.take(number);
            self.run(request, place, grant.slot)?;
        }
    }

    fn end(&mut self, which: usize, end: &End) -> Result<(), TestCaseError> {
        if self.running.is_empty() {
            return Ok(());
        }
        let Running { mut request, place, worker, id } = self.running.swap_remove(which % self.running.len());
        if let End::Refused = end {
            // The snapshot says no more than the key here.
            let slot = Slot {
                worker: worker_server_core::worker::Snapshot::of(worker, self.pool.get(worker).expect("registered")),
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
                request.avoid = vec![(id, 0)];
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
            Step::Update { id, capabilities, region: place } => self.update(IDS[id], capabilities, region(place)),
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
        let drained = self.pool.set_draining(key, drainer, drains);
        let worker = self.naive.worker(id).expect("it is registered");
        let before = worker.drains();
        worker.marks[usize::from(drainer == Drainer::Application)] = drains;
        if worker.status != Status::Unhealthy && before != worker.drains() {
            worker.status = status_of(worker);
        }
        let (drains, is_changed) = (worker.drains(), before != worker.drains());
        prop_assert_eq!(drained.map(|drained| (drained.drains, drained.is_changed)), Some((drains, is_changed)));
        Ok(())
    }

    fn update(&mut self, id: &str, capabilities: Capabilities, region: &'static str) {
        let Some(key) = self.pool.key_of(id) else { return };
        let worker = self.naive.worker(id).expect("it is registered");
        worker.capabilities = capabilities.clone();
        worker.region = region;
        if matches!(worker.status, Status::Available | Status::Busy) {
            worker.status = status_of(worker);
        }
        let categories = worker.categories.clone();
        let active_in = |category: &str| categories.get(category).copied().unwrap_or(0);
        assert!(self.pool.set_capabilities(key, &capabilities, metadata(region), active_in));
    }

    fn step(&mut self, step: Step, is_dispatched: bool) -> Result<(), TestCaseError> {
        self.take(step)?;
        if is_dispatched {
            self.dispatch_all()?;
        }
        self.compare()
    }

    /// Compares all that can be asked for.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        let waiting = &self.naive.waiting;
        let mut by_model: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for request in waiting {
            *by_model.entry(request.ask.model.unwrap_or("*").into()).or_default() += 1;
        }
        let oldest = waiting.iter().map(|request| self.naive.now - request.queued_ms).max().unwrap_or(0);
        let info = self.requests.info(self.now());
        prop_assert_eq!((info.size, info.oldest_ms, info.by_model), (waiting.len(), oldest, by_model));
        prop_assert_eq!(info.bytes, waiting.iter().map(|request| request.bytes).sum::<u64>());
        for expected in &self.naive.workers {
            let worker = self.pool.get(expected.key).expect("it is registered");
            prop_assert_eq!((worker.status, worker.active), (expected.status, expected.active));
            for limit in &worker.limits {
                prop_assert_eq!(limit.active, expected.categories.get(&*limit.category).copied().unwrap_or(0));
            }
        }
        for request in waiting.iter().take(2) {
            let explanation = explain(&self.pool, &demand(&request.ask));
            let reasons = self.naive.workers.iter().map(|worker| (Arc::from(worker.id), worker.reason(&request.ask)));
            prop_assert_eq!(explanation.workers, reasons.collect::<Vec<_>>());
        }
        Ok(())
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_sequence_of_events_the_same_requests_wait_and_the_same_workers_get_them(
        steps in prop::collection::vec(steps::step(), 1..120),
    ) {
        let mut both = Both::new(LIMITS);
        for (step, is_dispatched) in steps {
            both.step(step, is_dispatched)?;
        }
    }

    #[test]
    fn in_a_crowd_everybody_has_their_turn(steps in prop::collection::vec(steps::crowded_step(), 20..250)) {
        let mut both = Both::new(WIDE_LIMITS);
        for (step, is_dispatched) in steps {
            both.step(step, is_dispatched)?;
        }
    }
}
