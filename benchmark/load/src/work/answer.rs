//! Workers that answer each piece of work with a result.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use serde_json::Value;

use super::{Span, Work, counted};
use crate::connection::Outbox;
use crate::fleet::Fleet;
use crate::text::Texts;

const WORK: &[u8] = br#"{"type":"work","requestId":""#;
const RESULT: &str = r#"{"type":"result","requestId":""#;
/// From this size on the answer is made beforehand. The server then gives each worker one request at a time, of no interest here.
const LARGE: usize = 64 * 1024;

/// A result for each request, with the request's id.
pub struct Answer {
    messages: u64,
    answered: u64,
    size: usize,
    texts: Texts,
    rest: String,
    large: Rc<[u8]>,
    text: Vec<u8>,
    span: Span,
}

impl Answer {
    /// So many answers of `size` bytes, all workers together.
    pub fn new(seed: u64, messages: u64, size: usize) -> Self {
        let mut texts = Texts::new(seed);
        let rest = texts.padded(r#"","text":""#, r#""}"#, size.saturating_sub(RESULT.len() + 10));
        let large = if size >= LARGE {
            let text = texts.padded(r#"{"type":"result","text":""#, r#""}"#, size);
            texts.framed(&text)
        } else {
            Vec::new()
        };
        let large = large.into();
        Self { messages, answered: 0, size, texts, rest, large, text: Vec::with_capacity(256), span: Span::default() }
    }
}

impl Work for Answer {
    fn go(&mut self, _fleet: &mut Fleet, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn message(&mut self, _index: usize, out: &mut Outbox, payload: &[u8], now: Instant) -> bool {
        self.answered += 1;
        self.span.note(now);
        if self.size >= LARGE {
            out.repeat(&self.large, self.large.len() as u64);
            return true;
        }
        let Some(id) = payload.strip_prefix(WORK).and_then(|rest| rest.split(|&byte| byte == b'"').next()) else {
            return false;
        };
        self.text.clear();
        self.text.extend(RESULT.as_bytes());
        self.text.extend(id);
        self.text.extend(self.rest.as_bytes());
        out.push_text(self.texts.mask(), &self.text);
        true
    }

    fn is_done(&self, fleet: &Fleet) -> bool {
        self.answered >= self.messages && fleet.all_sent()
    }

    fn report(&mut self) -> Value {
        counted(self.answered, self.span)
    }
}
