//! Who may come in: what is judged of an upgrade, and which tokens are right at present.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use serde_json::json;

use crate::accept::request_head::response;
use crate::connection_info::ConnectionInfo;
use crate::peer::Peer;
use crate::server::Server;
use crate::shared::Shared;
use worker_server_core::config::ServerConfig;
use worker_server_core::door::failures::Failures;
use worker_server_core::log::Line;
use worker_server_core::metrics::LimitName;
use worker_server_core::session::is_authentic;

/// What changes, while a server runs, in who may come in.
#[derive(Debug)]
pub struct Door {
    /// The tokens of which a worker must give one. `None`: none is asked for.
    auth_tokens: RwLock<Option<Arc<[String]>>>,
    accepts_unregistered: AtomicBool,
    /// Who has failed too often, if that is limited.
    failures: Option<Mutex<Failures>>,
}

impl Door {
    /// As the server was told when it started.
    pub fn new(config: &ServerConfig) -> Self {
        let auth_tokens = config.auth_tokens.clone();
        Self {
            accepts_unregistered: AtomicBool::new(config.accepts_unregistered(auth_tokens.as_deref())),
            auth_tokens: RwLock::new(auth_tokens.map(Into::into)),
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
    /// From now on a worker must give one of these tokens; with `None` it needs none. Workers that are there stay.
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
