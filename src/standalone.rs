//! The rules of [`worker_server_core`] for objects that JavaScript callers made: workers of a `WorkerPool`, sockets of
//! a `ConnectionHandler`.
//!
//! Such objects are changed by their owners at any time, so nothing is kept here but what was read when a worker was
//! added. For each question JavaScript copies the fields that matter into an array of doubles ([`COLUMNS`]), and the
//! same functions that serve the server's own workers answer it.

use std::collections::BTreeMap;

use napi::bindgen_prelude::{Float64Array, Float64ArraySlice, Result};
use napi::{Error, Status as ErrorStatus};
use napi_derive::napi;

use super::abi::SilenceVerdict;
use super::wtf8::Wtf8;
use worker_server_core::auth;
use worker_server_core::clock::Moment;
use worker_server_core::health::judge;
use worker_server_core::log::Line;
use worker_server_core::protocol::{self, Closing};
use worker_server_core::registration::{Capabilities, Registration};
use worker_server_core::rules::{self, CategorySlots, Load, Slots, Status};
use worker_server_core::session::{Action, Session};
use worker_server_core::worker::Worker;

/// Columns of the array that stands for candidates, each as long as there are candidates: status, active requests,
/// maximum, active requests of the category, limit of the category (NaN: none).
pub const COLUMNS: usize = 5;

/// The status of a number. A status that a caller made up is numbered as draining: it gets nothing new.
fn status_of(number: u32) -> Status {
    Status::ALL.get(number as usize).copied().unwrap_or(Status::Draining)
}

fn candidates(columns: &[f64]) -> impl Iterator<Item = Slots> {
    let count = columns.len() / COLUMNS;
    let [status, active, max, category_active, limit]: [&[f64]; COLUMNS] =
        std::array::from_fn(|column| &columns[column * count..][..count]);
    (0..count).map(move |row| Slots {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "JavaScript wrote a small number")]
        status: status_of(status[row] as u32),
        active: active[row],
        max: max[row],
        category: (!limit[row].is_nan()).then(|| CategorySlots { active: category_active[row], limit: limit[row] }),
    })
}

/// Which of the candidates gets the next request; -1 if none can.
#[napi(catch_unwind)]
pub fn least_loaded(columns: Float64ArraySlice<'_>) -> i32 {
    let mut least: Option<(Load, usize)> = None;
    for (row, slots) in candidates(&columns).enumerate() {
        if let Some(load) = slots.load()
            && least.is_none_or(|(least, _)| load < least)
        {
            least = Some((load, row));
        }
    }
    least.map_or(-1, |(_, row)| i32::try_from(row).unwrap_or(-1))
}

/// How many more requests the candidates may take together.
#[napi(catch_unwind)]
pub fn free_slots(columns: Float64ArraySlice<'_>) -> f64 {
    // Not `sum`, which makes -0 of nothing.
    candidates(&columns).fold(0.0, |sum, slots| sum + slots.free())
}

/// For each status, in the order of their numbers, whether a worker in it can be reached.
#[napi(catch_unwind)]
pub fn reachable_statuses() -> Vec<bool> {
    let now = Moment { elapsed_ms: 0, unix_ms: 0 };
    let mut worker = Worker::new("", &Capabilities::default(), (), now);
    Status::ALL
        .map(|status| {
            worker.status = status;
            worker.reachable()
        })
        .to_vec()
}

/// What silence says.
#[napi(catch_unwind)]
pub fn judge_silence(silent_ms: f64, timeout_ms: f64) -> SilenceVerdict {
    judge(silent_ms, timeout_ms).into()
}

/// See [`auth::safe_compare`].
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value, reason = "arguments from JavaScript come by value")]
pub fn safe_compare(given: String, secret: String) -> bool {
    auth::safe_compare(&given, &secret)
}

/// What the workers of one pool can do, by the numbers that JavaScript gave them: later added, greater number.
#[napi]
#[derive(Default)]
pub struct Roster {
    workers: BTreeMap<u64, Capabilities>,
}

#[napi]
impl Roster {
    /// An empty roster.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the capabilities of a worker from JSON text, in place of earlier ones of that number. Returns its maximum.
    ///
    /// # Errors
    /// Names the field that is missing or mistyped; the roster is then as it was.
    #[napi(catch_unwind)]
    #[allow(clippy::needless_pass_by_value, reason = "arguments from JavaScript come by value")]
    pub fn set(&mut self, number: f64, capabilities: Option<String>) -> Result<f64> {
        let capabilities = Capabilities::read("worker.capabilities", capabilities.as_deref())
            .map_err(|invalid| Error::new(ErrorStatus::InvalidArg, invalid.to_string()))?;
        let max = capabilities.max;
        self.workers.insert(whole(number), capabilities);
        Ok(max)
    }

    /// Forgets a worker.
    #[napi(catch_unwind)]
    pub fn remove(&mut self, number: f64) {
        self.workers.remove(&whole(number));
    }

    /// Forgets all.
    #[napi(catch_unwind)]
    pub fn clear(&mut self) {
        self.workers.clear();
    }

    /// The workers that support `model`, in order. Three columns: their numbers, their maximum, and their limit for
    /// `category` (NaN: none). A name with half a surrogate pair is nobody's.
    #[napi(catch_unwind)]
    #[allow(clippy::needless_pass_by_value, reason = "arguments from JavaScript come by value")]
    pub fn candidates(&self, model: Wtf8, category: Option<Wtf8>) -> Float64Array {
        let model = model.well_formed();
        let category = category.as_ref().and_then(Wtf8::well_formed);
        let found: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| {
                model.is_some_and(|model| worker.models.iter().any(|served| rules::supports(served, model)))
            })
            .collect();
        let limit = |worker: &Capabilities| {
            let (_, limit) = worker.limits.iter().find(|(name, _)| Some(&**name) == category)?;
            Some(*limit)
        };
        let numbers = found.iter().map(|(number, _)| **number as f64);
        let maxima = found.iter().map(|(_, worker)| worker.max);
        let limits = found.iter().map(|(_, worker)| limit(worker).unwrap_or(f64::NAN));
        numbers.chain(maxima).chain(limits).collect::<Vec<_>>().into()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is wanted")]
fn whole(number: f64) -> u64 {
    number as u64
}

/// A close code with its reason.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of Closing")]
pub struct NativeClosing {
    pub code: u32,
    pub reason: &'static str,
}

impl From<Closing> for NativeClosing {
    fn from(closing: Closing) -> Self {
        Self { code: u32::from(closing.code), reason: closing.reason }
    }
}

/// How the socket of a worker is closed when the pool shuts down.
#[napi(catch_unwind)]
pub fn closing_of_shutdown() -> NativeClosing {
    Closing::GOING_AWAY.into()
}

/// How the socket of a worker is closed when another one registers its id.
#[napi(catch_unwind)]
pub fn closing_of_replaced() -> NativeClosing {
    Closing::REPLACED.into()
}

/// See [`protocol::registration_ack`].
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value, reason = "arguments from JavaScript come by value")]
pub fn registration_ack(session_id: String, heartbeat_interval_ms: f64) -> String {
    protocol::registration_ack(&session_id, heartbeat_interval_ms, "")
}

/// See [`protocol::heartbeat_ack`]. `timestamp` is JSON text, `now` is in milliseconds since 1970.
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value, reason = "arguments from JavaScript come by value")]
pub fn heartbeat_ack(timestamp: Option<String>, now: f64, heartbeat_timeout_ms: f64) -> String {
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
    let now = Moment { elapsed_ms: 0, unix_ms: now as i64 };
    protocol::heartbeat_ack(timestamp.as_deref(), now, whole(heartbeat_timeout_ms))
}

/// An [`Action`], of which only the fields of its kind are there.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeAction {
    /// `register`, `refuse`, `heartbeat`, `deliver`, `complain` or `ignore`.
    pub kind: &'static str,
    /// Of `register` and `heartbeat`: the id of the worker, if it is a string.
    pub worker_id: Option<String>,
    /// Of `register`: the name of the worker.
    pub worker_name: Option<String>,
    /// Of `register`: the ids of its models.
    pub models: Option<Vec<String>>,
    /// Of `register`: its maximum.
    pub max: Option<f64>,
    /// Of `heartbeat`: what came as the id, as JSON text.
    pub named: Option<String>,
    /// Of `heartbeat`: the timestamp to send back, as JSON text.
    pub timestamp: Option<String>,
    /// Of `refuse`: the text to send.
    pub answer: Option<String>,
    /// Of `refuse`: how to close then.
    pub closing: Option<NativeClosing>,
    /// Of `refuse` and `complain`: what to log.
    pub line: Option<NativeLine>,
}

/// A [`Line`].
#[napi(object, object_from_js = false)]
pub struct NativeLine {
    /// The logger's method.
    pub level: &'static str,
    /// The message.
    pub message: &'static str,
    /// The context as JSON text, if there is one.
    pub context: Option<String>,
}

impl From<Line> for NativeLine {
    fn from(line: Line) -> Self {
        let context = (!line.context.is_null()).then(|| line.context.to_string());
        Self { level: line.level.as_str(), message: line.message, context }
    }
}

impl From<Action<'_>> for NativeAction {
    fn from(action: Action<'_>) -> Self {
        let of_kind = |kind| Self { kind, ..Self::default() };
        match action {
            Action::Register(Registration { worker_id, worker_name, capabilities, .. }) => Self {
                worker_id: Some(worker_id),
                worker_name: Some(worker_name),
                models: Some(capabilities.models),
                max: Some(capabilities.max),
                ..of_kind("register")
            },
            Action::Refuse { answer, closing, line } => Self {
                answer: Some(answer),
                closing: Some(closing.into()),
                line: Some(line.into()),
                ..of_kind("refuse")
            },
            Action::Heartbeat { worker_id, named, timestamp } => Self {
                worker_id,
                named: named.map(|named| named.to_string()),
                timestamp: timestamp.map(str::to_owned),
                ..of_kind("heartbeat")
            },
            Action::Deliver => of_kind("deliver"),
            Action::Complain(line) => Self { line: Some(line.into()), ..of_kind("complain") },
            Action::Ignore => of_kind("ignore"),
        }
    }
}

/// The conversation with one socket, see [`Session`].
#[napi]
pub struct NativeSession {
    session: Session,
    auth_tokens: Option<Vec<String>>,
}

#[napi]
impl NativeSession {
    /// A conversation in which nothing has been said. `auth_tokens` as in
    /// [`worker_server_core::config::ServerConfig`].
    #[napi(constructor, catch_unwind)]
    pub fn new(auth_tokens: Option<Vec<String>>) -> Self {
        Self { session: Session::new(), auth_tokens }
    }

    /// Takes one message.
    #[napi(catch_unwind)]
    #[allow(clippy::needless_pass_by_value, reason = "arguments from JavaScript come by value")]
    pub fn on_text(&mut self, text: String) -> NativeAction {
        self.session.on_text(&text, self.auth_tokens.as_deref()).into()
    }
}
