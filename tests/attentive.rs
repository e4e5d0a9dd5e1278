//! Workers that take requests: all that they say is a sign of life, and heartbeats name what they work on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use support::client::{Client, attentive_registration, heartbeat, registration};
use support::{App, Seen, eventually};
use tokio_tungstenite::tungstenite::Message;
use worker_server::Server;
use worker_server_core::config::ServerConfig;
use worker_server_core::requests::demand::Demand;
use worker_server_core::requests::{Submission, Submitted};

const ACTIVE: &str = r#"{"type":"heartbeat","workerId":"w","timestamp":"now","active":["r1"]}"#;

fn judging(heartbeat_timeout_ms: u64) -> ServerConfig {
    ServerConfig { heartbeat_timeout_ms, health_check_interval_ms: 10, ..ServerConfig::default() }
}

fn submit(server: &Server) {
    let id = server.intern(Demand::any());
    assert!(matches!(server.submit(&Submission::new(id), server.now()), Submitted::Waits { .. }));
}

#[tokio::test]
async fn the_acks_further_members_come_last_as_they_are() {
    let app = App::start(ServerConfig::default());
    for (id, text, tail) in [
        ("a", attentive_registration("a"), r#""heartbeatIntervalMs":15000,"features":["request"]}"#),
        ("b", registration("b"), r#""heartbeatIntervalMs":15000}"#),
    ] {
        let mut client = Client::connect(app.port()).await;
        client.send(&text).await;
        let ack = client.text().await;
        let head = r#"{"type":"worker_registration_ack","success":true,"sessionId":""#;
        assert!(ack.starts_with(head) && ack.ends_with(tail), "{id}: {ack}");
    }
}

#[tokio::test]
async fn every_message_of_a_worker_that_takes_requests_is_a_sign_of_life_before_it_is_told() {
    let mut app = App::start(ServerConfig::default());
    let (mut attentive, _) = Client::registered_for_requests(app.port(), "w").await;
    let (mut other, _) = Client::registered(app.port(), "other").await;
    let seen_of = |app: &App, place: usize| app.server.workers()[place].last_seen.elapsed_ms;
    let (registered, of_other) = (seen_of(&app, 0), seen_of(&app, 1));
    let long = format!(r#"{{"type":"x","long":"{}"}}"#, "\u{e9}".repeat(10_000));
    // Long enough for the clock to go on.
    while seen_of(&app, 0) == registered {
        for message in
            [Message::text(r#"{"type":"x"}"#), Message::binary(&br#"{"type":"x"}"#[..]), Message::text(&*long)]
        {
            let sent_at = app.server.now().elapsed_ms;
            attentive.send_message(message.clone()).await;
            app.message().await;
            assert!(seen_of(&app, 0) >= sent_at, "I3");
            other.send_message(message).await;
            app.message().await;
        }
    }
    assert_eq!(seen_of(&app, 1), of_other, "of others only heartbeats are");
    attentive.register("w").await;
    let again = seen_of(&app, 1);
    while app.server.now().elapsed_ms <= again + 1 {
        attentive.send(r#"{"type":"x"}"#).await;
        app.message().await;
    }
    assert_eq!(seen_of(&app, 1), again, "and who registers again without the feature is one of the others");
}

#[tokio::test]
async fn a_heartbeat_with_active_is_answered_and_told_in_its_place_and_others_are_not_told() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered_for_requests(app.port(), "w").await;
    let (before, after) = (r#"{"type":"before"}"#, r#"{"type":"after"}"#);
    for text in [before, &heartbeat("w"), ACTIVE, after, r#"{"type":"heartbeat","workerId":"w","active":null}"#] {
        client.send(text).await;
    }
    for _ in 0..3 {
        assert_eq!(client.json().await["type"], "heartbeat_ack");
    }
    let mut told = Vec::new();
    for _ in 0..4 {
        let (worker, text) = app.message().await;
        assert_eq!(worker.as_deref(), Some("w"));
        told.push(text);
    }
    assert_eq!(told, [before, ACTIVE, after, r#"{"type":"heartbeat","workerId":"w","active":null}"#]);
    // Without the feature it is a heartbeat like any other.
    client.register("w").await;
    client.send(ACTIVE).await;
    client.send(after).await;
    assert_eq!(client.json().await["type"], "heartbeat_ack");
    assert_eq!(app.message().await.1, after);
}

#[tokio::test]
async fn a_recovery_is_told_once_and_only_if_somebody_waits() {
    let mut app = App::start(judging(1_000));
    let (mut client, _) = Client::registered_for_requests(app.port(), "w").await;
    let (mut other, _) = Client::registered_for_requests(app.port(), "other").await;
    eventually(|| app.server.available_count() == 0).await;
    for (client, id) in [(&mut client, "w"), (&mut other, "other")] {
        client.send(&heartbeat(id)).await;
        client.text().await;
    }
    assert_eq!(app.server.available_count(), 2);
    assert!(!app.all().await.iter().any(|seen| matches!(seen, Seen::Slots)));
    eventually(|| app.server.available_count() == 0).await;
    app.run(|server| (0..3).for_each(|_| submit(server))).await;
    let hold = app.hold().await;
    // One by a heartbeat, one by whatever it says.
    client.send(&heartbeat("w")).await;
    other.send(r#"{"type":"x"}"#).await;
    eventually(|| app.server.available_count() == 2).await;
    hold.release();
    let taken = app.run(|server| std::iter::from_fn(|| server.dispatch()).count()).await;
    assert_eq!(taken, 3);
    let slots = app.all().await.iter().filter(|seen| matches!(seen, Seen::Slots)).count();
    assert_eq!(slots, 1, "once for both");
}

#[tokio::test]
async fn i2_all_that_was_received_before_a_barrier_is_told_before_the_last_of_it_comes() {
    let mut app = App::start(ServerConfig::default());
    let (mut first, _) = Client::registered(app.port(), "first").await;
    let (mut second, _) = Client::registered(app.port(), "second").await;
    let hold = app.hold().await;
    for (client, id) in [(&mut first, "first"), (&mut second, "second")] {
        for _ in 0..500 {
            client.send(r#"{"type":"early"}"#).await;
        }
        client.send(&heartbeat(id)).await;
        // It is written when all that was read with the heartbeat is in the queue.
        client.text().await;
    }
    let lanes = app.server.barrier(7);
    assert!(lanes >= 2);
    second.send(r#"{"type":"late"}"#).await;
    hold.release();
    let (mut early, mut barriers) = (0, 0);
    while barriers < lanes {
        match app.event().await {
            Seen::Message { text, .. } => early += usize::from(text.contains("early")),
            Seen::Barrier { number } => {
                assert_eq!(number, 7);
                barriers += 1;
            }
            _ => {}
        }
    }
    assert_eq!(early, 1_000);
    while app.message().await.1 != r#"{"type":"late"}"# {}
    app.all().await;
    assert_eq!(app.server.barrier(8), 0, "nothing waits");
}
