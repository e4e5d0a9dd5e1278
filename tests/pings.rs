//! Pings, by which a peer whose machine is gone is noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use support::App;
use support::client::{Raw, TEXT, frame, heartbeat, registration};
use worker_server_core::config::{Limits, ServerConfig};

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn pinging(ping_interval_ms: u64, heartbeat_timeout_ms: u64) -> ServerConfig {
    let ping_interval = Some(Duration::from_millis(ping_interval_ms));
    ServerConfig { ping_interval, heartbeat_timeout_ms, ..ServerConfig::default() }
}

#[tokio::test]
async fn a_worker_that_answers_its_pings_stays_however_long_that_takes() {
    let mut app = App::start(pinging(100, 2_000));
    let mut raw = Raw::registered(app.port(), "w").await;
    for _ in 0..25 {
        assert_eq!(raw.frame().await, (PING, vec![]));
        raw.write(&frame(PONG, b"")).await;
    }
    assert_eq!(app.server.worker_count(), 1);
    assert!(app.rest().iter().all(|seen| !format!("{seen:?}").contains("Ping not answered")));
}

#[tokio::test]
async fn a_worker_that_answers_no_ping_is_closed_though_it_sends_heartbeats() {
    let mut app = App::start(pinging(10, 50));
    let mut raw = Raw::registered(app.port(), "w").await;
    while raw.frame().await.0 != 0x88 {
        raw.0.try_write(&frame(TEXT, heartbeat("w").as_bytes())).ok();
    }
    assert_eq!(app.log("Ping not answered, closing").await["workerId"], "w");
    // The close frame is not answered, and need not be.
    assert_eq!(app.gone().await, (Some("w".into()), 4003, "Ping timeout".into()));
    drop(raw);
}

#[tokio::test]
async fn it_is_told_why() {
    let app = App::start(pinging(10, 30));
    let mut raw = Raw::upgraded(app.port()).await;
    assert_eq!(raw.closed().await, (4003, "Ping timeout".to_owned()));
}

#[tokio::test]
async fn a_worker_that_this_server_does_not_read_from_is_not_judged_by_its_answers() {
    let limits = Limits { max_unhandled_bytes: 1, ..Limits::default() };
    let mut app = App::start(ServerConfig { limits, ..pinging(10, 30) });
    let mut raw = Raw::registered(app.port(), "w").await;
    let hold = app.hold().await;
    raw.write(&frame(TEXT, br#"{"type":"x"}"#)).await;
    // Many more pings than it takes to be judged.
    for _ in 0..20 {
        assert_eq!(raw.frame().await.0, PING);
    }
    hold.release();
    assert_eq!(app.message().await.1, r#"{"type":"x"}"#);
    assert_eq!(app.server.worker_count(), 1);
    drop(raw);
}

#[tokio::test]
async fn without_the_option_nobody_is_pinged() {
    let app = App::start(ServerConfig { heartbeat_timeout_ms: 20, ..ServerConfig::default() });
    let mut raw = Raw::registered(app.port(), "w").await;
    raw.write(&frame(PING, b"here")).await;
    assert_eq!(raw.frame().await, (PONG, b"here".to_vec()));
    drop(app);
}

#[tokio::test]
async fn a_peer_whose_registration_waits_for_a_busy_application_is_not_judged_by_its_answers() {
    let app = App::start(pinging(10, 50));
    let hold = app.hold().await;
    let mut raw = Raw::upgraded(app.port()).await;
    raw.write(&frame(TEXT, registration("w").as_bytes())).await;
    // Many more pings than it takes to be judged.
    for _ in 0..20 {
        assert_eq!(raw.frame().await, (PING, vec![]));
        raw.write(&frame(PONG, b"")).await;
    }
    hold.release();
    loop {
        match raw.frame().await {
            (PING, _) => raw.write(&frame(PONG, b"")).await,
            (TEXT, ack) => break assert!(String::from_utf8_lossy(&ack).contains(r#""success":true"#)),
            other => panic!("{other:?}"),
        }
    }
}
