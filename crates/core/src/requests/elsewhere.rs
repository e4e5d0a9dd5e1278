//! Workers of other nodes of a fleet, as far as their nodes have announced them: what a request may hope for there.
//! What such a worker gets is decided by its own node alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::affinity::{self, Affinity, Preferred, Total};
use super::demand::Demand;
use super::explain::Reason;
use crate::clock::Moment;
use crate::metadata::Metadata;
use crate::pool::Pool;
use crate::registration::Capabilities;
use crate::rules::Status;
use crate::worker::{Takes, Worker};

/// Free slots of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// Which node.
    pub node: Arc<str>,
    /// How many of its slots are free.
    pub free: f64,
}

/// The worker that a key prefers over the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One of this node.
    Here,
    /// One of another node.
    There {
        /// Which node.
        node: Arc<str>,
        /// Its worker.
        worker_id: Arc<str>,
    },
}

/// The workers of other nodes, by node, in the order in which these have announced them.
#[derive(Debug, Default)]
pub struct Elsewhere {
    nodes: BTreeMap<Arc<str>, Pool<()>>,
}

impl Elsewhere {
    /// A node has a worker, or one that can do something else than before.
    pub fn add(&mut self, node: &str, id: &str, capabilities: &Capabilities, metadata: Metadata, takes: Takes) {
        let pool = self.nodes.entry(node.into()).or_default();
        let known = pool.key_of(id);
        if let Some(key) = known {
            pool.set_capabilities(key, capabilities, metadata, |_| 0);
            return;
        }
        let key = pool.add(id, capabilities, (), Moment { elapsed_ms: 0, unix_ms: 0 });
        pool.set_offer(key, takes, metadata);
    }

    /// A node has a worker no longer.
    pub fn remove(&mut self, node: &str, id: &str) {
        let Some(pool) = self.nodes.get_mut(node) else { return };
        if let Some(key) = pool.key_of(id) {
            pool.remove(key);
        }
    }

    /// A node is gone.
    pub fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
    }

    /// How a worker is: its status, its active requests, and those of each category that it limits, in their order.
    pub fn set_state(&mut self, node: &str, id: &str, status: Status, active: u64, limited: &[u64]) {
        let Some(pool) = self.nodes.get_mut(node) else { return };
        if let Some(key) = pool.key_of(id) {
            pool.set_state(key, status, active, limited);
        }
    }

    fn workers(&self) -> impl Iterator<Item = (&Arc<str>, &Worker<()>)> {
        self.nodes.iter().flat_map(|(node, pool)| pool.iter().map(move |(_, worker)| (node, worker)))
    }

    /// The nodes with free slots for a demand, without the workers that it is to avoid. With loose matching those that
    /// have the exact name come first: if there are such, the others are not named.
    pub fn rooms(&self, demand: &Demand, avoid: &[String]) -> Vec<Room> {
        let (mut exact, mut loose) = (Vec::new(), Vec::new());
        for (node, worker) in self.workers() {
            if Reason::of(worker, demand) != Reason::Free || avoid.iter().any(|id| **id == *worker.id) {
                continue;
            }
            let rooms = if is_exact(worker, demand) { &mut exact } else { &mut loose };
            let free = worker.slots(demand.category.as_deref()).free();
            match rooms.last_mut() {
                Some(Room { node: last, free: sum }) if last == node => *sum += free,
                _ => rooms.push(Room { node: Arc::clone(node), free }),
            }
        }
        if exact.is_empty() { loose } else { exact }
    }

    /// Whether some worker could ever take such a request, whatever its status.
    pub fn could_meet(&self, demand: &Demand) -> bool {
        self.workers().any(|(_, worker)| demand.could_be_met_by(worker))
    }

    /// Every worker, with its node, and why it doesn't take such a request, or that it does.
    pub fn explain(&self, demand: &Demand) -> Vec<(Arc<str>, Arc<str>, Reason)> {
        self.workers()
            .map(|(node, worker)| (Arc::clone(node), Arc::clone(&worker.id), Reason::of(worker, demand)))
            .collect()
    }

    /// The worker that gets a request with an affinity, of those here (`own`) and elsewhere: as [`affinity::choose`]
    /// has it over all of them. `None` if none has a free slot.
    pub fn preferred<P>(&self, own: &Pool<P>, demand: &Demand, affinity: Affinity, avoid: &[String]) -> Option<Choice> {
        let mut total = Total::default();
        let mut free = Vec::new();
        let mut look = |node: Option<&Arc<str>>, seen: Seen<'_>| {
            total.active += seen.active;
            total.capacity += seen.capacity;
            if seen.is_free && !avoid.iter().any(|id| **id == **seen.id) {
                let preferred = Preferred {
                    worker: free.len(),
                    weight: affinity.weight(seen.id),
                    active: seen.active,
                    capacity: seen.capacity,
                };
                free.push((seen.is_exact, preferred, node.cloned(), Arc::clone(seen.id)));
            }
        };
        for (_, worker) in own.iter() {
            if let Some(seen) = Seen::of(worker, demand) {
                look(None, seen);
            }
        }
        for (node, worker) in self.workers() {
            if let Some(seen) = Seen::of(worker, demand) {
                look(Some(node), seen);
            }
        }
        let has_exact = free.iter().any(|(is_exact, ..)| *is_exact);
        let candidates =
            free.iter().filter(|(is_exact, ..)| *is_exact == has_exact).map(|(_, preferred, ..)| *preferred);
        let place = affinity::choose(candidates, total)?;
        let (_, _, node, worker_id) = free.into_iter().nth(place)?;
        Some(node.map_or(Choice::Here, |node| Choice::There { node, worker_id }))
    }
}

/// What an affinity looks at in a worker that is available or busy and matches.
struct Seen<'a> {
    id: &'a Arc<str>,
    active: f64,
    capacity: f64,
    is_free: bool,
    is_exact: bool,
}

impl<'a> Seen<'a> {
    fn of<P>(worker: &'a Worker<P>, demand: &Demand) -> Option<Self> {
        let matches = worker.reachable()
            && worker.takes >= demand.needs
            && demand.names(worker)
            && demand.is_served_by(&worker.models)
            && demand.selects(worker);
        matches.then(|| Self {
            id: &worker.id,
            active: worker.active as f64,
            capacity: worker.max,
            is_free: worker.slots(demand.category.as_deref()).load().is_some(),
            is_exact: is_exact(worker, demand),
        })
    }
}

fn is_exact<P>(worker: &Worker<P>, demand: &Demand) -> bool {
    let name = demand.model.as_ref().and_then(|name| name.get());
    name.is_none_or(|name| worker.models.iter().any(|own| **own == *name))
}

#[cfg(test)]
mod tests {
    use super::super::demand::Name;
    use super::*;
    use crate::models::ModelMatch;

    fn capabilities(models: &[&str], max: f64) -> Capabilities {
        Capabilities { models: models.iter().map(|&model| model.to_owned()).collect(), max, limits: Vec::new() }
    }

    fn demand(model: &str) -> Demand {
        Demand { model: Some(Name::new(model)), ..Demand::any() }
    }

    fn fleet() -> Elsewhere {
        let mut fleet = Elsewhere::default();
        let mut add = |node, id, model, max| {
            fleet.add(node, id, &capabilities(&[model], max), Metadata::default(), Takes::Anything);
        };
        add("b", "b1", "m", 2.0);
        add("b", "b2", "m", 3.0);
        add("c", "c1", "m-large", 4.0);
        fleet
    }

    #[test]
    fn nodes_are_named_with_the_free_slots_of_workers_that_take_the_request() {
        let mut fleet = fleet();
        let room = |node: &str, free| Room { node: node.into(), free };
        assert_eq!(fleet.rooms(&demand("m"), &[]), [room("b", 5.0)], "exact names come first");
        fleet.set_state("b", "b1", Status::Available, 1, &[]);
        assert_eq!(fleet.rooms(&demand("m"), &["b2".into()]), [room("b", 1.0)]);
        fleet.set_state("b", "b1", Status::Busy, 2, &[]);
        fleet.set_state("b", "b2", Status::Draining, 0, &[]);
        assert_eq!(fleet.rooms(&demand("m"), &[]), [room("c", 4.0)], "then those that match loosely");
        let exact = Demand { model_match: ModelMatch::Exact, ..demand("m") };
        assert_eq!(fleet.rooms(&exact, &[]), []);
        assert!(fleet.could_meet(&exact), "whatever their status");
        fleet.remove("b", "b1");
        fleet.forget("c");
        assert_eq!(fleet.explain(&demand("m")), [("b".into(), "b2".into(), Reason::Draining)]);
        assert!(!fleet.could_meet(&demand("other")));
    }

    #[test]
    fn an_affinity_prefers_the_same_worker_wherever_it_is_asked_for() {
        let fleet = fleet();
        let mut own: Pool<()> = Pool::new();
        let key = own.add("a1", &capabilities(&["m"], 2.0), (), Moment { elapsed_ms: 0, unix_ms: 0 });
        own.set_offer(key, Takes::Anything, Metadata::default());
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..100 {
            let affinity = Affinity::of(format!("key-{number}").as_bytes());
            let best = ["a1", "b1", "b2"].into_iter().max_by_key(|id| affinity.weight(id));
            let chosen = match fleet.preferred(&own, &demand("m"), affinity, &[]) {
                Some(Choice::Here) => "a1".to_owned(),
                Some(Choice::There { node, worker_id }) => {
                    assert_eq!(*node, *"b");
                    worker_id.to_string()
                }
                None => String::new(),
            };
            assert_eq!(Some(&*chosen), best);
            seen.insert(chosen);
        }
        assert_eq!(seen.len(), 3);
        assert_eq!(fleet.preferred(&own, &demand("other"), Affinity::of(b"k"), &[]), None);
    }
}
