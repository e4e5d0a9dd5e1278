//! Notices when the process has not run for a while: it was stopped by a signal, its container was paused, or the
//! machine slept.
//!
//! What peers sent meanwhile waits in their sockets, so that time says nothing about them. A silence is judged from
//! the last wake-up at the earliest.

use std::time::Duration;

use super::clock::Moment;

/// Bounds of the time between two looks. Each look wakes a thread; a suspension that is shorter than a few of them goes
/// unnoticed.
const MIN_TICK_MS: u64 = 100;
const MAX_TICK_MS: u64 = 1_000;
/// How many looks fit into the shortest time limit.
const TICKS_PER_LIMIT: u64 = 4;
/// A gap of this many ticks is more than a busy machine's delay.
const MISSED_TICKS: u64 = 3;

/// Watches the clock. [`Suspension::observe`] must be called at every tick, and before anything is judged by time.
#[derive(Debug)]
pub struct Suspension {
    tick_ms: u64,
    last: Moment,
    awake_since: Moment,
}

impl Suspension {
    /// A watch that begins now, for limits of which the shortest is `shortest_limit`.
    pub fn new(shortest_limit: Duration, now: Moment) -> Self {
        let limit_ms = u64::try_from(shortest_limit.as_millis()).unwrap_or(u64::MAX);
        let tick_ms = (limit_ms / TICKS_PER_LIMIT).clamp(MIN_TICK_MS, MAX_TICK_MS);
        Self { tick_ms, last: now, awake_since: now }
    }

    /// How often to look.
    pub fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms)
    }

    /// Returns the moment since when the process has run without a break.
    ///
    /// The wall clock is looked at too, since the monotonic one stands still while a machine sleeps. If somebody sets
    /// it forward that looks like a sleep, and everyone has a little more time.
    pub fn observe(&mut self, now: Moment) -> Moment {
        // Other threads may have read a later time before this one came here.
        if now.elapsed_ms < self.last.elapsed_ms {
            return self.awake_since;
        }
        let slept_ms = u64::try_from(now.unix_ms.saturating_sub(self.last.unix_ms)).unwrap_or(0);
        if now.since(self.last).max(slept_ms) >= self.tick_ms * MISSED_TICKS {
            self.awake_since = now;
        }
        self.last = now;
        self.awake_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment at which both clocks have gone on by this many milliseconds.
    fn at(elapsed_ms: u64) -> Moment {
        Moment { elapsed_ms, unix_ms: 1_700_000_000_000 + elapsed_ms.cast_signed() }
    }

    fn watch(limit_ms: u64) -> Suspension {
        Suspension::new(Duration::from_millis(limit_ms), at(0))
    }

    #[test]
    fn a_process_that_looks_every_tick_has_been_awake_since_its_start() {
        let mut watch = watch(1_000);
        assert_eq!(watch.tick(), Duration::from_millis(250));
        for tick in 1..100 {
            assert_eq!(watch.observe(at(tick * 250)), at(0));
        }
        assert_eq!(watch.observe(at(99 * 250 + 749)), at(0), "late, as on a busy machine");
    }

    #[test]
    fn a_gap_of_several_ticks_is_a_suspension_and_ends_when_it_is_noticed() {
        let mut watch = watch(1_000);
        assert_eq!(watch.observe(at(250)), at(0));
        assert_eq!(watch.observe(at(1_000)), at(1_000));
        assert_eq!(watch.observe(at(1_200)), at(1_000));
    }

    #[test]
    fn a_sleep_in_which_the_monotonic_clock_stood_still_is_one_too() {
        let mut watch = watch(1_000);
        let woken = Moment { elapsed_ms: 10, unix_ms: at(60_000).unix_ms };
        assert_eq!(watch.observe(woken), woken);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_is_none() {
        let mut watch = watch(1_000);
        assert_eq!(watch.observe(Moment { elapsed_ms: 10, unix_ms: 0 }), at(0));
    }

    #[test]
    fn whoever_looked_earlier_and_comes_later_changes_nothing() {
        let mut watch = watch(1_000);
        assert_eq!(watch.observe(at(5_000)), at(5_000));
        assert_eq!(watch.observe(at(100)), at(5_000));
        assert_eq!(watch.observe(at(5_100)), at(5_000));
    }

    #[test]
    fn looks_are_neither_so_frequent_that_they_cost_nor_so_rare_that_they_miss() {
        assert_eq!(
            [0, 400, 2_000, 60_000, u64::MAX].map(|limit_ms| watch(limit_ms).tick_ms),
            [100, 100, 500, 1_000, 1_000]
        );
    }
}
