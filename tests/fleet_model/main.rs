//! A fleet as a state machine: workers come, go, replace each other and fall silent, while the application tracks and
//! releases. Whatever the order, the invariants hold after each step: nothing is lost (I1), the order is kept (I2), and
//! everything agrees (I3).
//!
//! Once over core alone, where time is an argument, and once over a running server with real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod connection;
mod served;

#[path = "../../fuzz/bodies/session.rs"]
#[allow(dead_code, reason = "steps are made here, and not read from a script")]
mod session;

use proptest::prelude::*;

use self::session::{Fleet, PEERS, Step, TIMEOUT_MS, TOKEN};

const IDS: [&str; 3] = ["a", "b", "c"];

/// What peers of core say: mostly registrations and heartbeats, and now and then something else.
fn text() -> impl Strategy<Value = String> {
    let id = prop::sample::select(&IDS[..]);
    let registration = (id.clone(), prop::bool::weighted(0.9), 0_u8..3, prop::option::of(0_u8..2)).prop_map(
        |(id, knows_token, max, limit)| {
            let token = if knows_token { TOKEN } else { "guess" };
            let limits = limit.map(|limit| format!(r#","concurrencyLimits":{{"chat":{limit}}}"#)).unwrap_or_default();
            format!(
                r#"{{"type":"worker_registration","workerId":"{id}","authToken":"{token}","capabilities":{{"models":[{{"modelId":"m"}}],"maxConcurrentRequests":{max}{limits}}}}}"#
            )
        },
    );
    prop_oneof![
        6 => registration,
        3 => id.prop_map(|id| format!(r#"{{"type":"heartbeat","workerId":"{id}","timestamp":1}}"#)),
        2 => Just(r#"{"type":"result"}"#.to_owned()),
        1 => prop::sample::select(&["{", "null", r#"{"type":"worker_registration"}"#][..]).prop_map(str::to_owned),
    ]
}

/// A step, with the text apart so that it can own it.
fn step() -> impl Strategy<Value = (Step<'static>, String)> {
    let peer = 0..PEERS;
    prop_oneof![
        8 => (peer.clone(), text()).prop_map(|(peer, text)| (Step::Say(peer, ""), text)),
        1 => peer.clone().prop_map(|peer| (Step::Die(peer), String::new())),
        2 => peer.prop_map(|peer| (Step::Connect(peer), String::new())),
        8 => Just((Step::Drain, String::new())),
        6 => (0..8_usize).prop_map(|number| (Step::Track(number), String::new())),
        4 => (0..8_usize).prop_map(|number| (Step::Submit(number), String::new())),
        4 => (0..8_usize).prop_map(|number| (Step::Release(number), String::new())),
        3 => (0..2 * TIMEOUT_MS).prop_map(|ms| (Step::Wait(ms), String::new())),
        3 => Just((Step::CheckHealth, String::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i1_i2_i3_hold_in_core_whatever_happens(steps in prop::collection::vec(step(), 1..120)) {
        let mut fleet = Fleet::new();
        for (step, text) in &steps {
            fleet.take(match step {
                Step::Say(peer, _) => Step::Say(*peer, text),
                other => *other,
            });
        }
        fleet.end();
    }
}

proptest! {
    // Each case is a server of its own with its sockets.
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i1_i2_i3_hold_in_a_server_whatever_happens(steps in prop::collection::vec(served::step(), 1..60)) {
        served::run(&steps);
    }
}
