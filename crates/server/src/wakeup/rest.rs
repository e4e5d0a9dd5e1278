//! A moment's rest between wakes, while messages only stream in.
//!
//! A message that comes alone costs several times what it costs among others: two threads are woken for it, and find their caches
//! cold. So while messages come one shortly after the other and nobody waits for an answer, the thread of the runtime that has
//! just woken the application's thread rests before it looks at the sockets again, and what came meanwhile is taken together.
//! Network cards do the same with their interrupts, which is called adaptive moderation.
//!
//! Where peers and application answer each other a rest would delay each round, so there is none for a while after
//! something was sent, or somebody connected or registered. Nor is there one for what comes now and then.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A message that comes during a rest waits for its end.
pub const REST: Duration = Duration::from_millis(1);
/// There are rests while the score is so high.
const ENOUGH: u32 = 16;
/// It grows no higher.
const MAX_SCORE: u32 = 32;
/// What a wake that comes late takes from it: two of three must come soon.
const LATE: u32 = 2;

/// When threads of the runtime rest.
#[derive(Debug, Default)]
pub struct Rests {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When the last wake was, or the rest after it ended.
    last: Option<Instant>,
    /// How much speaks for resting: each wake that came within [`REST`] after that is a point.
    score: u32,
}

impl Rests {
    /// The application's thread was woken for something that came at `since`. Rests, if that seems good.
    pub fn after_wake(&self, since: Instant) {
        let mut state = self.state.lock();
        let is_soon = state.last.is_some_and(|last| since.saturating_duration_since(last) < REST);
        state.score = if is_soon { MAX_SCORE.min(state.score + 1) } else { state.score.saturating_sub(LATE) };
        if state.score >= ENOUGH {
            self.ended.wait_for(&mut state, REST);
        }
        state.last = Some(Instant::now());
    }

    /// Whether there are rests now.
    pub fn are_good(&self) -> bool {
        self.state.lock().score >= ENOUGH
    }

    /// Somebody waits for an answer, or has got one: a rest that there is ends, and none begins soon.
    pub fn interrupt(&self) {
        self.state.lock().score = 0;
        self.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn wake_often(rests: &Rests, times: u32) {
        for _ in 0..times {
            rests.after_wake(Instant::now());
        }
    }

    #[test]
    fn there_are_rests_only_after_many_wakes_shortly_after_each_other() {
        let rests = Rests::default();
        wake_often(&rests, ENOUGH);
        assert!(rests.state.lock().score < ENOUGH);
        let start = Instant::now();
        // Some may come late, if this thread has no processor for long.
        while start.elapsed() < REST || rests.state.lock().score < ENOUGH {
            wake_often(&rests, 1);
        }
        let start = Instant::now();
        wake_often(&rests, 1);
        assert!(start.elapsed() >= REST);
    }

    #[test]
    fn what_comes_now_and_then_is_no_reason_to_rest() {
        let rests = Rests::default();
        wake_often(&rests, ENOUGH);
        for _ in 0..=ENOUGH / LATE {
            thread::sleep(REST);
            rests.after_wake(Instant::now());
        }
        assert_eq!(rests.state.lock().score, 0);
    }

    #[test]
    fn an_interruption_ends_a_rest_and_keeps_the_next_wakes_from_it() {
        let rests = Rests::default();
        rests.state.lock().score = ENOUGH;
        thread::scope(|scope| {
            let resting = scope.spawn(|| rests.ended.wait(&mut rests.state.lock()));
            while !resting.is_finished() {
                rests.interrupt();
            }
        });
        assert_eq!(rests.state.lock().score, 0);
    }
}
