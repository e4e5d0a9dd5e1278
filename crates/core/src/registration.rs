//! What a worker says of itself when it registers, checked field by field.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use super::json;
use super::metadata::Metadata;

/// Most models and most category limits of one worker. All models are listed when it comes and struck out when it goes,
/// all limits are looked at after it got a request, and nobody else should feel that.
const MAX_MODELS: usize = 4096;
const MAX_LIMITS: usize = 1024;

/// A registration whose fields are all there and of the right types.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// `workerId`.
    pub worker_id: String,
    /// `workerName`; the id where none was sent.
    pub worker_name: String,
    /// What selection needs of `capabilities`.
    pub capabilities: Capabilities,
    /// `capabilities.metadata`.
    pub metadata: Metadata,
}

/// The part of a worker's capabilities that selection uses. The rest belongs to the application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// The `modelId` of each of its models.
    pub models: Vec<String>,
    /// `maxConcurrentRequests`: finite and not negative.
    pub max: f64,
    /// `concurrencyLimits`: the most requests of a category at once.
    pub limits: Vec<(String, f64)>,
}

/// The first field of a registration that is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// Its path, such as `capabilities.models[0].modelId`.
    pub field: String,
    /// What was expected, and what came.
    pub problem: String,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl Registration {
    /// Reads the text of a registration message.
    ///
    /// # Errors
    /// The first field that is missing or mistyped.
    pub fn read(text: &str) -> Result<Self, InvalidField> {
        let [id, name, capabilities] =
            json::fields(text, ["workerId", "workerName", "capabilities"]).unwrap_or_default();
        let worker_id = string("workerId", id)?;
        let worker_name = match present(name) {
            Some(raw) => string("workerName", Some(raw))?,
            None => worker_id.clone(),
        };
        let metadata = capabilities.map(Metadata::of_capabilities).unwrap_or_default();
        let capabilities = Capabilities::read("capabilities", capabilities)?;
        Ok(Self { worker_id, worker_name, capabilities, metadata })
    }
}

impl Capabilities {
    /// Reads the raw JSON of a capabilities object; `path` is what errors call it.
    ///
    /// # Errors
    /// The first field that is missing or mistyped.
    pub fn read(path: &str, raw: Option<&str>) -> Result<Self, InvalidField> {
        let parsed =
            raw.and_then(|raw| json::fields(raw, ["models", "maxConcurrentRequests", "concurrencyLimits"]).ok());
        let [models, max, limits] = parsed.ok_or_else(|| wrong(path, "an object", raw))?;
        Ok(Self {
            models: read_models(&format!("{path}.models"), models)?,
            max: read_max(&format!("{path}.maxConcurrentRequests"), max)?,
            limits: match present(limits) {
                Some(raw) => read_limits(&format!("{path}.concurrencyLimits"), raw)?,
                None => Vec::new(),
            },
        })
    }
}

fn read_models(path: &str, raw: Option<&str>) -> Result<Vec<String>, InvalidField> {
    let models = raw.and_then(json::elements).ok_or_else(|| wrong(path, "an array", raw))?;
    at_most(path, models.len(), MAX_MODELS)?;
    models
        .into_iter()
        .enumerate()
        .map(|(index, model)| {
            let path = format!("{path}[{index}]");
            let [id] = json::fields(model, ["modelId"]).map_err(|_| wrong(&path, "an object", Some(model)))?;
            string(&format!("{path}.modelId"), id)
        })
        .collect()
}

fn read_max(path: &str, raw: Option<&str>) -> Result<f64, InvalidField> {
    let expected = "a finite number that is not negative";
    let max = raw.and_then(json::number).ok_or_else(|| wrong(path, expected, raw))?;
    if max.is_finite() && max >= 0.0 {
        Ok(max)
    } else {
        Err(InvalidField {
            field: path.to_owned(),
            problem: format!("expected {expected}, got {}", raw.unwrap_or_default()),
        })
    }
}

fn read_limits(path: &str, raw: &str) -> Result<Vec<(String, f64)>, InvalidField> {
    let entries = json::entries(raw).ok_or_else(|| wrong(path, "an object of numbers", Some(raw)))?;
    // As `JSON.parse`: of a key that is there twice the last value counts, in the place of the first.
    let mut last: Vec<(String, &str)> = Vec::with_capacity(entries.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    for (category, raw) in entries {
        match places.entry(category) {
            Entry::Occupied(place) => last[*place.get()].1 = raw,
            Entry::Vacant(place) => {
                last.push((place.key().clone(), raw));
                place.insert(last.len() - 1);
            }
        }
    }
    let limits = last
        .into_iter()
        .map(|(category, raw)| match json::number(raw) {
            Some(limit) => Ok((category, limit)),
            None => Err(wrong(&format!("{path}.{category}"), "a number", Some(raw))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    at_most(path, limits.len(), MAX_LIMITS)?;
    Ok(limits)
}

fn at_most(path: &str, count: usize, most: usize) -> Result<(), InvalidField> {
    if count <= most {
        return Ok(());
    }
    Err(InvalidField { field: path.to_owned(), problem: format!("expected at most {most} entries, got {count}") })
}

/// `null` stands for a field that is not there.
fn present(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| *raw != "null")
}

fn string(path: &str, raw: Option<&str>) -> Result<String, InvalidField> {
    let expected = match raw {
        Some(raw) if raw.starts_with('"') => "a string of well-formed Unicode",
        _ => "a string",
    };
    raw.and_then(json::string).ok_or_else(|| wrong(path, expected, raw))
}

fn wrong(path: &str, expected: &str, raw: Option<&str>) -> InvalidField {
    let got = raw.map_or("nothing", json::kind);
    InvalidField { field: path.to_owned(), problem: format!("expected {expected}, got {got}") }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn read(text: &str) -> Result<Registration, String> {
        Registration::read(text).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn a_full_registration_is_read() {
        let text = r#"{"type":"worker_registration","workerId":"w","workerName":"W","extra":1,"capabilities":
            {"models":[{"modelId":"m","displayName":"M"},{"modelId":"n"}],"maxConcurrentRequests":2.5,
            "concurrencyLimits":{"chat":1,"embed":-1,"chat":3},"gpu":"x"}}"#;
        let capabilities = Capabilities {
            models: vec!["m".into(), "n".into()],
            max: 2.5,
            limits: vec![("chat".into(), 3.0), ("embed".into(), -1.0)],
        };
        let expected = Registration {
            worker_id: "w".into(),
            worker_name: "W".into(),
            capabilities,
            metadata: Metadata::default(),
        };
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn the_id_stands_in_for_a_missing_name_and_limits_may_be_null() {
        let text =
            r#"{"workerId":"w","capabilities":{"models":[],"maxConcurrentRequests":0,"concurrencyLimits":null}}"#;
        assert_eq!(read(text).map(|registration| registration.worker_name), Ok("w".into()));
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_value_counts_and_what_the_others_are_does_not_matter() {
        let limits = r#""concurrencyLimits":{"chat":null,"embed":2,"chat":"x","c\u0068at":1}"#;
        let text = format!(
            r#"{{"workerId":5,"workerId":"w","workerName":{{}},"workerName":null,"capabilities":null,"capabilities":{{
                "models":7,"models":[{{"modelId":null,"modelId":"m"}}],"maxConcurrentRequests":-1,"maxConcurrentRequests":2,
                "concurrencyLimits":[],{limits}}}}}"#
        );
        let limits = vec![("chat".into(), 1.0), ("embed".into(), 2.0)];
        let capabilities = Capabilities { models: vec!["m".into()], max: 2.0, limits };
        let expected = Registration {
            worker_id: "w".into(),
            worker_name: "w".into(),
            capabilities,
            metadata: Metadata::default(),
        };
        assert_eq!(read(&text), Ok(expected));
        assert_eq!(
            read(
                r#"{"workerId":"w","capabilities":{"models":[],"maxConcurrentRequests":1,"concurrencyLimits":{"a":1,"a":null}}}"#
            ),
            Err("capabilities.concurrencyLimits.a: expected a number, got null".to_owned())
        );
    }

    /// The text of an object with these members, in which any may be there twice.
    fn object(names: &'static [&'static str], value: BoxedStrategy<String>) -> BoxedStrategy<String> {
        vec((select(names), value), 0..7)
            .prop_map(|members| members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>())
            .prop_map(|members| format!("{{{}}}", members.join(",")))
            .boxed()
    }

    fn registrations() -> BoxedStrategy<String> {
        let scalar =
            || select(&["null", "1", "2", "-1", "\"w\"", "\"\"", "true", "[]", "{}"][..]).prop_map(str::to_owned);
        let models = vec(object(&["modelId", "displayName"], scalar().boxed()), 0..3);
        let models = models.prop_map(|models| format!("[{}]", models.join(",")));
        let limits = object(&["chat", "embed", "c\\u0068at"], scalar().boxed());
        let names = &["models", "models", "maxConcurrentRequests", "concurrencyLimits"][..];
        let capabilities = object(names, prop_oneof![scalar(), models, limits].boxed());
        let names = &["workerId", "workerName", "capabilities", "c\\u0061pabilities", "capabilities"][..];
        object(names, prop_oneof![scalar(), capabilities].boxed())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_registration_reads_as_the_object_that_a_json_parser_makes_of_it(text in registrations()) {
            // In this object each key is there once, with its last value.
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read(&text), read(&parsed.to_string()));
        }
    }

    #[test]
    fn a_worker_that_would_cost_the_others_is_refused() {
        let limits = |count: usize| (0..count).map(|i| format!("\"c{i}\":1")).collect::<Vec<_>>().join(",");
        let models = |count: usize| vec![r#"{"modelId":"m"}"#; count].join(",");
        let text = |models: &str, limits: &str| {
            format!(
                r#"{{"workerId":"w","capabilities":{{"models":[{models}],"maxConcurrentRequests":1,"concurrencyLimits":{{{limits}}}}}}}"#
            )
        };
        assert!(read(&text(&models(MAX_MODELS), &limits(MAX_LIMITS))).is_ok());
        assert_eq!(
            read(&text("", &limits(MAX_LIMITS + 1))),
            Err("capabilities.concurrencyLimits: expected at most 1024 entries, got 1025".to_owned())
        );
        assert_eq!(
            read(&text(&models(MAX_MODELS + 1), "")),
            Err("capabilities.models: expected at most 4096 entries, got 4097".to_owned())
        );
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let capabilities = |inner: &str| format!(r#"{{"workerId":"w","capabilities":{inner}}}"#);
        for (text, error) in [
            ("{}".to_owned(), "workerId: expected a string, got nothing"),
            (r#"{"workerId":5}"#.to_owned(), "workerId: expected a string, got a number"),
            (r#"{"workerId":"\ud800"}"#.to_owned(), "workerId: expected a string of well-formed Unicode, got a string"),
            (r#"{"workerId":"w","workerName":[]}"#.to_owned(), "workerName: expected a string, got an array"),
            (r#"{"workerId":"w"}"#.to_owned(), "capabilities: expected an object, got nothing"),
            (capabilities("null"), "capabilities: expected an object, got null"),
            (capabilities("{}"), "capabilities.models: expected an array, got nothing"),
            (capabilities(r#"{"models":{}}"#), "capabilities.models: expected an array, got an object"),
            (capabilities(r#"{"models":["m"]}"#), "capabilities.models[0]: expected an object, got a string"),
            (
                capabilities(r#"{"models":[{"modelId":"m"},{}]}"#),
                "capabilities.models[1].modelId: expected a string, got nothing",
            ),
            (
                capabilities(r#"{"models":[]}"#),
                "capabilities.maxConcurrentRequests: expected a finite number that is not negative, got nothing",
            ),
            (
                capabilities(r#"{"models":[],"maxConcurrentRequests":"2"}"#),
                "capabilities.maxConcurrentRequests: expected a finite number that is not negative, got a string",
            ),
            (
                capabilities(r#"{"models":[],"maxConcurrentRequests":-1}"#),
                "capabilities.maxConcurrentRequests: expected a finite number that is not negative, got -1",
            ),
            (
                capabilities(r#"{"models":[],"maxConcurrentRequests":1e400}"#),
                "capabilities.maxConcurrentRequests: expected a finite number that is not negative, got 1e400",
            ),
            (
                capabilities(r#"{"models":[],"maxConcurrentRequests":1,"concurrencyLimits":[]}"#),
                "capabilities.concurrencyLimits: expected an object of numbers, got an array",
            ),
            (
                capabilities(r#"{"models":[],"maxConcurrentRequests":1,"concurrencyLimits":{"a":"b"}}"#),
                "capabilities.concurrencyLimits.a: expected a number, got a string",
            ),
        ] {
            assert_eq!(read(&text), Err(error.to_owned()), "{text}");
        }
    }
}
