//! A teacher that does not know.

use super::{Action, Draft, Finding, Guard};

const HEDGES: [&str; 12] = [
    "i'm not sure",
    "i am not sure",
    "i don't know",
    "i do not know",
    "i'm not certain",
    "i might be wrong",
    "i may be wrong",
    "as far as i know",
    "if i remember correctly",
    "i guess",
    "i can't remember",
    "i have no idea",
];

/// Rejects a teacher's turn that says it is unsure, or whose tokens were unlikely to the teacher
/// itself, where it gives their probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Unsure {
    /// Smallest mean log-probability of a token, in nats.
    pub least_log_prob: f64,
}

impl Default for Unsure {
    fn default() -> Self {
        Self {
            least_log_prob: -2.0,
        }
    }
}

impl Guard for Unsure {
    fn description(&self) -> String {
        format!("unsure {}", self.least_log_prob)
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        if !draft.is_by_teacher() {
            return None;
        }
        let message = if let Some(hedge) = super::phrase_in(draft.text, &HEDGES) {
            format!("the teacher says {hedge:?}")
        } else {
            let mean = mean_log_prob(draft)?;
            if mean >= self.least_log_prob {
                return None;
            }
            format!(
                "{mean:.2} nats a token on average, at least {:.2}",
                self.least_log_prob
            )
        };
        let correction = "Only teach what you are sure of. Keep to the key facts.".into();
        Some(draft.finding("unsure", Action::Reject, message, correction))
    }
}

fn mean_log_prob(draft: &Draft<'_>) -> Option<f64> {
    let tokens = draft.tokens.filter(|tokens| !tokens.is_empty())?;
    let sum: f64 = tokens
        .iter()
        .map(|token| f64::from(token.chosen.log_prob))
        .sum();
    Some(sum / tokens.len() as f64)
}
