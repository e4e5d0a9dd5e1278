//! Messages of one peer that travel to the application together.

use std::borrow::Cow;

use worker_server_core::chunk::{self, Next};

/// What a message costs beyond its bytes, roughly.
pub const EVENT_BYTES: usize = 128;
/// Longer texts travel by themselves, so that the common string stays short-lived and small.
pub const MAX_JOINED_BYTES: usize = 8 << 10;

/// Those around a text that makes an array of its own.
const BRACKETS_BYTES: usize = 2;
/// Room that is made when a second text comes, in bytes: more will follow.
const GROWTH_BYTES: usize = 2 << 10;

/// How many texts make one JSON array: all of it is parsed before the first of them is handled.
pub const ARRAY_TEXTS: usize = 16;

/// The bits of a field of [`TextBatch::lengths`] that are the length of what is there. Above them stands, if that is
/// only the data of a chunk, the length of its message.
pub const LENGTH_BITS: u32 = 14;
const _: () = assert!(MAX_JOINED_BYTES < 1 << LENGTH_BITS && LENGTH_BITS * 2 <= u32::BITS);

/// Short ASCII texts in the order in which they came. Of a chunk that follows the one before it there is only the data:
/// the application's thread need not read the rest again and again.
#[derive(Debug, Default)]
pub struct TextBatch {
    joined: String,
    lengths: Vec<u32>,
    /// Bytes of messages that are not there.
    left_out: u32,
    /// The stream of the last message, if that is a chunk.
    stream: Option<Stream>,
}

/// A stream whose next chunk is expected: what all of them begin with is where the first one's text is.
#[derive(Clone, Copy, Debug)]
struct Stream {
    at: u32,
    next: Next,
}

impl TextBatch {
    /// Whether a text may be among them. In others a position in bytes is none in a JavaScript string.
    pub fn takes(text: &str) -> bool {
        text.len() <= MAX_JOINED_BYTES && text.is_ascii()
    }

    /// Puts a text at the end.
    #[allow(clippy::cast_possible_truncation, reason = "`takes` was asked")]
    pub fn push(&mut self, text: &str) {
        self.add(text, text.len() as u32);
        // Behind it is the bracket.
        let at = (self.joined.len() - 1 - text.len()) as u32;
        self.stream = chunk::next_after(text).map(|next| Stream { at, next });
    }

    /// Puts a text at the end if it is the next chunk of the stream whose chunk is the last one there. If not, nothing
    /// has changed.
    #[allow(clippy::cast_possible_truncation, reason = "`takes` was asked")]
    pub fn push_next_chunk(&mut self, text: &str) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let Next { seq, .. } = stream.next;
        let head = stream.next.head(self.joined.get(stream.at as usize..).unwrap_or_default());
        let Some(data) = chunk::data_of(text, head, seq).filter(|_| Self::takes(text)) else { return false };
        let Some(following) = seq.checked_add(1) else { return false };
        stream.next.seq = following;
        self.add(data, data.len() as u32 | (text.len() as u32) << LENGTH_BITS);
        self.left_out += (text.len() - data.len()) as u32;
        true
    }

    fn add(&mut self, text: &str, length: u32) {
        // One that comes alone takes one piece of memory of its size: the application's thread frees it, and the two
        // would wait for each other.
        let room = text.len() + BRACKETS_BYTES;
        self.joined.reserve(if self.lengths.is_empty() { room } else { room.max(GROWTH_BYTES) });
        if self.lengths.len().is_multiple_of(ARRAY_TEXTS) {
            self.joined.push('[');
        } else {
            self.joined.pop();
            self.joined.push(',');
        }
        self.joined.push_str(text);
        self.joined.push(']');
        self.lengths.push(length);
    }

    /// All that is there, as JSON arrays of up to [`ARRAY_TEXTS`], one behind the other.
    pub fn joined(&self) -> &str {
        &self.joined
    }

    /// See [`TextBatch::joined`].
    pub fn into_joined(self) -> String {
        self.joined
    }

    /// The messages, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let mut stream = ("", 0);
        self.lengths.iter().enumerate().scan(0, move |at, (number, &length)| {
            // Behind a bracket or a comma, and, where a new array begins, the bracket before that.
            let start = *at + 1 + usize::from(number > 0 && number.is_multiple_of(ARRAY_TEXTS));
            *at = start + (length & ((1 << LENGTH_BITS) - 1)) as usize;
            let text = self.joined.get(start..*at)?;
            if length >> LENGTH_BITS == 0 {
                if let Some(next) = chunk::next_after(text) {
                    stream = (next.head(text), next.seq);
                }
                return Some(Cow::Borrowed(text));
            }
            let message = chunk::text_of(stream.0, stream.1, text);
            stream.1 += 1;
            Some(Cow::Owned(message))
        })
    }

    /// The length of each, in bytes: see [`LENGTH_BITS`].
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// What they cost their peer until they are handled.
    pub fn charge(&self) -> usize {
        self.joined.len() + self.left_out as usize + self.lengths.len() * EVENT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_ascii_texts_travel_together() {
        assert!(TextBatch::takes("{}"));
        assert!(!TextBatch::takes("\u{e9}"));
        assert!(TextBatch::takes(&"x".repeat(MAX_JOINED_BYTES)));
        assert!(!TextBatch::takes(&"x".repeat(MAX_JOINED_BYTES + 1)));
    }

    #[test]
    fn each_text_costs_more_than_its_bytes() {
        let mut texts = TextBatch::default();
        texts.push("abc");
        texts.push("d");
        assert_eq!(texts.lengths(), [3, 1]);
        assert_eq!(texts.charge(), "[abc,d]".len() + 2 * EVENT_BYTES);
    }

    #[test]
    fn they_make_arrays_of_so_many() {
        let mut texts = TextBatch::default();
        for number in 0..=ARRAY_TEXTS {
            texts.push(&number.to_string());
        }
        let first: Vec<_> = (0..ARRAY_TEXTS).map(|number| number.to_string()).collect();
        assert_eq!(texts.joined(), format!("[{}][{ARRAY_TEXTS}]", first.join(",")));
        assert!(texts.iter().eq((0..=ARRAY_TEXTS).map(|number| number.to_string())));
    }

    #[test]
    fn of_the_next_chunk_only_the_data_is_there_and_it_costs_as_much() {
        let text = |request: &str, seq: usize| {
            format!(r#"{{"type":"request_chunk","requestId":"{request}","attempt":1,"seq":{seq},"data":[{seq}]}}"#)
        };
        let messages = [
            text("a", 0),
            text("a", 1),
            text("a", 2),
            "{\"type\":\"x\"}".to_owned(),
            text("a", 3),
            text("b", 0),
            text("b", 2),
            text("b", 3),
        ];
        let (mut texts, mut whole) = (TextBatch::default(), TextBatch::default());
        for message in &messages {
            if !texts.push_next_chunk(message) {
                texts.push(message);
            }
            whole.push(message);
        }
        let are_whole: Vec<_> = texts.lengths().iter().map(|length| length >> LENGTH_BITS == 0).collect();
        assert_eq!(are_whole, [true, false, false, true, true, true, true, false]);
        assert_eq!(texts.lengths()[1], 3 | u32::try_from(messages[1].len()).unwrap() << LENGTH_BITS);
        assert!(texts.iter().eq(messages.clone()));
        assert!(texts.joined().len() < whole.joined().len());
        assert_eq!(texts.charge(), whole.charge());
    }

    #[test]
    fn a_stream_goes_on_over_many_arrays() {
        let text = |seq: usize| {
            format!(r#"{{"type":"request_chunk","requestId":"a","attempt":1,"seq":{seq},"data":{{"b":"{seq}"}}}}"#)
        };
        let mut texts = TextBatch::default();
        texts.push(&text(0));
        assert!((1..100).all(|seq| texts.push_next_chunk(&text(seq))));
        assert!(texts.iter().eq((0..100).map(text)));
    }
}
