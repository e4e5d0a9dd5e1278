//! Where a peer's frames begin and end: enough to know when nothing of a message is outstanding.

/// The longest header: two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Opcodes from here on are control frames.
const CONTROL: u8 = 0x8;

/// A place in a stream of frames (RFC 6455, section 5.2).
#[derive(Debug, Default)]
pub struct FrameTracker {
    /// The header of the next frame, as far as it has come.
    header: [u8; LONGEST_HEADER],
    header_bytes: u8,
    /// What is missing of the payload.
    missing: u64,
    /// A message has begun whose last frame has not.
    is_in_message: bool,
}

impl FrameTracker {
    /// Whether everything that has begun has come to its end.
    pub fn is_whole(&self) -> bool {
        self.header_bytes == 0 && self.missing == 0 && !self.is_in_message
    }

    /// The stream goes on with these bytes.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let passed = usize::try_from(self.missing).unwrap_or(usize::MAX).min(bytes.len());
            self.missing -= passed as u64;
            bytes = &bytes[passed..];
            if bytes.is_empty() {
                return;
            }
            if self.header_bytes == 0
                && let Some(length) = self.begin_frame(bytes)
            {
                bytes = &bytes[length..];
                continue;
            }
            // A header in pieces.
            let (&first, rest) = bytes.split_first().unwrap_or((&0, &[]));
            self.header[usize::from(self.header_bytes)] = first;
            self.header_bytes += 1;
            bytes = rest;
            let header = self.header;
            if self.begin_frame(&header[..usize::from(self.header_bytes)]).is_some() {
                self.header_bytes = 0;
            }
        }
    }

    /// Takes the header that `bytes` begin with and returns its length, if all of it is there.
    fn begin_frame(&mut self, bytes: &[u8]) -> Option<usize> {
        let &[first, second, ..] = bytes else { return None };
        let (length_bytes, short) = match second & !MASKED {
            126 => (2, 0),
            127 => (8, 0),
            length => (0, u64::from(length)),
        };
        let header_length = 2 + length_bytes + if second & MASKED == 0 { 0 } else { 4 };
        let extended = bytes.get(..header_length)?.get(2..2 + length_bytes)?;
        self.missing = extended.iter().fold(short, |length, &byte| length << 8 | u64::from(byte));
        if first & 0xf < CONTROL {
            self.is_in_message = first & FIN == 0;
        }
        Some(header_length)
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    /// Frames of all lengths of headers, masked and not, among them a message in two parts with a ping between them.
    /// Behind each: whether it ends a message.
    fn frames() -> Vec<(Vec<u8>, bool)> {
        let message = |length: usize, is_final: bool, opcode: Data| {
            Frame::message(vec![7; length], OpCode::Data(opcode), is_final)
        };
        let mut frames = vec![
            (message(0, true, Data::Text), true),
            (message(125, true, Data::Binary), true),
            (message(126, false, Data::Text), false),
            (Frame::ping("ping"), false),
            (message(300, true, Data::Continue), true),
            (message(70_000, true, Data::Text), true),
            (Frame::pong(""), true),
        ];
        let mut written = Vec::new();
        for is_masked in [false, true] {
            for (frame, is_end) in &mut frames {
                if is_masked {
                    frame.header_mut().mask = Some([1, 2, 3, 4]);
                }
                let mut bytes = Vec::new();
                frame.clone().format(&mut bytes).unwrap();
                written.push((bytes, *is_end));
            }
        }
        written
    }

    #[test]
    fn a_stream_is_whole_behind_each_message_and_nowhere_else_however_it_is_cut() {
        for piece in [1, 2, 3, 5, 13, 4096, usize::MAX] {
            let mut frame_tracker = FrameTracker::default();
            assert!(frame_tracker.is_whole());
            for (frame, is_end) in frames() {
                for bytes in frame[..frame.len() - 1].chunks(piece.min(frame.len())) {
                    frame_tracker.pass(bytes);
                    assert!(!frame_tracker.is_whole());
                }
                frame_tracker.pass(&frame[frame.len() - 1..]);
                assert_eq!(frame_tracker.is_whole(), is_end);
            }
        }
    }

    #[test]
    fn frames_that_come_together_are_told_apart() {
        let all: Vec<u8> = frames().into_iter().flat_map(|(frame, _)| frame).collect();
        let mut frame_tracker = FrameTracker::default();
        frame_tracker.pass(&all);
        assert!(frame_tracker.is_whole());
        frame_tracker.pass(&all[..all.len() - 1]);
        assert!(!frame_tracker.is_whole());
    }
}
