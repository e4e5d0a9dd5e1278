//! Names, tables and defaults: what is no single number.

use napi_derive::napi;

use crate::metrics::MetricLabels;
use crate::options::{NativeLimits, ms};
use worker_server::tls::secure_context::{self, MinVersion};
use worker_server_core::config::{ServerConfig, defaults};
use worker_server_core::log::Level;
use worker_server_core::models::ModelMatch;
use worker_server_core::requests::{Priority, QueueLimits};
use worker_server_core::rules::{Status, status_after_heartbeat, status_after_release, status_after_track};

/// An example of each [`Fill`](super::Fill), in their order: active requests, and the maximum.
const FILLS: [(f64, f64); 3] = [(0.0, 1.0), (1.0, 1.0), (f64::NAN, 1.0)];

/// The next status for each [`StatusRule`](super::StatusRule), status and [`Fill`](super::Fill), one after the other.
fn status_rules() -> Vec<u32> {
    [status_after_track, status_after_release, status_after_heartbeat]
        .iter()
        .flat_map(|rule| Status::ALL.map(|status| FILLS.map(|(active, max)| rule(status, active, max) as u32)))
        .flatten()
        .collect()
}

/// What is no single number.
#[napi(object, object_from_js = false)]
pub struct Tables {
    /// The statuses of a worker. They cross as their places.
    pub statuses: Vec<&'static str>,
    /// For each rule, status and fill the place of the next status.
    pub status_rules: Vec<u32>,
    /// The methods of a logger. Levels cross as their places.
    pub levels: Vec<&'static str>,
    /// The option `priority`. Priorities cross as their places.
    pub priorities: Vec<&'static str>,
    /// The option `modelMatch`.
    pub model_matches: Vec<&'static str>,
    /// The option `tls.minVersion`. Versions cross as their places.
    pub tls_versions: Vec<&'static str>,
    /// What labels of metrics are called. Their values cross as their places.
    pub metric_labels: MetricLabels,
    /// What holds where an option is not given.
    pub defaults: Defaults,
}

/// The defaults of options, by their names. Times are in milliseconds, sizes in bytes.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of the options in index.d.ts")]
pub struct Defaults {
    pub server: ServerDefaults,
    /// Of `WorkerServerLimits`, together with `request_limits`.
    pub limits: NativeLimits,
    pub request_limits: RequestLimitDefaults,
    pub queue: QueueDefaults,
    pub request: RequestDefaults,
    pub drain: DrainDefaults,
    pub tls: TlsDefaults,
}

/// Of `WorkerServerOptions`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of ServerConfig")]
pub struct ServerDefaults {
    pub heartbeat_timeout_ms: f64,
    pub health_check_interval_ms: f64,
    pub heartbeat_interval_ms: f64,
    pub ping_interval_ms: f64,
    pub reuse_port: bool,
    pub model_match: &'static str,
}

/// Of `WorkerServerLimits`, those that JavaScript keeps itself.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of config::defaults")]
pub struct RequestLimitDefaults {
    pub auth_timeout_ms: f64,
    pub cancel_grace_ms: f64,
    pub resume_grace_ms: f64,
    pub max_stream_bytes: f64,
}

/// Of `QueueOptions`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of QueueLimits and of config::defaults")]
pub struct QueueDefaults {
    pub max_size: f64,
    pub max_bytes: f64,
    pub timeout_ms: f64,
}

/// Of `RequestOptions`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of config::defaults")]
pub struct RequestDefaults {
    pub priority: &'static str,
    pub timeout_ms: f64,
    pub idle_timeout_ms: f64,
    pub max_attempts: u32,
}

/// Of the options of `drain()`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of config::defaults")]
pub struct DrainDefaults {
    pub timeout_ms: f64,
}

/// Of `TlsOptions`.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of Material")]
pub struct TlsDefaults {
    pub request_cert: bool,
    pub reject_unauthorized: bool,
    pub min_version: &'static str,
}

/// All tables.
#[napi(namespace = "abi", catch_unwind)]
pub fn tables() -> Tables {
    let config = ServerConfig::default();
    Tables {
        statuses: Status::ALL.map(Status::as_str).to_vec(),
        status_rules: status_rules(),
        levels: Level::ALL.map(Level::as_str).to_vec(),
        priorities: Priority::ALL.map(Priority::as_str).to_vec(),
        model_matches: ModelMatch::ALL.map(ModelMatch::as_str).to_vec(),
        tls_versions: MinVersion::ALL.map(MinVersion::as_str).to_vec(),
        metric_labels: MetricLabels::all(),
        defaults: Defaults {
            server: ServerDefaults {
                heartbeat_timeout_ms: config.heartbeat_timeout_ms as f64,
                health_check_interval_ms: config.health_check_interval_ms as f64,
                heartbeat_interval_ms: config.heartbeat_interval_ms,
                // To JavaScript 0 is never.
                ping_interval_ms: config.ping_interval.map_or(0.0, ms),
                reuse_port: config.reuse_port,
                model_match: config.model_match.as_str(),
            },
            limits: config.limits.into(),
            request_limits: RequestLimitDefaults {
                auth_timeout_ms: ms(defaults::AUTH_TIMEOUT),
                cancel_grace_ms: ms(defaults::CANCEL_GRACE),
                resume_grace_ms: ms(defaults::RESUME_GRACE),
                max_stream_bytes: defaults::MAX_STREAM_BYTES as f64,
            },
            queue: config.queue.into(),
            request: RequestDefaults {
                priority: Priority::default().as_str(),
                timeout_ms: ms(defaults::REQUEST_TIMEOUT),
                idle_timeout_ms: ms(defaults::IDLE_TIMEOUT),
                max_attempts: defaults::MAX_ATTEMPTS,
            },
            drain: DrainDefaults { timeout_ms: ms(defaults::DRAIN_TIMEOUT) },
            tls: TlsDefaults {
                request_cert: secure_context::defaults::REQUEST_CERT,
                reject_unauthorized: secure_context::defaults::REJECT_UNAUTHORIZED,
                min_version: MinVersion::default().as_str(),
            },
        },
    }
}

impl From<QueueLimits> for QueueDefaults {
    fn from(limits: QueueLimits) -> Self {
        Self {
            max_size: limits.max_size as f64,
            max_bytes: limits.max_bytes as f64,
            timeout_ms: ms(defaults::QUEUE_TIMEOUT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fill, StatusRule};
    use super::*;

    #[test]
    fn names_stand_where_their_numbers_say() {
        assert!(Status::ALL.iter().enumerate().all(|(place, &status)| status as usize == place));
        assert!(Level::ALL.iter().enumerate().all(|(place, &level)| level as usize == place));
    }

    #[test]
    fn the_rules_of_statuses_are_those_of_the_core() {
        let table = status_rules();
        let next = |rule: StatusRule, status: Status, fill: Fill| {
            let row = rule as usize * Status::ALL.len() + status as usize;
            Status::ALL[table[row * FILLS.len() + fill as usize] as usize]
        };
        assert_eq!(table.len(), 36);
        assert_eq!(next(StatusRule::Track, Status::Draining, Fill::AtMax), Status::Busy);
        assert_eq!(next(StatusRule::Track, Status::Available, Fill::BelowMax), Status::Available);
        assert_eq!(next(StatusRule::Release, Status::Busy, Fill::BelowMax), Status::Available);
        assert_eq!(next(StatusRule::Release, Status::Busy, Fill::Unknown), Status::Busy);
        assert_eq!(next(StatusRule::Heartbeat, Status::Unhealthy, Fill::BelowMax), Status::Available);
        assert_eq!(next(StatusRule::Heartbeat, Status::Unhealthy, Fill::Unknown), Status::Busy);
    }
}
