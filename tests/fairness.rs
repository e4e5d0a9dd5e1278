//! Peers are served in turn, whatever the others heap up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use support::client::{Client, heartbeat};
use support::{App, Seen, eventually};
use worker_server_core::config::ServerConfig;

const MESSAGE: &str = r#"{"type":"x"}"#;

/// Sends messages of the worker `id`, and waits until the server has read them.
async fn flood(client: &mut Client, id: &str, messages: usize) {
    for _ in 0..messages {
        client.send(MESSAGE).await;
    }
    client.send(&heartbeat(id)).await;
    assert_eq!(client.json().await["type"], "heartbeat_ack");
}

#[tokio::test]
async fn i7_a_message_is_handled_soon_although_others_flood() {
    let mut app = App::start(ServerConfig::default());
    let (mut a, _) = Client::registered(app.port(), "a").await;
    let (mut b, _) = Client::registered(app.port(), "b").await;
    let (mut c, _) = Client::registered(app.port(), "c").await;
    let hold = app.hold().await;
    flood(&mut a, "a", 5_000).await;
    flood(&mut b, "b", 5_000).await;
    // What is not ASCII travels by itself, and so is in the queue when the heartbeat behind it is answered.
    c.send(r#"{"type":"ü"}"#).await;
    c.send(&heartbeat("c")).await;
    assert_eq!(c.json().await["type"], "heartbeat_ack");
    hold.release();
    let mut before = 0;
    while app.message().await.0.as_deref() != Some("c") {
        before += 1;
    }
    // A turn of each of the others: it ends after 64 messages, and the last entry of it may be 256.
    assert!(before <= 2 * (64 + 256), "{before} messages were handled before it");
}

#[tokio::test]
async fn i2_a_worker_that_comes_again_does_not_overtake_what_it_sent_before() {
    let mut app = App::start(ServerConfig::default());
    let (mut old, _) = Client::registered(app.port(), "w").await;
    let hold = app.hold().await;
    flood(&mut old, "w", 5_000).await;
    let mut new = Client::connect(app.port()).await;
    new.send(&support::client::registration("w")).await;
    eventually(|| format!("{:?}", app.server).contains("registering: true")).await;
    hold.release();
    let mut messages = 0;
    loop {
        match app.event().await {
            Seen::Message { worker, .. } => {
                assert_eq!(worker.as_deref(), Some("w"));
                messages += 1;
            }
            Seen::Replaced { .. } => break,
            Seen::Connected { .. } if messages == 0 => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(messages, 5_000);
    assert!(matches!(app.event().await, Seen::Connected { .. }));
}
