//! How much of the log peers can fill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::collections::HashSet;

use bytes::Bytes;
use support::client::{Client, heartbeat};
use support::{App, Seen};
use tokio_tungstenite::tungstenite::Message;
use worker_server::Server;
use worker_server_core::config::ServerConfig;
use worker_server_core::log::{Level, MAX_LINES_A_SECOND};

const PASS: usize = MAX_LINES_A_SECOND as usize;

/// What came of the lines with one message.
#[derive(Debug, Default)]
struct Tally {
    written: usize,
    left_out: u64,
    summaries: usize,
}

impl Tally {
    /// Reads the log until this many lines with this message were written or summed up.
    async fn read(app: &mut App, wanted: &str, level: Level, total: u64) -> Self {
        let mut tally = Self::default();
        while tally.written as u64 + tally.left_out < total {
            let Seen::Log { level: found, message, context } = app.next().await else { continue };
            if message == wanted {
                assert_eq!(found, level);
                tally.written += 1;
            } else if message == "Log lines suppressed" && context["message"] == wanted {
                assert_eq!(found, level);
                tally.left_out += context["count"].as_u64().expect("a count");
                tally.summaries += 1;
            }
        }
        assert_eq!(tally.written as u64 + tally.left_out, total);
        // However long it took: no second has more than its share.
        assert!(tally.written <= PASS * (tally.summaries + 1), "{tally:?}");
        assert!(tally.written >= PASS, "{tally:?}");
        tally
    }
}

#[tokio::test]
async fn a_flood_of_bad_json_is_logged_in_part_and_the_rest_is_counted() {
    let mut app = App::start(ServerConfig::default());
    let mut flooder = Client::connect(app.port()).await;
    for _ in 0..3_000 {
        flooder.send("{").await;
    }
    let tally = Tally::read(&mut app, "Invalid JSON message from worker", Level::Warn, 3_000).await;
    assert!(tally.left_out > 0, "{tally:?}");
}

#[tokio::test]
async fn kinds_do_not_hide_each_other_and_a_worker_goes_on() {
    let mut app = App::start(ServerConfig::default());
    let mut flooder = Client::connect(app.port()).await;
    let (mut worker, _) = Client::registered(app.port(), "w").await;
    for _ in 0..500 {
        flooder.send("{").await;
    }
    flooder.send("{}").await;
    flooder.send(&heartbeat("nobody")).await;
    worker.send(&heartbeat("w")).await;
    assert_eq!(worker.json().await["type"], "heartbeat_ack");
    app.log("Message missing type field").await;
    assert_eq!(app.log("Heartbeat from unknown worker").await["workerId"], "nobody");
}

#[tokio::test]
async fn lines_of_many_peers_count_together() {
    let mut app = App::start(ServerConfig::default());
    let mut peers = Vec::new();
    for _ in 0..150 {
        peers.push(Client::connect(app.port()).await);
    }
    Tally::read(&mut app, "New WebSocket connection from potential worker", Level::Debug, 150).await;
    for peer in &mut peers {
        peer.send("null").await;
    }
    Tally::read(&mut app, "Message missing type field", Level::Warn, 150).await;
}

#[tokio::test]
async fn i5_a_flood_while_the_application_is_busy_waits_for_it_in_part_only() {
    let mut app = App::start(ServerConfig::default());
    let mut flooder = Client::connect(app.port()).await;
    let hold = app.hold().await;
    for _ in 0..2_000 {
        flooder.send("{").await;
    }
    // Answered in its turn: by then the server has read all.
    flooder.send_message(Message::Ping(Bytes::new())).await;
    assert!(matches!(flooder.next().await, Message::Pong(_)));
    hold.release();
    Tally::read(&mut app, "Invalid JSON message from worker", Level::Warn, 2_000).await;
}

#[tokio::test]
async fn the_health_of_a_whole_fleet_is_told_without_exception() {
    let mut app =
        App::start(ServerConfig { heartbeat_timeout_ms: 300, health_check_interval_ms: 50, ..ServerConfig::default() });
    let mut workers = Vec::new();
    for n in 0..150 {
        workers.push(Client::registered(app.port(), &format!("w{n}")).await);
    }
    let mut dead = HashSet::new();
    while dead.len() < workers.len() {
        let context = app.log("Worker connection presumed dead, closing").await;
        dead.insert(context["workerId"].as_str().expect("an id").to_owned());
    }
}

#[tokio::test]
async fn without_logging_there_are_no_lines_and_none_is_told_of() {
    let mut app = App::start(ServerConfig { logging: false, ..ServerConfig::default() });
    let mut flooder = Client::connect(app.port()).await;
    for _ in 0..300 {
        flooder.send("{").await;
    }
    flooder.send(r#"{"type":"last"}"#).await;
    let (_, text) = app.message().await;
    assert!(text.contains("last"));
    assert!(!app.rest().iter().any(|seen| matches!(seen, Seen::Log { .. })));
    assert!(!app.run(|server| server.admits_line(Level::Warn, "any")).await);
}

#[tokio::test]
async fn the_application_s_own_lines_are_counted_in_the_same_way() {
    let mut app = App::start(ServerConfig::default());
    let ask =
        |server: &Server| (0..300).map(|_| u64::from(server.admits_line(Level::Warn, "Its own words"))).sum::<u64>();
    let admitted = app.run(ask).await;
    assert!(admitted >= u64::from(MAX_LINES_A_SECOND));
    let context = app.log("Log lines suppressed").await;
    assert_eq!(context["message"], "Its own words");
    assert_eq!(context["count"].as_u64().map(|count| count + admitted), Some(300));
}
