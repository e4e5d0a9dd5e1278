//! Events, packed so that many cross to JavaScript for the price of one.
//!
//! Short ASCII texts travel as one string of JSON arrays that JavaScript slices, everything else in a list beside it;
//! what the events are and where their parts are stands in an array of doubles that JavaScript owns: see
//! [`crate::abi`].

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, Float64Array, ToNapiValue};
use napi::{Result, check_status, sys};
use serde_json::json;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::abi::{self, EventKind};
use super::shared_memory::Doubles;
use worker_server::Server;
use worker_server::accept::addresses::{Addresses, Origin, Secured};
use worker_server::accept::descriptor::{Descriptor, Lent};
use worker_server::events::Event;
use worker_server::peer::PeerId;
use worker_server_core::worker::{Snapshot, WorkerKey};

/// [`abi::ROW_FIELDS`] and the others, as lengths.
const ROW_FIELDS: usize = abi::ROW_FIELDS as usize;
const HEAD_FIELDS: usize = abi::HEAD_FIELDS as usize;
const EVENT_FIELDS: usize = abi::EVENT_FIELDS as usize;

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
                Self::Text(text) => string(env, &text).or_else(|_| {
                    // V8 holds no string of that length. Nobody else's message may be lost with it: it is no JSON then.
                    let mut exception = ptr::null_mut();
                    sys::napi_get_and_clear_last_exception(env, &raw mut exception);
                    latin1(env, b"")
                }),
                Self::Bytes(bytes) => Buffer::to_napi_value(env, Vec::from(bytes).into()),
            }
        }
    }
}

/// A JavaScript string.
///
/// # Safety
/// As of [`latin1`].
unsafe fn string(env: sys::napi_env, text: &str) -> Result<sys::napi_value> {
    // SAFETY: as the caller says.
    unsafe {
        // V8 copies Latin-1, where it has to look at each character of UTF-8.
        if text.is_ascii() { latin1(env, text.as_bytes()) } else { <&str>::to_napi_value(env, text) }
    }
}

/// A JavaScript string of Latin-1 characters.
///
/// # Safety
/// `env` must be the environment of the JavaScript call that this is done in.
unsafe fn latin1(env: sys::napi_env, text: &[u8]) -> Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    // SAFETY: the pointer and the length are a slice's, which no allocation's size lets exceed `isize::MAX`.
    check_status!(unsafe {
        sys::napi_create_string_latin1(env, text.as_ptr().cast(), text.len().cast_signed(), &raw mut value)
    })?;
    Ok(value)
}

/// Where JavaScript reads the state of one worker.
#[derive(Debug, Default)]
pub struct Row(Doubles<ROW_FIELDS>);

impl Row {
    /// Its memory, as JavaScript sees it.
    pub fn to_array(&self) -> Float64Array {
        self.0.to_array()
    }

    /// Copies it to an array of JavaScript's own, for hosts where the two can't share memory.
    pub fn copy_to(&self, row: &mut [f64]) {
        self.0.copy_to(row);
    }

    /// Writes a worker's state. JavaScript reads it when the native call has returned.
    pub fn write(&self, snapshot: &Snapshot) {
        self.0.write(row_of(snapshot));
    }

    /// The same, if there is one. Returns whether there is.
    pub fn found(&self, snapshot: Option<Snapshot>) -> bool {
        if let Some(snapshot) = &snapshot {
            self.write(snapshot);
        }
        snapshot.is_some()
    }
}

/// Whose a connection is, as JSON that JavaScript reads; `security` only if it is encrypted. Its certificates are not
/// in it, but how many there are.
pub fn origin_text(origin: &Origin) -> String {
    let Addresses { remote, local } = origin.addresses;
    let security = origin.security.as_ref().map(|security| {
        json!({
            "protocol": security.protocol,
            "serverName": security.server_name,
            "hasAlpn": security.has_alpn,
            "certificates": security.certificates.len(),
        })
    });
    json!({
        "remoteAddress": remote.ip().to_string(),
        "remotePort": remote.port(),
        "localAddress": local.ip().to_string(),
        "localPort": local.port(),
        "security": security,
    })
    .to_string()
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

/// Sockets on their way to Node, until it has confirmed each of them. What is left when the server goes is closed.
#[derive(Debug, Default)]
pub struct Sockets {
    waiting: HashMap<u32, Descriptor>,
    taken: HashMap<u32, Lent>,
    /// What is known of each encrypted one that is open.
    secured: HashMap<u32, Secured>,
    last: u32,
}

impl Sockets {
    fn add(&mut self, socket: Descriptor) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.waiting.insert(self.last, socket);
        self.last
    }

    /// Lends the descriptor of a socket to Node. Its thread may be terminated at any time, and then nobody else would
    /// close it.
    pub fn take(&mut self, number: u32) -> Option<i32> {
        let socket = self.waiting.remove(&number)?.lend();
        let fd = socket.number();
        self.taken.insert(number, socket);
        Some(fd)
    }

    /// The descriptor is Node's to close from now on.
    pub fn confirm(&mut self, number: u32) {
        if let Some(socket) = self.taken.remove(&number) {
            socket.give_away();
        }
    }

    /// Whether the peer of an encrypted connection was lost: for when its socket ends.
    pub fn is_peer_lost(&self, number: u32) -> bool {
        self.secured.get(&number).is_some_and(|secured| secured.is_lost.load(Ordering::SeqCst))
    }

    /// Whose an encrypted connection is.
    pub fn origin(&self, number: u32) -> Option<Origin> {
        self.secured.get(&number).map(|secured| secured.origin.clone())
    }

    /// The socket of an encrypted connection is closed.
    pub fn forget_peer(&mut self, number: u32) {
        self.secured.remove(&number);
    }

    /// The descriptor is not needed, and closed.
    pub fn put_back(&mut self, number: u32) {
        self.taken.remove(&number);
    }
}

/// Events that were packed: what does not fit into doubles.
#[derive(Default)]
pub struct Batch {
    /// The joined texts, one behind the other.
    pub joined: String,
    /// Everything that travels by itself.
    pub extras: Vec<Extra>,
}

impl Batch {
    /// Packs events into `fields`: the head, the events, and the rows of the workers that sent messages, as they are
    /// now. The sockets among them wait in `sockets` to be taken.
    pub fn pack(server: &Server, sockets: &mut Sockets, events: Vec<Event>, fields: &mut [f64]) -> Self {
        let workers = Vec::with_capacity(events.len());
        let mut packer = Packer { sockets, batch: Self::default(), fields, at: HEAD_FIELDS, workers };
        packer.make_room(&events);
        for event in events {
            packer.add(event);
        }
        let events_end = packer.at;
        packer.workers.sort_unstable();
        packer.workers.dedup();
        for key in std::mem::take(&mut packer.workers) {
            if let Some(snapshot) = server.worker(key) {
                packer.write(&row_of(&snapshot));
            }
        }
        let rows_end = packer.at;
        packer.at = 0;
        packer.write(&[events_end as f64, rows_end as f64, packer.batch.extras.len() as f64]);
        packer.batch
    }
}

struct Packer<'a> {
    sockets: &'a mut Sockets,
    batch: Batch,
    fields: &'a mut [f64],
    at: usize,
    workers: Vec<WorkerKey>,
}

impl Packer<'_> {
    /// `fields` are [`abi::BATCH_FIELDS`], which no batch exceeds.
    fn write(&mut self, fields: &[f64]) {
        let end = self.at + fields.len();
        if let Some(room) = self.fields.get_mut(self.at..end) {
            room.copy_from_slice(fields);
            self.at = end;
        }
    }

    /// One message, or one peer's at a time, is most of the time all there is: its string is taken as it is.
    fn make_room(&mut self, events: &[Event]) {
        let lengths = events.iter().filter_map(|event| match event {
            Event::TextBatch { texts, .. } => Some(texts.joined().len()),
            _ => None,
        });
        let (count, bytes) = lengths.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length));
        if count > 1 {
            self.batch.joined.reserve(bytes);
        }
    }

    fn add(&mut self, event: Event) {
        let (kind, peer, a, b) = match event {
            Event::TextBatch { peer, texts } => {
                self.workers.extend(peer.worker());
                self.write_event(EventKind::Texts, peer.id, texts.len() as f64, 0.0);
                texts.lengths().iter().for_each(|&length| self.write(&[f64::from(length)]));
                if self.batch.joined.capacity() == 0 {
                    self.batch.joined = texts.into_joined();
                } else {
                    self.batch.joined.push_str(texts.joined());
                }
                return;
            }
            Event::Message { peer, text } => {
                self.workers.extend(peer.worker());
                (EventKind::Message, peer.id, self.text(text), 0.0)
            }
            Event::Register { peer, text, .. } => (EventKind::Register, peer.id, self.text(text), 0.0),
            Event::Approved { peer, .. } => (EventKind::Approved, peer.id, 0.0, 0.0),
            Event::Closed { peer, code, reason } => (EventKind::Closed, peer.id, f64::from(code), self.text(reason)),
            Event::Connection { socket, head, secured } => {
                let head = self.extra(Extra::Bytes(head));
                let number = self.sockets.add(socket);
                let kind = match secured {
                    None => EventKind::Connection,
                    Some(secured) => {
                        self.origin(&secured.origin);
                        self.sockets.secured.insert(number, *secured);
                        EventKind::SecureConnection
                    }
                };
                (kind, 0, f64::from(number), head)
            }
            Event::Log { line, .. } => {
                let message = self.text(Utf8Bytes::from_static(line.message));
                self.text(if line.context.is_null() { Utf8Bytes::default() } else { line.context.to_string().into() });
                (EventKind::Log, 0, f64::from(line.level as u8), message)
            }
            Event::Stopped => (EventKind::Stopped, 0, 0.0, 0.0),
            Event::Slots { .. } => (EventKind::Slots, 0, 0.0, 0.0),
            Event::Barrier { number, lane } => (EventKind::Barrier, lane, number as f64, 0.0),
        };
        self.write_event(kind, peer, a, b);
    }

    fn write_event(&mut self, kind: EventKind, peer: PeerId, a: f64, b: f64) {
        let event: [f64; EVENT_FIELDS] = [f64::from(kind as u8), peer as f64, a, b];
        self.write(&event);
    }

    /// Whose a connection is: see [`origin_text`]; then its certificates, each by itself.
    fn origin(&mut self, origin: &Origin) {
        self.text(origin_text(origin).into());
        for certificate in origin.security.iter().flat_map(|security| &security.certificates) {
            self.extra(Extra::Bytes(certificate.clone().into()));
        }
    }

    fn text(&mut self, text: Utf8Bytes) -> f64 {
        self.extra(Extra::Text(text))
    }

    fn extra(&mut self, extra: Extra) -> f64 {
        self.batch.extras.push(extra);
        (self.batch.extras.len() - 1) as f64
    }
}
