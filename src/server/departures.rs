//! The way of the application's messages into the sockets.
//!
//! What the application sends in one turn is only put into the outboxes, and leaves when the turn ends: many messages
//! for one peer take one system call. To one or two peers it is written right there, on the application's thread, which is
//! the shortest way; to more it is left to a task, so that the application does not wait for their sockets. What
//! was sent earlier is written earlier, whichever peer it is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use super::peer::Peer;
use super::waker::Waker;

/// To so many peers the application's thread writes by itself.
const MAX_DIRECT_PEERS: usize = 2;
/// But not as much as this, which takes the system long to copy.
const MAX_DIRECT_BYTES: usize = 64 << 10;
/// After so many sockets other tasks have their turn.
const PEERS_A_TURN: usize = 32;
/// A turn of the application that takes longer does not keep back what was sent in it.
const LONG_TURN: Duration = Duration::from_millis(4);
/// After so many looks at a queue that nobody used the watch sleeps.
const QUIET_LOOKS: u32 = 250;

/// Peers with something to be written.
type Batch = Vec<Arc<Peer>>;

/// The peers that the application has sent something to, in the order of the first message to each.
#[derive(Debug)]
pub struct Departures {
    waiting: Mutex<Batch>,
    batches: mpsc::UnboundedSender<Batch>,
    /// Batches that are not written yet.
    in_flight: AtomicUsize,
    /// How often the application came to the end of a turn.
    turns: AtomicU64,
    watched: AtomicBool,
    watch: Notify,
}

impl Departures {
    /// No peers. The receiver is for [`write_batches`].
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Batch>) {
        let (batches, receiver) = mpsc::unbounded_channel();
        let departures = Self {
            waiting: Mutex::default(),
            batches,
            in_flight: AtomicUsize::new(0),
            turns: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            watch: Notify::new(),
        };
        (departures, receiver)
    }

    /// Something was put into a peer's outbox.
    pub fn add(&self, peer: &Arc<Peer>) {
        // Whoever is in a batch already is written after this, at the latest then.
        if !peer.set_departing() {
            self.waiting.lock().push(Arc::clone(peer));
            if !self.watched.swap(true, Ordering::SeqCst) {
                self.watch.notify_one();
            }
        }
    }

    /// The end of a turn: what was sent in it leaves.
    pub fn flush(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        // Held to the end, so that what was sent later is not written before.
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        let is_direct = waiting.len() <= MAX_DIRECT_PEERS
            && self.in_flight.load(Ordering::SeqCst) == 0
            && waiting.iter().all(|peer| peer.outbox.waiting() <= MAX_DIRECT_BYTES);
        if is_direct {
            waiting.drain(..).for_each(|peer| write(&peer));
        } else {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            self.batches.send(std::mem::take(&mut waiting)).ok();
        }
    }

    /// Whether something may wait to be written.
    pub fn are_pending(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) > 0 || !self.waiting.lock().is_empty()
    }
}

fn write(peer: &Peer) {
    peer.clear_departing();
    peer.outbox.write();
}

/// Writes what is left to a task, batch after batch.
pub async fn write_batches(
    departures: Arc<Departures>,
    mut batches: mpsc::UnboundedReceiver<Batch>,
    waker: Arc<Waker>,
) {
    while let Some(batch) = batches.recv().await {
        for peers in batch.chunks(PEERS_A_TURN) {
            for peer in peers {
                write(peer);
            }
            waker.on_progress();
            tokio::task::yield_now().await;
        }
        departures.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sees to it that an application that sends something and then computes for long does not keep it back.
pub async fn watch_turns(departures: Arc<Departures>) {
    loop {
        departures.watch.notified().await;
        let mut seen = departures.turns.load(Ordering::Relaxed);
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            sleep(LONG_TURN).await;
            let turns = departures.turns.load(Ordering::Relaxed);
            if turns == seen {
                quiet += 1;
                departures.flush();
            } else {
                quiet = 0;
            }
            seen = departures.turns.load(Ordering::Relaxed);
        }
        departures.watched.store(false, Ordering::SeqCst);
        // Somebody may have looked just before.
        departures.flush();
    }
}
