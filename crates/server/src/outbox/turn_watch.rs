//! Watches the application's turns, so that what was sent in a long one leaves before the turn ends.
//!
//! An application says when its turns end ([`Shared::flush`]). One that sends something and then computes for long, or
//! that never says when a turn ends, would keep back what it sent. While something is sent, a task looks every few ms.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::flusher::Flusher;
use crate::shared::Shared;

/// A turn of the application that takes longer does not keep back what was sent in it.
const LONG_TURN: Duration = Duration::from_millis(4);
/// After this many looks that found nothing the watch sleeps.
const QUIET_LOOKS: u32 = 2;
/// And when nothing was sent for as long as this after that, memory is given back.
const SPARES_KEPT: Duration = Duration::from_secs(1);

/// Sees to it that an application that sends something and then computes for long does not keep it back, nor one that
/// does not say when its turns end. Sleeps when nothing is sent.
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

/// Looks after long turns until some looks in a row have found that nothing was sent. Returns how many looks that took.
async fn watch(shared: &Shared) -> u32 {
    let flusher = &shared.flusher;
    let Flusher { turns, submissions, .. } = &**flusher;
    let mut seen = turns.load(Ordering::Relaxed);
    let (mut looks, mut quiet) = (0, 0);
    loop {
        sleep(LONG_TURN).await;
        looks += 1;
        let is_same_turn = turns.load(Ordering::Relaxed) == seen;
        if !is_same_turn {
            quiet = 0;
        } else if flusher.are_pending() || submissions.are_there() {
            quiet = 0;
            shared.flush_early();
        } else if !submissions.are_watched() {
            return looks;
        } else {
            quiet += 1;
        }
        submissions.look();
        seen = turns.load(Ordering::Relaxed);
        // The next look is the last. A thread that sent something before this relied on it.
        submissions.set_watched(quiet < QUIET_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::flusher::tests::{assert_was_written, peer_to_write_to};
    use super::super::submissions::counter;
    use super::super::write_buffer::SpareBuffer;
    use super::*;
    use worker_server_core::config::ServerConfig;

    fn shared() -> Arc<Shared> {
        Shared::new(ServerConfig::default(), Arc::default(), || {}).0
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
        let submissions = &shared.flusher.submissions;
        for _ in 0..3 {
            submissions.set_watched(true);
            assert_eq!(watch(&shared).await, QUIET_LOOKS + 1);
            assert!(!submissions.are_watched());
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
}
