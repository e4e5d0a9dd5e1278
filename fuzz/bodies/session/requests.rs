//! The requests of the fleet: those that the application tracks, and those that look for a worker. Free slots are given to those that
//! wait after each step.

use worker_server_core::models::ModelMatch;
use worker_server_core::requests::demand::{Demand, Name};
use worker_server_core::requests::{Slot, Submission, Submitted, Ticket};
use worker_server_core::worker::WorkerKey;

use super::Fleet;

const MODELS: [Option<&str>; 4] = [None, Some("m"), Some(""), Some("llama-3-70b")];

impl Fleet {
    /// The application tracks a new request on one of the workers.
    pub fn track(&mut self, number: usize) {
        let Some((&key, _)) = self.believed.iter().nth(number % self.believed.len().max(1)) else { return };
        let (_, pending) = self.believed.get_mut(&key).expect("it was just found");
        let request = format!("request {}", self.tracked);
        self.tracked += 1;
        let category = ["chat", "embed"].get(self.tracked % 3).copied();
        pending.insert(request, category);
        let limit = self.limit(key, category);
        assert!(self.pool.track(key, limit), "a worker that is there takes it");
    }

    /// The application releases one of the pending requests.
    pub fn release(&mut self, number: usize) {
        let all: Vec<(WorkerKey, String)> = self
            .believed
            .iter()
            .flat_map(|(&key, (_, pending))| pending.keys().map(move |id| (key, id.clone())))
            .collect();
        let Some((key, request)) = all.get(number % all.len().max(1)) else { return };
        let (_, pending) = self.believed.get_mut(key).expect("it was just found");
        let category = pending.remove(request).expect("it is pending");
        let limit = self.limit(*key, category);
        assert!(self.pool.release(*key, limit, true));
        assert!(self.ended.insert(request.clone()), "a request ends once");
    }

    /// The place of a category among those that a worker limits.
    fn limit(&self, key: WorkerKey, category: Option<&str>) -> Option<usize> {
        category.and_then(|category| self.pool.get(key)?.place_of(category))
    }

    /// The application submits a request.
    pub fn submit(&mut self, number: usize) {
        let model_match = if number.is_multiple_of(2) { ModelMatch::Loose } else { ModelMatch::Exact };
        let demand = Demand { model: MODELS[number / 2 % MODELS.len()].map(Name::new), model_match, ..Demand::any() };
        let id = self.requests.intern(&mut self.pool, demand.clone());
        let request = format!("request {}", self.tracked);
        self.tracked += 1;
        match self.requests.submit(&mut self.pool, &Submission::new(id), self.now) {
            Submitted::Taken(slot) => self.give(&slot, &demand, request),
            Submitted::Waits { ticket, size, .. } => {
                assert!(self.waiting.insert(ticket.to_number(), (request, demand)).is_none(), "a ticket of its own");
                assert_eq!(size, self.waiting.len());
            }
            other => panic!("{other:?} though nobody is owed a slot and there is room"),
        }
    }

    /// Gives free slots away until there is none that somebody could take.
    pub fn dispatch(&mut self) {
        while let Some(grant) = self.requests.dispatch(&mut self.pool, self.now) {
            let (request, demand) = self.waiting.remove(&grant.ticket.to_number()).expect("who gets a slot waits");
            self.give(&grant.slot, &demand, request);
        }
        assert_eq!(self.requests.size(), self.waiting.len());
        for (_, worker) in self.pool.iter().filter(|(_, worker)| worker.slots(None).load().is_some()) {
            let could_take = |(request, demand): &(String, Demand)| {
                assert!(!demand.is_served_by(&worker.models), "{request} waits and {worker:?} is free");
            };
            self.waiting.values().for_each(could_take);
        }
    }

    fn give(&mut self, slot: &Slot, demand: &Demand, request: String) {
        let worker = self.pool.get(slot.worker.key).expect("I1: only a worker that is there");
        assert!(!worker.closed && demand.is_served_by(&worker.models) && worker.active as f64 <= worker.max.ceil());
        let (_, pending) = self.believed.get_mut(&slot.worker.key).expect("I1: only one that the application knows");
        pending.insert(request, None);
    }

    /// Nobody waits any more.
    pub fn withdraw_all(&mut self) {
        for (ticket, (request, _)) in std::mem::take(&mut self.waiting) {
            assert!(self.requests.withdraw(&mut self.pool, Ticket::from_number(ticket)), "it waits");
            assert!(self.ended.insert(request), "a request ends once");
        }
        assert_eq!(self.requests.size(), 0);
    }
}
