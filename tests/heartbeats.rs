//! Heartbeats and the judgement of health, which never wait for the application.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use support::client::{Client, Raw, TEXT, frame, heartbeat, registration};
use support::{App, Seen, eventually};
use tokio::time::sleep;
use worker_server_core::config::ServerConfig;

fn judging(heartbeat_timeout_ms: u64) -> ServerConfig {
    ServerConfig { heartbeat_timeout_ms, health_check_interval_ms: 10, ..ServerConfig::default() }
}

#[tokio::test]
async fn i4_a_heartbeat_is_acknowledged_while_the_application_is_busy() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let hold = app.hold().await;
    for _ in 0..3 {
        client.send(&heartbeat("w")).await;
        assert_eq!(client.json().await["type"], "heartbeat_ack");
    }
    hold.release();
}

#[tokio::test]
async fn an_ack_gives_the_timestamp_back_as_it_was_written() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    client.send(r#"{"type":"heartbeat","workerId":"w","timestamp":1.50e3}"#).await;
    let ack = client.text().await;
    assert!(ack.starts_with(r#"{"type":"heartbeat_ack","timestamp":1.50e3,"nextHeartbeatDeadline":""#), "{ack}");
}

#[tokio::test]
async fn i4_health_is_judged_while_the_application_is_busy_and_a_heartbeat_heals() {
    let app = App::start(judging(1_000));
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let hold = app.hold().await;
    eventually(|| app.server.available_count() == 0).await;
    assert!(app.server.select("m", None).is_none());
    client.send(&heartbeat("w")).await;
    client.text().await;
    assert_eq!(app.server.available_count(), 1);
    hold.release();
}

#[tokio::test]
async fn a_heartbeat_of_an_unknown_worker_is_not_answered_but_logged() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    client.send(&heartbeat("stranger")).await;
    client.send(r#"{"type":"heartbeat","workerId":"w","timestamp":"second"}"#).await;
    assert_eq!(client.json().await["timestamp"], "second");
    assert_eq!(app.log("Heartbeat from unknown worker").await["workerId"], "stranger");
}

#[tokio::test]
async fn a_heartbeat_counts_for_the_worker_that_it_names() {
    let app = App::start(ServerConfig::default());
    let _named = Client::registered(app.port(), "named").await;
    let (mut sender, _) = Client::registered(app.port(), "sender").await;
    let before = app.server.workers()[0].last_seen.elapsed_ms;
    // The clock has to move for the difference to show.
    sleep(Duration::from_millis(5)).await;
    sender.send(&heartbeat("named")).await;
    sender.text().await;
    assert!(app.server.workers()[0].last_seen.elapsed_ms > before);
}

#[tokio::test]
async fn i4_a_worker_silent_for_three_timeouts_is_closed_with_4003_while_the_application_is_busy() {
    let mut app = App::start(judging(50));
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let hold = app.hold().await;
    assert_eq!(client.closed().await, (4003, "Heartbeat timeout".into()));
    assert_eq!(app.server.worker_count(), 1, "it leaves when that is told (I1)");
    hold.release();
    let context = app.log("Worker heartbeat timeout").await;
    assert_eq!((&context["workerId"], &context["threshold"]), (&"w".into(), &50.into()));
    assert!(context["timeSinceHeartbeat"].as_u64().is_some_and(|silent| silent > 50));
    assert_eq!(app.log("Worker connection presumed dead, closing").await["workerId"], "w");
    assert_eq!(app.gone().await.0.as_deref(), Some("w"));
}

#[tokio::test]
async fn i2_who_is_presumed_dead_leaves_at_once_and_nothing_of_it_comes_behind_that() {
    let mut app = App::start(judging(50));
    let mut raw = Raw::registered(app.port(), "w").await;
    // It reads nothing, and so answers no close frame.
    assert_eq!(app.gone().await, (Some("w".into()), 4003, "Heartbeat timeout".into()));
    assert_eq!(app.server.worker_count(), 0);
    raw.write(&frame(TEXT, heartbeat("w").as_bytes())).await;
    raw.write(&frame(TEXT, br#"{"type":"late"}"#)).await;
    raw.write(&frame(TEXT, registration("w").as_bytes())).await;
    raw.write(&frame(0x88, &4003_u16.to_be_bytes())).await;
    assert_eq!(raw.closed().await, (4003, "Heartbeat timeout".into()));
    assert!(raw.rest().await.is_empty(), "the handshake ends in the background");
    app.run(|_| ()).await;
    let behind = app.rest();
    assert!(behind.iter().all(|seen| matches!(seen, Seen::Log { .. })), "{behind:?}");
}

#[tokio::test]
async fn a_worker_whose_registration_waits_for_a_busy_application_is_not_judged_by_its_silence() {
    let mut app = App::start(judging(50));
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let mut witness = Client::connect(app.port()).await;
    witness.register("witness").await;
    let hold = app.hold().await;
    // From here on nothing is read of it until that is settled.
    client.send(&registration("w")).await;
    assert_eq!(witness.closed().await, (4003, "Heartbeat timeout".into()));
    hold.release();
    assert_eq!(client.json().await["success"], true);
    loop {
        match app.event().await {
            Seen::Gone { worker, .. } => assert_eq!(worker.as_deref(), Some("witness")),
            Seen::Replaced { id, .. } => break assert_eq!(id, "w"),
            _ => {}
        }
    }
}
