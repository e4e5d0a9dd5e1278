//! A plain decoder of RFC 6455, to hold the server's against: it has all bytes at once, and no need to be fast.

use worker_server_core::session::{Action, Session};

/// How a connection may end.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// By the peer's close frame: its code, 1005 for none, and its reason.
    Closed(u16, String),
    /// The bytes end before anything is wrong.
    Lost,
    /// By the server, with this close code.
    Broken(u16),
}

/// What a peer says, from its first frame on.
#[derive(Debug)]
pub struct Conversation {
    /// What the application must be notified of, in order.
    pub told: Vec<String>,
    /// The payloads of its pings, in order.
    pub pings: Vec<Vec<u8>>,
    /// The ends that are right. Where several things are wrong at once, or something is wrong with what has not come
    /// whole, the RFC leaves it to the server what it sees first.
    pub ends: Vec<End>,
    /// A registration was refused: how the connection goes on is not compared.
    pub is_refused: bool,
}

#[derive(Debug)]
struct Header {
    fin: bool,
    opcode: u8,
    length: u64,
    mask: [u8; 4],
    faults: Vec<End>,
}

impl Conversation {
    /// Reads it. `max` is the largest message.
    pub fn read(mut bytes: &[u8], max: usize) -> Self {
        let mut conversation = Self { told: Vec::new(), pings: Vec::new(), ends: Vec::new(), is_refused: false };
        let mut session = Session::new();
        let mut message: Option<(bool, Vec<u8>)> = None;
        conversation.ends = loop {
            let is_text_broken = matches!(&message, Some((true, text)) if is_broken(text));
            let suspicion = is_text_broken.then_some(End::Broken(1007));
            let so_far = message.as_ref().map(|(_, data)| data.len());
            let Some(header) = Header::read(&mut bytes, so_far, max) else {
                break both(End::Lost, early_faults(bytes, so_far, max).into_iter().chain(suspicion));
            };
            if !header.faults.is_empty() {
                // What a server needs to have read of the frame to see the fault is up to it.
                let whole = bytes.len() as u64 >= header.length;
                break header.faults.into_iter().chain(suspicion).chain((!whole).then_some(End::Lost)).collect();
            }
            let Ok(length) = usize::try_from(header.length) else { unreachable!("it is beyond the limit") };
            let Some((payload, rest)) = bytes.split_at_checked(length) else {
                let partial = unmask(bytes, header.mask);
                let breaks = match (&message, header.opcode) {
                    (None, 1) => is_broken(&partial),
                    (Some((true, text)), 0) => is_broken(&[text, &partial[..]].concat()),
                    _ => false,
                };
                break both(End::Lost, suspicion.into_iter().chain(breaks.then_some(End::Broken(1007))));
            };
            bytes = rest;
            let payload = unmask(payload, header.mask);
            match header.opcode {
                8 => break closed(&payload).into_iter().chain(suspicion).collect(),
                9 => conversation.pings.push(payload),
                10 => {}
                opcode => {
                    let (is_text, mut data) = message.take().unwrap_or((opcode == 1, Vec::new()));
                    data.extend(payload);
                    if !header.fin {
                        message = Some((is_text, data));
                    } else if is_text && std::str::from_utf8(&data).is_err() {
                        break vec![End::Broken(1007)];
                    } else {
                        conversation.hear(&mut session, &String::from_utf8_lossy(&data));
                    }
                }
            }
        };
        conversation
    }

    fn hear(&mut self, session: &mut Session, text: &str) {
        match session.on_text(text, None) {
            Action::Register(_) => self.told.push(format!("registration {text}")),
            Action::Deliver => self.told.push(format!("message {text}")),
            Action::Refuse { .. } => self.is_refused = true,
            Action::Heartbeat { .. } | Action::Complain(_) | Action::Ignore => {}
        }
    }
}

fn both(end: End, more: impl IntoIterator<Item = End>) -> Vec<End> {
    std::iter::once(end).chain(more).collect()
}

impl Header {
    /// Takes a header from `bytes`, unless it is not whole. `so_far` is the length of the message that it may continue.
    fn read(bytes: &mut &[u8], so_far: Option<usize>, max: usize) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, at) = match second & 127 {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            length => (u64::from(length), 2),
        };
        let is_masked = second & 128 != 0;
        let mask = if is_masked { bytes.get(at..at + 4)?.try_into().ok()? } else { [0; 4] };
        *bytes = &bytes[if is_masked { at + 4 } else { at }..];
        let mut faults = faults_of(first, second, so_far.is_some());
        let is_control = first & 8 != 0;
        let beyond = if is_control { length > 125 } else { length > (max - so_far.unwrap_or(0)) as u64 };
        if beyond && !is_control || length > max as u64 {
            faults.push(End::Broken(1009));
        }
        if beyond && is_control {
            faults.push(End::Broken(1002));
        }
        Some(Self { fin: first & 128 != 0, opcode: first & 15, length, mask, faults })
    }
}

/// What is wrong with the first two bytes of a frame.
fn faults_of(first: u8, second: u8, continues: bool) -> Vec<End> {
    let opcode = first & 15;
    let is_wrong = first & 0x70 != 0
        || second & 128 == 0
        || match opcode {
            0 => !continues,
            1 | 2 => continues,
            // A short length in a long form is let pass, as in data frames; a long one is recognised by its value.
            8..=10 => first & 128 == 0,
            _ => true,
        };
    if is_wrong { vec![End::Broken(1002)] } else { Vec::new() }
}

/// What may be seen to be wrong with a header that has not come whole.
fn early_faults(bytes: &[u8], so_far: Option<usize>, max: usize) -> Vec<End> {
    let [first, rest @ ..] = bytes else { return Vec::new() };
    let masked = rest.first().copied().unwrap_or(128);
    let mut faults = faults_of(*first, masked, so_far.is_some());
    let mut padded = [bytes, &[0; 14]].concat();
    padded[1] |= if rest.is_empty() { 128 } else { 0 };
    faults.extend(Header::read(&mut &padded[..], so_far, max).into_iter().flat_map(|header| header.faults));
    faults
}

fn unmask(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// Whether no continuation makes this UTF-8.
fn is_broken(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_err_and(|error| error.error_len().is_some())
}

/// How a close frame of the peer ends the connection.
fn closed(payload: &[u8]) -> Vec<End> {
    let [first, second, reason @ ..] = payload else {
        return vec![if payload.is_empty() { End::Closed(1005, String::new()) } else { End::Broken(1002) }];
    };
    let code = u16::from_be_bytes([*first, *second]);
    match (code, std::str::from_utf8(reason)) {
        (1000..=1003 | 1007..=1013 | 3000..=4999, Err(_)) => vec![End::Broken(1007)],
        (1000..=1003 | 1007..=1013 | 3000..=4999, Ok(reason)) => vec![End::Closed(code, reason.to_owned())],
        // A code that may not be sent (tungstenite counts 1014 among them, which came late): the decoder answers with 1002, and
        // says that this is what came.
        (_, reason) => {
            let mut ends = vec![End::Closed(1002, "Protocol violation".to_owned())];
            ends.extend(reason.is_err().then_some(End::Broken(1007)));
            ends
        }
    }
}

/// What the server sent.
#[derive(Debug, Default)]
pub struct Answers {
    /// The payloads of its pongs, in order.
    pub pongs: Vec<Vec<u8>>,
    /// The payload of its close frame.
    pub close: Option<Vec<u8>>,
}

impl Answers {
    /// Reads the response and the frames behind it, each of which must be well-formed.
    pub fn read(received: &[u8]) -> Self {
        let head = received.windows(4).position(|end| end == b"\r\n\r\n").expect("a whole response");
        assert!(received.starts_with(b"HTTP/1.1 101 "), "the handshake is accepted");
        let mut bytes = &received[head + 4..];
        let mut answers = Self::default();
        while let [first, second, rest @ ..] = bytes {
            assert!(answers.close.is_none(), "nothing follows the close frame");
            assert_eq!(first & 0xf0, 0x80, "whole frames without extensions");
            let (length, at) = match second {
                0..=125 => (usize::from(*second), 0),
                126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
                _ => panic!("a mask, or more than the server has to say"),
            };
            assert!(at == 0 || length > 125, "the shortest form of the length");
            let payload = &rest[at..at + length];
            bytes = &rest[at + length..];
            match first & 15 {
                1 => assert!(serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok(), "JSON"),
                8 => answers.close = Some(payload.to_vec()),
                9 => {}
                10 => answers.pongs.push(payload.to_vec()),
                opcode => panic!("a frame of type {opcode}"),
            }
            assert!(first & 8 == 0 || length <= 125, "control frames are short");
        }
        answers
    }
}
