//! What a model wrote behind a prompt, and how likely each token was when it was drawn.

use serde::{Deserialize, Serialize};

use crate::{FinishReason, Generation, TokenRow};

/// How likely a token was when it was drawn; natural logarithms, temperature 1, no filter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// Log-probability under the student as it was then.
    pub policy: f32,
    /// Log-probability under the distribution it was drawn from: not the student's own where a
    /// teacher took part.
    pub sampler: f32,
}

/// A prompt with its continuation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// What was continued.
    pub prompt: Vec<u32>,
    /// The new tokens, a stop token included.
    pub tokens: Vec<u32>,
    /// How each of them was drawn.
    pub draws: Vec<Draw>,
    /// Why it ended.
    pub finish: FinishReason,
}

impl Rollout {
    /// What a student wrote by itself.
    #[must_use]
    pub fn new(prompt: Vec<u32>, generation: Generation) -> Self {
        let draws = generation.log_probs.into_iter().map(|log_prob| Draw {
            policy: log_prob,
            sampler: log_prob,
        });
        Self {
            prompt,
            tokens: generation.tokens,
            draws: draws.collect(),
            finish: generation.finish,
        }
    }

    /// Whether it was cut off, not ended.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.finish == FinishReason::Length
    }

    /// Drops what follows the first of `stop_tokens`.
    pub fn cut_after(&mut self, stop_tokens: &[u32]) {
        let end = self
            .tokens
            .iter()
            .position(|token| stop_tokens.contains(token));
        if let Some(end) = end {
            self.finish = FinishReason::StopToken(self.tokens[end]);
            self.tokens.truncate(end + 1);
            self.draws.truncate(end + 1);
        }
    }

    /// A row of its own; see [`TokenRow::push_rollout`].
    ///
    /// # Panics
    ///
    /// As [`TokenRow::push_rollout`].
    #[must_use]
    pub fn row(&self) -> TokenRow {
        let mut row = TokenRow::default();
        row.push_rollout(self);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_the_first_stop_token() {
        let generation = Generation {
            tokens: vec![4, 9, 5, 9],
            log_probs: vec![-0.1, -0.2, -0.3, -0.4],
            finish: FinishReason::Length,
        };
        let mut rollout = Rollout::new(vec![1], generation);
        rollout.cut_after(&[7]);
        assert!(rollout.is_truncated());
        rollout.cut_after(&[9]);
        assert_eq!((rollout.tokens.len(), rollout.draws.len()), (2, 2));
        assert_eq!(rollout.finish, FinishReason::StopToken(9));
    }
}
