//! Stopping, which always ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use support::client::{Client, Raw, TEXT, frame, heartbeat, registration};
use support::{App, Seen};
use worker_server::Server;
use worker_server_core::config::{Limits, ServerConfig};

fn with_grace(millis: u64) -> ServerConfig {
    let limits = Limits { stop_grace: Duration::from_millis(millis), ..Limits::default() };
    ServerConfig { limits, ..ServerConfig::default() }
}

#[tokio::test]
async fn every_worker_connection_is_closed_with_1001_and_the_pool_is_empty() {
    let mut app = App::start(ServerConfig::default());
    let (mut worker, _) = Client::registered(app.port(), "w").await;
    let mut stranger = Client::connect(app.port()).await;
    stranger.send(r#"{"type":"x"}"#).await;
    app.message().await;
    app.run(Server::stop).await;
    assert_eq!(app.server.worker_count(), 0);
    for client in [&mut worker, &mut stranger] {
        assert_eq!(client.closed().await, (1001, "Server shutting down".into()));
    }
    app.stopped().await;
}

#[tokio::test]
async fn a_server_without_connections_stops_at_once_whatever_the_grace() {
    let mut app = App::start(with_grace(3_600_000));
    app.run(Server::stop).await;
    app.stopped().await;
}

#[tokio::test]
async fn what_was_sent_before_leaves_before_the_close_frame() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    app.run(|server| {
        server.send("w", "last words".into());
        server.stop();
        assert!(!server.send("w", "too late".into()));
    })
    .await;
    assert_eq!(client.text().await, "last words");
    assert_eq!(client.closed().await.0, 1001);
}

#[tokio::test]
async fn i4_mute_peers_are_cut_after_the_grace_while_the_application_is_busy() {
    let mut app = App::start(with_grace(50));
    let mut mute = Raw::registered(app.port(), "w").await;
    app.run(Server::stop).await;
    let hold = app.hold().await;
    assert_eq!(mute.closed().await.0, 1001);
    assert!(mute.rest().await.is_empty());
    hold.release();
    app.stopped().await;
}

#[tokio::test]
async fn a_peer_that_is_still_in_its_handshake_does_not_delay_the_end() {
    let mut app = App::start(with_grace(3_600_000));
    let mut raw = Raw::connect(app.port()).await;
    raw.write(b"GET / HT").await;
    app.run(Server::stop).await;
    app.stopped().await;
    assert!(raw.rest().await.is_empty());
}

#[tokio::test]
async fn i2_nothing_is_told_after_stop_but_its_end() {
    let mut app = App::start(ServerConfig::default());
    let (mut worker, _) = Client::registered(app.port(), "w").await;
    let mut waiting = Raw::upgraded(app.port()).await;
    let hold = app.hold().await;
    worker.send(r#"{"type":"x"}"#).await;
    // The heartbeat is answered when the registration behind it was read too.
    let texts = [heartbeat("w"), registration("waiting")];
    waiting.write(&texts.map(|text| frame(TEXT, text.as_bytes())).concat()).await;
    assert!(waiting.frame().await.1.starts_with(br#"{"type":"heartbeat_ack""#));
    app.rest();
    app.server.stop();
    assert_eq!(worker.closed().await.0, 1001);
    assert_eq!(waiting.closed().await.0, 1001, "and it is not registered");
    drop(waiting);
    hold.release();
    assert!(matches!(app.next().await, Seen::Stopped));
    assert!(app.rest().is_empty());
}

#[tokio::test]
async fn stopping_twice_ends_once() {
    let mut app = App::start(ServerConfig::default());
    app.run(|server| {
        server.stop();
        server.stop();
    })
    .await;
    app.stopped().await;
    app.run(Server::stop).await;
    assert!(app.rest().is_empty());
}

#[tokio::test]
async fn the_port_is_free_when_it_is_stopped() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    app.run(Server::stop).await;
    client.closed().await;
    app.stopped().await;
    app.run(Server::shut_down).await;
    let again = App::start(ServerConfig { port: app.port(), ..ServerConfig::default() });
    assert_eq!(again.port(), app.port());
    Client::registered(again.port(), "w").await;
}

#[tokio::test]
async fn shutting_down_a_running_server_cuts_everyone() {
    let app = App::start(ServerConfig::default());
    let mut raw = Raw::registered(app.port(), "w").await;
    app.run(Server::shut_down).await;
    assert!(raw.rest().await.is_empty());
}

#[tokio::test]
async fn a_registration_that_comes_after_stop_does_not_delay_the_end() {
    let mut app = App::start(with_grace(3_600_000));
    let mut raw = Raw::upgraded(app.port()).await;
    app.run(Server::stop).await;
    assert_eq!(raw.closed().await.0, 1001);
    // It had not seen the close frame when it sent this.
    raw.write(&frame(TEXT, registration("late").as_bytes())).await;
    raw.write(&frame(0x88, &1001_u16.to_be_bytes())).await;
    assert!(raw.rest().await.is_empty());
    drop(raw);
    // Sooner than a peer that never answers would be given up.
    tokio::time::timeout(Duration::from_secs(4), app.stopped()).await.expect("the stop waits for nobody");
}
