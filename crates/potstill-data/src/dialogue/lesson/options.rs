//! Settings of a lesson.

use jiff::Timestamp;
use potstill_core::Sampling;

/// Where a lesson ends at the latest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Turns that stay.
    pub turns: usize,
    /// Tokens that are read and written, as far as the models say.
    pub tokens: Option<u64>,
    /// What the tokens cost, as far as the models say how many there are.
    pub cost: Option<f64>,
    /// Tokens of a turn.
    pub turn_tokens: usize,
}

impl Default for Limits {
    /// At most 40 turns of 200 tokens.
    fn default() -> Self {
        Self {
            turns: 40,
            tokens: None,
            cost: None,
            turn_tokens: 200,
        }
    }
}

/// Settings of a [`Lesson`](crate::dialogue::Lesson).
#[derive(Clone, Debug)]
pub struct LessonOptions {
    /// Where it ends at the latest.
    pub limits: Limits,
    /// How participants choose their words.
    pub sampling: Sampling,
    /// Seed of their choices.
    pub seed: u64,
    /// Attempts at a turn, and warned turns in a row, before a guard ends the lesson.
    pub patience: usize,
    /// Whether a topic is done only when a student has said its facts back.
    pub must_be_said_back: bool,
    /// Whether to ask for the probabilities of tokens, for the guard against unsure teachers.
    pub log_probs: bool,
    /// The clock that says when a lesson began; fixed, a transcript is the same byte for byte.
    pub clock: fn() -> Timestamp,
}

impl Default for LessonOptions {
    /// At most 40 turns of 200 tokens, the likeliest words first, three attempts.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            sampling: Sampling::greedy(),
            seed: 0,
            patience: 3,
            must_be_said_back: false,
            log_probs: false,
            clock: Timestamp::now,
        }
    }
}
