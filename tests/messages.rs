//! Messages in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use support::client::{Client, Raw, TEXT, frame, heartbeat, registration};
use support::{App, Seen};
use tokio_tungstenite::tungstenite::Message;
use worker_server_core::config::{Limits, ServerConfig};

#[tokio::test]
async fn i2_messages_of_a_worker_arrive_in_order() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    for number in 0..2_000 {
        client.send(&format!(r#"{{"type":"x","n":{number}}}"#)).await;
    }
    for number in 0..2_000 {
        assert_eq!(app.message().await, (Some("w".into()), format!(r#"{{"type":"x","n":{number}}}"#)));
    }
}

#[tokio::test]
async fn i2_messages_to_a_worker_leave_in_order() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    app.run(|server| (0..2_000).for_each(|number| assert!(server.send("w", number.to_string())))).await;
    for number in 0..2_000 {
        assert_eq!(client.text().await, number.to_string());
    }
}

#[tokio::test]
async fn a_text_reaches_the_application_byte_for_byte() {
    let mut app = App::start(ServerConfig::default());
    let mut client = Client::connect(app.port()).await;
    let long = format!(r#"{{"type":"x","pad":"{}"}}"#, "ü🦀".repeat(20_000));
    for text in [
        " \n{ \"type\" : \"x\" , \"a\":1,\"a\":2, \"n\":1e400, \"\\u0061\":12345678901234567890 }\t",
        r#"{"type":"x","s":"\ud800","__proto__":{"p":1}}"#,
        r#"{"type":"🦀"}"#,
        &long,
    ] {
        client.send(text).await;
        assert_eq!(app.message().await, (None, text.to_owned()));
    }
}

#[tokio::test]
async fn a_binary_frame_that_holds_json_is_a_message() {
    let mut app = App::start(ServerConfig::default());
    let mut client = Client::connect(app.port()).await;
    client.send_message(Message::binary(r#"{"type":"x"}"#)).await;
    assert_eq!(app.message().await.1, r#"{"type":"x"}"#);
}

#[tokio::test]
async fn what_is_no_json_or_has_no_type_is_logged_and_the_connection_stays() {
    let mut app = App::start(ServerConfig::default());
    let mut client = Client::connect(app.port()).await;
    for (text, complaint) in [
        ("{", "Invalid JSON message from worker"),
        ("", "Invalid JSON message from worker"),
        ("null", "Message missing type field"),
        (r#"{"type":7}"#, "Message missing type field"),
    ] {
        client.send(text).await;
        assert!(app.log(complaint).await.is_null());
    }
    client.register("w").await;
}

#[tokio::test]
async fn a_fragmented_message_arrives_whole_whatever_comes_between() {
    let mut app = App::start(ServerConfig::default());
    let mut raw = Raw::upgraded(app.port()).await;
    let text = r#"{"type":"🦀"}"#;
    // The parts may split a character.
    let (start, rest) = text.as_bytes().split_at(11);
    raw.write(&frame(0x01, start)).await;
    raw.write(&frame(0x89, b"ping")).await;
    assert_eq!(raw.frame().await, (0x8a, b"ping".to_vec()));
    raw.write(&frame(0x00, &rest[..1])).await;
    raw.write(&frame(0x80, &rest[1..])).await;
    assert_eq!(app.message().await.1, text);
}

#[tokio::test]
async fn frames_that_come_with_the_handshake_are_kept() {
    let mut app = App::start(ServerConfig::default());
    let mut raw = Raw::connect(app.port()).await;
    let mut bytes = support::client::upgrade("/").into_bytes();
    bytes.extend(frame(TEXT, br#"{"type":"early"}"#));
    raw.write(&bytes).await;
    assert_eq!(app.message().await.1, r#"{"type":"early"}"#);
}

#[tokio::test]
async fn a_frame_that_comes_byte_by_byte_is_a_message() {
    let mut app = App::start(ServerConfig::default());
    let mut raw = Raw::upgraded(app.port()).await;
    for byte in frame(TEXT, br#"{"type":"slow"}"#) {
        raw.write(&[byte]).await;
    }
    assert_eq!(app.message().await.1, r#"{"type":"slow"}"#);
}

#[tokio::test]
async fn a_broadcast_reaches_every_worker_and_nobody_else() {
    let app = App::start(ServerConfig::default());
    let (mut a, _) = Client::registered(app.port(), "a").await;
    let (mut b, _) = Client::registered(app.port(), "b").await;
    let mut stranger = Client::connect(app.port()).await;
    app.run(|server| server.broadcast("all")).await;
    assert_eq!((a.text().await, b.text().await), ("all".into(), "all".into()));
    // An ack is the first thing that the stranger hears.
    stranger.register("c").await;
}

#[tokio::test]
async fn a_message_to_an_unknown_worker_is_refused() {
    let app = App::start(ServerConfig::default());
    assert!(!app.server.send("nobody", "x".into()));
}

/// What reaches the application, up to the registration of `end`, of one that has not registered and of one that has.
async fn heard_from(accept_unregistered: Option<bool>) -> (App, Vec<String>) {
    let auth_tokens = Some(vec!["token".into()]);
    let mut app = App::start(ServerConfig { auth_tokens, accept_unregistered, ..ServerConfig::default() });
    let with_token = |id| registration(id).replacen('{', r#"{"authToken":"token","#, 1);
    let mut worker = Client::connect(app.port()).await;
    worker.send(&with_token("w")).await;
    assert_eq!(worker.json().await["success"], true);
    let mut stranger = Client::connect(app.port()).await;
    let long = format!(r#"{{"type":"long","pad":"{}"}}"#, "x".repeat(100_000));
    for text in [r#"{"type":"failure"}"#, &long, &heartbeat("w"), "{", "{}"] {
        stranger.send(text).await;
    }
    // Once it has registered it is heard.
    stranger.send(&with_token("s")).await;
    stranger.send(r#"{"type":"last"}"#).await;
    let mut heard = Vec::new();
    loop {
        match app.next().await {
            Seen::Message { worker, text } if text.contains("last") => {
                assert_eq!(worker.as_deref(), Some("s"));
                break;
            }
            Seen::Message { worker, text } => heard.push(format!("{worker:?} {}", &text[..text.len().min(20)])),
            Seen::Log { message, context, .. } if message.starts_with("New WebSocket") => assert!(context.is_null()),
            Seen::Log { message, context, .. } => heard.push(format!("{message} {context}")),
            _ => {}
        }
    }
    (app, heard)
}

#[tokio::test]
async fn where_a_token_is_asked_for_nothing_of_a_stranger_reaches_the_application() {
    let (_app, heard) = heard_from(None).await;
    assert_eq!(
        heard,
        [
            r#"Message from unregistered connection {"type":"failure"}"#,
            r#"Message from unregistered connection {"type":"long"}"#,
            r#"Message from unregistered connection {"type":"heartbeat"}"#,
            "Invalid JSON message from worker null",
            "Message missing type field null",
        ]
    );
}

#[tokio::test]
async fn strangers_are_heard_in_spite_of_a_token_where_that_is_wanted() {
    let (_app, heard) = heard_from(Some(true)).await;
    assert_eq!(
        heard,
        [
            r#"None {"type":"failure"}"#,
            r#"None {"type":"long","pad""#,
            "Invalid JSON message from worker null",
            "Message missing type field null",
        ]
    );
}

#[tokio::test]
async fn a_stranger_whose_messages_are_dropped_must_register_in_time() {
    let limits = Limits { registration_timeout: Duration::from_millis(50), ..Limits::default() };
    let app = App::start(ServerConfig { auth_tokens: Some(vec!["token".into()]), limits, ..ServerConfig::default() });
    let mut stranger = Client::connect(app.port()).await;
    stranger.send(r#"{"type":"taken"}"#).await;
    assert_eq!(stranger.closed().await, (4004, "Registration timeout".into()));
}

#[tokio::test]
async fn a_peer_that_has_given_the_token_and_was_replaced_is_heard_as_unknown_and_is_no_stranger() {
    let mut app = App::start(ServerConfig { auth_tokens: Some(vec!["token".into()]), ..ServerConfig::default() });
    let with_token = registration("w").replacen('{', r#"{"authToken":"token","#, 1);
    let mut old = Raw::upgraded(app.port()).await;
    old.write(&frame(TEXT, with_token.as_bytes())).await;
    old.frame().await;
    let mut new = Client::connect(app.port()).await;
    new.send(&with_token).await;
    assert_eq!(old.closed().await.0, 4003);
    old.write(&frame(TEXT, br#"{"type":"late"}"#)).await;
    assert_eq!(app.message().await, (None, r#"{"type":"late"}"#.to_owned()));
}
