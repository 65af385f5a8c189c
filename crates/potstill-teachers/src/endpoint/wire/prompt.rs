//! Log-probabilities of a given text, in the three ways in which servers offer them.

use potstill_core::Usage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::log_probs::{NamedPosition, NamedToken, RawLogProbs};
use super::{first_choice, log_prob, shaped};
use crate::endpoint::answer::AnswerProblem;
use crate::endpoint::call::{Call, Path};
use crate::endpoint::server::ServerKind;
use crate::endpoint::wire::completion::Prompt;

/// How a server scores a text that it did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoringApi {
    /// vLLM's field `prompt_logprobs`.
    PromptLogprobs,
    /// OpenAI's fields `echo` and `logprobs` of completions.
    Echo,
    /// SGLang's own `/generate`.
    Generate,
}

/// The request for the `top` likely tokens at each position of `prompt`.
///
/// Temperature 1 and no filter, since some servers apply them before they report.
pub(in crate::endpoint) fn call(
    api: ScoringApi,
    prompt: &Prompt,
    model: &str,
    kind: ServerKind,
    top: usize,
    max_tokens: u32,
) -> Call {
    let (path, mut body) = match api {
        ScoringApi::PromptLogprobs => (
            Path::Base("/completions"),
            json!({
                "model": model, "prompt": prompt.value(), "max_tokens": max_tokens, "temperature": 1.0,
                "seed": 0, "prompt_logprobs": top, "return_token_ids": true,
            }),
        ),
        ScoringApi::Echo => (
            Path::Base("/completions"),
            json!({
                "model": model, "prompt": prompt.value(), "max_tokens": max_tokens, "temperature": 1.0,
                "seed": 0, "echo": true, "logprobs": top,
            }),
        ),
        ScoringApi::Generate => {
            let field = match prompt {
                Prompt::Text(_) => "text",
                Prompt::Tokens(_) => "input_ids",
            };
            (
                Path::Root("/generate"),
                json!({
                    field: prompt.value(), "return_logprob": true, "logprob_start_len": 0,
                    "top_logprobs_num": top, "return_text_in_logprobs": true,
                    "sampling_params": {
                        "max_new_tokens": max_tokens, "temperature": 1.0, "top_p": 1.0, "top_k": -1,
                        "min_p": 0.0,
                    },
                }),
            )
        }
    };
    if api == ScoringApi::Echo && kind.tokens_as_ids() {
        body["return_tokens_as_token_ids"] = json!(true);
    }
    let worst = Usage {
        prompt_tokens: prompt.most_tokens(),
        completion_tokens: max_tokens.into(),
    };
    Call::post(path, body, worst)
}

/// A position for each token that the server read, and with [`ScoringApi::Echo`] for those that it
/// wrote. The likely tokens at a position are alternatives to its own token.
pub(in crate::endpoint) fn positions(
    api: ScoringApi,
    answer: &Value,
) -> Result<Vec<NamedPosition>, AnswerProblem> {
    match api {
        ScoringApi::PromptLogprobs => prompt_logprobs(answer),
        ScoringApi::Echo => echo(answer),
        ScoringApi::Generate => generate(answer),
    }
}

#[derive(Deserialize)]
struct EchoChoice {
    #[serde(default)]
    logprobs: Option<RawLogProbs>,
}

fn echo(answer: &Value) -> Result<Vec<NamedPosition>, AnswerProblem> {
    let choice: EchoChoice = first_choice(answer)?;
    let log_probs = choice.logprobs.unwrap_or_default();
    // Arrays of what was written only begin where the prompt ends.
    let begins_late = log_probs
        .text_offset
        .as_ref()
        .and_then(|offsets| offsets.first())
        .is_some_and(|&offset| offset > 0);
    let positions = log_probs.positions()?.filter(|_| !begins_late);
    positions.ok_or(AnswerProblem::Missing {
        field: "log-probabilities of the prompt, although `echo` was asked for",
    })
}

#[derive(Deserialize)]
struct PromptChoice {
    #[serde(default)]
    prompt_logprobs: Option<Vec<Option<Map<String, Value>>>>,
    #[serde(default)]
    prompt_token_ids: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct Ranked {
    logprob: f64,
    #[serde(default)]
    decoded_token: Option<String>,
}

fn prompt_logprobs(answer: &Value) -> Result<Vec<NamedPosition>, AnswerProblem> {
    let choice: PromptChoice = first_choice(answer)?;
    let entries = choice.prompt_logprobs.ok_or(AnswerProblem::Missing {
        field: "`choices[0].prompt_logprobs`, although they were asked for",
    })?;
    let ids = choice.prompt_token_ids.unwrap_or_default();
    if !ids.is_empty() && ids.len() != entries.len() {
        return Err(AnswerProblem::LogProbs {
            position: ids.len().min(entries.len()),
            reason: format!(
                "there are {} `prompt_token_ids` and {} `prompt_logprobs`",
                ids.len(),
                entries.len()
            ),
        });
    }
    let position = |(i, entry): (usize, Option<Map<String, Value>>)| {
        let mut top = Vec::new();
        for (id, value) in entry.unwrap_or_default() {
            let ranked: Ranked = shaped(&value)?;
            top.push(NamedToken {
                id: Some(id.parse().map_err(|_| AnswerProblem::LogProbs {
                    position: i,
                    reason: format!("{id:?} is not a token id"),
                })?),
                text: ranked.decoded_token.unwrap_or_default(),
                bytes: None,
                log_prob: log_prob(Some(ranked.logprob)),
            });
        }
        let id = ids.get(i).copied();
        let own = top.iter().find(|token| token.id == id && id.is_some());
        if let (Some(id), None, false) = (id, own, top.is_empty()) {
            return Err(AnswerProblem::LogProbs {
                position: i,
                reason: format!("the text's own token {id} is not among those named"),
            });
        }
        Ok(NamedPosition {
            chosen: own.cloned().unwrap_or(NamedToken {
                id,
                text: String::new(),
                bytes: None,
                log_prob: None,
            }),
            top,
        })
    };
    entries.into_iter().enumerate().map(position).collect()
}

/// `[log-probability, id, text]`.
#[derive(Deserialize)]
struct Triple(Option<f64>, u32, #[serde(default)] Option<String>);

impl Triple {
    fn named(self) -> NamedToken {
        NamedToken {
            id: Some(self.1),
            text: self.2.unwrap_or_default(),
            bytes: None,
            log_prob: log_prob(self.0),
        }
    }
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    input_token_logprobs: Option<Vec<Triple>>,
    #[serde(default)]
    input_top_logprobs: Option<Vec<Option<Vec<Triple>>>>,
}

fn generate(answer: &Value) -> Result<Vec<NamedPosition>, AnswerProblem> {
    let meta = answer.get("meta_info").unwrap_or(&Value::Null);
    let missing = AnswerProblem::Missing {
        field: "`meta_info.input_token_logprobs`, although they were asked for",
    };
    if meta.is_null() {
        return Err(missing);
    }
    let meta: Meta = shaped(meta)?;
    let tokens = meta.input_token_logprobs.ok_or(missing)?;
    let top = meta.input_top_logprobs.unwrap_or_default();
    if top.len() != tokens.len() {
        return Err(AnswerProblem::LogProbs {
            position: tokens.len().min(top.len()),
            reason: format!(
                "there are {} `input_token_logprobs` and {} `input_top_logprobs`",
                tokens.len(),
                top.len()
            ),
        });
    }
    let position = |(token, top): (Triple, Option<Vec<Triple>>)| NamedPosition {
        chosen: token.named(),
        top: top
            .unwrap_or_default()
            .into_iter()
            .map(Triple::named)
            .collect(),
    };
    Ok(tokens.into_iter().zip(top).map(position).collect())
}
