//! Log-probabilities as clients read them.

use serde_json::{Map, Value, json};

use crate::LocalChat;
use crate::engine::ScoredToken;

/// What stands for −∞, which JSON has no number for.
const FORBIDDEN: f32 = -9999.0;

/// One position of `logprobs.content` in a chat answer.
pub(super) fn chat_position(chat: &LocalChat, token: &ScoredToken) -> Value {
    let named = |(id, log_prob): (u32, f32)| {
        let bytes = chat.bytes(id);
        json!({
            "token": name(bytes),
            "logprob": finite(log_prob),
            "bytes": bytes,
            "token_id": id,
        })
    };
    let mut position = named((token.id, token.log_prob.unwrap_or(FORBIDDEN)));
    position["top_logprobs"] = token.top.iter().copied().map(named).collect();
    position
}

/// The `logprobs` of a completion, position by position.
///
/// Beside OpenAI's arrays, whose maps lose tokens that look alike, stand `token_ids`,
/// `top_token_ids` and `top_logprob_values`, which do not.
#[derive(Debug, Default)]
pub(super) struct CompletionLogProbs {
    /// Characters that began before the next token.
    characters: usize,
}

impl CompletionLogProbs {
    /// The next positions; a first token of a prompt, which nothing predicts, has nulls.
    pub(super) fn positions(&mut self, chat: &LocalChat, tokens: &[ScoredToken]) -> Value {
        let offsets: Vec<usize> = tokens
            .iter()
            .map(|token| self.offset(chat.bytes(token.id)))
            .collect();
        let ids = |token: &ScoredToken| token.top.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        let values = |token: &ScoredToken| {
            token
                .top
                .iter()
                .map(|(_, value)| finite(*value))
                .collect::<Vec<_>>()
        };
        json!({
            "tokens": tokens.iter().map(|token| name(chat.bytes(token.id))).collect::<Vec<_>>(),
            "token_logprobs": tokens.iter().map(|token| token.log_prob.map(finite)).collect::<Vec<_>>(),
            "top_logprobs": tokens.iter().map(|token| top_map(chat, token)).collect::<Vec<_>>(),
            "text_offset": offsets,
            "token_ids": tokens.iter().map(|token| token.id).collect::<Vec<_>>(),
            "top_token_ids": tokens.iter().map(ids).collect::<Vec<_>>(),
            "top_logprob_values": tokens.iter().map(values).collect::<Vec<_>>(),
        })
    }

    /// Where a token begins, in characters; inside of one, where that begins.
    fn offset(&mut self, bytes: &[u8]) -> usize {
        let continues = |byte: &&u8| **byte & 0xc0 == 0x80;
        let inside = bytes.first().as_ref().is_some_and(continues);
        let offset = self.characters.saturating_sub(usize::from(inside));
        self.characters += bytes.iter().filter(|byte| !continues(byte)).count();
        offset
    }
}

/// The likely tokens and the token itself by name; of tokens with one name, the likelier.
fn top_map(chat: &LocalChat, token: &ScoredToken) -> Option<Map<String, Value>> {
    let own = (token.id, token.log_prob?);
    let mut map = Map::new();
    for &(id, log_prob) in token.top.iter().chain([&own]) {
        let value = || Value::from(finite(log_prob));
        map.entry(name(chat.bytes(id))).or_insert_with(value);
    }
    Some(map)
}

/// A token's text, or its bytes where it is not whole characters.
fn name(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("bytes:{escaped}")
        }
    }
}

fn finite(log_prob: f32) -> f32 {
    log_prob.max(FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_character_is_named_by_its_bytes() {
        assert_eq!(name("é".as_bytes()), "é");
        assert_eq!(name(&[0xc3]), "bytes:\\xc3");
    }

    #[test]
    fn offsets_count_characters() {
        let mut log_probs = CompletionLogProbs::default();
        let parts: [&[u8]; 5] = [b"a", &[0xc3], &[0xa9], "éb".as_bytes(), b"c"];
        let offsets: Vec<usize> = parts.iter().map(|part| log_probs.offset(part)).collect();
        assert_eq!(offsets, [0, 1, 1, 2, 4]);
    }

    #[test]
    fn an_impossible_token_has_the_number_that_other_servers_give() {
        assert_eq!(finite(f32::NEG_INFINITY), -9999.0);
        assert_eq!(finite(-3.5), -3.5);
    }
}
