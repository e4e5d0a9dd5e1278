//! What has come from a peer, on its way to its [`Consumer`]: decoded as far as the consumer is ready for it.

use std::collections::VecDeque;

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::consumer::Consumer;
use super::decoder::Decoder;
use crate::outbox::Outbox;
use worker_server_core::protocol::Closing;

/// As much may be kept while a consumer is not ready that looks ahead. What came together with the message for which it
/// is not ready may exceed it, and a record of TLS.
const AHEAD_BYTES: usize = 4 << 10;

/// What a client's control frame has around its payload.
const CONTROL_HEADER_BYTES: usize = 6;

/// What has come, on its way to the consumer.
pub struct Inbound {
    decoder: Decoder,
    /// What was read and could not be given yet, the consumer not being ready.
    pub held: Option<Vec<u8>>,
    /// What was found by looking ahead of what the consumer is ready for. Made when it looks.
    ahead: Option<Box<Ahead>>,
    /// The peer's close frame. In a box, since it comes once.
    pub closed: Option<Box<(u16, Utf8Bytes)>>,
}

/// What a consumer that is not ready has looked at.
#[derive(Default)]
struct Ahead {
    /// What comes before anything else that is given, each with this side's answer, if it is a close frame.
    messages: VecDeque<(Message, Vec<u8>)>,
    /// Bytes that the decoder took meanwhile, but for control frames that were handed over.
    bytes: usize,
    /// The peer's close frame is among the messages: nothing comes behind it.
    is_closed: bool,
}

impl Inbound {
    /// Nothing has come but what is `held`.
    pub fn new(max_message_bytes: usize, held: Option<Vec<u8>>) -> Self {
        Self { decoder: Decoder::new(max_message_bytes), held, ahead: None, closed: None }
    }

    /// Whether there is something for a consumer that is ready again.
    pub fn keeps_something(&self) -> bool {
        self.held.is_some() || self.ahead.is_some()
    }

    /// The peer's close frame, wherever it is by now: the connection is over.
    pub fn take_close(&mut self) -> Option<(u16, Utf8Bytes)> {
        let ahead = || match self.ahead.as_mut()?.messages.pop_back()? {
            (Message::Close(frame), _) => Some(code_and_reason(frame)),
            _ => None,
        };
        self.closed.take().map(|close| *close).or_else(ahead)
    }

    /// How many bytes more may be looked at.
    pub fn room_ahead(&self) -> usize {
        match &self.ahead {
            None => AHEAD_BYTES,
            Some(ahead) if ahead.is_closed => 0,
            Some(ahead) => AHEAD_BYTES.saturating_sub(ahead.bytes),
        }
    }

    /// Bytes that are kept for a consumer that is not ready.
    fn kept(&self) -> usize {
        self.held.as_ref().map_or(0, Vec::len) + self.ahead.as_ref().map_or(0, |ahead| ahead.bytes)
    }

    /// What was looked at first, for a consumer that is ready again.
    fn next_ahead(&mut self) -> Option<(Message, Vec<u8>)> {
        let next = self.ahead.as_mut()?.messages.pop_front();
        if next.is_none() {
            self.ahead = None;
        }
        next
    }

    /// Keeps what a consumer is not ready for. Control frames are none of that, but for a close frame behind a message.
    fn keep_ahead(&mut self, message: Message, answer: &mut Vec<u8>) -> Option<Message> {
        let ahead = self.ahead.get_or_insert_default();
        let is_close = matches!(message, Message::Close(_));
        let is_control = is_close || matches!(message, Message::Ping(_) | Message::Pong(_));
        if is_control && (ahead.messages.is_empty() || !is_close) {
            // Nothing of it is kept.
            ahead.bytes = ahead.bytes.saturating_sub(CONTROL_HEADER_BYTES + message.len());
            return Some(message);
        }
        ahead.is_closed = is_close;
        ahead.messages.push_back((message, std::mem::take(answer)));
        None
    }

    /// Takes bytes of the peer, and passes the messages in them on until the consumer is not ready for more.
    pub fn feed(&mut self, mut input: &[u8], outbox: &Outbox, consumer: &mut impl Consumer) -> Option<Closing> {
        let mut answer = Vec::new();
        let violation = loop {
            let is_ready = consumer.is_ready();
            let may_look = consumer.looks_ahead() && self.room_ahead() > 0;
            if is_ready && let Some((message, mut answer)) = self.next_ahead() {
                self.give(message, &mut answer, outbox, consumer);
            } else if is_ready || may_look {
                let length = input.len();
                let next = self.decoder.next(&mut input, &mut answer);
                if !is_ready {
                    self.ahead.get_or_insert_default().bytes += length - input.len();
                }
                match next {
                    Ok(Some(message)) => {
                        let message = if is_ready { Some(message) } else { self.keep_ahead(message, &mut answer) };
                        if let Some(message) = message {
                            self.give(message, &mut answer, outbox, consumer);
                        }
                    }
                    Ok(None) => break None,
                    Err(violation) => break Some(violation),
                }
            } else {
                self.held = Some(input.to_vec());
                break None;
            }
            if self.closed.is_some() {
                break None;
            }
        };
        if consumer.looks_ahead() {
            consumer.on_kept(self.kept());
        }
        consumer.on_pause();
        violation.map(|violation| {
            consumer.on_violation(&violation);
            violation.closing
        })
    }

    fn give(&mut self, message: Message, answer: &mut Vec<u8>, outbox: &Outbox, consumer: &mut impl Consumer) {
        match message {
            Message::Text(text) => consumer.on_text(text),
            Message::Binary(data) => consumer.on_binary(data),
            Message::Ping(_) => outbox.send_control(&std::mem::take(answer)),
            Message::Pong(_) => consumer.on_pong(),
            Message::Close(frame) => {
                consumer.on_unwritable();
                outbox.answer_close(answer);
                self.closed = Some(Box::new(code_and_reason(frame)));
            }
            Message::Frame(_) => {}
        }
    }
}

/// What a close frame says. One that says nothing counts as 1005 (RFC 6455, section 7.1.5).
fn code_and_reason(frame: Option<CloseFrame>) -> (u16, Utf8Bytes) {
    frame.map_or((1005, Utf8Bytes::default()), |frame| (frame.code.into(), frame.reason))
}
