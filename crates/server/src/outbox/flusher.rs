//! The way of the application's messages into the sockets.
//!
//! What the application sends in one turn is only put into the outboxes, and leaves when the turn ends: many messages
//! for one peer take one system call. To a few peers it is written right there, on the application's thread, or by
//! a thread of the runtime if one stands by for that, see [`standby`](crate::wakeup::standby); to more it is left to a
//! task, so that the application does not wait for their sockets. Peers are written in the order of the first message
//! that waits for each, and all that waits for one leaves together, be it with an ack that its connection's task writes
//! before.

use std::collections::VecDeque;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::buffer_pool::BufferPool;
use super::submissions::Submissions;
use super::write_buffer::SpareBuffer;
use crate::peer::Peer;
use crate::wakeup::notifier::Notifier;
use crate::wakeup::pacer::Pacer;
use crate::wakeup::standby::Standby;
use worker_server_core::pacing::{MAX_DIRECT_PEERS, STANDBY_TIME};

/// The application's thread does not write as much as this by itself, which takes the system long to copy.
const MAX_DIRECT_BYTES: usize = 64 << 10;
/// After this many sockets other tasks have their turn.
const PEERS_A_TURN: usize = 32;

/// The peers that the application has sent something to, in the order of the first message to each.
///
/// Locks are taken in the order `waiting`, `writing`, `left`.
#[derive(Debug, Default)]
pub struct Flusher {
    /// Those of this turn.
    waiting: Mutex<Vec<Arc<Peer>>>,
    /// Those that are left to the task.
    left: Mutex<VecDeque<Arc<Peer>>>,
    /// How many of them are not written yet.
    unwritten: AtomicUsize,
    /// Held by a thread that writes some of them, so that another one does not overtake.
    writing: Mutex<()>,
    ready: Notify,
    /// How often the application came to the end of a turn.
    pub(super) turns: AtomicU64,
    /// Something was written at once in this turn.
    went_at_once: AtomicBool,
    /// Notified when [`Submissions::set_watched`] was called: see [`turn_watch`](super::turn_watch).
    pub(super) watch: Notify,
    /// What the application has sent, and no call has handed over yet.
    pub submissions: Submissions,
    /// The thread that writes to a few peers for the application, if one does.
    pub standby: Standby,
    /// Memory of what was written, for what is sent next.
    pub buffer_pool: BufferPool,
}

impl Flusher {
    /// Something was put into a peer's outbox. It leaves at the end of the turn, but for the first of a turn that
    /// nobody watches: that is written at once, so that an application that sends one now and then causes no watch.
    /// Returns whether it was.
    pub fn add(&self, peer: &Arc<Peer>) -> bool {
        // A peer that is in a batch already is written after this, at the latest then.
        if peer.set_flush_pending() {
            return false;
        }
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() && self.goes_at_once(peer) {
            drop(write(peer));
            return true;
        }
        waiting.push(Arc::clone(peer));
        drop(waiting);
        if !self.submissions.set_watched(true) {
            self.watch.notify_one();
        }
        false
    }

    fn goes_at_once(&self, peer: &Peer) -> bool {
        !self.submissions.are_watched()
            && !self.standby.is_wanted()
            && self.unwritten.load(Ordering::SeqCst) == 0
            && peer.outbox.waiting() <= MAX_DIRECT_BYTES
            && !self.went_at_once.swap(true, Ordering::SeqCst)
    }

    /// The end of a turn: what was sent in it leaves. False if that was nothing.
    pub fn flush(&self) -> bool {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.went_at_once.store(false, Ordering::SeqCst);
        // Held to the end, so that what was sent later is not written before.
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            return false;
        }
        let is_direct = waiting.len() <= MAX_DIRECT_PEERS
            && self.unwritten.load(Ordering::SeqCst) == 0
            && waiting.iter().all(|peer| peer.outbox.waiting() <= MAX_DIRECT_BYTES);
        if is_direct && !self.standby.is_there() {
            waiting.drain(..).for_each(|peer| drop(write(&peer)));
            return true;
        }
        self.unwritten.fetch_add(waiting.len(), Ordering::SeqCst);
        self.left.lock().extend(waiting.drain(..));
        if !is_direct {
            self.ready.notify_one();
        } else if !self.standby.give() {
            self.write_some(usize::MAX);
        }
        true
    }

    /// A thread of the runtime has nothing left to do. It may stand by, without sleeping, as long as `may_come` says
    /// that there may be something to write, and write that: see [`standby`](crate::wakeup::standby). Returns whether
    /// it has.
    pub fn stand_by(&self, pacer: &Pacer, may_come: impl Fn() -> bool) -> bool {
        if !self.standby.is_wanted() || !may_come() || !pacer.may_stand_by() || !self.standby.begin() {
            return false;
        }
        let begun = Instant::now();
        while self.standby.is_there() && may_come() && begun.elapsed() < STANDBY_TIME {
            hint::spin_loop();
        }
        let is_given = self.standby.end();
        if !is_given {
            pacer.on_vain_standby();
        }
        is_given && self.write_some(usize::MAX)
    }

    /// Writes all that was sent, as far as the sockets take it, before it returns.
    pub fn write_all(&self) {
        let mut waiting = self.waiting.lock();
        // While `waiting` is locked nothing more is left to the task.
        self.write_some(usize::MAX);
        waiting.drain(..).for_each(|peer| drop(write(&peer)));
    }

    /// Whether something is left to the task.
    pub fn leaves_some(&self) -> bool {
        self.unwritten.load(Ordering::SeqCst) > 0
    }

    /// Whether something may wait to be written.
    pub fn are_pending(&self) -> bool {
        self.leaves_some() || !self.waiting.lock().is_empty()
    }

    /// Writes to up to `count` of the peers that were left to the task. False if there was none.
    fn write_some(&self, count: usize) -> bool {
        let _writing = self.writing.lock();
        let peers: Vec<_> = {
            let mut left = self.left.lock();
            let count = count.min(left.len());
            left.drain(..count).collect()
        };
        self.buffer_pool.put(peers.iter().map(|peer| write(peer)).filter(|spare| !spare.is_empty()).collect());
        self.unwritten.fetch_sub(peers.len(), Ordering::SeqCst);
        !peers.is_empty()
    }
}

fn write(peer: &Peer) -> SpareBuffer {
    peer.clear_flush_pending();
    peer.outbox.write()
}

/// Writes what is left to a task. Never ends.
pub async fn write_what_is_left(flusher: Arc<Flusher>, notifier: Arc<Notifier>) {
    loop {
        flusher.ready.notified().await;
        while flusher.write_some(PEERS_A_TURN) {
            notifier.on_progress();
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;
    use std::{hint, thread};

    use tokio::io::AsyncReadExt;
    use tokio::net::tcp::OwnedReadHalf;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    /// A peer that has been sent an `a`, and its end of the connection.
    pub async fn peer_to_write_to(id: u64, listener: &TcpListener) -> (Arc<Peer>, TcpStream, OwnedReadHalf) {
        let end = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (reader, writer) = listener.accept().await.unwrap().0.into_split();
        writer.writable().await.unwrap();
        let peer = Arc::new(Peer::new(id, usize::MAX));
        peer.outbox.open(writer.into());
        peer.outbox.send("a".into());
        (peer, end, reader)
    }

    pub async fn assert_was_written(end: &mut TcpStream) {
        let mut frame = [0; 3];
        end.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x01a");
    }

    #[tokio::test]
    async fn what_goes_to_one_peer_is_written_by_the_thread_that_stands_by_or_else_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (flusher, pacer) = (Flusher::default(), Pacer::new(2));
        flusher.standby.set_wanted(true);
        for (id, stands_by) in [(1, true), (2, false)] {
            let (peer, mut end, _reader) = peer_to_write_to(id, &listener).await;
            let may_come = AtomicBool::new(true);
            thread::scope(|scope| {
                if stands_by {
                    scope.spawn(|| {
                        while may_come.load(Ordering::SeqCst) && !flusher.stand_by(&pacer, || true) {
                            hint::spin_loop();
                        }
                    });
                    while !flusher.standby.is_there() {
                        thread::yield_now();
                    }
                }
                flusher.add(&peer);
                flusher.flush();
                may_come.store(false, Ordering::SeqCst);
            });
            assert!(!flusher.are_pending());
            assert_was_written(&mut end).await;
        }
    }

    #[test]
    fn nobody_stands_by_unless_it_is_wanted_and_something_may_come() {
        let (flusher, pacer) = (Flusher::default(), Pacer::new(2));
        let looked = AtomicUsize::new(0);
        let stand_by = || {
            flusher.stand_by(&pacer, || {
                looked.fetch_add(1, Ordering::SeqCst);
                false
            })
        };
        assert!(!stand_by());
        assert_eq!(looked.load(Ordering::SeqCst), 0);
        flusher.standby.set_wanted(true);
        assert!(!stand_by());
        assert_eq!(looked.load(Ordering::SeqCst), 1);
        assert!(pacer.may_stand_by(), "that was no standby for nothing");
    }

    #[test]
    fn a_thread_that_has_stood_by_for_nothing_does_not_do_so_again_soon() {
        let (flusher, pacer) = (Flusher::default(), Pacer::new(2));
        flusher.standby.set_wanted(true);
        let begun = Instant::now();
        assert!(!flusher.stand_by(&pacer, || true));
        assert!(begun.elapsed() >= STANDBY_TIME);
        assert!(!pacer.may_stand_by());
    }

    #[tokio::test]
    async fn the_first_message_of_a_turn_that_nobody_watches_is_written_at_once_and_wakes_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let flusher = Flusher::default();
        for id in 1..=3 {
            let (peer, mut end, _reader) = peer_to_write_to(id, &listener).await;
            assert!(flusher.add(&peer));
            assert_was_written(&mut end).await;
            flusher.flush();
        }
        assert!(!flusher.submissions.are_watched());
        // Nobody was notified to look.
        assert!(timeout(Duration::ZERO, flusher.watch.notified()).await.is_err());
    }

    #[tokio::test]
    async fn what_was_left_to_a_task_that_has_no_turn_can_be_written_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let flusher = Flusher::default();
        let (mut ends, mut readers) = (Vec::new(), Vec::new());
        for id in 1..=4 {
            let (peer, end, reader) = peer_to_write_to(id, &listener).await;
            ends.push(end);
            readers.push(reader);
            flusher.add(&peer);
            if id == 3 {
                flusher.flush();
            }
        }
        assert!(flusher.are_pending());
        flusher.write_all();
        assert!(!flusher.are_pending());
        for end in &mut ends {
            assert_was_written(end).await;
        }
    }
}
