//! The request head: whatever bytes come, and however they are cut, it is read without a panic and with one verdict.
//!
//! The first byte is the limit, the second the cuts; the rest is what the peer sends before it goes away.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};
use worker_server::accept::request_head::{self, NoHead, Request};

/// A peer whose bytes come in pieces of these sizes, over and over.
struct Pieces<'a> {
    rest: &'a [u8],
    sizes: &'a [usize],
    next: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        let (piece, rest) = self.rest.split_at(size.min(self.rest.len()).min(buf.remaining()));
        buf.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// The verdict, and all the bytes in their order: what was read, and what was left.
fn read(sent: &[u8], sizes: &[usize], max_bytes: usize) -> (Result<Request, NoHead>, Vec<u8>) {
    let mut peer = Pieces { rest: sent, sizes, next: 0 };
    let mut buffer = BytesMut::new();
    let verdict = {
        let reading = pin!(request_head::read(&mut peer, &mut buffer, max_bytes));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => panic!("the peer always answers at once"),
        }
    };
    let mut bytes = buffer.to_vec();
    assert!(bytes.len() <= max_bytes, "{} bytes were read, {max_bytes} are allowed", bytes.len());
    bytes.extend_from_slice(peer.rest);
    (verdict, bytes)
}

/// Runs one input.
pub fn run(input: &[u8]) {
    let [limit, cuts, sent @ ..] = input else { return };
    let max_bytes = 16 + usize::from(*limit) * 16;
    let whole = read(sent, &[usize::MAX], max_bytes);
    assert_eq!(whole.1, sent, "no byte is lost");
    let piece = 1 + usize::from(cuts & 15);
    for sizes in [&[1][..], &[piece], &[piece, 1 + usize::from(cuts >> 4) * 7, 1]] {
        assert_eq!(read(sent, sizes, max_bytes), whole, "in pieces of {sizes:?}");
    }
    if let Ok(Request::WebSocket { path, response, length }) = whole.0 {
        assert!(length <= max_bytes && sent[..length].ends_with(b"\n"), "the head is as long as it is");
        assert!(!path.contains('?') && !path.contains([' ', '\r', '\n']), "{path:?}");
        check_response(&response);
    }
}

/// Whatever the request held, the answer is one response with the headers that it should have and no others.
fn check_response(response: &Result<String, String>) {
    let text = response.as_ref().unwrap_or_else(|text| text);
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let status = lines.next();
    let names: Vec<&str> = lines.map(|line| line.split_once(": ").expect("a header").0).collect();
    if response.is_ok() {
        assert_eq!(status, Some("HTTP/1.1 101 Switching Protocols"));
        assert!(body.is_empty(), "{body:?}");
        let (known, chosen) = names.split_at(3);
        assert_eq!(known, ["Upgrade", "Connection", "Sec-WebSocket-Accept"]);
        assert!(matches!(chosen, [] | ["Sec-WebSocket-Protocol"]), "{chosen:?}");
    } else {
        assert_eq!(status, Some("HTTP/1.1 400 Bad Request"));
        let (known, more) = names.split_at(3);
        assert_eq!(known, ["Connection", "Content-Type", "Content-Length"]);
        assert!(matches!(more, [] | ["Sec-WebSocket-Version"]), "{more:?}");
    }
}
