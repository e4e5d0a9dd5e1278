//! How long things took, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in seconds. Behind the last is what took longer.
pub const BOUNDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Durations by their length.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_ns: AtomicU64,
}

/// What a histogram shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// For each of [`BOUNDS`] how many took at most that long.
    pub up_to: [u64; BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// How long they took in all, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts something that took this long.
    pub fn observe(&self, duration: Duration) {
        if cfg!(feature = "uncounted") {
            return;
        }
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|&bound| bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What it shows by now.
    pub fn distribution(&self) -> Distribution {
        let mut count = 0;
        let mut up_to = [0; BOUNDS.len()];
        for (place, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(up_to) = up_to.get_mut(place) {
                *up_to = count;
            }
        }
        let sum = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        Distribution { up_to, count, sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_for_each_bound_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for ms in [0, 5, 6, 600_000, 600_001] {
            histogram.observe(Duration::from_millis(ms));
        }
        let Distribution { up_to, count, sum } = histogram.distribution();
        assert_eq!((up_to[0], up_to[1], up_to[14], up_to[15], count), (2, 3, 3, 4, 5));
        assert!((sum - 1200.012).abs() < 1e-9);
    }

    #[test]
    fn the_bounds_ascend_from_5_ms_to_10_minutes() {
        assert!(BOUNDS.is_sorted());
        assert_eq!((BOUNDS[0], BOUNDS[BOUNDS.len() - 1]), (0.005, 600.0));
    }
}
