//! How connections end, and what each side learns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use support::App;
use support::client::{Client, Raw, TEXT, frame};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use worker_server_core::config::{Limits, ServerConfig};

#[tokio::test]
async fn the_application_is_told_the_peers_code_and_reason() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let frame = CloseFrame { code: 4321.into(), reason: "going home 🦀".into() };
    client.send_message(Message::Close(Some(frame))).await;
    assert_eq!(app.gone().await, (Some("w".into()), 4321, "going home 🦀".into()));
}

#[tokio::test]
async fn a_close_frame_is_answered_with_its_code() {
    let app = App::start(ServerConfig::default());
    let mut raw = Raw::upgraded(app.port()).await;
    raw.write(&frame(0x88, &4321_u16.to_be_bytes())).await;
    assert_eq!(raw.closed().await.0, 4321);
    assert!(raw.rest().await.is_empty(), "and then the socket is closed");
}

#[tokio::test]
async fn a_close_frame_without_a_code_is_told_as_1005() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    client.send_message(Message::Close(None)).await;
    assert_eq!(app.gone().await, (Some("w".into()), 1005, String::new()));
}

#[tokio::test]
async fn a_connection_lost_without_a_close_frame_is_told_as_1006() {
    let mut app = App::start(ServerConfig::default());
    drop(Client::registered(app.port(), "w").await);
    assert_eq!(app.gone().await, (Some("w".into()), 1006, String::new()));
}

#[tokio::test]
async fn i2_messages_before_the_close_frame_come_before_the_end() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let hold = app.hold().await;
    for _ in 0..100 {
        client.send(r#"{"type":"x"}"#).await;
    }
    client.send_message(Message::Close(None)).await;
    hold.release();
    for _ in 0..100 {
        assert_eq!(app.message().await.0.as_deref(), Some("w"));
    }
    assert_eq!(app.gone().await.1, 1005);
}

/// Sends bytes that break the protocol, and returns the code that the client is closed with.
async fn code_for(app: &mut App, bytes: &[u8]) -> u16 {
    let mut raw = Raw::registered(app.port(), "w").await;
    raw.write(bytes).await;
    let (code, _) = raw.closed().await;
    assert!(raw.rest().await.is_empty(), "nothing follows the close frame");
    // The server listens for a while to a peer that it hung up on, unless that goes too.
    drop(raw);
    app.log("Worker WebSocket error").await;
    assert_eq!(app.gone().await, (Some("w".into()), 1006, String::new()));
    code
}

#[tokio::test]
async fn a_broken_frame_is_answered_with_1002() {
    let mut app = App::start(ServerConfig::default());
    let mut unmasked = frame(TEXT, b"{}");
    unmasked[1] &= 0x7f;
    assert_eq!(code_for(&mut app, &unmasked).await, 1002, "not masked");
    assert_eq!(code_for(&mut app, &frame(0x83, b"")).await, 1002, "reserved opcode");
    assert_eq!(code_for(&mut app, &frame(0xc1, b"{}")).await, 1002, "reserved bit");
    assert_eq!(code_for(&mut app, &frame(0x80, b"{}")).await, 1002, "continues nothing");
    assert_eq!(code_for(&mut app, &frame(0x09, b"")).await, 1002, "fragmented ping");
}

#[tokio::test]
async fn a_text_that_is_no_utf8_is_answered_with_1007() {
    let mut app = App::start(ServerConfig::default());
    assert_eq!(code_for(&mut app, &frame(TEXT, b"\xff\xfe")).await, 1007);
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_answered_with_1009() {
    let limits = Limits { max_message_bytes: 1_000, ..Limits::default() };
    let mut app = App::start(ServerConfig { limits, ..ServerConfig::default() });
    assert_eq!(code_for(&mut app, &frame(TEXT, &[b'1'; 1_001])).await, 1009, "in one frame");
    let parts = [frame(0x01, &[b'1'; 600]), frame(0x80, &[b'1'; 600])].concat();
    assert_eq!(code_for(&mut app, &parts).await, 1009, "in parts");
}

#[tokio::test]
async fn i4_pings_are_answered_while_the_application_is_busy() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let hold = app.hold().await;
    client.send_message(Message::Ping("hello".into())).await;
    assert_eq!(client.next().await, Message::Pong("hello".into()));
    hold.release();
}

#[tokio::test]
async fn i4_a_close_handshake_ends_while_the_application_is_busy() {
    let app = App::start(ServerConfig::default());
    let mut raw = Raw::registered(app.port(), "w").await;
    let hold = app.hold().await;
    raw.write(&frame(0x88, &1000_u16.to_be_bytes())).await;
    assert_eq!(raw.closed().await.0, 1000);
    assert!(raw.rest().await.is_empty());
    hold.release();
}
