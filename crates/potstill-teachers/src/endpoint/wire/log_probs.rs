//! Log-probabilities of what was written, in the two shapes that servers use.

use potstill_core::{ChatToken, TokenLogProb};
use serde::Deserialize;
use serde_json::Map;

use super::{ROUNDING, id_in, log_prob};
use crate::endpoint::answer::AnswerProblem;
use crate::endpoint::token_bytes::{TokenBytes, spelled};

/// A choice's `logprobs`, by token or as parallel arrays.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RawLogProbs {
    /// OpenAI's chat, and llama.cpp everywhere.
    #[serde(default)]
    pub(super) content: Option<Vec<RawToken>>,
    /// OpenAI's completions.
    #[serde(default)]
    pub(super) tokens: Option<Vec<String>>,
    #[serde(default)]
    pub(super) token_logprobs: Option<Vec<Option<f64>>>,
    #[serde(default)]
    pub(super) top_logprobs: Option<Vec<Option<Map<String, serde_json::Value>>>>,
    #[serde(default)]
    pub(super) text_offset: Option<Vec<i64>>,
    /// `potstill-serve`: the ids of `tokens`.
    #[serde(default)]
    pub(super) token_ids: Option<Vec<u32>>,
    /// `potstill-serve`: the ids of `top_logprobs`.
    #[serde(default)]
    pub(super) top_token_ids: Option<Vec<Option<Vec<u32>>>>,
    /// `potstill-serve`: the values of `top_logprobs`, which a map by text would merge.
    #[serde(default)]
    pub(super) top_logprob_values: Option<Vec<Option<Vec<f64>>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawToken {
    token: String,
    #[serde(default)]
    bytes: Option<Vec<u8>>,
    #[serde(default, alias = "token_id")]
    id: Option<u32>,
    #[serde(default)]
    logprob: Option<f64>,
    #[serde(default)]
    top_logprobs: Option<Vec<Self>>,
}

/// A token as a server names it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::endpoint) struct NamedToken {
    /// Its id in the server's vocabulary.
    pub(in crate::endpoint) id: Option<u32>,
    /// Its text as shown, which may be replaced where it is part of a character.
    pub(in crate::endpoint) text: String,
    /// Its bytes, where they are certain.
    pub(in crate::endpoint) bytes: Option<Vec<u8>>,
    /// Its log-probability; `None` where the server does not know it.
    pub(in crate::endpoint) log_prob: Option<f64>,
}

/// A position as a server tells it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::endpoint) struct NamedPosition {
    pub(in crate::endpoint) chosen: NamedToken,
    /// As many as the server gives, in its order.
    pub(in crate::endpoint) top: Vec<NamedToken>,
}

impl RawLogProbs {
    /// Positions, whichever shape they come in; `None` if there are no log-probabilities.
    pub(super) fn positions(self) -> Result<Option<Vec<NamedPosition>>, AnswerProblem> {
        match (self.content, self.tokens) {
            (Some(content), _) => Ok(Some(content.into_iter().map(RawToken::position).collect())),
            (None, Some(tokens)) => Arrays {
                tokens,
                token_logprobs: self.token_logprobs.unwrap_or_default(),
                top_logprobs: self.top_logprobs.unwrap_or_default(),
                token_ids: self.token_ids.unwrap_or_default(),
                top_token_ids: self.top_token_ids.unwrap_or_default(),
                top_logprob_values: self.top_logprob_values.unwrap_or_default(),
            }
            .positions()
            .map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl RawToken {
    fn position(mut self) -> NamedPosition {
        let top = self.top_logprobs.take().unwrap_or_default();
        NamedPosition {
            chosen: self.named(),
            top: top.into_iter().map(Self::named).collect(),
        }
    }

    fn named(self) -> NamedToken {
        let id = self.id.or_else(|| id_in(&self.token));
        // vLLM derives bytes from text in which parts of characters were replaced already.
        const REPLACED: &[u8] = "\u{fffd}".as_bytes();
        let trusted = self
            .bytes
            .filter(|bytes| !bytes.windows(REPLACED.len()).any(|part| part == REPLACED));
        let named_by_id = id_in(&self.token).is_some();
        let bytes = trusted
            .filter(|_| !named_by_id)
            .or_else(|| (!named_by_id).then(|| spelled(&self.token)).flatten());
        NamedToken {
            id,
            text: if named_by_id {
                String::new()
            } else {
                self.token
            },
            bytes,
            log_prob: log_prob(self.logprob),
        }
    }
}

struct Arrays {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Vec<Option<Map<String, serde_json::Value>>>,
    token_ids: Vec<u32>,
    top_token_ids: Vec<Option<Vec<u32>>>,
    top_logprob_values: Vec<Option<Vec<f64>>>,
}

impl Arrays {
    fn positions(self) -> Result<Vec<NamedPosition>, AnswerProblem> {
        let n = self.tokens.len();
        let lengths = [
            ("token_logprobs", self.token_logprobs.len()),
            ("top_logprobs", self.top_logprobs.len()),
            ("token_ids", self.token_ids.len()),
            ("top_token_ids", self.top_token_ids.len()),
            ("top_logprob_values", self.top_logprob_values.len()),
        ];
        if let Some((field, length)) = lengths
            .into_iter()
            .find(|(_, length)| ![0, n].contains(length))
        {
            return Err(AnswerProblem::LogProbs {
                position: n.min(length),
                reason: format!("there are {n} `tokens` and {length} `{field}`"),
            });
        }
        (0..n).map(|position| self.position(position)).collect()
    }

    fn position(&self, i: usize) -> Result<NamedPosition, AnswerProblem> {
        let text = self.tokens[i].clone();
        let by_id = id_in(&text);
        let chosen = NamedToken {
            id: self.token_ids.get(i).copied().or(by_id),
            bytes: by_id.is_none().then(|| spelled(&text)).flatten(),
            text: if by_id.is_some() { String::new() } else { text },
            log_prob: log_prob(self.token_logprobs.get(i).copied().flatten()),
        };
        let ids = self.top_token_ids.get(i).and_then(Option::as_ref);
        let values = self.top_logprob_values.get(i).and_then(Option::as_ref);
        let map = self.top_logprobs.get(i).and_then(Option::as_ref);
        let top = match (ids, values, map) {
            (Some(ids), Some(values), _) if ids.len() != values.len() => {
                return Err(AnswerProblem::LogProbs {
                    position: i,
                    reason: format!(
                        "it has {} `top_token_ids` and {} `top_logprob_values`",
                        ids.len(),
                        values.len()
                    ),
                });
            }
            (Some(ids), Some(values), _) => ids
                .iter()
                .zip(values)
                .map(|(&id, &value)| NamedToken {
                    id: Some(id),
                    text: String::new(),
                    bytes: None,
                    log_prob: log_prob(Some(value)),
                })
                .collect(),
            (_, _, Some(map)) => map
                .iter()
                .map(|(text, value)| NamedToken {
                    id: id_in(text),
                    text: text.clone(),
                    bytes: id_in(text).is_none().then(|| spelled(text)).flatten(),
                    log_prob: log_prob(value.as_f64()),
                })
                .collect(),
            (_, _, None) => Vec::new(),
        };
        Ok(NamedPosition { chosen, top })
    }
}

/// The positions of an answer by bytes, checked against its text; `wanted` likely tokens were asked
/// for at each.
///
/// Likely tokens whose bytes nobody tells are left out, and those without a known value: as many as
/// were asked for or fewer. A chosen token whose bytes nobody tells is an error.
pub(super) fn chat_tokens(
    positions: Option<Vec<NamedPosition>>,
    wanted: usize,
    text: &str,
    known: Option<&TokenBytes>,
) -> Result<Vec<ChatToken>, AnswerProblem> {
    let positions = positions.ok_or(AnswerProblem::Missing {
        field: "`choices[0].logprobs`, although they were asked for",
    })?;
    let is_bare = positions.iter().all(|position| position.top.is_empty());
    if wanted > 0 && is_bare && !positions.is_empty() {
        return Err(AnswerProblem::Missing {
            field: "`top_logprobs`, although they were asked for",
        });
    }
    let bytes_of = |token: &NamedToken| {
        token.bytes.clone().or_else(|| {
            let bytes = known?.bytes(token.id?);
            (!bytes.is_empty()).then(|| bytes.to_vec())
        })
    };
    let mut tokens = Vec::with_capacity(positions.len());
    for (position, named) in positions.into_iter().enumerate() {
        let wrong = |reason: String| AnswerProblem::LogProbs { position, reason };
        let Some(bytes) = bytes_of(&named.chosen) else {
            return Err(wrong(
                "the token is not whole characters, and the server does not tell its bytes; give \
                 the endpoint the tokenizer's bytes if the server tells ids"
                    .into(),
            ));
        };
        let mut top: Vec<TokenLogProb> = named
            .top
            .iter()
            .filter_map(|token| {
                Some(TokenLogProb {
                    bytes: bytes_of(token)?,
                    log_prob: token.log_prob? as f32,
                })
            })
            .collect();
        top.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob));
        let mass: f64 = top
            .iter()
            .map(|token| f64::from(token.log_prob).exp())
            .sum();
        if mass > 1.0 + ROUNDING {
            return Err(wrong(format!(
                "the likely tokens sum to {mass:.3}, so they are not log-probabilities"
            )));
        }
        let log_prob = named.chosen.log_prob.unwrap_or(f64::NEG_INFINITY) as f32;
        if f64::from(log_prob) > ROUNDING {
            return Err(wrong(format!("{log_prob} is above 0")));
        }
        tokens.push(ChatToken {
            chosen: TokenLogProb { bytes, log_prob },
            top,
        });
    }
    check_text(&tokens, text)?;
    Ok(tokens)
}

/// The tokens must spell the answer, but for an end token and a character that was cut.
fn check_text(tokens: &[ChatToken], text: &str) -> Result<(), AnswerProblem> {
    let spelled: Vec<u8> = tokens
        .iter()
        .flat_map(|token| token.chosen.bytes.iter().copied())
        .collect();
    let whole = String::from_utf8_lossy(&spelled);
    let told = text.trim_end_matches('\u{fffd}');
    // Stop texts are cut from the text, and leading blanks by some servers, but not from the tokens.
    if whole.starts_with(told) || whole.trim_start().starts_with(told.trim_start()) {
        return Ok(());
    }
    let same = whole
        .bytes()
        .zip(told.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let mut end = 0;
    let position = tokens
        .iter()
        .position(|token| {
            end += token.chosen.bytes.len();
            end > same
        })
        .unwrap_or(tokens.len());
    Err(AnswerProblem::LogProbs {
        position,
        reason: "the tokens do not spell the text of the answer; some are missing or out of order"
            .into(),
    })
}
