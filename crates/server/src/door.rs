//! Who may come in: which tokens are right at present, who has failed too often, and what is held of those who wait to be judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::connection_info::ConnectionInfo;
use worker_server_core::config::ServerConfig;
use worker_server_core::door::failures::Failures;
use worker_server_core::protocol::Closing;
use worker_server_core::session::is_authentic;

/// What changes, while a server runs, in who may come in.
#[derive(Debug)]
pub struct Door {
    /// The tokens of which a worker must send one. `None`: none is asked for.
    auth_tokens: RwLock<Option<Arc<[String]>>>,
    accepts_unregistered: AtomicBool,
    /// Who has failed too often, if that is limited.
    pub(crate) failures: Option<Mutex<Failures>>,
    /// Bytes of the registrations that the application is judging, and of what was read behind them.
    held: Arc<AtomicUsize>,
}

/// Bytes that are held until it is dropped.
#[derive(Debug)]
pub struct Hold {
    held: Arc<AtomicUsize>,
    /// Of the registration itself.
    bytes: usize,
    /// Of what came behind it.
    behind: usize,
}

impl Hold {
    /// So many bytes are held besides, which came behind the registration.
    pub fn set_behind(&mut self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.held.fetch_sub(std::mem::replace(&mut self.behind, bytes), Ordering::Relaxed);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes + self.behind, Ordering::Relaxed);
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
    pub(crate) fn words(self) -> (&'static str, Closing) {
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

    /// Asks for one of these tokens from now on; with `None` for none. `accepts_unregistered`: what follows from that for peers that have not
    /// registered.
    pub fn set_auth_tokens(&self, auth_tokens: Option<Vec<String>>, accepts_unregistered: bool) {
        *self.auth_tokens.write() = auth_tokens.map(Into::into);
        self.accepts_unregistered.store(accepts_unregistered, Ordering::Relaxed);
    }

    /// Whether messages of peers that have not registered reach the application.
    pub fn accepts_unregistered(&self) -> bool {
        self.accepts_unregistered.load(Ordering::Relaxed)
    }

    /// Holds the bytes of a registration that the application is to judge.
    pub fn hold(&self, bytes: usize) -> Hold {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Hold { held: Arc::clone(&self.held), bytes, behind: 0 }
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether a connection has come with a right token in its upgrade.
    pub(crate) fn has_right_bearer(&self, connection: &ConnectionInfo) -> bool {
        let Some(tokens) = self.auth_tokens() else { return false };
        connection.bearer_token().is_some_and(|bearer| bearer.is_any_of(&tokens))
    }
}
