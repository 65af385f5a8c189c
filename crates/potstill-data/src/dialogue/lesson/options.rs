//! Settings of a lesson.

use potstill_core::Sampling;

/// Where a lesson ends at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Turns that stay.
    pub turns: usize,
    /// Tokens that are read and written, as far as the models say.
    pub tokens: Option<u64>,
    /// Tokens of a turn.
    pub turn_tokens: usize,
}

/// Settings of a [`Lesson`].
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
}

impl Default for LessonOptions {
    /// At most 40 turns of 200 tokens, the likeliest words first, three attempts.
    fn default() -> Self {
        Self {
            limits: Limits {
                turns: 40,
                tokens: None,
                turn_tokens: 200,
            },
            sampling: Sampling::greedy(),
            seed: 0,
            patience: 3,
            must_be_said_back: false,
            log_probs: false,
        }
    }
}
