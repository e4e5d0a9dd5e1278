//! Who may come in: what is judged of an upgrade, and which tokens are right at present.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use serde_json::json;

use crate::accept::request_head::response;
use crate::connection_info::ConnectionInfo;
use crate::events::Event;
use crate::peer::{Peer, PeerId};
use crate::server::Server;
use crate::shared::Shared;
use worker_server_core::config::ServerConfig;
use worker_server_core::door::failures::Failures;
use worker_server_core::log::Line;
use worker_server_core::metrics::LimitName;
use worker_server_core::protocol::{Closing, registration_refusal};
use worker_server_core::rules::Status;
use worker_server_core::session::is_authentic;
use worker_server_core::worker::Snapshot;

/// What changes, while a server runs, in who may come in.
#[derive(Debug)]
pub struct Door {
    /// The tokens of which a worker must send one. `None`: none is asked for.
    auth_tokens: RwLock<Option<Arc<[String]>>>,
    accepts_unregistered: AtomicBool,
    /// Who has failed too often, if that is limited.
    failures: Option<Mutex<Failures>>,
    /// Bytes of the registrations that the application is judging.
    held: Arc<AtomicUsize>,
}

/// Bytes that are held until it is dropped.
#[derive(Debug)]
pub struct Hold {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Why the application does not let a worker in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not who it says.
    NotAuthentic,
    /// The application took too long.
    Late,
    /// Another connection has its id, and keeps it.
    IdInUse,
}

impl Refusal {
    /// What the worker is sent, and how it is closed.
    fn words(self) -> (&'static str, Closing) {
        match self {
            Self::NotAuthentic | Self::Late => ("Invalid authentication token", Closing::AUTHENTICATION_FAILED),
            Self::IdInUse => ("Id in use", Closing::ID_IN_USE),
        }
    }
}

impl Door {
    /// As the server was configured when it started.
    pub fn new(config: &ServerConfig) -> Self {
        let auth_tokens = config.auth_tokens.clone();
        Self {
            accepts_unregistered: AtomicBool::new(config.accepts_unregistered(auth_tokens.as_deref())),
            auth_tokens: RwLock::new(auth_tokens.map(Into::into)),
            held: Arc::default(),
            failures: config.limits.max_auth_failures.map(|max| Mutex::new(Failures::new(max))),
        }
    }

    fn auth_tokens(&self) -> Option<Arc<[String]>> {
        self.auth_tokens.read().clone()
    }

    /// Whether a registration with this raw token may go on, on a connection that was opened so.
    pub fn is_authentic(&self, token: Option<&str>, connection: &ConnectionInfo) -> bool {
        let tokens = self.auth_tokens();
        tokens.is_none_or(|tokens| is_authentic(token, || connection.bearer_token(), &tokens))
    }

    /// Whether messages of peers that have not registered reach the application.
    pub fn accepts_unregistered(&self) -> bool {
        self.accepts_unregistered.load(Ordering::Relaxed)
    }

    /// Holds the bytes of a registration that the application is to judge.
    pub fn hold(&self, bytes: usize) -> Hold {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Hold { held: Arc::clone(&self.held), bytes }
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether a connection has come with a right token in its upgrade.
    fn has_right_bearer(&self, connection: &ConnectionInfo) -> bool {
        let Some(tokens) = self.auth_tokens() else { return false };
        connection.bearer_token().is_some_and(|bearer| bearer.is_any_of(&tokens))
    }
}

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

    /// From now on a worker must send one of these tokens; with `None` it needs none. Workers that are there stay.
    pub fn set_auth_tokens(&self, auth_tokens: Option<Vec<String>>) {
        let Shared { config, door, .. } = &*self.shared;
        let accepts_unregistered = config.accepts_unregistered(auth_tokens.as_deref());
        *door.auth_tokens.write() = auth_tokens.map(Into::into);
        door.accepts_unregistered.store(accepts_unregistered, Ordering::Relaxed);
        if !accepts_unregistered {
            // Those that were heard without being workers must register in time.
            self.shared.peers().iter().filter(|peer| peer.worker().is_none()).for_each(|peer| peer.outbox.alert());
        }
    }
}
