//! The classifier of messages and the reader of registrations, beside the same questions asked of a
//! `serde_json::Value`: the same answer, or both refuse.
//!
//! A `Value` refuses some of what V8 accepts, and what the server must accept therefore: half a surrogate pair, numbers
//! beyond a double, any depth. There less can be compared.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use worker_server_core::metadata::{Metadata, Scalar};
use worker_server_core::protocol::{Inbound, classify, names_active};
use worker_server_core::registration::{Capabilities, Registration};
use worker_server_core::requests::demand::Demand;
use worker_server_core::requests::selector::Selector;

/// Runs one input.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let kind = classify(text);
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    assert_eq!(kind != Inbound::NotJson, is_json, "JSON is told from what is none");
    match serde_json::from_str::<Value>(&with_whole_characters(text)) {
        Ok(value) => compare(text, kind, &value),
        Err(error) => assert!(!is_json || is_beyond_a_value(&error), "{error}"),
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        compare_registration(text, &value);
        compare_demand(text, &value);
    }
}

fn is_beyond_a_value(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    text.starts_with("number out of range") || text.starts_with("recursion limit exceeded")
}

/// The text with U+FFFD for each escape that is half a surrogate pair, or in one. No name that the server looks for
/// has any, so all answers stay the same.
fn with_whole_characters(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_surrogate = matches!(rest.as_bytes(), [_, b'u', b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', third, fourth, ..]
            if third.is_ascii_hexdigit() && fourth.is_ascii_hexdigit());
        // An escape is a backslash with one character, whichever.
        let length = if is_surrogate { 6 } else { 1 + rest[1..].chars().next().map_or(0, char::len_utf8) };
        whole.push_str(if is_surrogate { "\\ufffd" } else { &rest[..length] });
        rest = &rest[length..];
    }
    whole + rest
}

fn compare(text: &str, kind: Inbound<'_>, value: &Value) {
    let expected = value.get("type").and_then(Value::as_str);
    match (kind, expected) {
        (Inbound::Registration, Some("worker_registration")) | (Inbound::NoType, None) => {}
        (Inbound::Application, Some(name)) => assert!(name != "worker_registration" && name != "heartbeat"),
        (Inbound::Heartbeat { worker_id, timestamp }, Some("heartbeat")) => {
            assert_eq!(names_active(text), value.get("active").is_some());
            for (raw, name) in [(worker_id, "workerId"), (timestamp, "timestamp")] {
                let raw = raw.map(with_whole_characters);
                let found = raw.map(|raw| serde_json::from_str::<Value>(&raw).expect("a part of JSON is JSON"));
                assert_eq!(found.as_ref(), value.get(name), "{name}");
            }
        }
        _ => panic!("{kind:?} instead of the type {expected:?}"),
    }
}

fn compare_registration(text: &str, value: &Value) {
    match (Registration::read(text), expected_registration(value)) {
        (Ok(found), Ok(expected)) => {
            assert_eq!((&found.worker_id, &found.worker_name), (&expected.worker_id, &expected.worker_name));
            compare_metadata(&found.metadata, &value["capabilities"]["metadata"]);
            let (found, expected) = (found.capabilities, expected.capabilities);
            assert_eq!(found.models, expected.models);
            assert!(same(found.max, expected.max), "{} {}", found.max, expected.max);
            let names = |capabilities: &Capabilities| -> Vec<String> {
                capabilities.limits.iter().map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&found), names(&expected));
            for ((name, found), (_, expected)) in found.limits.iter().zip(&expected.limits) {
                assert!(same(*found, *expected), "{name}: {found} {expected}");
            }
        }
        (Err(found), Err(field)) => assert_eq!(found.field, field, "{found}"),
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

fn compare_metadata(found: &Metadata, expected: &Value) {
    for (key, value) in expected.as_object().into_iter().flatten() {
        let found = found.get(key.as_bytes()).expect("an own key");
        match value {
            Value::String(text) => assert_eq!(found, &Scalar::Text(text.as_bytes().into())),
            Value::Bool(value) => assert_eq!(found, &Scalar::Boolean(*value)),
            Value::Number(number) => {
                let Scalar::Number(found) = found else { panic!("{found:?} instead of {number}") };
                assert!(same(*found, number.as_f64().expect("a double")), "{found} {number}");
            }
            Value::Null | Value::Array(_) | Value::Object(_) => assert_eq!(found, &Scalar::Other),
        }
    }
}

/// JavaScript makes these, so that less may be wrong with them: what is read says what the object says.
fn compare_demand(text: &str, value: &Value) {
    let Some(demand) = Demand::read(text) else { return };
    let string = |name: &str| value.get(name).and_then(Value::as_str);
    assert_eq!(demand.model.as_ref().map(|name| name.get().expect("it is well-formed")), string("model"));
    assert_eq!(demand.worker_id.as_ref().map(|name| name.get().expect("it is well-formed")), string("workerId"));
    assert_eq!(demand.category.as_deref(), string("category"));
    let selector = demand.selector.as_ref().map(|selector| Selector::read(selector.text()));
    assert_eq!(selector.is_some(), value.get("where").is_some_and(Value::is_object));
}

/// A `Value` may be off by the last bit of a number's fraction.
fn same(left: f64, right: f64) -> bool {
    (left - right).abs() <= left.abs() * 4.0 * f64::EPSILON || (left - right).abs() < f64::MIN_POSITIVE
}

/// The documented rules, in their documented order. An error is the field that is wrong.
fn expected_registration(value: &Value) -> Result<Registration, String> {
    let empty = Map::new();
    let object = value.as_object().unwrap_or(&empty);
    let present = |object: &Map<String, Value>, name: &str| object.get(name).filter(|value| !value.is_null()).cloned();
    let string =
        |value: Option<&Value>, field: &str| value.and_then(Value::as_str).map(str::to_owned).ok_or(field.to_owned());
    let worker_id = string(object.get("workerId"), "workerId")?;
    let worker_name = match present(object, "workerName") {
        Some(name) => string(Some(&name), "workerName")?,
        None => worker_id.clone(),
    };
    let capabilities = object.get("capabilities").and_then(Value::as_object).ok_or("capabilities")?;
    let listed = capabilities.get("models").and_then(Value::as_array).ok_or("capabilities.models")?;
    if listed.len() > 4096 {
        return Err("capabilities.models".to_owned());
    }
    let mut models = Vec::new();
    for (index, model) in listed.iter().enumerate() {
        let field = format!("capabilities.models[{index}]");
        let model = model.as_object().ok_or_else(|| field.clone())?;
        models.push(string(model.get("modelId"), &format!("{field}.modelId"))?);
    }
    let max = capabilities.get("maxConcurrentRequests").and_then(Value::as_f64).filter(|max| *max >= 0.0);
    let max = max.ok_or("capabilities.maxConcurrentRequests")?;
    let mut limits = Vec::new();
    if let Some(named) = present(capabilities, "concurrencyLimits") {
        let field = "capabilities.concurrencyLimits";
        for (category, limit) in named.as_object().ok_or(field)? {
            limits.push((category.clone(), limit.as_f64().ok_or_else(|| format!("{field}.{category}"))?));
        }
        if limits.len() > 1024 {
            return Err(field.to_owned());
        }
    }
    let metadata = Metadata::default();
    Ok(Registration { worker_id, worker_name, capabilities: Capabilities { models, max, limits }, metadata })
}
