//! A turn that says nothing.

use super::{Action, Draft, Finding, Guard};

/// Rejects turns without a letter or a digit.
#[derive(Clone, Copy, Debug)]
pub struct EmptyTurn;

impl Guard for EmptyTurn {
    fn description(&self) -> String {
        "empty-turn".into()
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        let says_something = draft.text.chars().any(char::is_alphanumeric);
        (!says_something).then(|| {
            draft.finding(
                "empty-turn",
                Action::Reject,
                "the turn says nothing".into(),
                "Your last answer was empty. Answer in at least one sentence.".into(),
            )
        })
    }
}
