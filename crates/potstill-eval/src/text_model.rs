//! What an evaluation asks of a model of text: how likely is it, and how does it go on.

mod endpoint;
mod local;
mod spans;

use potstill_core::Sampling;
use potstill_data::TextTokenizer;
use serde::{Deserialize, Serialize};

pub use endpoint::EndpointTextModel;
pub use local::LocalTextModel;

use crate::Error;

/// How likely a model holds some text behind some other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLikelihood {
    /// `Σ log q(token)`, in nats.
    pub log_prob: f64,
    /// Whether each token is the likeliest where it stands: what the model would write by itself.
    pub is_greedy: bool,
}

/// Tokens of which the last ones are scored, each behind all that come before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoredTokens {
    /// At least one more than are scored.
    pub tokens: Vec<u32>,
    /// How many, at least 1.
    pub scored: usize,
}

/// How a text is continued.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateUntil {
    /// Texts that end the continuation; they are not part of it. The end-of-text token always does.
    pub until: Vec<String>,
    /// Most new tokens.
    pub max_new_tokens: usize,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Seed of the choice.
    pub seed: u64,
}

impl GenerateUntil {
    /// The likeliest continuation of up to `max_new_tokens`.
    #[must_use]
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self {
            until: Vec::new(),
            max_new_tokens,
            sampling: Sampling::greedy(),
            seed: 0,
        }
    }
}

/// A model that reads and writes text through a tokenizer.
///
/// The provided methods turn text into tokens as lm-evaluation-harness does, so that numbers can be
/// compared with its own:
///
/// - no special token is added; one that stands in the text is read as what it is;
/// - a context and its continuation are encoded together and cut where the context alone would end,
///   white space at the end of the context belonging to the continuation;
/// - an empty context, and the begin of a document, is the beginning-of-text token, or the end-of-text
///   token where there is none;
/// - what does not fit the [window](Self::window) loses its beginning.
pub trait TextModel {
    /// Which model this is.
    fn name(&self) -> &str;

    /// Its tokenizer.
    fn tokenizer(&self) -> &TextTokenizer;

    /// Most tokens that it reads before it predicts one.
    fn window(&self) -> usize;

    /// How likely the scored tokens of each of `spans` are.
    ///
    /// # Errors
    ///
    /// When the model fails or its logits are not numbers.
    fn score(&self, spans: &[ScoredTokens]) -> Result<Vec<LogLikelihood>, Error>;

    /// Continues each of `prompts`, which fit the window together with the new tokens.
    ///
    /// # Errors
    ///
    /// When the model fails.
    fn write(&self, prompts: Vec<Vec<u32>>, options: &GenerateUntil) -> Result<Vec<String>, Error>;

    /// How likely each continuation is behind its context.
    ///
    /// # Errors
    ///
    /// When a continuation has no token or does not fit the window, an empty context has no token to
    /// begin with, or the model fails.
    fn log_likelihood(&self, pairs: &[(&str, &str)]) -> Result<Vec<LogLikelihood>, Error> {
        let spans = pairs
            .iter()
            .enumerate()
            .map(|(index, (context, continuation))| {
                spans::of_pair(self.tokenizer(), self.window(), context, continuation)
                    .map_err(|problem| problem.of(index))
            });
        self.score(&spans.collect::<Result<Vec<_>, Error>>()?)
    }

    /// `Σ log q(token)` of each text as a whole, in nats.
    ///
    /// A text that is longer than the window is read in pieces, each behind as much of what comes
    /// before it as fits; every token is predicted once.
    ///
    /// # Errors
    ///
    /// When there is no token to begin with, or the model fails.
    fn log_likelihood_rolling(&self, texts: &[&str]) -> Result<Vec<f64>, Error> {
        let mut windows = Vec::new();
        let mut counts = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let of_text = spans::rolling(self.tokenizer(), self.window(), text)
                .map_err(|problem| problem.of(index))?;
            counts.push(of_text.len());
            windows.extend(of_text);
        }
        let mut scores = self.score(&windows)?.into_iter();
        let total = |count: usize| -> f64 {
            scores
                .by_ref()
                .take(count)
                .map(|score| score.log_prob)
                .sum()
        };
        Ok(counts.into_iter().map(total).collect())
    }

    /// The continuation of each of `prompts`, without what ended it.
    ///
    /// # Errors
    ///
    /// When the new tokens leave no room for a prompt, a prompt is empty and has no token to begin
    /// with, or the model fails.
    fn generate_until(
        &self,
        prompts: &[&str],
        options: &GenerateUntil,
    ) -> Result<Vec<String>, Error> {
        let prompts = prompts.iter().enumerate().map(|(index, prompt)| {
            spans::prompt(
                self.tokenizer(),
                self.window(),
                prompt,
                options.max_new_tokens,
            )
            .map_err(|problem| problem.of(index))
        });
        self.write(prompts.collect::<Result<Vec<_>, Error>>()?, options)
    }
}

#[cfg(test)]
mod tests;
