//! The model: plain lists, and a scan for each answer, in the words of the documented rules.

use std::collections::BTreeMap;

use worker_server_core::models::ModelMatch;
use worker_server_core::registration::Capabilities;
use worker_server_core::requests::affinity::Affinity;
use worker_server_core::requests::explain::Reason;
use worker_server_core::rules::Status;
use worker_server_core::worker::{Takes, WorkerKey};

/// What a request asks for, and how its `where` reads.
#[derive(Clone, Debug)]
pub struct Ask {
    pub model: Option<&'static str>,
    pub exact: bool,
    pub category: Option<&'static str>,
    pub worker_id: Option<&'static str>,
    /// `where: { region }`.
    pub region: Option<&'static str>,
    pub is_object: bool,
}

impl Ask {
    pub fn model_match(&self) -> ModelMatch {
        if self.exact { ModelMatch::Exact } else { ModelMatch::Loose }
    }
}

#[derive(Clone, Debug)]
pub struct Worker {
    pub key: WorkerKey,
    pub id: &'static str,
    pub capabilities: Capabilities,
    pub takes: Takes,
    pub region: &'static str,
    pub status: Status,
    pub marks: [bool; 2],
    pub closed: bool,
    pub full: bool,
    pub last_seen: u64,
    pub active: u64,
    pub categories: BTreeMap<&'static str, u64>,
}

impl Worker {
    pub fn is_at_capacity(&self) -> bool {
        self.active as f64 >= self.capabilities.max
    }

    pub fn drains(&self) -> bool {
        self.marks.contains(&true)
    }

    pub fn has_model(&self, ask: &Ask, exactly: bool) -> bool {
        let Some(name) = ask.model else { return true };
        let own = &self.capabilities.models;
        own.iter().any(|own| own == name || !exactly && (own.contains(name) || name.contains(&**own)))
    }

    fn limit(&self, category: Option<&str>) -> Option<(u64, f64)> {
        let (name, limit) = self.capabilities.limits.iter().find(|(name, _)| Some(&**name) == category)?;
        Some((self.categories.get(&**name).copied().unwrap_or(0), *limit))
    }

    /// Everything that does not change from one moment to the next.
    fn suits(&self, ask: &Ask) -> bool {
        self.takes >= (if ask.is_object { Takes::Objects } else { Takes::Anything })
            && self.has_model(ask, ask.exact)
            && ask.worker_id.is_none_or(|id| id == self.id)
            && ask.region.is_none_or(|region| region == self.region)
    }

    pub fn could_ever_take(&self, ask: &Ask) -> bool {
        !self.closed
            && self.suits(ask)
            && self.capabilities.max > 0.0
            && self.limit(ask.category).is_none_or(|(_, limit)| limit > 0.0)
    }

    pub fn takes_now(&self, ask: &Ask) -> bool {
        self.reason(ask) == Reason::Free
    }

    pub fn reason(&self, ask: &Ask) -> Reason {
        let needs = if ask.is_object { Takes::Objects } else { Takes::Anything };
        if self.closed {
            Reason::Closing
        } else if ask.worker_id.is_some_and(|id| id != self.id) {
            Reason::OtherWorker
        } else if self.takes < needs {
            Reason::NoRequests
        } else if !self.has_model(ask, ask.exact) {
            Reason::Model
        } else if ask.region.is_some_and(|region| region != self.region) {
            Reason::Selector
        } else if self.status == Status::Unhealthy {
            Reason::Unhealthy
        } else if self.status == Status::Draining {
            Reason::Draining
        } else if self.status == Status::Busy || self.full || self.is_at_capacity() {
            Reason::Busy
        } else if self.limit(ask.category).is_some_and(|(active, limit)| active as f64 >= limit) {
            Reason::Category
        } else {
            Reason::Free
        }
    }

    fn load(&self) -> f64 {
        self.active as f64 / self.capabilities.max
    }
}

/// A request, waiting or running.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number among all that ever were.
    pub number: u64,
    pub ask: Ask,
    pub base_priority: usize,
    pub priority: usize,
    pub fair_key: Option<&'static str>,
    pub affinity: Option<&'static str>,
    pub bytes: u64,
    pub queue_ms: f64,
    pub queued_ms: u64,
    pub is_promoted: bool,
    /// It stands in the ring by itself.
    pub is_alone: bool,
    pub arrival: u64,
    /// Its arrival, or when it was promoted.
    pub place: u64,
    /// Workers that it goes to last, and not before.
    pub avoid: Vec<(&'static str, u64)>,
}

/// What stands in a ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stand {
    /// A key, or all without one.
    Key(Option<&'static str>),
    Alone(u64),
}

impl Stand {
    fn has_key(self) -> bool {
        matches!(self, Self::Key(Some(_)))
    }
}

#[derive(Debug, Default)]
pub struct Naive {
    pub now: u64,
    pub workers: Vec<Worker>,
    pub waiting: Vec<Request>,
    /// Each ring in no order: what stands there, and at which place. Those without a key have none of their own, but
    /// each its age, until a key joins.
    rings: [Vec<(Option<u64>, Stand)>; 3],
    last: u64,
}

impl Naive {
    pub fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub fn worker(&mut self, id: &str) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    fn stand_of(request: &Request) -> Stand {
        if request.is_alone { Stand::Alone(request.number) } else { Stand::Key(request.fair_key) }
    }

    fn join(&mut self, request: &Request) {
        let stand = Self::stand_of(request);
        let [before, end] = [self.next(), self.next()];
        let ring = &mut self.rings[request.priority];
        if ring.iter().any(|(_, other)| *other == stand) {
            return;
        }
        if stand.has_key() {
            for (place, _) in ring.iter_mut().filter(|(_, other)| *other == Stand::Key(None)) {
                *place = place.or(Some(before));
            }
        }
        let place = match stand {
            Stand::Alone(_) => Some(request.place),
            Stand::Key(Some(_)) => Some(end),
            Stand::Key(None) => ring.iter().any(|(_, other)| other.has_key()).then_some(end),
        };
        ring.push((place, stand));
    }

    fn leave(&mut self, request: &Request) {
        let stand = Self::stand_of(request);
        let is_left = |other: &Request| other.priority == request.priority && Self::stand_of(other) == stand;
        if !self.waiting.iter().any(is_left) {
            self.rings[request.priority].retain(|(_, other)| *other != stand);
        }
    }

    pub fn enqueue(&mut self, mut request: Request) {
        request.place = request.arrival;
        self.join(&request);
        self.waiting.push(request);
    }

    pub fn withdraw(&mut self, number: u64) -> Request {
        let place = self.waiting.iter().position(|request| request.number == number).expect("it waits");
        let request = self.waiting.remove(place);
        self.leave(&request);
        request
    }

    /// It gets a slot: its key moves to the end.
    pub fn take(&mut self, number: u64) -> Request {
        let request = self.withdraw(number);
        let (stand, end) = (Self::stand_of(&request), self.next());
        let ring = &mut self.rings[request.priority];
        let takes_turns = stand.has_key() || ring.iter().any(|(_, other)| other.has_key());
        for (place, _) in ring.iter_mut().filter(|(_, other)| *other == stand) {
            *place = place.map(|now| if takes_turns { end } else { now.max(request.place) });
        }
        request
    }

    fn may_go_to(&self, request: &Request, worker: &Worker) -> bool {
        worker.takes_now(&request.ask) && request.avoid.iter().all(|(id, until)| *id != worker.id || *until <= self.now)
    }

    /// "the highest class first … the first key in the ring that has a request which this worker could take, … that
    /// key's oldest such one"
    pub fn first_for(&self, worker: &Worker) -> Option<u64> {
        self.rings.iter().enumerate().find_map(|(priority, ring)| {
            let turns = ring.iter().filter_map(|(place, stand)| {
                let of_stand = |request: &&Request| {
                    request.priority == priority && Self::stand_of(request) == *stand && self.may_go_to(request, worker)
                };
                let oldest = self.waiting.iter().filter(of_stand).min_by_key(|request| request.place)?;
                Some((place.unwrap_or(oldest.place), oldest.place, oldest.number))
            });
            turns.min().map(|(.., number)| number)
        })
    }

    /// Whether a slot is free that somebody waits for.
    pub fn owes_slot(&self) -> bool {
        self.workers.iter().any(|worker| self.first_for(worker).is_some())
    }

    /// "A request that has waited half of its queue time counts one class higher, once, judged when a slot is given
    /// away (its key joins the higher ring then)."
    pub fn promote(&mut self) {
        let now = self.now as f64;
        let mut due: Vec<(u64, u64)> = self
            .waiting
            .iter()
            .filter(|request| !request.is_promoted && request.priority > 0 && request.queue_ms.is_finite())
            .filter(|request| now - request.queued_ms as f64 >= request.queue_ms / 2.0)
            .map(|request| (request.arrival, request.number))
            .collect();
        due.sort_unstable();
        for (_, number) in due {
            let mut request = self.withdraw(number);
            request.priority -= 1;
            request.is_promoted = true;
            request.is_alone = false;
            request.place = self.next();
            self.join(&request);
            self.waiting.push(request);
        }
    }

    /// Which worker a request gets.
    pub fn choose(&self, request: &Request) -> Option<WorkerKey> {
        let avoided = |worker: &Worker| request.avoid.iter().any(|(id, _)| *id == worker.id);
        let others = self.choose_among(request, |worker| !avoided(worker));
        let is_last = |worker: &Worker| request.avoid.last().is_some_and(|(id, _)| *id == worker.id);
        others
            .or_else(|| self.choose_among(request, |worker| !is_last(worker)))
            .or_else(|| self.choose_among(request, |_| true))
    }

    fn choose_among(&self, request: &Request, may: impl Fn(&Worker) -> bool) -> Option<WorkerKey> {
        let free: Vec<&Worker> =
            self.workers.iter().filter(|worker| may(worker) && self.may_go_to(request, worker)).collect();
        let exact: Vec<&Worker> = free.iter().copied().filter(|worker| worker.has_model(&request.ask, true)).collect();
        let tier = if exact.is_empty() { free } else { exact };
        let Some(key) = request.affinity.filter(|_| request.ask.worker_id.is_none()) else {
            let mut best: Option<&Worker> = None;
            for worker in tier {
                if best.is_none_or(|best| worker.load() < best.load()) {
                    best = Some(worker);
                }
            }
            return best.map(|worker| worker.key);
        };
        let matching = self.workers.iter().filter(|worker| {
            !worker.closed && matches!(worker.status, Status::Available | Status::Busy) && worker.suits(&request.ask)
        });
        let (active, capacity) = matching.fold((0.0, 0.0), |(active, capacity), worker| {
            (active + worker.active as f64, capacity + worker.capabilities.max)
        });
        let affinity = Affinity::of(key.as_bytes());
        let mut in_hash_order = tier;
        in_hash_order.sort_by_key(|worker| std::cmp::Reverse(affinity.weight(worker.id)));
        let is_within =
            |worker: &&&Worker| worker.active as f64 <= 1.25 * worker.capabilities.max * (active / capacity) + 1.0;
        in_hash_order.iter().find(is_within).or(in_hash_order.first()).map(|worker| worker.key)
    }
}
