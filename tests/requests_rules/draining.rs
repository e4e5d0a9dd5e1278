//! Workers that drain.

use super::*;
use worker_server_core::pool::Drainer::{Application, Worker};
use worker_server_core::pool::{Drained, Drainer};

fn drain(server: &mut Server, key: WorkerKey, drainer: Drainer, drains: bool) -> (bool, bool) {
    let Drained { drains, is_changed } = server.pool.set_draining(key, drainer, drains).unwrap();
    (drains, is_changed)
}

/// "A draining worker keeps its status through heartbeats, track and release, gets nothing from `request()` or the
/// selectors"
#[test]
fn a_draining_worker_keeps_its_status_and_gets_nothing() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 2.0);
    assert_eq!(drain(&mut server, worker, Worker, true), (true, true));
    let now = server.now();
    server.pool.heartbeat("w", now);
    assert_eq!(server.status(worker), Status::Draining, "a heartbeat doesn't undo the drain");
    server.pool.track(worker, None);
    server.pool.track(worker, None);
    assert_eq!(server.status(worker), Status::Draining, "at capacity");
    server.pool.release(worker, None, true);
    assert_eq!(server.status(worker), Status::Draining, "below capacity");
    assert_eq!((server.pool.select("m", None), server.pool.select_any()), (None, None));
    assert_eq!(server.pool.available(), 0);
    let (ticket, _) = server.wait(&for_model("m"), |_| {});
    assert_eq!(server.release(worker), None);
    assert!(server.requests.withdraw(&mut server.pool, ticket));
}

/// "two marks on a session, the worker's wish and the application's; it drains while either is set …; with both marks
/// gone it is available (busy at capacity)", and "The same status again: true, no event."
#[test]
fn it_drains_while_either_mark_is_set() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 1.0);
    assert_eq!(drain(&mut server, worker, Application, true), (true, true));
    assert_eq!(drain(&mut server, worker, Application, true), (true, false));
    assert_eq!(drain(&mut server, worker, Worker, true), (true, false));
    assert_eq!(drain(&mut server, worker, Application, false), (true, false));
    assert_eq!(server.status(worker), Status::Draining);
    let (ticket, _) = server.wait(&for_model("m"), |_| {});
    assert_eq!(drain(&mut server, worker, Worker, false), (false, true));
    assert_eq!(server.status(worker), Status::Available);
    assert_eq!(server.dispatch(), Some((ticket, "w".to_owned())));
    assert_eq!(drain(&mut server, worker, Worker, false), (false, false));
    assert_eq!(server.status(worker), Status::Busy, "asked for what it has, it keeps it");
    drain(&mut server, worker, Worker, true);
    drain(&mut server, worker, Worker, false);
    assert_eq!(server.status(worker), Status::Busy, "busy at capacity");
    assert_eq!(server.pool.set_draining(WorkerKey(99), Worker, true), None);
}

/// "Silent, it is unhealthy, and draining again at its next heartbeat."
#[test]
fn a_silent_one_is_unhealthy_and_drains_again_at_its_next_heartbeat() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 1.0);
    drain(&mut server, worker, Worker, true);
    server.now_ms = 1_000;
    let now = server.now();
    assert_eq!(server.pool.check_health(now, 10, |()| false).len(), 2, "it is judged like any other");
    assert_eq!(server.status(worker), Status::Unhealthy);
    server.pool.heartbeat("w", now);
    assert_eq!(server.status(worker), Status::Draining);
    assert_eq!(server.pool.get(worker).unwrap().last_seen, now, "the heartbeat is recorded");
    server.now_ms = 2_000;
    let now = server.now();
    server.pool.check_health(now, 10, |()| false);
    assert_eq!(drain(&mut server, worker, Worker, false), (false, true));
    assert_eq!(server.status(worker), Status::Unhealthy, "until it is heard of");
    server.pool.heartbeat("w", now);
    assert_eq!(server.status(worker), Status::Available);
}

/// "a new session starts without"
#[test]
fn a_new_session_starts_without_marks() {
    let mut server = Server::new();
    let worker = server.register("w", &["m"], 1.0);
    drain(&mut server, worker, Application, true);
    server.pool.remove(worker);
    server.register("w", &["m"], 1.0);
    server.take(&for_model("m"), |_| {});
}
