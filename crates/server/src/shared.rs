//! What all tasks of one server share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard, RwLock};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::accept::addresses::Origin;
use crate::connection_info::ConnectionInfo;
use crate::door::Door;
use crate::events::{Event, ServerEvents};
use crate::fleet::Fleet;
use crate::log_limits::LogLimits;
use crate::outbox::buffered_amounts::BufferedAmounts;
use crate::outbox::flusher::Flusher;
use crate::peer::{Peer, PeerId};
use crate::tls::secure_context::SecureContext;
use crate::wakeup::busy_poll::BusyPoll;
use crate::wakeup::notifier::Notifier;
use crate::wakeup::pacer::Pacer;
use worker_server_core::clock::{Clock, Moment};
use worker_server_core::config::ServerConfig;
use worker_server_core::log::Line;
use worker_server_core::metrics::{LimitName, Metrics};
use worker_server_core::pool::{Finding, Pool};
use worker_server_core::protocol::Closing;
use worker_server_core::suspension::Suspension;
use worker_server_core::worker::WorkerKey;

/// The state of one server, from its start to its stop.
///
/// Locks are taken in the order `fleet`, then a peer's own; no lock is held across an await.
#[derive(Debug)]
pub struct Shared {
    /// What the server was told.
    pub config: ServerConfig,
    /// What it counts; those that were started before it count there too.
    pub metrics: Arc<Metrics>,
    /// Its clock.
    pub clock: Clock,
    /// Who may come in.
    pub door: Door,
    /// Its registered workers, and the requests that look for one.
    pub fleet: Mutex<Fleet>,
    /// An [`Event::Slots`] is on its way.
    pub slots_pending: Arc<AtomicBool>,
    /// While the server drains: the seconds after which a worker that is not let in may try again.
    pub retry_after: Mutex<Option<u32>>,
    /// What the application's thread will be told.
    pub events: ServerEvents,
    /// How the threads wait for each other.
    pub pacer: Arc<Pacer>,
    /// Whether the application's thread serves the sockets.
    pub busy_poll: Arc<BusyPoll>,
    /// When it is told.
    pub notifier: Arc<Notifier>,
    /// What the application sees of how much waits for each worker.
    pub buffered_amounts: Arc<BufferedAmounts>,
    /// What the application has sent.
    pub flusher: Arc<Flusher>,
    /// Paths of the application's own WebSocket endpoints.
    pub endpoints: RwLock<HashSet<String>>,
    /// The connections that are relayed to Node, by the port that the relay comes from.
    pub relayed: Mutex<HashMap<u16, Arc<Origin>>>,
    /// What handshakes go by; `None` on a server without TLS.
    pub secure_context: RwLock<Option<SecureContext>>,
    /// What limits the log lines that peers can cause.
    pub log_limits: LogLimits,
    is_stopping: watch::Sender<bool>,
    peers: Mutex<Peers>,
    next_peer: AtomicU64,
    strangers: AtomicUsize,
    refusing: AtomicBool,
    suspension: Mutex<Suspension>,
    /// What it found last, as [`Moment::elapsed_ms`].
    awake_since_ms: AtomicU64,
}

/// The connections that the application's thread has not seen the end of.
#[derive(Debug)]
struct Peers {
    by_id: HashMap<PeerId, Arc<Peer>>,
    /// Held by each connection's task, so that their end can be awaited. `None` once the server stops.
    alive: Option<mpsc::Sender<()>>,
    /// The tasks of all connections that have one, those included whose end was told.
    tasks: HashMap<PeerId, Option<AbortHandle>>,
    are_cut: bool,
}

/// A connection that was let in, and the proof that its task is alive.
pub struct Admission {
    /// The connection.
    pub peer: Arc<Peer>,
    /// The server's state.
    pub shared: Arc<Shared>,
    _alive: mpsc::Sender<()>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.forget_stranger(&self.peer);
        let mut peers = self.shared.peers.lock();
        peers.tasks.remove(&self.peer.id);
        if peers.tasks.len() < self.shared.config.limits.max_connections {
            self.shared.refusing.store(false, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// The state of a server that begins; `wake` wakes the application's thread. The receiver ends when the server
    /// stops and all its connections are gone.
    pub fn new(
        config: ServerConfig,
        metrics: Arc<Metrics>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> (Arc<Self>, mpsc::Receiver<()>) {
        let (alive, gone) = mpsc::channel(1);
        let pacer = Arc::new(Pacer::default());
        let notifier = Arc::new(Notifier::new(Arc::clone(&pacer), wake));
        let queue_waker = Arc::clone(&notifier);
        let clock = Clock::start();
        let suspension = Suspension::new(config.shortest_limit(), clock.now());
        let shared = Self {
            door: Door::new(&config),
            fleet: Mutex::new(Fleet::new(&config)),
            slots_pending: Arc::default(),
            retry_after: Mutex::default(),
            config,
            metrics,
            clock,
            events: ServerEvents::new(move || queue_waker.notify_soon()),
            notifier,
            pacer,
            busy_poll: Arc::default(),
            buffered_amounts: Arc::default(),
            flusher: Arc::default(),
            endpoints: RwLock::default(),
            relayed: Mutex::default(),
            secure_context: RwLock::default(),
            log_limits: LogLimits::default(),
            is_stopping: watch::Sender::new(false),
            peers: Mutex::new(Peers {
                by_id: HashMap::new(),
                alive: Some(alive),
                tasks: HashMap::new(),
                are_cut: false,
            }),
            next_peer: AtomicU64::new(0),
            strangers: AtomicUsize::new(0),
            refusing: AtomicBool::new(false),
            suspension: Mutex::new(suspension),
            awake_since_ms: AtomicU64::new(0),
        };
        (Arc::new(shared), gone)
    }

    /// A thread of the runtime has nothing left to do.
    pub fn on_idle(&self) {
        self.notifier.on_idle();
        self.flusher.stand_by(&self.pacer, || self.events.unhandled() > 0);
    }

    /// The server stops: it lets nobody in, and those who are in are being closed.
    pub fn begin_stop(&self) {
        self.is_stopping.send_replace(true);
    }

    /// Runs `step` to its end, unless the server stops before.
    pub async fn until_stop<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let mut is_stopping = self.is_stopping.subscribe();
        tokio::select! {
            _ = is_stopping.wait_for(|is_stopping| *is_stopping) => None,
            done = step => Some(done),
        }
    }

    /// Lets a worker connection in, unless there are too many or the server stops. Its end must be told, by
    /// [`Event::Closed`].
    pub fn admit(self: &Arc<Self>, connection: ConnectionInfo) -> Option<Admission> {
        let limits = &self.config.limits;
        let mut peers = self.peers.lock();
        let alive = peers.alive.clone()?;
        // Those whose end the application has not seen still take memory.
        let connections = peers.tasks.len().max(peers.by_id.len());
        let strangers = self.strangers.load(Ordering::Relaxed);
        if connections >= limits.max_connections || strangers >= limits.max_unregistered {
            drop(peers);
            let is_full = connections >= limits.max_connections;
            self.metrics.limit_hit(if is_full { LimitName::MaxConnections } else { LimitName::MaxUnregistered });
            if !self.refusing.swap(true, Ordering::Relaxed) {
                let context = json!({ "connections": connections, "unregistered": strangers });
                self.log_limited(Line::warn("Too many connections, refusing more", context));
            }
            return None;
        }
        let id = self.next_peer.fetch_add(1, Ordering::Relaxed) + 1;
        let peer = Arc::new(Peer::connected(id, limits.max_queued_bytes, connection));
        peers.tasks.insert(id, None);
        peers.by_id.insert(id, Arc::clone(&peer));
        self.strangers.fetch_add(1, Ordering::Relaxed);
        Some(Admission { peer, shared: Arc::clone(self), _alive: alive })
    }

    /// Something that `stop` waits for as long as it lives; `None` once the server stops.
    pub fn alive(&self) -> Option<mpsc::Sender<()>> {
        self.peers.lock().alive.clone()
    }

    /// Worker connections that are open.
    pub fn connections(&self) -> usize {
        self.peers.lock().tasks.len()
    }

    /// A connection that was let in has a task, which [`Shared::cut`] may end.
    pub fn may_cut(&self, id: PeerId, task: AbortHandle) {
        let mut peers = self.peers.lock();
        if peers.are_cut {
            task.abort();
        } else if let Some(entry) = peers.tasks.get_mut(&id) {
            *entry = Some(task);
        }
    }

    /// Whoever is still there is cut off.
    pub fn cut(&self) {
        let tasks: Vec<_> = {
            let mut peers = self.peers.lock();
            peers.are_cut = true;
            peers.tasks.values_mut().filter_map(Option::take).collect()
        };
        for task in tasks {
            task.abort();
        }
    }

    /// The registered workers.
    pub fn pool(&self) -> MappedMutexGuard<'_, Pool<Arc<Peer>>> {
        MutexGuard::map(self.fleet.lock(), |fleet| &mut fleet.pool)
    }

    /// A connection whose end the application's thread has not seen.
    pub fn peer(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.peers.lock().by_id.get(&id).cloned()
    }

    /// The connection of a worker.
    pub fn peer_of(&self, worker_id: &str) -> Option<PeerId> {
        let pool = self.pool();
        pool.key_of(worker_id).and_then(|key| pool.get(key)).map(|worker| worker.peer.id)
    }

    /// The peer of a worker.
    pub fn peer_with(&self, key: WorkerKey) -> Option<Arc<Peer>> {
        self.pool().get(key).map(|worker| Arc::clone(&worker.peer))
    }

    /// Every connection whose end the application's thread has not seen.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.lock().by_id.values().cloned().collect()
    }

    /// The application's thread has seen the end of a connection.
    pub fn forget(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.peers.lock().by_id.remove(&id)
    }

    /// Lets nobody in from now on, and gives all who are in.
    pub fn forget_all(&self) -> Vec<Arc<Peer>> {
        let mut peers = self.peers.lock();
        peers.alive = None;
        peers.by_id.drain().map(|(_, peer)| peer).collect()
    }

    /// A connection registered, or is in use, or gone: it is no longer counted as unregistered.
    pub fn forget_stranger(&self, peer: &Peer) {
        if peer.stop_counting_as_stranger() {
            let before = self.strangers.fetch_sub(1, Ordering::Relaxed);
            if before <= self.config.limits.max_unregistered {
                self.refusing.store(false, Ordering::Relaxed);
            }
        }
    }

    /// The connection is closing or gone: nothing more is sent, and selection passes its worker over (I1: its entry
    /// stays until the application's thread sees its end).
    pub fn shut(&self, peer: &Peer) {
        peer.set_closed();
        peer.outbox.shut();
        let mut pool = self.pool();
        if let Some(key) = peer.worker() {
            pool.mark_closed(key);
        }
    }

    /// Closes a connection, with a close frame behind what waits to be sent.
    pub fn close(&self, peer: &Peer, closing: Closing) {
        self.shut(peer);
        peer.outbox.close(closing);
    }

    /// Presumes a peer to be dead. The application is notified now, with this closing, and not when the peer has
    /// answered a close frame, if it ever does. Nothing of the peer comes behind that (I2).
    pub fn give_up(&self, peer: &Arc<Peer>, closing: Closing) {
        self.shut(peer);
        peer.dismiss();
        self.tell_end(peer, closing.code, Utf8Bytes::from_static(closing.reason));
    }

    /// Tells the application that a connection is gone. Only the first of its ends counts.
    pub fn tell_end(&self, peer: &Arc<Peer>, code: u16, reason: Utf8Bytes) {
        if peer.count_end() {
            self.metrics.disconnected(code);
        }
        self.events.push(Event::Closed { peer: Arc::clone(peer), code, reason });
    }

    /// How often [`Shared::observe_time`] must be called.
    pub fn watch_interval(&self) -> Duration {
        self.suspension.lock().tick()
    }

    /// Returns the moment since when this process has run without a break, up to now. Whoever judges a peer by time
    /// asks, since it may be the first to run after a suspension.
    pub fn observe_time(&self) -> Moment {
        let mut suspension = self.suspension.lock();
        let awake_since = suspension.observe(self.clock.now());
        self.awake_since_ms.store(awake_since.elapsed_ms, Ordering::SeqCst);
        awake_since
    }

    /// What [`Shared::observe_time`] returned last.
    pub fn awake_since(&self) -> Instant {
        self.clock.instant(self.awake_since_ms.load(Ordering::SeqCst)).into()
    }

    /// Judges every worker's silence, and gives up the dead.
    pub fn check_health(&self) {
        let timeout_ms = self.config.heartbeat_timeout_ms;
        let awake_since = self.observe_time();
        let findings = {
            let mut pool = self.pool();
            pool.count_silence_from(awake_since);
            pool.check_health(self.clock.now(), timeout_ms, |peer| peer.is_unread())
        };
        for finding in findings {
            match finding {
                Finding::TimedOut { id, silent_ms } => self.log(Line::warn(
                    "Worker heartbeat timeout",
                    json!({ "workerId": *id, "timeSinceHeartbeat": silent_ms, "threshold": timeout_ms }),
                )),
                Finding::Dead { key, id } => {
                    self.log(Line::warn("Worker connection presumed dead, closing", json!({ "workerId": *id })));
                    if let Some(peer) = self.peer_with(key) {
                        self.give_up(&peer, Closing::HEARTBEAT_TIMEOUT);
                        peer.outbox.close(Closing::HEARTBEAT_TIMEOUT);
                    }
                }
            }
        }
    }
}
