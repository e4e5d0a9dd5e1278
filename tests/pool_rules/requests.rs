//! Requests: tracked, counted, released.

use worker_server::core::rules::Status;

use crate::{MODEL, active, at, pool_of, release, status, track};

#[test]
fn tracking_on_an_unknown_worker_does_nothing() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    assert_eq!(track(&mut pool, "nobody", "r", None), None);
    assert_eq!(active(&pool, key), 0);
    assert_eq!(pool.release("r", true), None);
}

#[test]
fn tracking_up_to_the_maximum_makes_a_worker_busy() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", "r0", None);
    assert_eq!(status(&pool, key), Status::Available);
    track(&mut pool, "w", "r1", None);
    assert_eq!(status(&pool, key), Status::Busy);
}

#[test]
fn tracking_up_to_the_maximum_makes_an_unhealthy_worker_busy_too() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    pool.check_health(at(150), 100, |()| false);
    track(&mut pool, "w", "r", None);
    assert_eq!(status(&pool, key), Status::Busy);
}

#[test]
fn an_id_tracked_twice_is_pending_once_and_counts_twice() {
    let (mut pool, [key]) = pool_of([("w", 4.0)]);
    track(&mut pool, "w", "r", None);
    track(&mut pool, "w", "r", None);
    assert_eq!(active(&pool, key), 2);
    assert_eq!(pool.get(key).unwrap().requests.len(), 1);
    assert!(pool.release("r", false).is_some());
    assert_eq!(active(&pool, key), 1);
    assert_eq!(pool.release("r", false), None, "one release takes the id out");
}

#[test]
fn an_id_tracked_twice_is_released_from_its_last_category() {
    let (mut pool, [key]) = pool_of([("w", 9.0)]);
    track(&mut pool, "w", "r", Some("chat"));
    track(&mut pool, "w", "r", Some("embed"));
    track(&mut pool, "w", "r", None);
    assert_eq!(release(&mut pool, "r"), Some((key, Some("embed".to_owned()))));
    let worker = pool.get(key).unwrap();
    assert_eq!((worker.category_count("chat"), worker.category_count("embed")), (1, 0));
}

#[test]
fn a_release_frees_the_slot_and_the_category_whose_count_stays_at_zero() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    track(&mut pool, "w", "r", Some("chat"));
    assert_eq!(release(&mut pool, "r"), Some((key, Some("chat".to_owned()))));
    let worker = pool.get(key).unwrap();
    assert_eq!((worker.active, worker.status), (0, Status::Available));
    assert!(worker.requests.is_empty());
    assert_eq!(worker.category_active.get("chat"), Some(&0));
}

#[test]
fn only_a_release_that_says_so_counts_as_completed() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", "r0", None);
    track(&mut pool, "w", "r1", None);
    pool.release("r0", false);
    assert_eq!(pool.get(key).unwrap().completed, 0);
    pool.release("r1", true);
    assert_eq!(pool.get(key).unwrap().completed, 1);
}

#[test]
fn releasing_an_unknown_id_does_nothing() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", "r", None);
    assert_eq!(pool.release("other", true), None);
    assert_eq!((active(&pool, key), pool.get(key).unwrap().completed), (1, 0));
}

#[test]
fn a_release_that_leaves_a_worker_at_capacity_leaves_it_busy() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    for request in ["r0", "r1"] {
        track(&mut pool, "w", request, None);
    }
    pool.release("r0", false);
    assert_eq!(status(&pool, key), Status::Busy);
    pool.release("r1", false);
    assert_eq!(status(&pool, key), Status::Available);
}

#[test]
fn a_release_does_not_heal_an_unhealthy_worker() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", "r", None);
    pool.check_health(at(150), 100, |()| false);
    pool.release("r", true);
    assert_eq!(status(&pool, key), Status::Unhealthy);
}

#[test]
fn an_id_that_two_workers_hold_is_released_on_the_earliest_registered_first() {
    let (mut pool, [first, second]) = pool_of([("a", 2.0), ("b", 2.0)]);
    track(&mut pool, "b", "r", None);
    track(&mut pool, "a", "r", None);
    assert_eq!(release(&mut pool, "r").map(|(key, _)| key), Some(first));
    assert_eq!(release(&mut pool, "r").map(|(key, _)| key), Some(second));
    assert_eq!(pool.release("r", false), None);
}

#[test]
fn a_removed_worker_takes_its_requests_with_it() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", "r", Some("chat"));
    let removed = pool.remove(key).unwrap();
    assert!(removed.requests.contains_key("r"));
    assert_eq!(pool.release("r", true), None);
    assert_eq!((pool.len(), pool.available(), pool.select(MODEL, None)), (0, 0, None));
    assert_eq!(pool.remove(key).map(|worker| worker.id), None, "it is gone once and for all");
}
