//! Continuing token sequences.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How the next token is chosen from the logits.
///
/// Applied in this order, as `transformers` does: repetition penalty, temperature, top-k, top-p,
/// min-p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f64,
    /// Keeps the `k` most likely tokens.
    pub top_k: Option<usize>,
    /// Keeps the smallest set of likely tokens with at least this mass, in `(0, 1]`.
    pub top_p: Option<f64>,
    /// Keeps tokens at least this fraction as likely as the likeliest, in `[0, 1]`.
    pub min_p: Option<f64>,
    /// Divides positive and multiplies negative logits of tokens seen before (CTRL,
    /// arXiv:1909.05858); 1 changes nothing.
    pub repetition_penalty: f64,
}

impl Sampling {
    /// The most likely token.
    #[must_use]
    pub fn greedy() -> Self {
        Self::temperature(0.0)
    }

    /// The whole distribution at a temperature.
    #[must_use]
    pub fn temperature(temperature: f64) -> Self {
        Self {
            temperature,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: 1.0,
        }
    }

    /// Why these settings make no sense, if so.
    ///
    /// # Errors
    ///
    /// When a value is outside its range; the message says which and what would be right.
    pub fn validate(&self) -> Result<(), GenerateError> {
        let wrong = |name, value: f64, expected| {
            Err(GenerateError::Sampling {
                name,
                value,
                expected,
            })
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return wrong(
                "temperature",
                self.temperature,
                "a finite number of at least 0",
            );
        }
        if self.top_k == Some(0) {
            return wrong("top_k", 0.0, "at least 1");
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return wrong("top_p", p, "in (0, 1]");
        }
        if let Some(p) = self.min_p.filter(|p| !(0.0..=1.0).contains(p)) {
            return wrong("min_p", p, "in [0, 1]");
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            return wrong(
                "repetition_penalty",
                self.repetition_penalty,
                "a finite number above 0",
            );
        }
        Ok(())
    }
}

/// Ends a sequence when the tokens generated so far say so, for example because their text ends in
/// a stop string.
#[derive(Clone)]
pub struct StopRule(Arc<Rule>);

type Rule = dyn Fn(&[u32]) -> bool + Send + Sync;

impl StopRule {
    /// Stops where `rule` is true of the tokens generated so far (without the prompt).
    pub fn new(rule: impl Fn(&[u32]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    /// Whether to stop after `generated`.
    #[must_use]
    pub fn stops(&self, generated: &[u32]) -> bool {
        (self.0)(generated)
    }
}

impl fmt::Debug for StopRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopRule")
    }
}

/// Settings of a [`Generate`] call.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Most tokens to add to each prompt.
    pub max_new_tokens: usize,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Tokens that end a sequence; the token itself is kept.
    pub stop_tokens: Vec<u32>,
    /// Ends a sequence by its text.
    pub stop_rule: Option<StopRule>,
    /// Seed. Every prompt has its own stream, so that its continuation does not depend on the
    /// others in the batch.
    pub seed: u64,
}

impl GenerateOptions {
    /// Greedy continuation by up to `max_new_tokens`.
    #[must_use]
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            sampling: Sampling::greedy(),
            stop_tokens: Vec::new(),
            stop_rule: None,
            seed: 0,
        }
    }
}

/// Why a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// A stop token was generated.
    StopToken(u32),
    /// The [`StopRule`] was met.
    StopRule,
    /// `max_new_tokens` were generated.
    Length,
}

/// One continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The new tokens, the stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each under the model itself: temperature 1, no filter.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: FinishReason,
}

/// Token ids in, continuations out.
pub trait Generate {
    /// Continues each prompt.
    ///
    /// # Errors
    ///
    /// When a prompt is empty or does not fit the model's context together with
    /// `max_new_tokens`, or the sampling settings make no sense.
    fn generate(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
    ) -> Result<Vec<Generation>, GenerateError>;
}

/// Why a prompt cannot be continued.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// There is nothing to continue.
    #[error(
        "prompt {prompt} is empty; give at least one token, such as the beginning-of-text token"
    )]
    EmptyPrompt {
        /// Index of the prompt.
        prompt: usize,
    },
    /// A token id beyond the embedding table.
    #[error("prompt {prompt} holds token {token}, but the model has {vocab_size} tokens")]
    UnknownToken {
        /// Index of the prompt.
        prompt: usize,
        /// The id.
        token: u32,
        /// Rows of the embedding table.
        vocab_size: usize,
    },
    /// The context is too short.
    #[error(
        "prompt {prompt} has {length} tokens and {max_new_tokens} more were asked for, but the model \
         has {max_positions} positions"
    )]
    TooLong {
        /// Index of the prompt.
        prompt: usize,
        /// Its tokens.
        length: usize,
        /// Tokens asked for.
        max_new_tokens: usize,
        /// Positions of the model.
        max_positions: usize,
    },
    /// A sampling setting outside its range.
    #[error("{name} is {value}, it must be {expected}")]
    Sampling {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// Two models are to write together.
    #[error(
        "a student of {student} tokens and a teacher of {teacher} cannot write together; both must \
         have the same vocabulary"
    )]
    Vocabularies {
        /// Tokens of the student.
        student: usize,
        /// Tokens of the teacher.
        teacher: usize,
    },
    /// The model produced logits that are not numbers.
    #[error(
        "the model's logits for prompt {prompt} hold no finite number after {generated} new tokens"
    )]
    NoFiniteLogit {
        /// Index of the prompt.
        prompt: usize,
        /// Tokens generated before.
        generated: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(sampling: Sampling, message: &str) {
        assert_eq!(sampling.validate().unwrap_err().to_string(), message);
    }

    #[test]
    fn settings_outside_their_range_are_refused_by_name() {
        let sound = Sampling::temperature(0.7);
        assert_eq!(sound.validate(), Ok(()));
        refused(
            Sampling::temperature(f64::NAN),
            "temperature is NaN, it must be a finite number of at least 0",
        );
        refused(
            Sampling {
                top_k: Some(0),
                ..sound
            },
            "top_k is 0, it must be at least 1",
        );
        refused(
            Sampling {
                top_p: Some(0.0),
                ..sound
            },
            "top_p is 0, it must be in (0, 1]",
        );
        refused(
            Sampling {
                min_p: Some(1.5),
                ..sound
            },
            "min_p is 1.5, it must be in [0, 1]",
        );
        refused(
            Sampling {
                repetition_penalty: 0.0,
                ..sound
            },
            "repetition_penalty is 0, it must be a finite number above 0",
        );
    }

    #[test]
    fn a_stop_rule_sees_the_generated_tokens() {
        let rule = StopRule::new(|tokens| tokens.ends_with(&[7, 8]));
        assert!(rule.stops(&[1, 7, 8]) && !rule.stops(&[7, 8, 1]));
    }
}
