//! Strings as `JSON.stringify` writes them (ECMA-262, `QuoteJSONString`).

use std::fmt::Write;

use super::scan::skip_plain;

/// Appends a text as a JSON string.
pub fn quote(text: &str, json: &mut String) {
    json.push('"');
    escape(text, json);
    json.push('"');
}

/// Appends a text in UTF-16 as a JSON string. Surrogates that have no other half are escaped.
pub fn quote_utf16(units: &[u16], json: &mut String) {
    json.push('"');
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(char) => escape(char.encode_utf8(&mut [0; 4]), json),
            Err(lone) => write_unit(lone.unpaired_surrogate(), json),
        }
    }
    json.push('"');
}

/// Appends what stands between the quotes.
fn escape(text: &str, json: &mut String) {
    let bytes = text.as_bytes();
    let mut start = 0;
    loop {
        // A special byte is ASCII, so these are boundaries of characters.
        let at = skip_plain(bytes, start);
        json.push_str(&text[start..at]);
        let Some(&byte) = bytes.get(at) else { return };
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            0x08 => json.push_str("\\b"),
            0x0c => json.push_str("\\f"),
            _ => write_unit(u16::from(byte), json),
        }
        start = at + 1;
    }
}

fn write_unit(unit: u16, json: &mut String) {
    // Writing to memory cannot fail.
    write!(json, "\\u{unit:04x}").ok();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut json = String::new();
        quote(text, &mut json);
        json
    }

    fn quoted_utf16(units: &[u16]) -> String {
        let mut json = String::new();
        quote_utf16(units, &mut json);
        json
    }

    /// Texts of which many characters mean something in JSON, and of which few do.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[\\x00-\\x7f]{0,80}",
            ".{0,80}",
            ("[a-z ]{0,200}", "[\"\\\\\n\u{7f}\u{e9}\u{2028}\u{1f600}]", "[a-z ]{0,200}")
                .prop_map(|(a, b, c)| a + &b + &c),
        ]
    }

    proptest! {
        #[test]
        fn a_text_is_written_as_serde_json_writes_it(text in text()) {
            prop_assert_eq!(quoted(&text), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn so_is_a_text_in_utf16(text in text()) {
            let units: Vec<_> = text.encode_utf16().collect();
            prop_assert_eq!(quoted_utf16(&units), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn surrogates_without_their_other_half_are_escaped() {
        let [a, high, low] = [0x61, 0xd83d, 0xde00];
        assert_eq!(quoted_utf16(&[high]), r#""\ud83d""#);
        assert_eq!(quoted_utf16(&[low, high, low, a]), "\"\\ude00\u{1f600}a\"");
        assert_eq!(quoted_utf16(&[a, high, 0x22, high]), r#""a\ud83d\"\ud83d""#);
    }
}
