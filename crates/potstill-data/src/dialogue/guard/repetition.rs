//! A speaker that says the same again.

use std::collections::BTreeSet;

use super::{Action, Draft, Finding, Guard};
use crate::rouge_tokens;

/// Words of a run that is looked for.
const RUN: usize = 4;

/// Rejects turns that mostly consist of runs of four words that the speaker has said before, in
/// earlier turns or earlier in this one.
#[derive(Clone, Copy, Debug)]
pub struct Repetition {
    /// Largest share of repeated runs, in `[0, 1]`.
    pub most: f64,
}

impl Default for Repetition {
    fn default() -> Self {
        Self { most: 0.6 }
    }
}

impl Guard for Repetition {
    fn description(&self) -> String {
        format!("repetition {}", self.most)
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        let mut said: BTreeSet<Vec<String>> = draft
            .turns
            .iter()
            .filter(|turn| turn.speaker == draft.speaker.name)
            .flat_map(|turn| runs(&turn.text))
            .collect();
        let runs = runs(draft.text);
        let all = runs.len();
        let again = runs
            .into_iter()
            .filter(|run| !said.insert(run.clone()))
            .count();
        let share = again as f64 / all.max(1) as f64;
        (share > self.most).then(|| {
            draft.finding(
                "repetition",
                Action::Reject,
                format!("{:.0} % of the turn was said before", share * 100.0),
                "You have said this before. Say something new, or ask about what is not clear yet."
                    .into(),
            )
        })
    }
}

fn runs(text: &str) -> Vec<Vec<String>> {
    rouge_tokens(text)
        .windows(RUN)
        .map(<[String]>::to_vec)
        .collect()
}
