//! The messages that the server itself reads and writes. Everything else is the application's.

use serde_json::value::RawValue;

use super::clock::{Moment, iso_8601};
use super::json::{self, NoFields};

/// Close codes that the server sends, with their reasons (RFC 6455, section 7.4; 4000 to 4999 are private).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The close code.
    pub code: u16,
    /// The close reason.
    pub reason: &'static str,
}

impl Closing {
    /// `stop` was called.
    pub const GOING_AWAY: Self = Self { code: 1001, reason: "Server shutting down" };
    /// A frame broke RFC 6455.
    pub const PROTOCOL_ERROR: Self = Self { code: 1002, reason: "" };
    /// A text message was not UTF-8.
    pub const INVALID_UTF8: Self = Self { code: 1007, reason: "" };
    /// A message was larger than the limit.
    pub const TOO_BIG: Self = Self { code: 1009, reason: "" };
    /// The token was wrong.
    pub const AUTHENTICATION_FAILED: Self = Self { code: 4001, reason: "Authentication failed" };
    /// A registration lacked or mistyped a field.
    pub const INVALID_REGISTRATION: Self = Self { code: 4002, reason: "Invalid registration" };
    /// Another connection registered the same id.
    pub const REPLACED: Self = Self { code: 4003, reason: "Replaced by new connection" };
    /// The worker was silent for three heartbeat timeouts.
    pub const HEARTBEAT_TIMEOUT: Self = Self { code: 4003, reason: "Heartbeat timeout" };
    /// The peer answered no ping.
    pub const PING_TIMEOUT: Self = Self { code: 4003, reason: "Ping timeout" };
    /// The peer did not register in time.
    pub const REGISTRATION_TIMEOUT: Self = Self { code: 4004, reason: "Registration timeout" };
    /// Another worker has the id, and keeps it.
    pub const ID_IN_USE: Self = Self { code: 4009, reason: "Id in use" };
    /// Data waited for the peer, and it took none.
    pub const SLOW_CONSUMER: Self = Self { code: 4008, reason: "Slow consumer" };
}

/// What kind of message a text is, with the fields that the server needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inbound<'a> {
    /// `worker_registration`, read by [`super::registration`].
    Registration,
    /// `heartbeat`.
    Heartbeat {
        /// The raw `workerId`.
        worker_id: Option<&'a str>,
        /// The raw `timestamp`, given back as it is.
        timestamp: Option<&'a str>,
    },
    /// Any other `type`.
    Application,
    /// JSON without a string `type`.
    NoType,
    /// No JSON.
    NotJson,
}

/// Reads just enough of a text message to know what it is.
pub fn classify(text: &str) -> Inbound<'_> {
    match json::fields(text, ["type", "workerId", "timestamp"]) {
        Err(NoFields::NotJson) => Inbound::NotJson,
        Err(NoFields::NotAnObject) => Inbound::NoType,
        Ok([kind, worker_id, timestamp]) => match kind.and_then(json::string_bytes).as_deref() {
            Some(b"worker_registration") => Inbound::Registration,
            Some(b"heartbeat") => Inbound::Heartbeat { worker_id, timestamp },
            Some(_) => Inbound::Application,
            None => Inbound::NoType,
        },
    }
}

/// Whether a heartbeat says what its worker works on: whether it has a member `active`, whatever that is.
pub fn names_active(heartbeat: &str) -> bool {
    matches!(json::fields(heartbeat, ["active"]), Ok([Some(_)]))
}

/// The answer to a registration that was accepted. `more_members` come last, as they are: each with a comma before it.
pub fn registration_ack(session_id: &str, heartbeat_interval_ms: f64, more_members: &str) -> String {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Ack<'a> {
        r#type: &'a str,
        success: bool,
        session_id: &'a str,
        heartbeat_interval_ms: &'a RawValue,
    }
    // JavaScript writes 15000, not 15000.0.
    let interval = RawValue::from_string(format!("{heartbeat_interval_ms}")).unwrap_or_default();
    let ack = Ack { r#type: "worker_registration_ack", success: true, session_id, heartbeat_interval_ms: &interval };
    let mut ack = write(&ack);
    ack.insert_str(ack.len().saturating_sub(1), more_members);
    ack
}

/// The answer to a registration that was refused.
pub fn registration_refusal(error: &str) -> String {
    #[derive(serde::Serialize)]
    struct Refusal<'a> {
        r#type: &'a str,
        success: bool,
        error: &'a str,
    }
    write(&Refusal { r#type: "worker_registration_ack", success: false, error })
}

/// The answer to a heartbeat. A heartbeat without a timestamp gets an answer without one.
pub fn heartbeat_ack(timestamp: Option<&str>, now: Moment, heartbeat_timeout_ms: u64) -> String {
    let timeout = i64::try_from(heartbeat_timeout_ms).unwrap_or(i64::MAX);
    let deadline = iso_8601(now.unix_ms.saturating_add(timeout));
    let timestamp = timestamp.map(|raw| format!("\"timestamp\":{raw},")).unwrap_or_default();
    format!("{{\"type\":\"heartbeat_ack\",{timestamp}\"nextHeartbeatDeadline\":\"{deadline}\"}}")
}

/// Writing strings, booleans and numbers to memory cannot fail.
fn write(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_string_type() {
        for (text, kind) in [
            (r#"{"type":"worker_registration"}"#, Inbound::Registration),
            (r#"{"type":"\u0077orker_registration"}"#, Inbound::Registration),
            (r#"{"type":"heartbeat","type":"x"}"#, Inbound::Application),
            (r#"{"type":""}"#, Inbound::Application),
            (r#"{"type":"\ud800"}"#, Inbound::Application),
            (r#"{"type":1}"#, Inbound::NoType),
            (r#"{"type":null}"#, Inbound::NoType),
            (r#"{"__proto__":{"type":"x"}}"#, Inbound::NoType),
            ("null", Inbound::NoType),
            ("[]", Inbound::NoType),
            ("{", Inbound::NotJson),
            ("", Inbound::NotJson),
        ] {
            assert_eq!(classify(text), kind, "{text}");
        }
    }

    #[test]
    fn a_heartbeat_carries_its_fields_as_they_came() {
        assert_eq!(
            classify(r#"{"type":"heartbeat","timestamp":"now","workerId":5}"#),
            Inbound::Heartbeat { worker_id: Some("5"), timestamp: Some("\"now\"") }
        );
    }

    #[test]
    fn answers_have_their_keys_in_the_documented_order() {
        assert_eq!(
            registration_ack("s", 15_000.0, ""),
            r#"{"type":"worker_registration_ack","success":true,"sessionId":"s","heartbeatIntervalMs":15000}"#
        );
        assert_eq!(
            registration_ack("s", 0.5, r#","features":["request"]"#),
            r#"{"type":"worker_registration_ack","success":true,"sessionId":"s","heartbeatIntervalMs":0.5,"features":["request"]}"#
        );
        assert_eq!(
            registration_refusal("no \"entry\""),
            r#"{"type":"worker_registration_ack","success":false,"error":"no \"entry\""}"#
        );
        let now = Moment { elapsed_ms: 0, unix_ms: 1_000 };
        assert_eq!(
            heartbeat_ack(Some("\"t\""), now, 500),
            r#"{"type":"heartbeat_ack","timestamp":"t","nextHeartbeatDeadline":"1970-01-01T00:00:01.500Z"}"#
        );
        assert_eq!(
            heartbeat_ack(None, now, 0),
            r#"{"type":"heartbeat_ack","nextHeartbeatDeadline":"1970-01-01T00:00:01.000Z"}"#
        );
    }
}
