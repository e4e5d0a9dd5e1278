//! Requests: tracked, counted, released.

use worker_server_core::pool::Pool;
use worker_server_core::rules::Status;

use crate::{MODEL, active, at, capabilities, pool_of, release, status, track};

#[test]
fn who_has_left_is_given_no_request_and_ends_none() {
    let (mut pool, [key, other]) = pool_of([("w", 2.0), ("other", 2.0)]);
    pool.remove(key);
    assert!(!pool.track(key, None));
    assert!(!pool.release(key, None, true));
    assert_eq!(active(&pool, other), 0);
}

#[test]
fn tracking_up_to_the_maximum_makes_a_worker_busy() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", None);
    assert_eq!(status(&pool, key), Status::Available);
    track(&mut pool, "w", None);
    assert_eq!(status(&pool, key), Status::Busy);
}

#[test]
fn tracking_up_to_the_maximum_makes_an_unhealthy_worker_busy_too() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    pool.check_health(at(150), 100, |()| false);
    track(&mut pool, "w", None);
    assert_eq!(status(&pool, key), Status::Busy);
}

#[test]
fn a_release_frees_the_slot_and_that_of_its_category() {
    let mut pool = Pool::new();
    let key = pool.add("w", &capabilities(MODEL, 1.0, &[("embed", 1.0), ("chat", 1.0)]), (), at(0));
    track(&mut pool, "w", Some("chat"));
    assert_eq!(pool.get(key).unwrap().limits[1].active, 1);
    release(&mut pool, "w", Some("chat"));
    let worker = pool.get(key).unwrap();
    assert_eq!((worker.active, worker.status), (0, Status::Available));
    assert_eq!((worker.limits[0].active, worker.limits[1].active), (0, 0));
}

#[test]
fn a_release_of_what_was_never_tracked_counts_nothing_below_zero() {
    let mut pool = Pool::new();
    let key = pool.add("w", &capabilities(MODEL, 1.0, &[("chat", 1.0)]), (), at(0));
    release(&mut pool, "w", Some("chat"));
    let worker = pool.get(key).unwrap();
    assert_eq!((worker.active, worker.limits[0].active), (0, 0));
}

#[test]
fn a_place_beyond_the_limits_is_that_of_no_category() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    assert!(pool.track(key, Some(0)));
    assert_eq!(active(&pool, key), 1);
    assert!(pool.release(key, Some(0), false));
    assert_eq!(active(&pool, key), 0);
}

#[test]
fn only_a_release_that_says_so_counts_as_completed() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", None);
    track(&mut pool, "w", None);
    pool.release(key, None, false);
    assert_eq!(pool.get(key).unwrap().completed, 0);
    pool.release(key, None, true);
    assert_eq!(pool.get(key).unwrap().completed, 1);
}

#[test]
fn a_release_that_leaves_a_worker_at_capacity_leaves_it_busy() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    track(&mut pool, "w", None);
    track(&mut pool, "w", None);
    release(&mut pool, "w", None);
    assert_eq!(status(&pool, key), Status::Busy);
    release(&mut pool, "w", None);
    assert_eq!(status(&pool, key), Status::Available);
}

#[test]
fn a_release_does_not_heal_an_unhealthy_worker() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", None);
    pool.check_health(at(150), 100, |()| false);
    release(&mut pool, "w", None);
    assert_eq!(status(&pool, key), Status::Unhealthy);
}

#[test]
fn a_removed_worker_is_gone_once_and_for_all() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", None);
    assert_eq!(pool.remove(key).map(|worker| worker.active), Some(1));
    assert_eq!((pool.len(), pool.available(), pool.select(MODEL, None)), (0, 0, None));
    assert_eq!(pool.remove(key).map(|worker| worker.id), None);
}
