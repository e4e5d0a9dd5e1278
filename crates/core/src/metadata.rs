//! What a worker says about itself in `capabilities.metadata`, as far as a request's `where` can ask for it.
//!
//! Values are compared as JavaScript's `===` compares them, so strings are kept as WTF-8: two that differ in half a
//! surrogate pair are different strings.

use super::json;

/// One value, of the types that `===` compares by value.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A string, as WTF-8.
    Text(Box<[u8]>),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// Anything else: `null`, an object or an array in metadata, `NaN` in a `where`. It equals nothing.
    Other,
}

impl Scalar {
    /// Reads a raw JSON value.
    pub fn read(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => json::string_bytes(raw).map_or(Self::Other, |text| Self::Text(text.into())),
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            _ => json::number(raw).map_or(Self::Other, Self::Number),
        }
    }

    /// Whether JavaScript's `===` holds.
    #[allow(clippy::float_cmp, reason = "it is what === does")]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => left == right,
            (Self::Boolean(left), Self::Boolean(right)) => left == right,
            _ => false,
        }
    }
}

/// The own keys of `capabilities.metadata` with their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// By key, each once.
    entries: Box<[(Box<[u8]>, Scalar)]>,
}

impl Metadata {
    /// Reads it from the raw JSON of `capabilities`. What is missing, or no object, has no keys.
    pub fn of_capabilities(capabilities: &str) -> Self {
        let [metadata] = json::fields(capabilities, ["metadata"]).unwrap_or_default();
        metadata.map(Self::read).unwrap_or_default()
    }

    /// Reads the raw JSON of the metadata itself.
    pub fn read(raw: &str) -> Self {
        let members = json::members(raw).unwrap_or_default();
        let mut entries: Vec<(Box<[u8]>, Scalar)> = members
            .into_iter()
            .filter_map(|(key, value)| Some((json::string_bytes(key)?.into(), Scalar::read(value))))
            .collect();
        // Of a key that is there twice the last counts. The sort is stable, so that is the last of its equals.
        entries.reverse();
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        entries.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self { entries: entries.into() }
    }

    /// The value of an own key.
    pub fn get(&self, key: &[u8]) -> Option<&Scalar> {
        let place = self.entries.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        self.entries.get(place).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_keys_of_the_metadata_are_read_and_of_duplicates_the_last_counts() {
        let metadata = Metadata::of_capabilities(
            r#"{"models":[],"metadata":{"gpu":"a100","n":2,"ok":true,"gone":null,"list":[1],"n":3.5,"__proto__":"own",
            "\ud800":1e400}}"#,
        );
        assert_eq!(metadata.get(b"gpu"), Some(&Scalar::Text(b"a100"[..].into())));
        assert_eq!(metadata.get(b"n"), Some(&Scalar::Number(3.5)));
        assert_eq!(metadata.get(b"ok"), Some(&Scalar::Boolean(true)));
        assert_eq!(metadata.get(b"gone"), Some(&Scalar::Other));
        assert_eq!(metadata.get(b"list"), Some(&Scalar::Other));
        assert_eq!(metadata.get(b"__proto__"), Some(&Scalar::Text(b"own"[..].into())));
        assert_eq!(metadata.get(b"\xed\xa0\x80"), Some(&Scalar::Number(f64::INFINITY)));
        assert_eq!(metadata.get(b"toString"), None);
    }

    #[test]
    fn metadata_that_is_missing_or_no_object_has_no_keys() {
        for text in ["{}", r#"{"metadata":null}"#, r#"{"metadata":[1]}"#, r#"{"metadata":"x"}"#, "7"] {
            assert_eq!(Metadata::of_capabilities(text), Metadata::default(), "{text}");
        }
    }

    #[test]
    fn scalars_are_equal_as_in_javascript() {
        assert!(Scalar::Number(0.0).is(&Scalar::Number(-0.0)));
        assert!(!Scalar::Number(f64::NAN).is(&Scalar::Number(f64::NAN)));
        assert!(!Scalar::Number(1.0).is(&Scalar::Text(b"1"[..].into())));
        assert!(!Scalar::Other.is(&Scalar::Other), "null and objects are no scalars");
    }
}
