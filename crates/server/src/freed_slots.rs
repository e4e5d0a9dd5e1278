//! What frees a slot on a thread of the runtime: an unhealthy worker is heard of again, an outbox has room again.
//!
//! The application's thread gives slots away. It learns of such a slot by [`Event::Slots`], if a request waits that
//! could take it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::events::Event;
use crate::events::slots_pending::SlotsPending;
use crate::peer::Peer;
use crate::shared::Shared;
use worker_server_core::clock::Moment;
use worker_server_core::pool::Pool;

impl Shared {
    /// A heartbeat that names a worker. False if there is none of that id, or its socket is closed.
    pub fn heartbeat(&self, worker_id: &str, now: Moment) -> bool {
        self.change_pool(|pool| pool.heartbeat(worker_id, now))
    }

    /// The peer's worker, if any, was heard of.
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
}
