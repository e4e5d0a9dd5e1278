//! [`Server`] as a JavaScript class.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use napi::Status;
use napi::bindgen_prelude::{Float64Array, Float64ArraySlice, Function, Latin1String, Result};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use parking_lot::Mutex;

use super::abi::{MAX_BYTES, MAX_EVENTS, PacingVerdict, REQUEST_FIELDS, VERDICT_FIELD};
use super::batch::{Batch, Extra, Row, Sockets, rows};
use super::metrics::NativeMetrics;
use super::notes::Notes;
use super::options::{NativeOptions, whole};
use super::outgoing::OutgoingText;
use super::secure_context::NativeSecureContext;
use super::shared_memory::{Doubles, NativeSubmissions};
use super::wtf8::Wtf8;
use worker_server::Server;
use worker_server::membership::Features;
use worker_server::outbox::buffered_amounts::PAGE_SLOTS;
use worker_server_core::log::Level;
use worker_server_core::worker::WorkerKey;

/// The JavaScript function that is called, without arguments, when there are events to drain. It must not throw.
type Wake = ThreadsafeFunction<(), (), (), Status, false>;

/// An operating system's error, its code as Node names it (or its number, where the name is not known here).
pub(super) fn system_error(error: &io::Error) -> napi::Error<String> {
    let code = match (error.raw_os_error(), error.kind()) {
        // Node's numbers are the system's own.
        (Some(number), _) if cfg!(unix) => number.to_string(),
        (_, io::ErrorKind::AddrInUse) => "EADDRINUSE".to_owned(),
        (_, io::ErrorKind::AddrNotAvailable) => "EADDRNOTAVAIL".to_owned(),
        (_, io::ErrorKind::PermissionDenied) => "EACCES".to_owned(),
        (_, io::ErrorKind::Unsupported) => "ENOTSUP".to_owned(),
        (Some(number), _) => number.to_string(),
        // What is no address of an interface, such as one with a scope that there isn't.
        (None, _) => "EINVAL".to_owned(),
    };
    napi::Error::new(code, error.to_string())
}

/// A registration that was settled.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of worker_server::Registered")]
pub struct NativeRegistered {
    pub session_id: String,
    pub worker_id: String,
    pub worker_name: String,
    pub buffered_amount_index: u32,
}

/// A running server. Keeps the process alive until it is shut down.
#[napi]
pub struct NativeServer {
    pub(super) server: Server,
    wake: Arc<Mutex<Option<Wake>>>,
    pub(super) row: Row,
    /// What became of a request: see [`RequestField`](crate::abi::RequestField).
    pub(super) request_fields: Doubles<REQUEST_FIELDS>,
    notes: Notes,
    pub(super) sockets: Mutex<Sockets>,
    extras: Mutex<Vec<Extra>>,
    shares_memory: bool,
}

#[napi]
impl NativeServer {
    /// Binds and begins to serve. `wake` is called when there is something to drain. It counts in `metrics`.
    ///
    /// # Errors
    /// Throws if the port can't be bound, with the system's error code.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        options: NativeOptions,
        wake: Function<(), ()>,
        secure_context: Option<&NativeSecureContext>,
        metrics: Option<&NativeMetrics>,
    ) -> Result<Self, String> {
        let metrics = metrics.map(|metrics| Arc::clone(&metrics.metrics)).unwrap_or_default();
        let wake = wake
            .build_threadsafe_function()
            .callee_handled::<false>()
            .build()
            .map_err(|error| napi::Error::new("ERR_WORKER_SERVER".to_owned(), error.reason.clone()))?;
        let wake: Arc<Mutex<Option<Wake>>> = Arc::new(Mutex::new(Some(wake)));
        let notifier = Arc::clone(&wake);
        let shares_memory = options.shares_memory;
        let secure_context = secure_context.map(|context| context.0.clone());
        let start = AssertUnwindSafe(|| {
            Server::start_counting(options.into(), secure_context, metrics, move || {
                if let Some(wake) = &*notifier.lock() {
                    wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
                }
            })
        });
        let started = panic::catch_unwind(start);
        if !matches!(started, Ok(Ok(_))) {
            // It would keep the process alive, whoever still holds it after a panic.
            wake.lock().take();
        }
        let server = match started {
            Ok(started) => started.map_err(|error| system_error(&error))?,
            Err(panic) => panic::resume_unwind(panic),
        };
        Ok(Self {
            server,
            wake,
            row: Row::default(),
            request_fields: Doubles::default(),
            notes: Notes::default(),
            sockets: Mutex::default(),
            extras: Mutex::default(),
            shares_memory,
        })
    }

    /// See [`Server::port`].
    #[napi(getter, catch_unwind)]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Where methods write a worker's row.
    #[napi(catch_unwind)]
    pub fn row(&self) -> Float64Array {
        self.row.to_array()
    }

    /// Copies what is in [`NativeServer::row`] to an array of JavaScript's own, where memory is not shared.
    #[napi(catch_unwind)]
    pub fn copy_row(&self, mut row: Float64ArraySlice<'_>) {
        // SAFETY: JavaScript runs again only when this call has returned.
        self.row.copy_to(unsafe { row.as_mut() });
    }

    /// Where JavaScript writes that requests began or ended: see [`crate::notes`].
    #[napi(catch_unwind)]
    pub fn notes(&self) -> Float64Array {
        self.notes.to_array()
    }

    /// See [`Server::limited`].
    #[napi(catch_unwind)]
    pub fn limited(&self, key: f64) -> Vec<String> {
        self.server.limited(WorkerKey(whole(key))).iter().map(ToString::to_string).collect()
    }

    /// Takes the notes. Whatever asks for workers does so first, and so does the end of a turn.
    #[napi(catch_unwind)]
    pub fn take_notes(&self) {
        self.notes.take(&self.server);
    }

    /// Takes a single note, where memory is not shared: its fields are those of [`crate::notes`].
    #[napi(catch_unwind)]
    pub fn take_note(&self, key: f64, place: f64, kind: f64) {
        Notes::take_one(&self.server, [key, place, kind]);
    }

    /// The server, once it knows what was noted.
    pub(super) fn informed(&self) -> &Server {
        self.notes.take(&self.server);
        &self.server
    }

    /// See [`Server::drain`] and [`crate::batch`]: writes what there is into `fields`, of
    /// [`BATCH_FIELDS`](crate::abi::BATCH_FIELDS) doubles, and returns the
    /// joined texts. `null` when there is nothing; the verdict is written nevertheless.
    #[napi(catch_unwind)]
    pub fn drain(&self, returns: bool, looks: bool, mut fields: Float64ArraySlice<'_>) -> Option<Latin1String> {
        let server = self.informed();
        let (events, verdict) = server.drain(MAX_EVENTS, MAX_BYTES, returns, looks);
        // SAFETY: JavaScript runs again only when this call has returned.
        let fields = unsafe { fields.as_mut() };
        if let Some(field) = fields.get_mut(VERDICT_FIELD as usize) {
            *field = f64::from(PacingVerdict::from(verdict) as u8);
        }
        if events.is_empty() {
            return None;
        }
        let batch = Batch::pack(server, &mut self.sockets.lock(), events, fields);
        *self.extras.lock() = batch.extras;
        Some(batch.joined.into())
    }

    /// Gives the extras of what was drained last.
    #[napi(catch_unwind)]
    pub fn take_extras(&self) -> Vec<Extra> {
        std::mem::take(&mut *self.extras.lock())
    }

    /// See [`Server::admits_line`]. `level` is the place in [`Level::ALL`].
    #[napi(catch_unwind)]
    pub fn admits_line(&self, level: u32, message: String) -> bool {
        let level = Level::ALL.get(level as usize).copied().unwrap_or(Level::Error);
        self.server.admits_line(level, &message)
    }

    /// See [`Server::displace`]: one row after the other.
    #[napi(catch_unwind)]
    pub fn displace(&self, peer: f64) -> Float64Array {
        rows(self.informed().displace(whole(peer))).into()
    }

    /// See [`Server::register_with`]: whether the worker takes requests, and the ack's further members. Writes the new
    /// worker's row.
    #[napi(catch_unwind)]
    pub fn register(
        &self,
        peer: f64,
        takes_requests: Option<bool>,
        ack_members: Option<String>,
    ) -> Option<NativeRegistered> {
        let features = Features {
            takes_requests: takes_requests.unwrap_or_default(),
            ack_members: ack_members.as_deref().unwrap_or_default(),
        };
        let registered = self.server.register_with(whole(peer), &features)?;
        self.row.write(&registered.snapshot);
        Some(NativeRegistered {
            session_id: registered.session_id,
            worker_id: registered.worker_id,
            worker_name: registered.worker_name,
            buffered_amount_index: u32::try_from(registered.buffered_amount_index).unwrap_or(u32::MAX),
        })
    }

    /// See [`Server::depart`]. Writes the worker's last row, if there was a worker.
    #[napi(catch_unwind)]
    pub fn depart(&self, peer: f64) -> bool {
        self.row.found(self.informed().depart(whole(peer)))
    }

    /// See [`Server::keep_unregistered`].
    #[napi(catch_unwind)]
    pub fn keep_unregistered(&self, peer: f64) {
        self.server.keep_unregistered(whole(peer));
    }

    /// See [`Server::send`].
    #[napi(catch_unwind)]
    pub fn send(&self, worker_id: String, text: OutgoingText) -> bool {
        self.server.send(&worker_id, text.0)
    }

    /// Where JavaScript publishes what it sends: see [`worker_server::outbox::submissions`].
    #[napi(catch_unwind)]
    pub fn submissions(&self) -> NativeSubmissions {
        NativeSubmissions::of(&self.server.submissions())
    }

    /// See [`Server::take_submissions`].
    #[napi(catch_unwind)]
    pub fn take_submissions(&self) {
        self.server.take_submissions();
    }

    /// See [`Server::write_all`].
    #[napi(catch_unwind)]
    pub fn write_all(&self) {
        self.server.write_all();
    }

    /// See [`Server::buffered_amount_page`]. Where memory is not shared the slots show that there is no room, so that
    /// this side is asked for each message.
    ///
    /// # Errors
    /// Throws if there is no such page.
    #[napi(catch_unwind)]
    pub fn buffered_amount_page(&self, number: u32) -> Result<Float64Array> {
        if !self.shares_memory {
            return Ok(vec![f64::INFINITY; PAGE_SLOTS].into());
        }
        let page = self
            .server
            .buffered_amount_page(number as usize)
            .ok_or_else(|| napi::Error::from_reason("no such page"))?;
        Ok(Doubles::from(page).to_array())
    }

    /// See [`Server::broadcast`].
    #[napi(catch_unwind)]
    pub fn broadcast(&self, text: OutgoingText) {
        self.server.broadcast(&text.0);
    }

    /// See [`Server::flush`]. What was noted is taken afterwards: a peer may wait for what is written.
    #[napi(catch_unwind)]
    pub fn flush(&self) {
        self.server.flush();
        self.notes.take(&self.server);
    }

    /// See [`Server::select`]. Writes the row of the worker, if there is one. Nobody has a model whose name holds half a
    /// surrogate pair, and nobody limits such a category.
    #[napi(catch_unwind)]
    pub fn select(&self, model: Wtf8, category: Option<Wtf8>) -> bool {
        let category = category.as_ref().and_then(Wtf8::well_formed);
        model.well_formed().is_some_and(|model| self.row.found(self.informed().select(model, category)))
    }

    /// See [`Server::select_any`]. Writes the row of the worker, if there is one.
    #[napi(catch_unwind)]
    pub fn select_any(&self) -> bool {
        self.row.found(self.informed().select_any())
    }

    /// See [`Server::free_slots`], and [`Self::select`] for the names.
    #[napi(catch_unwind)]
    pub fn free_slots(&self, model: Wtf8, category: Option<Wtf8>) -> f64 {
        let category = category.as_ref().and_then(Wtf8::well_formed);
        model.well_formed().map_or(0.0, |model| self.informed().free_slots(model, category))
    }

    /// See [`Server::worker_count`].
    #[napi(catch_unwind)]
    pub fn worker_count(&self) -> f64 {
        self.server.worker_count() as f64
    }

    /// See [`Server::available_count`].
    #[napi(catch_unwind)]
    pub fn available_count(&self) -> f64 {
        self.informed().available_count() as f64
    }

    /// See [`Server::workers`]: one row after the other.
    #[napi(catch_unwind)]
    pub fn workers(&self) -> Float64Array {
        rows(self.informed().workers()).into()
    }

    /// See [`Server::set_secure_context`].
    #[napi(catch_unwind)]
    pub fn set_secure_context(&self, context: &NativeSecureContext) -> bool {
        self.server.set_secure_context(context.0.clone())
    }

    /// See [`Server::stop`].
    #[napi(catch_unwind)]
    pub fn stop(&self) {
        self.server.stop();
    }

    /// See [`Server::abandon`].
    #[napi(catch_unwind)]
    pub fn abandon(&self) {
        self.wake.lock().take();
        self.server.abandon();
        *self.sockets.lock() = Sockets::default();
    }

    /// See [`Server::shut_down`]. From then on the server does not keep the process alive.
    #[napi(catch_unwind)]
    pub fn shut_down(&self) {
        self.wake.lock().take();
        *self.sockets.lock() = Sockets::default();
        self.server.shut_down();
    }

    /// The metrics as Prometheus text, with the state of this server. `lag_seconds`: how late the event loop was.
    #[napi(catch_unwind)]
    pub fn metrics_text(&self, lag_seconds: f64) -> String {
        let (metrics, gauges) = self.informed().metrics();
        metrics.render(&gauges, lag_seconds)
    }
}
