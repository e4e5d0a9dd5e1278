//! One worker connection, as both threads see it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{OnceLock, Weak};

use parking_lot::Mutex;

use crate::connection_info::ConnectionInfo;
use crate::door::Hold;
use crate::outbox::Outbox;
use crate::wakeup::polled_task::PolledTask;
use worker_server_core::registration::Registration;
use worker_server_core::worker::WorkerKey;

/// Names a connection within its server. None is 0.
pub type PeerId = u64;

/// A registration on its way to the application's thread, which settles it.
#[derive(Debug, Default)]
enum Proposal {
    #[default]
    None,
    /// It waits, and what is held for it while the application judges it.
    Made(Box<Made>),
    /// It is being settled, whatever becomes of the connection meanwhile.
    Settling(Box<Registration>),
}

/// A registration that waits, and what is held for it.
#[derive(Debug)]
struct Made {
    registration: Registration,
    hold: Option<Hold>,
}

/// The shared state of one connection. Its task owns the socket; everyone else holds this.
#[derive(Debug)]
pub struct Peer {
    /// Its name.
    pub id: PeerId,
    /// Whence it came.
    pub connection: ConnectionInfo,
    /// What waits to be sent to it.
    pub outbox: Outbox,
    open: AtomicBool,
    /// The key of its worker; 0 while it has none.
    worker: AtomicU64,
    /// Counted among the connections that have not registered.
    stranger: AtomicBool,
    /// A handler took one of its messages: it may stay without registering.
    in_use: AtomicBool,
    /// It has been a worker, and so has given the token.
    registered: AtomicBool,
    /// Its worker takes requests: see [`crate::membership::Features`].
    attentive: AtomicBool,
    registering: AtomicBool,
    proposal: Mutex<Proposal>,
    /// Nothing that it says is listened to any more.
    dismissed: AtomicBool,
    /// The application is being notified of its end: nothing of it may come behind.
    ended: AtomicBool,
    /// Its end is counted: that may be seen before the application is notified.
    end_counted: AtomicBool,
    unhandled: AtomicUsize,
    unhandled_messages: AtomicUsize,
    paused: AtomicBool,
    /// Among those whose outboxes will be written.
    flush_pending: AtomicBool,
    /// Its connection's task, if the application may poll that.
    task: OnceLock<Weak<PolledTask>>,
}

impl Peer {
    /// A connection of which nothing is known.
    pub fn new(id: PeerId, max_queued_bytes: usize) -> Self {
        Self::connected(id, max_queued_bytes, ConnectionInfo::default())
    }

    /// A connection that has just been accepted.
    pub fn connected(id: PeerId, max_queued_bytes: usize, connection: ConnectionInfo) -> Self {
        Self {
            id,
            connection,
            outbox: Outbox::new(max_queued_bytes),
            open: AtomicBool::new(true),
            worker: AtomicU64::new(0),
            stranger: AtomicBool::new(true),
            in_use: AtomicBool::new(false),
            registered: AtomicBool::new(false),
            attentive: AtomicBool::new(false),
            registering: AtomicBool::new(false),
            proposal: Mutex::default(),
            dismissed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            end_counted: AtomicBool::new(false),
            unhandled: AtomicUsize::new(0),
            unhandled_messages: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            flush_pending: AtomicBool::new(false),
            task: OnceLock::new(),
        }
    }

    /// The application may poll its connection's task.
    pub fn set_task(&self, task: Weak<PolledTask>) {
        self.task.get_or_init(|| task);
    }

    /// Its connection's task, if the application may poll that.
    pub fn task(&self) -> Option<Weak<PolledTask>> {
        self.task.get().cloned()
    }

    /// Whether messages can still be sent to it.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Notes that the connection is closing or gone.
    pub fn set_closed(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// The worker that it registered.
    pub fn worker(&self) -> Option<WorkerKey> {
        match self.worker.load(Ordering::SeqCst) {
            0 => None,
            key => Some(WorkerKey(key)),
        }
    }

    /// Ties it to a worker, or unties it.
    pub fn set_worker(&self, key: Option<WorkerKey>) {
        self.worker.store(key.map_or(0, |key| key.0), Ordering::SeqCst);
    }

    /// Unties it from its worker, which left the pool.
    pub fn forget_worker(&self) {
        self.set_worker(None);
        self.outbox.publish_in(None);
    }

    /// Whether it may stay unregistered.
    pub fn is_in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed)
    }

    /// A handler took one of its messages.
    pub fn set_in_use(&self) {
        self.in_use.store(true, Ordering::Relaxed);
    }

    /// It no longer counts as a stranger. True the first time.
    pub fn stop_counting_as_stranger(&self) -> bool {
        self.stranger.swap(false, Ordering::Relaxed)
    }

    /// Leaves a registration to be settled. `hold` lasts until that begins, or until the registration is withdrawn.
    pub fn propose(&self, registration: Registration, hold: Option<Hold>) {
        *self.proposal.lock() = Proposal::Made(Box::new(Made { registration, hold }));
        self.registering.store(true, Ordering::SeqCst);
    }

    /// So many bytes are held behind a registration that the application judges, as long as it does.
    pub fn hold_behind(&self, bytes: usize) {
        if let Proposal::Made(made) = &mut *self.proposal.lock()
            && let Some(hold) = &mut made.hold
        {
            hold.set_behind(bytes);
        }
    }

    /// Begins to settle the registration that waits. If the connection is closing there is nothing to settle: nobody
    /// should make room for a worker that is gone, and what the peer says behind its registration is nobody's.
    pub fn begin_settling(&self) -> Option<Registration> {
        if !self.is_open() {
            self.withdraw();
            return None;
        }
        let mut proposal = self.proposal.lock();
        let Proposal::Made(made) = std::mem::take(&mut *proposal) else { return None };
        let Made { registration, .. } = *made;
        *proposal = Proposal::Settling(Box::new(registration.clone()));
        Some(registration)
    }

    /// The registration that is being settled.
    pub fn settling(&self) -> Option<Registration> {
        match &*self.proposal.lock() {
            Proposal::Settling(registration) => Some((**registration).clone()),
            Proposal::None | Proposal::Made(_) => None,
        }
    }

    /// The id under which a registration that waits would have it known.
    pub fn proposed_id(&self) -> Option<String> {
        match &*self.proposal.lock() {
            Proposal::Made(made) => Some(made.registration.worker_id.clone()),
            Proposal::None | Proposal::Settling(_) => None,
        }
    }

    /// A registration that waits will not be settled: the connection is closing, or about to be closed. False if none
    /// waits.
    pub fn withdraw(&self) -> bool {
        let mut proposal = self.proposal.lock();
        let Proposal::Made(_) = &*proposal else { return false };
        *proposal = Proposal::None;
        drop(proposal);
        self.dismiss();
        self.settle();
        true
    }

    /// Whether a registration waits to be settled.
    pub fn is_registering(&self) -> bool {
        self.registering.load(Ordering::SeqCst)
    }

    /// The registration is settled; reading goes on.
    pub fn settle(&self) {
        *self.proposal.lock() = Proposal::None;
        self.registering.store(false, Ordering::SeqCst);
        self.outbox.alert();
    }

    /// Bytes that were received from it and not yet handled.
    pub fn unhandled(&self) -> usize {
        self.unhandled.load(Ordering::SeqCst)
    }

    /// Messages for the application that were received from it and not yet handled.
    pub fn unhandled_messages(&self) -> usize {
        self.unhandled_messages.load(Ordering::SeqCst)
    }

    /// Adds to what waits to be handled.
    pub fn add_unhandled(&self, bytes: usize, messages: usize) {
        self.unhandled.fetch_add(bytes, Ordering::SeqCst);
        self.unhandled_messages.fetch_add(messages, Ordering::SeqCst);
    }

    /// Subtracts what was handled.
    pub fn sub_unhandled(&self, bytes: usize, messages: usize) {
        self.unhandled.fetch_sub(bytes, Ordering::SeqCst);
        self.unhandled_messages.fetch_sub(messages, Ordering::SeqCst);
        // A peer that is about to pause looks at the count after it has said so.
        if self.is_paused() {
            self.outbox.alert();
        }
    }

    /// Whether this server reads nothing from it since too much is unhandled.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    /// Whether this server reads nothing from it at present, so that its silence says nothing.
    pub fn is_unread(&self) -> bool {
        self.is_paused() || self.is_registering()
    }

    /// Whether it has been a worker.
    pub fn has_registered(&self) -> bool {
        self.registered.load(Ordering::SeqCst)
    }

    /// It is a worker.
    pub fn set_registered(&self) {
        self.registered.store(true, Ordering::SeqCst);
    }

    /// Whether its worker takes requests.
    pub fn is_attentive(&self) -> bool {
        self.attentive.load(Ordering::SeqCst)
    }

    /// Its worker takes requests, or takes none. Before its registration is settled.
    pub fn set_attentive(&self, attentive: bool) {
        self.attentive.store(attentive, Ordering::SeqCst);
    }

    /// Whether nothing that it says is listened to.
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::SeqCst)
    }

    /// From now on nothing that it says is listened to.
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::SeqCst);
    }

    /// Whether the application is being notified of its end, or was.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The application is being notified of its end. True the first time.
    pub fn end(&self) -> bool {
        !self.ended.swap(true, Ordering::SeqCst)
    }

    /// Its end is being counted. True the first time.
    pub fn count_end(&self) -> bool {
        !self.end_counted.swap(true, Ordering::Relaxed)
    }

    /// Notes whether this server reads from it.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// It is to be written. True if that was so already.
    pub fn set_flush_pending(&self) -> bool {
        self.flush_pending.swap(true, Ordering::SeqCst)
    }

    /// It is being written: what is put in from now on is for the next time.
    pub fn clear_flush_pending(&self) {
        self.flush_pending.store(false, Ordering::SeqCst);
    }
}
