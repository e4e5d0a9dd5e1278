//! Registrations that the application judges, and connections that wait for that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::pin::pin;
use std::time::Duration;

use rustls::version::TLS13;
use socket2::SockRef;
use support::client::{Client, Raw, TEXT, frame, registration, upgrade};
use support::tls::{Authority, connect, forgetful, read_until};
use support::{App, Seen, eventually, soon};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use worker_server::door::Refusal;
use worker_server::peer::PeerId;
use worker_server_core::config::{Limits, ServerConfig};
use worker_server_core::door::DoorConfig;

fn judging() -> ServerConfig {
    let door = DoorConfig { authenticates: true, ..DoorConfig::default() };
    ServerConfig { door, ..ServerConfig::default() }
}

async fn asked(app: &mut App) -> PeerId {
    loop {
        if let Seen::Asked { peer } = app.next().await {
            return peer;
        }
    }
}

#[tokio::test]
async fn i2_what_a_worker_sends_while_it_is_judged_comes_behind_its_registration() {
    let mut app = App::start(judging());
    let mut client = Client::connect(app.port()).await;
    client.send(&registration("w")).await;
    let peer = asked(&mut app).await;
    for number in 0..20 {
        client.send(&format!(r#"{{"type":"{number}"}}"#)).await;
    }
    client.send_message(Message::Ping("here".into())).await;
    assert_eq!(client.next().await, Message::Pong("here".into()));
    assert_eq!(app.server.worker_count(), 0);
    assert!(app.run(move |server| server.approve(peer)).await);
    assert_eq!(client.json().await["success"], true);
    assert!(matches!(app.event().await, Seen::Connected { id, .. } if id == "w"));
    for number in 0..20 {
        assert_eq!(app.message().await, (Some("w".into()), format!(r#"{{"type":"{number}"}}"#)));
    }
}

#[tokio::test]
async fn i2_a_worker_that_is_replaced_is_heard_to_its_end_before_the_approved_one_joins() {
    let mut app = App::start(judging());
    let mut old = Client::connect(app.port()).await;
    old.send(&registration("w")).await;
    let peer = asked(&mut app).await;
    app.run(move |server| server.approve(peer)).await;
    old.json().await;
    let mut new = Client::connect(app.port()).await;
    new.send(&registration("w")).await;
    let peer = asked(&mut app).await;
    app.rest();
    let (hold, server) = (app.hold().await, std::sync::Arc::clone(&app.server));
    for number in 0..1_000 {
        old.send(&format!(r#"{{"type":"{number}"}}"#)).await;
    }
    // Its answer comes behind all that was read.
    old.send_message(Message::Ping("read".into())).await;
    assert_eq!(old.next().await, Message::Pong("read".into()));
    assert!(server.approve(peer));
    hold.release();
    for number in 0..1_000 {
        assert_eq!(app.message().await, (Some("w".into()), format!(r#"{{"type":"{number}"}}"#)));
    }
    assert!(matches!(app.event().await, Seen::Replaced { .. }));
    assert!(matches!(app.event().await, Seen::Connected { .. }));
}

#[tokio::test]
async fn who_is_not_let_in_is_told_and_closed_and_not_listened_to() {
    for (refusal, error, closing) in [
        (Refusal::NotAuthentic, "Invalid authentication token", (4001, "Authentication failed")),
        (Refusal::Late, "Invalid authentication token", (4001, "Authentication failed")),
        (Refusal::IdInUse, "Id in use", (4009, "Id in use")),
    ] {
        let mut app = App::start(ServerConfig { accept_unregistered: Some(true), ..judging() });
        let mut client = Client::connect(app.port()).await;
        client.send(&registration("w")).await;
        client.send(r#"{"type":"x"}"#).await;
        let peer = asked(&mut app).await;
        assert!(app.run(move |server| server.refuse(peer, refusal)).await);
        let ack = format!(r#"{{"type":"worker_registration_ack","success":false,"error":"{error}"}}"#);
        assert_eq!(client.text().await, ack);
        assert_eq!(client.closed().await, (closing.0, closing.1.into()));
        assert!(!app.run(move |server| server.approve(peer)).await, "it is decided");
        assert!(matches!(app.event().await, Seen::Gone { worker: None, .. }), "no message");
    }
}

#[tokio::test]
async fn who_goes_away_while_it_is_judged_is_noticed_and_does_not_join() {
    for goodbye in [Some([0x88, 0x80, 0, 0, 0, 0]), None] {
        let mut app = App::start(judging());
        let mut client = Raw::upgraded(app.port()).await;
        client.write(&frame(0x81, registration("w").as_bytes())).await;
        let peer = asked(&mut app).await;
        match goodbye {
            Some(close) => client.write(&close).await,
            None => drop(client),
        }
        let (worker, code, _) = app.gone().await;
        assert_eq!((worker, code), (None, if goodbye.is_some() { 1005 } else { 1006 }));
        assert!(!app.run(move |server| server.approve(peer)).await);
        assert!(!app.run(move |server| server.refuse(peer, Refusal::NotAuthentic)).await);
        assert_eq!(app.server.worker_count(), 0);
    }
}

/// How a peer goes away.
#[derive(Clone, Copy, Debug)]
enum Leave {
    /// It sends nothing more, and reads on.
    Shutdown,
    /// It closes its socket.
    Close,
    /// It resets the connection.
    Reset,
}

impl Leave {
    const ALL: [Self; 3] = [Self::Shutdown, Self::Close, Self::Reset];

    /// Returns what is left of the peer.
    async fn with(self, mut stream: TcpStream) -> Option<TcpStream> {
        match self {
            Self::Shutdown => {
                soon(stream.shutdown()).await.unwrap();
                Some(stream)
            }
            Self::Close => None,
            Self::Reset => {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                None
            }
        }
    }
}

#[tokio::test]
async fn who_goes_away_behind_more_than_is_read_while_it_is_judged_is_noticed() {
    for leave in Leave::ALL {
        let mut app = App::start(judging());
        let mut client = Raw::upgraded(app.port()).await;
        client.write(&frame(TEXT, registration("w").as_bytes())).await;
        let peer = asked(&mut app).await;
        // In pieces, so that the server meets some of them, and then the end, while it reads nothing.
        for _ in 0..4 {
            client.write(&message(20_000)).await;
            eventually(|| app.server.held_at_the_door() > 4_096).await;
        }
        let _rest = leave.with(client.0).await;
        let (worker, code, _) = app.gone().await;
        assert_eq!((worker, code), (None, 1006), "{leave:?}");
        assert!(!app.run(move |server| server.approve(peer)).await);
        assert_eq!(app.server.held_at_the_door(), 0);
    }
}

#[tokio::test]
async fn who_goes_away_behind_what_came_in_one_piece_with_its_registration_is_noticed() {
    for leave in Leave::ALL {
        let mut app = App::start(judging());
        let mut client = Raw::upgraded(app.port()).await;
        client.write(&[frame(TEXT, registration("w").as_bytes()), message(6_000), message(6_000)].concat()).await;
        asked(&mut app).await;
        let _rest = leave.with(client.0).await;
        assert_eq!(app.gone().await.1, 1006, "{leave:?}");
    }
}

#[tokio::test]
async fn who_goes_away_behind_a_close_frame_that_waits_behind_a_message_is_noticed_with_its_code() {
    let mut app = App::start(judging());
    let mut client = Raw::upgraded(app.port()).await;
    client.write(&frame(TEXT, registration("w").as_bytes())).await;
    asked(&mut app).await;
    client.write(&[message(100), frame(0x88, &[&4_242_u16.to_be_bytes()[..], b"enough"].concat())].concat()).await;
    client.0.shutdown().await.unwrap();
    assert_eq!(app.gone().await, (None, 4_242, "enough".into()));
}

#[tokio::test]
async fn who_goes_away_over_tls_behind_more_than_is_read_while_it_is_judged_is_noticed() {
    let authority = Authority::new();
    for leave in Leave::ALL {
        let mut app = App::start_with(judging(), Some(authority.context()));
        let client = forgetful(authority.client(&[&TLS13], None));
        let mut stream = connect(app.port(), &client).await.unwrap();
        let begin = [upgrade("/").as_bytes(), &frame(TEXT, registration("w").as_bytes())].concat();
        stream.write_all(&begin).await.unwrap();
        asked(&mut app).await;
        for _ in 0..5 {
            stream.write_all(&message(20_000)).await.unwrap();
        }
        stream.flush().await.unwrap();
        eventually(|| app.server.held_at_the_door() > 4_096).await;
        // Nothing says so within TLS.
        let _rest = leave.with(stream.into_inner().0).await;
        assert_eq!(app.gone().await.1, 1006, "{leave:?}");
    }
}

/// Many messages, more than all sockets on the way could keep, each with its number.
async fn flood(stream: &mut (impl AsyncWrite + Unpin)) {
    for number in 0..MANY {
        let text = format!(r#"{{"type":"{number}","data":"{}"}}"#, "x".repeat(60_000));
        stream.write_all(&frame(TEXT, text.as_bytes())).await.unwrap();
    }
    stream.flush().await.unwrap();
}

const MANY: usize = 300;

async fn assert_hears_flood(app: &mut App) {
    for number in 0..MANY {
        let (worker, text) = app.message().await;
        assert_eq!((worker.as_deref(), text.starts_with(&format!(r#"{{"type":"{number}","#))), (Some("w"), true));
    }
}

/// Sends a registration and a flood, of which little must be read until the registration is approved, and all after
/// that.
async fn assert_little_is_read(app: &mut App, stream: &mut (impl AsyncWrite + Unpin)) {
    stream.write_all(&frame(TEXT, registration("w").as_bytes())).await.unwrap();
    let peer = asked(app).await;
    let mut flooding = pin!(flood(stream));
    tokio::select! {
        () = &mut flooding => panic!("all of it was read"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    assert!(app.server.held_at_the_door() < 100_000);
    assert!(app.run(move |server| server.approve(peer)).await);
    assert!(matches!(app.event().await, Seen::Connected { .. }));
    tokio::join!(flooding, assert_hears_flood(app));
}

#[tokio::test]
async fn i5_little_is_read_of_a_peer_that_is_being_judged_and_all_once_it_is_let_in() {
    let mut app = App::start(judging());
    let mut client = Raw::upgraded(app.port()).await;
    assert_little_is_read(&mut app, &mut client.0).await;
}

#[tokio::test]
async fn i5_little_is_read_over_tls_of_a_peer_that_is_being_judged_and_all_once_it_is_let_in() {
    let authority = Authority::new();
    let mut app = App::start_with(judging(), Some(authority.context()));
    let mut stream = connect(app.port(), &forgetful(authority.client(&[&TLS13], None))).await.unwrap();
    stream.write_all(upgrade("/").as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    assert_little_is_read(&mut app, &mut stream).await;
}

#[tokio::test]
async fn i5_registrations_beyond_what_may_be_unhandled_wait_in_their_sockets() {
    let limits = Limits { max_unhandled_bytes_total: 2_000, ..Limits::default() };
    let mut app = App::start(ServerConfig { limits, ..judging() });
    let mut clients = Vec::new();
    let long = registration("w").replacen('{', &format!(r#"{{"more":"{}","#, "x".repeat(3_000)), 1);
    for id in ["a", "b"] {
        let mut client = Client::connect(app.port()).await;
        client.send(&long.replace(r#""workerId":"w""#, &format!(r#""workerId":"{id}""#))).await;
        clients.push(client);
    }
    let first = asked(&mut app).await;
    app.log("Too much is unhandled, reading pauses").await;
    app.run(move |server| server.approve(first)).await;
    // Nobody tells the other one that there is room.
    let second = asked(&mut app).await;
    app.run(move |server| server.approve(second)).await;
    for client in &mut clients {
        assert_eq!(client.json().await["success"], true);
    }
}

/// A message of this many bytes.
fn message(bytes: usize) -> Vec<u8> {
    frame(TEXT, format!(r#"{{"type":"{}"}}"#, "x".repeat(bytes - 11)).as_bytes())
}

#[tokio::test]
async fn i5_what_was_read_behind_a_registration_counts_until_it_is_judged() {
    let mut app = App::start(judging());
    for is_let_in in [true, false] {
        let text = registration("w");
        let mut client = Raw::upgraded(app.port()).await;
        client.write(&frame(TEXT, text.as_bytes())).await;
        let peer = asked(&mut app).await;
        assert_eq!(app.server.held_at_the_door(), text.len());
        client.write(&message(30_000)).await;
        eventually(|| app.server.held_at_the_door() == text.len() + 4_096).await;
        if is_let_in {
            assert!(app.run(move |server| server.approve(peer)).await);
            app.message().await;
        } else {
            assert!(app.run(move |server| server.refuse(peer, Refusal::NotAuthentic)).await);
        }
        assert_eq!(app.server.held_at_the_door(), 0);
    }
    // What came in one piece with a registration was read, however much it is.
    let text = registration("w");
    let mut client = Raw::upgraded(app.port()).await;
    client.write(&[frame(TEXT, text.as_bytes()), message(6_000), message(6_000)].concat()).await;
    let peer = asked(&mut app).await;
    eventually(|| app.server.held_at_the_door() > text.len() + 10_000).await;
    assert!(app.run(move |server| server.refuse(peer, Refusal::Late)).await);
    assert_eq!(app.server.held_at_the_door(), 0);
}

#[tokio::test]
async fn pings_are_answered_while_a_registration_is_judged_however_many_and_behind_messages() {
    let mut app = App::start(judging());
    let mut client = Raw::upgraded(app.port()).await;
    client.write(&frame(TEXT, registration("w").as_bytes())).await;
    let peer = asked(&mut app).await;
    client.write(&message(2_000)).await;
    for number in 0..2_000_u32 {
        client.write(&frame(0x89, &number.to_be_bytes())).await;
        assert_eq!(client.frame().await, (0x8a, number.to_be_bytes().to_vec()));
    }
    assert!(app.run(move |server| server.approve(peer)).await);
    app.message().await;
}

#[tokio::test]
async fn a_rival_is_a_worker_of_another_connection_that_can_be_reached() {
    let mut app = App::start(judging());
    let mut first = Client::connect(app.port()).await;
    first.send(&registration("w")).await;
    let peer = asked(&mut app).await;
    assert!(app.run(move |server| server.rival(peer).is_none()).await, "there is none");
    app.run(move |server| server.approve(peer)).await;
    first.json().await;
    first.send(&registration("w")).await;
    let again = asked(&mut app).await;
    assert!(app.run(move |server| server.rival(again).is_none()).await, "it is itself");
    app.run(move |server| server.approve(again)).await;
    first.json().await;
    let mut second = Client::connect(app.port()).await;
    second.send(&registration("w")).await;
    let other = asked(&mut app).await;
    let key = app.run(move |server| server.rival(other).map(|rival| rival.key)).await.unwrap();
    app.run(move |server| server.disconnect(key, 1000, "")).await;
    eventually(|| app.server.rival(other).is_none()).await;
}
