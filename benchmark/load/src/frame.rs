//! WebSocket frames, as far as a load generator needs them: masked ones are written in bulk, the server's are counted in bulk.

/// Payloads beyond this size are counted and not kept.
const KEPT: usize = 64 * 1024;

/// Lengths that say that the length follows in two bytes, or in eight.
const IN_TWO_BYTES: u8 = 0x7e;
const IN_EIGHT_BYTES: u8 = 0x7f;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Appends a masked text frame. The mask must not be zero: some servers skip the work then.
pub fn append_text(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) {
    append(out, TEXT, mask, payload);
}

/// Appends a masked answer to a ping.
pub fn append_pong(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) {
    append(out, PONG, mask, payload);
}

fn append(out: &mut Vec<u8>, opcode: u8, mask: [u8; 4], payload: &[u8]) {
    let length = payload.len();
    out.push(FIN | opcode);
    if let Ok(short @ ..IN_TWO_BYTES) = u8::try_from(length) {
        out.push(MASKED | short);
    } else if let Ok(medium) = u16::try_from(length) {
        out.push(MASKED | IN_TWO_BYTES);
        out.extend(medium.to_be_bytes());
    } else {
        out.push(MASKED | IN_EIGHT_BYTES);
        out.extend((length as u64).to_be_bytes());
    }
    out.extend(mask);
    let start = out.len();
    out.extend(payload);
    for word in out[start..].chunks_mut(4) {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

/// What a server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A text or binary message. The payload of a very large one is left out.
    Message(&'a [u8]),
    /// A ping.
    Ping(&'a [u8]),
    /// A close frame.
    Close,
    /// Something that no server of these benchmarks should send.
    Unexpected,
}

/// Splits what arrives into frames.
#[derive(Debug, Default)]
pub struct Frames {
    /// The start of a frame whose rest is to come.
    partial: Vec<u8>,
    /// What is to come of a payload that isn't kept.
    skip: u64,
}

impl Frames {
    /// Takes bytes in and hands on each frame that is complete.
    pub fn take(&mut self, bytes: &[u8], mut each: impl FnMut(Received)) {
        if self.partial.is_empty() {
            let used = self.split(bytes, &mut each);
            self.partial.extend(&bytes[used..]);
        } else {
            let mut all = std::mem::take(&mut self.partial);
            all.extend(bytes);
            let used = self.split(&all, &mut each);
            if used < all.len() {
                all.drain(..used);
                self.partial = all;
            }
        }
    }

    /// Returns how many bytes are dealt with.
    fn split(&mut self, bytes: &[u8], each: &mut impl FnMut(Received)) -> usize {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
                self.skip -= skipped as u64;
                at += skipped;
                if self.skip > 0 {
                    return at;
                }
                each(Received::Message(&[]));
                continue;
            }
            let Some((head, length)) = head(rest) else { return at };
            let opcode = rest[0] & 0x0f;
            if length > KEPT && matches!(opcode, TEXT | BINARY) && rest[0] & FIN != 0 {
                self.skip = length as u64;
                at += head;
                continue;
            }
            let Some(payload) = rest.get(head..head + length) else { return at };
            each(match opcode {
                _ if rest[0] & FIN == 0 => Received::Unexpected,
                TEXT | BINARY => Received::Message(payload),
                PING => Received::Ping(payload),
                CLOSE => Received::Close,
                _ => Received::Unexpected,
            });
            at += head + length;
        }
    }
}

/// The length of an unmasked frame's head and of its payload, once the head is there.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.get(1)? & 0x7f {
        IN_TWO_BYTES => Some((4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)))),
        IN_EIGHT_BYTES => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            Some((10, usize::try_from(length).unwrap_or(usize::MAX)))
        }
        short => Some((2, usize::from(short))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        append_text(&mut frame, [0; 4], payload);
        let mask_at = frame.len() - payload.len() - 4;
        frame.drain(mask_at..mask_at + 4);
        frame[1] &= 0x7f;
        frame
    }

    #[test]
    fn frames_of_every_length_are_split_wherever_the_bytes_are_cut() {
        let payloads: Vec<Vec<u8>> = [0, 1, 125, 126, 200, 65_535, 65_536, 70_000].map(|n| vec![b'x'; n]).into();
        let bytes: Vec<u8> = payloads.iter().flat_map(|payload| server_frame(payload)).collect();
        for cut in [1, 3, 7, 200, 4096, bytes.len()] {
            let mut frames = Frames::default();
            let mut lengths = Vec::new();
            for piece in bytes.chunks(cut) {
                frames.take(piece, |received| match received {
                    Received::Message(payload) => lengths.push(payload.len()),
                    other => panic!("{other:?}"),
                });
            }
            assert_eq!(lengths, [0, 1, 125, 126, 200, 65_535, 65_536, 0], "cut into pieces of {cut}");
        }
    }

    #[test]
    fn a_mask_applied_twice_gives_the_payload() {
        let mut frame = Vec::new();
        append_text(&mut frame, [1, 2, 3, 4], b"hello");
        let unmasked: Vec<u8> = frame[6..].iter().zip([1, 2, 3, 4, 1]).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(unmasked, b"hello");
        assert_eq!(frame[..6], [0x81, 0x85, 1, 2, 3, 4]);
    }
}
