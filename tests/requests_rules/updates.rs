//! Workers that change what they can do.

use std::sync::Arc;

use super::*;
use worker_server_core::requests::selector::Selector;

fn update(server: &mut Server, key: WorkerKey, capabilities: &Capabilities, metadata: &str, active: &[(&str, u64)]) {
    let active_in = |category: &str| active.iter().find(|(name, _)| *name == category).map_or(0, |(_, count)| *count);
    assert!(server.pool.set_capabilities(key, capabilities, Metadata::read(metadata), active_in));
}

/// "models loaded or unloaded, another capacity; same session"
#[test]
fn a_model_that_is_loaded_is_served_at_once_and_one_that_is_unloaded_no_longer() {
    let mut server = Server::new();
    let worker = server.register("w", &["old"], 1.0);
    let (ticket, _) = server.wait(&for_model("new"), |_| {});
    update(&mut server, worker, &capabilities(&["new"], 2.0, &[]), "{}", &[]);
    assert_eq!(server.dispatch(), Some((ticket, "w".to_owned())));
    assert!(server.pool.select("new", None).is_some() && server.pool.select("old", None).is_none());
    server.wait(&for_model("old"), |_| {});
    assert_eq!(server.pool.key_of("w"), Some(worker), "its session is the same");
    assert_eq!(server.pool.get(worker).unwrap().takes, Takes::Anything);
}

/// "active above the new capacity: busy, nothing is cancelled"
#[test]
fn one_with_more_than_its_new_capacity_is_busy_until_it_is_below() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 4.0);
    for _ in 0..3 {
        server.take(&for_model("m"), |_| {});
    }
    update(&mut server, worker, &capabilities(&["m"], 2.0, &[]), "{}", &[]);
    assert_eq!((server.status(worker), server.pool.get(worker).unwrap().active), (Status::Busy, 3));
    assert_eq!(server.pool.available(), 0);
    let (ticket, _) = server.wait(&for_model("m"), |_| {});
    assert_eq!(server.release_times(worker), [None, Some(ticket)]);
    update(&mut server, worker, &capabilities(&["m"], 3.0, &[]), "{}", &[]);
    assert_eq!(server.status(worker), Status::Available);
    assert_eq!(server.pool.free_slots("m", None).to_bits(), 1.0_f64.to_bits());
}

/// "An update replaces `capabilities` whole": limits and metadata too, and requests under way count for a limit that is
/// new.
#[test]
fn limits_and_metadata_are_replaced_and_what_runs_counts_for_them() {
    let mut server = Server::new();
    let worker =
        server.register_as("w", &capabilities(&["m"], 9.0, &[("a", 1.0)]), Takes::Anything, r#"{"gpu":"old"}"#);
    let in_category = |category: &str| Demand { category: Some(category.into()), ..for_model("m") };
    server.take(&in_category("a"), |_| {});
    server.take(&in_category("b"), |_| {});
    server.take(&in_category("b"), |_| {});
    update(
        &mut server,
        worker,
        &capabilities(&["m"], 9.0, &[("b", 3.0), ("a", 2.0)]),
        r#"{"gpu":"new"}"#,
        &[("a", 1), ("b", 2)],
    );
    for category in ["a", "b"] {
        server.take(&in_category(category), |_| {});
        server.wait(&in_category(category), |_| {});
    }
    let with = |gpu: &str| Demand {
        selector: Some(Arc::new(Selector::read(&format!(r#"{{"gpu":"{gpu}"}}"#)).unwrap())),
        ..for_model("m")
    };
    server.take(&with("new"), |_| {});
    server.wait(&with("old"), |_| {});
}

#[test]
fn one_that_drains_or_is_silent_keeps_its_status_over_an_update() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 1.0);
    server.pool.set_draining(worker, worker_server_core::pool::Drainer::Worker, true);
    update(&mut server, worker, &capabilities(&["m"], 5.0, &[]), "{}", &[]);
    assert_eq!(server.status(worker), Status::Draining);
    server.now_ms = 1_000;
    let now = server.now();
    server.pool.check_health(now, 10, |()| false);
    update(&mut server, worker, &capabilities(&["m"], 6.0, &[]), "{}", &[]);
    assert_eq!(server.status(worker), Status::Unhealthy);
    assert!(!server.pool.set_capabilities(WorkerKey(99), &Capabilities::default(), Metadata::default(), |_| 0));
}
