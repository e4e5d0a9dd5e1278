//! Events, packed so that many cross to JavaScript for the price of one.
//!
//! Short ASCII texts travel as one string that JavaScript slices, everything else in a list beside it; what an event is and
//! where its parts are stands in an array of doubles, [`EVENT_FIELDS`] for each event.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, Float64Array, Float64ArraySlice, Latin1String, ToNapiValue};
use napi::{Result, sys};
use napi_derive::napi;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::core::log::Level;
use crate::core::worker::WorkerKey;
use crate::server::events::Event;
use crate::server::handover::Descriptor;
use crate::server::{Server, Snapshot};

/// Doubles for each event: its kind, its peer, and two that depend on the kind.
pub const EVENT_FIELDS: usize = 4;
/// Doubles for each worker: key, status, last sign of life (ms since 1970), active and completed requests.
pub const ROW_FIELDS: usize = 5;
/// Longer texts travel by themselves, so that the common string stays short-lived and small.
const MAX_JOINED_BYTES: usize = 8 << 10;

/// Kinds of events, as `lib/running-server.js` numbers them.
mod kind {
    /// A message; its length in the joined text.
    pub const JOINED_MESSAGE: f64 = 0.0;
    /// A message; its place in the extras.
    pub const MESSAGE: f64 = 1.0;
    /// A registration; the place of its text.
    pub const REGISTER: f64 = 2.0;
    /// A closed connection; its close code, and the place of its reason.
    pub const CLOSED: f64 = 3.0;
    /// A connection for Node; its number in the [`Sockets`], and the place of what was read.
    pub const CONNECTION: f64 = 4.0;
    /// A log line; its level, and the place of its message, its context following as JSON text, empty if it has none.
    pub const LOG: f64 = 5.0;
    /// The server has stopped.
    pub const STOPPED: f64 = 6.0;
}

/// What [`super::server::NativeServer::drain`] gives.
#[napi(object, object_from_js = false)]
pub struct Batch {
    /// See [`EVENT_FIELDS`].
    pub events: Float64Array,
    /// The texts of joined messages, one after the other.
    pub joined: Latin1String,
    /// Everything that is not in `joined`.
    pub extras: Vec<Extra>,
    /// The workers whose messages are in the batch, as they are now; see [`ROW_FIELDS`].
    pub rows: Float64Array,
}

/// A text or a buffer that crosses by itself.
pub enum Extra {
    /// A JavaScript string.
    Text(Utf8Bytes),
    /// A Node `Buffer`.
    Bytes(Bytes),
}

impl ToNapiValue for Extra {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        // SAFETY: `env` is the one that this function was called with.
        unsafe {
            match value {
                Self::Text(text) => <&str>::to_napi_value(env, text.as_str()),
                Self::Bytes(bytes) => Buffer::to_napi_value(env, Vec::from(bytes).into()),
            }
        }
    }
}

/// Writes a worker's state into a row of doubles; what does not fit is left out.
pub fn write_row(mut row: Float64ArraySlice<'_>, snapshot: &Snapshot) {
    // SAFETY: JavaScript runs again only when the native call that borrowed the row has returned.
    let row = unsafe { row.as_mut() };
    let fields = row_of(snapshot);
    let length = row.len().min(ROW_FIELDS);
    row[..length].copy_from_slice(&fields[..length]);
}

/// The state of many workers, row after row.
pub fn rows(snapshots: impl IntoIterator<Item = Snapshot>) -> Vec<f64> {
    snapshots.into_iter().flat_map(|snapshot| row_of(&snapshot)).collect()
}

fn row_of(snapshot: &Snapshot) -> [f64; ROW_FIELDS] {
    [
        snapshot.key.0 as f64,
        f64::from(snapshot.status as u8),
        snapshot.last_seen.unix_ms as f64,
        snapshot.active as f64,
        snapshot.completed as f64,
    ]
}

/// Sockets on their way to Node, until it takes each of them. What is left when the server goes is closed.
#[derive(Debug, Default)]
pub struct Sockets {
    waiting: HashMap<u32, Descriptor>,
    last: u32,
}

impl Sockets {
    fn add(&mut self, socket: Descriptor) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.waiting.insert(self.last, socket);
        self.last
    }

    /// Gives the descriptor of a socket. Whoever takes it must close it.
    pub fn take(&mut self, number: u32) -> Option<i32> {
        self.waiting.remove(&number).map(Descriptor::into_raw)
    }
}

impl Batch {
    /// Packs events. The sockets in them wait in `sockets` to be taken.
    pub fn pack(server: &Server, sockets: &mut Sockets, events: Vec<Event>) -> Self {
        let mut packer =
            Packer { sockets, events: Vec::new(), joined: String::new(), extras: Vec::new(), workers: HashSet::new() };
        packer.events.reserve(events.len() * EVENT_FIELDS);
        for event in events {
            packer.add(event);
        }
        Self {
            events: packer.events.into(),
            joined: packer.joined.into(),
            extras: packer.extras,
            rows: rows(packer.workers.into_iter().filter_map(|key| server.worker(key))).into(),
        }
    }
}

struct Packer<'a> {
    sockets: &'a mut Sockets,
    events: Vec<f64>,
    joined: String,
    extras: Vec<Extra>,
    workers: HashSet<WorkerKey>,
}

impl Packer<'_> {
    fn add(&mut self, event: Event) {
        let fields = match event {
            Event::Message { peer, text } => {
                self.workers.extend(peer.worker());
                let peer = peer.id as f64;
                if text.len() <= MAX_JOINED_BYTES && text.is_ascii() {
                    self.joined.push_str(&text);
                    [kind::JOINED_MESSAGE, peer, text.len() as f64, 0.0]
                } else {
                    [kind::MESSAGE, peer, self.text(text), 0.0]
                }
            }
            Event::Register { peer, text } => [kind::REGISTER, peer.id as f64, self.text(text), 0.0],
            Event::Closed { peer, code, reason } => [kind::CLOSED, peer.id as f64, f64::from(code), self.text(reason)],
            Event::Connection { socket, head } => {
                let head = self.extra(Extra::Bytes(head));
                [kind::CONNECTION, 0.0, f64::from(self.sockets.add(socket)), head]
            }
            Event::Log { line, .. } => {
                let level = match line.level {
                    Level::Debug => 0.0,
                    Level::Warn => 1.0,
                    Level::Error => 2.0,
                };
                let message = self.text(Utf8Bytes::from_static(line.message));
                self.text(if line.context.is_null() { Utf8Bytes::default() } else { line.context.to_string().into() });
                [kind::LOG, 0.0, level, message]
            }
            Event::Stopped => [kind::STOPPED, 0.0, 0.0, 0.0],
        };
        self.events.extend(fields);
    }

    fn text(&mut self, text: Utf8Bytes) -> f64 {
        self.extra(Extra::Text(text))
    }

    fn extra(&mut self, extra: Extra) -> f64 {
        self.extras.push(extra);
        (self.extras.len() - 1) as f64
    }
}
