//! Chunks of a stream that follow each other: behind the first, all that is new in a message is its data.
//!
//! Only messages in the very form of docs/PROTOCOL.md are known here, as `JSON.stringify` writes them: no white space,
//! the members in order, and none beside them. Any other is a message like all others.

use std::num::NonZeroU32;

use super::scan::skip_value;

const OPENING: &str = r#"{"type":"request_chunk","requestId":""#;
const ATTEMPT: &str = r#"","attempt":"#;
const SEQ: &str = r#","seq":"#;
const DATA: &str = r#","data":"#;

/// What the next chunk of a stream begins with, and its number. Each connection has room for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// How much of the text before is the same in the next: all before the number. In bytes.
    head: NonZeroU32,
    /// The next one's number.
    pub seq: u32,
}

impl Next {
    /// What both begin with, of a text that begins with the first one.
    pub fn head<'a>(&self, text: &'a str) -> &'a str {
        text.get(..self.head.get() as usize).unwrap_or_default()
    }
}

/// What comes next, if the text is a chunk. What its data is does not matter.
pub fn next_after(text: &str) -> Option<Next> {
    let rest = text.strip_prefix(OPENING)?;
    // An escape in the id would be no mistake, but nobody writes ids that need one.
    let (id, rest) = rest.split_at_checked(rest.find(['"', '\\'])?)?;
    let (_, rest) = number(rest.strip_prefix(ATTEMPT)?)?;
    let head = NonZeroU32::new(u32::try_from(text.len() - rest.len() + SEQ.len()).ok()?)?;
    let (seq, rest) = number(rest.strip_prefix(SEQ)?)?;
    (!id.is_empty() && rest.starts_with(DATA)).then_some(Next { head, seq: seq.checked_add(1)? })
}

/// The data of a text that begins with `head` and goes on with that number, if it is JSON and has no other members.
pub fn data_of<'a>(text: &'a str, head: &str, seq: u32) -> Option<&'a str> {
    let (found, rest) = number(text.strip_prefix(head)?)?;
    let data = rest.strip_prefix(DATA)?.strip_suffix('}')?;
    (found == seq && skip_value(data.as_bytes(), 0) == Some(data.len())).then_some(data)
}

/// The text of which [`data_of`] finds the data.
pub fn text_of(head: &str, seq: u32, data: &str) -> String {
    format!("{head}{seq}{DATA}{data}}}")
}

/// The whole number that a text begins with, as JSON writes it, and what is behind it.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|digit: char| !digit.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(end)?;
    let is_plain = digits == "0" || !digits.starts_with('0');
    is_plain.then(|| digits.parse().ok().map(|number| (number, rest)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"type":"request_chunk","requestId":"r-1","attempt":2,"seq":9,"data":{"a":1}}"#;
    const HEAD: &str = r#"{"type":"request_chunk","requestId":"r-1","attempt":2,"seq":"#;

    #[test]
    fn the_next_chunk_has_the_next_number_behind_the_same_head() {
        let next = next_after(FIRST).unwrap();
        assert_eq!((next.head(FIRST), next.seq), (HEAD, 10));
        for data in ["null", "{\"a\":{\"}\":[1,2]}}", "\"},\\\"\"", "-1.5e3", "[]"] {
            let text = text_of(HEAD, 10, data);
            assert_eq!(data_of(&text, HEAD, 10), Some(data), "{text}");
        }
    }

    #[test]
    fn what_has_another_form_is_no_chunk_here() {
        for text in [
            "{}",
            r#"{ "type":"request_chunk","requestId":"r","attempt":1,"seq":0,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"\u0072","attempt":1,"seq":0,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"","attempt":1,"seq":0,"data":1}"#,
            r#"{"type":"request_chunk","requestId":7,"attempt":1,"seq":0,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"r","seq":0,"attempt":1,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"r","attempt":1,"seq":1.0,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"r","attempt":1,"seq":1e3,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"r","attempt":1,"seq":-1,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"r","attempt":1,"seq":4294967295,"data":1}"#,
            r#"{"type":"request_chunk","requestId":"r","attempt":1,"seq":0}"#,
            r#"{"type":"request_result","requestId":"r","attempt":1,"data":1}"#,
        ] {
            assert_eq!(next_after(text), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_follow_is_none() {
        for (text, why) in [
            (text_of(HEAD, 11, "1"), "a number is skipped"),
            (text_of(HEAD, 9, "1"), "the same again"),
            (text_of(&HEAD.replace("r-1", "r-2"), 10, "1"), "another request"),
            (text_of(&HEAD.replace(":2", ":3"), 10, "1"), "another attempt"),
            (text_of(HEAD, 10, r#"1,"seq":7"#), "a member behind it"),
            (text_of(HEAD, 10, ""), "no data"),
            (text_of(HEAD, 10, "{"), "no JSON"),
            (text_of(HEAD, 10, "1 "), "white space"),
            (text_of(HEAD, 10, "1") + " ", "white space behind it"),
            (format!(r#"{HEAD}010,"data":1}}"#), "no JSON number"),
            (format!(r#"{HEAD}10,"data":1"#), "no end"),
        ] {
            assert_eq!(data_of(&text, HEAD, 10), None, "{why}: {text}");
        }
    }
}
