//! What was said.

use jiff::Timestamp;
use potstill_core::Usage;
use serde::{Deserialize, Serialize};

use super::{Coverage, Finding};

/// Who does what in a lesson.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Explains, checks and asks.
    Teacher,
    /// Says what it has understood, and asks back.
    Student,
}

/// A participant as the transcript knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    /// Its name in the lesson.
    pub name: String,
    /// What it does.
    pub part: Part,
    /// The model behind it.
    pub model: String,
    /// Id of the terms under which the model answers.
    pub terms: Option<String>,
    /// SHA-256 of the template of its instructions, in hexadecimal.
    pub prompt_sha256: String,
}

/// Something that was said and stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The speaker's name.
    pub speaker: String,
    /// What it does.
    pub part: Part,
    /// Number of the topic that was on.
    pub topic: usize,
    /// What was said.
    pub text: String,
    /// Tokens, where the model says.
    pub usage: Option<Usage>,
    /// What guards had to say about it without rejecting it.
    #[serde(default)]
    pub warnings: Vec<Finding>,
    /// Share of the key facts that were told once this was said.
    pub told: f64,
    /// Share of the key facts that were said back once this was said.
    pub said_back: f64,
}

/// Something that was said and does not stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectedTurn {
    /// Number of the turn that it would have been.
    pub turn: usize,
    /// The speaker's name.
    pub speaker: String,
    /// What was said.
    pub text: String,
    /// Tokens, where the model says.
    pub usage: Option<Usage>,
    /// Why it does not stay.
    pub finding: Finding,
}

/// Why a lesson ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LessonEnding {
    /// Every key fact is covered.
    Covered,
    /// There were as many turns as were allowed.
    Turns,
    /// There were as many tokens as were allowed.
    Tokens,
    /// It cost as much as was allowed.
    Cost,
    /// A guard gave up.
    Guard {
        /// Which.
        guard: String,
        /// What it found last.
        message: String,
    },
}

/// A lesson, so far or whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// `potstill.lesson/1`.
    pub schema: String,
    /// SHA-256 of all that the lesson depends on, in hexadecimal.
    pub lesson_sha256: String,
    /// What it is about.
    pub title: String,
    /// When it began.
    pub began: Timestamp,
    /// Who takes part.
    pub speakers: Vec<Speaker>,
    /// What was said.
    pub turns: Vec<Turn>,
    /// What was said and does not stay.
    pub rejected: Vec<RejectedTurn>,
    /// What became of the key facts.
    pub coverage: Coverage,
    /// Why it ended; `None` if it has not.
    pub ending: Option<LessonEnding>,
    /// What the next teacher is to be told.
    pub(super) pending: Vec<String>,
}

pub(super) const SCHEMA: &str = "potstill.lesson/1";

impl Transcript {
    /// Tokens that were read and written, as far as the models say; rejected turns included.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.spent()
            .map(|(_, usage)| usage)
            .fold(Usage::default(), |sum, usage| Usage {
                prompt_tokens: sum.prompt_tokens + usage.prompt_tokens,
                completion_tokens: sum.completion_tokens + usage.completion_tokens,
            })
    }

    /// Tokens with the name of who read and wrote them.
    pub(super) fn spent(&self) -> impl Iterator<Item = (&str, Usage)> {
        let kept = self
            .turns
            .iter()
            .filter_map(|turn| Some((turn.speaker.as_str(), turn.usage?)));
        let rejected = self
            .rejected
            .iter()
            .filter_map(|turn| Some((turn.speaker.as_str(), turn.usage?)));
        kept.chain(rejected)
    }

    /// What was rejected in place of a turn.
    pub(super) fn rejected_at(
        &self,
        turn: usize,
    ) -> impl DoubleEndedIterator<Item = &RejectedTurn> {
        self.rejected
            .iter()
            .filter(move |rejected| rejected.turn == turn)
    }
}
