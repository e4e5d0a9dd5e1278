//! The frames that the server sends (RFC 6455, section 5.2): unmasked, and never in fragments.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

/// Two bytes, and eight for a long length.
const MAX_HEADER_BYTES: usize = 10;

/// A frame as it goes over the wire.
pub fn encode(frame: Frame) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frame.len());
    // Writing to memory cannot fail.
    frame.format(&mut bytes).ok();
    bytes
}

/// The header of a text message of `length` bytes.
pub fn text_header(length: usize) -> Header {
    let mut header = Header { bytes: [0; MAX_HEADER_BYTES], length: 0 };
    let fields = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    let mut rest = &mut header.bytes[..];
    fields.format(length as u64, &mut rest).ok();
    header.length = MAX_HEADER_BYTES - rest.len();
    header
}

/// A text message, framed once for many.
pub fn text_frame(text: &str) -> Bytes {
    let header = text_header(text.len());
    [&header, text.as_bytes()].concat().into()
}

/// The bytes of a header.
pub struct Header {
    bytes: [u8; MAX_HEADER_BYTES],
    length: usize,
}

impl std::ops::Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_as_few_bytes_as_they_take() {
        assert_eq!(text_header(5)[..], [0x81, 5]);
        assert_eq!(text_header(125)[..], [0x81, 125]);
        assert_eq!(text_header(126)[..], [0x81, 126, 0, 126]);
        assert_eq!(text_header(65_535)[..], [0x81, 126, 255, 255]);
        assert_eq!(text_header(65_536)[..], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(text_frame("abc")[..], *b"\x81\x03abc");
    }

    #[test]
    fn a_ping_is_one_final_frame() {
        assert_eq!(encode(Frame::ping("x")), b"\x89\x01x");
    }
}
