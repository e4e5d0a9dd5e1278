//! Finds the groups of workers that support a model name, and the best worker in them, without a scan.

use std::collections::HashMap;

use slab::Slab;

use super::group::{Group, Kind};
use super::models::{GroupId, Models};
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

    /// The least loaded worker that supports `name` and may take a request of `category`.
    pub fn best(&mut self, name: &str, category: Option<&str>) -> Option<WorkerKey> {
        self.matching(name).filter_map(|group| group.best(category)).min().map(|(_, key)| key)
    }

    /// Free slots for `name` and `category`; `free` tells them for one worker.
    pub fn free(&mut self, name: &str, category: Option<&str>, free: impl Fn(WorkerKey) -> f64) -> f64 {
        // Not `sum`, which makes -0 of nothing.
        self.matching(name).fold(0.0, |sum, group| sum + group.free(category, &free))
    }

    fn add_group(&mut self, kind: Kind) -> GroupId {
        let id = self.groups.insert(Group::default());
        self.models.add(kind.models(), id);
        self.ids.insert(kind, id);
        self.names.changes += 1;
        id
    }

    fn matching(&mut self, name: &str) -> impl Iterator<Item = &Group> {
        let groups = self.names.groups_for(name, &self.models);
        groups.iter().filter_map(|&id| self.groups.get(id))
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
            index.best(&format!("name {number}"), None);
            assert!(index.names.known.len() <= MAX_NAMES);
        }
        for number in 0..9 {
            index.best(&format!("{number}").repeat(MAX_NAME_BYTES / 4), None);
            let bytes: usize = index.names.known.keys().map(|name| name.len()).sum();
            assert!(bytes <= MAX_NAME_BYTES, "{bytes}");
            assert_eq!(bytes, index.names.bytes);
        }
    }

    #[test]
    fn groups_are_remembered_for_names_within_a_number() {
        let (mut index, workers) = index_of(2_000);
        for number in 0..2 * MAX_LISTED / workers.len() {
            index.best(&format!("name {number}"), None);
            let listed: usize = index.names.known.values().map(|known| known.groups.len()).sum();
            assert!(listed <= MAX_LISTED, "{listed}");
            assert_eq!(listed, index.names.listed);
        }
    }

    #[test]
    fn a_name_asked_for_again_after_groups_came_and_went_is_counted_once() {
        let (mut index, workers) = index_of(3);
        assert_eq!(index.best("model", None), Some(WorkerKey(0)));
        index.remove(WorkerKey(0), &workers[0]);
        assert_eq!(index.best("model", None), Some(WorkerKey(1)));
        assert_eq!((index.names.known.len(), index.names.bytes, index.names.listed), (1, 5, 2));
    }
}
