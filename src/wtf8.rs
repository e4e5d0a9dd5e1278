//! JavaScript strings that are compared unit by unit, as WTF-8: UTF-8 that has a form for half a surrogate pair as
//! well.

use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{JsString, Result, ValueType, sys};

/// A string whose every UTF-16 unit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wtf8(pub Vec<u8>);

impl Wtf8 {
    /// The string, unless it holds half a surrogate pair.
    pub fn well_formed(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl FromNapiValue for Wtf8 {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: both are what this function was called with.
        let text = unsafe { JsString::from_napi_value(env, value)? };
        let length = text.utf16_len()?;
        let decoded = text.into_utf8()?.into_owned()?;
        // It stands for half a surrogate pair, or for itself.
        if decoded.contains(char::REPLACEMENT_CHARACTER) {
            let units = text.into_utf16()?;
            // Behind the string there is a zero.
            return Ok(Self(encode(units.as_slice().get(..length).unwrap_or_default())));
        }
        Ok(Self(decoded.into_bytes()))
    }
}

impl TypeName for Wtf8 {
    fn type_name() -> &'static str {
        "string"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for Wtf8 {}

fn encode(units: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(units.len() * 3);
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(whole) => bytes.extend(whole.encode_utf8(&mut [0; 4]).bytes()),
            Err(half) => {
                let [high, low] = half.unpaired_surrogate().to_be_bytes();
                // The three bytes that UTF-8 would have for it: 1110xxxx 10xxxxxx 10xxxxxx.
                bytes.extend([0xe0 | high >> 4, 0x80 | (high & 0x0f) << 2 | low >> 6, 0x80 | low & 0x3f]);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn halves_of_surrogate_pairs_have_bytes_of_their_own_and_pairs_are_utf_8() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        assert_eq!(encode(&units("a\u{e9}\u{fffd}\u{1f600}")), "a\u{e9}\u{fffd}\u{1f600}".as_bytes());
        assert_eq!(encode(&[0xd800]), b"\xed\xa0\x80");
        assert_eq!(encode(&[0xdfff, 0x61]), b"\xed\xbf\xbfa");
    }
}
