//! Log lines: what they say and with which context, and how many of a kind may be written. JavaScript writes them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::clock::Moment;

/// Lines of one kind that are written within a second at most; see [`LogLimiter`].
pub const MAX_LINES_A_SECOND: u32 = 100;

const SECOND_MS: u64 = 1_000;

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

impl Level {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Debug, Self::Warn, Self::Error];

    /// The method of a logger that writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
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

/// Keeps a peer from filling the log: of the lines that any peer can cause, [`MAX_LINES_A_SECOND`] of a kind pass, and
/// one line a second says how many more there were. A kind is what has the same message.
#[derive(Debug, Default)]
pub struct LogLimiter {
    kinds: HashMap<String, Kind>,
}

/// The lines of one kind.
#[derive(Debug)]
struct Kind {
    level: Level,
    /// When the second began in which `passed` lines did.
    since_ms: u64,
    passed: u32,
    /// Lines that were left out and not yet summed up, and when that is due.
    left_out: u64,
    due_ms: u64,
}

impl LogLimiter {
    /// Whether a line with this message may be written. If not, it is counted, and there will be a [`summary`] of it.
    ///
    /// [`summary`]: LogLimiter::summaries
    pub fn admits(&mut self, level: Level, message: &str, now: Moment) -> bool {
        let now_ms = now.elapsed_ms;
        let Some(kind) = self.kinds.get_mut(message) else {
            let kind = Kind { level, since_ms: now_ms, passed: 1, left_out: 0, due_ms: 0 };
            self.kinds.insert(message.to_owned(), kind);
            return true;
        };
        if now_ms.saturating_sub(kind.since_ms) >= SECOND_MS {
            kind.since_ms = now_ms;
            kind.passed = 0;
        }
        if kind.passed < MAX_LINES_A_SECOND {
            kind.passed += 1;
            return true;
        }
        if kind.left_out == 0 {
            kind.due_ms = kind.since_ms + SECOND_MS;
        }
        kind.left_out += 1;
        false
    }

    /// When the next summary is due, by [`Moment::elapsed_ms`]. `None` if nothing is left out.
    pub fn due_ms(&self) -> Option<u64> {
        self.kinds.values().filter(|kind| kind.left_out > 0).map(|kind| kind.due_ms).min()
    }

    /// For each kind whose second is over, the line that says how many were left out.
    pub fn summaries(&mut self, now: Moment) -> Vec<Line> {
        let due = |kind: &Kind| kind.left_out > 0 && kind.due_ms <= now.elapsed_ms;
        let mut lines = Vec::new();
        for (message, kind) in self.kinds.iter_mut().filter(|(_, kind)| due(kind)) {
            let count = std::mem::take(&mut kind.left_out);
            let context = json!({ "message": message, "count": count });
            lines.push(Line { level: kind.level, message: "Log lines suppressed", context });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(elapsed_ms: u64) -> Moment {
        Moment { elapsed_ms, unix_ms: 0 }
    }

    /// How many of `count` lines at one moment pass.
    fn pass(limiter: &mut LogLimiter, message: &str, count: u32, now: Moment) -> usize {
        (0..count).filter(|_| limiter.admits(Level::Warn, message, now)).count()
    }

    fn suppressed(message: &str, count: u64) -> Line {
        Line::warn("Log lines suppressed", json!({ "message": message, "count": count }))
    }

    #[test]
    fn a_hundred_lines_of_a_kind_pass_in_a_second() {
        let mut limiter = LogLimiter::default();
        assert_eq!(pass(&mut limiter, "a", 100, at(7)), 100);
        assert_eq!(limiter.due_ms(), None);
        assert_eq!(pass(&mut limiter, "a", 50, at(500)), 0);
        assert_eq!(pass(&mut limiter, "a", 1, at(1_006)), 0);
        assert_eq!(pass(&mut limiter, "a", 150, at(1_007)), 100);
    }

    #[test]
    fn kinds_do_not_count_for_each_other() {
        let mut limiter = LogLimiter::default();
        assert_eq!(pass(&mut limiter, "a", 200, at(0)), 100);
        assert_eq!(pass(&mut limiter, "b", 200, at(0)), 100);
    }

    #[test]
    fn one_line_tells_how_many_were_left_out_when_the_second_is_over() {
        let mut limiter = LogLimiter::default();
        pass(&mut limiter, "a", 130, at(10));
        assert_eq!(limiter.due_ms(), Some(1_010));
        assert_eq!(limiter.summaries(at(1_009)), []);
        assert_eq!(limiter.summaries(at(1_010)), [suppressed("a", 30)]);
        assert_eq!(limiter.due_ms(), None);
        assert_eq!(limiter.summaries(at(5_000)), []);
    }

    #[test]
    fn each_second_of_a_flood_has_its_own_line() {
        let mut limiter = LogLimiter::default();
        for second in 0..3 {
            assert_eq!(pass(&mut limiter, "a", 400, at(second * 1_000)), 100);
            assert_eq!(limiter.summaries(at(second * 1_000 + 1_000)), [suppressed("a", 300)]);
        }
    }

    #[test]
    fn what_is_told_late_is_told_once_and_whole() {
        let mut limiter = LogLimiter::default();
        pass(&mut limiter, "a", 101, at(0));
        assert_eq!(pass(&mut limiter, "a", 102, at(1_500)), 100);
        assert_eq!(limiter.due_ms(), Some(1_000));
        assert_eq!(limiter.summaries(at(1_600)), [suppressed("a", 3)]);
        assert_eq!(limiter.summaries(at(9_999)), []);
    }

    #[test]
    fn only_kinds_that_are_due_are_told_of() {
        let mut limiter = LogLimiter::default();
        pass(&mut limiter, "a", 101, at(0));
        pass(&mut limiter, "b", 105, at(400));
        assert_eq!(limiter.summaries(at(1_000)), [suppressed("a", 1)]);
        assert_eq!(limiter.due_ms(), Some(1_400));
        assert_eq!(limiter.summaries(at(1_400)), [suppressed("b", 5)]);
    }

    #[test]
    fn the_line_has_the_level_of_those_that_it_stands_for() {
        let mut limiter = LogLimiter::default();
        for _ in 0..101 {
            limiter.admits(Level::Debug, "a", at(0));
        }
        assert_eq!(limiter.summaries(at(1_000))[0].level, Level::Debug);
    }
}
