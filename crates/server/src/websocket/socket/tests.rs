//! What becomes of a connection whose socket fails, over real sockets.

use std::net::Shutdown;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

const LIMITS: SocketLimits = SocketLimits { max_message_bytes: 1 << 20, stall_timeout: Duration::from_secs(30) };

/// Keeps what comes.
#[derive(Default)]
struct Recorder {
    texts: Vec<String>,
    is_unwritable: bool,
}

impl Consumer for Recorder {
    fn on_text(&mut self, text: Utf8Bytes) {
        self.texts.push(text.to_string());
    }

    fn on_binary(&mut self, _: Bytes) {}

    fn on_unwritable(&mut self) {
        self.is_unwritable = true;
    }
}

/// A server's end of a connection that can't be written any more, and the peer's, which stays open.
async fn unwritable() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stream = listener.accept().await.unwrap().0;
    SockRef::from(&stream).shutdown(Shutdown::Write).unwrap();
    stream.writable().await.unwrap();
    (stream, peer)
}

#[tokio::test]
async fn a_write_that_fails_ends_the_connection_though_the_peer_says_nothing() {
    let (stream, _peer) = unwritable().await;
    let outbox = Outbox::new(usize::MAX);
    let mut socket = WebSocket::new(stream, Vec::new(), &outbox, LIMITS);
    let mut recorder = Recorder::default();
    let write = async {
        // The connection's task waits for the peer by now.
        yield_now().await;
        outbox.send("a".into());
        outbox.write();
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = socket.run(&mut recorder) => end,
        () = write => unreachable!(),
    };
    assert_eq!(end, End::Lost);
    assert!(recorder.is_unwritable);
}

#[tokio::test]
async fn what_the_peer_sent_before_a_write_failed_still_comes() {
    let (stream, mut peer) = unwritable().await;
    peer.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'b']).await.unwrap();
    stream.readable().await.unwrap();
    let outbox = Outbox::new(usize::MAX);
    let mut socket = WebSocket::new(stream, Vec::new(), &outbox, LIMITS);
    outbox.send("a".into());
    outbox.write();
    let mut recorder = Recorder::default();
    assert_eq!(socket.run(&mut recorder).await, End::Lost);
    assert_eq!(recorder.texts, ["b"]);
}

#[tokio::test]
async fn who_goes_on_sending_after_a_write_failed_is_not_listened_to_for_ever() {
    let (stream, mut peer) = unwritable().await;
    let outbox = Outbox::new(usize::MAX);
    let mut socket = WebSocket::new(stream, Vec::new(), &outbox, LIMITS);
    outbox.send("a".into());
    outbox.write();
    let mut recorder = Recorder::default();
    let flood = async {
        let frames = [0x81, 0x81, 0, 0, 0, 0, b'b'].repeat(10_000);
        while peer.write_all(&frames).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = socket.run(&mut recorder) => end,
        () = flood => unreachable!(),
    };
    assert_eq!(end, End::Lost);
}
