//! The part of [`Server`] that lets workers into the pool and out of it.

use std::sync::Arc;

use uuid::Uuid;

use crate::connection_info::ConnectionInfo;
use crate::peer::{Peer, PeerId};
use crate::server::Server;
use worker_server_core::pool::Pool;
use worker_server_core::protocol::{Closing, registration_ack};
use worker_server_core::worker::{Snapshot, Takes, WorkerKey};

/// A worker that was registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// Its state.
    pub snapshot: Snapshot,
    /// The session id in its ack.
    pub session_id: String,
    /// Its id.
    pub worker_id: String,
    /// Its name.
    pub worker_name: String,
    /// Where the application can read how much waits for it: a slot of [`Server::buffered_amount_page`].
    pub buffered_amount_index: usize,
}

/// What a worker that registers was found to know of this server's features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features<'a> {
    /// It takes requests of `request()`: all that it says is a sign of life from now on, and heartbeats that name its
    /// active requests are reported to the application.
    pub takes_requests: bool,
    /// Members of the ack behind the usual ones, as JSON text, each with a comma before it.
    pub ack_members: &'a str,
}

impl Server {
    /// First half of settling a registration: takes out the workers that it displaces, closing their sockets where
    /// they are others. Returns their last state; the application must be notified of them before [`Server::register`].
    /// A registration whose own socket is closing displaces nobody, and is not settled.
    pub fn displace(&self, id: PeerId) -> Vec<Snapshot> {
        let Some(peer) = self.shared.peer(id) else { return Vec::new() };
        let Some(registration) = peer.begin_settling() else { return Vec::new() };
        let mut replaced = Vec::new();
        let mut pool = self.shared.pool();
        let same_id = pool.key_of(&registration.worker_id);
        let same_peer = peer.worker().filter(|key| Some(*key) != same_id);
        let mut displaced = Vec::new();
        for key in same_peer.into_iter().chain(same_id) {
            if let Some(worker) = pool.remove(key) {
                displaced.push(Snapshot::of(key, &worker));
                worker.peer.forget_worker();
                if worker.peer.id != id {
                    replaced.push(worker.peer);
                }
            }
        }
        drop(pool);
        for peer in replaced {
            self.shared.close(&peer, Closing::REPLACED);
        }
        displaced
    }

    /// Second half of settling a registration: the pool entry, then the ack. `None` if the connection is not known
    /// any more, or its registration is not settled. The worker has named no features.
    pub fn register(&self, id: PeerId) -> Option<Registered> {
        self.register_with(id, &Features::default())
    }

    /// The same, of a worker with features.
    pub fn register_with(&self, id: PeerId, features: &Features<'_>) -> Option<Registered> {
        let peer = self.shared.peer(id)?;
        let registration = peer.settling()?;
        let session_id = Uuid::new_v4().to_string();
        let snapshot = {
            let mut pool = self.shared.pool();
            let now = self.shared.clock.now();
            let key = pool.add(&registration.worker_id, &registration.capabilities, Arc::clone(&peer), now);
            pool.set_offer(key, self.takes(features), registration.metadata);
            self.learn_models(&mut pool, key);
            peer.set_worker(Some(key));
            peer.set_attentive(features.takes_requests);
            peer.set_registered();
            if !peer.is_open() {
                pool.mark_closed(key);
            }
            pool.get(key).map(|worker| Snapshot::of(key, worker))?
        };
        self.shared.forget_stranger(&peer);
        let buffered_amount = self.shared.buffered_amounts.take();
        let buffered_amount_index = buffered_amount.index();
        peer.outbox.publish_in(Some(buffered_amount));
        let interval_ms = self.shared.config.heartbeat_interval_ms;
        let ack = registration_ack(&session_id, interval_ms, features.ack_members);
        self.shared.send_to(&peer, &ack.into());
        peer.settle();
        Some(Registered {
            snapshot,
            session_id,
            worker_id: registration.worker_id,
            worker_name: registration.worker_name,
            buffered_amount_index,
        })
    }

    /// Whence a connection came, until the application was notified of its end.
    pub fn connection_info(&self, id: PeerId) -> Option<ConnectionInfo> {
        self.shared.peer(id).map(|peer| peer.connection.clone())
    }

    /// The application is being notified of the end of a connection: takes its worker out. The snapshot is the worker's
    /// last.
    pub fn depart(&self, id: PeerId) -> Option<Snapshot> {
        let peer = self.shared.forget(id)?;
        let key = peer.worker()?;
        peer.forget_worker();
        self.shared.pool().remove(key).map(|worker| Snapshot::of(key, &worker))
    }

    /// A worker's models become labels of metrics, as far as there is room for more.
    pub(crate) fn learn_models(&self, pool: &mut Pool<Arc<Peer>>, key: WorkerKey) {
        pool.set_model_labels(key, |models| self.shared.metrics.models.learn(models));
    }

    fn takes(&self, features: &Features<'_>) -> Takes {
        if features.takes_requests {
            Takes::Anything
        } else if self.shared.config.has_request_types {
            Takes::Objects
        } else {
            Takes::Nothing
        }
    }
}
