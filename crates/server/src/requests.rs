//! The part of [`Server`] that finds workers for requests, and sees to workers that change or leave.
//!
//! What is decided is in [`worker_server_core::requests`]; here it has the pool beside it, and the sockets behind it.

use std::sync::Arc;

use crate::events::Event;
use crate::peer::Peer;
use crate::server::Server;
use worker_server_core::clock::Moment;
use worker_server_core::json;
use worker_server_core::metadata::Metadata;
use worker_server_core::pool::{Drained, Drainer, Pool};
use worker_server_core::registration::{Capabilities, InvalidField};
use worker_server_core::requests::demand::Demand;
use worker_server_core::requests::demands::DemandId;
use worker_server_core::requests::explain::{Explanation, explain};
use worker_server_core::requests::{Grant, Place, QueueInfo, Requests, Slot, Submission, Submitted, Ticket};
use worker_server_core::worker::{Snapshot, WorkerKey};

impl Server {
    /// Now, as requests count time.
    pub fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    /// See [`Requests::intern`].
    pub fn intern(&self, demand: Demand) -> DemandId {
        let fleet = &mut *self.shared.fleet.lock();
        fleet.requests.intern(&mut fleet.pool, demand)
    }

    /// See [`Requests::submit`].
    pub fn submit(&self, submission: &Submission<'_>, now: Moment) -> Submitted {
        let fleet = &mut *self.shared.fleet.lock();
        fleet.requests.submit(&mut fleet.pool, submission, now)
    }

    /// See [`Requests::dispatch`].
    pub fn dispatch(&self) -> Option<Grant> {
        let fleet = &mut *self.shared.fleet.lock();
        fleet.requests.dispatch(&mut fleet.pool, self.shared.clock.now())
    }

    /// See [`Requests::withdraw`].
    pub fn withdraw(&self, ticket: Ticket) -> bool {
        let fleet = &mut *self.shared.fleet.lock();
        fleet.requests.withdraw(&mut fleet.pool, ticket)
    }

    /// A request that got a slot could not be sent: see [`Requests::refuse`]. Once the worker's outbox would take it,
    /// the worker takes requests again, and [`Event::Slots`] says so. If that is the case already it takes them at
    /// once.
    pub fn give_back(&self, key: WorkerKey, limit: Option<usize>, place: Place) {
        let fleet = &mut *self.shared.fleet.lock();
        let Some(worker) = fleet.pool.get(key) else { return };
        let peer = Arc::clone(&worker.peer);
        let slot = Slot { worker: Snapshot::of(key, worker), limit, place };
        Requests::refuse(&mut fleet.pool, &slot);
        // With the fleet locked, so that room which is found meanwhile counts afterwards.
        if peer.outbox.await_room() {
            fleet.pool.set_full(key, false);
        }
    }

    /// How long until [`Server::dispatch`] should be called although nothing happened, in ms. `None`: nothing is waited
    /// for but events.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let next = self.shared.fleet.lock().requests.next_wake()?;
        Some(next.saturating_sub(self.shared.clock.now().elapsed_ms))
    }

    /// See [`Requests::has_no_worker`]. `None` if the demand's number counts no longer.
    pub fn has_no_worker(&self, demand: DemandId) -> Option<bool> {
        let fleet = &mut *self.shared.fleet.lock();
        let demand = fleet.requests.demand(demand)?;
        Some(Requests::has_no_worker(&mut fleet.pool, demand))
    }

    /// See [`explain()`]. `None` if the demand's number counts no longer.
    pub fn explain(&self, demand: DemandId) -> Option<Explanation> {
        let fleet = self.shared.fleet.lock();
        fleet.requests.demand(demand).map(|demand| explain(&fleet.pool, demand))
    }

    /// What waits.
    pub fn queue_info(&self) -> QueueInfo {
        self.shared.fleet.lock().requests.info(self.shared.clock.now())
    }

    /// What `look` finds in the pool.
    pub fn with_pool<T>(&self, look: impl FnOnce(&Pool<Arc<Peer>>) -> T) -> T {
        look(&self.shared.pool())
    }

    /// See [`Requests::retry_after_ms`].
    pub fn retry_after_ms(&self) -> u64 {
        self.shared.fleet.lock().requests.retry_after_ms()
    }

    /// See [`worker_server_core::pool::Pool::set_draining`]. With it the worker's state afterwards.
    pub fn set_draining(&self, key: WorkerKey, drainer: Drainer, drains: bool) -> Option<(Drained, Snapshot)> {
        let mut pool = self.shared.pool();
        let change = pool.set_draining(key, drainer, drains)?;
        Some((change, Snapshot::of(key, pool.get(key)?)))
    }

    /// Replaces what a worker can do by the `capabilities` of an update message. `active_in` returns how many of its
    /// requests are of a category. `None` if there is no such worker, else its state afterwards.
    ///
    /// # Errors
    /// The first field that is missing or mistyped. Then nothing has changed.
    pub fn update_capabilities(
        &self,
        key: WorkerKey,
        message: &str,
        active_in: impl Fn(&str) -> u64,
    ) -> Result<Option<Snapshot>, InvalidField> {
        let [raw] = json::fields(message, ["capabilities"]).unwrap_or_default();
        let capabilities = Capabilities::read("capabilities", raw)?;
        let metadata = raw.map(Metadata::of_capabilities).unwrap_or_default();
        let mut pool = self.shared.pool();
        pool.set_capabilities(key, &capabilities, metadata, active_in);
        self.learn_models(&mut pool, key);
        Ok(pool.get(key).map(|worker| Snapshot::of(key, worker)))
    }

    /// Closes a worker's connection. It is closing from now on, and leaves when the application is notified of its end.
    /// What was published before must have been taken: see [`Server::take_submissions`]. False if there is no such
    /// worker.
    pub fn disconnect(&self, key: WorkerKey, code: u16, reason: &str) -> bool {
        let Some(peer) = self.shared.peer_with(key) else { return false };
        self.shared.shut(&peer);
        peer.outbox.close_as(code, reason);
        true
    }

    /// While this is set no more workers are let in, and those that try are asked to come again after this many
    /// seconds.
    pub fn set_retry_after(&self, seconds: Option<u32>) {
        *self.shared.retry_after.lock() = seconds;
    }

    /// Puts an [`Event::Barrier`] behind all that waits to be drained, one in each lane that has something. Returns how
    /// many lanes that were: when as many have been drained, so has all that was received before.
    pub fn barrier(&self, number: u64) -> usize {
        self.shared.events.push_behind_each(|lane| Event::Barrier { number, lane })
    }
}
