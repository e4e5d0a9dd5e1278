//! Finds the groups of workers that support a model name, and the best worker in them, without a scan.

use std::collections::HashMap;

use super::group::{Group, Kind};
use super::rules::supports;
use super::worker::{Worker, WorkerKey};

/// How many names may be remembered, and how many bytes of them. Beyond, all are forgotten and found again:
/// an application may pass on names that others made up.
const MAX_NAMES: usize = 1024;
const MAX_NAME_BYTES: usize = 256 << 10;

/// Names a group within its index.
pub type GroupId = u64;

/// The groups of a pool.
#[derive(Debug, Default)]
pub struct Index {
    next_group: GroupId,
    ids: HashMap<Kind, GroupId>,
    groups: HashMap<GroupId, Group>,
    /// For each name asked for, the groups that support it.
    names: HashMap<Box<str>, Vec<GroupId>>,
    name_bytes: usize,
}

impl Index {
    /// Takes a worker in and notes its group on it.
    pub fn insert<P>(&mut self, key: WorkerKey, worker: &mut Worker<P>) {
        let kind = Kind::of(worker);
        worker.group = match self.ids.get(&kind) {
            Some(&id) => id,
            None => self.add_group(kind),
        };
        self.groups.entry(worker.group).or_default().insert(key, worker);
    }

    /// Leaves a worker out.
    pub fn remove<P>(&mut self, key: WorkerKey, worker: &Worker<P>) {
        let Some(group) = self.groups.get_mut(&worker.group) else { return };
        group.remove(key, worker);
        if group.is_empty() {
            self.groups.remove(&worker.group);
            self.ids.remove(&Kind::of(worker));
            for groups in self.names.values_mut() {
                groups.retain(|&id| id != worker.group);
            }
        }
    }

    /// A worker of the index has changed.
    pub fn update<P>(&mut self, key: WorkerKey, worker: &mut Worker<P>) {
        if let Some(group) = self.groups.get_mut(&worker.group) {
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
        self.next_group += 1;
        let id = self.next_group;
        for (name, groups) in &mut self.names {
            if kind_supports(&kind, name) {
                groups.push(id);
            }
        }
        self.ids.insert(kind, id);
        id
    }

    fn matching(&mut self, name: &str) -> impl Iterator<Item = &Group> {
        if !self.names.contains_key(name) {
            if self.names.len() >= MAX_NAMES || self.name_bytes + name.len() > MAX_NAME_BYTES {
                self.names.clear();
                self.name_bytes = 0;
            }
            let groups = self.ids.iter().filter(|(kind, _)| kind_supports(kind, name)).map(|(_, &id)| id).collect();
            self.names.insert(name.into(), groups);
            self.name_bytes += name.len();
        }
        let groups = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        groups.iter().filter_map(|id| self.groups.get(id))
    }
}

fn kind_supports(kind: &Kind, name: &str) -> bool {
    kind.models().iter().any(|model| supports(model, name))
}
