//! Who is next.

use super::*;

const HIGH: (Priority, Option<&str>) = (Priority::High, None);
const MEDIUM: (Priority, Option<&str>) = (Priority::Medium, None);
const LOW: (Priority, Option<&str>) = (Priority::Low, None);

fn of(key: &str) -> (Priority, Option<&str>) {
    (Priority::Medium, Some(key))
}

/// "a free slot goes to one of those that wait …, the highest class first (`high`, `medium`, the default, `low`)"
#[test]
fn a_slot_goes_to_the_highest_priority_and_there_to_who_came_first() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let [low, medium, high, second] = server.wait_each(&for_model("m"), [LOW, MEDIUM, HIGH, MEDIUM]);
    assert_eq!(server.release_times(worker), [high, medium, second, low].map(Some));
    assert_eq!(server.release(worker), None);
}

/// "In each class the `fairKey`s stand in one ring for the whole server …; the slot goes to the first key in the ring
/// that has a request which this worker could take, to that key's oldest such one, and the key moves to the end."
#[test]
fn keys_take_turns_however_many_requests_each_of_them_has() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let requests = [of("a"), of("a"), of("a"), of("b"), of("b"), of("c")];
    let [a1, a2, a3, b1, b2, c1] = server.wait_each(&for_model("m"), requests);
    assert_eq!(server.release_times(worker), [a1, b1, c1, a2, b2, a3].map(Some));
}

/// "(no key is a key of its own)"
#[test]
fn requests_without_a_key_take_turns_with_keys_as_one_more_key() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let requests = [of("a"), of("a"), of("a"), MEDIUM, MEDIUM, of("b")];
    let [a1, a2, a3, first, second, b1] = server.wait_each(&for_model("m"), requests);
    assert_eq!(server.release_times(worker), [a1, first, b1, a2, second, a3].map(Some));
}

/// The same where they were there before: however many there are, the first request of a key is the second to go.
#[test]
fn many_requests_without_a_key_do_not_hold_up_a_key_that_joins() {
    let mut server = Server::new();
    let llama = server.register_busy("l", &["llama"], 1);
    let gpt = server.register_busy("g", &["gpt"], 1);
    let [gpt1, gpt2] = server.wait_each(&for_model("gpt"), [MEDIUM, MEDIUM]);
    let [first, second, third, a1, a2, last] =
        server.wait_each(&for_model("llama"), [MEDIUM, MEDIUM, MEDIUM, of("a"), of("a"), MEDIUM]);
    assert_eq!(server.release_times(llama), [first, a1, second, a2].map(Some));
    let [b1] = server.wait_each(&for_model("gpt"), [of("b")]);
    assert_eq!(server.release(gpt), Some(gpt1), "the ring is one for all models, and b joins at its end");
    assert_eq!(server.release_times(gpt), [b1, gpt2].map(Some));
    assert_eq!(server.release_times(llama), [third, last].map(Some));
}

/// "one ring for the whole server": a key that got a slot for one model has had its turn for the others too.
#[test]
fn the_ring_is_one_for_all_models() {
    let mut server = Server::new();
    let llama = server.register_busy("l", &["llama"], 1);
    let gpt = server.register_busy("g", &["gpt"], 1);
    let [a_llama] = server.wait_each(&for_model("llama"), [of("a")]);
    let [a_gpt, b_gpt] = server.wait_each(&for_model("gpt"), [of("a"), of("b")]);
    assert_eq!(server.release(llama), Some(a_llama));
    assert_eq!(server.release_times(gpt), [b_gpt, a_gpt].map(Some));
}

/// "a key joins at the end with its first request of that class and leaves with its last"
#[test]
fn a_key_that_left_the_ring_joins_at_its_end() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let [a1, b1] = server.wait_each(&for_model("m"), [of("a"), of("b")]);
    assert!(server.requests.withdraw(&mut server.pool, a1));
    let [a2, b2] = server.wait_each(&for_model("m"), [of("a"), of("b")]);
    assert_eq!(server.release_times(worker), [b1, a2, b2].map(Some));
}

/// "to that key's oldest such one", of all models that the worker has.
#[test]
fn a_key_gets_its_oldest_request_that_the_worker_could_take() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["llama", "gpt"], 1);
    let other = server.register_busy("o", &["embed"], 1);
    let [embed] = server.wait_each(&for_model("embed"), [of("a")]);
    let [gpt] = server.wait_each(&for_model("gpt"), [of("a")]);
    let [llama] = server.wait_each(&for_model("llama"), [of("a")]);
    assert_eq!(server.release_times(worker), [gpt, llama].map(Some));
    assert_eq!(server.release(other), Some(embed));
}

/// "A request that has waited half of its queue time counts one class higher, once, judged when a slot is given away
/// (its key joins the higher ring then)."
#[test]
fn who_has_waited_for_half_of_its_queue_time_counts_one_priority_higher_once() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let low = |request: &mut Submission<'_>| {
        request.priority = Priority::Low;
        request.queue_ms = 1_000.0;
    };
    let (first, _) = server.wait(&for_model("m"), low);
    server.now_ms = 100;
    let (second, _) = server.wait(&for_model("m"), low);
    let [medium, last] = server.wait_each(&for_model("m"), [of("a"), of("b")]);
    let [high] = server.wait_each(&for_model("m"), [HIGH]);
    server.now_ms = 500;
    // Only the first has, and those without a key join the keys of medium priority behind them.
    assert_eq!(server.release_times(worker), [high, medium, last, first].map(Some));
    server.now_ms = 599;
    let [another] = server.wait_each(&for_model("m"), [MEDIUM]);
    assert_eq!(server.release(worker), Some(another));
    server.now_ms = 5_000;
    let [high] = server.wait_each(&for_model("m"), [HIGH]);
    assert_eq!(server.release_times(worker), [high, second].map(Some), "never two priorities higher");
}

/// "judged when a slot is given away": until then it keeps its place among its own.
#[test]
fn no_priority_changes_while_no_slot_is_given_away() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let (low, _) = server.wait(&for_model("m"), |request| {
        request.priority = Priority::Low;
        request.queue_ms = 100.0;
    });
    server.now_ms = 60;
    let [medium] = server.wait_each(&for_model("m"), [of("a")]);
    assert_eq!(server.release_times(worker), [medium, low].map(Some), "it joined behind who was there by then");
}

/// "judged when a slot is given away": it is of that priority from then on, so those that are there are older in it.
#[test]
fn who_counts_one_priority_higher_comes_behind_those_of_its_key_that_are_there() {
    for key in [None, Some("a")] {
        let mut server = Server::new();
        let worker = server.register_busy("w", &["m"], 1);
        let (low, _) = server.wait(&for_model("m"), |request| {
            request.priority = Priority::Low;
            request.queue_ms = 100.0;
            request.fair_key = key.map(str::as_bytes);
        });
        let [before] = server.wait_each(&for_model("m"), [(Priority::Medium, key)]);
        server.now_ms = 60;
        assert_eq!(server.release(worker), Some(before));
        let [after] = server.wait_each(&for_model("m"), [(Priority::Medium, key)]);
        assert_eq!(server.release_times(worker), [low, after].map(Some));
    }
}

#[test]
fn a_queue_time_without_end_has_no_half() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let [low] = server.wait_each(&for_model("m"), [LOW]);
    server.now_ms = u64::MAX / 2;
    let [medium] = server.wait_each(&for_model("m"), [MEDIUM]);
    assert_eq!(server.release_times(worker), [medium, low].map(Some));
}

/// "Who waits for a busy model never holds up who waits for a free one"
#[test]
fn who_waits_for_a_busy_model_never_holds_up_who_waits_for_a_free_one() {
    let mut server = Server::new();
    server.register_busy("busy", &["llama"], 1);
    let worker = server.register_busy("w", &["gpt"], 1);
    server.wait_each(&for_model("llama"), [HIGH, HIGH]);
    let [gpt] = server.wait_each(&for_model("gpt"), [LOW]);
    assert_eq!(server.release(worker), Some(gpt));
    server.pool.release(worker, None, true);
    assert_eq!(server.take(&for_model("gpt"), |_| {}).0, "w", "a new one neither");
}

/// "a new request never overtakes those that wait for its slot"
#[test]
fn a_new_request_never_overtakes_those_that_wait_for_its_slot() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let [first] = server.wait_each(&for_model("m"), [LOW]);
    server.pool.release(worker, None, true);
    assert_eq!(server.submit(&for_model("m"), |request| request.priority = Priority::High), Submitted::Owed);
    assert_eq!(server.dispatch(), Some((first, "w".to_owned())));
    server.wait(&for_model("m"), |_| {});
}

/// "whatever frees a slot … gives it away": each of these is noted, so that `dispatch` knows.
#[test]
fn whatever_frees_a_slot_gives_it_to_who_waits() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    let waiting = |server: &mut Server| server.wait_each(&for_model("m"), [MEDIUM])[0];
    let given = |server: &mut Server, ticket| assert_eq!(server.dispatch().map(|(ticket, _)| ticket), Some(ticket));

    let ticket = waiting(&mut server);
    server.pool.release(worker, None, false);
    given(&mut server, ticket);

    let ticket = waiting(&mut server);
    server.register("new", &["m"], 1.0);
    given(&mut server, ticket);

    let ticket = waiting(&mut server);
    server.now_ms = 100;
    let now = server.now();
    server.pool.check_health(now, 10, |()| false);
    server.pool.release(worker, None, false);
    assert_eq!(server.dispatch(), None, "it is silent");
    assert!(server.pool.heartbeat("w", now));
    given(&mut server, ticket);

    let ticket = waiting(&mut server);
    let grown = capabilities(&["m"], 2.0, &[]);
    server.pool.set_capabilities(worker, &grown, Metadata::default(), |_| 0);
    given(&mut server, ticket);

    server.pool.set_full(worker, true);
    server.pool.release(worker, None, false);
    let ticket = waiting(&mut server);
    assert_eq!(server.dispatch(), None, "its outbox is full");
    server.pool.set_full(worker, false);
    given(&mut server, ticket);
}

/// "`getAvailableWorker` never sees a slot that somebody waits for."
#[test]
fn selectors_can_be_told_that_a_slot_is_owed() {
    let mut server = Server::new();
    let worker = server.register_busy("w", &["m"], 1);
    server.wait_each(&for_model("m"), [MEDIUM]);
    let now = server.now();
    assert!(!server.requests.owes_slot(&mut server.pool, now));
    server.pool.release(worker, None, true);
    assert!(server.requests.owes_slot(&mut server.pool, now));
    assert!(server.dispatch().is_some());
    assert!(!server.requests.owes_slot(&mut server.pool, now));
    server.pool.release(worker, None, true);
    assert!(!server.requests.owes_slot(&mut server.pool, now), "nobody waits");
}
