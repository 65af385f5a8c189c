//! `/v1/chat/completions`: conversations.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use potstill_core::Usage;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::App;
use super::answers::Answers;
use super::api_error::ApiError;
use super::chunks::{ChunkWriter, stream};
use super::completions::{finish_name, too_many_log_probs, too_many_tokens, usage_json};
use super::fields::{
    ChatMessage, SamplingFields, StreamOptions, check_model, messages, refuse_unknown,
};
use super::log_probs::chat_position;
use super::reply::{fresh_id, json, read, unix_seconds};
use crate::LocalChat;
use crate::engine::{Event, Finish, ScoredToken};
use crate::local_chat::JobSettings;

#[derive(Deserialize)]
struct ChatCompletionRequest {
    model: Option<String>,
    messages: Vec<ChatMessage>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    sampling: SamplingFields,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

pub(super) async fn answer(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let request: ChatCompletionRequest = read(request, &app.options).await?;
    check_model(request.model.as_deref(), app.name())?;
    refuse_unknown(&request.rest)?;
    let n = request.sampling.n(1, &app.options)?;
    let log_probs = request.logprobs == Some(true);
    let streamed = request.stream == Some(true);
    let include_usage = StreamOptions::include_usage(request.stream_options.as_ref());
    let settings = settings(&app, request)?;
    let answers = Answers::request(&app, &[settings], n)?;
    let object = if streamed {
        "chat.completion.chunk"
    } else {
        "chat.completion"
    };
    let mut body = json!({
        "id": fresh_id("chatcmpl"),
        "object": object,
        "created": unix_seconds(),
        "model": app.name(),
    });
    if streamed {
        let writer = Conversation {
            chat: app.chat.clone(),
            head: body,
            begun: vec![false; n],
            log_probs,
            include_usage,
        };
        return Ok(stream(answers, writer));
    }
    let (transcripts, usage) = answers.collect().await?;
    body["choices"] = (0..)
        .zip(transcripts)
        .map(|(index, transcript): (usize, _)| {
            let finish = transcript.outcome.and_then(Result::ok);
            json!({
                "index": index,
                "message": {"role": "assistant", "content": transcript.text, "refusal": null},
                "logprobs": log_probs.then(|| positions(&app.chat, &transcript.tokens)),
                "finish_reason": finish.map(finish_name),
            })
        })
        .collect();
    body["usage"] = usage_json(usage);
    Ok(json(StatusCode::OK, &body))
}

fn settings(app: &App, request: ChatCompletionRequest) -> Result<JobSettings, ApiError> {
    let options = &app.options;
    let prompt = app.chat.render(&messages(request.messages)?)?;
    let asked = match (request.max_completion_tokens, request.max_tokens) {
        (Some(asked), _) => Some(("max_completion_tokens", asked)),
        (None, Some(asked)) => Some(("max_tokens", asked)),
        (None, None) => None,
    };
    let max_new_tokens = match asked {
        Some((field, asked)) if asked > options.max_new_tokens => {
            return Err(too_many_tokens(field, asked, options.max_new_tokens));
        }
        Some((_, asked)) => asked,
        // As many as there is room for, but at least one, so that a conversation that fills the
        // context is refused.
        None => {
            let room = app.chat.max_positions().saturating_sub(prompt.len());
            room.clamp(1, options.max_new_tokens)
        }
    };
    let top = request.top_logprobs.unwrap_or(0);
    if top > options.max_top_log_probs {
        return Err(too_many_log_probs(
            "top_logprobs",
            top,
            options.max_top_log_probs,
        ));
    }
    if top > 0 && request.logprobs != Some(true) {
        return Err(ApiError::invalid_field(
            "top_logprobs",
            "top_logprobs needs \"logprobs\": true",
        ));
    }
    Ok(JobSettings {
        prompt,
        max_new_tokens,
        sampling: request.sampling.sampling(),
        seed: request.sampling.seed()?,
        stop: request.sampling.stop(),
        top,
        score_prompt: None,
    })
}

fn positions(chat: &LocalChat, tokens: &[ScoredToken]) -> Value {
    let content: Vec<Value> = tokens
        .iter()
        .map(|token| chat_position(chat, token))
        .collect();
    json!({"content": content, "refusal": null})
}

struct Conversation {
    chat: LocalChat,
    head: Value,
    /// Which choices have said who speaks.
    begun: Vec<bool>,
    log_probs: bool,
    include_usage: bool,
}

impl Conversation {
    fn chunk(
        &self,
        index: usize,
        delta: &Value,
        tokens: &[ScoredToken],
        finish: Option<Finish>,
    ) -> Value {
        let log_probs = self.log_probs && !tokens.is_empty();
        let mut chunk = self.head.clone();
        chunk["choices"] = json!([{
            "index": index,
            "delta": delta,
            "logprobs": log_probs.then(|| positions(&self.chat, tokens)),
            "finish_reason": finish.map(finish_name),
        }]);
        chunk
    }
}

impl ChunkWriter for Conversation {
    fn chunks(&mut self, index: usize, event: Event) -> Vec<Value> {
        let mut chunks = Vec::new();
        if !std::mem::replace(&mut self.begun[index], true) {
            let delta = json!({"role": "assistant", "content": ""});
            chunks.push(self.chunk(index, &delta, &[], None));
        }
        match event {
            Event::Token { token, text } => {
                if self.log_probs || !text.is_empty() {
                    chunks.push(self.chunk(index, &json!({ "content": text }), &[token], None));
                }
            }
            Event::Finished { finish, text } => {
                if !text.is_empty() {
                    chunks.push(self.chunk(index, &json!({ "content": text }), &[], None));
                }
                chunks.push(self.chunk(index, &json!({}), &[], Some(finish)));
            }
            Event::Prompt(_) | Event::Failed(_) => {}
        }
        chunks
    }

    fn usage(&mut self, usage: Usage) -> Option<Value> {
        self.include_usage.then(|| {
            let mut chunk = self.head.clone();
            chunk["choices"] = json!([]);
            chunk["usage"] = usage_json(usage);
            chunk
        })
    }
}
