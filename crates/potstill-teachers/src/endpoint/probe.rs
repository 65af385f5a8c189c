//! Finding out what a server can do, with requests of a few tokens.

use potstill_core::{ChatRequest, Message, Sampling};
use serde_json::Value;

use super::call::Call;
use super::capabilities::{Capabilities, Scoring};
use super::exchange::Exchange;
use super::server::ServerKind;
use super::wire::completion::{CompletionRequest, Prompt};
use super::wire::prompt::{self, ScoringApi};
use super::wire::{chat, completion};
use crate::Error;

/// Short, and tokens of nearly every vocabulary.
const TEXT: &str = "1+1=2";

/// Long enough that two draws at temperature 1 hardly agree by chance.
const SEEDED_TOKENS: usize = 12;

/// What the list of models says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) kind: ServerKind,
    pub(super) max_positions: Option<usize>,
}

/// Recognizes the server.
pub(super) async fn identify(exchange: &Exchange) -> Result<Identity, Error> {
    let models = if exchange.config.server.is_some() {
        None
    } else {
        possible(exchange.try_out_afresh(Call::get("/models")).await)?
    };
    let kind = exchange.config.server;
    let kind =
        kind.unwrap_or_else(|| ServerKind::recognize(&exchange.config.base_url, models.as_ref()));
    let entries = models
        .as_ref()
        .and_then(|models| models.get("data")?.as_array());
    let own = entries.and_then(|entries| {
        let named = |entry: &&Value| {
            entry.get("id").and_then(Value::as_str) == Some(&exchange.config.model)
        };
        entries.iter().find(named)
    });
    let max_positions = own.and_then(|own| {
        let length = own
            .get("max_model_len")
            .or_else(|| own.pointer("/meta/n_ctx_train"))?;
        usize::try_from(length.as_u64()?).ok()
    });
    Ok(Identity {
        kind,
        max_positions,
    })
}

/// Tries everything once.
pub(super) async fn probe(exchange: &Exchange, identity: Identity) -> Result<Capabilities, Error> {
    let Identity {
        kind,
        max_positions,
    } = identity;
    let seen = look_at_chat(exchange, kind).await?;
    let log_probs = seen.unwrap_or_default();
    let completes = CompletionRequest::new(Prompt::Text(TEXT.into()), 1);
    let completes = match completion::call(&completes, &exchange.config.model, kind) {
        Ok(call) => possible(exchange.try_out(call).await)?
            .is_some_and(|answer| completion::reply(&answer, None, None).is_ok()),
        Err(_) => false,
    };
    Ok(Capabilities {
        server: kind,
        chat: seen.is_some(),
        completions: completes,
        top_log_probs: log_probs.top,
        token_bytes: log_probs.bytes,
        token_ids: log_probs.ids,
        seed: seen.is_some() && repeats_itself(exchange, kind).await?,
        scoring: look_at_scoring(exchange, kind).await?,
        max_positions,
    })
}

/// What answers to a conversation show; `None` if there are none.
async fn look_at_chat(exchange: &Exchange, kind: ServerKind) -> Result<Option<chat::Seen>, Error> {
    let mut seen = None;
    for top in std::iter::once(None).chain(exchange.tops().map(Some)) {
        let request = ChatRequest {
            top_log_probs: top,
            ..ChatRequest::new(vec![Message::user(TEXT)], 1)
        };
        let Ok(call) = chat::call(&request, &exchange.config.model, kind) else {
            continue;
        };
        let answer = possible(exchange.try_out(call).await)?;
        match answer.and_then(|answer| chat::look(&answer).ok()) {
            Some(found) if found.top.is_some() => return Ok(Some(found)),
            Some(found) => seen = Some(found),
            None if top.is_none() => return Ok(None),
            None => {}
        }
    }
    Ok(seen)
}

/// Whether a seed fixes the draw.
async fn repeats_itself(exchange: &Exchange, kind: ServerKind) -> Result<bool, Error> {
    let request = ChatRequest::new(vec![Message::user("Write any word.")], SEEDED_TOKENS)
        .with_sampling(Sampling::temperature(1.0))
        .with_seed(7);
    let mut texts = Vec::new();
    for draw in 0..2 {
        let Ok(mut call) = chat::call(&request, &exchange.config.model, kind) else {
            return Ok(false);
        };
        call.draw = draw;
        let answer = possible(exchange.try_out(call).await)?;
        texts.extend(answer.and_then(|answer| chat::reply(&answer, None, None).ok()));
    }
    Ok(texts.len() == 2 && texts[0].text == texts[1].text)
}

/// The best way of scoring that gave what was asked for.
async fn look_at_scoring(exchange: &Exchange, kind: ServerKind) -> Result<Option<Scoring>, Error> {
    use ScoringApi::{Echo, Generate, PromptLogprobs};
    let apis: &[ScoringApi] = match kind {
        ServerKind::Vllm => &[PromptLogprobs, Echo],
        ServerKind::Sglang => &[Generate, Echo],
        ServerKind::Unknown => &[Echo, PromptLogprobs],
        _ => &[Echo],
    };
    for &api in apis {
        for top in exchange.tops().filter(|&top| top > 0) {
            for max_tokens in [0, 1] {
                // vLLM and SGLang always write.
                if max_tokens == 0 && api != Echo {
                    continue;
                }
                if let Some(scoring) = try_scoring(exchange, kind, api, top, max_tokens).await? {
                    return Ok(Some(scoring));
                }
            }
        }
    }
    Ok(None)
}

async fn try_scoring(
    exchange: &Exchange,
    kind: ServerKind,
    api: ScoringApi,
    top: usize,
    max_tokens: u32,
) -> Result<Option<Scoring>, Error> {
    let model = &exchange.config.model;
    let ask = async |text: Prompt, max_tokens| {
        let answer = possible(
            exchange
                .ask(prompt::call(api, &text, model, kind, top, max_tokens))
                .await,
        )?;
        let positions = answer.map(|answer| prompt::positions(api, &answer));
        Ok::<_, Error>(positions.and_then(Result::ok))
    };
    let Some(positions) = ask(Prompt::Text(TEXT.into()), max_tokens).await? else {
        return Ok(None);
    };
    // Every token but the first has likely alternatives, and the text is more than one token.
    let scored = positions.len() > 1 + max_tokens as usize
        && positions[1..]
            .iter()
            .all(|position| !position.top.is_empty());
    if !scored {
        return Ok(None);
    }
    let named = positions.iter().map(|position| position.top.len()).max();
    let named = named.unwrap_or(0).min(top);
    let ids: Option<Vec<u32>> = positions
        .iter()
        .take(
            positions.len()
                - if api == ScoringApi::Echo {
                    max_tokens as usize
                } else {
                    0
                },
        )
        .map(|position| position.chosen.id)
        .collect();
    if let Some(ids) = ids {
        let n = ids.len();
        let again = ask(Prompt::Tokens(ids.clone()), max_tokens).await?;
        let read = again.unwrap_or_default();
        if read.len() >= n && (0..n).all(|i| read[i].chosen.id == Some(ids[i])) {
            return Ok(Some(Scoring {
                api,
                top: named,
                takes_ids: true,
                max_tokens,
            }));
        }
    }
    // Without ids, what follows the text is read from what the server writes.
    Ok(
        (api == ScoringApi::Echo && max_tokens == 1).then_some(Scoring {
            api,
            top: named,
            takes_ids: false,
            max_tokens,
        }),
    )
}

/// `None` if the server says that it cannot, an error if it does not say.
fn possible(answer: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Rejected {
            status: 400 | 404 | 405 | 413 | 415 | 422 | 501,
            ..
        }) => Ok(None),
        // A server error that only this request causes is a way of saying no.
        Err(Error::GaveUp { last, .. }) if matches!(*last, Error::Rejected { status: 500, .. }) => {
            Ok(None)
        }
        Err(Error::Answer { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
