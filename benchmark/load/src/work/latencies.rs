//! How long answers took.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The longest latency that is distinguished from longer ones: a minute.
const MAX_NANOS: u64 = 60_000_000_000;

/// Latencies, in nanoseconds to three digits.
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // Values that the library takes, so the other arm is never reached.
        Self(
            Histogram::new_with_bounds(1, MAX_NANOS, 3)
                .unwrap_or_else(|_| unreachable!("bounds and precision are constants")),
        )
    }
}

impl Latencies {
    /// One more.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(MAX_NANOS));
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Begins to count anew.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// In microseconds.
    pub fn percentiles(&self) -> Value {
        let micros = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        json!({
            "p50": micros(0.5),
            "p99": micros(0.99),
            "p999": micros(0.999),
            "max": self.0.max() as f64 / 1e3,
        })
    }
}
