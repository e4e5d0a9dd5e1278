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

#[cfg(test)]
mod tests {
    use super::*;

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
