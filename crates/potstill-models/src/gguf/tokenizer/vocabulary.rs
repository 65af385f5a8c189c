//! Tokens and merges of a byte-level BPE.

use std::collections::HashMap;

use crate::Error;
use crate::gguf::{GgufFile, GgufProblem};

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const MERGES: &str = "tokenizer.ggml.merges";
pub(super) const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";

/// What `tokenizer.ggml.token_type` says of a token.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum TokenType {
    Normal,
    /// Matched whole, not shown: `<|im_end|>`.
    Control,
    /// Matched whole and shown: `<think>`.
    UserDefined,
    /// Fills the embedding table, never produced from text.
    Unused,
}

impl TokenType {
    /// What files call it.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Normal => 1,
            Self::Control => 3,
            Self::UserDefined => 4,
            Self::Unused => 5,
        }
    }
}

/// The tokens of a file.
pub(super) struct Vocabulary<'a> {
    tokens: Vec<&'a str>,
    types: Vec<TokenType>,
    ids: HashMap<&'a str, usize>,
}

impl Vocabulary<'_> {
    /// Id, text and type of every token that text can become.
    pub(super) fn used(&self) -> impl Iterator<Item = (usize, &str, TokenType)> {
        let tokens = self.tokens.iter().zip(&self.types).enumerate();
        tokens
            .map(|(id, (text, token_type))| (id, *text, *token_type))
            .filter(|(_, _, token_type)| *token_type != TokenType::Unused)
    }

    /// Those that are matched whole, before anything else.
    pub(super) fn added(&self) -> impl Iterator<Item = (usize, &str, TokenType)> {
        self.used()
            .filter(|(_, _, token_type)| *token_type != TokenType::Normal)
    }
}

impl GgufFile {
    pub(super) fn vocabulary(&self) -> Result<Vocabulary<'_>, Error> {
        let tokens = self.texts(TOKENS)?;
        let mut types = vec![TokenType::Normal; tokens.len()];
        if let Some(value) = self.metadata(TOKEN_TYPES) {
            let numbers = value
                .as_array()
                .filter(|numbers| numbers.len() == tokens.len());
            let expected = || format!("an array of {}, one for each token", tokens.len());
            let numbers =
                numbers.ok_or_else(|| self.wrong_type(TOKEN_TYPES, value, &expected()))?;
            for (token_type, number) in types.iter_mut().zip(numbers) {
                *token_type = match number.as_u64() {
                    Some(2 | 3) => TokenType::Control,
                    Some(4) => TokenType::UserDefined,
                    Some(5) => TokenType::Unused,
                    _ => TokenType::Normal,
                };
            }
        }
        let mut ids = HashMap::with_capacity(tokens.len());
        for (id, text) in tokens.iter().enumerate() {
            if types[id] == TokenType::Unused {
                continue;
            }
            if ids.contains_key(text) {
                tracing::warn!(
                    token = text,
                    id,
                    "the tokenizer lists a token twice; the first counts"
                );
                types[id] = TokenType::Unused;
                continue;
            }
            ids.insert(*text, id);
        }
        Ok(Vocabulary { tokens, types, ids })
    }

    /// The merges, each checked to join two tokens to a third.
    pub(super) fn merges(&self, vocabulary: &Vocabulary<'_>) -> Result<Vec<&str>, Error> {
        let merges = self.texts(MERGES)?;
        let mut joined = String::new();
        for (index, merge) in merges.iter().enumerate() {
            let wrong = |reason| {
                let merge = (*merge).to_owned();
                Err(self.error(GgufProblem::Merge {
                    index,
                    merge,
                    reason,
                }))
            };
            let Some((left, right)) = merge
                .split_once(' ')
                .filter(|(_, right)| !right.contains(' '))
            else {
                return wrong("is not two tokens with a space between them");
            };
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            if ![left, right, &joined]
                .iter()
                .all(|token| vocabulary.ids.contains_key(token))
            {
                return wrong("joins or yields what is not in the vocabulary");
            }
        }
        Ok(merges)
    }

    fn texts(&self, key: &str) -> Result<Vec<&str>, Error> {
        let value = self.required(key)?;
        let wrong = || self.wrong_type(key, value, "an array of texts");
        let texts = value.as_array().ok_or_else(wrong)?;
        texts
            .iter()
            .map(|text| text.as_str().ok_or_else(wrong))
            .collect()
    }
}
