//! How long silence is judged.

/// How many times the heartbeat timeout a worker may be silent before its connection is presumed dead.
pub const DEAD_AFTER_TIMEOUTS: u32 = 3;

/// What silence says of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It was heard of within the timeout.
    Alive,
    /// Silent for longer than the timeout.
    Unhealthy,
    /// Silent for longer than three times the timeout.
    Dead,
}

/// Judges a silence of `silent_ms` by the timeout `timeout_ms`.
pub fn judge(silent_ms: f64, timeout_ms: f64) -> Verdict {
    if silent_ms > timeout_ms * f64::from(DEAD_AFTER_TIMEOUTS) {
        Verdict::Dead
    } else if silent_ms > timeout_ms {
        Verdict::Unhealthy
    } else {
        Verdict::Alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_only_beyond_the_timeout_and_death_only_beyond_three() {
        let verdicts = [0.0, 1000.0, 1001.0, 3000.0, 3001.0].map(|silent| judge(silent, 1000.0));
        assert_eq!(verdicts, [Verdict::Alive, Verdict::Alive, Verdict::Unhealthy, Verdict::Unhealthy, Verdict::Dead]);
    }
}
