//! `/completions`: text or token ids in, their continuation out.

use potstill_core::{ChatReply, Sampling, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::log_probs::{RawLogProbs, chat_tokens};
use super::{Lacking, finish, first_choice, usage, write_sampling};
use crate::endpoint::answer::AnswerProblem;
use crate::endpoint::call::{Call, Path};
use crate::endpoint::server::ServerKind;
use crate::endpoint::token_bytes::TokenBytes;

/// What is to be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Text, which the server tokenizes.
    Text(String),
    /// Token ids of the server's vocabulary; not every server takes them.
    Tokens(Vec<u32>),
}

impl Prompt {
    pub(in crate::endpoint) fn value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Tokens(ids) => json!(ids),
        }
    }

    /// More tokens than the server will count, with room for a beginning-of-text token.
    pub(in crate::endpoint) fn most_tokens(&self) -> u64 {
        1 + match self {
            Self::Text(text) => text.len() as u64,
            Self::Tokens(ids) => ids.len() as u64,
        }
    }
}

/// A text to be continued as it is, without a conversation around it.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletionRequest {
    /// What comes before.
    pub prompt: Prompt,
    /// Most tokens to add.
    pub max_tokens: usize,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Texts that end the continuation.
    pub stop: Vec<String>,
    /// Seed of the choice.
    pub seed: Option<u64>,
    /// How many likely tokens to name at each position.
    pub top_log_probs: Option<usize>,
}

impl CompletionRequest {
    /// A request for the likeliest continuation of up to `max_tokens`.
    #[must_use]
    pub fn new(prompt: Prompt, max_tokens: usize) -> Self {
        Self {
            prompt,
            max_tokens,
            sampling: Sampling::greedy(),
            stop: Vec::new(),
            seed: None,
            top_log_probs: None,
        }
    }
}

pub(in crate::endpoint) fn call(
    request: &CompletionRequest,
    model: &str,
    kind: ServerKind,
) -> Result<Call, Lacking> {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("prompt".into(), request.prompt.value());
    body.insert("max_tokens".into(), request.max_tokens.into());
    write_sampling(&request.sampling, kind, &mut body)?;
    if !request.stop.is_empty() {
        body.insert("stop".into(), json!(request.stop));
    }
    if let Some(seed) = request.seed {
        body.insert("seed".into(), seed.into());
    }
    if let Some(top) = request.top_log_probs {
        body.insert("logprobs".into(), top.into());
        if kind.tokens_as_ids() {
            body.insert("return_tokens_as_token_ids".into(), true.into());
        }
    }
    let worst = Usage {
        prompt_tokens: request.prompt.most_tokens(),
        completion_tokens: request.max_tokens as u64,
    };
    Ok(Call::post(Path::Base("/completions"), body.into(), worst).streaming())
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<RawLogProbs>,
}

/// The continuation; `wanted` likely tokens were asked for at each position.
pub(in crate::endpoint) fn reply(
    answer: &Value,
    wanted: Option<usize>,
    known: Option<&TokenBytes>,
) -> Result<ChatReply, AnswerProblem> {
    let choice: Choice = first_choice(answer)?;
    let positions = choice.logprobs.unwrap_or_default().positions()?;
    let tokens = wanted
        .map(|wanted| chat_tokens(positions, wanted, &choice.text, known))
        .transpose()?;
    Ok(ChatReply {
        text: choice.text,
        finish: finish(choice.finish_reason.as_deref()),
        usage: usage(answer),
        tokens,
    })
}
