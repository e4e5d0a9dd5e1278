//! How long to pause before a request is sent again. Chance is an argument: `random` is uniform from 0 to below 1.

/// The longest pause before the first repetition; it doubles with each.
const FIRST_PAUSE_MS: f64 = 50.0;
/// The longest pause of all.
const LONGEST_PAUSE_MS: f64 = 2_000.0;

/// The least and the most that callers are asked to wait after `QUEUE_FULL`.
const RETRY_AFTER_MS: (f64, f64) = (100.0, 30_000.0);
/// What they are asked to wait while nothing is known of how fast the queue moves.
const UNKNOWN_PACE_MS: f64 = 1_000.0;

/// How long to pause before a request is sent again that has failed, or was rejected by the same worker, `times` times,
/// in ms: uniform in 0 to 50 ms, doubling to 2 s.
pub fn pause_ms(times: u32, random: f64) -> f64 {
    let doublings = f64::from(times.saturating_sub(1).min(32));
    random.clamp(0.0, 1.0) * (FIRST_PAUSE_MS * doublings.exp2()).min(LONGEST_PAUSE_MS)
}

/// How fast a queue moves: the usual time between two slots that are given to those that wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    last_ms: Option<u64>,
    interval_ms: Option<f64>,
}

impl Pace {
    /// A slot is given away.
    pub fn on_slot(&mut self, now_ms: u64) {
        if let Some(last_ms) = self.last_ms {
            let passed = now_ms.saturating_sub(last_ms) as f64;
            // One in eight: follows a change within some ten slots, and no single one.
            self.interval_ms = Some(self.interval_ms.map_or(passed, |usual| usual + (passed - usual) / 8.0));
        }
        self.last_ms = Some(now_ms);
    }

    /// A guess after which time a queue in which this many wait has room, in ms: when half of them are served.
    pub fn retry_after_ms(&self, size: usize) -> u64 {
        let (least, most) = RETRY_AFTER_MS;
        let guess = self.interval_ms.map_or(UNKNOWN_PACE_MS, |usual| usual * size as f64 / 2.0).clamp(least, most);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the two bounds")]
        let whole = guess.ceil() as u64;
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "before attempt n + 1 a pause, uniform in 0 to min(2 s, 50 ms × 2^(n−1))"
    #[test]
    fn the_longest_pause_before_an_attempt_doubles_from_fifty_milliseconds_to_two_seconds() {
        let longest = [1, 2, 3, 6, 7, 40, u32::MAX].map(|attempts| format!("{}", pause_ms(attempts, 1.0)));
        assert_eq!(longest, ["50", "100", "200", "1600", "2000", "2000", "2000"]);
    }

    /// "after 50 ms, doubling to 2 s a rejection, with full jitter"
    #[test]
    fn a_pause_is_uniform_from_nothing_to_the_longest() {
        for (random, expected) in [(0.0, 0.0), (0.25, 50.0), (0.5, 100.0)] {
            assert!((pause_ms(3, random) - expected).abs() < 1e-9);
        }
        assert!(pause_ms(0, 0.999) < 50.0);
    }

    /// "retryAfterMs: a guess, a whole number above 0"
    #[test]
    fn a_queue_that_moves_faster_or_is_shorter_is_said_to_have_room_sooner() {
        assert_eq!(Pace::default().retry_after_ms(1_000), 1_000);
        let pace_of = |interval: u64| {
            let mut pace = Pace::default();
            (0..20).for_each(|slot| pace.on_slot(slot * interval));
            pace
        };
        assert_eq!(pace_of(10).retry_after_ms(100), 500);
        assert_eq!(pace_of(10).retry_after_ms(1_000), 5_000);
        assert_eq!(pace_of(0).retry_after_ms(1_000), 100);
        assert_eq!(pace_of(60_000).retry_after_ms(1_000), 30_000);
    }
}
