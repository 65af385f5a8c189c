//! What an engine is asked for, and what it answers.

use potstill_core::Sampling;
use tokio::sync::mpsc::UnboundedSender;

use crate::text_stream::TextStream;

/// A prompt to be scored, continued, or both.
#[derive(Debug)]
pub(crate) struct Job {
    /// Says in the events which job of the asker they belong to.
    pub(crate) index: usize,
    /// At least one token, none outside the vocabulary, short enough for the model together with
    /// `max_new_tokens`.
    pub(crate) prompt: Vec<u32>,
    pub(crate) max_new_tokens: usize,
    /// Valid.
    pub(crate) sampling: Sampling,
    pub(crate) seed: u64,
    /// Tells several continuations of one prompt apart.
    pub(crate) repetition: u64,
    pub(crate) stop_tokens: Vec<u32>,
    /// Turns new tokens into text, and knows the stop strings.
    pub(crate) text: TextStream,
    /// How many likely tokens to name for each new token.
    pub(crate) top: usize,
    /// Asks for the log-probabilities of the prompt's own tokens, with as many likely ones.
    pub(crate) score_prompt: Option<usize>,
    /// Where the events go. When nobody listens any more, the job is dropped.
    pub(crate) events: UnboundedSender<(usize, Event)>,
}

impl Job {
    /// Length of the sequence when it has all tokens that it may have.
    pub(super) fn most_tokens(&self) -> usize {
        self.prompt.len() + self.max_new_tokens
    }

    /// Whether the asker still listens.
    pub(super) fn send(&self, event: Event) -> bool {
        self.events.send((self.index, event)).is_ok()
    }
}

/// What happens to a job, in this order: `Prompt` where it was asked for, `Token`s, and one of
/// `Finished` and `Failed`.
#[derive(Debug)]
pub(crate) enum Event {
    /// The prompt's tokens.
    Prompt(Vec<ScoredToken>),
    /// A new token, and the text that is certain now.
    Token { token: ScoredToken, text: String },
    /// The end, and the text that was held back until now.
    Finished { finish: Finish, text: String },
    /// The end, without an answer.
    Failed(Failure),
}

/// Why a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// At a stop token or a stop string.
    Stop,
    /// All tokens that it might have.
    Length,
}

/// Why a job has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the model's logits hold no finite number after {generated} new tokens")]
    NoFiniteLogit { generated: usize },
    #[error("the model's logits for token {place} of the prompt hold no finite number")]
    NoFinitePrompt { place: usize },
    #[error("the tokens cannot be decoded")]
    Decode(#[from] potstill_data::Error),
}

/// A token with its log-probability at temperature 1 and before any filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScoredToken {
    pub(crate) id: u32,
    /// `None` for the first token of a prompt, which nothing predicts.
    pub(crate) log_prob: Option<f32>,
    /// The likeliest tokens, descending.
    pub(crate) top: Vec<(u32, f32)>,
}
