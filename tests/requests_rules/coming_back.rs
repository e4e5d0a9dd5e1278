//! Requests that come back: rejected, refused by an outbox, or for their next attempt.

use super::*;
use worker_server_core::requests::choose::Avoid;

fn avoid(worker_id: &str, until_ms: u64) -> Vec<Avoid> {
    vec![Avoid { worker_id: worker_id.into(), until_ms }]
}

/// "Who comes back (rejected, next attempt) keeps its first arrival's place and is never refused"
#[test]
fn who_comes_back_keeps_its_first_arrivals_place_and_is_never_refused() {
    let mut server = Server::with_limits(QueueLimits { max_size: 2, max_bytes: 20, max_per_key: Some(2) });
    let worker = server.register("w", &["m"], 1.0);
    let ten = |request: &mut Submission<'_>| request.payload_bytes = 10;
    let (_, slot) = server.take(&for_model("m"), ten);
    let (second, _) = server.wait(&for_model("m"), ten);
    let (third, _) = server.wait(&for_model("m"), ten);
    // Its worker is lost, and a new one registers that is busy.
    server.pool.remove(worker);
    let worker = server.register_busy("v", &["m"], 1);
    let (first, place) = server.wait(&for_model("m"), |request| {
        ten(request);
        request.comes_back = Some(slot.place);
        request.avoid = avoid("w", 0);
    });
    assert_eq!(place, slot.place);
    assert_eq!((server.requests.size(), server.requests.info(server.now()).bytes), (3, 30));
    assert_eq!(server.release_times(worker), [first, second, third].map(Some));
}

/// The same for one whose key has had its turn: it stands where it came, and the key's other requests where the key is
/// now.
#[test]
fn who_comes_back_with_a_key_stands_by_itself() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let of = |key| (Priority::Medium, Some(key));
    let [a1, a2, b1] = server.wait_each(&for_model("m"), [of("a"), of("a"), of("b")]);
    server.pool.release(worker, None, true);
    let now = server.now();
    let grant = server.requests.dispatch(&mut server.pool, now).unwrap();
    assert_eq!(grant.ticket, a1);
    let (again, _) = server.wait(&for_model("m"), |request| {
        request.fair_key = Some(b"a");
        request.comes_back = Some(grant.slot.place);
    });
    assert_eq!(server.release_times(worker), [again, b1, a2].map(Some));
}

/// "not to the same worker while another with a free slot could take it", when all of them have had it, too
#[test]
fn a_next_attempt_goes_to_the_worker_that_had_it_last_only_when_no_other_could_take_it() {
    let mut server = Server::new();
    for id in ["a", "b"] {
        server.register(id, &["m"], 1.0);
    }
    let (_, slot) = server.take(&for_model("m"), |_| {});
    let mut had: Vec<&str> = vec!["a"];
    server.pool.release(slot.worker.key, None, false);
    for expected in ["b", "a", "b", "a"] {
        let (_, slot) = server.take(&for_model("m"), |request| {
            request.comes_back = Some(slot.place);
            request.avoid = had.iter().map(|&id| Avoid { worker_id: id.into(), until_ms: 0 }).collect();
        });
        assert_eq!(server.pool.get(slot.worker.key).map(|worker| &*worker.id), Some(expected));
        server.pool.release(slot.worker.key, None, false);
        had.retain(|id| *id != expected);
        had.push(expected);
    }
}

/// "A worker that rejected it gets it again only when no other with a free slot could take it, after 50 ms, doubling …"
#[test]
fn a_worker_that_rejected_it_gets_it_again_after_a_pause_and_only_if_no_other_could_take_it() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 1.0);
    let (_, slot) = server.take(&for_model("m"), |_| {});
    let place = slot.place;
    let rejected = |until_ms| {
        move |request: &mut Submission<'_>| {
            request.comes_back = Some(place);
            request.avoid = avoid("w", until_ms);
        }
    };
    server.pool.release(worker, None, false);
    let (ticket, _) = server.wait(&for_model("m"), rejected(30));
    assert_eq!((server.requests.next_wake(), server.dispatch()), (Some(30), None));
    // Meanwhile others get the worker's slot.
    let (_, other) = server.take(&for_model("m"), |_| {});
    server.pool.release(worker, other.limit, true);
    server.now_ms = 29;
    assert_eq!(server.dispatch(), None);
    server.now_ms = 30;
    let now = server.now();
    assert!(server.requests.owes_slot(&mut server.pool, now));
    assert_eq!(server.dispatch(), Some((ticket, "w".to_owned())));
    assert_eq!(server.requests.next_wake(), None);
    // Another one with a free slot gets it, if there is one: the pause is over or not.
    server.pool.release(worker, None, false);
    server.register("v", &["m"], 4.0);
    for until_ms in [0, 60] {
        let (id, _) = server.take(&for_model("m"), rejected(until_ms));
        assert_eq!(id, "v");
    }
}

#[test]
fn another_worker_that_frees_a_slot_ends_the_wait_for_the_pause() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 1.0);
    let other = server.register_busy("v", &["m"], 1);
    let (_, slot) = server.take(&for_model("m"), |_| {});
    server.pool.release(worker, None, false);
    let (ticket, _) = server.wait(&for_model("m"), |request| {
        request.comes_back = Some(slot.place);
        request.avoid = avoid("w", 1_000);
    });
    assert_eq!(server.release(other), Some(ticket));
    assert_eq!(server.requests.next_wake(), None);
}

/// "not to the same worker while another with a free slot could take it": the same worker is the same id, whatever its
/// session.
#[test]
fn a_next_attempt_goes_to_another_worker_if_one_has_a_free_slot() {
    let mut server = Server::new();
    server.register("w", &["m"], 4.0);
    server.register("v", &["m"], 1.0);
    let again = |request: &mut Submission<'_>| request.avoid = avoid("w", 0);
    assert_eq!(server.take(&for_model("m"), again).0, "v");
    assert_eq!(server.take(&for_model("m"), again).0, "w");
}

/// "A worker that refused a `send` counts as full until its outbox has room."
#[test]
fn a_worker_that_refused_a_send_counts_as_full_until_its_outbox_has_room() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 2.0);
    let (_, slot) = server.take(&for_model("m"), |_| {});
    Requests::refuse(&mut server.pool, &slot);
    assert_eq!(server.pool.get(worker).unwrap().active, 0, "the slot is free again");
    let (first, _) = server.wait(&for_model("m"), |request| request.comes_back = Some(slot.place));
    let (second, _) = server.wait(&for_model("m"), |_| {});
    assert_eq!(server.pool.select("m", None), None, "nobody else is told of a slot that somebody waits for");
    assert_eq!((server.status(worker), server.dispatch()), (Status::Available, None));
    server.pool.set_full(worker, false);
    assert_eq!(server.dispatch().map(|(ticket, _)| ticket), Some(first));
    assert_eq!(server.dispatch().map(|(ticket, _)| ticket), Some(second));
    assert_eq!(server.dispatch(), None);
}

/// "Slots are counted on the new session before its connected handlers run, and may exceed its capacity."
#[test]
fn a_resumed_session_may_hold_more_than_it_takes() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 1.0);
    for _ in 0..3 {
        server.pool.track(worker, None);
    }
    let (ticket, _) = server.wait(&for_model("m"), |_| {});
    assert_eq!(server.release_times(worker), [None, None, Some(ticket)]);
}
