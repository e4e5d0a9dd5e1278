//! Silence, heartbeats and closed sockets.

use worker_server_core::pool::Finding;
use worker_server_core::rules::Status;

use crate::{MODEL, active, assert_free, at, pool_of, release, status, track};

#[test]
fn silence_beyond_the_timeout_makes_a_worker_unhealthy_and_is_reported_once() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    assert_eq!(pool.check_health(at(100), 100, |()| false), []);
    assert_eq!(status(&pool, key), Status::Available);
    assert_eq!(pool.check_health(at(101), 100, |()| false), [Finding::TimedOut { id: "w".into(), silent_ms: 101 }]);
    assert_eq!(status(&pool, key), Status::Unhealthy);
    assert_eq!(pool.check_health(at(102), 100, |()| false), []);
}

#[test]
fn silence_beyond_three_timeouts_is_death_until_the_worker_is_closed() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    let dead = Finding::Dead { key, id: "w".into() };
    let timed_out = Finding::TimedOut { id: "w".into(), silent_ms: 301 };
    assert_eq!(pool.check_health(at(301), 100, |()| false), [timed_out, dead.clone()]);
    assert_eq!(pool.check_health(at(302), 100, |()| false), [dead]);
    pool.mark_closed(key);
    assert_eq!(pool.check_health(at(303), 100, |()| false), []);
}

#[test]
fn silence_that_is_the_servers_own_doing_is_not_judged() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    assert_eq!(pool.check_health(at(1_000), 100, |()| true), []);
    assert_eq!(status(&pool, key), Status::Available);
}

#[test]
fn silence_before_the_process_woke_up_is_not_counted() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    pool.count_silence_from(at(1_000));
    assert_eq!(pool.check_health(at(1_100), 100, |()| false), []);
    assert_eq!(status(&pool, key), Status::Available);
    let timed_out = Finding::TimedOut { id: "w".into(), silent_ms: 101 };
    assert_eq!(pool.check_health(at(1_101), 100, |()| false), [timed_out]);
    assert_eq!(pool.check_health(at(1_301), 100, |()| false), [Finding::Dead { key, id: "w".into() }]);
}

#[test]
fn a_heartbeat_of_an_unhealthy_worker_makes_it_available() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    pool.check_health(at(101), 100, |()| false);
    assert!(pool.heartbeat("w", at(110)));
    assert_eq!(status(&pool, key), Status::Available);
    assert_eq!(pool.check_health(at(200), 100, |()| false), [], "its silence is counted anew");
}

#[test]
fn a_heartbeat_of_an_unhealthy_worker_at_capacity_makes_it_busy() {
    let (mut pool, [key]) = pool_of([("w", 1.0)]);
    track(&mut pool, "w", None);
    pool.check_health(at(101), 100, |()| false);
    assert!(pool.heartbeat("w", at(110)));
    assert_eq!(status(&pool, key), Status::Busy);
}

#[test]
fn a_heartbeat_of_an_unknown_worker_is_told_apart() {
    let (mut pool, [_]) = pool_of([("w", 1.0)]);
    assert!(!pool.heartbeat("nobody", at(1)));
}

#[test]
fn tracking_and_releasing_are_no_sign_of_life() {
    let (mut pool, [_]) = pool_of([("w", 2.0)]);
    track(&mut pool, "w", None);
    release(&mut pool, "w", None);
    assert_eq!(pool.check_health(at(101), 100, |()| false).len(), 1);
}

#[test]
fn a_worker_whose_socket_closed_stays_to_hold_requests_but_gets_no_new_ones() {
    let (mut pool, [key]) = pool_of([("w", 2.0)]);
    pool.mark_closed(key);
    assert_eq!((pool.select(MODEL, None), pool.select_any(), pool.available(), pool.len()), (None, None, 0, 1));
    assert_free(&mut pool, None, 0.0);
    assert!(!pool.heartbeat("w", at(1)));
    assert_eq!(track(&mut pool, "w", None), Some(key));
    assert_eq!(active(&pool, key), 1);
}
