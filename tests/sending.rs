//! What the application has published in shared memory, and how it leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers of these tests are small")]

mod support;

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use support::App;
use support::client::Client;
use worker_server::Server;
use worker_server::outbox::submissions::{RECORD_FIELDS, counter};
use worker_server_core::config::ServerConfig;

/// Publishes texts for the only worker, behind those that were published before, as JavaScript does.
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
