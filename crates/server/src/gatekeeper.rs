//! Judges who comes in: upgrades on the runtime's threads, and registrations where the application has judged them.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;

use crate::accept::request_head::response;
use crate::connection_info::ConnectionInfo;
use crate::door::Refusal;
use crate::events::Event;
use crate::peer::{Peer, PeerId};
use crate::server::Server;
use crate::shared::Shared;
use worker_server_core::log::Line;
use worker_server_core::metrics::LimitName;
use worker_server_core::protocol::registration_refusal;
use worker_server_core::rules::Status;
use worker_server_core::worker::Snapshot;

impl Shared {
    /// What is known of a connection from `remote` that was opened by a request with this head.
    pub fn describe_connection(&self, remote: SocketAddr, head: &[u8]) -> ConnectionInfo {
        ConnectionInfo::new(remote, head, self.clock.now(), &self.config.door.trusted_proxies)
    }

    /// Judges an upgrade of `path` that is no endpoint's.
    ///
    /// # Errors
    /// The response that ends the connection.
    pub fn judge_upgrade(&self, path: &str, connection: &ConnectionInfo) -> Result<(), String> {
        let door = &self.config.door;
        if !door.is_worker_path(path) {
            return Err(response("404 Not Found", "", "Not found"));
        }
        if door.allowed_origins.is_some() && !door.allows_origin(connection.header("origin").as_deref()) {
            return Err(response("403 Forbidden", "", "Origin not allowed"));
        }
        let Some(failures) = &self.door.failures else { return Ok(()) };
        let locked_for = failures.lock().locked_for(connection.address, self.clock.now().elapsed_ms);
        match locked_for {
            Some(left_ms) if !self.door.has_right_bearer(connection) => {
                let retry_after = format!("Retry-After: {}\r\n", left_ms.div_ceil(1_000));
                Err(response("429 Too Many Requests", &retry_after, "Too many failed authentications"))
            }
            _ => Ok(()),
        }
    }

    /// A peer has given a wrong token, or the application did not want it.
    pub fn note_auth_failure(&self, peer: &Arc<Peer>) {
        self.metrics.auth_failed();
        let Some(failures) = &self.door.failures else { return };
        let address = peer.connection.address;
        if failures.lock().note(address, self.clock.now().elapsed_ms) {
            self.metrics.limit_hit(LimitName::MaxAuthFailures);
            let context = json!({ "remoteAddress": address.to_string() });
            self.log_for(peer, Line::warn("Too many failed authentications", context));
        }
    }
}

impl Server {
    /// The application lets a peer in that it has judged. [`Event::Approved`] comes when it is the turn of its
    /// registration: behind all that the connection has sent which it displaces. False if it is not waited for any
    /// more.
    pub fn approve(&self, id: PeerId) -> bool {
        let Some(peer) = self.shared.peer(id) else { return false };
        let Some(worker_id) = peer.proposed_id() else { return false };
        let replaces = self.shared.peer_of(&worker_id).filter(|&other| other != id);
        self.shared.events.push(Event::Approved { peer, replaces });
        true
    }

    /// The application does not let a peer in whose registration waits. False if it is not waited for any more.
    pub fn refuse(&self, id: PeerId, refusal: Refusal) -> bool {
        let Some(peer) = self.shared.peer(id).filter(|peer| peer.is_open() && peer.withdraw()) else { return false };
        match refusal {
            Refusal::NotAuthentic => self.shared.note_auth_failure(&peer),
            Refusal::Late => self.shared.metrics.limit_hit(LimitName::AuthTimeoutMs),
            Refusal::IdInUse => {}
        }
        let (error, closing) = refusal.words();
        peer.outbox.send(registration_refusal(error).into());
        self.shared.close(&peer, closing);
        true
    }

    /// The worker that a registration which waits would displace from another connection, if that worker can be
    /// reached: neither is its connection closing, nor is it unhealthy.
    pub fn rival(&self, id: PeerId) -> Option<Snapshot> {
        let peer = self.shared.peer(id).filter(|peer| peer.is_open())?;
        let worker_id = peer.proposed_id()?;
        let pool = self.shared.pool();
        let key = pool.key_of(&worker_id)?;
        let rival = pool.get(key)?;
        let is_rival =
            rival.peer.id != id && rival.peer.is_open() && !rival.closed && rival.status != Status::Unhealthy;
        is_rival.then(|| Snapshot::of(key, rival))
    }

    /// Bytes that are held of those who wait to be judged.
    pub fn held_at_the_door(&self) -> usize {
        self.shared.door.held()
    }

    /// From now on a worker must send one of these tokens; with `None` it needs none. Workers that are there stay.
    pub fn set_auth_tokens(&self, auth_tokens: Option<Vec<String>>) {
        let Shared { config, door, .. } = &*self.shared;
        let accepts_unregistered = config.accepts_unregistered(auth_tokens.as_deref());
        door.set_auth_tokens(auth_tokens, accepts_unregistered);
        if !accepts_unregistered {
            // Those that were heard without being workers must register in time.
            self.shared.peers().iter().filter(|peer| peer.worker().is_none()).for_each(|peer| peer.outbox.alert());
        }
    }
}
