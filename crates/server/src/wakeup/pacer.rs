//! The decisions of one server's [`Pacing`], and the rest of the runtime's thread.

use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::peer::PeerId;
use worker_server_core::pacing::{Look, Pacing, Verdict};

/// Tells the pacing what happens, on whatever thread, and reads the clock for it.
#[derive(Debug)]
pub struct Pacer {
    pacing: Mutex<Pacing>,
    rest_ended: Condvar,
}

impl Default for Pacer {
    /// One for as many processors as this process may use, by its affinity and its quota.
    fn default() -> Self {
        Self::new(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Pacer {
    /// One for this many processors.
    pub fn new(processors: usize) -> Self {
        Self { pacing: Mutex::new(Pacing::new(processors)), rest_ended: Condvar::new() }
    }

    /// The application asks for events: see [`Pacing::on_ask`]. Returns what it does if there are none.
    pub fn on_ask(&self, now: Instant) -> Verdict {
        let mut pacing = self.pacing.lock();
        pacing.on_ask(now);
        pacing.verdict(now)
    }

    /// It got some, for which it had asked at `now`, the first of them from `first`, and more from `others`: see
    /// [`Pacing::on_events`].
    pub fn on_events(&self, now: Instant, first: PeerId, others: impl Iterator<Item = PeerId>) {
        let mut pacing = self.pacing.lock();
        pacing.on_events(now, first);
        others.for_each(|peer| pacing.on_events_besides(peer));
    }

    /// Something was sent: see [`Pacing::on_send`].
    pub fn on_send(&self) {
        self.pacing.lock().on_send();
        self.rest_ended.notify_all();
    }

    /// Somebody connects: see [`Pacing::on_connect`].
    pub fn on_connect(&self) {
        self.pacing.lock().on_connect();
        self.rest_ended.notify_all();
    }

    /// This thread has woken the application for something that came at `came_at`: see [`Pacing::on_wake`]. It rests,
    /// if it should, until that is over or somebody waits for an answer.
    pub fn rest_after_wake(&self, came_at: Instant) {
        let mut pacing = self.pacing.lock();
        if let Some(rest) = pacing.on_wake(came_at, Instant::now()) {
            self.rest_ended.wait_for(&mut pacing, rest);
            pacing.on_rested(Instant::now());
        }
    }

    /// See [`Pacing::set_polls_sockets`].
    pub fn set_polls_sockets(&self, polls_sockets: bool, can_sleep: bool) {
        self.pacing.lock().set_polls_sockets(polls_sockets, can_sleep);
    }

    /// See [`Pacing::look`].
    pub fn look(&self) -> Option<Look> {
        self.pacing.lock().look()
    }

    /// See [`Pacing::wake_delay`].
    pub fn wake_delay(&self) -> Duration {
        self.pacing.lock().wake_delay()
    }

    /// See [`Pacing::may_stand_by`].
    pub fn may_stand_by(&self) -> bool {
        self.pacing.lock().may_stand_by()
    }

    /// See [`Pacing::on_vain_standby`].
    pub fn on_vain_standby(&self) {
        self.pacing.lock().on_vain_standby();
    }
}

#[cfg(test)]
mod tests {
    use worker_server_core::pacing::REST_TIME;

    use super::*;

    /// Wakes so often, and so shortly after each other, that this thread rests after a further one.
    fn stream(pacer: &Pacer) {
        while pacer.wake_delay() < REST_TIME {
            pacer.rest_after_wake(Instant::now());
        }
    }

    #[test]
    fn a_thread_rests_after_a_wake_while_messages_stream_in() {
        let pacer = Pacer::new(1);
        stream(&pacer);
        let begun = Instant::now();
        pacer.rest_after_wake(begun);
        assert!(begun.elapsed() >= REST_TIME);
    }

    #[test]
    fn what_is_sent_ends_a_rest_and_whoever_connects_keeps_the_next_one_from_beginning() {
        let pacer = Pacer::new(1);
        for interrupt in [Pacer::on_send, Pacer::on_connect] {
            stream(&pacer);
            thread::scope(|scope| {
                let resting = scope.spawn(|| pacer.rest_ended.wait(&mut pacer.pacing.lock()));
                while !resting.is_finished() {
                    interrupt(&pacer);
                }
            });
            assert!(pacer.wake_delay() < REST_TIME);
        }
    }
}
