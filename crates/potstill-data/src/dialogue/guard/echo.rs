//! A turn that only repeats the other one.

use super::{Action, Draft, Finding, Guard};
use crate::{rouge_l, rouge_tokens};

/// Rejects turns that are the last turn of somebody else over again, by ROUGE-L.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Largest F-measure, in `[0, 1]`.
    pub most: f64,
}

impl Default for Echo {
    fn default() -> Self {
        Self { most: 0.8 }
    }
}

impl Guard for Echo {
    fn description(&self) -> String {
        format!("echo {}", self.most)
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        let other = draft.last_of_another()?;
        let overlap = rouge_l(&rouge_tokens(&other.text), &rouge_tokens(draft.text)).f_measure;
        (overlap > self.most).then(|| {
            draft.finding(
                "echo",
                Action::Reject,
                format!("ROUGE-L of {overlap:.2} with the turn of {}", other.speaker),
                "Do not repeat what was just said. Say it in your own words, with an example, or go on."
                    .into(),
            )
        })
    }
}
