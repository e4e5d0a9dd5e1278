//! Messages in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use support::App;
use support::client::{Client, Raw, TEXT, frame};
use tokio_tungstenite::tungstenite::Message;
use worker_server::core::config::ServerConfig;
use worker_server::server::Server;
use worker_server::server::submissions::{RECORD_FIELDS, counter};

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

/// Publishes texts for the only worker, behind those that were published before, as JavaScript does.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lengths are small")]
fn publish(server: &Server, texts: &[&str]) {
    let key = server.workers()[0].key.0;
    let memory = server.submissions();
    let published = &memory.counters[counter::PUBLISHED];
    for text in texts {
        let place = usize::try_from(published.load(Ordering::SeqCst)).unwrap() * RECORD_FIELDS;
        let length = |record: usize| f64::from_bits(memory.records[record + 1].load(Ordering::SeqCst)) as usize;
        let end: usize = (0..place).step_by(RECORD_FIELDS).map(length).sum();
        memory.records[place].store((key as f64).to_bits(), Ordering::SeqCst);
        memory.records[place + 1].store((text.len() as f64).to_bits(), Ordering::SeqCst);
        // SAFETY: there is room, and nothing reads here before it is published.
        unsafe { memory.texts.as_ptr().add(end).copy_from(text.as_ptr(), text.len()) };
        published.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn i2_what_is_published_leaves_in_order_with_what_is_sent_otherwise() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    app.run(|server| {
        publish(server, &["1", "2"]);
        server.take_submissions();
        server.send("w", "3".into());
        publish(server, &["4"]);
        server.flush();
        publish(server, &["5", "6"]);
    })
    .await;
    for number in 1..=6 {
        assert_eq!(client.text().await, number.to_string());
    }
}

#[tokio::test]
async fn i4_what_is_published_leaves_though_the_turn_does_not_end() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    let (release, turn) = mpsc::channel::<()>();
    let busy = app.run(move |server| {
        // Of these the first is written at once, and the second has somebody look.
        server.send("w", "1".into());
        server.send("w", "2".into());
        publish(server, &["3", "4"]);
        turn.recv().ok();
    });
    let received = async {
        for number in 1..=4 {
            assert_eq!(client.text().await, number.to_string());
        }
        drop(release);
    };
    tokio::join!(busy, received);
}

#[tokio::test]
async fn what_was_published_before_the_end_of_a_server_still_leaves() {
    let app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "w").await;
    app.run(|server| {
        publish(server, &["1", "2"]);
        server.shut_down();
    })
    .await;
    assert_eq!([client.text().await, client.text().await], ["1", "2"]);
}
