//! Workers that answer each piece of work with a result.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use serde_json::Value;

use super::{Span, Work, counted};
use crate::connection::Outbox;
use crate::consumer::Consumer;
use crate::fleet::Fleet;
use crate::text::Texts;

const WORK: &[u8] = br#"{"type":"work","requestId":""#;
const RESULT: &str = r#"{"type":"result","requestId":""#;
/// The same where the server speaks of requests itself. Each is in its first attempt: no worker of a benchmark is lost.
const REQUEST: &[u8] = br#"{"type":"request","requestId":""#;
const REQUEST_ACK: &str = r#"{"type":"request_ack","requestId":""#;
const REQUEST_RESULT: &str = r#"{"type":"request_result","requestId":""#;
const SETTLED: &[u8] = br#"{"type":"request_settled","#;
/// From this size on the answer is made beforehand. The server then has each worker do one request at a time, and what is in it is of no interest here.
const LARGE: usize = 64 * 1024;

/// A result for each request, with the request's id.
pub struct Answer {
    messages: u64,
    answered: u64,
    size: usize,
    acks: bool,
    texts: Texts,
    rest: String,
    request_rest: String,
    large: Rc<[u8]>,
    text: Vec<u8>,
    span: Span,
}

impl Answer {
    /// `messages` answers of `size` bytes, all workers together. `acks`: a request is acknowledged first.
    pub fn new(seed: u64, messages: u64, size: usize, acks: bool) -> Self {
        let mut texts = Texts::new(seed);
        let rest = texts.padded(r#"","text":""#, r#""}"#, size.saturating_sub(RESULT.len() + 10));
        let text = rest.strip_prefix(r#"",""#).unwrap_or_default();
        let request_rest = format!(r#"","attempt":1,"data":{{"{text}}}"#);
        let large = if size >= LARGE {
            let text = texts.padded(r#"{"type":"result","text":""#, r#""}"#, size);
            texts.framed(&text)
        } else {
            Vec::new()
        };
        let large = large.into();
        let text = Vec::with_capacity(256);
        Self { messages, answered: 0, size, acks, texts, rest, request_rest, large, text, span: Span::default() }
    }
}

impl Consumer for Answer {
    fn message(&mut self, _index: usize, out: &mut Outbox, payload: &[u8], now: Instant) -> bool {
        if payload.starts_with(SETTLED) {
            return true;
        }
        self.answered += 1;
        self.span.note(now);
        if self.size >= LARGE {
            out.repeat(&self.large, self.large.len() as u64);
            return true;
        }
        if let Some(id) = id_after(WORK, payload) {
            write(&mut self.text, [RESULT.as_bytes(), id, self.rest.as_bytes()]);
        } else if let Some(id) = id_after(REQUEST, payload) {
            if self.acks {
                write(&mut self.text, [REQUEST_ACK.as_bytes(), id, br#"","attempt":1}"#]);
                out.push_text(self.texts.mask(), &self.text);
            }
            write(&mut self.text, [REQUEST_RESULT.as_bytes(), id, self.request_rest.as_bytes()]);
        } else {
            return false;
        }
        out.push_text(self.texts.mask(), &self.text);
        true
    }
}

impl Work for Answer {
    fn go(&mut self, _fleet: &mut Fleet, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn is_done(&self, fleet: &Fleet) -> bool {
        self.answered >= self.messages && fleet.all_sent()
    }

    fn report(&mut self) -> Value {
        counted(self.answered, self.span)
    }
}

/// The id of a request whose message begins with `start`.
pub fn id_after<'a>(start: &[u8], payload: &'a [u8]) -> Option<&'a [u8]> {
    payload.strip_prefix(start)?.split(|&byte| byte == b'"').next()
}

fn write<const N: usize>(text: &mut Vec<u8>, parts: [&[u8]; N]) {
    text.clear();
    for part in parts {
        text.extend(part);
    }
}
