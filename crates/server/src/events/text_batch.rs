//! Messages of one peer that travel to the application together.

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

/// Short ASCII texts in the order in which they came.
#[derive(Debug, Default)]
pub struct TextBatch {
    joined: String,
    lengths: Vec<u32>,
}

impl TextBatch {
    /// Whether a text may be among them. In others a position in bytes is none in a JavaScript string.
    pub fn takes(text: &str) -> bool {
        text.len() <= MAX_JOINED_BYTES && text.is_ascii()
    }

    /// Puts a text at the end.
    #[allow(clippy::cast_possible_truncation, reason = "`takes` was asked")]
    pub fn push(&mut self, text: &str) {
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
        self.lengths.push(text.len() as u32);
    }

    /// All texts, as JSON arrays of up to [`ARRAY_TEXTS`], one behind the other.
    pub fn joined(&self) -> &str {
        &self.joined
    }

    /// See [`TextBatch::joined`].
    pub fn into_joined(self) -> String {
        self.joined
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lengths.iter().enumerate().scan(0, |at, (number, &length)| {
            // Behind a bracket or a comma, and, where a new array begins, the bracket before that.
            let start = *at + 1 + usize::from(number > 0 && number.is_multiple_of(ARRAY_TEXTS));
            *at = start + length as usize;
            self.joined.get(start..*at)
        })
    }

    /// The length of each, in bytes.
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
        self.joined.len() + self.lengths.len() * EVENT_BYTES
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
}
