//! Limits, each of which costs the connection that crosses it and nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use support::client::{Client, Raw, TEXT, frame, upgrade};
use support::{App, Seen, UNTAKEN, eventually, soon};
use tokio::io::AsyncWriteExt;
use worker_server_core::config::{Limits, ServerConfig};
use worker_server_core::rules::Status;

fn limited(limits: Limits) -> ServerConfig {
    ServerConfig { limits, ..ServerConfig::default() }
}

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn i4_a_head_that_takes_too_long_is_answered_with_408() {
    let mut app = App::start(limited(Limits { head_timeout: SHORT, ..Limits::default() }));
    let hold = app.hold().await;
    let mut raw = Raw::connect(app.port()).await;
    raw.write(b"GET / HTTP/1.1\r\n").await;
    assert!(raw.head().await.starts_with("HTTP/1.1 408 "));
    hold.release();
    app.log("Request head took too long").await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_with_431() {
    let mut app = App::start(limited(Limits { max_head_bytes: 1_000, ..Limits::default() }));
    let mut raw = Raw::connect(app.port()).await;
    raw.write(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(10_000)).as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 431 "));
    app.log("Request head too large").await;
}

async fn is_refused(app: &App) {
    let mut raw = Raw::connect(app.port()).await;
    raw.write(upgrade("/").as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn beyond_the_greatest_number_of_connections_upgrades_are_answered_with_503() {
    let mut app = App::start(limited(Limits { max_connections: 2, ..Limits::default() }));
    let (a, _) = Client::registered(app.port(), "a").await;
    let _b = Client::registered(app.port(), "b").await;
    is_refused(&app).await;
    is_refused(&app).await;
    app.log("Too many connections, refusing more").await;
    let refusals = app.rest();
    assert!(!refusals.iter().any(|seen| matches!(seen, Seen::Log { message, .. } if message.starts_with("Too many"))));
    drop(a);
    app.gone().await;
    // The application is notified of its end a moment before its place is free.
    let mut raw = Raw::connect(app.port()).await;
    raw.write(upgrade("/").as_bytes()).await;
    while !raw.head().await.starts_with("HTTP/1.1 101 ") {
        raw = Raw::connect(app.port()).await;
        raw.write(upgrade("/").as_bytes()).await;
    }
}

#[tokio::test]
async fn beyond_the_greatest_number_of_strangers_upgrades_are_answered_with_503() {
    let mut app = App::start(limited(Limits { max_unregistered: 1, ..Limits::default() }));
    let mut first = Client::connect(app.port()).await;
    is_refused(&app).await;
    first.register("w").await;
    let mut second = Client::connect(app.port()).await;
    is_refused(&app).await;
    second.send(r#"{"type":"taken"}"#).await;
    app.message().await;
    app.run(|_| ()).await;
    Client::connect(app.port()).await;
}

#[tokio::test]
async fn a_connection_that_does_not_register_in_time_is_closed_with_4004() {
    let mut app = App::start(limited(Limits { registration_timeout: SHORT, ..Limits::default() }));
    let mut silent = Client::connect(app.port()).await;
    assert_eq!(silent.closed().await, (4004, "Registration timeout".into()));
    app.log("WebSocket connection did not register in time, closing").await;
    let mut untaken = Client::connect(app.port()).await;
    untaken.send(UNTAKEN).await;
    assert_eq!(untaken.closed().await.0, 4004);
}

#[tokio::test]
async fn a_connection_that_registered_or_is_in_use_may_stay() {
    let app = App::start(limited(Limits { registration_timeout: Duration::from_millis(300), ..Limits::default() }));
    let (mut worker, _) = Client::registered(app.port(), "w").await;
    let mut used = Client::connect(app.port()).await;
    used.send(r#"{"type":"taken"}"#).await;
    // A stranger that came later is closed: by then both have had their time.
    let mut stranger = Client::connect(app.port()).await;
    assert_eq!(stranger.closed().await.0, 4004);
    worker.register("w").await;
    used.register("used").await;
}

#[tokio::test]
async fn a_connection_in_use_is_closed_with_4004_when_it_is_silent_for_three_timeouts() {
    let mut app = App::start(ServerConfig { heartbeat_timeout_ms: 500, ..ServerConfig::default() });
    let mut silent = Client::connect(app.port()).await;
    let mut speaking = Client::connect(app.port()).await;
    silent.send(r#"{"type":"taken"}"#).await;
    let speak = async {
        loop {
            speaking.send(r#"{"type":"taken"}"#).await;
            tokio::time::sleep(SHORT).await;
        }
    };
    tokio::select! {
        () = speak => {}
        closed = silent.closed() => assert_eq!(closed, (4004, "Registration timeout".into())),
    }
    let context = app.log("Unregistered connection presumed dead, closing").await;
    assert_eq!(context["timeoutMs"], 1_500);
    speaking.register("w").await;
}

#[tokio::test]
async fn without_a_registration_timeout_nobody_is_closed_for_not_registering() {
    let app = App::start(limited(Limits { registration_timeout: Duration::ZERO, ..Limits::default() }));
    let mut patient = Client::connect(app.port()).await;
    tokio::time::sleep(SHORT).await;
    patient.register("w").await;
}

#[tokio::test]
async fn a_registration_that_waits_for_a_busy_application_came_in_time() {
    let limits = Limits { registration_timeout: SHORT, ..Limits::default() };
    let app = App::start(limited(limits));
    let hold = app.hold().await;
    let mut client = Client::connect(app.port()).await;
    client.send(&support::client::registration("w")).await;
    let mut stranger = Client::connect(app.port()).await;
    assert_eq!(stranger.closed().await.0, 4004);
    hold.release();
    assert_eq!(client.json().await["success"], true);
}

/// Sends to `w`, which does not read, until no more is taken; returns how many messages were.
async fn fill(app: &App) -> usize {
    app.run(|server| {
        let text = "x".repeat(60_000);
        (0..2_000).find(|_| !server.send("w", text.clone())).expect("there is a bound")
    })
    .await
}

#[tokio::test]
async fn i5_beyond_the_outgoing_bound_send_gives_false_with_one_warning_until_there_is_room() {
    let mut app = App::start(limited(Limits { max_queued_bytes: 1 << 20, ..Limits::default() }));
    let mut raw = Raw::registered(app.port(), "w").await;
    let mut sent = fill(&app).await;
    assert!(sent >= 17);
    app.log("Too much is waiting to be sent to worker").await;
    while raw.frame().await.1.len() == 60_000 {
        sent -= 1;
        if sent == 0 {
            break;
        }
    }
    eventually(|| app.server.send("w", "room".into())).await;
    assert_eq!(raw.frame().await.1, b"room");
}

#[tokio::test]
async fn i4_a_peer_that_takes_nothing_is_closed_with_4008() {
    let mut app = App::start(limited(Limits { stall_timeout: SHORT, ..Limits::default() }));
    let mut raw = Raw::registered(app.port(), "w").await;
    fill(&app).await;
    assert_eq!(app.log("Slow consumer, closing").await["workerId"], "w");
    // It is not waited for: what it was sent first is still on its way.
    assert_eq!(app.gone().await, (Some("w".into()), 4008, "Slow consumer".into()));
    assert_eq!(raw.closed().await, (4008, "Slow consumer".into()));
}

#[tokio::test]
async fn i5_reading_pauses_while_too_much_is_unhandled_and_nothing_is_lost() {
    const MESSAGES: usize = 600;
    let limits = Limits { max_unhandled_bytes: 100_000, ..Limits::default() };
    let config =
        ServerConfig { heartbeat_timeout_ms: 50, health_check_interval_ms: 10, limits, ..ServerConfig::default() };
    let mut app = App::start(config);
    let mut raw = Raw::registered(app.port(), "flood").await;
    let (mut witness, _) = Client::registered(app.port(), "witness").await;
    let hold = app.hold().await;
    // Much more than the sockets' buffers take.
    let flood = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let text = format!(r#"{{"type":"x","n":{number},"pad":"{}"}}"#, "x".repeat(60_000));
            raw.0.write_all(&frame(TEXT, text.as_bytes())).await.unwrap();
        }
        raw
    });
    // The witness is silent and not paused: it is closed, and the other, which is paused, is not judged.
    assert_eq!(witness.closed().await, (4003, "Heartbeat timeout".into()));
    assert!(!flood.is_finished(), "nobody reads");
    assert_ne!(app.server.workers()[0].status, Status::Unhealthy);
    hold.release();
    for number in 0..MESSAGES {
        let (worker, text) = app.message().await;
        assert_eq!(worker.as_deref(), Some("flood"));
        assert!(text.starts_with(&format!(r#"{{"type":"x","n":{number},"#)));
    }
    soon(flood).await.unwrap();
}

#[tokio::test]
async fn i5_the_bound_over_all_connections_pauses_them_and_lets_heartbeats_of_the_others_pass() {
    let app = App::start(limited(Limits { max_unhandled_bytes_total: 100_000, ..Limits::default() }));
    let mut raw = Raw::registered(app.port(), "flood").await;
    let (mut other, _) = Client::registered(app.port(), "other").await;
    let hold = app.hold().await;
    let message = frame(TEXT, format!(r#"{{"type":"x","pad":"{}"}}"#, "x".repeat(60_000)).as_bytes());
    let flood = tokio::spawn(async move { while raw.0.write_all(&message).await.is_ok() {} });
    for _ in 0..3 {
        other.send(&support::client::heartbeat("other")).await;
        assert_eq!(other.json().await["type"], "heartbeat_ack");
    }
    flood.abort();
    hold.release();
}

#[tokio::test]
async fn i4_a_silent_stranger_is_closed_with_4004_while_the_application_is_busy() {
    let app = App::start(limited(Limits { registration_timeout: SHORT, ..Limits::default() }));
    let hold = app.hold().await;
    let mut stranger = Client::connect(app.port()).await;
    assert_eq!(stranger.closed().await.0, 4004);
    hold.release();
}
