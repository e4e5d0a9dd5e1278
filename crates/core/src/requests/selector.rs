//! A request's `where`: which workers it may go to, by what their metadata says.

use crate::json;
use crate::metadata::{Metadata, Scalar};

/// Conditions on a worker's metadata, all of which must hold. Without any it matches every worker.
///
/// Its text names it: two of the same text are equal, and nothing else is.
#[derive(Clone, Debug)]
pub struct Selector {
    text: Box<str>,
    conditions: Box<[(Box<[u8]>, Condition)]>,
}

/// What one key must be.
#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// One of these.
    AnyOf(Box<[Scalar]>),
    /// Within these bounds, which only numbers can be, and not this value.
    Bounds(Bounds),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Bounds {
    gt: Option<f64>,
    gte: Option<f64>,
    lt: Option<f64>,
    lte: Option<f64>,
    not: Option<Scalar>,
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Selector {}

impl std::hash::Hash for Selector {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Selector {
    /// Reads the JSON text of a `where`. `None` if it is none.
    ///
    /// What JSON has no number for is written so: `Infinity` as a number beyond a double such as `1e999`, `NaN` as
    /// `null`, which equals nothing and is no bound that anything is within.
    pub fn read(text: &str) -> Option<Self> {
        let conditions = json::members(text)?
            .into_iter()
            .map(|(key, value)| Some((json::string_bytes(key)?.into(), Condition::read(value)?)))
            .collect::<Option<_>>()?;
        Some(Self { text: text.into(), conditions })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a worker with this metadata may be chosen.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        self.conditions.iter().all(|(key, condition)| condition.holds(metadata.get(key)))
    }
}

impl Condition {
    fn read(raw: &str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'[' => Some(Self::AnyOf(json::elements(raw)?.into_iter().map(Scalar::read).collect())),
            b'{' => Bounds::read(raw).map(Self::Bounds),
            _ => Some(Self::AnyOf([Scalar::read(raw)].into())),
        }
    }

    fn holds(&self, value: Option<&Scalar>) -> bool {
        match (self, value) {
            (Self::AnyOf(values), Some(value)) => values.iter().any(|wanted| wanted.is(value)),
            (Self::AnyOf(_), None) => false,
            (Self::Bounds(bounds), value) => bounds.hold(value),
        }
    }
}

impl Bounds {
    fn read(raw: &str) -> Option<Self> {
        let members = json::members(raw)?;
        let mut bounds = Self::default();
        for &(name, value) in &members {
            // No number is within a bound that is none.
            let number = || Some(json::number(value).unwrap_or(f64::NAN));
            match name {
                r#""gt""# => bounds.gt = number(),
                r#""gte""# => bounds.gte = number(),
                r#""lt""# => bounds.lt = number(),
                r#""lte""# => bounds.lte = number(),
                r#""not""# => bounds.not = Some(Scalar::read(value)),
                _ => return None,
            }
        }
        (!members.is_empty()).then_some(bounds)
    }

    fn hold(&self, value: Option<&Scalar>) -> bool {
        let is_bounded = [self.gt, self.gte, self.lt, self.lte].iter().any(Option::is_some);
        let Some(value) = value else { return !is_bounded };
        if self.not.as_ref().is_some_and(|not| not.is(value)) {
            return false;
        }
        match value {
            _ if !is_bounded => true,
            Scalar::Number(number) => {
                self.gt.is_none_or(|bound| *number > bound)
                    && self.gte.is_none_or(|bound| *number >= bound)
                    && self.lt.is_none_or(|bound| *number < bound)
                    && self.lte.is_none_or(|bound| *number <= bound)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"gpu":"a100","n":4,"ok":true,"none":null,"list":["a"],"":"empty","\ud800":"half"}"#;

    fn matches(text: &str) -> bool {
        Selector::read(text).expect(text).matches(&Metadata::read(METADATA))
    }

    /// "`where` is judged against own keys of `capabilities.metadata`, with `===`: the value, one of the list, or all
    /// members of the object, bounds for numbers only."
    #[test]
    fn the_value_one_of_the_list_or_all_members_of_the_object_are_judged_with_strict_equality() {
        for (text, expected) in [
            (r#"{"gpu":"a100"}"#, true),
            (r#"{"gpu":"A100"}"#, false),
            (r#"{"n":4}"#, true),
            (r#"{"n":"4"}"#, false),
            (r#"{"ok":true,"n":4}"#, true),
            (r#"{"ok":true,"n":5}"#, false),
            (r#"{"ok":1}"#, false),
            (r#"{"gpu":["h100","a100"]}"#, true),
            (r#"{"gpu":["h100"]}"#, false),
            (r#"{"n":{"gt":3,"lt":5}}"#, true),
            (r#"{"n":{"gt":4}}"#, false),
            (r#"{"n":{"gte":4,"lte":4}}"#, true),
            (r#"{"n":{"lt":1e999}}"#, true),
            (r#"{"n":{"gte":4,"not":4}}"#, false),
            (r#"{"n":{"not":"4"}}"#, true),
            (r#"{"gpu":{"gte":0}}"#, false),
            (r#"{"gpu":{"not":"h100"}}"#, true),
            (r#"{"none":{"not":"x"}}"#, true),
            (r#"{"none":null}"#, false),
            (r#"{"list":"a"}"#, false),
            (r#"{"":"empty"}"#, true),
            (r#"{"\ud800":"half"}"#, true),
            (r#"{"toString":{"not":1}}"#, true),
        ] {
            assert_eq!(matches(text), expected, "{text}");
        }
    }

    /// "A missing key matches only an object whose sole member is `not`."
    #[test]
    fn a_missing_key_matches_only_an_object_whose_sole_member_is_not() {
        for (text, expected) in [
            (r#"{"gone":{"not":"x"}}"#, true),
            (r#"{"gone":{"not":"x","lt":5}}"#, false),
            (r#"{"gone":{"lt":5}}"#, false),
            (r#"{"gone":"x"}"#, false),
            (r#"{"gone":["x"]}"#, false),
        ] {
            assert_eq!(matches(text), expected, "{text}");
        }
    }

    /// "`{}` matches all, an empty list nothing; another operator or an empty object as bounds is a `TypeError`."
    #[test]
    fn no_condition_matches_all_an_empty_list_nothing_and_other_operators_are_no_selector() {
        assert!(matches("{}"));
        assert!(!matches(r#"{"n":[]}"#));
        for text in ["[]", "null", r#"{"n":{}}"#, r#"{"n":{"eq":1}}"#, r#"{"n":{"gt":1,"like":"x"}}"#] {
            assert_eq!(Selector::read(text), None, "{text}");
        }
    }

    #[test]
    fn not_a_number_equals_nothing_and_bounds_nothing() {
        assert!(!matches(r#"{"n":null}"#));
        assert!(matches(r#"{"n":{"not":null}}"#));
        assert!(!matches(r#"{"n":{"lt":null}}"#));
    }
}
