//! The WebSocket decoder of a connection without its socket: bytes in, messages and answers out.

use std::io::{self, ErrorKind, Read, Write};

use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frame_tracker::FrameTracker;
use worker_server_core::protocol::Closing;

/// What the decoder reads at once. It keeps what has not come whole.
const BUFFER_BYTES: usize = 512;

/// What a peer did that its connection must be closed for.
#[derive(Debug)]
pub struct Violation {
    /// How to close.
    pub closing: Closing,
    /// What is wrong, for the log.
    pub error: Error,
}

/// The server's end of a WebSocket.
#[derive(Debug)]
pub struct Decoder {
    max_message_bytes: usize,
    /// While something has begun to come. Between messages it has nothing to remember, and an idle connection needs
    /// none.
    context: Option<Box<WebSocketContext>>,
    frame_tracker: FrameTracker,
}

impl Decoder {
    /// A decoder for messages of up to `max_message_bytes`.
    pub fn new(max_message_bytes: usize) -> Self {
        Self { max_message_bytes, context: None, frame_tracker: FrameTracker::default() }
    }

    /// The next message in `input`, of which it takes what it needs. `None` when the rest is no whole message. The
    /// answer to a ping or a close frame is put into `answer`.
    ///
    /// # Errors
    /// If the peer breaks the protocol or a limit; nothing more can be read then.
    pub fn next(&mut self, input: &mut &[u8], answer: &mut Vec<u8>) -> Result<Option<Message>, Violation> {
        let context = self.context.get_or_insert_with(|| {
            let config = WebSocketConfig::default()
                .read_buffer_size(BUFFER_BYTES)
                .max_message_size(Some(self.max_message_bytes))
                .max_frame_size(Some(self.max_message_bytes));
            Box::new(WebSocketContext::new(Role::Server, Some(config)))
        });
        let mut duplex = Duplex { input, answer, frame_tracker: &mut self.frame_tracker };
        let message = match context.read(&mut duplex) {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                if self.frame_tracker.is_whole() {
                    self.context = None;
                }
                return Ok(None);
            }
            Err(error) => return Err(Violation { closing: closing_for(&error), error }),
        };
        if matches!(message, Message::Ping(_) | Message::Close(_)) {
            // The answer was made already. After a close frame this is an error, of no interest here.
            context.flush(&mut duplex).ok();
        }
        Ok(Some(message))
    }
}

fn closing_for(error: &Error) -> Closing {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Closing::TOO_BIG,
        Error::Utf8(_) => Closing::INVALID_UTF8,
        _ => Closing::PROTOCOL_ERROR,
    }
}

/// What the decoder reads from and writes to, in memory.
struct Duplex<'a, 'b> {
    input: &'a mut &'b [u8],
    answer: &'a mut Vec<u8>,
    frame_tracker: &'a mut FrameTracker,
}

impl Read for Duplex<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        if length == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.frame_tracker.pass(&buffer[..length]);
        Ok(length)
    }
}

impl Write for Duplex<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: [u8; 8] = [0x81, 0x82, 0, 0, 0, 0, b'o', b'k'];

    fn read(decoder: &mut Decoder, mut input: &[u8]) -> usize {
        std::iter::from_fn(|| decoder.next(&mut input, &mut Vec::new()).unwrap()).count()
    }

    #[test]
    fn between_messages_it_keeps_nothing() {
        let mut decoder = Decoder::new(1024);
        assert!(decoder.context.is_none());
        assert_eq!(read(&mut decoder, &[TEXT, TEXT].concat()), 2);
        assert!(decoder.context.is_none());
        assert_eq!(read(&mut decoder, &[]), 0);
        assert!(decoder.context.is_none());
    }

    #[test]
    fn what_has_begun_it_keeps_until_it_is_whole() {
        let mut decoder = Decoder::new(1024);
        for cut in 1..TEXT.len() {
            assert_eq!(read(&mut decoder, &TEXT[..cut]), 0);
            assert!(decoder.context.is_some());
            assert_eq!(read(&mut decoder, &TEXT[cut..]), 1);
            assert!(decoder.context.is_none());
        }
        let [begin, end] = [[0x01, 0x81, 0, 0, 0, 0, b'o'], [0x80, 0x81, 0, 0, 0, 0, b'k']];
        assert_eq!(read(&mut decoder, &begin), 0);
        assert!(decoder.context.is_some());
        assert_eq!(read(&mut decoder, &end), 1);
        assert!(decoder.context.is_none());
    }
}
