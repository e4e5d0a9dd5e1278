//! What a server can be configured with, and the defaults. Every time is in milliseconds, every size in bytes.

use std::time::Duration;

use super::door::DoorConfig;
use super::health;
use super::models::ModelMatch;
use super::requests::QueueLimits;

/// Defaults of what only JavaScript sees to: the life of a request, and the end of a server.
pub mod defaults {
    use std::time::Duration;

    /// The option `timeoutMs` of a request: for all of it.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
    /// The option `idleTimeoutMs` of a request. 0: a worker may say nothing for as long as it likes.
    pub const IDLE_TIMEOUT: Duration = Duration::ZERO;
    /// The option `maxAttempts` of a request.
    pub const MAX_ATTEMPTS: u32 = 1;
    /// The option `queue.timeoutMs`: how long a request waits for a slot.
    pub const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);
    /// `limits.cancelGraceMs`: how long a worker may take to confirm that it let go of a request.
    pub const CANCEL_GRACE: Duration = Duration::from_secs(30);
    /// `limits.resumeGraceMs`: how long the requests of a lost worker wait for it.
    pub const RESUME_GRACE: Duration = Duration::from_secs(10);
    /// `limits.maxStreamBytes`: chunks of one stream that nobody has read.
    pub const MAX_STREAM_BYTES: usize = 16 << 20;
    /// `limits.authTimeoutMs`: how long the application may take to judge a registration.
    pub const AUTH_TIMEOUT: Duration = Duration::from_secs(10);
    /// The option `timeoutMs` of `drain()`.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
}

/// Limits that protect the server from its peers. Crossing one costs that connection at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message; a larger one closes the connection with 1009. Default: 100 MiB, as npm's `ws`.
    pub max_message_bytes: usize,
    /// Time for a whole request head to arrive, else 408. Default: 10,000.
    pub head_timeout: Duration,
    /// Largest request head, else 431. Default: 16 KiB.
    pub max_head_bytes: usize,
    /// Time from connecting to registering, else close 4004. Default: 30,000.
    pub registration_timeout: Duration,
    /// Worker connections in all; beyond, 503. Default: 100,000.
    pub max_connections: usize,
    /// Connections that have neither registered nor sent anything that a handler took; beyond, 503.
    /// Default: 10,000.
    pub max_unregistered: usize,
    /// Failed authentications of an address within a minute; at this many its upgrades are answered with 429 for a
    /// minute. Default: no limit.
    pub max_auth_failures: Option<usize>,
    /// Bytes waiting to be sent to one worker; beyond, `send` returns false. Default: 64 MiB.
    pub max_queued_bytes: usize,
    /// Time in which a peer takes none of the data that waits for it, else close 4008. Default: 30,000.
    pub stall_timeout: Duration,
    /// Bytes received on one connection and not yet handled; at this many its reading pauses.
    /// Default: 16 MiB.
    pub max_unhandled_bytes: usize,
    /// The same over all connections. Default: 256 MiB.
    pub max_unhandled_bytes_total: usize,
    /// Time that `stop` gives its peers to answer before it cuts them off. Default: 5,000.
    pub stop_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 100 << 20,
            head_timeout: Duration::from_secs(10),
            max_head_bytes: 16 << 10,
            registration_timeout: Duration::from_secs(30),
            max_connections: 100_000,
            max_unregistered: 10_000,
            max_auth_failures: None,
            max_queued_bytes: 64 << 20,
            stall_timeout: Duration::from_secs(30),
            max_unhandled_bytes: 16 << 20,
            max_unhandled_bytes_total: 256 << 20,
            stop_grace: Duration::from_secs(5),
        }
    }
}

/// Everything that a server is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// TCP port; 0 lets the operating system choose.
    pub port: u16,
    /// The IP address to listen on. `None`: all interfaces. A host name would be looked up, and waited for.
    pub host: Option<String>,
    /// Whether other processes that have this too may listen on the same port. Default: no.
    pub reuse_port: bool,
    /// The tokens of which a worker must present one. `None`: no token is asked for.
    pub auth_tokens: Option<Vec<String>>,
    /// Whether messages of peers that have not registered are accepted. `None`: only if no token is asked for, and the
    /// application judges nobody.
    pub accept_unregistered: Option<bool>,
    /// Silence after which a worker is unhealthy; after three times as long it is closed. Default: 60,000.
    pub heartbeat_timeout_ms: u64,
    /// How often health is judged. Default: 10,000.
    pub health_check_interval_ms: u64,
    /// What workers are asked to use as their heartbeat interval, passed on as it is. Default: 15,000.
    pub heartbeat_interval_ms: f64,
    /// How often peers are pinged; one that answers no ping for the heartbeat timeout is closed. Default: never.
    pub ping_interval: Option<Duration>,
    /// Whether log lines are wanted at all.
    pub logging: bool,
    /// The loopback port to which connections that are Node's are relayed. `None`: they change hands as descriptors.
    pub relay_port: Option<u16>,
    /// How many requests may wait for a worker.
    pub queue: QueueLimits,
    /// How the selectors compare models. Default: loose.
    pub model_match: ModelMatch,
    /// Whether workers that named no feature take requests too, those whose payload is a plain object. Default: no.
    pub has_request_types: bool,
    /// Who may come in, beside the tokens.
    pub door: DoorConfig,
    /// See [`Limits`].
    pub limits: Limits,
}

impl ServerConfig {
    /// Whether messages of peers that have not registered reach the application, while these are the tokens. An empty
    /// token is none: who presents none passes.
    pub fn accepts_unregistered(&self, auth_tokens: Option<&[String]>) -> bool {
        let asks_for_token = || auth_tokens.is_some_and(|tokens| tokens.iter().all(|token| !token.is_empty()));
        self.accept_unregistered.unwrap_or_else(|| !self.door.authenticates && !asks_for_token())
    }

    /// How long a peer may be silent before it is presumed dead.
    pub fn death_timeout(&self) -> Duration {
        Duration::from_millis(self.heartbeat_timeout_ms).saturating_mul(health::DEAD_AFTER_TIMEOUTS)
    }

    /// The shortest of the times by which peers are judged.
    pub fn shortest_limit(&self) -> Duration {
        let limits = &self.limits;
        let heartbeat = Duration::from_millis(self.heartbeat_timeout_ms);
        [heartbeat, limits.head_timeout, limits.registration_timeout, limits.stall_timeout]
            .into_iter()
            .filter(|limit| !limit.is_zero())
            .min()
            .unwrap_or(Duration::MAX)
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            port: 0,
            host: None,
            reuse_port: false,
            auth_tokens: None,
            accept_unregistered: None,
            heartbeat_timeout_ms: 60_000,
            health_check_interval_ms: 10_000,
            heartbeat_interval_ms: 15_000.0,
            ping_interval: None,
            logging: true,
            relay_port: None,
            queue: QueueLimits::default(),
            model_match: ModelMatch::Loose,
            has_request_types: false,
            door: DoorConfig::default(),
            limits: Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_accepted_where_nothing_is_asked_of_workers_unless_it_is_said_otherwise() {
        let accepts = |tokens: Option<&[&str]>, authenticates, accept_unregistered| {
            let tokens: Option<Vec<_>> = tokens.map(|tokens| tokens.iter().map(|&token| token.to_owned()).collect());
            let door = DoorConfig { authenticates, ..DoorConfig::default() };
            let config = ServerConfig { accept_unregistered, door, ..ServerConfig::default() };
            config.accepts_unregistered(tokens.as_deref())
        };
        assert!(accepts(None, false, None));
        assert!(accepts(Some(&[""]), false, None), "who gives none passes");
        assert!(!accepts(Some(&["token"]), false, None));
        assert!(!accepts(Some(&[]), false, None), "nobody passes");
        assert!(accepts(Some(&["token"]), false, Some(true)));
        assert!(!accepts(None, false, Some(false)));
        assert!(!accepts(None, true, None));
        assert!(!accepts(Some(&[""]), true, None));
        assert!(accepts(None, true, Some(true)));
    }
}
