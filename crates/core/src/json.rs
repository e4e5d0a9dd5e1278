//! Reading named fields of a JSON object without building the rest.
//!
//! The judge of an application's message is V8's `JSON.parse`; here texts are only looked into, and what
//! V8 would accept must be accepted: lone surrogates in keys and strings, numbers beyond a double, any depth,
//! and of duplicate keys the last.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::scan::{skip_key, skip_space, skip_value};

/// Why [`fields`] has nothing to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFields {
    /// The text is not JSON.
    NotJson,
    /// The text is JSON, but no object.
    NotAnObject,
}

/// The raw texts of the fields `names` of the object that `text` holds, in the order of `names`.
///
/// # Errors
/// If `text` is no JSON object.
pub fn fields<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Result<[Option<&'a str>; N], NoFields> {
    let bytes = text.as_bytes();
    let start = skip_space(bytes, 0);
    let mut found = [None; N];
    let is_object = bytes.get(start) == Some(&b'{');
    let end = if is_object { pick(text, start, &names, &mut found) } else { skip_value(bytes, start) };
    if end.is_none_or(|end| skip_space(bytes, end) != bytes.len()) {
        return Err(NoFields::NotJson);
    }
    if is_object { Ok(found) } else { Err(NoFields::NotAnObject) }
}

/// Looks through the object that begins at `at` for fields of these names. Returns its end.
fn pick<'a>(text: &'a str, mut at: usize, names: &[&str], found: &mut [Option<&'a str>]) -> Option<usize> {
    let bytes = text.as_bytes();
    at = skip_space(bytes, at + 1);
    if *bytes.get(at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        let (key_end, value) = skip_key(bytes, at)?;
        let end = skip_value(bytes, value)?;
        let key = string_bytes(text.get(at..key_end)?);
        if let Some(index) = names.iter().position(|name| Some(name.as_bytes()) == key.as_deref()) {
            found[index] = text.get(value..end);
        }
        at = skip_space(bytes, end);
        match *bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The members of an object in order of appearance, keys and values raw. `None` if `raw` is no object.
pub fn members(raw: &str) -> Option<Vec<(&str, &str)>> {
    let bytes = raw.as_bytes();
    let mut at = skip_space(bytes, 0);
    let mut found = Vec::new();
    if *bytes.get(at)? != b'{' {
        return None;
    }
    at = skip_space(bytes, at + 1);
    if *bytes.get(at)? == b'}' {
        return Some(found);
    }
    loop {
        let (key_end, value) = skip_key(bytes, at)?;
        let end = skip_value(bytes, value)?;
        found.push((raw.get(at..key_end)?, raw.get(value..end)?));
        at = skip_space(bytes, end);
        match *bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return Some(found),
            _ => return None,
        }
    }
}

/// The entries of an object whose keys are well-formed Unicode, in order of appearance, values raw.
/// `None` if `raw` is no object, or a key is not well-formed.
pub fn entries(raw: &str) -> Option<Vec<(String, &str)>> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                found.push((key, value.get()));
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(Entries).ok()
}

/// The elements of an array, raw. `None` if `raw` is no array.
pub fn elements(raw: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// The bytes of a JSON string (UTF-8, or WTF-8 where it holds lone surrogates). `None` for other values.
pub fn string_bytes(raw: &str) -> Option<Cow<'_, [u8]>> {
    let text = raw.strip_prefix('"')?.strip_suffix('"')?;
    if text.contains('\\') {
        serde_json::from_str::<Text>(raw).ok().map(|text| text.0)
    } else {
        Some(Cow::Borrowed(text.as_bytes()))
    }
}

/// A JSON string that is well-formed Unicode. `None` for other values.
pub fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// A JSON string as it can be shown: with U+FFFD for each half of a surrogate pair. `None` for other values.
pub fn shown_string(raw: &str) -> Option<String> {
    let bytes = string_bytes(raw)?;
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(chunk.valid());
        // The three bytes of such a half come one by one.
        if chunk.invalid().first() == Some(&0xed) {
            shown.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(shown)
}

/// A JSON number as JavaScript reads it: beyond a double's range it is infinite. `None` for other values.
pub fn number(raw: &str) -> Option<f64> {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then(|| raw.parse().ok())?
}

/// What kind of value a raw JSON text is, for messages to people.
pub fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A string's bytes, borrowed where the text holds no escape.
struct Text<'a>(Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Cow<'de, [u8]>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(bytes))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Cow::Owned(bytes.to_vec()))
            }
        }
        // Asked for bytes, serde_json lets lone surrogates pass, as V8 does.
        deserializer.deserialize_bytes(Bytes).map(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_fields_are_found_in_any_order_and_of_duplicates_the_last_counts() {
        let text = r#" {"b":[1,2],"x":{"a":0},"a":1,"a":"two"} "#;
        assert_eq!(fields(text, ["a", "b", "c"]), Ok([Some("\"two\""), Some("[1,2]"), None]));
    }

    #[test]
    fn a_key_is_found_however_it_is_escaped() {
        assert_eq!(fields(r#"{"\u0061":1}"#, ["a"]), Ok([Some("1")]));
    }

    #[test]
    fn what_v8_accepts_is_accepted() {
        let deep = format!(r#"{{"a":1,"deep":{}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
        for text in [r#"{"\ud800":"\udfff","a":1}"#, r#"{"a":1,"n":1e400}"#, r#"{"__proto__":{},"a":1}"#, &deep] {
            assert_eq!(fields(text, ["a"]), Ok([Some("1")]));
        }
    }

    #[test]
    fn what_is_no_object_is_told_from_what_is_no_json() {
        for text in ["null", "1", "[]", "\"{}\"", "\t true\n"] {
            assert_eq!(fields(text, ["a"]), Err(NoFields::NotAnObject), "{text}");
        }
        for text in
            ["", "{", "{}x", "{a:1}", "nul", "{\"a\":01}", "\u{feff}{}", "{'a':1}", "{\"a\":\"\n\"}", "{\"\n\":1}"]
        {
            assert_eq!(fields(text, ["a"]), Err(NoFields::NotJson), "{text}");
        }
    }

    #[test]
    fn a_number_beyond_a_double_is_infinite_as_in_javascript() {
        assert_eq!(number("1e400"), Some(f64::INFINITY));
        assert_eq!(number("-2.5"), Some(-2.5));
        assert_eq!(number("null"), None);
        assert_eq!(number("\"1\""), None);
    }

    #[test]
    fn the_members_of_an_object_are_raw_and_keep_their_order_and_duplicates() {
        assert_eq!(
            members(r#" { "b" : [1,{"x":2}] ,"\ud800":"}", "b":null } "#),
            Some(vec![(r#""b""#, r#"[1,{"x":2}]"#), (r#""\ud800""#, r#""}""#), (r#""b""#, "null")])
        );
        assert_eq!(members("{}"), Some(Vec::new()));
        for text in ["", "[]", "{", "{1:2}", r#"{"a":1"#, r#"{"a":1]"#] {
            assert_eq!(members(text), None, "{text}");
        }
    }

    #[test]
    fn a_lone_surrogate_is_a_string_but_not_well_formed() {
        assert!(string_bytes(r#""\ud800""#).is_some());
        assert_eq!(string(r#""\ud800""#), None);
        assert_eq!(shown_string(r#""a\ud800b\udfff\ud83d\ude00""#).as_deref(), Some("a\u{fffd}b\u{fffd}\u{1f600}"));
        assert_eq!(shown_string("7"), None);
    }
}
