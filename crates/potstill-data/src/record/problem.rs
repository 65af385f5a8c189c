//! What is wrong with a record.

use std::fmt;

use serde_json::Value;

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProblem {
    /// The text is not JSON.
    #[error("the record is not JSON: {}", without_line(.0))]
    NotJson(#[from] serde_json::Error),
    /// The text ends within the record.
    #[error("the file ends within the record")]
    Unfinished,
    /// The record is not UTF-8.
    #[error("the record is not UTF-8")]
    NotUtf8,
    /// None of the layouts.
    #[error(
        "the record needs \"messages\", \"prompt\" and \"completion\", or \"text\" (or the keys of \
         ShareGPT, Alpaca or UltraChat); it has {}",
        List(keys)
    )]
    NoContent {
        /// The keys it has.
        keys: Vec<String>,
    },
    /// A key of another type.
    #[error("{key} must be {expected}, not {found}")]
    Type {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A conversation without a turn.
    #[error("{key:?} is empty")]
    NoTurns {
        /// The key that holds the turns.
        key: &'static str,
    },
    /// A speaker that nobody knows.
    #[error(
        "{turn} is said by {speaker:?}; the speakers of ShareGPT are {}",
        List(known)
    )]
    Speaker {
        /// The turn.
        turn: String,
        /// Who speaks.
        speaker: String,
        /// Who may speak.
        known: Vec<String>,
    },
    /// A record that is not in the layout that was named.
    #[error(
        "the record is not in the layout {layout}: it lacks {lacks:?} and has {}",
        List(keys)
    )]
    Layout {
        /// Name of the layout.
        layout: &'static str,
        /// A key that the layout has.
        lacks: &'static str,
        /// The keys it has.
        keys: Vec<String>,
    },
    /// A weight that is no weight.
    #[error("the weight is {weight}, it must be finite and not negative")]
    Weight {
        /// Its value.
        weight: f64,
    },
    /// A key that is given twice.
    #[error("{key:?} stands in the record and in its \"meta\"")]
    Ambiguous {
        /// The key.
        key: String,
    },
}

/// A record is one line, so that "line 1" would only contradict the line of the file.
fn without_line(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("no other key"),
            keys => write!(f, "{keys:?}"),
        }
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(super) fn wrong_type(
    key: impl Into<String>,
    expected: &'static str,
    found: &Value,
) -> RecordProblem {
    RecordProblem::Type {
        key: key.into(),
        expected,
        found: kind(found),
    }
}
