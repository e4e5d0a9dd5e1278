//! Which worker gets a request.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use worker_server_core::models::ModelMatch;
use worker_server_core::requests::affinity::Affinity;
use worker_server_core::requests::selector::Selector;

fn id(server: &mut Server, demand: &Demand) -> String {
    server.take(demand, |_| {}).0
}

/// "with loose matching those that have the exact name come first; a loose one is taken when no exact one has a free
/// slot. Then lowest load, then earliest registered."
#[test]
fn those_with_the_exact_name_come_first_then_the_lowest_load_then_the_earliest_registered() {
    let mut server = Server::new();
    server.register("loose", &["llama-3-70b"], 4.0);
    server.register("exact-1", &["llama-3"], 2.0);
    server.register("exact-2", &["llama-3"], 2.0);
    let ids: Vec<String> = (0..6).map(|_| id(&mut server, &for_model("llama-3"))).collect();
    assert_eq!(ids, ["exact-1", "exact-2", "exact-1", "exact-2", "loose", "loose"]);
}

/// "modelMatch … exact: equality"
#[test]
fn exact_matching_takes_no_other_name() {
    let mut server = Server::new();
    server.register("loose", &["llama-3-70b", "llama"], 4.0);
    let exact = Demand { model_match: ModelMatch::Exact, ..for_model("llama-3") };
    server.wait(&exact, |_| {});
    let worker = server.register("exact", &["llama-3"], 1.0);
    assert_eq!(server.dispatch().map(|(_, id)| id), Some("exact".to_owned()));
    assert_eq!(server.status(worker), Status::Busy);
}

/// "exact: equality, in request() and the selectors alike"
#[test]
fn the_selectors_of_an_exact_pool_take_no_other_name() {
    let mut pool: Pool<()> = Pool::with_model_match(ModelMatch::Exact);
    let now = Moment { elapsed_ms: 0, unix_ms: 0 };
    pool.add("loose", &capabilities(&["llama-3-70b"], 4.0, &[]), (), now);
    assert_eq!((pool.select("llama-3", None), pool.free_slots("llama-3", None).to_bits()), (None, 0.0_f64.to_bits()));
    let exact = pool.add("exact", &capabilities(&["llama-3"], 2.0, &[("c", 1.0)]), (), now);
    assert_eq!(pool.select("llama-3", None), Some(exact));
    assert_eq!(pool.free_slots("llama-3", None).to_bits(), 2.0_f64.to_bits());
    assert_eq!(pool.free_slots("llama-3", Some("c")).to_bits(), 1.0_f64.to_bits());
    pool.clear();
    pool.add("loose", &capabilities(&["llama-3-70b"], 4.0, &[]), (), now);
    assert_eq!(pool.select("llama-3", None), None, "after stop and start too");
}

/// "without a model any worker will do"
#[test]
fn without_a_model_any_worker_will_do() {
    let mut server = Server::new();
    server.register("none", &[], 1.0);
    server.register("some", &["m"], 2.0);
    let ids: Vec<String> = (0..3).map(|_| id(&mut server, &Demand::any())).collect();
    assert_eq!(ids, ["none", "some", "some"]);
}

/// "workerId: this worker and no other"
#[test]
fn a_request_for_one_worker_waits_for_it_and_takes_no_other() {
    let mut server = Server::new();
    server.register("other", &["m"], 4.0);
    let worker = server.register_busy("w", &["m"], 1);
    let own = Demand { worker_id: Some(Name::new("w")), ..for_model("m") };
    let (ticket, _) = server.wait(&own, |_| {});
    assert_eq!(server.release(worker), Some(ticket));
    let (ticket, _) = server.wait(&Demand { worker_id: Some(Name::new("late")), ..Demand::any() }, |_| {});
    server.register("late", &[], 1.0);
    assert_eq!(server.dispatch(), Some((ticket, "late".to_owned())));
    server.wait(&Demand { worker_id: Some(Name::new("late")), ..for_model("m") }, |_| {});
}

/// "asked for, such a name matches nothing"
#[test]
fn a_name_with_half_a_surrogate_pair_matches_nothing() {
    let mut server = Server::new();
    server.register("\u{fffd}", &["\u{fffd}"], 4.0);
    for demand in [
        Demand { model: Some(Name::ill_formed("\u{fffd}")), ..Demand::any() },
        Demand { worker_id: Some(Name::ill_formed("\u{fffd}")), ..Demand::any() },
    ] {
        assert!(Requests::has_no_worker(&mut server.pool, &demand));
        server.wait(&demand, |_| {});
        server.wait(&demand, |request| request.affinity = Some(Affinity::of(b"key")));
    }
    server.register("another", &["\u{fffd}"], 4.0);
    assert_eq!(server.dispatch(), None);
}

/// "a plain object …; other payloads are not given to them", and "Without `requestTypes` such workers take no part."
#[test]
fn workers_take_the_payloads_that_they_can() {
    let mut server = Server::new();
    let one = capabilities(&["m"], 1.0, &[]);
    server.register_as("nothing", &one, Takes::Nothing, "{}");
    server.register_as("objects", &one, Takes::Objects, "{}");
    server.register_as("anything", &one, Takes::Anything, "{}");
    let text = Demand { needs: Takes::Anything, ..for_model("m") };
    assert_eq!(id(&mut server, &text), "anything");
    server.wait(&text, |_| {});
    assert_eq!(id(&mut server, &for_model("m")), "objects");
    server.wait(&for_model("m"), |_| {});
}

/// "fewer active requests of that category than its limit"
#[test]
fn a_category_that_is_full_waits_and_others_do_not() {
    let mut server = Server::new();
    let worker = server.register_as("w", &capabilities(&["m"], 3.0, &[("c", 1.0)]), Takes::Anything, "{}");
    let in_category = Demand { category: Some("c".into()), ..for_model("m") };
    let (_, slot) = server.take(&in_category, |_| {});
    let (ticket, _) = server.wait(&in_category, |_| {});
    server.take(&for_model("m"), |_| {});
    server.take(&Demand { category: Some("unlimited".into()), ..for_model("m") }, |_| {});
    server.pool.release(worker, None, true);
    assert_eq!(server.dispatch(), None, "a slot is free, and none of the category");
    server.pool.release(worker, slot.limit, true);
    assert_eq!(server.dispatch().map(|(ticket, _)| ticket), Some(ticket));
}

/// "`where` is judged against own keys of `capabilities.metadata`"
#[test]
fn only_a_worker_whose_metadata_match_gets_the_request() {
    let mut server = Server::new();
    let two = capabilities(&["m"], 2.0, &[]);
    server.register_as("eu", &two, Takes::Anything, r#"{"region":"eu","vram":24}"#);
    server.register_as("us", &two, Takes::Anything, r#"{"region":"us","vram":80}"#);
    let with = |text| Demand { selector: Some(Arc::new(Selector::read(text).unwrap())), ..for_model("m") };
    assert_eq!(id(&mut server, &with(r#"{"region":"us"}"#)), "us");
    assert_eq!(id(&mut server, &with(r#"{"vram":{"gte":48}}"#)), "us");
    let (ticket, _) = server.wait(&with(r#"{"region":["us","asia"]}"#), |_| {});
    let (other, _) = server.wait(&with(r#"{"region":"asia"}"#), |_| {});
    assert_eq!(id(&mut server, &with("{}")), "eu");
    let us = server.pool.key_of("us").unwrap();
    assert_eq!(server.release(us), Some(ticket));
    assert!(server.requests.withdraw(&mut server.pool, other));
}

/// "rendezvous hashing of the key over the ids of the available and busy workers that match …. The preferred one is
/// taken if it has a free slot and [is within the load bound]; else the next in hash order; … Nobody waits for it."
#[test]
fn an_affinity_stays_with_its_worker_while_that_has_room_and_is_not_overloaded() {
    let mut server = Server::new();
    let ids: Vec<String> = (0..8).map(|number| format!("worker-{number}")).collect();
    for id in &ids {
        server.register(id, &["m"], 8.0);
    }
    let key = Affinity::of(b"session-7");
    let mut in_order = ids.clone();
    in_order.sort_by_key(|id| std::cmp::Reverse(key.weight(id)));
    let sticky = |request: &mut Submission<'_>| request.affinity = Some(key);
    let got: Vec<String> = (0..3).map(|_| server.take(&for_model("m"), sticky).0).collect();
    // The second time: 1 ≤ 1.25 × 8 × 1/64 + 1. The third time: 2 > 1.25 × 8 × 2/64 + 1.
    assert_eq!(got, [&*in_order[0], &*in_order[0], &*in_order[1]]);
    // With one that is gone, its keys go to the next, and only they.
    let first = server.pool.key_of(&in_order[0]).unwrap();
    server.pool.remove(first);
    assert_eq!(server.take(&for_model("m"), sticky).0, in_order[1]);
}

/// "if none is within, the first with a free slot": whatever the bound says, a slot that is free is taken.
#[test]
fn nobody_waits_for_the_worker_that_an_affinity_prefers() {
    let mut server = Server::new();
    for number in 0..4 {
        server.register(&format!("worker-{number}"), &["m"], 3.0);
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for _ in 0..12 {
        let (id, _) = server.take(&for_model("m"), |request| request.affinity = Some(Affinity::of(b"key")));
        *counts.entry(id).or_default() += 1;
    }
    assert!(counts.values().all(|&count| count == 3), "{counts:?}");
}
