//! HTTP requests on kept-alive connections, one at a time on each.

use std::io;
use std::time::Instant;

use serde_json::Value;

use super::{Span, Work, counted};
use crate::connection::Outbox;
use crate::consumer::{Consumer, Protocol};
use crate::fleet::Fleet;

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// A closed loop of requests. All answers are as long as the first.
pub struct Http {
    messages: u64,
    sent: u64,
    answered: u64,
    /// The length of an answer, once it is known.
    length: Option<usize>,
    /// What has come of each connection's current answer.
    arrived: Vec<usize>,
    first: Vec<u8>,
    span: Span,
}

impl Http {
    /// `messages` requests in all.
    pub fn new(messages: u64, connections: usize) -> Self {
        let arrived = vec![0; connections];
        Self { messages, sent: 0, answered: 0, length: None, arrived, first: Vec::new(), span: Span::default() }
    }

    fn next(&mut self) -> bool {
        let more = self.sent < self.messages;
        self.sent += u64::from(more);
        more
    }
}

impl Consumer for Http {
    fn protocol(&self) -> Protocol {
        Protocol::Http
    }

    fn bytes(&mut self, index: usize, out: &mut Outbox, bytes: &[u8]) -> u64 {
        let mut wrong = 0;
        let length = if let Some(length) = self.length {
            length
        } else {
            self.first.extend(bytes);
            let Some(length) = answer_length(&self.first) else { return 0 };
            wrong += u64::from(!self.first.starts_with(OK));
            self.length = Some(length);
            self.arrived[index] = self.first.len() - bytes.len();
            length
        };
        if self.arrived[index] == 0 && bytes.len() >= OK.len() {
            wrong += u64::from(!bytes.starts_with(OK));
        }
        self.arrived[index] += bytes.len();
        // More than one answer to one request is wrong.
        wrong += u64::from(self.arrived[index] > length);
        if self.arrived[index] >= length {
            self.arrived[index] = 0;
            self.answered += 1;
            if self.next() {
                out.push(REQUEST);
            }
        }
        wrong
    }
}

impl Work for Http {
    fn go(&mut self, fleet: &mut Fleet, now: Instant) -> io::Result<()> {
        self.span.note(now);
        // The others follow when the first answer has shown how long one is.
        if self.next() {
            fleet.send(0, REQUEST);
        }
        Ok(())
    }

    fn tick(&mut self, fleet: &mut Fleet, now: Instant) {
        if self.length.is_some() && !self.first.is_empty() {
            self.first = Vec::new();
            for index in 1..fleet.len() {
                if self.next() {
                    fleet.send(index, REQUEST);
                }
            }
        }
        self.span.note(now);
    }

    fn is_done(&self, _fleet: &Fleet) -> bool {
        self.answered >= self.messages
    }

    fn report(&mut self) -> Value {
        counted(self.answered, self.span)
    }
}

/// The length of an answer with a `Content-Length`, once its head is there.
fn answer_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let body: usize = head.split("\r\ncontent-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    Some(end + body)
}
