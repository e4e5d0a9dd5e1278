//! The demands that are known by a number, so that JavaScript passes one for each request and not its texts.
//!
//! They are remembered within bounds. Beyond, those that nothing waits for are forgotten, all at once, and their
//! numbers no longer count: who uses one gets `None`, and asks anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use slab::Slab;

use super::demand::{Demand, Name};
use super::ids;
use super::waiting::handles::LineId;
use super::{PRIORITIES, Priority};
use crate::models::Models;
use crate::worker::Takes;

/// The place of a demand. It may be used again for another one.
pub type DemandIndex = usize;
type NameIndex = usize;

/// The number of a demand, which no other one ever has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DemandId(u64);

/// Most demands that are remembered although nothing waits for them, and the bytes of their texts.
const MAX_IDLE: usize = 4096;
const MAX_IDLE_BYTES: usize = 1 << 20;

/// All demands that are known.
#[derive(Debug, Default)]
pub struct Demands {
    ids: HashMap<Arc<Demand>, DemandIndex>,
    entries: Slab<Entry>,
    last_stamp: u64,
    names: Slab<AskedModel>,
    name_ids: HashMap<Option<Name>, NameIndex>,
    /// The names that are asked for, found by the models that support them: the relation is the same both ways.
    by_model: Models,
    by_worker: HashMap<Arc<str>, BTreeSet<DemandIndex>>,
    idle: usize,
    idle_bytes: usize,
}

/// One demand.
#[derive(Debug)]
pub struct Entry {
    stamp: u64,
    demand: Arc<Demand>,
    name: NameIndex,
    waiting: usize,
    bytes: usize,
    /// The line of those that may go to every worker.
    pub line: LineId,
    /// Lines of those that may not go to some, while somebody is in them.
    pub lines: Vec<LineId>,
}

/// A model that is asked for, or that none is.
#[derive(Debug)]
struct AskedModel {
    demands: BTreeSet<DemandIndex>,
    waiting: [usize; PRIORITIES],
}

impl Demands {
    /// What a number stands for, and its place. `None` if it was forgotten.
    pub fn find(&self, id: DemandId) -> Option<(DemandIndex, &Arc<Demand>)> {
        let (index, stamp) = id.parts();
        let entry = self.entries.get(index).filter(|entry| entry.stamp == stamp)?;
        Some((index, &entry.demand))
    }

    /// The number of a demand that is known.
    pub fn id_of(&self, demand: &Demand) -> Option<DemandId> {
        let &index = self.ids.get(demand)?;
        Some(DemandId::new(index, self.entries.get(index)?.stamp))
    }

    /// A demand.
    pub fn get(&self, index: DemandIndex) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// A demand whose lines change.
    pub fn get_mut(&mut self, index: DemandIndex) -> Option<&mut Entry> {
        self.entries.get_mut(index)
    }

    /// From now on a demand is known, with a line.
    pub fn add(&mut self, demand: Demand, line: LineId) -> DemandId {
        self.last_stamp += 1;
        let stamp = ids::stamp(self.last_stamp);
        let demand = Arc::new(demand);
        let bytes = demand.bytes();
        let name = self.name_of(&demand);
        let entry = Entry { stamp, demand: Arc::clone(&demand), name, waiting: 0, bytes, line, lines: Vec::new() };
        let index = self.entries.insert(entry);
        if let Some(name) = self.names.get_mut(name) {
            name.demands.insert(index);
        }
        if let Some(id) = demand.worker_id.as_ref().and_then(|id| id.get()) {
            self.by_worker.entry(id.into()).or_default().insert(index);
        }
        self.ids.insert(demand, index);
        self.idle += 1;
        self.idle_bytes += bytes;
        DemandId::new(index, stamp)
    }

    /// None is known in whose place these were. No number counts any longer.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self { last_stamp: self.last_stamp, ..Self::default() }
    }

    /// Whether more are remembered than should be.
    pub fn is_full(&self) -> bool {
        self.idle > MAX_IDLE || self.idle_bytes > MAX_IDLE_BYTES
    }

    /// Forgets all demands that nothing waits for. Returns their lines, of which each is empty.
    pub fn forget_idle(&mut self) -> Vec<LineId> {
        let idle: Vec<DemandIndex> =
            self.entries.iter().filter(|(_, entry)| entry.waiting == 0).map(|(index, _)| index).collect();
        (self.idle, self.idle_bytes) = (0, 0);
        idle.into_iter().filter_map(|index| self.forget(index)).collect()
    }

    /// One more waits with this demand, or one less. `priority` is what it is shown under; `None`: it is not shown.
    pub fn count(&mut self, index: DemandIndex, priority: Option<Priority>, waits: bool) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let was_idle = entry.waiting == 0;
        let add = |count: &mut usize| *count = if waits { *count + 1 } else { count.saturating_sub(1) };
        add(&mut entry.waiting);
        if let Some(priority) = priority
            && let Some(name) = self.names.get_mut(entry.name)
        {
            add(&mut name.waiting[priority.index()]);
        }
        match (was_idle, entry.waiting == 0) {
            (true, false) => (self.idle, self.idle_bytes) = (self.idle - 1, self.idle_bytes - entry.bytes),
            (false, true) => (self.idle, self.idle_bytes) = (self.idle + 1, self.idle_bytes + entry.bytes),
            _ => {}
        }
    }

    /// How many wait for the same model with this priority or a higher one.
    pub fn ahead(&self, index: DemandIndex, priority: Priority) -> usize {
        let name = self.entries.get(index).and_then(|entry| self.names.get(entry.name));
        name.map_or(0, |name| name.waiting[..=priority.index()].iter().sum())
    }

    /// For each model how many wait, by their priority. `None`: without one.
    pub fn waiting_by_model(&self) -> impl Iterator<Item = (Option<&Name>, [usize; PRIORITIES])> {
        self.name_ids.iter().filter_map(|(name, &index)| {
            let waiting = self.names.get(index)?.waiting;
            waiting.iter().any(|&count| count > 0).then_some((name.as_ref(), waiting))
        })
    }

    /// The demands that ask for no worker in particular and that workers of these models may meet.
    pub fn met_by(&self, models: &[Arc<str>], takes: Takes) -> Vec<DemandIndex> {
        let mut names: Vec<NameIndex> = self.name_ids.get(&None).copied().into_iter().collect();
        for model in models {
            names.extend(self.by_model.groups_for(model));
        }
        names.sort_unstable();
        names.dedup();
        let demands = names.into_iter().filter_map(|name| self.names.get(name)).flat_map(|name| &name.demands);
        demands.copied().filter(|&index| self.is_met(index, None, models, takes)).collect()
    }

    /// The demands that ask for this worker and that it may meet, with these models.
    pub fn met_by_worker(&self, id: &str, models: &[Arc<str>], takes: Takes) -> Vec<DemandIndex> {
        let demands = self.by_worker.get(id).into_iter().flatten();
        demands.copied().filter(|&index| self.is_met(index, Some(id), models, takes)).collect()
    }

    /// Whether some demand asks for this worker.
    pub fn name_worker(&self, id: &str) -> bool {
        self.by_worker.contains_key(id)
    }

    fn is_met(&self, index: DemandIndex, id: Option<&str>, models: &[Arc<str>], takes: Takes) -> bool {
        self.entries.get(index).is_some_and(|Entry { demand, .. }| {
            demand.needs <= takes
                && demand.worker_id.as_ref().map(|own| own.get()) == id.map(Some)
                && demand.is_served_by(models)
        })
    }

    fn name_of(&mut self, demand: &Demand) -> NameIndex {
        if let Some(&known) = self.name_ids.get(&demand.model) {
            return known;
        }
        let index = self.names.insert(AskedModel { demands: BTreeSet::new(), waiting: [0; PRIORITIES] });
        if let Some(name) = demand.model.as_ref().and_then(|name| name.get()) {
            self.by_model.add(&[name.into()], index);
        }
        self.name_ids.insert(demand.model.clone(), index);
        index
    }

    fn forget(&mut self, index: DemandIndex) -> Option<LineId> {
        let entry = self.entries.try_remove(index)?;
        self.ids.remove(&entry.demand);
        if let Some(id) = entry.demand.worker_id.as_ref().and_then(|id| id.get())
            && let Some(demands) = self.by_worker.get_mut(id)
        {
            demands.remove(&index);
            if demands.is_empty() {
                self.by_worker.remove(id);
            }
        }
        let name = self.names.get_mut(entry.name)?;
        name.demands.remove(&index);
        if name.demands.is_empty() {
            self.names.remove(entry.name);
            self.name_ids.remove(&entry.demand.model);
            if let Some(name) = entry.demand.model.as_ref().and_then(|name| name.get()) {
                self.by_model.remove(&[name.into()], entry.name);
            }
        }
        Some(entry.line)
    }
}

impl Entry {
    /// What is asked for.
    pub fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }
}

impl DemandId {
    const fn new(index: DemandIndex, stamp: u64) -> Self {
        Self(ids::pack(index, stamp))
    }

    fn parts(self) -> (DemandIndex, u64) {
        ids::unpack(self.0)
    }

    /// The number as it crosses to JavaScript: a whole one that a double holds.
    pub fn to_number(self) -> u64 {
        self.0
    }

    /// The id of such a number. Any other number is one that was forgotten.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use crate::models::ModelMatch;

    use super::*;

    fn demand(model: &str) -> Demand {
        Demand { model: Some(Name::new(model)), ..Demand::any() }
    }

    #[test]
    fn demands_that_nothing_waits_for_are_forgotten_beyond_a_number_and_bytes_of_them() {
        let mut demands = Demands::default();
        let waited = demands.add(demand("waited for"), 0);
        demands.count(waited.parts().0, Some(Priority::Low), true);
        let mut last = waited;
        for line in 1..=MAX_IDLE + 1 {
            assert!(!demands.is_full());
            last = demands.add(demand(&format!("model-{line}")), line);
        }
        assert!(demands.is_full());
        assert_eq!(demands.forget_idle().len(), MAX_IDLE + 1);
        assert!(demands.find(last).is_none() && demands.find(waited).is_some());
        assert_eq!((demands.ids.len(), demands.names.len(), demands.name_ids.len()), (1, 1, 1));
        let again = demands.add(demand("model-1"), 1);
        assert!(demands.find(last).is_none(), "its place is used again and its number is not");
        assert_eq!(demands.id_of(&demand("model-1")), Some(again));
        demands.add(demand(&"x".repeat(MAX_IDLE_BYTES)), 2);
        assert!(demands.is_full());
        demands.forget_idle();
        demands.count(waited.parts().0, Some(Priority::Low), false);
        demands.forget_idle();
        assert!(demands.by_model.groups_for("waited for").is_empty());
        assert_eq!((demands.idle, demands.idle_bytes, demands.names.len()), (0, 0, 0));
    }

    #[test]
    fn demands_are_found_by_the_models_and_the_id_of_those_who_may_meet_them() {
        let mut demands = Demands::default();
        let mut add = |demand: Demand| demands.add(demand, 0).parts().0;
        let any = add(Demand::any());
        let loose = add(demand("llama-3"));
        let exact = add(Demand { model_match: ModelMatch::Exact, ..demand("llama-3") });
        let other = add(Demand { needs: Takes::Anything, ..demand("gpt") });
        let own = add(Demand { worker_id: Some(Name::new("w")), ..demand("llama") });
        add(Demand { model: Some(Name::ill_formed("llama-3")), ..Demand::any() });
        let models = |names: &[&str]| -> Vec<Arc<str>> { names.iter().map(|&name| name.into()).collect() };
        let met = |names: &[&str], takes| {
            let mut met = demands.met_by(&models(names), takes);
            met.sort_unstable();
            met
        };
        assert_eq!(met(&[], Takes::Objects), [any]);
        assert_eq!(met(&["llama-3"], Takes::Objects), [any, loose, exact]);
        assert_eq!(met(&["llama-3-70b", "gpt"], Takes::Objects), [any, loose]);
        assert_eq!(met(&["llama", "gpt"], Takes::Anything), [any, loose, other]);
        assert_eq!(demands.met_by_worker("w", &models(&["llama-3"]), Takes::Objects), [own]);
        assert!(demands.met_by_worker("v", &models(&["llama-3"]), Takes::Objects).is_empty());
    }
}
