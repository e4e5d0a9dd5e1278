//! Who is in the pool, who gets the next request, and how many more there is room for.

use worker_server_core::pool::Pool;
use worker_server_core::registration::Capabilities;
use worker_server_core::rules::Status;

use crate::{MODEL, assert_free, at, capabilities, ids, pool_of, track};

#[test]
fn a_worker_that_has_just_registered_is_available_and_idle() {
    let (pool, [key]) = pool_of([("w", 2.0)]);
    let worker = pool.get(key).unwrap();
    assert_eq!((worker.status, worker.active, worker.completed), (Status::Available, 0, 0));
}

#[test]
fn workers_are_listed_in_the_order_of_their_registration() {
    let (mut pool, [first, ..]) = pool_of([("z", 1.0), ("a", 1.0), ("m", 1.0)]);
    assert_eq!(ids(&pool), ["z", "a", "m"]);
    pool.remove(first);
    pool.add("z", &capabilities(MODEL, 1.0, &[]), (), at(0));
    assert_eq!(ids(&pool), ["a", "m", "z"]);
}

#[test]
fn a_name_finds_a_model_that_equals_contains_or_is_contained_in_it() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    for name in ["llama-3", "llama", "llama-3-70b-instruct", ""] {
        assert_eq!(pool.select(name, None), Some(key), "{name}");
    }
    for name in ["gpt", "llama-4", "Llama-3"] {
        assert_eq!(pool.select(name, None), None, "{name}");
    }
}

#[test]
fn any_of_a_workers_models_will_do() {
    let mut pool = Pool::new();
    let models = vec!["embed".to_owned(), "gpt".to_owned()];
    let key = pool.add("w", &Capabilities { models, max: 1.0, limits: Vec::new() }, (), at(0));
    assert_eq!(pool.select("gpt", None), Some(key));
    assert_eq!(pool.select("embed", None), Some(key));
}

#[test]
fn a_worker_without_models_supports_nothing() {
    let mut pool = Pool::new();
    pool.add("w", &Capabilities { models: Vec::new(), max: 1.0, limits: Vec::new() }, (), at(0));
    assert_eq!(pool.select("", None), None);
}

#[test]
fn the_worker_with_the_lowest_share_of_active_requests_is_selected() {
    let (mut pool, [small, big]) = pool_of([("small", 2.0), ("big", 10.0)]);
    track(&mut pool, "small", None);
    for _ in 0..4 {
        track(&mut pool, "big", None);
    }
    assert_eq!(pool.select(MODEL, None), Some(big), "4 of 10 is less than 1 of 2");
    track(&mut pool, "big", None);
    track(&mut pool, "big", None);
    assert_eq!(pool.select(MODEL, None), Some(small), "1 of 2 is less than 6 of 10");
}

#[test]
fn of_equally_loaded_workers_the_earliest_registered_is_selected() {
    let (mut pool, [first, second, _]) = pool_of([("z", 2.0), ("a", 4.0), ("m", 2.0)]);
    assert_eq!(pool.select(MODEL, None), Some(first));
    track(&mut pool, "z", None);
    assert_eq!(pool.select(MODEL, None), Some(second));
    track(&mut pool, "a", None);
    track(&mut pool, "a", None);
    track(&mut pool, "m", None);
    assert_eq!(pool.select(MODEL, None), Some(first), "1 of 2 equals 2 of 4");
}

#[test]
fn workers_of_different_kinds_compete_by_the_same_measure() {
    let mut pool = Pool::new();
    let plain = pool.add("plain", &capabilities("llama-3", 1.0, &[]), (), at(0));
    let large = pool.add("large", &capabilities("llama-3-70b", 1.0, &[("chat", 1.0)]), (), at(0));
    assert_eq!(pool.select("llama-3", Some("chat")), Some(plain));
    track(&mut pool, "plain", None);
    assert_eq!(pool.select("llama-3", Some("chat")), Some(large));
}

#[test]
fn a_worker_at_its_maximum_is_not_selected() {
    let (mut pool, [_]) = pool_of([("w", 1.0)]);
    track(&mut pool, "w", None);
    assert_eq!(pool.select(MODEL, None), None);
}

#[test]
fn a_worker_that_takes_no_requests_is_never_selected() {
    let (mut pool, [_]) = pool_of([("w", 0.0)]);
    assert_eq!(pool.select(MODEL, None), None);
}

#[test]
fn a_fractional_maximum_lets_one_more_request_in_while_below_it() {
    let (mut pool, [key]) = pool_of([("w", 1.5)]);
    track(&mut pool, "w", None);
    assert_eq!(pool.select(MODEL, None), Some(key));
    assert_free(&mut pool, None, 0.5);
    track(&mut pool, "w", None);
    assert_eq!(pool.select(MODEL, None), None);
}

#[test]
fn a_category_at_its_limit_excludes_the_worker_for_that_category_only() {
    let mut pool = Pool::new();
    let key = pool.add("w", &capabilities(MODEL, 4.0, &[("chat", 1.0), ("embed", 1.0)]), (), at(0));
    track(&mut pool, "w", Some("chat"));
    assert_eq!(pool.select(MODEL, Some("chat")), None);
    assert_eq!(pool.select(MODEL, Some("embed")), Some(key));
    assert_eq!(pool.select(MODEL, None), Some(key));
}

#[test]
fn a_category_without_a_limit_is_not_limited() {
    let mut pool = Pool::new();
    let key = pool.add("w", &capabilities(MODEL, 3.0, &[("chat", 1.0)]), (), at(0));
    track(&mut pool, "w", Some("vision"));
    track(&mut pool, "w", Some("vision"));
    assert_eq!(pool.select(MODEL, Some("vision")), Some(key));
}

#[test]
fn a_limit_of_zero_or_less_shuts_a_category_out() {
    for limit in [0.0, -1.0] {
        let mut pool = Pool::new();
        pool.add("w", &capabilities(MODEL, 3.0, &[("chat", limit)]), (), at(0));
        assert_eq!(pool.select(MODEL, Some("chat")), None);
        assert_free(&mut pool, Some("chat"), 0.0);
    }
}

#[test]
fn free_slots_are_summed_over_available_workers_that_support_the_model() {
    let (mut pool, [..]) = pool_of([("a", 3.0), ("b", 2.0)]);
    pool.add("other", &capabilities("gpt", 7.0, &[]), (), at(0));
    assert_free(&mut pool, None, 5.0);
    track(&mut pool, "a", None);
    assert_free(&mut pool, None, 4.0);
    track(&mut pool, "b", None);
    track(&mut pool, "b", None);
    assert_free(&mut pool, None, 2.0);
}

#[test]
fn free_slots_of_each_worker_are_capped_by_its_limit_for_the_category() {
    let (mut pool, [_]) = pool_of([("unlimited", 3.0)]);
    pool.add("limited", &capabilities(MODEL, 5.0, &[("chat", 2.0)]), (), at(0));
    assert_free(&mut pool, Some("chat"), 5.0);
    track(&mut pool, "limited", Some("chat"));
    assert_free(&mut pool, Some("chat"), 4.0);
    assert_free(&mut pool, None, 7.0);
}

#[test]
fn a_worker_or_category_beyond_its_limit_takes_no_slots_from_the_others() {
    let (mut pool, [_]) = pool_of([("roomy", 3.0)]);
    pool.add("over", &capabilities(MODEL, 9.0, &[("chat", 1.0)]), (), at(0));
    for _ in 0..3 {
        track(&mut pool, "over", Some("chat"));
    }
    assert_free(&mut pool, Some("chat"), 3.0);
}

#[test]
fn the_first_reachable_worker_is_the_earliest_that_is_available_or_busy() {
    let (mut pool, [first, second]) = pool_of([("a", 1.0), ("b", 1.0)]);
    track(&mut pool, "a", None);
    assert_eq!(pool.select_any(), Some(first), "busy will do");
    pool.heartbeat("b", at(100));
    pool.check_health(at(150), 100, |()| false);
    assert_eq!(pool.select_any(), Some(second), "unhealthy will not");
    pool.mark_closed(second);
    assert_eq!(pool.select_any(), None, "nor will a closed socket");
}

#[test]
fn only_available_workers_count_as_available() {
    let (mut pool, [..]) = pool_of([("idle", 2.0), ("busy", 1.0), ("silent", 2.0)]);
    track(&mut pool, "busy", None);
    pool.heartbeat("idle", at(100));
    pool.heartbeat("busy", at(100));
    pool.check_health(at(150), 100, |()| false);
    assert_eq!((pool.len(), pool.available()), (3, 1));
}

#[test]
fn a_cleared_pool_is_empty_and_never_uses_a_key_again() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", None);
    pool.clear();
    assert!(pool.is_empty());
    assert_eq!((pool.key_of("w"), pool.select_any(), pool.release(key, None, true)), (None, None, false));
    assert!(pool.add("w", &capabilities(MODEL, 1.0, &[]), (), at(0)) > key);
}

#[test]
fn where_nobody_supports_the_model_there_are_zero_slots_and_not_minus_zero() {
    let (mut pool, [..]) = pool_of([("w", 2.0)]);
    assert!(pool.free_slots("gpt", None).is_sign_positive(), "JavaScript tells 0 from -0");
}
