//! The requests and the model, side by side, and what is compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use worker_server_core::clock::Moment;
use worker_server_core::metadata::Metadata;
use worker_server_core::pool::Pool;
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

use super::naive::{Ask, Naive, Request, Worker};
use super::steps::IDS;

/// A request that a worker has.
pub struct Running {
    pub request: Request,
    pub place: Place,
    pub worker: WorkerKey,
    pub id: &'static str,
}

pub struct Both {
    pub limits: QueueLimits,
    pub pool: Pool<()>,
    pub requests: Requests,
    pub naive: Naive,
    pub tickets: BTreeMap<u64, (Ticket, Place)>,
    pub running: Vec<Running>,
    /// What the application tracked: workers and categories.
    pub tracked: Vec<(WorkerKey, Option<&'static str>)>,
}

pub fn metadata(region: &str) -> Metadata {
    Metadata::read(&format!(r#"{{"region":"{region}"}}"#))
}

pub fn demand(ask: &Ask) -> Demand {
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
    pub fn new(limits: QueueLimits) -> Self {
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

    pub fn now(&self) -> Moment {
        Moment { elapsed_ms: self.naive.now, unix_ms: 0 }
    }

    pub fn intern(&mut self, ask: &Ask) -> DemandId {
        self.requests.intern(&mut self.pool, demand(ask))
    }

    pub fn count(&mut self, key: WorkerKey, category: Option<&'static str>, is_more: bool) {
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
    pub fn release(&mut self, key: WorkerKey, category: Option<&'static str>) {
        let limit = category.and_then(|category| self.pool.get(key)?.place_of(category));
        assert!(self.pool.release(key, limit, false));
        self.count(key, category, false);
    }

    pub fn leave(&mut self, id: &str) {
        let Some(key) = self.pool.key_of(id) else { return };
        self.pool.remove(key);
        self.naive.workers.retain(|worker| worker.key != key);
        self.running.retain(|running| running.worker != key);
        self.tracked.retain(|(worker, _)| *worker != key);
    }

    pub fn register(
        &mut self,
        id: usize,
        capabilities: Capabilities,
        takes: Takes,
        region: &'static str,
        resumed: usize,
    ) {
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

    pub fn track(&mut self, key: WorkerKey, category: Option<&'static str>) {
        let limit = category.and_then(|category| self.pool.get(key)?.place_of(category));
        assert!(self.pool.track(key, limit));
        self.count(key, category, true);
        self.tracked.push((key, category));
    }

    pub fn run(&mut self, request: Request, place: Place, slot: Slot) -> Result<(), TestCaseError> {
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
    pub fn submit(
        &mut self,
        mut request: Request,
        comes_back: Option<Place>,
        fails: bool,
    ) -> Result<(), TestCaseError> {
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
            is_want: false,
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
                request.is_alone = comes_back.is_some() && request.fair_key.is_some();
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
    pub fn dispatch_all(&mut self) -> Result<(), TestCaseError> {
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

    /// Compares all that can be asked for.
    pub fn compare(&mut self) -> Result<(), TestCaseError> {
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
