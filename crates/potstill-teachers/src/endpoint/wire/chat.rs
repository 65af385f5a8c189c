//! `/chat/completions`.

use potstill_core::{ChatReply, ChatRequest, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::log_probs::{RawLogProbs, chat_tokens};
use super::{Lacking, finish, first_choice, usage, write_sampling};
use crate::endpoint::answer::AnswerProblem;
use crate::endpoint::call::{Call, Path};
use crate::endpoint::server::ServerKind;
use crate::endpoint::token_bytes::TokenBytes;

/// More than any template writes around a turn.
const TEMPLATE_TOKENS_PER_TURN: u64 = 32;

/// The request for a turn of the model.
pub(in crate::endpoint) fn call(
    request: &ChatRequest,
    model: &str,
    kind: ServerKind,
) -> Result<Call, Lacking> {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("messages".into(), json!(request.messages));
    let most = match kind {
        ServerKind::OpenAi => "max_completion_tokens",
        _ => "max_tokens",
    };
    body.insert(most.into(), request.max_tokens.into());
    write_sampling(&request.sampling, kind, &mut body)?;
    if !request.stop.is_empty() {
        body.insert("stop".into(), json!(request.stop));
    }
    if let Some(seed) = request.seed {
        body.insert("seed".into(), seed.into());
    }
    if let Some(top) = request.top_log_probs {
        body.insert("logprobs".into(), true.into());
        body.insert("top_logprobs".into(), top.into());
        if kind.tokens_as_ids() {
            body.insert("return_tokens_as_token_ids".into(), true.into());
        }
    }
    if let Some(schema) = &request.schema {
        let named = json!({"name": "answer", "schema": schema, "strict": true});
        let format = json!({"type": "json_schema", "json_schema": named});
        body.insert("response_format".into(), format);
    }
    let letters: usize = request.messages.iter().map(|turn| turn.content.len()).sum();
    let turns = request.messages.len() as u64 + 2;
    let worst = Usage {
        // No token is shorter than a byte.
        prompt_tokens: letters as u64 + turns * TEMPLATE_TOKENS_PER_TURN,
        completion_tokens: request.max_tokens as u64,
    };
    Ok(Call::post(Path::Base("/chat/completions"), body.into(), worst).streaming())
}

#[derive(Deserialize)]
struct Choice {
    message: RawMessage,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<RawLogProbs>,
}

#[derive(Deserialize)]
struct RawMessage {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

/// The turn of the model; `wanted` likely tokens were asked for at each position.
pub(in crate::endpoint) fn reply(
    answer: &Value,
    wanted: Option<usize>,
    known: Option<&TokenBytes>,
) -> Result<ChatReply, AnswerProblem> {
    let choice: Choice = first_choice(answer)?;
    let text = choice.message.content.or(choice.message.refusal);
    let text = text.ok_or(AnswerProblem::Missing {
        field: "`choices[0].message.content`",
    })?;
    let positions = choice.logprobs.unwrap_or_default().positions()?;
    let tokens = wanted
        .map(|wanted| chat_tokens(positions, wanted, &text, known))
        .transpose()?;
    Ok(ChatReply {
        text,
        finish: finish(choice.finish_reason.as_deref()),
        usage: usage(answer),
        tokens,
    })
}

/// What the log-probabilities of an answer show that the server can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::endpoint) struct Seen {
    /// Likely tokens named at the first position; `None` without log-probabilities.
    pub(in crate::endpoint) top: Option<usize>,
    /// Whether tokens have bytes.
    pub(in crate::endpoint) bytes: bool,
    /// Whether tokens have ids.
    pub(in crate::endpoint) ids: bool,
}

/// Looks at what came back.
pub(in crate::endpoint) fn look(answer: &Value) -> Result<Seen, AnswerProblem> {
    let choice: Choice = first_choice(answer)?;
    let positions = choice.logprobs.unwrap_or_default().positions()?;
    let first = positions.and_then(|positions| positions.into_iter().next());
    let told = answer.pointer("/choices/0/logprobs/content/0/bytes");
    Ok(first.map_or_else(Seen::default, |first| Seen {
        top: Some(first.top.len()),
        bytes: told.is_some_and(Value::is_array),
        ids: first.chosen.id.is_some(),
    }))
}

#[cfg(test)]
mod tests;
