//! `/v1/completions`: text or token ids to be continued, scored, or both.

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
use super::fields::{SamplingFields, StreamOptions, check_model, refuse_unknown};
use super::log_probs::CompletionLogProbs;
use super::reply::{fresh_id, json, read, unix_seconds};
use crate::LocalChat;
use crate::engine::{Event, Finish, ScoredToken};
use crate::error::with_sources;
use crate::local_chat::JobSettings;

/// New tokens where the request does not say, as OpenAI has it.
const DEFAULT_NEW_TOKENS: usize = 16;

#[derive(Deserialize)]
struct CompletionRequest {
    model: Option<String>,
    prompt: Prompts,
    max_tokens: Option<usize>,
    logprobs: Option<usize>,
    echo: Option<bool>,
    add_special_tokens: Option<bool>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    sampling: SamplingFields,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "\"prompt\" must be a string, a list of strings, a list of token ids, or a list of \
                 lists of token ids"
)]
enum Prompts {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

pub(super) async fn answer(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let request: CompletionRequest = read(request, &app.options).await?;
    check_model(request.model.as_deref(), app.name())?;
    refuse_unknown(&request.rest)?;
    let settings = settings(&app, &request)?;
    let n = request.sampling.n(settings.len(), &app.options)?;
    let answers = Answers::request(&app, &settings, n)?;
    let choices = (0..settings.len() * n).map(|index| {
        let prompt = &settings[index / n].prompt;
        let echoed = if request.echo == Some(true) {
            Some(echo(&app.chat, prompt)?)
        } else {
            None
        };
        Ok(Choice {
            index,
            echoed,
            log_probs: request.logprobs.map(|_| CompletionLogProbs::default()),
        })
    });
    let completion = Completion {
        chat: app.chat.clone(),
        choices: choices.collect::<Result<_, ApiError>>()?,
        head: json!({
            "id": fresh_id("cmpl"),
            "object": "text_completion",
            "created": unix_seconds(),
            "model": app.name(),
        }),
        include_usage: StreamOptions::include_usage(request.stream_options.as_ref()),
    };
    if request.stream == Some(true) {
        return Ok(stream(answers, completion));
    }
    let (transcripts, usage) = answers.collect().await?;
    let Completion {
        mut choices,
        head: mut body,
        ..
    } = completion;
    body["choices"] = choices
        .iter_mut()
        .zip(transcripts)
        .map(|(choice, transcript)| {
            let finish = transcript.outcome.and_then(Result::ok);
            let mut tokens = choice.prompt_tokens(transcript.prompt);
            tokens.extend(transcript.tokens);
            let text = choice.echoed.take().unwrap_or_default() + &transcript.text;
            choice.part(&app.chat, text, &tokens, finish)
        })
        .collect();
    body["usage"] = usage_json(usage);
    Ok(json(StatusCode::OK, &body))
}

fn settings(app: &App, request: &CompletionRequest) -> Result<Vec<JobSettings>, ApiError> {
    let options = &app.options;
    let max_new_tokens = request.max_tokens.unwrap_or(DEFAULT_NEW_TOKENS);
    if max_new_tokens > options.max_new_tokens {
        return Err(too_many_tokens(
            "max_tokens",
            max_new_tokens,
            options.max_new_tokens,
        ));
    }
    if let Some(top) = request
        .logprobs
        .filter(|&top| top > options.max_top_log_probs)
    {
        return Err(too_many_log_probs(
            "logprobs",
            top,
            options.max_top_log_probs,
        ));
    }
    let prompts = prompts(&app.chat, request)?;
    if prompts.is_empty() {
        return Err(ApiError::invalid_field(
            "prompt",
            "there is no prompt; give at least one",
        ));
    }
    let top = request.logprobs.unwrap_or(0);
    let score_prompt = request.logprobs.filter(|_| request.echo == Some(true));
    let seed = request.sampling.seed()?;
    let settings = prompts.into_iter().map(|prompt| JobSettings {
        prompt,
        max_new_tokens,
        sampling: request.sampling.sampling(),
        seed,
        stop: request.sampling.stop(),
        top,
        score_prompt,
    });
    Ok(settings.collect())
}

fn prompts(chat: &LocalChat, request: &CompletionRequest) -> Result<Vec<Vec<u32>>, ApiError> {
    let add_special_tokens = request.add_special_tokens.unwrap_or(true);
    let encode = |text: &String| {
        let encoded = chat.tokenizer().encode(text, add_special_tokens);
        encoded.map_err(|error| ApiError::invalid_field("prompt", with_sources(&error)))
    };
    match &request.prompt {
        Prompts::Text(text) => Ok(vec![encode(text)?]),
        Prompts::Texts(texts) => texts.iter().map(encode).collect(),
        Prompts::Tokens(tokens) => Ok(vec![tokens.clone()]),
        Prompts::TokenLists(lists) => Ok(lists.clone()),
    }
}

/// The text of a prompt, special tokens included, so that it is what its tokens say.
fn echo(chat: &LocalChat, prompt: &[u32]) -> Result<String, ApiError> {
    let decoded = chat.tokenizer().decode(prompt, false);
    decoded.map_err(|error| ApiError::internal(with_sources(&error)))
}

pub(super) fn too_many_tokens(field: &str, asked: usize, most: usize) -> ApiError {
    ApiError::invalid_field(
        field,
        format!("{field} is {asked}, it must be at most {most}"),
    )
}

pub(super) fn too_many_log_probs(field: &str, asked: usize, most: usize) -> ApiError {
    ApiError::invalid_field(
        field,
        format!("{field} is {asked}, this server names at most {most} tokens a position"),
    )
}

pub(super) fn usage_json(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    })
}

pub(super) fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

struct Completion {
    chat: LocalChat,
    choices: Vec<Choice>,
    head: Value,
    include_usage: bool,
}

struct Choice {
    index: usize,
    /// The prompt's text, until it was sent.
    echoed: Option<String>,
    log_probs: Option<CompletionLogProbs>,
}

impl Choice {
    /// The prompt's tokens where they are part of the answer.
    fn prompt_tokens(&self, scored: Vec<ScoredToken>) -> Vec<ScoredToken> {
        if self.echoed.is_some() {
            scored
        } else {
            Vec::new()
        }
    }

    fn part(
        &mut self,
        chat: &LocalChat,
        text: String,
        tokens: &[ScoredToken],
        finish: Option<Finish>,
    ) -> Value {
        let log_probs = self.log_probs.as_mut();
        json!({
            "index": self.index,
            "text": text,
            "logprobs": log_probs.map(|log_probs| log_probs.positions(chat, tokens)),
            "finish_reason": finish.map(finish_name),
        })
    }
}

impl ChunkWriter for Completion {
    fn chunks(&mut self, index: usize, event: Event) -> Vec<Value> {
        let choice = &mut self.choices[index];
        let (text, tokens, finish) = match event {
            Event::Prompt(tokens) => (String::new(), tokens, None),
            Event::Token { token, text } => (text, vec![token], None),
            Event::Finished { finish, text } => (text, Vec::new(), Some(finish)),
            Event::Failed(_) => return Vec::new(),
        };
        let text = choice.echoed.take().unwrap_or_default() + &text;
        let says_nothing = text.is_empty()
            && finish.is_none()
            && (choice.log_probs.is_none() || tokens.is_empty());
        if says_nothing {
            return Vec::new();
        }
        let mut chunk = self.head.clone();
        chunk["choices"] = json!([choice.part(&self.chat, text, &tokens, finish)]);
        vec![chunk]
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
