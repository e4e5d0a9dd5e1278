//! Which workers may have got a free slot, for the part that gives slots to those that wait.
//!
//! While nobody waits nothing is noted, and a pool whose application never queues pays one comparison for that.

use std::collections::BTreeMap;

use super::Pool;
use crate::group::Group;
use crate::index::Index;
use crate::models::GroupId;
use crate::worker::{Worker, WorkerKey};

impl<P> Pool<P> {
    /// From now on every worker that may have got a free slot is noted; or none is, and the notes are thrown away.
    pub fn watch(&mut self, watched: bool) {
        self.watched = watched;
        if !watched {
            while self.pass_freed().is_some() {}
        }
    }

    /// The worker that was noted first, if any is.
    pub fn first_freed(&self) -> Option<WorkerKey> {
        self.freed.front().copied()
    }

    /// How many workers are noted.
    pub fn freed(&self) -> usize {
        self.freed.len()
    }

    /// Strikes the first note out: nobody that waits could take a slot of this worker.
    pub fn pass_freed(&mut self) -> Option<WorkerKey> {
        let key = self.freed.pop_front()?;
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.is_freed = false;
        }
        Some(key)
    }

    /// A worker may have got a free slot.
    pub fn note_freed(&mut self, key: WorkerKey) {
        if !self.watched {
            return;
        }
        let Some(worker) = self.workers.get_mut(&key).filter(|worker| worker.slots(None).load().is_some()) else {
            return;
        };
        if !std::mem::replace(&mut worker.is_freed, true) {
            self.freed.push_back(key);
        }
    }

    /// The group of a worker in the index.
    pub fn group_of(&self, worker: &Worker<P>) -> Option<&Group> {
        self.index.group(worker.group)
    }

    /// A group of the index.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.index.group(id)
    }

    /// The index, with all that has changed, and the workers.
    pub fn indexed(&mut self) -> (&mut Index, &BTreeMap<WorkerKey, Box<Worker<P>>>) {
        self.refresh();
        (&mut self.index, &self.workers)
    }
}
