//! The words of each server: bodies of requests, and what answers look like.

pub(super) mod chat;
pub(super) mod completion;
pub(super) mod log_probs;
pub(super) mod prompt;

use potstill_core::{ChatFinish, Sampling, Usage};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::answer::AnswerProblem;
use super::server::ServerKind;

/// Something a server does not do, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lacking {
    pub(super) feature: String,
    pub(super) alternative: &'static str,
}

/// What servers write for a log-probability that they do not know, or that is −∞.
const SENTINEL: f64 = -9999.0;

/// Log-probabilities cannot be positive, but are rounded.
const ROUNDING: f64 = 1e-3;

/// A log-probability; `None` for the sentinel.
fn log_prob(value: Option<f64>) -> Option<f64> {
    value.filter(|value| *value > SENTINEL)
}

/// The id in vLLM's `token_id:123`.
fn id_in(text: &str) -> Option<u32> {
    text.strip_prefix("token_id:")?.parse().ok()
}

/// Writes how tokens are chosen; what the server would drop silently is refused.
fn write_sampling(
    sampling: &Sampling,
    kind: ServerKind,
    body: &mut Map<String, Value>,
) -> Result<(), Lacking> {
    body.insert("temperature".into(), json!(sampling.temperature));
    if let Some(top_p) = sampling.top_p {
        body.insert("top_p".into(), json!(top_p));
    }
    let penalty = sampling.repetition_penalty;
    let extensions = [
        ("top_k", sampling.top_k.map(|k| json!(k))),
        ("min_p", sampling.min_p.map(|p| json!(p))),
        (
            "repetition_penalty",
            (penalty != 1.0).then(|| json!(penalty)),
        ),
    ];
    for (field, value) in extensions {
        let Some(value) = value else { continue };
        if !kind.honors(field) {
            return Err(Lacking {
                feature: format!("`{field}`"),
                alternative: "use `temperature` and `top_p`, or name the server in `server` if it \
                              is known to honor the field",
            });
        }
        body.insert(field.into(), value);
    }
    Ok(())
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

/// What the server says it used.
pub(super) fn usage(answer: &Value) -> Option<Usage> {
    if let Some(meta) = answer.get("meta_info") {
        return raw_usage(meta);
    }
    raw_usage(answer.get("usage")?)
}

fn raw_usage(value: &Value) -> Option<Usage> {
    let usage: RawUsage = serde_json::from_value(value.clone()).ok()?;
    Some(Usage {
        prompt_tokens: usage.prompt_tokens?,
        completion_tokens: usage.completion_tokens.unwrap_or(0),
    })
}

fn finish(reason: Option<&str>) -> ChatFinish {
    match reason {
        Some("stop" | "eos" | "end_turn") => ChatFinish::Stop,
        Some("length" | "max_tokens") => ChatFinish::Length,
        Some("content_filter") => ChatFinish::Filtered,
        other => ChatFinish::Other(other.unwrap_or("unknown").to_owned()),
    }
}

/// The first of `choices`.
fn first_choice<T: DeserializeOwned>(answer: &Value) -> Result<T, AnswerProblem> {
    let choice = answer
        .get("choices")
        .and_then(|choices| choices.get(0))
        .ok_or(AnswerProblem::Missing { field: "`choices`" })?;
    shaped(choice)
}

fn shaped<T: DeserializeOwned>(value: &Value) -> Result<T, AnswerProblem> {
    T::deserialize(value).map_err(|error| AnswerProblem::Shape {
        reason: error.to_string(),
    })
}
