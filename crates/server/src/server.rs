//! The handle of a running server, for the application's thread.

mod stopping;

use std::hint;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::accept::addresses::Origin;
use crate::accept::{descriptor, listener};
use crate::events::Event;
use crate::events::entry::Entry;
use crate::outbox::buffered_amounts::Page;
use crate::outbox::{flusher, submissions, turn_watch};
use crate::peer::PeerId;
use crate::shared::Shared;
use crate::tls::secure_context::SecureContext;
use crate::wakeup::notifier::Notifier;
use worker_server_core::config::ServerConfig;
use worker_server_core::log::Level;
use worker_server_core::metrics::{Gauges, Metrics};
use worker_server_core::pacing::{Look, MAX_POLLED_PEERS, POLL_TURN, SLEEPING_POLL_TURN, Verdict};
use worker_server_core::worker::{Snapshot, WorkerKey};

/// Most threads for sockets where connections are encrypted: handshakes and ciphers are work for several. Without that
/// there is one. It serves many thousands of workers, and several only wake each other, and more often, for fewer
/// messages at a time (docs/EXPERIMENTS.md).
const MAX_TLS_THREADS: usize = 4;

/// A running server. Its methods are for the application's thread and never wait.
#[derive(Debug)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
    port: u16,
    /// While the application polls sockets it sleeps until one has something: see [`Look::Asleep`].
    looks_asleep: bool,
    runtime: Mutex<Option<Runtime>>,
    /// Is closed when all connections are gone.
    gone: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Server {
    /// Binds and begins to serve. `wake` is called on any thread; [`Server::drain`] should be called soon after.
    ///
    /// # Errors
    /// Those of the operating system, as of binding a port that is in use.
    pub fn start(config: ServerConfig, wake: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_with(config, None, wake)
    }

    /// The same; with a context all connections are encrypted.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        config: ServerConfig,
        secure_context: Option<SecureContext>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_counting(config, secure_context, Arc::default(), wake)
    }

    /// The same, with counters that go on from those before it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_counting(
        config: ServerConfig,
        secure_context: Option<SecureContext>,
        metrics: Arc<Metrics>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = listener::bind(config.host.as_deref(), config.port, config.reuse_port)?;
        let port = listener.local_addr()?.port();
        let (shared, gone) = Shared::new(config, metrics, wake);
        let max_threads = if secure_context.is_some() { MAX_TLS_THREADS } else { 1 };
        *shared.secure_context.write() = secure_context;
        let idle = Arc::clone(&shared);
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get() - 1).clamp(1, max_threads);
        // While the application reads sockets itself, one thread of the runtime rests. Others would be woken all the same.
        let polls_sockets = cfg!(unix) && threads == 1;
        shared.pacer.set_polls_sockets(polls_sockets, cfg!(target_os = "linux"));
        let looks_asleep = shared.pacer.look() == Some(Look::Asleep);
        if !polls_sockets {
            shared.busy_poll.turn_off();
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("worker-server")
            .on_thread_start(Notifier::enlist_thread)
            .on_thread_park(move || idle.on_idle())
            .enable_io()
            .enable_time()
            .build()?;
        {
            let _context = runtime.enter();
            let listener = TcpListener::from_std(listener)?;
            runtime.spawn(listener::accept(Arc::clone(&shared), listener));
            runtime.spawn(check_health(Arc::clone(&shared)));
            runtime.spawn(watch_for_suspensions(Arc::clone(&shared)));
            runtime.spawn(flusher::write_what_is_left(Arc::clone(&shared.flusher), Arc::clone(&shared.notifier)));
            let busy_poll = Arc::clone(&shared.busy_poll);
            runtime.spawn(async move { busy_poll.rest_meanwhile().await });
            runtime.spawn(turn_watch::watch_turns(Arc::clone(&shared)));
            runtime.spawn(tell_what_is_left_out(Arc::clone(&shared)));
        }
        Ok(Self { shared, port, looks_asleep, runtime: Mutex::new(Some(runtime)), gone: Mutex::new(Some(gone)) })
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes events: see [`EventQueue::drain`](crate::events::event_queue::EventQueue::drain). Also returns the verdict
    /// on what the application does when it gets none, unless it `returns` anyhow: at [`Verdict::Poll`] it comes again
    /// by itself, too, after a turn of its event loop, and
    /// `looks` then.
    ///
    /// When it looks, this waits for messages, without sleeping, for [`POLL_TURN`] at most. At [`Verdict::Poll`] it
    /// reads the sockets of those peers that it talks to, if it can. What else there may be to
    /// drain does not end that.
    pub fn drain(&self, max_events: usize, max_bytes: usize, returns: bool, looks: bool) -> (Vec<Event>, Verdict) {
        let Shared { pacer, events: queue, flusher, busy_poll, .. } = &*self.shared;
        let asked_at = Instant::now();
        let verdict = pacer.on_ask(asked_at);
        let serves = verdict == Verdict::Poll && busy_poll.begin();
        // Without a socket it has nothing to sleep for.
        let verdict = if verdict == Verdict::Poll && self.looks_asleep && !serves { Verdict::Sleep } else { verdict };
        let polls = verdict == Verdict::Poll;
        if serves {
            self.poll_sockets(asked_at, looks);
        } else {
            busy_poll.end();
            while looks && !self.looks_asleep && queue.unhandled() == 0 && asked_at.elapsed() < POLL_TURN {
                hint::spin_loop();
            }
        }
        flusher.standby.set_wanted(polls && !serves);
        let events = queue.drain(max_events, max_bytes, returns || polls);
        if let Some(first) = events.first() {
            let speakers = || events.iter().take(MAX_POLLED_PEERS).filter_map(Event::speaker);
            pacer.on_events(asked_at, first.lane(), speakers().map(|peer| peer.id));
            speakers().for_each(|peer| busy_poll.note_peer(peer));
        }
        (events, verdict)
    }

    /// Reads the sockets of the peers that the application talks to: once if it has just handled something, else until
    /// there is something to drain, for [`POLL_TURN`] or, asleep, [`SLEEPING_POLL_TURN`] at most if it looks.
    fn poll_sockets(&self, asked_at: Instant, looks: bool) {
        let runtime = self.runtime.lock();
        let Some(_context) = runtime.as_ref().map(Runtime::enter) else { return };
        let Shared { events: queue, busy_poll, .. } = &*self.shared;
        let has_come = || queue.unhandled() > 0;
        if has_come() {
            // What it has handled counts until it drains: others have answered meanwhile.
            busy_poll.poll();
        } else if looks && self.looks_asleep {
            busy_poll.sleep(SLEEPING_POLL_TURN);
            if has_come() {
                busy_poll.poll();
            }
        } else {
            busy_poll.look(has_come, || looks && asked_at.elapsed() < POLL_TURN);
        }
    }

    /// Whether the application may log one more line that any peer can cause. If not, it is counted, and an event tells
    /// later how many there were.
    pub fn admits_line(&self, level: Level, message: &str) -> bool {
        self.shared.admits_line(level, message)
    }

    /// A handler took a message of this connection: it may stay without registering.
    pub fn keep_unregistered(&self, id: PeerId) {
        if let Some(peer) = self.shared.peer(id) {
            peer.set_in_use();
            self.shared.forget_stranger(&peer);
            // It is judged by its silence from now on.
            peer.outbox.alert();
        }
    }

    /// Sends a text message to a worker. False if there is none of that id, its socket is not open, or too much
    /// is waiting for it. It leaves with [`Server::flush`].
    pub fn send(&self, worker_id: &str, text: String) -> bool {
        let pool = self.shared.pool();
        let peer = pool.key_of(worker_id).and_then(|key| pool.get(key)).map(|worker| Arc::clone(&worker.peer));
        drop(pool);
        let text = text.into();
        peer.is_some_and(|peer| self.shared.send_to(&peer, &text))
    }

    /// Where the application publishes what it sends to workers that have room: see [`submissions`].
    pub fn submissions(&self) -> Arc<submissions::Memory> {
        self.shared.flusher.submissions.memory()
    }

    /// Takes what was published, and lets the application publish from the start again. It leaves with
    /// [`Server::flush`], or by itself if that does not come soon.
    pub fn take_submissions(&self) {
        self.shared.take_submissions();
    }

    /// The slots of some workers, a double for each: the bytes that wait for it, or infinity when nothing can be sent
    /// to it. See
    /// [`Registered::buffered_amount_index`](crate::Registered::buffered_amount_index).
    pub fn buffered_amount_page(&self, number: usize) -> Option<Page> {
        self.shared.buffered_amounts.page(number)
    }

    /// Sends a text message to all workers. It leaves with [`Server::flush`].
    pub fn broadcast(&self, text: &str) {
        self.shared.send_to_all(text);
    }

    /// What was sent since the last time leaves. To be called at the end of each turn in which something was sent.
    pub fn flush(&self) {
        self.shared.take_submissions();
        self.shared.flush();
    }

    /// Writes all that was sent, as far as the sockets take it, before it returns: the process is about to exit.
    pub fn write_all(&self) {
        self.shared.write_all();
    }

    /// See [`worker_server_core::pool::Pool::select`].
    pub fn select(&self, model: &str, category: Option<&str>) -> Option<Snapshot> {
        let mut pool = self.shared.pool();
        let key = pool.select(model, category)?;
        pool.get(key).map(|worker| Snapshot::of(key, worker))
    }

    /// See [`worker_server_core::pool::Pool::select_any`].
    pub fn select_any(&self) -> Option<Snapshot> {
        let mut pool = self.shared.pool();
        let key = pool.select_any()?;
        pool.get(key).map(|worker| Snapshot::of(key, worker))
    }

    /// See [`worker_server_core::pool::Pool::free_slots`].
    pub fn free_slots(&self, model: &str, category: Option<&str>) -> f64 {
        self.shared.pool().free_slots(model, category)
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.shared.pool().len()
    }

    /// How many workers are available.
    pub fn available_count(&self) -> usize {
        self.shared.pool().available()
    }

    /// All workers in the order of their registration.
    pub fn workers(&self) -> Vec<Snapshot> {
        self.shared.pool().iter().map(|(key, worker)| Snapshot::of(key, worker)).collect()
    }

    /// One worker.
    pub fn worker(&self, key: WorkerKey) -> Option<Snapshot> {
        self.shared.pool().get(key).map(|worker| Snapshot::of(key, worker))
    }

    /// The categories that a worker limits. Their places are those in [`worker_server_core::worker::Worker::limits`].
    pub fn limited(&self, key: WorkerKey) -> Vec<Arc<str>> {
        let pool = self.shared.pool();
        let limits = pool.get(key).map(|worker| &*worker.limits).unwrap_or_default();
        limits.iter().map(|limit| Arc::clone(&limit.category)).collect()
    }

    /// See [`worker_server_core::pool::Pool::track`].
    pub fn track(&self, key: WorkerKey, limit: Option<usize>) -> bool {
        self.shared.pool().track(key, limit)
    }

    /// See [`worker_server_core::pool::Pool::release`].
    pub fn release(&self, key: WorkerKey, limit: Option<usize>, increment_completed: bool) -> bool {
        self.shared.pool().release(key, limit, increment_completed)
    }

    /// What it has counted, and its state at the moment.
    pub fn metrics(&self) -> (&Metrics, Gauges) {
        let Shared { metrics, fleet, clock, .. } = &*self.shared;
        let mut gauges = {
            let fleet = fleet.lock();
            Gauges::of(&fleet.pool, &fleet.requests, &metrics.models, clock.now())
        };
        gauges.connections = self.shared.connections();
        (metrics, gauges)
    }

    /// WebSocket upgrades of this path are the application's own from now on.
    pub fn add_endpoint(&self, path: &str) {
        self.shared.endpoints.write().insert(path.to_owned());
    }

    /// The connection that is relayed to Node from this loopback port.
    pub fn relayed_from(&self, relay_port: u16) -> Option<Arc<Origin>> {
        self.shared.relayed.lock().get(&relay_port).cloned()
    }

    /// New handshakes go by this context. Those that have begun, and connections whose handshake is done, keep theirs.
    /// False on a server without TLS.
    pub fn set_secure_context(&self, context: SecureContext) -> bool {
        let mut current = self.shared.secure_context.write();
        let is_secure = current.is_some();
        if is_secure {
            *current = Some(context);
        }
        is_secure
    }

    /// Takes a connection from Node, by the descriptor of its socket, that turned out to be a worker's: `head` is
    /// its request, and whatever came behind it. `origin` is that of an encrypted one.
    ///
    /// # Safety
    /// Where `fd` is not negative the caller must hold the socket that owns it open for the length of this call.
    ///
    /// # Errors
    /// If the descriptor cannot be duplicated.
    pub unsafe fn take_back(&self, fd: i32, head: &[u8], origin: Option<Origin>) -> io::Result<()> {
        if let Some(runtime) = &*self.runtime.lock() {
            let _context = runtime.enter();
            // SAFETY: as the caller says.
            let stream = unsafe { descriptor::take_back(fd) }?;
            runtime.spawn(listener::serve_worker(Arc::clone(&self.shared), stream, BytesMut::from(head), origin));
        }
        Ok(())
    }
}

async fn tell_what_is_left_out(shared: Arc<Shared>) {
    shared.until_stop(shared.tell_what_is_left_out()).await;
}

async fn watch_for_suspensions(shared: Arc<Shared>) {
    let mut ticks = interval(shared.watch_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shared.until_stop(ticks.tick()).await.is_some() {
        shared.observe_time();
    }
}

async fn check_health(shared: Arc<Shared>) {
    let mut ticks = interval(Duration::from_millis(shared.config.health_check_interval_ms.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, or a little later and then behind the first registration: it would judge too early.
    ticks.tick().await;
    while shared.until_stop(ticks.tick()).await.is_some() {
        shared.check_health();
    }
}
