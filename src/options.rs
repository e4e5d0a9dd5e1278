//! What JavaScript passes when it starts a server, and the numbers in it.

use std::time::Duration;

use napi_derive::napi;

use worker_server_core::config::{Limits, ServerConfig};
use worker_server_core::door::DoorConfig;
use worker_server_core::door::network::Network;
use worker_server_core::models::ModelMatch;
use worker_server_core::requests::QueueLimits;

/// [`ServerConfig`], as `lib/server/options.js` makes it. Times are in milliseconds, sizes in bytes.
#[napi(object)]
#[allow(missing_docs, reason = "the fields are those of ServerConfig")]
pub struct NativeOptions {
    pub port: u16,
    pub host: Option<String>,
    pub reuse_port: Option<bool>,
    pub auth_tokens: Option<Vec<String>>,
    pub accept_unregistered: Option<bool>,
    pub heartbeat_timeout_ms: f64,
    pub health_check_interval_ms: f64,
    pub heartbeat_interval_ms: f64,
    pub ping_interval_ms: Option<f64>,
    pub logging: bool,
    pub relay_port: Option<u16>,
    /// Whether memory is shared: see [`crate::shared_memory`].
    pub shares_memory: bool,
    pub limits: NativeLimits,
    pub queue: Option<NativeQueueLimits>,
    /// Whether the selectors compare models by equality.
    pub exact_models: Option<bool>,
    /// Whether workers that named no feature take requests with plain objects.
    pub request_types: Option<bool>,
    /// Whether the application judges registrations.
    pub authenticates: Option<bool>,
    pub allowed_origins: Option<Vec<String>>,
    pub worker_path: Option<Vec<String>>,
    /// Addresses and CIDR ranges that [`first_wrong_network`] has found to be right.
    pub trust_proxy: Option<Vec<String>>,
}

/// The place of the first text that is neither an IP address nor a CIDR range.
#[napi(catch_unwind)]
pub fn first_wrong_network(texts: Vec<String>) -> Option<u32> {
    let place = texts.iter().position(|text| Network::parse(text).is_none())?;
    u32::try_from(place).ok()
}

/// [`QueueLimits`], as `lib/server/options.js` makes them: Infinity is no bound.
#[napi(object)]
#[allow(missing_docs, reason = "the fields are those of QueueLimits")]
pub struct NativeQueueLimits {
    pub max_size: f64,
    pub max_bytes: f64,
    pub max_per_key: Option<f64>,
}

/// [`Limits`], as `lib/server/options.js` makes them, and as it learns of their defaults.
#[napi(object)]
#[allow(missing_docs, reason = "the fields are those of Limits")]
pub struct NativeLimits {
    pub max_message_bytes: f64,
    pub head_timeout_ms: f64,
    pub max_head_bytes: f64,
    pub registration_timeout_ms: f64,
    pub max_connections: f64,
    pub max_unregistered: f64,
    /// 0: no limit.
    pub max_auth_failures: f64,
    pub max_queued_bytes: f64,
    pub stall_timeout_ms: f64,
    pub max_unhandled_bytes: f64,
    pub max_unhandled_bytes_total: f64,
    pub stop_grace_ms: f64,
}

/// A double from JavaScript as a count: at least 0, at most what fits.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is wanted")]
pub fn count(value: f64) -> usize {
    value as usize
}

/// A double from JavaScript as a whole number: a time, a key, a count.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is wanted")]
pub fn whole(value: f64) -> u64 {
    value as u64
}

/// A century, in milliseconds: longer than any process runs. A time after now, be it three such times, can still be
/// represented by every clock.
const FOREVER_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// A time from JavaScript, where infinity is one that never comes.
fn time_ms(value: f64) -> u64 {
    whole(value).min(FOREVER_MS)
}

fn duration(value: f64) -> Duration {
    Duration::from_millis(time_ms(value))
}

/// A time for JavaScript, in milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_millis() as f64
}

impl From<NativeOptions> for ServerConfig {
    fn from(options: NativeOptions) -> Self {
        Self {
            port: options.port,
            host: options.host,
            reuse_port: options.reuse_port.unwrap_or_default(),
            auth_tokens: options.auth_tokens,
            accept_unregistered: options.accept_unregistered,
            heartbeat_timeout_ms: time_ms(options.heartbeat_timeout_ms),
            health_check_interval_ms: time_ms(options.health_check_interval_ms),
            heartbeat_interval_ms: options.heartbeat_interval_ms,
            ping_interval: options.ping_interval_ms.filter(|interval| interval.is_finite()).map(duration),
            logging: options.logging,
            relay_port: options.relay_port,
            queue: options.queue.map(Into::into).unwrap_or_default(),
            model_match: if options.exact_models.unwrap_or_default() { ModelMatch::Exact } else { ModelMatch::Loose },
            has_request_types: options.request_types.unwrap_or_default(),
            door: DoorConfig {
                authenticates: options.authenticates.unwrap_or_default(),
                allowed_origins: options.allowed_origins,
                worker_paths: options.worker_path,
                trusted_proxies: options.trust_proxy.iter().flatten().filter_map(|text| Network::parse(text)).collect(),
            },
            limits: options.limits.into(),
        }
    }
}

impl From<NativeLimits> for Limits {
    fn from(limits: NativeLimits) -> Self {
        Self {
            max_message_bytes: count(limits.max_message_bytes),
            head_timeout: duration(limits.head_timeout_ms),
            max_head_bytes: count(limits.max_head_bytes),
            registration_timeout: duration(limits.registration_timeout_ms),
            max_connections: count(limits.max_connections),
            max_unregistered: count(limits.max_unregistered),
            max_auth_failures: Some(count(limits.max_auth_failures)).filter(|&max| max > 0),
            max_queued_bytes: count(limits.max_queued_bytes),
            stall_timeout: duration(limits.stall_timeout_ms),
            max_unhandled_bytes: count(limits.max_unhandled_bytes),
            max_unhandled_bytes_total: count(limits.max_unhandled_bytes_total),
            stop_grace: duration(limits.stop_grace_ms),
        }
    }
}

impl From<Limits> for NativeLimits {
    fn from(limits: Limits) -> Self {
        Self {
            max_message_bytes: limits.max_message_bytes as f64,
            head_timeout_ms: ms(limits.head_timeout),
            max_head_bytes: limits.max_head_bytes as f64,
            registration_timeout_ms: ms(limits.registration_timeout),
            max_connections: limits.max_connections as f64,
            max_unregistered: limits.max_unregistered as f64,
            max_auth_failures: limits.max_auth_failures.unwrap_or_default() as f64,
            max_queued_bytes: limits.max_queued_bytes as f64,
            stall_timeout_ms: ms(limits.stall_timeout),
            max_unhandled_bytes: limits.max_unhandled_bytes as f64,
            max_unhandled_bytes_total: limits.max_unhandled_bytes_total as f64,
            stop_grace_ms: ms(limits.stop_grace),
        }
    }
}

impl From<NativeQueueLimits> for QueueLimits {
    fn from(limits: NativeQueueLimits) -> Self {
        Self {
            max_size: whole(limits.max_size),
            max_bytes: whole(limits.max_bytes),
            max_per_key: limits.max_per_key.map(whole),
        }
    }
}
