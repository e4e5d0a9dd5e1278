//! Finds the groups of workers that support a model name, and the best worker in them, without a scan.

use std::collections::{BTreeSet, HashMap, btree_set};
use std::slice;

use slab::Slab;

use super::group::{Group, Kind};
use super::models::{GroupId, ModelMatch, Models};
use super::worker::{Worker, WorkerKey};

/// How many names may be remembered, how many bytes of them, and how many groups for them. Beyond, all are forgotten
/// and found again: an application may pass on names that others made up.
const MAX_NAMES: usize = 1024;
const MAX_NAME_BYTES: usize = 256 << 10;
const MAX_LISTED: usize = 512 << 10;

/// The groups of a pool.
#[derive(Debug, Default)]
pub struct Index {
    ids: HashMap<Kind, GroupId>,
    groups: Slab<Group>,
    models: Models,
    names: Names,
}

/// Groups that somebody asks for.
#[derive(Debug)]
pub enum Asked<'a> {
    /// All.
    All(slab::Iter<'a, Group>),
    /// Those that serve a model themselves.
    Serving(&'a Slab<Group>, btree_set::Iter<'a, GroupId>),
    /// Those that support a name.
    Supporting(&'a Slab<Group>, slice::Iter<'a, GroupId>),
}

impl<'a> Iterator for Asked<'a> {
    type Item = (GroupId, &'a Group);

    fn next(&mut self) -> Option<Self::Item> {
        let (groups, id) = match self {
            Self::All(groups) => return groups.next(),
            Self::Serving(groups, ids) => (groups, *ids.next()?),
            Self::Supporting(groups, ids) => (groups, *ids.next()?),
        };
        groups.get(id).map(|group| (id, group))
    }
}

/// For each name asked for, the groups that support it.
#[derive(Debug, Default)]
struct Names {
    known: HashMap<Box<str>, Known>,
    bytes: usize,
    listed: usize,
    /// How many times groups have come or gone: a name is looked for anew if that was since.
    changes: u64,
}

#[derive(Debug)]
struct Known {
    changes: u64,
    groups: Box<[GroupId]>,
}

impl Index {
    /// Takes a worker in and notes its group on it.
    pub fn insert<P>(&mut self, key: WorkerKey, worker: &mut Worker<P>) {
        let kind = Kind::of(worker);
        worker.group = match self.ids.get_key_value(&kind) {
            Some((known, &id)) => {
                // One copy of the names serves all workers of the kind.
                worker.models = known.models().clone();
                id
            }
            None => self.add_group(kind),
        };
        if let Some(group) = self.groups.get_mut(worker.group) {
            group.insert(key, worker);
        }
    }

    /// Leaves a worker out.
    pub fn remove<P>(&mut self, key: WorkerKey, worker: &Worker<P>) {
        let Some(group) = self.groups.get_mut(worker.group) else { return };
        group.remove(key, worker);
        if group.is_empty() {
            self.groups.remove(worker.group);
            self.ids.remove(&Kind::of(worker));
            self.models.remove(&worker.models, worker.group);
            self.names.changes += 1;
        }
    }

    /// A worker of the index has changed.
    pub fn update<P>(&mut self, key: WorkerKey, worker: &mut Worker<P>) {
        if let Some(group) = self.groups.get_mut(worker.group) {
            group.update(key, worker);
        }
    }

    /// The least loaded worker that has the model `name` and may take a request of `category`.
    pub fn best(&mut self, name: &str, model_match: ModelMatch, category: Option<&str>) -> Option<WorkerKey> {
        self.asked(Some(name), model_match).filter_map(|(_, group)| group.best(category)).min().map(|(_, key)| key)
    }

    /// Free slots for `name` and `category`; `free` returns those of one worker.
    pub fn free(
        &mut self,
        name: &str,
        model_match: ModelMatch,
        category: Option<&str>,
        free: impl Fn(WorkerKey) -> f64,
    ) -> f64 {
        // Not `sum`, which makes -0 of nothing.
        self.asked(Some(name), model_match).fold(0.0, |sum, (_, group)| sum + group.free(category, &free))
    }

    /// An empty index in whose place this one was: no group of it is taken for one of that.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self { names: Names { changes: self.names.changes, ..Names::default() }, ..Self::default() }
    }

    /// The group of an id.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// The groups with the model that is asked for; without one, all.
    pub fn asked(&mut self, model: Option<&str>, model_match: ModelMatch) -> Asked<'_> {
        match (model, model_match) {
            (None, _) => Asked::All(self.groups.iter()),
            (Some(name), ModelMatch::Exact) => {
                Asked::Serving(&self.groups, self.models.groups_of(name).map(BTreeSet::iter).unwrap_or_default())
            }
            (Some(name), ModelMatch::Loose) => {
                Asked::Supporting(&self.groups, self.names.groups_for(name, &self.models).iter())
            }
        }
    }

    fn add_group(&mut self, kind: Kind) -> GroupId {
        self.names.changes += 1;
        let id = self.groups.insert(Group::new(kind.clone(), self.names.changes));
        self.models.add(kind.models(), id);
        self.ids.insert(kind, id);
        id
    }
}

impl Names {
    fn groups_for(&mut self, name: &str, models: &Models) -> &[GroupId] {
        if self.known.get(name).is_none_or(|known| known.changes != self.changes) {
            self.remember(name, models.groups_for(name).into());
        }
        self.known.get(name).map(|known| &*known.groups).unwrap_or_default()
    }

    fn remember(&mut self, name: &str, groups: Box<[GroupId]>) {
        self.forget(name);
        let is_full = self.known.len() >= MAX_NAMES
            || self.bytes + name.len() > MAX_NAME_BYTES
            || self.listed + groups.len() > MAX_LISTED;
        if is_full {
            self.known.clear();
            (self.bytes, self.listed) = (0, 0);
        }
        self.bytes += name.len();
        self.listed += groups.len();
        self.known.insert(name.into(), Known { changes: self.changes, groups });
    }

    fn forget(&mut self, name: &str) {
        if let Some(known) = self.known.remove(name) {
            self.bytes -= name.len();
            self.listed -= known.groups.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::registration::Capabilities;

    const LOOSE: ModelMatch = ModelMatch::Loose;
    const NOW: Moment = Moment { elapsed_ms: 0, unix_ms: 0 };

    /// An index of workers with a model of their own each, beside one that is within every name.
    fn index_of(count: u64) -> (Index, Vec<Worker<()>>) {
        let mut index = Index::default();
        let workers = (0..count).map(|number| {
            let models = vec![String::new(), format!("model-{number}")];
            let mut worker = Worker::new("w", &Capabilities { models, max: 1.0, limits: Vec::new() }, (), NOW);
            index.insert(WorkerKey(number), &mut worker);
            worker
        });
        let workers = workers.collect();
        (index, workers)
    }

    #[test]
    fn names_are_remembered_within_a_number_and_bytes_of_them() {
        let (mut index, _) = index_of(1);
        for number in 0..3 * MAX_NAMES {
            index.best(&format!("name {number}"), LOOSE, None);
            assert!(index.names.known.len() <= MAX_NAMES);
        }
        for number in 0..9 {
            index.best(&format!("{number}").repeat(MAX_NAME_BYTES / 4), LOOSE, None);
            let bytes: usize = index.names.known.keys().map(|name| name.len()).sum();
            assert!(bytes <= MAX_NAME_BYTES, "{bytes}");
            assert_eq!(bytes, index.names.bytes);
        }
    }

    #[test]
    fn groups_are_remembered_for_names_within_a_number() {
        let (mut index, workers) = index_of(2_000);
        for number in 0..2 * MAX_LISTED / workers.len() {
            index.best(&format!("name {number}"), LOOSE, None);
            let listed: usize = index.names.known.values().map(|known| known.groups.len()).sum();
            assert!(listed <= MAX_LISTED, "{listed}");
            assert_eq!(listed, index.names.listed);
        }
    }

    #[test]
    fn a_name_asked_for_again_after_groups_came_and_went_is_counted_once() {
        let (mut index, workers) = index_of(3);
        assert_eq!(index.best("model", LOOSE, None), Some(WorkerKey(0)));
        index.remove(WorkerKey(0), &workers[0]);
        assert_eq!(index.best("model", LOOSE, None), Some(WorkerKey(1)));
        assert_eq!((index.names.known.len(), index.names.bytes, index.names.listed), (1, 5, 2));
    }
}
