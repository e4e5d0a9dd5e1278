//! Log lines: what they say and with which context. They are written by JavaScript.

use serde_json::Value;

/// The levels that the package uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The normal course of events.
    Debug,
    /// Something that a peer did wrong, or a limit that was crossed.
    Warn,
    /// Something that failed here.
    Error,
}

/// One line for the application's logger.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// How serious it is.
    pub level: Level,
    /// The fixed text.
    pub message: &'static str,
    /// A JSON object with the particulars, or `Value::Null` for none.
    pub context: Value,
}

impl Line {
    /// A line of level debug.
    pub fn debug(message: &'static str, context: Value) -> Self {
        Self { level: Level::Debug, message, context }
    }

    /// A line of level warn.
    pub fn warn(message: &'static str, context: Value) -> Self {
        Self { level: Level::Warn, message, context }
    }

    /// A line of level error.
    pub fn error(message: &'static str, context: Value) -> Self {
        Self { level: Level::Error, message, context }
    }
}
