//! What keeps a lesson from going astray.

mod contradiction;
mod cut_off;
mod echo;
mod empty_turn;
mod farewells;
mod meandering;
mod repetition;
mod role_flip;
mod unsure;

use std::fmt::Debug;

use potstill_core::ChatToken;
use serde::{Deserialize, Serialize};

use super::{Part, Speaker, Syllabus, Turn};

pub use contradiction::Contradiction;
pub use cut_off::CutOff;
pub use echo::Echo;
pub use empty_turn::EmptyTurn;
pub use farewells::Farewells;
pub use meandering::Meandering;
pub use repetition::Repetition;
pub use role_flip::RoleFlip;
pub use unsure::Unsure;

/// A turn that may become a part of the lesson.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// What was said.
    pub text: &'a str,
    /// Whether it was cut off at the limit of tokens.
    pub cut_off: bool,
    /// Every token with its probability, where the model gives them.
    pub tokens: Option<&'a [ChatToken]>,
    /// Who says it.
    pub speaker: &'a Speaker,
    /// Who takes part.
    pub speakers: &'a [Speaker],
    /// What was said before.
    pub turns: &'a [Turn],
    /// What is to be learned.
    pub syllabus: &'a Syllabus,
    /// Number of the topic that is on.
    pub topic: usize,
}

/// What follows from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The turn stays, and the next teacher is told the correction.
    Warn,
    /// The turn does not stay: it is said again with the correction.
    Reject,
}

/// What a guard has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which guard.
    pub guard: String,
    /// What it has found.
    pub message: String,
    /// What the speaker is told.
    pub correction: String,
    /// What follows.
    pub action: Action,
}

/// Looks at a turn before it becomes a part of the lesson.
///
/// A lesson ends when its patience with one guard is at an end: as many rejected attempts at one
/// turn, or as many warned turns without one that is in order in between.
pub trait Guard: Debug + Send + Sync {
    /// Its name, with every setting that changes what it finds.
    fn description(&self) -> String;

    /// What is wrong with the turn, if anything is.
    fn examine(&self, draft: &Draft<'_>) -> Option<Finding>;
}

/// All guards, as they come.
#[must_use]
pub fn default_guards() -> Vec<Box<dyn Guard>> {
    vec![
        Box::new(EmptyTurn),
        Box::new(CutOff),
        Box::new(RoleFlip),
        Box::new(Echo::default()),
        Box::new(Repetition::default()),
        Box::new(Contradiction),
        Box::new(Unsure::default()),
        Box::new(Farewells::default()),
        Box::new(Meandering::default()),
    ]
}

impl Draft<'_> {
    /// The last turn of somebody else.
    fn last_of_another(&self) -> Option<&Turn> {
        self.turns
            .iter()
            .rev()
            .find(|turn| turn.speaker != self.speaker.name)
    }

    fn is_by_teacher(&self) -> bool {
        self.speaker.part == Part::Teacher
    }

    fn finding(&self, guard: &str, action: Action, message: String, correction: String) -> Finding {
        Finding {
            guard: guard.to_owned(),
            message,
            correction,
            action,
        }
    }
}

/// Whether a lower-case text has one of these phrases as whole words.
fn phrase_in<'p>(text: &str, phrases: &[&'p str]) -> Option<&'p str> {
    let words = format!(
        " {} ",
        crate::rouge_tokens(&text.replace(['\'', '’'], "")).join(" ")
    );
    phrases.iter().copied().find(|phrase| {
        let phrase = crate::rouge_tokens(&phrase.replace('\'', "")).join(" ");
        words.contains(&format!(" {phrase} "))
    })
}

#[cfg(test)]
mod tests;
