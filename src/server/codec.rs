//! The WebSocket codec of a connection without its socket: bytes in, messages and answers out.

use std::io::{self, ErrorKind, Read, Write};

use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::core::protocol::Closing;

/// What the codec keeps for a frame that has not come whole. It grows for a longer one, and all the time of an idle
/// connection it costs as much as this.
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
pub struct Codec {
    context: WebSocketContext,
}

impl Codec {
    /// A codec for messages of up to `max_message_bytes`.
    pub fn new(max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        Self { context: WebSocketContext::new(Role::Server, Some(config)) }
    }

    /// The next message in `input`, of which it takes what it needs. `None` when the rest is no whole message. The answer to a
    /// ping or a close frame is put into `answer`.
    ///
    /// # Errors
    /// If the peer breaks the protocol or a limit; nothing more can be read then.
    pub fn next(&mut self, input: &mut &[u8], answer: &mut Vec<u8>) -> Result<Option<Message>, Violation> {
        let mut ends = Ends { input, answer };
        let message = match self.context.read(&mut ends) {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(Violation { closing: closing_for(&error), error }),
        };
        if matches!(message, Message::Ping(_) | Message::Close(_)) {
            // The answer was made already. After a close frame this is an error, of no interest here.
            self.context.flush(&mut ends).ok();
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

/// Both ends of the codec, in memory.
struct Ends<'a, 'b> {
    input: &'a mut &'b [u8],
    answer: &'a mut Vec<u8>,
}

impl Read for Ends<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
}

impl Write for Ends<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
