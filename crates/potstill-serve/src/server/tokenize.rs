//! `/tokenize`, `/detokenize` and `/tokenizer_info`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use potstill_data::ChatTemplate;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::App;
use super::api_error::ApiError;
use super::fields::{ChatMessage, check_model, messages, refuse_unknown};
use super::reply::{json, read};
use crate::error::with_sources;

#[derive(Deserialize)]
struct TokenizeRequest {
    model: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<ChatMessage>>,
    add_special_tokens: Option<bool>,
    return_token_strs: Option<bool>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct DetokenizeRequest {
    model: Option<String>,
    tokens: Vec<u32>,
    skip_special_tokens: Option<bool>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

pub(super) async fn tokenize(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let request: TokenizeRequest = read(request, &app.options).await?;
    check_model(request.model.as_deref(), app.name())?;
    refuse_unknown(&request.rest)?;
    let chat = &app.chat;
    let tokens = match (request.prompt, request.messages) {
        (Some(text), None) => {
            let add_special_tokens = request.add_special_tokens.unwrap_or(true);
            let encoded = chat.tokenizer().encode(&text, add_special_tokens);
            encoded.map_err(|error| ApiError::invalid_field("prompt", with_sources(&error)))?
        }
        (None, Some(turns)) => chat.render(&messages(turns)?)?,
        _ => {
            return Err(ApiError::invalid(
                "give either \"prompt\" or \"messages\", not both",
            ));
        }
    };
    let strings = request.return_token_strs.unwrap_or(false).then(|| {
        let token = |&id: &u32| chat.tokenizer().id_to_token(id);
        tokens.iter().map(token).collect::<Vec<_>>()
    });
    let answer = json!({
        "count": tokens.len(),
        "max_model_len": chat.max_positions(),
        "tokens": tokens,
        "token_strs": strings,
    });
    Ok(json(StatusCode::OK, &answer))
}

/// What a client needs to tokenize as this server does, in the keys of `tokenizer_config.json`.
pub(super) async fn tokenizer_info(State(app): State<Arc<App>>) -> Response {
    let specials = app.chat.tokenizer().special_tokens();
    let info = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": specials.bos,
        "eos_token": specials.eos,
        "pad_token": specials.pad,
        "unk_token": specials.unk,
        "model_max_length": app.chat.max_positions(),
        "chat_template": app.chat.template().map(ChatTemplate::source),
    });
    json(StatusCode::OK, &info)
}

pub(super) async fn detokenize(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let request: DetokenizeRequest = read(request, &app.options).await?;
    check_model(request.model.as_deref(), app.name())?;
    refuse_unknown(&request.rest)?;
    let vocab_size = app.chat.vocab_size();
    if let Some(id) = request.tokens.iter().find(|&&id| id as usize >= vocab_size) {
        return Err(ApiError::invalid_field(
            "tokens",
            format!("there is no token {id}, only {vocab_size} of them"),
        ));
    }
    let skip = request.skip_special_tokens.unwrap_or(false);
    let decoded = app.chat.tokenizer().decode(&request.tokens, skip);
    let text = decoded.map_err(|error| ApiError::invalid_field("tokens", with_sources(&error)))?;
    Ok(json(StatusCode::OK, &json!({"prompt": text})))
}
