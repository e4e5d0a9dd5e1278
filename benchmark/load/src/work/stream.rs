//! Workers that answer each piece of work with a stream of chunks, as fast as the sockets take them.

use std::io;
use std::time::Instant;

use serde_json::Value;

use super::answer::id_after;
use super::{Span, Work, counted};
use crate::connection::Outbox;
use crate::consumer::Consumer;
use crate::fleet::Fleet;
use crate::frame;
use crate::text::Texts;

const WORK: &[u8] = br#"{"type":"work","requestId":""#;
const REQUEST: &[u8] = br#"{"type":"request","requestId":""#;
/// What is made and written at once, in bytes.
const PIECE: usize = 64 * 1024;

/// The answer to one piece of work, as far as it has come.
struct Answer {
    id: String,
    /// Whether the server speaks of requests itself, or the application of work.
    is_request: bool,
    sent: u64,
}

/// A stream for each request.
pub struct Stream {
    messages: u64,
    chunks: u64,
    size: usize,
    letters: String,
    texts: Texts,
    /// Each worker's answers, the first of them under way.
    answers: Vec<Vec<Answer>>,
    /// How many chunks were made.
    made: u64,
    piece: Vec<u8>,
    span: Span,
}

impl Stream {
    /// `messages` chunks in all, `chunks` for each piece of work, each in a message of `size` bytes.
    pub fn new(seed: u64, messages: u64, chunks: u64, size: usize) -> Self {
        let mut texts = Texts::new(seed);
        let letters = texts.padded("", "", size);
        let (answers, piece) = (Vec::new(), Vec::with_capacity(2 * PIECE));
        Self { messages, chunks, size, letters, texts, answers, made: 0, piece, span: Span::default() }
    }

    /// The next piece of a worker's stream.
    fn fill(&mut self, index: usize) {
        self.piece.clear();
        let Some(answer) = self.answers[index].first_mut() else { return };
        while self.piece.len() < PIECE {
            let Answer { id, is_request, sent } = answer;
            let is_last = *sent == self.chunks;
            let start = match (*is_request, is_last) {
                (true, false) => {
                    format!(r#"{{"type":"request_chunk","requestId":"{id}","attempt":1,"seq":{sent},"data":{{"text":""#)
                }
                (true, true) => {
                    format!(r#"{{"type":"request_result","requestId":"{id}","attempt":1,"data":{{"text":""#)
                }
                (false, false) => format!(r#"{{"type":"chunk","requestId":"{id}","seq":{sent},"data":{{"text":""#),
                (false, true) => format!(r#"{{"type":"result","requestId":"{id}","data":{{"text":""#),
            };
            let letters = self.size.saturating_sub(start.len() + 3);
            let text = format!(r#"{start}{}"}}}}"#, &self.letters[..letters]);
            frame::append_text(&mut self.piece, self.texts.mask(), text.as_bytes());
            if is_last {
                self.answers[index].remove(0);
                return;
            }
            *sent += 1;
            self.made += 1;
        }
    }
}

impl Consumer for Stream {
    fn message(&mut self, index: usize, _out: &mut Outbox, payload: &[u8], _now: Instant) -> bool {
        let request = id_after(REQUEST, payload);
        let Some(id) = request.or_else(|| id_after(WORK, payload)) else { return false };
        let id = String::from_utf8_lossy(id).into_owned();
        // The server may begin before `go` is read here.
        if self.answers.len() <= index {
            self.answers.resize_with(index + 1, Vec::new);
        }
        self.answers[index].push(Answer { id, is_request: request.is_some(), sent: 0 });
        true
    }
}

impl Work for Stream {
    fn go(&mut self, fleet: &mut Fleet, _now: Instant) -> io::Result<()> {
        self.answers.resize_with(fleet.len(), Vec::new);
        Ok(())
    }

    /// Fills every socket. One that takes no more says itself when it does again.
    fn tick(&mut self, fleet: &mut Fleet, now: Instant) {
        for index in 0..self.answers.len() {
            while !self.answers[index].is_empty() && fleet.has_sent(index) {
                self.fill(index);
                fleet.send(index, &self.piece);
                self.span.note(now);
            }
        }
    }

    fn is_done(&self, fleet: &Fleet) -> bool {
        self.made >= self.messages && self.answers.iter().all(Vec::is_empty) && fleet.all_sent()
    }

    fn report(&mut self) -> Value {
        counted(self.made, self.span)
    }
}
