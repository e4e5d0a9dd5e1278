//! Points in time, on the two clocks that matter.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

/// The last millisecond that ISO 8601 writes with a year of four digits, in milliseconds since 1970.
const LAST_FOUR_DIGIT_YEAR_MS: i64 = 253_402_300_799_999;

/// One point in time, read on both clocks at once.
///
/// Silence is measured on the monotonic clock, so that a wall clock which is set anew cannot make a whole
/// fleet look dead; people are shown the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since an arbitrary start, never going back.
    pub elapsed_ms: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z, as JavaScript's `Date` counts them.
    pub unix_ms: i64,
}

impl Moment {
    /// Milliseconds from `earlier` to here; 0 if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.elapsed_ms.saturating_sub(earlier.elapsed_ms)
    }
}

/// Reads [`Moment`]s; `elapsed_ms` counts from its creation.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment {
            elapsed_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// The time at which [`Moment::elapsed_ms`] had this value.
    pub fn instant(&self, elapsed_ms: u64) -> Instant {
        self.start + Duration::from_millis(elapsed_ms)
    }
}

/// `2026-01-31T12:00:00.000Z`, the form of JavaScript's `Date.prototype.toISOString`.
///
/// Later than the year 9999 it stays at that year's end.
pub fn iso_8601(unix_ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(unix_ms.min(LAST_FOUR_DIGIT_YEAR_MS))
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_javascript_writes_it() {
        assert_eq!(iso_8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_8601(1_767_225_599_007), "2025-12-31T23:59:59.007Z");
        assert_eq!(iso_8601(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn silence_is_measured_on_the_monotonic_clock() {
        let earlier = Moment { elapsed_ms: 5, unix_ms: 9_000 };
        let later = Moment { elapsed_ms: 12, unix_ms: 1_000 };
        assert_eq!(later.since(earlier), 7);
        assert_eq!(earlier.since(later), 0);
    }

    #[test]
    fn a_clock_does_not_run_backwards() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(second.elapsed_ms >= first.elapsed_ms);
        assert!(first.unix_ms > 1_600_000_000_000);
    }
}
