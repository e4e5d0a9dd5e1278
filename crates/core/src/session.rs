//! One peer's state machine: texts in, actions out, without a socket.

use serde_json::{Map, Value, json};

use super::auth::{BearerToken, is_any_of};
use super::json as raw;
use super::log::Line;
use super::protocol::{self, Closing, Inbound};
use super::registration::Registration;

/// A message for the log: its type, of which nobody has made anything.
pub fn type_of(text: &str) -> Value {
    let [kind] = raw::fields(text, ["type"]).unwrap_or_default();
    kind.map_or_else(|| Value::Object(Map::new()), |kind| json!({ "type": shown(kind) }))
}

/// What a text message asks for. The owner of the socket carries it out.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<'a> {
    /// Settle the registration on the application's thread; nothing more is read until that is done.
    Register(Registration),
    /// Send `answer`, then close.
    Refuse {
        /// The text to send.
        answer: String,
        /// How to close.
        closing: Closing,
        /// What to log.
        line: Line,
    },
    /// Look the worker up, and answer if it is known.
    Heartbeat {
        /// The id that the heartbeat names, if it is a string.
        worker_id: Option<String>,
        /// What came as the id, if anything, as it is shown in the log.
        named: Option<Value>,
        /// The raw timestamp to send back.
        timestamp: Option<&'a str>,
    },
    /// Hand the message to the application.
    Deliver,
    /// Log, and go on.
    Complain(Line),
    /// The peer was refused: what it says no longer matters.
    Ignore,
}

/// The server's side of one connection's conversation.
#[derive(Debug, Default)]
pub struct Session {
    refused: bool,
}

impl Session {
    /// A session with a peer that has not said anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one message of a peer that can present a token nowhere else. `auth_tokens` as in
    /// [`super::config::ServerConfig`].
    pub fn on_text<'a>(&mut self, text: &'a str, auth_tokens: Option<&[String]>) -> Action<'a> {
        self.on_text_judged(text, |given| auth_tokens.is_none_or(|tokens| is_authentic(given, || None, tokens)))
    }

    /// Takes one message. `judge` says of the raw token of a registration, if it has one, whether it is right.
    pub fn on_text_judged<'a>(&mut self, text: &'a str, judge: impl FnOnce(Option<&str>) -> bool) -> Action<'a> {
        if self.refused {
            return Action::Ignore;
        }
        match protocol::classify(text) {
            Inbound::Registration => self.on_registration(text, judge),
            Inbound::Heartbeat { worker_id, timestamp } => {
                Action::Heartbeat { worker_id: worker_id.and_then(raw::string), named: worker_id.map(shown), timestamp }
            }
            Inbound::Application => Action::Deliver,
            Inbound::NoType => Action::Complain(Line::warn("Message missing type field", Value::Null)),
            Inbound::NotJson => Action::Complain(Line::warn("Invalid JSON message from worker", Value::Null)),
        }
    }

    fn on_registration(&mut self, text: &str, judge: impl FnOnce(Option<&str>) -> bool) -> Action<'static> {
        let [token, worker_id] = raw::fields(text, ["authToken", "workerId"]).unwrap_or_default();
        // For the log; a missing id stays missing there.
        let mut context: Map<String, Value> = worker_id.map(|id| ("workerId".into(), shown(id))).into_iter().collect();
        if !judge(token) {
            return self.refuse(
                "Invalid authentication token",
                Closing::AUTHENTICATION_FAILED,
                Line::warn("Worker registration rejected: invalid auth token", context.into()),
            );
        }
        match Registration::read(text) {
            Ok(registration) => Action::Register(registration),
            Err(invalid) => {
                let error = format!("Invalid registration: {invalid}");
                context.insert("error".into(), error.clone().into());
                let line = Line::warn("Worker registration rejected: invalid registration", context.into());
                self.refuse(&error, Closing::INVALID_REGISTRATION, line)
            }
        }
    }

    fn refuse(&mut self, error: &str, closing: Closing, line: Line) -> Action<'static> {
        self.refused = true;
        Action::Refuse { answer: protocol::registration_refusal(error), closing, line }
    }
}

/// Whether a registration with this raw token lets a peer in. A missing token, or `null`, is an empty one, and the one
/// that came with the upgrade counts in its place; what is no string is no token.
pub fn is_authentic(token: Option<&str>, bearer: impl FnOnce() -> Option<BearerToken>, tokens: &[String]) -> bool {
    match token {
        None | Some("null") => is_any_of("", tokens) | bearer().is_some_and(|bearer| bearer.is_any_of(tokens)),
        Some(token) => raw::string(token).is_some_and(|token| is_any_of(&token, tokens)),
    }
}

/// What came as an id, for a log line, without any token that is in it. Of what serde cannot hold (a lone surrogate,
/// say) a text is shown raw, and nothing of an object or a list.
fn shown(raw: &str) -> Value {
    let Ok(mut value) = serde_json::from_str(raw) else {
        return match raw.as_bytes().first() {
            Some(b'{') => "[Object]".into(),
            Some(b'[') => "[Array]".into(),
            _ => raw.into(),
        };
    };
    redact(&mut value);
    value
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if key == "authToken" {
                    *field = "[redacted]".into();
                } else {
                    redact(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"type":"worker_registration","workerId":"w","authToken":"t","capabilities":{"models":[],"maxConcurrentRequests":1}}"#;
    const BAD: &str = r#"{"type":"worker_registration","workerId":"w","authToken":"t"}"#;

    fn tokens(tokens: &[&str]) -> Vec<String> {
        tokens.iter().map(|&token| token.to_owned()).collect()
    }

    #[test]
    fn without_configured_tokens_none_is_asked_for() {
        assert!(matches!(Session::new().on_text(GOOD, None), Action::Register(_)));
    }

    #[test]
    fn a_right_token_registers_and_a_wrong_one_is_refused() {
        assert!(matches!(Session::new().on_text(GOOD, Some(&tokens(&["t"]))), Action::Register(_)));
        let mut session = Session::new();
        let Action::Refuse { answer, closing, line } = session.on_text(GOOD, Some(&tokens(&["other"]))) else {
            panic!("not refused");
        };
        assert_eq!(
            answer,
            r#"{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}"#
        );
        assert_eq!(closing, Closing::AUTHENTICATION_FAILED);
        assert_eq!(line, Line::warn("Worker registration rejected: invalid auth token", json!({ "workerId": "w" })));
        assert_eq!(session.on_text(r#"{"type":"x"}"#, None), Action::Ignore);
    }

    #[test]
    fn a_missing_token_is_an_empty_one_and_a_mistyped_one_is_none() {
        let missing = GOOD.replace(r#""authToken":"t","#, "");
        let number = GOOD.replace(r#""t""#, "7");
        assert!(matches!(Session::new().on_text(&missing, Some(&tokens(&[""]))), Action::Register(_)));
        assert!(matches!(Session::new().on_text(&missing, Some(&tokens(&["t"]))), Action::Refuse { .. }));
        assert!(matches!(Session::new().on_text(&number, Some(&tokens(&["", "7"]))), Action::Refuse { .. }));
    }

    #[test]
    fn the_token_of_the_upgrade_counts_where_the_registration_has_none() {
        let judged = |raw: Option<&str>, bearer: Option<&str>, accepted: &[&str]| {
            is_authentic(raw, || BearerToken::read(&format!("Bearer {}", bearer?)), &tokens(accepted))
        };
        assert!(judged(None, Some("t"), &["t"]));
        assert!(judged(Some("null"), Some("t"), &["t"]));
        assert!(!judged(None, Some("x"), &["t"]));
        assert!(!judged(None, None, &["t"]));
        assert!(judged(Some("\"t\""), Some("x"), &["t"]), "the registration's wins");
        assert!(!judged(Some("\"x\""), Some("t"), &["t"]), "the registration's wins");
        assert!(!judged(Some("\"\""), Some("t"), &["t"]), "an empty one is there");
        assert!(!judged(Some("7"), Some("t"), &["t"]), "what is no string is there");
        assert!(judged(None, Some("x"), &[""]), "who gives none passes");
        assert!(!judged(None, Some("t"), &[]), "nobody passes");
    }

    #[test]
    fn the_token_is_judged_before_the_fields() {
        let refused = |token: &str| match Session::new().on_text(BAD, Some(&tokens(&[token]))) {
            Action::Refuse { closing, .. } => closing,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("other"), Closing::AUTHENTICATION_FAILED);
        assert_eq!(refused("t"), Closing::INVALID_REGISTRATION);
    }

    #[test]
    fn no_log_line_holds_the_token() {
        for expected in ["other", "secret-7"] {
            let text = BAD.replace(r#""t""#, r#""secret-7""#);
            let mut session = Session::new();
            let Action::Refuse { line, answer, .. } = session.on_text(&text, Some(&tokens(&[expected]))) else {
                panic!("not refused");
            };
            assert!(!format!("{line:?}{answer}").contains("secret-7"));
        }
    }

    #[test]
    fn no_token_is_shown_that_is_within_an_id() {
        for (id, shown) in [
            (r#"{"a":1,"authToken":"secret-7"}"#, json!({ "a": 1, "authToken": "[redacted]" })),
            (r#"[0,{"auth\u0054oken":["secret-7"]}]"#, json!([0, { "authToken": "[redacted]" }])),
            (r#"{"authToken":"x","authToken":"secret-7"}"#, json!({ "authToken": "[redacted]" })),
            (r#"{"authToken":"secret-7","x":"\ud800"}"#, json!("[Object]")),
            (r#"[{"authToken":"secret-7"},"\ud800"]"#, json!("[Array]")),
        ] {
            let text = BAD.replace(r#""w""#, id);
            let Action::Refuse { line, answer, .. } = Session::new().on_text(&text, None) else {
                panic!("not refused");
            };
            assert_eq!(line.context["workerId"], shown);
            assert!(!format!("{line:?}{answer}").contains("secret-7"));
        }
    }

    #[test]
    fn a_message_is_shown_by_its_type() {
        assert_eq!(type_of(r#"{"x":1,"type":"\u0061"}"#), json!({ "type": "a" }));
        assert_eq!(type_of(r#"{"type":"\ud800"}"#), json!({ "type": r#""\ud800""# }));
        assert_eq!(type_of("{}"), json!({}));
    }

    #[test]
    fn messages_are_delivered_and_nonsense_is_complained_of() {
        let mut session = Session::new();
        assert_eq!(session.on_text(r#"{"type":"x"}"#, None), Action::Deliver);
        assert_eq!(
            session.on_text("null", None),
            Action::Complain(Line::warn("Message missing type field", Value::Null))
        );
        assert_eq!(
            session.on_text("{", None),
            Action::Complain(Line::warn("Invalid JSON message from worker", Value::Null))
        );
    }

    #[test]
    fn a_heartbeat_names_any_worker() {
        let mut session = Session::new();
        assert_eq!(
            session.on_text(r#"{"type":"heartbeat","workerId":"w","timestamp":1}"#, None),
            Action::Heartbeat { worker_id: Some("w".into()), named: Some(json!("w")), timestamp: Some("1") }
        );
        assert_eq!(
            session.on_text(r#"{"type":"heartbeat","workerId":{"a":1}}"#, None),
            Action::Heartbeat { worker_id: None, named: Some(json!({ "a": 1 })), timestamp: None }
        );
        assert_eq!(
            session.on_text(r#"{"type":"heartbeat","workerId":7}"#, None),
            Action::Heartbeat { worker_id: None, named: Some(json!(7)), timestamp: None }
        );
    }
}
