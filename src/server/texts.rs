//! Messages of one peer that travel to the application together.

/// What a message costs beyond its bytes, roughly.
pub const EVENT_BYTES: usize = 128;
/// Longer texts travel by themselves, so that the common string stays short-lived and small.
const MAX_JOINED_BYTES: usize = 8 << 10;

/// Short ASCII texts, one behind the other, in the order in which they came.
#[derive(Debug, Default)]
pub struct Texts {
    joined: String,
    lengths: Vec<u32>,
}

impl Texts {
    /// Whether a text may be among them. In others a position in bytes is none in a JavaScript string.
    pub fn takes(text: &str) -> bool {
        text.len() <= MAX_JOINED_BYTES && text.is_ascii()
    }

    /// Puts a text at the end.
    #[allow(clippy::cast_possible_truncation, reason = "`takes` was asked")]
    pub fn push(&mut self, text: &str) {
        self.joined.push_str(text);
        self.lengths.push(text.len() as u32);
    }

    /// All texts in one.
    pub fn joined(&self) -> &str {
        &self.joined
    }

    /// All texts in one, to keep.
    pub fn into_joined(self) -> String {
        self.joined
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
        assert!(Texts::takes("{}"));
        assert!(!Texts::takes("\u{e9}"));
        assert!(Texts::takes(&"x".repeat(MAX_JOINED_BYTES)));
        assert!(!Texts::takes(&"x".repeat(MAX_JOINED_BYTES + 1)));
    }

    #[test]
    fn each_text_costs_more_than_its_bytes() {
        let mut texts = Texts::default();
        texts.push("abc");
        texts.push("d");
        assert_eq!((texts.joined(), texts.lengths()), ("abcd", &[3, 1][..]));
        assert_eq!(texts.charge(), 4 + 2 * EVENT_BYTES);
    }
}
