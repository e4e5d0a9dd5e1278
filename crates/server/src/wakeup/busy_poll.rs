//! Which thread serves the sockets while the application looks for messages.
//!
//! The application's thread polls the tasks of the few peers that it talks to, see
//! [`polled_task`](super::polled_task). Meanwhile the runtime's thread rests, or each message would wake it, too. It
//! serves everything else after each rest, and takes over as soon as the application has not looked for as long as
//! that: however long a handler takes, no heartbeat waits for it.

use std::sync::Weak;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::polled_task::PolledTask;
use super::rest::Rest;
use crate::peer::{Peer, PeerId};
use worker_server_core::pacing::MAX_POLLED_PEERS;

/// The busy polling of one server.
#[derive(Debug, Default)]
pub struct BusyPoll {
    /// The tasks of those peers whose events came last, the last one first, as far as they can be polled.
    tasks: Mutex<Vec<(PeerId, Weak<PolledTask>)>>,
    rest: Rest,
    begun: Notify,
}

impl BusyPoll {
    /// The application got an event of this peer.
    pub fn note_peer(&self, peer: &Peer) {
        let mut tasks = self.tasks.lock();
        if let Some(place) = tasks.iter().position(|(id, _)| *id == peer.id) {
            tasks[..=place].rotate_right(1);
        } else if let Some(task) = peer.task() {
            tasks.truncate(MAX_POLLED_PEERS - 1);
            tasks.insert(0, (peer.id, task));
        }
    }

    /// The application looks: from now on the runtime's thread rests. False if there is no peer that can be polled.
    pub fn begin(&self) -> bool {
        if self.tasks.lock().is_empty() {
            return false;
        }
        if self.rest.begin() {
            self.begun.notify_one();
        }
        true
    }

    /// Polls the peers' tasks. On the application's thread, in the runtime's context.
    pub fn poll(&self) {
        self.tasks.lock().retain(|(_, task)| task.upgrade().map(|task| task.poll_unasked()).is_some());
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;
    use std::{future, thread};

    use super::*;

    /// A peer, and its task, which counts how often it is polled.
    fn polled_peer(id: PeerId) -> (Peer, Arc<PolledTask>, Arc<AtomicUsize>) {
        let polls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&polls);
        let task = PolledTask::new(future::poll_fn(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Poll::Pending
        }));
        let peer = Peer::new(id, usize::MAX);
        peer.set_task(Arc::downgrade(&task));
        (peer, task, polls)
    }

    #[test]
    fn only_the_peers_whose_events_came_last_are_polled() {
        let busy_poll = BusyPoll::default();
        let peers: Vec<_> = (0..=MAX_POLLED_PEERS as u64).map(polled_peer).collect();
        for (peer, ..) in peers.iter().chain(&peers[1..3]) {
            busy_poll.note_peer(peer);
        }
        busy_poll.poll();
        let polls: Vec<_> = peers.iter().map(|(.., polls)| polls.load(Ordering::SeqCst)).collect();
        assert_eq!(polls[0], 0);
        assert!(polls[1..].iter().all(|&polls| polls == 1), "{polls:?}");
    }

    #[test]
    fn nobody_rests_where_no_peer_can_be_polled() {
        let busy_poll = BusyPoll::default();
        busy_poll.note_peer(&Peer::new(1, usize::MAX));
        assert!(!busy_poll.begin());
        let (peer, task, _) = polled_peer(2);
        busy_poll.note_peer(&peer);
        assert!(busy_poll.begin());
        drop(task);
        busy_poll.poll();
        assert!(!busy_poll.begin(), "its task has ended");
    }

    #[tokio::test]
    async fn i4_the_runtimes_thread_goes_on_soon_when_the_application_does_not_look_any_more() {
        let busy_poll = Arc::new(BusyPoll::default());
        let (peer, _task, _) = polled_peer(1);
        busy_poll.note_peer(&peer);
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
        let (peer, _task, _) = polled_peer(1);
        busy_poll.note_peer(&peer);
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
