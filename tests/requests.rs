//! Requests that look for a worker, through the server's handle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::sync::Arc;

use support::client::{Client, Raw, attentive_registration, registration};
use support::{App, Seen, eventually};
use worker_server::Server;
use worker_server_core::config::{Limits, ServerConfig};
use worker_server_core::models::ModelMatch;
use worker_server_core::pool::{Drained, Drainer};
use worker_server_core::requests::choose::Avoid;
use worker_server_core::requests::demand::Demand;
use worker_server_core::requests::explain::Reason;
use worker_server_core::requests::{Bound, QueueLimits, Slot, Submission, Submitted};
use worker_server_core::rules::Status;
use worker_server_core::worker::WorkerKey;

fn demand(model: &str, is_object: bool) -> Demand {
    Demand::read(&format!(r#"{{"model":"{model}","exact":false,"objects":{is_object}}}"#)).expect("a demand")
}

/// Submits a request for a model.
fn submit(server: &Server, model: &str) -> Submitted {
    let id = server.intern(demand(model, false));
    server.submit(&Submission::new(id), server.now())
}

fn taken(submitted: Submitted) -> Slot {
    match submitted {
        Submitted::Taken(slot) => slot,
        other => panic!("{other:?} instead of a slot"),
    }
}

/// Why the only worker does not take a request for the model `m`.
fn reason(server: &Server) -> Reason {
    let explanation = server.explain(server.intern(demand("m", false))).expect("it was just interned");
    explanation.workers[0].1
}

fn key_of(server: &Server) -> WorkerKey {
    server.workers()[0].key
}

#[tokio::test]
async fn a_request_gets_a_slot_or_waits_for_one_until_it_is_withdrawn() {
    let app = App::start(ServerConfig {
        queue: QueueLimits { max_size: 2, ..QueueLimits::default() },
        ..ServerConfig::default()
    });
    let waiting = app.run(|server| {
        let Submitted::Waits { ticket, position: 1, size: 1, .. } = submit(server, "m") else { panic!("it waits") };
        let Submitted::Waits { ticket: second, position: 2, size: 2, .. } = submit(server, "m") else {
            panic!("it waits")
        };
        assert_eq!(submit(server, "m"), Submitted::Full(Bound::Size));
        assert_eq!(server.dispatch(), None);
        let info = server.queue_info();
        assert_eq!((info.size, info.by_model[&Arc::from("m")]), (2, 2));
        assert_eq!(server.has_no_worker(server.intern(demand("m", false))), Some(true));
        assert!(server.retry_after_ms() > 0);
        assert!(server.withdraw(second) && !server.withdraw(second));
        ticket
    });
    let ticket = waiting.await;
    let (_client, _) = Client::registered_for_requests(app.port(), "w").await;
    app.run(move |server| {
        assert_eq!(submit(server, "m"), Submitted::Owed, "a new request never overtakes");
        let grant = server.dispatch().expect("the worker has slots");
        assert_eq!((grant.ticket, grant.slot.worker.key, grant.slot.worker.active), (ticket, key_of(server), 1));
        assert_eq!(server.dispatch(), None);
        assert_eq!(taken(submit(server, "m")).worker.active, 2);
        assert!(matches!(submit(server, "m"), Submitted::Waits { .. }));
        assert!(server.select("m", None).is_none());
        server.release(key_of(server), None, true);
        assert!(server.dispatch().is_some());
        assert_eq!(server.queue_info().size, 0);
    })
    .await;
}

#[tokio::test]
async fn a_request_is_woken_for_when_its_pause_for_a_worker_ends() {
    let app = App::start(ServerConfig::default());
    let (_client, _) = Client::registered_for_requests(app.port(), "w").await;
    let wake_ms = app
        .run(|server| {
            assert_eq!(server.next_wake_ms(), None);
            let now = server.now();
            let avoid = vec![Avoid { worker_id: "w".into(), until_ms: now.elapsed_ms + 40 }];
            let id = server.intern(demand("m", false));
            let submitted = server.submit(&Submission { avoid, ..Submission::new(id) }, now);
            assert!(matches!(submitted, Submitted::Waits { .. }), "{submitted:?}");
            assert_eq!(server.dispatch(), None);
            server.next_wake_ms().expect("a pause ends")
        })
        .await;
    assert!(wake_ms <= 40);
    eventually(|| app.server.dispatch().is_some()).await;
    assert_eq!(app.server.next_wake_ms(), None);
}

#[tokio::test]
async fn a_demand_that_was_forgotten_is_told_from_one_that_nobody_meets() {
    let app = App::start(ServerConfig::default());
    app.run(|server| {
        let id = server.intern(demand("m", false));
        server.stop();
        assert_eq!(server.submit(&Submission::new(id), server.now()), Submitted::Forgotten);
        assert_eq!((server.has_no_worker(id), server.explain(id)), (None, None));
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_has_stopped() {
    let app = App::start(ServerConfig::default());
    app.run(|server| {
        let Submitted::Waits { ticket, .. } = submit(server, "m") else { panic!("it waits") };
        server.stop();
        assert_eq!((server.queue_info().size, server.dispatch()), (0, None));
        assert!(!server.withdraw(ticket));
    })
    .await;
}

#[tokio::test]
async fn workers_without_the_feature_take_plain_objects_where_there_are_types_for_them_and_else_nothing() {
    for has_request_types in [false, true] {
        let app = App::start(ServerConfig { has_request_types, ..ServerConfig::default() });
        let (_client, _) = Client::registered(app.port(), "w").await;
        app.run(move |server| {
            let id = server.intern(demand("m", true));
            let submitted = server.submit(&Submission::new(id), server.now());
            assert_eq!(matches!(submitted, Submitted::Taken(_)), has_request_types, "{submitted:?}");
            assert!(matches!(submit(server, "m"), Submitted::Waits { .. }));
            assert_eq!(reason(server), Reason::NoRequests);
        })
        .await;
    }
}

#[tokio::test]
async fn the_selectors_compare_models_by_equality_if_they_are_told_to() {
    for (model_match, is_found) in [(ModelMatch::Loose, true), (ModelMatch::Exact, false)] {
        let app = App::start(ServerConfig { model_match, ..ServerConfig::default() });
        let (_client, _) = Client::registered(app.port(), "w").await;
        assert_eq!(app.server.select("model", None).is_some(), is_found);
        assert!(app.server.select("m", None).is_some());
    }
}

#[tokio::test]
async fn where_asks_for_the_metadata_that_the_worker_registered_or_updated() {
    let app = App::start(ServerConfig::default());
    let mut client = Client::connect(app.port()).await;
    let text = attentive_registration("w").replace(r#""models":"#, r#""metadata":{"gpu":"a100"},"models":"#);
    client.send(&text).await;
    client.text().await;
    app.run(|server| {
        let takes = |gpu: &str| {
            let text = format!(r#"{{"where":{{"gpu":"{gpu}"}},"exact":false,"objects":false}}"#);
            let id = server.intern(Demand::read(&text).expect("a demand"));
            server.explain(id).expect("it was just interned").workers[0].1
        };
        assert_eq!([takes("a100"), takes("h100")], [Reason::Free, Reason::Selector]);
        let update = r#"{"capabilities":{"models":[],"maxConcurrentRequests":1,"metadata":{"gpu":"h100"}}}"#;
        server.update_capabilities(key_of(server), update, |_| 0).expect("it is right").expect("the worker is there");
        assert_eq!([takes("a100"), takes("h100")], [Reason::Selector, Reason::Free]);
    })
    .await;
}

#[tokio::test]
async fn an_update_replaces_what_a_worker_can_do_and_a_wrong_one_changes_nothing() {
    let app = App::start(ServerConfig::default());
    let (_client, _) = Client::registered_for_requests(app.port(), "w").await;
    app.run(|server| {
        let key = key_of(server);
        taken(submit(server, "m"));
        for (text, error) in [
            ("{}", "capabilities: expected an object, got nothing"),
            (r#"{"capabilities":{"models":[{}]}}"#, "capabilities.models[0].modelId: expected a string, got nothing"),
        ] {
            let invalid = server.update_capabilities(key, text, |_| 0).expect_err(text);
            assert_eq!(invalid.to_string(), error);
        }
        assert_eq!(reason(server), Reason::Free);
        let update =
            r#"{"capabilities":{"models":[{"modelId":"n"}],"maxConcurrentRequests":1,"concurrencyLimits":{"chat":1}}}"#;
        let updated = server.update_capabilities(key, update, |category| u64::from(category == "chat"));
        let snapshot = updated.expect("it is right").expect("the worker is there");
        assert_eq!((snapshot.status, snapshot.active), (Status::Busy, 1));
        assert_eq!(reason(server), Reason::Model);
        assert_eq!(server.limited(key), [Arc::from("chat")]);
        assert!(matches!(submit(server, "n"), Submitted::Waits { .. }));
        server.release(key, Some(0), true);
        assert!(server.dispatch().is_some());
        assert_eq!(server.update_capabilities(WorkerKey(99), update, |_| 0), Ok(None));
    })
    .await;
}

#[tokio::test]
async fn a_worker_drains_while_either_wants_it_to() {
    let app = App::start(ServerConfig::default());
    let (_client, _) = Client::registered_for_requests(app.port(), "w").await;
    app.run(|server| {
        let key = key_of(server);
        let set = |drainer, drains| {
            let (drained, snapshot) = server.set_draining(key, drainer, drains).expect("the worker is there");
            assert_eq!(snapshot.status == Status::Draining, drained.drains);
            drained
        };
        assert_eq!(set(Drainer::Worker, true), Drained { drains: true, is_changed: true });
        assert_eq!(set(Drainer::Application, true), Drained { drains: true, is_changed: false });
        assert_eq!(set(Drainer::Worker, false), Drained { drains: true, is_changed: false });
        assert!(matches!(submit(server, "m"), Submitted::Waits { .. }));
        assert_eq!(set(Drainer::Application, false), Drained { drains: false, is_changed: true });
        assert!(server.dispatch().is_some());
        assert_eq!(server.set_draining(WorkerKey(99), Drainer::Worker, true), None);
    })
    .await;
}

/// A server whose workers may have this much waiting, and a worker of it that reads nothing and has refused a message.
async fn with_full_worker() -> (App, Raw) {
    let limits = Limits { max_queued_bytes: 1 << 20, ..Limits::default() };
    let app = App::start(ServerConfig { limits, ..ServerConfig::default() });
    let mut raw = Raw::upgraded(app.port()).await;
    raw.write(&support::client::frame(support::client::TEXT, attentive_registration("w").as_bytes())).await;
    raw.frame().await;
    app.run(|server| while server.send("w", "x".repeat(64 << 10)) {}).await;
    (app, raw)
}

#[tokio::test]
async fn a_worker_that_refused_a_message_is_busy_until_its_outbox_has_room_and_whoever_waits_is_told() {
    let (mut app, mut raw) = with_full_worker().await;
    app.run(|server| {
        let slot = taken(submit(server, "m"));
        server.give_back(slot.worker.key, slot.limit, slot.place);
        assert_eq!(server.workers()[0].active, 0, "the slot is free again");
        assert_eq!(reason(server), Reason::Busy);
        let id = server.intern(demand("m", false));
        let again = Submission { comes_back: Some(slot.place), ..Submission::new(id) };
        let Submitted::Waits { place, .. } = server.submit(&again, server.now()) else { panic!("it waits") };
        assert_eq!(place, slot.place);
        assert_eq!(server.dispatch(), None);
    })
    .await;
    let reading = async { while raw.frame().await.1.len() > 1 {} };
    let told = async {
        while !matches!(app.event().await, Seen::Slots) {}
        app.run(|server| {
            assert!(server.dispatch().is_some());
            assert!(server.send("w", "x".repeat(64 << 10)), "what was refused fits now");
            // The last one, so that the peer stops to read.
            while !server.send("w", "x".to_owned()) {}
        })
        .await;
    };
    tokio::join!(reading, told);
}

#[tokio::test]
async fn nobody_is_told_of_room_that_nobody_waits_for() {
    let (mut app, mut raw) = with_full_worker().await;
    app.run(|server| {
        let slot = taken(submit(server, "m"));
        server.give_back(slot.worker.key, slot.limit, slot.place);
    })
    .await;
    let is_free = eventually(|| reason(&app.server) == Reason::Free);
    tokio::select! {
        () = async { loop { raw.frame().await; } } => {}
        () = is_free => {}
    }
    assert!(!app.all().await.iter().any(|seen| matches!(seen, Seen::Slots)));
}

#[tokio::test]
async fn a_worker_whose_outbox_is_found_to_have_room_takes_the_next_request() {
    let app = App::start(ServerConfig::default());
    let (_client, _) = Client::registered_for_requests(app.port(), "w").await;
    app.run(|server| {
        let slot = taken(submit(server, "m"));
        server.give_back(slot.worker.key, slot.limit, slot.place);
        assert_eq!(taken(submit(server, "m")).worker.active, 1);
        server.give_back(WorkerKey(99), None, slot.place);
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_disconnected_is_closing_at_once_and_leaves_with_its_end() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered_for_requests(app.port(), "w").await;
    app.run(|server| {
        let key = key_of(server);
        assert!(server.send("w", "last words".to_owned()));
        assert!(server.disconnect(key, 4321, "enough"));
        assert!(server.disconnect(key, 1000, "again"), "it is there until its end is told");
        assert_eq!((reason(server), server.worker_count()), (Reason::Closing, 1));
        assert!(server.select("m", None).is_none() && !server.send("w", "more".to_owned()));
        assert!(!server.disconnect(WorkerKey(99), 1000, ""));
    })
    .await;
    assert_eq!(client.text().await, "last words");
    assert_eq!(client.closed().await, (4321, "enough".to_owned()));
    assert_eq!(app.gone().await, (Some("w".to_owned()), 4321, "enough".to_owned()));
    assert_eq!(app.server.worker_count(), 0);
}

#[tokio::test]
async fn a_draining_server_lets_no_worker_in_and_says_when_to_come_again() {
    let mut app = App::start(ServerConfig::default());
    let mut early = Client::connect(app.port()).await;
    app.server.set_retry_after(Some(5));
    let mut raw = Raw::connect(app.port()).await;
    raw.write(support::client::upgrade("/").as_bytes()).await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 5\r\n"), "{head}");
    let mut http = Raw::connect(app.port()).await;
    http.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    app.connection().await;
    early.send(&registration("early")).await;
    assert_eq!(early.json().await["success"], true, "an open socket may still register");
    app.server.set_retry_after(None);
    Client::registered(app.port(), "late").await;
}
