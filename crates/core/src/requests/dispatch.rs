//! Free slots are given to those that wait.

use std::sync::Arc;

use super::choose::choose;
use super::submit::{next_pause, take_slot};
use super::waiting::handles::RequestId;
use super::{Grant, Place, Requests, Ticket};
use crate::clock::Moment;
use crate::pool::Pool;
use crate::worker::WorkerKey;

impl Requests {
    /// Gives a free slot to one of those that wait. `None`: no free slot is left that somebody could take.
    ///
    /// To be called, until it returns `None`, in the call in which something may have freed a slot, and at the latest
    /// at [`Requests::next_wake`].
    pub fn dispatch<P>(&mut self, pool: &mut Pool<P>, now: Moment) -> Option<Grant> {
        let (key, mut id) = self.next(pool, now)?;
        if self.promote(now.elapsed_ms) {
            id = self.first_for(pool, key)?;
        }
        let key = self.better_for(pool, id, now.elapsed_ms).unwrap_or(key);
        let request = self.waiting.take(id)?;
        self.forget(pool, id, &request);
        self.pace.on_slot(now.elapsed_ms);
        let demand = Arc::clone(self.demands.get(request.demand)?.demand());
        let slot = take_slot(pool, key, &demand, Place(request.arrival))?;
        Some(Grant { ticket: Ticket::of(id), slot })
    }

    /// Whether a slot is free that somebody waits for: selectors must not see it.
    pub fn owes_slot<P>(&mut self, pool: &mut Pool<P>, now: Moment) -> bool {
        self.next(pool, now).is_some()
    }

    /// When to call [`Requests::dispatch`] although nothing happened, as [`Moment::elapsed_ms`]: a request may go to a
    /// worker again that has rejected it.
    pub fn next_wake(&self) -> Option<u64> {
        self.pauses.first().map(|&(until_ms, _)| until_ms)
    }

    /// A worker with a free slot, and the request that gets it.
    fn next<P>(&mut self, pool: &mut Pool<P>, now: Moment) -> Option<(WorkerKey, RequestId)> {
        if self.waiting.len() == 0 {
            return None;
        }
        self.end_pauses(pool, now.elapsed_ms);
        loop {
            let key = pool.first_freed()?;
            if let Some(id) = self.first_for(pool, key) {
                return Some((key, id));
            }
            pool.pass_freed();
        }
    }

    /// The request that gets a free slot of a worker.
    fn first_for<P>(&mut self, pool: &Pool<P>, key: WorkerKey) -> Option<RequestId> {
        let worker = pool.get(key).filter(|worker| worker.slots(None).load().is_some())?;
        let boards = self.boards_of(pool, key);
        self.waiting.first_for(worker, boards)
    }

    /// If more than one worker has got a free slot: the one that should have this request, if the request is also the
    /// one that should have that worker's slot.
    fn better_for<P>(&mut self, pool: &mut Pool<P>, id: RequestId, now_ms: u64) -> Option<WorkerKey> {
        if pool.freed() < 2 {
            return None;
        }
        let request = self.waiting.get(id)?;
        let demand = self.demands.get(request.demand)?.demand();
        let key = choose(pool, demand, request.affinity(), request.avoid(), now_ms)?;
        (self.first_for(pool, key) == Some(id)).then_some(key)
    }

    /// Those that have waited for half of their queue time count one priority higher from now on, the oldest first.
    /// False if there are none.
    fn promote(&mut self, now_ms: u64) -> bool {
        let mut due = Vec::new();
        while let Some(&(half_ms, id)) = self.halves.first()
            && half_ms <= now_ms
        {
            self.halves.pop_first();
            due.extend(self.waiting.get(id).map(|request| (request.arrival, id)));
        }
        due.sort_unstable();
        for &(_, id) in &due {
            let Some(request) = self.waiting.get(id) else { continue };
            let (demand, before) = (request.demand, request.priority);
            self.waiting.promote(id);
            self.demands.count(demand, Some(before.higher()), true);
            self.demands.count(demand, Some(before), false);
        }
        !due.is_empty()
    }

    /// Lets requests go to the workers again that rejected them, where the pause is over.
    fn end_pauses<P>(&mut self, pool: &mut Pool<P>, now_ms: u64) {
        while let Some(&(until_ms, id)) = self.pauses.first()
            && until_ms <= now_ms
        {
            self.pauses.pop_first();
            let Some(request) = self.waiting.get(id) else { continue };
            let (demand, before, avoid) = (request.demand, request.line, request.avoid().to_vec());
            let line = self.line_for(demand, &avoid, now_ms);
            self.waiting.move_to(id, line);
            self.close_line(demand, before);
            self.pauses.extend(next_pause(&avoid, now_ms).map(|until_ms| (until_ms, id)));
            for avoid in avoid.iter().filter(|avoid| avoid.until_ms <= now_ms) {
                if let Some(key) = pool.key_of(&avoid.worker_id) {
                    pool.note_freed(key);
                }
            }
        }
    }
}
