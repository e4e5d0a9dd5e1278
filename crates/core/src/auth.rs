//! Comparison of secrets in constant time.

use subtle::{Choice, ConstantTimeEq};

/// Whether two strings hold the same UTF-8 bytes, in a time that does not depend on where they differ.
///
/// The time depends on the length of `given`, which its sender knows anyway, and never on how much of
/// `secret` was guessed: for another length the same number of bytes is compared, against `given` itself.
pub fn safe_compare(given: &str, secret: &str) -> bool {
    equals(given.as_bytes(), secret.as_bytes()).into()
}

fn equals(given: &[u8], secret: &[u8]) -> Choice {
    let same_length = Choice::from(u8::from(given.len() == secret.len()));
    let against = if given.len() == secret.len() { secret } else { given };
    given.ct_eq(against) & same_length
}

/// Whether `given` is one of `secrets`. All of them are compared, whichever matches.
pub fn is_any_of(given: &str, secrets: &[String]) -> bool {
    secrets.iter().fold(Choice::from(0), |found, secret| found | equals(given.as_bytes(), secret.as_bytes())).into()
}

/// The token of a header field `Authorization: Bearer …` (RFC 6750, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerToken {
    /// As most peers mean it.
    text: String,
    /// If its bytes can be read in two ways: as Node writes it.
    latin1: Option<String>,
}

impl BearerToken {
    /// Reads the value of the field, of which each byte has become a character. `None` if it holds something else.
    pub fn read(field: &str) -> Option<Self> {
        let (scheme, token) = field.trim().split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return None;
        }
        let bytes = token.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<_>>>()?;
        Some(match String::from_utf8(bytes) {
            Ok(text) if text == token => Self { text, latin1: None },
            Ok(text) => Self { text, latin1: Some(token.to_owned()) },
            Err(_) => Self { text: token.to_owned(), latin1: None },
        })
    }

    /// Whether it is one of `secrets`. All of them are compared, whichever matches.
    pub fn is_any_of(&self, secrets: &[String]) -> bool {
        is_any_of(&self.text, secrets) | self.latin1.as_ref().is_some_and(|token| is_any_of(token, secrets))
    }

    /// The token.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latin1(bytes: &[u8]) -> String {
        bytes.iter().copied().map(char::from).collect()
    }

    #[test]
    fn a_bearer_token_is_read_from_its_field_and_from_no_other() {
        for (field, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("BEARER a b", Some("a b")),
            ("Bearer ", None),
            ("Bearer", None),
            ("", None),
            ("Basic abc", None),
            ("Bearerabc", None),
            ("abc", None),
        ] {
            assert_eq!(BearerToken::read(field).map(BearerToken::into_text).as_deref(), token, "{field:?}");
        }
    }

    #[test]
    fn a_bearer_token_matches_in_either_encoding() {
        let secrets = ["t\u{fc}r".to_owned()];
        for bytes in [&b"Bearer t\xc3\xbcr"[..], &b"Bearer t\xfcr"[..]] {
            let token = BearerToken::read(&latin1(bytes)).unwrap();
            assert!(token.is_any_of(&secrets));
            assert_eq!(token.into_text(), "t\u{fc}r");
        }
        let secrets = ["t\u{c3}\u{bc}r".to_owned()];
        assert!(BearerToken::read(&latin1(b"Bearer t\xc3\xbcr")).unwrap().is_any_of(&secrets));
        assert!(!BearerToken::read(&latin1(b"Bearer t\xfcr")).unwrap().is_any_of(&secrets));
        assert!(!BearerToken::read("Bearer x").unwrap().is_any_of(&[]));
    }

    #[test]
    fn equal_strings_are_equal_whatever_their_length() {
        for text in ["", "a", "secret", "ünïcödé 🦀"] {
            assert!(safe_compare(text, text));
        }
    }

    #[test]
    fn strings_that_differ_in_a_byte_or_in_length_are_not_equal() {
        for (a, b) in [("", "a"), ("a", ""), ("secret", "secreT"), ("secret", "secret1"), ("é", "e")] {
            assert!(!safe_compare(a, b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn any_token_of_a_list_is_accepted_and_no_other() {
        let tokens = ["old".to_owned(), "new".to_owned()];
        assert!(is_any_of("old", &tokens));
        assert!(is_any_of("new", &tokens));
        assert!(!is_any_of("", &tokens));
        assert!(!is_any_of("ol", &tokens));
        assert!(!is_any_of("old", &[]));
    }
}
