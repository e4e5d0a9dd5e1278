//! The way of the application's messages into the sockets.
//!
//! What the application sends in one turn is only put into the outboxes, and leaves when the turn ends: many messages
//! for one peer take one system call. To one or two peers it is written right there, on the application's thread, or by a
//! thread of the runtime if one stands by for that, see [`standby`](crate::wakeup::standby); to more it is left to a task, so that
//! the application does not wait for their sockets. Peers are written in the order of the first message that waits for each, and all
//! that waits for one leaves together, be it with an ack that its connection's task writes before.

use std::collections::VecDeque;
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::AtomicU32;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::buffer_pool::BufferPool;
use super::submissions::Submissions;
use super::write_buffer::SpareBuffer;
use crate::peer::Peer;
use crate::shared::Shared;
use crate::wakeup::notifier::Notifier;
use crate::wakeup::standby::Standby;

/// To so many peers the application's thread writes by itself.
const MAX_DIRECT_PEERS: usize = 2;
/// But not as much as this, which takes the system long to copy.
const MAX_DIRECT_BYTES: usize = 64 << 10;
/// After so many sockets other tasks have their turn.
const PEERS_A_TURN: usize = 32;
/// A turn of the application that takes longer does not keep back what was sent in it.
const LONG_TURN: Duration = Duration::from_millis(4);
/// After so many looks that found nothing the watch sleeps.
const QUIET_LOOKS: u32 = 2;
/// And when nothing was sent for as long as this after that, memory is given back.
const SPARES_KEPT: Duration = Duration::from_secs(1);

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
    /// Held by whoever writes some of them, so that another one does not overtake.
    writing: Mutex<()>,
    ready: Notify,
    /// How often the application came to the end of a turn.
    turns: AtomicU64,
    /// Something was written at once in this turn.
    went_at_once: AtomicBool,
    /// Told when [`Submissions::set_watched`] was.
    watch: Notify,
    /// How often the watch looked.
    #[cfg(test)]
    looks: AtomicU32,
    /// What the application has sent, and no call has handed over yet.
    pub submissions: Submissions,
    /// Whoever writes to one or two peers for the application, if somebody does.
    pub standby: Standby,
    /// Memory of what was written, for what is sent next.
    pub buffer_pool: BufferPool,
}

impl Flusher {
    /// Something was put into a peer's outbox. It leaves at the end of the turn, but for the first of a turn that nobody watches: that is
    /// written at once, so that an application that sends one now and then causes no watch. Gives whether it was.
    pub fn add(&self, peer: &Arc<Peer>) -> bool {
        // Whoever is in a batch already is written after this, at the latest then.
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

    /// A thread of the runtime has nothing left to do. It may stand by, and write something then: see [`Standby::wait`]. Gives
    /// whether it has.
    pub fn stand_by(&self, may_come: impl Fn() -> bool) -> bool {
        self.standby.wait(may_come) && self.write_some(usize::MAX)
    }

    /// Writes all that was sent, as far as the sockets take it, before it returns.
    pub fn write_all(&self) {
        let mut waiting = self.waiting.lock();
        // While `waiting` is locked nothing more is left to the task.
        self.write_some(usize::MAX);
        waiting.drain(..).for_each(|peer| drop(write(&peer)));
    }

    /// Whether something may wait to be written.
    pub fn are_pending(&self) -> bool {
        self.unwritten.load(Ordering::SeqCst) > 0 || !self.waiting.lock().is_empty()
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

/// Sees to it that an application that sends something and then computes for long does not keep it back, nor one that does not say
/// when its turns end. Sleeps when nothing is sent.
pub async fn watch_turns(shared: Arc<Shared>) {
    let flusher = &shared.flusher;
    loop {
        if timeout(SPARES_KEPT, flusher.watch.notified()).await.is_err() {
            flusher.buffer_pool.clear();
            flusher.watch.notified().await;
        }
        watch(&shared).await;
    }
}

/// Looks after long turns until some looks in a row have found that nothing was sent.
async fn watch(shared: &Shared) {
    let flusher = &shared.flusher;
    let Flusher { turns, submissions, .. } = &**flusher;
    let mut seen = turns.load(Ordering::Relaxed);
    let mut quiet = 0;
    loop {
        sleep(LONG_TURN).await;
        #[cfg(test)]
        flusher.looks.fetch_add(1, Ordering::SeqCst);
        let is_same_turn = turns.load(Ordering::Relaxed) == seen;
        if !is_same_turn {
            quiet = 0;
        } else if flusher.are_pending() || submissions.are_there() {
            quiet = 0;
            shared.flush_early();
        } else if !submissions.are_watched() {
            return;
        } else {
            quiet += 1;
        }
        submissions.look();
        seen = turns.load(Ordering::Relaxed);
        // The next look is the last. Whoever sent something before this relied on it.
        submissions.set_watched(quiet < QUIET_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use std::{hint, thread};

    use tokio::io::AsyncReadExt;
    use tokio::net::tcp::OwnedReadHalf;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::outbox::submissions::counter;
    use worker_server_core::config::ServerConfig;

    /// A peer that has been sent an `a`, and its end of the connection.
    async fn peer_to_write_to(id: u64, listener: &TcpListener) -> (Arc<Peer>, TcpStream, OwnedReadHalf) {
        let end = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (reader, writer) = listener.accept().await.unwrap().0.into_split();
        writer.writable().await.unwrap();
        let peer = Arc::new(Peer::new(id, usize::MAX));
        peer.outbox.open(writer);
        peer.outbox.send("a".into());
        (peer, end, reader)
    }

    async fn assert_was_written(end: &mut TcpStream) {
        let mut frame = [0; 3];
        end.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x01a");
    }

    #[tokio::test]
    async fn what_goes_to_one_peer_is_written_by_the_thread_that_stands_by_or_else_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let flusher = Flusher::default();
        flusher.standby.set_wanted(true);
        for (id, stands_by) in [(1, true), (2, false)] {
            let (peer, mut end, _reader) = peer_to_write_to(id, &listener).await;
            let may_come = AtomicBool::new(true);
            thread::scope(|scope| {
                if stands_by {
                    scope.spawn(|| {
                        while may_come.load(Ordering::SeqCst) && !flusher.stand_by(|| true) {
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

    fn shared() -> Arc<Shared> {
        Shared::new(ServerConfig::default(), || {}).0
    }

    /// Publishes the text `a` for a worker, as JavaScript does.
    fn publish(flusher: &Flusher, key: u64) {
        let memory = flusher.submissions.memory();
        let [first, second, ..] = &memory.records;
        first.store((key as f64).to_bits(), Ordering::Relaxed);
        second.store(1.0_f64.to_bits(), Ordering::Relaxed);
        // SAFETY: nothing is published yet.
        unsafe { memory.texts.as_ptr().write(b'a') };
        memory.counters[counter::PUBLISHED].store(1, Ordering::SeqCst);
    }

    #[tokio::test]
    async fn memory_of_what_was_written_is_given_back_when_nothing_is_sent_any_more() {
        let shared = shared();
        let flusher = &shared.flusher;
        flusher.buffer_pool.put(vec![SpareBuffer::default()]);
        flusher.watch.notify_one();
        tokio::spawn(watch_turns(Arc::clone(&shared)));
        loop {
            let buffer_pool = flusher.buffer_pool.take();
            if buffer_pool.is_empty() {
                break;
            }
            flusher.buffer_pool.put(buffer_pool);
            sleep(LONG_TURN).await;
        }
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
        // Nobody was told to look.
        assert!(timeout(Duration::ZERO, flusher.watch.notified()).await.is_err());
    }

    #[tokio::test]
    async fn further_messages_of_a_turn_are_watched_and_leave_though_the_turn_does_not_end() {
        let shared = shared();
        let flusher = &shared.flusher;
        tokio::spawn(watch_turns(Arc::clone(&shared)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ends = Vec::new();
        for id in 1..=2 {
            let (peer, end, reader) = peer_to_write_to(id, &listener).await;
            assert_eq!(flusher.add(&peer), id == 1);
            ends.push((end, reader));
        }
        assert!(flusher.submissions.are_watched());
        for (end, _) in &mut ends {
            assert_was_written(end).await;
        }
        let memory = flusher.submissions.memory();
        assert_ne!(memory.counters[counter::EARLY].load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn the_watch_ends_after_a_few_looks_that_find_nothing() {
        let shared = shared();
        let Flusher { submissions, looks, .. } = &*shared.flusher;
        for _ in 0..3 {
            let before = looks.load(Ordering::SeqCst);
            submissions.set_watched(true);
            watch(&shared).await;
            assert!(!submissions.are_watched());
            assert_eq!(looks.load(Ordering::SeqCst) - before, QUIET_LOOKS + 1);
        }
    }

    #[tokio::test]
    async fn what_was_published_while_the_watch_ended_is_taken_before_it_ends() {
        let shared = shared();
        publish(&shared.flusher, 1);
        shared.flusher.submissions.set_watched(true);
        watch(&shared).await;
        assert!(!shared.flusher.submissions.are_there());
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
