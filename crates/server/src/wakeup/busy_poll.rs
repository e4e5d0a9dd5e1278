//! Which thread serves the sockets while the application looks for messages.
//!
//! The application's thread polls the tasks of the few peers that it talks to, see
//! [`polled_task`](super::polled_task). Meanwhile the runtime's thread rests, or each message would wake it, too. It
//! serves everything else after each rest, and takes over as soon as the application has not looked for as long as
//! that: however long a handler takes, no heartbeat waits for it.

use std::hint;
#[cfg(unix)]
use std::os::fd::RawFd;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::polled_task::PolledTask;
#[cfg(unix)]
use super::readable::Readable;
use super::rest::Rest;
use crate::peer::{Peer, PeerId};
use worker_server_core::pacing::MAX_POLLED_PEERS;

/// The busy polling of one server.
#[derive(Debug, Default)]
pub struct BusyPoll {
    is_off: AtomicBool,
    /// Those peers whose events came last, the last one first, as far as their tasks can be polled.
    peers: Mutex<Vec<PolledPeer>>,
    rest: Rest,
    begun: Notify,
}

/// A peer whose task the application's thread can poll.
#[derive(Debug)]
struct PolledPeer {
    id: PeerId,
    task: Weak<PolledTask>,
    #[cfg(unix)]
    socket: RawFd,
}

impl PolledPeer {
    fn of(peer: &Peer) -> Option<Self> {
        Some(Self {
            id: peer.id,
            task: peer.task()?,
            #[cfg(unix)]
            socket: peer.outbox.descriptor()?,
        })
    }

    fn poll(&self) {
        if let Some(task) = self.task.upgrade() {
            task.poll_unasked();
        }
    }
}

impl BusyPoll {
    /// No peer's task is polled from now on.
    pub fn turn_off(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }

    /// The application got an event of this peer.
    pub fn note_peer(&self, peer: &Peer) {
        if self.is_off.load(Ordering::Relaxed) {
            return;
        }
        let mut peers = self.peers.lock();
        if let Some(place) = peers.iter().position(|polled| polled.id == peer.id) {
            peers[..=place].rotate_right(1);
        } else if let Some(polled) = PolledPeer::of(peer) {
            peers.truncate(MAX_POLLED_PEERS - 1);
            peers.insert(0, polled);
        }
    }

    /// The application looks: from now on the runtime's thread rests. False if there is no peer that can be polled.
    pub fn begin(&self) -> bool {
        if self.peers.lock().is_empty() {
            return false;
        }
        if self.rest.begin() {
            self.begun.notify_one();
        }
        true
    }

    /// [Polls](Self::poll) until something `has_come` or this one no longer `goes_on`, at least once.
    ///
    /// When something has come it looks once more: while a message is read, others' come. Those that are handled
    /// together cost less, and their peers, often on one machine, are woken together. Waiting longer costs more than
    /// it saves.
    pub fn look(&self, has_come: impl Fn() -> bool, goes_on: impl Fn() -> bool) {
        self.poll();
        while !has_come() && goes_on() {
            hint::spin_loop();
            self.poll();
        }
        if has_come() {
            self.poll();
        }
    }

    /// Polls the tasks of those peers of whom something may have come. On the application's thread, in the runtime's
    /// context.
    pub fn poll(&self) {
        self.sleep(Duration::ZERO);
    }

    /// The same, once something has come, or after this time.
    pub fn sleep(&self, most: Duration) {
        let mut peers = self.peers.lock();
        peers.retain(|peer| peer.task.strong_count() > 0);
        // What this finds takes a call of its own to read, so a single peer's socket is read at once.
        #[cfg(unix)]
        if peers.len() > 1 || !most.is_zero() {
            let readable = Readable::among(peers.iter().map(|peer| peer.socket), most);
            peers.iter().enumerate().filter(|&(place, _)| readable.has(place)).for_each(|(_, peer)| peer.poll());
            return;
        }
        peers.iter().for_each(PolledPeer::poll);
    }

    /// The application does not look any more, or has left something to the runtime's thread: that serves the sockets.
    pub fn end(&self) {
        self.rest.end();
    }

    /// Has the runtime's thread rest while the application looks. Never ends.
    pub async fn rest_meanwhile(&self) {
        loop {
            self.begun.notified().await;
            while self.rest.take() {
                // The runtime learns of all that has come, and its tasks go on.
                yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;
    use std::{future, net, thread};

    use tokio::net::TcpListener;

    use super::*;
    use crate::stream::Stream;

    /// A peer that can be polled.
    struct Polled {
        peer: Peer,
        task: Arc<PolledTask>,
        /// How often its task was polled.
        polls: Arc<AtomicUsize>,
        /// The other end of its connection.
        end: net::TcpStream,
    }

    impl Polled {
        async fn new(id: PeerId) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let end = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (reader, writer) = Stream::from(listener.accept().await.unwrap().0).into_split();
            let polls = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&polls);
            let task = PolledTask::new(future::poll_fn(move |_| {
                let _keeps_open = &reader;
                counter.fetch_add(1, Ordering::SeqCst);
                Poll::Pending
            }));
            let peer = Peer::new(id, usize::MAX);
            peer.outbox.open(writer);
            peer.set_task(Arc::downgrade(&task));
            Self { peer, task, polls, end }
        }

        fn say_something(&mut self) {
            self.end.write_all(b"x").unwrap();
        }

        fn polls(&self) -> usize {
            self.polls.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn only_the_peers_whose_events_came_last_are_polled() {
        let busy_poll = BusyPoll::default();
        let mut peers = Vec::new();
        for id in 0..=MAX_POLLED_PEERS as u64 {
            peers.push(Polled::new(id).await);
        }
        peers.iter_mut().for_each(Polled::say_something);
        for polled in peers.iter().chain(&peers[1..3]) {
            busy_poll.note_peer(&polled.peer);
        }
        busy_poll.poll();
        let polls: Vec<_> = peers.iter().map(Polled::polls).collect();
        assert_eq!(polls[0], 0);
        assert!(polls[1..].iter().all(|&polls| polls == 1), "{polls:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn of_several_peers_only_those_are_polled_of_whom_something_has_come() {
        let busy_poll = BusyPoll::default();
        let mut peers = [Polled::new(1).await, Polled::new(2).await, Polled::new(3).await];
        for polled in &peers {
            busy_poll.note_peer(&polled.peer);
        }
        busy_poll.poll();
        assert_eq!(peers.each_ref().map(Polled::polls), [0, 0, 0]);
        peers[1].say_something();
        busy_poll.poll();
        assert_eq!(peers.each_ref().map(Polled::polls), [0, 1, 0]);
    }

    #[tokio::test]
    async fn a_single_peers_task_is_polled_without_a_look_at_its_socket() {
        let busy_poll = BusyPoll::default();
        let polled = Polled::new(1).await;
        busy_poll.note_peer(&polled.peer);
        busy_poll.poll();
        assert_eq!(polled.polls(), 1);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn it_sleeps_until_something_has_come_and_polls_whom_it_came_from() {
        let busy_poll = BusyPoll::default();
        let [quiet, mut speaks] = [Polled::new(1).await, Polled::new(2).await];
        busy_poll.note_peer(&quiet.peer);
        busy_poll.note_peer(&speaks.peer);
        let polls = Arc::clone(&speaks.polls);
        let says = thread::spawn(move || speaks.end.write_all(b"x").unwrap());
        while polls.load(Ordering::SeqCst) == 0 {
            busy_poll.sleep(Duration::from_millis(900));
        }
        says.join().unwrap();
        assert_eq!(quiet.polls(), 0);
    }

    #[tokio::test]
    async fn it_looks_until_something_has_come_and_then_once_more() {
        let busy_poll = BusyPoll::default();
        let polled = Polled::new(1).await;
        busy_poll.note_peer(&polled.peer);
        busy_poll.look(|| polled.polls() >= 5, || true);
        assert_eq!(polled.polls(), 6);
        busy_poll.look(|| false, || polled.polls() < 9);
        assert_eq!(polled.polls(), 9);
        busy_poll.look(|| false, || false);
        assert_eq!(polled.polls(), 10, "at least once");
    }

    #[tokio::test]
    async fn nobody_rests_where_no_peer_can_be_polled() {
        let busy_poll = BusyPoll::default();
        busy_poll.note_peer(&Peer::new(1, usize::MAX));
        assert!(!busy_poll.begin());
        let Polled { peer, task, .. } = Polled::new(2).await;
        busy_poll.note_peer(&peer);
        assert!(busy_poll.begin());
        drop(task);
        busy_poll.poll();
        assert!(!busy_poll.begin(), "its task has ended");
        let Polled { peer, task: _task, .. } = Polled::new(3).await;
        busy_poll.turn_off();
        busy_poll.note_peer(&peer);
        assert!(!busy_poll.begin(), "it is turned off");
    }

    #[tokio::test]
    async fn i4_the_runtimes_thread_goes_on_soon_when_the_application_does_not_look_any_more() {
        let busy_poll = Arc::new(BusyPoll::default());
        let polled = Polled::new(1).await;
        busy_poll.note_peer(&polled.peer);
        let resting = Arc::clone(&busy_poll);
        tokio::spawn(async move { resting.rest_meanwhile().await });
        for _ in 0..10 {
            assert!(busy_poll.begin());
            // The only thread of this runtime rests, and nobody ends that.
            while busy_poll.rest.is_on() {
                yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn other_tasks_go_on_while_the_application_looks() {
        let busy_poll = Arc::new(BusyPoll::default());
        let polled = Polled::new(1).await;
        busy_poll.note_peer(&polled.peer);
        let resting = Arc::clone(&busy_poll);
        tokio::spawn(async move { resting.rest_meanwhile().await });
        let is_over = Arc::new(AtomicUsize::new(0));
        let (application, until) = (Arc::clone(&busy_poll), Arc::clone(&is_over));
        let looking = thread::spawn(move || {
            while until.load(Ordering::SeqCst) == 0 {
                application.begin();
            }
        });
        for _ in 0..10 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        is_over.store(1, Ordering::SeqCst);
        looking.join().unwrap();
    }
}
