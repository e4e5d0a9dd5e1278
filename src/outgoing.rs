//! The text of a message that JavaScript sends.
//!
//! V8 writes a long string in JSON character by character, so `lib/server/serializer.js` may leave that to this side:
//! it passes what V8 wrote and the long strings in it as they are, in turn.

use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{JsString, JsStringLatin1, Result, ValueType, sys};

use worker_server_core::quote::{quote, quote_utf16};

/// A string, or an array of strings of which the first, third and so on are taken as they are, those between them
/// written as JSON strings.
pub struct OutgoingText(pub String);

impl FromNapiValue for OutgoingText {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: both are what this function was called with.
        unsafe {
            if napi::type_of!(env, value)? == ValueType::String {
                return String::from_napi_value(env, value).map(Self);
            }
            compose(Vec::from_napi_value(env, value)?).map(Self)
        }
    }
}

impl TypeName for OutgoingText {
    fn type_name() -> &'static str {
        "string | Array<string>"
    }

    fn value_type() -> ValueType {
        ValueType::Unknown
    }
}

impl ValidateNapiValue for OutgoingText {}

fn compose(pieces: Vec<JsString>) -> Result<String> {
    let mut text = String::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        let is_quoted = index % 2 == 1;
        // What has few special characters fits without being moved.
        let length = piece.utf16_len()?;
        text.reserve(length + length / 16);
        let append = if is_quoted { quote } else { |piece: &str, text: &mut String| text.push_str(piece) };
        if let Some(piece) = ascii(piece)? {
            append(as_str(&piece)?, &mut text);
            continue;
        }
        let decoded = piece.into_utf8()?;
        let decoded = decoded.as_str()?;
        // It stands for half a surrogate pair, which JSON text has a way to write, or for itself.
        if is_quoted && decoded.contains(char::REPLACEMENT_CHARACTER) {
            let units = piece.into_utf16()?;
            // Behind the string there is a zero.
            quote_utf16(&units.as_slice()[..length], &mut text);
        } else {
            append(decoded, &mut text);
        }
    }
    Ok(text)
}

/// A text that has nothing but ASCII, in Latin-1: V8 copies that faster than it makes UTF-8. `None` for others.
///
/// # Errors
/// Those of Node-API.
pub fn ascii(text: JsString<'_>) -> Result<Option<JsStringLatin1<'_>>> {
    Ok(if text.utf8_len()? == text.utf16_len()? { Some(text.into_latin1()?) } else { None })
}

/// What `ascii` gave.
///
/// # Errors
/// If the text is not ASCII after all.
pub fn as_str<'text>(text: &'text JsStringLatin1<'_>) -> Result<&'text str> {
    std::str::from_utf8(text.as_slice()).map_err(|error| napi::Error::from_reason(error.to_string()))
}
