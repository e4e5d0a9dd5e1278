//! Requests that wait at other nodes of a fleet, as wants among those that wait here.

use super::*;
use worker_server_core::requests::QueueInfo;

fn want(place: Option<Place>, priority: Priority) -> impl FnOnce(&mut Submission<'_>) {
    move |request| {
        request.priority = priority;
        request.queue_ms = f64::INFINITY;
        request.comes_back = place.or(Some(Place::from_number(0)));
        request.is_want = true;
    }
}

/// "A freed slot goes to the oldest of the highest class that heartbeats show anywhere."
#[test]
fn a_want_has_its_turn_where_its_age_puts_it() {
    let mut server = Server::new();
    let key = server.register_busy("w", &["m"], 1);
    let demand = for_model("m");
    let wait = |server: &mut Server| server.wait(&demand, |request| request.queue_ms = f64::INFINITY);
    let (first, place) = wait(&mut server);
    let (second, _) = wait(&mut server);
    let (between, _) = server.wait(&demand, want(Some(place), Priority::Medium));
    let (high, _) = server.wait(&demand, want(None, Priority::High));
    let (low, _) = server.wait(&demand, want(None, Priority::Low));
    let turns = server.release_times(key);
    assert_eq!(turns, [high, first, between, second, low].map(Some));
}

/// The same where a key has taken turns with those that have none, and has left.
#[test]
fn a_want_has_its_turn_by_age_once_no_key_waits_any_more() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let demand = for_model("m");
    let [first, key] = server.wait_each(&demand, [(Priority::Medium, None), (Priority::Medium, Some("a"))]);
    let [second] = server.wait_each(&demand, [(Priority::Medium, None)]);
    assert_eq!(server.release_times(worker), [first, key].map(Some));
    let [third] = server.wait_each(&demand, [(Priority::Medium, None)]);
    let (fourth, place) = server.wait(&demand, |_| {});
    let (between, _) = server.wait(&demand, want(Some(place), Priority::Medium));
    let [fifth] = server.wait_each(&demand, [(Priority::Medium, None)]);
    assert_eq!(server.release_times(worker), [second, third, fourth, between, fifth].map(Some));
}

#[test]
fn a_want_counts_in_nothing_but_the_order_of_turns() {
    let mut server = Server::with_limits(QueueLimits { max_size: 1, ..QueueLimits::default() });
    let key = server.register_busy("w", &["m"], 1);
    let demand = for_model("m");
    let (ticket, _) = server.wait(&demand, want(None, Priority::High));
    server.now_ms = 500;
    assert_eq!(server.requests.info(server.now()), QueueInfo::default());
    assert_eq!(server.requests.size(), 0);
    let submitted = server.submit(&demand, |_| {});
    assert!(matches!(submitted, Submitted::Waits { position: 1, size: 1, .. }), "{submitted:?}");
    assert!(server.requests.withdraw(&mut server.pool, ticket));
    assert_eq!(server.requests.size(), 1);
    assert!(server.release(key).is_some());
    assert_eq!(server.requests.size(), 0);
}

#[test]
fn a_want_gets_a_slot_that_is_free_at_once_and_never_one_that_somebody_here_waits_for() {
    let mut server = Server::new();
    let demand = for_model("m");
    let key = server.register("w", &["m"], 1.0);
    assert_eq!(server.take(&demand, want(None, Priority::Low)).0, "w");
    server.wait(&demand, |_| {});
    server.pool.release(key, None, false);
    assert_eq!(server.submit(&demand, want(None, Priority::High)), Submitted::Owed);
}
