//! What an outbox does, over real sockets.

use std::future::poll_fn;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::queue::MUCH_BYTES;
use super::*;
use crate::websocket::frame::text_frame;

const QUEUED: Sent = Sent::Queued { is_much: false };

/// An outbox over a real socket, and the peer's end of that.
async fn open(max_bytes: usize) -> (Outbox, TcpStream, tokio::net::tcp::OwnedReadHalf) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (reader, writer) = listener.accept().await.unwrap().0.into_split();
    writer.writable().await.unwrap();
    let outbox = Outbox::new(max_bytes);
    outbox.open(writer.into());
    (outbox, peer, reader)
}

async fn read(peer: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    peer.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[test]
fn beyond_its_bound_it_refuses_and_says_so_once() {
    let outbox = Outbox::new(10);
    assert_eq!(outbox.send("1234".into()), QUEUED);
    assert_eq!(outbox.send("123".into()), Sent::Full);
    assert_eq!([outbox.note_full(), outbox.note_full()], [true, false]);
    assert_eq!(outbox.send("12".into()), QUEUED);
}

#[test]
fn a_message_beyond_the_bound_passes_when_nothing_waits() {
    let outbox = Outbox::new(2);
    assert_eq!(outbox.send("12345".into()), QUEUED);
    assert_eq!(outbox.send("1".into()), Sent::Full);
}

#[test]
fn it_says_when_so_much_waits_that_it_should_be_written_soon() {
    let outbox = Outbox::new(usize::MAX);
    assert_eq!(outbox.send("x".repeat(MUCH_BYTES - 20).into()), QUEUED);
    assert_eq!(outbox.send("x".repeat(20).into()), Sent::Queued { is_much: true });
}

#[tokio::test]
async fn short_messages_go_into_memory_of_those_that_were_written() {
    let (outbox, mut peer, _reader) = open(usize::MAX).await;
    let mut spares = Vec::new();
    for text in ["a", "b"] {
        outbox.send_promised(text.as_bytes(), &mut spares);
        assert!(spares.is_empty());
        spares.push(outbox.write());
        assert!(!spares[0].is_empty());
    }
    assert_eq!(read(&mut peer, 6).await, b"\x81\x01a\x81\x01b");
}

#[tokio::test]
async fn messages_behind_others_take_no_spare_memory_and_much_of_it_is_given_back() {
    let (outbox, _peer, _reader) = open(usize::MAX).await;
    let mut spares = vec![SpareBuffer::default()];
    for _ in 0..100 {
        outbox.send("x".repeat(100).into());
        outbox.send_promised(b"y", &mut spares);
    }
    assert_eq!(spares.len(), 1);
    assert!(outbox.write().is_empty());
}

#[tokio::test]
async fn when_half_has_left_a_refusal_is_news_again() {
    let (outbox, mut peer, _reader) = open(10).await;
    outbox.send("12345678".into());
    assert_eq!((outbox.send("1".into()), outbox.note_full()), (Sent::Full, true));
    outbox.write();
    assert_eq!(read(&mut peer, 10).await, b"\x81\x0812345678");
    assert_eq!(outbox.send("12345678".into()), QUEUED);
    assert_eq!((outbox.send("1".into()), outbox.note_full()), (Sent::Full, true));
}

#[tokio::test]
async fn room_that_is_awaited_is_told_once_when_it_is_there() {
    let (outbox, _peer, _reader) = open(10).await;
    outbox.send("12345678".into());
    assert_eq!(outbox.send("1".into()), Sent::Full);
    assert!(!outbox.await_room() && !outbox.outgoing().has_room && !outbox.take_room());
    outbox.write();
    outbox.attention().await;
    assert!(outbox.outgoing().has_room);
    assert_eq!([outbox.take_room(), outbox.take_room()], [true, false]);
    assert!(outbox.await_room(), "there is room already");
    outbox.send("1".into());
    outbox.write();
    assert!(!outbox.take_room(), "nobody waits");
}

#[tokio::test]
async fn there_is_no_room_while_what_was_refused_would_be_refused_again_nor_in_what_is_closed() {
    let (outbox, _peer, _reader) = open(100).await;
    outbox.send("x".repeat(30).into());
    assert_eq!(outbox.send("x".repeat(80).into()), Sent::Full);
    assert!(!outbox.await_room(), "less than half waits, and yet it would not fit");
    outbox.write();
    assert!(outbox.take_room());
    outbox.close(Closing::REPLACED);
    assert!(!outbox.await_room());
    outbox.write();
    assert!(!outbox.take_room());
}

#[tokio::test]
async fn frames_of_all_sizes_leave_in_order_and_nothing_behind_the_close_frame() {
    let (outbox, mut peer, _reader) = open(usize::MAX).await;
    let long = "y".repeat(COPIED_BYTES + 1);
    outbox.send("a".into());
    outbox.send_frame(&text_frame("b"));
    outbox.send(long.clone().into());
    outbox.send_frame(&text_frame(&long));
    outbox.send_control(&[0x89, 0]);
    assert!(outbox.close(Closing::REPLACED));
    assert!(!outbox.close(Closing::GOING_AWAY));
    assert_eq!(outbox.send("late".into()), Sent::Closed);
    outbox.send_control(&[0x89, 0]);
    outbox.write();
    let mut expected = b"\x81\x01a\x81\x01b".to_vec();
    expected.extend_from_slice(&text_frame(&long));
    expected.extend_from_slice(&text_frame(&long));
    expected.extend_from_slice(b"\x89\x00\x88\x1c\x0f\xa3Replaced by new connection");
    assert_eq!(read(&mut peer, expected.len()).await, expected);
    outbox.detach();
    assert_eq!(peer.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_left_to_the_connection() {
    let (outbox, mut peer, _reader) = open(usize::MAX).await;
    let text = "z".repeat(32 << 20);
    outbox.send(text.clone().into());
    outbox.write();
    outbox.attention().await;
    let outgoing = outbox.outgoing();
    assert!(outgoing.blocked_since.is_some() && !outgoing.is_empty && outgoing.closed_at.is_none());
    let frame = text_frame(&text);
    let reading = tokio::spawn(async move { read(&mut peer, frame.len()).await == frame[..] });
    while !outbox.outgoing().is_empty {
        poll_fn(|cx| outbox.poll_writable(cx)).await;
        outbox.write_on();
    }
    assert!(reading.await.unwrap());
    assert_eq!(outbox.outgoing(), Outgoing { is_empty: true, ..Outgoing::default() });
}

#[tokio::test]
async fn cutting_drops_what_waits_but_not_the_rest_of_a_frame_that_has_begun_to_leave() {
    let (outbox, mut peer, _reader) = open(usize::MAX).await;
    let begun = "z".repeat(32 << 20);
    outbox.send(begun.clone().into());
    outbox.write();
    outbox.send("dropped".into());
    outbox.cut(Closing::SLOW_CONSUMER);
    let mut expected = text_frame(&begun).to_vec();
    expected.extend_from_slice(b"\x88\x0f\x0f\xa8Slow consumer");
    let reading = tokio::spawn(async move { read(&mut peer, expected.len()).await == expected });
    while !outbox.outgoing().is_empty {
        poll_fn(|cx| outbox.poll_writable(cx)).await;
        outbox.write_on();
    }
    assert!(reading.await.unwrap());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_answered_its_last_ping_only() {
    let (outbox, mut peer, _reader) = open(usize::MAX).await;
    let text = "z".repeat(PONG_BYTES + 1);
    outbox.send(text.clone().into());
    outbox.send_control(&[0x8a, 1, 1]);
    outbox.send_control(&[0x8a, 1, 2]);
    outbox.write();
    let mut expected = text_frame(&text).to_vec();
    expected.extend_from_slice(&[0x8a, 1, 2]);
    assert_eq!(read(&mut peer, expected.len()).await, expected);
}

#[tokio::test]
async fn a_socket_that_failed_alerts_its_connection_once() {
    let (outbox, peer, _reader) = open(usize::MAX).await;
    drop(peer);
    while !outbox.outgoing().has_failed {
        outbox.send("x".into());
        outbox.write();
        tokio::task::yield_now().await;
    }
    outbox.attention().await;
    outbox.write();
    assert!(tokio::time::timeout(std::time::Duration::ZERO, outbox.attention()).await.is_err());
    assert_eq!(outbox.send("x".into()), Sent::Closed);
}

#[tokio::test]
async fn whoever_writes_the_last_of_a_closing_connection_tells_its_task() {
    let (outbox, _peer, _reader) = open(usize::MAX).await;
    outbox.close(Closing::REPLACED);
    outbox.attention().await;
    outbox.write();
    outbox.attention().await;
    assert!(outbox.outgoing().is_empty);
    outbox.write();
    assert!(tokio::time::timeout(std::time::Duration::ZERO, outbox.attention()).await.is_err());
}
