//! Frames that wait to be written, in few pieces of memory, and their way into the socket.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};

use crate::stream::WriteHalf;
use bytes::Bytes;

/// A piece of memory for short frames grows no further.
const CHUNK_BYTES: usize = 64 << 10;
/// By at least this many bytes one grows when a second frame comes.
const GROWTH_BYTES: usize = 3 << 10;
/// Pieces that are handed to the socket at once.
const SLICES: usize = 16;
/// A larger piece of memory is not used again.
const MAX_SPARE_BYTES: usize = 8 << 10;

/// Frames, one behind the other.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    queue: VecDeque<Chunk>,
    /// Bytes of the first chunk that were taken.
    written: usize,
}

/// Memory of short frames that were written.
#[derive(Debug, Default)]
pub struct SpareBuffer {
    queue: VecDeque<Chunk>,
    bytes: Vec<u8>,
}

impl SpareBuffer {
    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.bytes.capacity() == 0
    }
}

#[derive(Debug)]
enum Chunk {
    /// Short frames, one behind the other.
    Own(Vec<u8>),
    /// A frame that others may hold as well.
    Shared(Bytes),
    /// The payload of the frame whose header is the end of the chunk before.
    Payload(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) | Self::Payload(bytes) => bytes,
        }
    }
}

impl WriteBuffer {
    /// Whether all was written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Copies a short frame, given in parts, to the end. If nothing waits, it goes into memory that was used before, if
    /// there is some. Returns the bytes of the frame.
    pub fn copy(&mut self, parts: &[&[u8]], spares: &mut Vec<SpareBuffer>) -> usize {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.is_empty()
            && let Some(spare) = spares.pop()
        {
            self.queue = spare.queue;
            self.queue.push_back(Chunk::Own(spare.bytes));
        }
        if !matches!(self.queue.back(), Some(Chunk::Own(tail)) if tail.len() + length <= CHUNK_BYTES) {
            self.queue.push_back(Chunk::Own(Vec::new()));
        }
        let Some(Chunk::Own(tail)) = self.queue.back_mut() else { return 0 };
        if tail.capacity() < tail.len() + length {
            // A single frame takes what it needs. After that growing bit by bit would cost more than the bytes.
            let growth = if tail.is_empty() { length } else { length.max(GROWTH_BYTES) };
            tail.reserve(growth);
        }
        for part in parts {
            tail.extend_from_slice(part);
        }
        length
    }

    /// Puts a frame at the end.
    pub fn share(&mut self, frame: Bytes) {
        self.queue.push_back(Chunk::Shared(frame));
    }

    /// Puts the payload of a frame behind its header, which was copied.
    pub fn share_payload(&mut self, payload: Bytes) {
        self.queue.push_back(Chunk::Payload(payload));
    }

    /// Puts others at the end.
    pub fn append(&mut self, others: &mut Self) {
        self.queue.append(&mut others.queue);
    }

    /// Drops all chunks of which nothing was taken, nor is among the next `in_flight` bytes, and whose frame has not
    /// begun before. Returns the bytes that are left.
    pub fn cut(&mut self, in_flight: usize) -> usize {
        let begun = self.written + in_flight;
        let (mut chunks, mut bytes) = (0, 0);
        for chunk in &self.queue {
            if bytes >= begun && !matches!(chunk, Chunk::Payload(_)) {
                break;
            }
            chunks += 1;
            bytes += chunk.bytes().len();
        }
        self.queue.truncate(chunks);
        bytes - self.written
    }

    /// Writes as much as the socket takes, and removes what was taken. Returns the bytes of that, and in `spare` the
    /// memory that is no longer needed.
    pub fn write(&mut self, socket: &WriteHalf, spare: &mut SpareBuffer) -> (usize, Result<(), ErrorKind>) {
        let mut total = 0;
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
                let from = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&chunk.bytes()[from..]);
                count += 1;
            }
            match socket.try_write_vectored(&slices[..count]) {
                Ok(taken) => {
                    total += taken;
                    self.written += taken;
                    self.remove_written(spare);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (total, Err(error.kind())),
            }
        }
        spare.queue = std::mem::take(&mut self.queue);
        (total, Ok(()))
    }

    fn remove_written(&mut self, spare: &mut SpareBuffer) {
        while let Some(length) = self.queue.front().map(|chunk| chunk.bytes().len())
            && self.written >= length
        {
            self.written -= length;
            if let Some(Chunk::Own(mut bytes)) = self.queue.pop_front()
                && bytes.capacity() <= MAX_SPARE_BYTES
            {
                bytes.clear();
                spare.bytes = bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two short frames, the header of a third with its payload, and a fourth that others hold too: 6, 2 + 10 and 8
    /// bytes.
    fn waiting() -> WriteBuffer {
        let mut buffer = WriteBuffer::default();
        buffer.copy(&[b"one"], &mut Vec::new());
        buffer.copy(&[b"two"], &mut Vec::new());
        buffer.copy(&[b"##"], &mut Vec::new());
        buffer.share_payload(Bytes::from_static(b"0123456789"));
        buffer.share(Bytes::from_static(b"shared.."));
        buffer
    }

    #[test]
    fn a_cut_leaves_what_has_begun_to_leave_with_the_frames_that_belong_to_it() {
        for (written, in_flight, left) in [
            // Nothing has begun.
            (0, 0, 0),
            // The first chunk ends with a header, whose payload is the second.
            (1, 0, 17),
            (0, 1, 18),
            (3, 9, 15),
            // Bytes that were encrypted can't be taken back.
            (0, 18, 18),
            (0, 19, 26),
            (5, 21, 21),
        ] {
            let mut buffer = waiting();
            buffer.written = written;
            assert_eq!(buffer.cut(in_flight), left, "{written} written, {in_flight} in flight");
        }
    }

    #[test]
    fn a_cut_leaves_a_payload_whose_header_has_left() {
        let mut buffer = waiting();
        buffer.queue.pop_front();
        assert_eq!(buffer.cut(0), 10);
    }
}
