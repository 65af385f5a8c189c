//! A turn without its end.

use super::{Action, Draft, Finding, Guard};

/// Rejects turns that were cut off at the limit of tokens: who learns from them learns to stop in the
/// middle of a sentence.
#[derive(Clone, Copy, Debug)]
pub struct CutOff;

impl Guard for CutOff {
    fn description(&self) -> String {
        "cut-off".into()
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        draft.cut_off.then(|| {
            draft.finding(
                "cut-off",
                Action::Reject,
                "the turn is longer than the lesson allows".into(),
                "Your last answer was too long and was cut off. Say less: three short sentences."
                    .into(),
            )
        })
    }
}
