//! Which worker gets a request.
//!
//! "With loose matching those that have the exact name come first; a loose one is taken when no exact one has a free
//! slot. Then lowest load, then earliest registered." An affinity takes the place of the load. A request without
//! `where`, affinity and workers to avoid costs a look at the index; others look at each worker with the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::affinity::{self, Affinity, Preferred, Total};
use super::demand::Demand;
use crate::group::Group;
use crate::index::{Asked, Index};
use crate::models::ModelMatch;
use crate::pool::Pool;
use crate::worker::{Worker, WorkerKey};

/// A worker that a request goes to only when no other with a free slot could take it: it had it on an earlier attempt,
/// or has rejected it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Avoid {
    /// Its id: one that comes back in a new session is the same worker.
    pub worker_id: Arc<str>,
    /// And not before this [`crate::clock::Moment::elapsed_ms`]; 0 after an attempt.
    pub until_ms: u64,
}

/// Chooses a worker with a free slot. `None` if no worker that has one may take the request now.
///
/// `avoid` is in the order in which the workers had the request: the last of them gets it only when no other with a
/// free slot could take it, and each of them only when there is none that has not had it.
pub fn choose<P>(
    pool: &mut Pool<P>,
    demand: &Demand,
    affinity: Option<Affinity>,
    avoid: &[Avoid],
    now_ms: u64,
) -> Option<WorkerKey> {
    let Some(last) = avoid.last() else { return choose_among(pool, demand, affinity, None) };
    let is_new = |worker: &Worker<P>| avoid.iter().all(|avoid| avoid.worker_id != worker.id);
    let may_again = |worker: &Worker<P>| {
        avoid.iter().filter(|avoid| avoid.worker_id == worker.id).all(|avoid| avoid.until_ms <= now_ms)
    };
    let is_other = |worker: &Worker<P>| worker.id != last.worker_id && may_again(worker);
    choose_among(pool, demand, affinity, Some(&is_new))
        .or_else(|| choose_among(pool, demand, affinity, Some(&is_other)))
        .or_else(|| choose_among(pool, demand, affinity, Some(&may_again)))
}

/// Whether a worker may be chosen beyond what the demand says. `None`: every one may.
type Filter<'a, P> = Option<&'a dyn Fn(&Worker<P>) -> bool>;

fn choose_among<P>(
    pool: &mut Pool<P>,
    demand: &Demand,
    affinity: Option<Affinity>,
    may: Filter<'_, P>,
) -> Option<WorkerKey> {
    if let Some(id) = &demand.worker_id {
        let key = pool.key_of(id.get()?)?;
        let worker = pool.get(key)?;
        let fits = has_free_slot(worker, demand)
            && worker.takes >= demand.needs
            && demand.is_served_by(&worker.models)
            && demand.selects(worker)
            && may.is_none_or(|may| may(worker));
        return fits.then_some(key);
    }
    let model = match &demand.model {
        Some(name) => Some(name.get()?),
        None => None,
    };
    let (index, workers) = pool.indexed();
    if let Some(affinity) = affinity {
        return preferred(index, workers, demand, model, affinity, may);
    }
    match least_loaded(index.asked(model, ModelMatch::Exact), workers, demand, may) {
        None if model.is_some() && demand.model_match == ModelMatch::Loose => {
            least_loaded(index.asked(model, ModelMatch::Loose), workers, demand, may)
        }
        found => found,
    }
}

fn least_loaded<P>(
    groups: Asked<'_>,
    workers: &BTreeMap<WorkerKey, Box<Worker<P>>>,
    demand: &Demand,
    may: Filter<'_, P>,
) -> Option<WorkerKey> {
    let takes_all = demand.selector.is_none() && may.is_none();
    let fits = |key| {
        takes_all || workers.get(&key).is_some_and(|worker| demand.selects(worker) && may.is_none_or(|may| may(worker)))
    };
    taking(groups, demand)
        .filter_map(|group| group.candidates(demand.category.as_deref()).find(|&(_, key)| fits(key)))
        .min()
        .map(|(_, key)| key)
}

fn preferred<P>(
    index: &mut Index,
    workers: &BTreeMap<WorkerKey, Box<Worker<P>>>,
    demand: &Demand,
    model: Option<&str>,
    affinity: Affinity,
    may: Filter<'_, P>,
) -> Option<WorkerKey> {
    let mut total = Total::default();
    let mut free = Vec::new();
    let mut is_exact_free = false;
    for group in taking(index.asked(model, demand.model_match), demand) {
        let is_exact = model.is_none_or(|name| group.models().iter().any(|own| **own == *name));
        for (key, worker) in group.members().filter_map(|key| Some((key, workers.get(&key)?))) {
            if !worker.reachable() || !demand.selects(worker) {
                continue;
            }
            let (active, capacity) = (worker.active as f64, worker.max);
            total.active += active;
            total.capacity += capacity;
            if has_free_slot(worker, demand) && may.is_none_or(|may| may(worker)) {
                is_exact_free |= is_exact;
                let weight = affinity.weight_of(worker.hash);
                free.push((is_exact, Preferred { worker: key, weight, active, capacity }));
            }
        }
    }
    let free = free.into_iter().filter(|(is_exact, _)| *is_exact == is_exact_free).map(|(_, worker)| worker);
    affinity::choose(free, total)
}

/// The groups whose workers take such requests.
fn taking<'a>(groups: Asked<'a>, demand: &Demand) -> impl Iterator<Item = &'a Group> {
    groups.map(|(_, group)| group).filter(|group| group.takes() >= demand.needs)
}

fn has_free_slot<P>(worker: &Worker<P>, demand: &Demand) -> bool {
    worker.slots(demand.category.as_deref()).load().is_some()
}
