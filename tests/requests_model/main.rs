//! Requests against a naive model: whatever happens to both, the same ones wait, and the same ones get the same
//! workers.
//!
//! The model keeps plain lists and scans them, in the words of the documented rules. It shares no code with the crate
//! but its types, and the weights of affinities.
#![allow(clippy::expect_used, reason = "a test may fail loudly")]

mod both;
mod events;
mod naive;
mod steps;

use proptest::prelude::*;
use worker_server_core::requests::QueueLimits;

use self::both::Both;

/// So that they are reached.
const LIMITS: QueueLimits = QueueLimits { max_size: 12, max_bytes: 200, max_per_key: Some(4) };
/// So that they are not.
const WIDE_LIMITS: QueueLimits = QueueLimits { max_size: u64::MAX, max_bytes: u64::MAX, max_per_key: None };

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_sequence_of_events_the_same_requests_wait_and_the_same_workers_get_them(
        steps in prop::collection::vec(steps::step(), 1..120),
    ) {
        let mut both = Both::new(LIMITS);
        for (step, is_dispatched) in steps {
            both.step(step, is_dispatched)?;
        }
    }

    #[test]
    fn in_a_crowd_everybody_has_their_turn(steps in prop::collection::vec(steps::crowded_step(), 20..250)) {
        let mut both = Both::new(WIDE_LIMITS);
        for (step, is_dispatched) in steps {
            both.step(step, is_dispatched)?;
        }
    }
}
