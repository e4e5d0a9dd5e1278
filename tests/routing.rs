//! Connections that are not workers' change hands with every byte.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use support::client::{Client, Raw, TEXT, frame, registration, upgrade};
use support::{App, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use worker_server::accept::descriptor::Descriptor;
use worker_server_core::config::ServerConfig;

/// The socket of a connection that was handed over, as its new owner has it.
fn adopt(socket: Descriptor) -> TcpStream {
    // SAFETY: the descriptor was handed over, and nobody else has it.
    let owned = unsafe { OwnedFd::from_raw_fd(socket.into_raw()) };
    let stream = std::net::TcpStream::from(owned);
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

#[tokio::test]
async fn an_http_connection_is_handed_over_with_every_byte() {
    let mut app = App::start(ServerConfig::default());
    let mut raw = Raw::connect(app.port()).await;
    let head = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n";
    raw.write(head.as_bytes()).await;
    let (socket, mut received) = app.connection().await;
    let mut stream = adopt(socket);
    let body: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let expected = [head.as_bytes(), &body].concat();
    let (sent, ()) = tokio::join!(soon(raw.0.write_all(&body)), async {
        let mut rest = vec![0; expected.len() - received.len()];
        soon(stream.read_exact(&mut rest)).await.unwrap();
        received.extend(rest);
    });
    sent.unwrap();
    assert!(received == expected);
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(raw.head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_handed_over_whole() {
    let mut app = App::start(ServerConfig::default());
    let mut raw = Raw::connect(app.port()).await;
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for byte in head {
        raw.write(&[*byte]).await;
    }
    assert_eq!(app.connection().await.1, head);
}

#[tokio::test]
async fn what_is_no_http_is_handed_over_too() {
    let mut app = App::start(ServerConfig::default());
    let mut raw = Raw::connect(app.port()).await;
    raw.write(b"garbage\r\n").await;
    assert_eq!(app.connection().await.1, b"garbage\r\n");
}

#[tokio::test]
async fn an_upgrade_of_an_endpoint_is_handed_over_whatever_its_query_with_its_frames() {
    let mut app = App::start(ServerConfig::default());
    app.server.add_endpoint("/ws/dashboard");
    let mut raw = Raw::connect(app.port()).await;
    let bytes = [upgrade("/ws/dashboard?x=1").into_bytes(), frame(TEXT, b"early")].concat();
    raw.write(&bytes).await;
    let (socket, mut received) = app.connection().await;
    let mut rest = vec![0; bytes.len() - received.len()];
    soon(adopt(socket).read_exact(&mut rest)).await.unwrap();
    received.extend(rest);
    assert_eq!(received, bytes);
}

#[tokio::test]
async fn an_upgrade_of_any_other_path_is_a_workers() {
    let app = App::start(ServerConfig::default());
    app.server.add_endpoint("/ws/dashboard");
    for path in ["/", "/ws", "/ws/dashboard/more"] {
        let mut raw = Raw::connect(app.port()).await;
        raw.write(upgrade(path).as_bytes()).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 101 "), "{path}");
    }
}

#[tokio::test]
async fn a_worker_upgrade_behind_http_requests_can_be_given_back_by_its_descriptor() {
    let mut app = App::start(ServerConfig::default());
    let mut raw = Raw::connect(app.port()).await;
    raw.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut stream = adopt(app.connection().await.0);
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    raw.head().await;

    let bytes = [upgrade("/").into_bytes(), frame(TEXT, registration("w").as_bytes())].concat();
    raw.write(&bytes).await;
    let mut read = vec![0; bytes.len()];
    soon(stream.read_exact(&mut read)).await.unwrap();
    // SAFETY: `stream` is open.
    unsafe { app.server.take_back(stream.as_raw_fd(), &read, None) }.unwrap();
    drop(stream);
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    assert!(String::from_utf8(raw.frame().await.1).unwrap().contains(r#""success":true"#));
    assert!(app.run(|server| server.send("w", "hello".into())).await);
    assert_eq!(raw.frame().await, (TEXT, b"hello".to_vec()));
}

#[tokio::test]
async fn a_descriptor_that_is_not_open_is_not_taken_back() {
    let app = App::start(ServerConfig::default());
    // SAFETY: it is negative.
    assert!(unsafe { app.server.take_back(-1, b"", None) }.is_err());
}

#[tokio::test]
async fn with_a_relay_port_bytes_are_relayed_and_the_peers_address_can_be_asked_for() {
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_port = Some(node.local_addr().unwrap().port());
    let app = App::start(ServerConfig { relay_port, ..ServerConfig::default() });
    let mut raw = Raw::connect(app.port()).await;
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    raw.write(head).await;
    let (mut inner, from) = soon(node.accept()).await.unwrap();
    let ends = app.server.relayed_from(from.port()).expect("it is relayed");
    assert_eq!(ends.addresses.remote.port(), raw.0.local_addr().unwrap().port());
    assert_eq!(ends.addresses.local.port(), app.port());
    let mut received = vec![0; head.len()];
    soon(inner.read_exact(&mut received)).await.unwrap();
    assert_eq!(received, head);
    inner.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    drop(inner);
    assert!(raw.head().await.starts_with("HTTP/1.1 204 "));
    assert!(raw.rest().await.is_empty());
    // Workers are not relayed.
    Client::registered(app.port(), "w").await;
}
