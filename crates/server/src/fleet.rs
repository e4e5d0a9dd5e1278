//! The workers of a server and the requests that look for one, behind one lock.
//!
//! Most of what frees a slot happens on the application's thread, which gives it away in the same call. What happens elsewhere (an
//! unhealthy worker is heard of again, an outbox has room again) is told by [`Event::Slots`], if somebody waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{MappedMutexGuard, MutexGuard};

use crate::events::Event;
use crate::events::slots_pending::SlotsPending;
use crate::peer::Peer;
use crate::shared::Shared;
use worker_server_core::clock::Moment;
use worker_server_core::config::ServerConfig;
use worker_server_core::pool::Pool;
use worker_server_core::requests::Requests;
use worker_server_core::worker::WorkerKey;

/// What is decided about workers and requests is decided with both at hand.
#[derive(Debug)]
pub struct Fleet {
    /// The registered workers. Entries come and go on the application's thread alone.
    pub pool: Pool<Arc<Peer>>,
    /// The requests that look for one. They change on the application's thread alone.
    pub requests: Requests,
}

impl Fleet {
    /// Nobody has registered, and nobody waits.
    pub fn new(config: &ServerConfig) -> Self {
        Self { pool: Pool::with_model_match(config.model_match), requests: Requests::new(config.queue) }
    }

    /// The server stops: all workers and all that wait are gone.
    pub fn clear(&mut self) {
        self.requests.clear(&mut self.pool);
        self.pool.clear();
    }

    /// Changes the pool on a thread of the runtime. Returns what `change` returns, and whether somebody who waits could take a slot now
    /// that was not free before.
    fn change<T>(&mut self, change: impl FnOnce(&mut Pool<Arc<Peer>>) -> T) -> (T, bool) {
        // While nobody waits the pool notes nothing.
        let before = self.pool.freed();
        let changed = change(&mut self.pool);
        (changed, self.pool.freed() > before)
    }
}

impl Shared {
    /// The registered workers.
    pub fn pool(&self) -> MappedMutexGuard<'_, Pool<Arc<Peer>>> {
        MutexGuard::map(self.fleet.lock(), |fleet| &mut fleet.pool)
    }

    /// A heartbeat that names a worker. False if there is none of that id, or its socket is closed.
    pub fn heartbeat(&self, worker_id: &str, now: Moment) -> bool {
        self.change_pool(|pool| pool.heartbeat(worker_id, now))
    }

    /// The peer's worker, if any, gave a sign of life.
    pub fn touch(&self, peer: &Peer) {
        if let Some(key) = peer.worker() {
            self.change_pool(|pool| pool.touch(key, self.clock.now()));
        }
    }

    /// The outbox of a peer that has refused a message may have room again: then its worker takes requests again.
    pub fn on_room(&self, peer: &Peer) {
        self.change_pool(|pool| {
            if peer.outbox.take_room()
                && let Some(key) = peer.worker()
            {
                pool.set_full(key, false);
            }
        });
    }

    fn change_pool<T>(&self, change: impl FnOnce(&mut Pool<Arc<Peer>>) -> T) -> T {
        let (changed, has_freed) = self.fleet.lock().change(change);
        if has_freed && !self.slots_pending.swap(true, Ordering::SeqCst) {
            self.events.push(Event::Slots { pending: SlotsPending::new(&self.slots_pending) });
        }
        changed
    }

    /// The peer of a worker.
    pub fn peer_with(&self, key: WorkerKey) -> Option<Arc<Peer>> {
        self.pool().get(key).map(|worker| Arc::clone(&worker.peer))
    }
}
