//! Where the parts of a JSON text begin and end (RFC 8259, which is what `JSON.parse` accepts), without reading them.
//!
//! Every message of every worker is looked through, so this is written for speed: text in strings, which is most of
//! it, is passed over in steps of eight bytes or more. Nothing recurses, so a text may be nested as deep as it likes.

/// Long strings are passed over in steps of this many bytes.
const BLOCK_BYTES: usize = 64;

/// The first place from `at` on that is no white space.
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The end of the key that begins at `at`, and where its value begins. `None` if there is no key, or nothing behind it.
pub fn skip_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = text.get(at).filter(|&&first| first == b'"').and_then(|_| skip_string(text, at))?;
    let colon = skip_space(text, end);
    (*text.get(colon)? == b':').then(|| (end, skip_space(text, colon + 1)))
}

/// The end of the value that begins at `at`. `None` if there is none.
pub fn skip_value(text: &[u8], mut at: usize) -> Option<usize> {
    let mut open = Nesting::default();
    loop {
        // Here a value begins.
        at = match *text.get(at)? {
            b'"' => skip_string(text, at)?,
            first @ (b'{' | b'[') => {
                at = skip_space(text, at + 1);
                let is_object = first == b'{';
                if *text.get(at)? == if is_object { b'}' } else { b']' } {
                    at + 1
                } else {
                    open.push(is_object);
                    if is_object {
                        (_, at) = skip_key(text, at)?;
                    }
                    continue;
                }
            }
            b't' => skip_word(text, at, b"true")?,
            b'f' => skip_word(text, at, b"false")?,
            b'n' => skip_word(text, at, b"null")?,
            _ => skip_number(text, at)?,
        };
        // Here one has ended, and perhaps those around it.
        loop {
            let Some(is_in_object) = open.last() else { return Some(at) };
            at = skip_space(text, at);
            match (*text.get(at)?, is_in_object) {
                (b',', true) => {
                    (_, at) = skip_key(text, skip_space(text, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at = skip_space(text, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    open.pop();
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

fn skip_word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

fn skip_number(text: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(*text.get(at)? == b'-');
    at = if *text.get(at)? == b'0' { at + 1 } else { skip_digits(text, at)? };
    if text.get(at) == Some(&b'.') {
        at = skip_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = skip_digits(text, at)?;
    }
    Some(at)
}

/// The end of one or more digits.
fn skip_digits(text: &[u8], at: usize) -> Option<usize> {
    let count = text.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

/// The end of the string whose opening quote is at `at`.
fn skip_string(text: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        at = skip_plain(text, at);
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = skip_escape(text, at)?,
            _ => return None,
        }
    }
}

/// The first place from `at` on that has a byte that means something in a string: a quote, a backslash or a control
/// character. The end of the text if there is none.
pub fn skip_plain(text: &[u8], mut at: usize) -> usize {
    let far = at + BLOCK_BYTES;
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let special = special_bytes(u64::from_le_bytes(*bytes));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
        // A string that is long so far is likely to go on.
        if at >= far {
            at += BLOCK_BYTES * text[at..].chunks_exact(BLOCK_BYTES).take_while(|block| is_plain(block)).count();
        }
    }
    at + text[at..].iter().take_while(|&&byte| !is_special(byte)).count()
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

/// Looks at every byte, for that can be done for many at once.
fn is_plain(block: &[u8]) -> bool {
    !block.iter().fold(false, |found, &byte| found | is_special(byte))
}

fn skip_escape(text: &[u8], at: usize) -> Option<usize> {
    match *text.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 6),
        _ => None,
    }
}

/// Has the high bit of the lowest of the eight bytes that means something in a string: a quote, a backslash or a
/// control character. Bytes above that one are undefined. 0 if there is none.
fn special_bytes(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    // The high bit of each byte that is less than `limit`. A borrow can only add some above the lowest.
    let less = |word: u64, limit: u64| word.wrapping_sub(limit * EACH) & !word & HIGH;
    let is = |byte: u8| less(word ^ (u64::from(byte) * EACH), 1);
    less(word, 0x20) | is(b'"') | is(b'\\')
}

/// The arrays and objects that are open: a bit for each, true for an object.
#[derive(Default)]
struct Nesting {
    /// The innermost ones, the last as the lowest bit.
    bits: u64,
    count: usize,
    /// Those around them, 64 in each.
    outer: Vec<u64>,
}

impl Nesting {
    fn last(&self) -> Option<bool> {
        (self.count > 0).then_some(self.bits & 1 == 1)
    }

    fn push(&mut self, is_object: bool) {
        if self.count > 0 && self.count.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.count += 1;
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.count -= 1;
        if self.count.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// Pieces of which texts are made that are nearly JSON.
    const PIECES: [&str; 40] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\\"",
        "\\u12aF",
        "\\u12",
        "\\x",
        "\\ud800",
        "\n",
        " ",
        "\t\r",
        "\u{0}",
        "\u{1f}",
        "\u{7f}",
        "\u{e9}",
        "\u{1f600}",
        "\u{2028}",
        "a",
        "abcdefg",
        "abcdefgh",
        "\"key\":",
        "0",
        "-",
        "12",
        "01",
        "1.5",
        ".",
        "e",
        "E+",
        "1e5",
        "true",
        "false",
        "null",
        "nul",
        "\u{feff}",
    ];

    fn is_json(text: &str) -> bool {
        let bytes = text.as_bytes();
        skip_value(bytes, skip_space(bytes, 0)).is_some_and(|end| skip_space(bytes, end) == bytes.len())
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            prop::sample::select(&["null", "true", "false", "0", "-0.0", "12e-3", "\"\""][..]).prop_map(str::to_owned),
            ".*".prop_map(|text| serde_json::Value::from(text).to_string()),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            let key = ".{0,20}".prop_map(|text| serde_json::Value::from(text).to_string());
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
                prop::collection::vec((key, inner), 0..6).prop_map(|fields| {
                    let fields: Vec<_> = fields.into_iter().map(|(key, value)| format!("{key}\t: {value}")).collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_takes_for_json_is_json_and_nothing_else(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)
        ) {
            let text = pieces.concat();
            prop_assert_eq!(is_json(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn json_is_json_until_a_byte_of_it_is_another(text in json(), at: prop::sample::Index, byte in 0_u8..0x80) {
            prop_assert!(is_json(&text), "{}", text);
            let at = at.index(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                let mut text = text;
                text.replace_range(at..=at, char::from(byte).encode_utf8(&mut [0]));
                prop_assert_eq!(is_json(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn the_end_of_a_value_is_found_whatever_follows(text in json(), rest in prop::sample::select(&[",", "]", "}", " x"][..])) {
            let joined = format!("{text}{rest}");
            prop_assert_eq!(skip_value(joined.as_bytes(), 0), Some(text.len()));
        }
    }

    #[test]
    fn each_place_of_each_special_byte_in_a_word_is_found() {
        for byte in 0..=u8::MAX {
            let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
            for filler in [b'a', 0x20, 0x7f, 0x80, 0xff, b'#', b'!', b'[', b']'] {
                for place in 0..8 {
                    let mut bytes = [filler; 8];
                    bytes[place] = byte;
                    let special = special_bytes(u64::from_le_bytes(bytes));
                    assert_eq!(
                        special.trailing_zeros() / 8,
                        if is_special { u32::try_from(place).unwrap() } else { 8 }
                    );
                }
            }
        }
    }

    #[test]
    fn arrays_and_objects_nest_to_any_depth_and_close_in_order() {
        for depth in [1, 63, 64, 65, 127, 128, 129, 200_000] {
            let [open, close]: [String; 2] = [["[", "{\"a\":"], ["]", "}"]]
                .map(|[array, object]| (0..depth).map(|level| if level % 3 == 0 { object } else { array }).collect());
            let close: String = close.chars().rev().collect();
            assert!(is_json(&format!("{open}1{close}")), "{depth}");
            assert!(!is_json(&format!("{open}1{}", &close[1..])), "{depth}");
            assert!(!is_json(&format!("{open}1{close}]")), "{depth}");
        }
        assert!(!is_json("[{\"a\":1]}"));
    }
}
