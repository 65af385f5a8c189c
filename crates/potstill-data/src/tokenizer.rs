//! Text to token ids and back.

mod merges;
mod restrict;
mod token_bytes;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use potstill_core::{SpecialTokens, TokenizerIdentity};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use tokenizers::{Encoding, Tokenizer};

use crate::{Error, hf_folder};

/// A tokenizer in the `tokenizer.json` format, and which of its tokens begin, end and fill up text.
///
/// Cloning is cheap. Truncation and padding that the definition asks for are switched off: cutting
/// and filling up are decisions of the training run.
#[derive(Clone)]
pub struct TextTokenizer {
    tokenizer: Arc<Tokenizer>,
    specials: SpecialTokens,
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`, without special tokens.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not a tokenizer definition.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::parse(&bytes, || path.display().to_string())
    }

    /// Reads `tokenizer.json` from a Hugging Face folder, and the special tokens from the files
    /// beside it, as [`with_declared_special_tokens`](Self::with_declared_special_tokens) takes them.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not what it should be.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let tokenizer = Self::from_file(folder.join("tokenizer.json"))?;
        Ok(tokenizer.with_declared_special_tokens(hf_folder::special_tokens(folder)?))
    }

    /// Reads the text of a `tokenizer.json`, without special tokens.
    ///
    /// # Errors
    ///
    /// When the text is not a tokenizer definition.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::parse(text.as_bytes(), || "the given text".into())
    }

    fn parse(bytes: &[u8], origin: impl Fn() -> String) -> Result<Self, Error> {
        let failed = |source| Error::TokenizerDefinition {
            origin: origin(),
            source,
        };
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(failed)?;
        tokenizer.with_truncation(None).map_err(failed)?;
        tokenizer.with_padding(None);
        Ok(Self {
            tokenizer: Arc::new(tokenizer),
            specials: SpecialTokens::default(),
        })
    }

    /// Says which tokens have a role.
    ///
    /// # Errors
    ///
    /// When one is not in the vocabulary.
    pub fn with_special_tokens(mut self, specials: SpecialTokens) -> Result<Self, Error> {
        for (role, token) in specials.named() {
            if self.token_id(token).is_none() {
                let role = role.trim_end_matches("_token");
                return Err(Error::UnknownSpecialToken {
                    role,
                    token: token.into(),
                });
            }
        }
        self.specials = specials;
        Ok(self)
    }

    /// Takes over the tokens that a checkpoint says have a role. One that is not in the vocabulary can
    /// never occur and is left out, with a warning.
    #[must_use]
    pub fn with_declared_special_tokens(mut self, declared: SpecialTokens) -> Self {
        self.specials = declared.filtered(|token| {
            let known = self.token_id(token).is_some();
            if !known {
                tracing::warn!(token, "special token is not in the vocabulary");
            }
            known
        });
        self
    }

    /// The token ids of `text`. With `add_special_tokens`, what the definition puts around a text
    /// (often a beginning-of-text token) is added.
    ///
    /// # Errors
    ///
    /// When the vocabulary lacks a part of the text and has no token for the unknown.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, Error> {
        let encoding = self
            .tokenizer
            .encode_fast(text, add_special_tokens)
            .map_err(encoding_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// [`encode`](Self::encode) for many texts, in parallel.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), for the first text that fails.
    pub fn encode_batch(
        &self,
        texts: &[impl AsRef<str> + Sync],
        add_special_tokens: bool,
    ) -> Result<Vec<Vec<u32>>, Error> {
        texts
            .par_iter()
            .map(|text| self.encode(text.as_ref(), add_special_tokens))
            .collect()
    }

    /// Token ids, and which of them were added around the text.
    pub(crate) fn encode_with_mask(
        &self,
        text: &str,
        add_special_tokens: bool,
    ) -> Result<Encoding, Error> {
        self.tokenizer
            .encode_fast(text, add_special_tokens)
            .map_err(encoding_error)
    }

    /// Token ids with their byte ranges in `text`.
    pub(crate) fn encode_with_offsets(
        &self,
        text: &str,
        add_special_tokens: bool,
    ) -> Result<Encoding, Error> {
        self.tokenizer
            .encode(text, add_special_tokens)
            .map_err(encoding_error)
    }

    /// The text of `ids`. Ids that the vocabulary lacks are left out, and bytes that are not UTF-8
    /// become U+FFFD.
    ///
    /// # Errors
    ///
    /// When the decoder of the definition fails.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        self.tokenizer
            .decode(ids, skip_special_tokens)
            .map_err(|source| Error::Tokenizing {
                action: "decode",
                source,
            })
    }

    /// The id of `token`.
    #[must_use]
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The token with the id.
    #[must_use]
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The tokens with a role.
    #[must_use]
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.specials
    }

    /// The id that begins a text.
    #[must_use]
    pub fn bos_id(&self) -> Option<u32> {
        self.token_id(self.specials.bos.as_deref()?)
    }

    /// The id that ends a text.
    #[must_use]
    pub fn eos_id(&self) -> Option<u32> {
        self.token_id(self.specials.eos.as_deref()?)
    }

    /// The id that fills up a row: the padding token, or the end-of-text token, or 0. Padding is
    /// never attended to nor counted, so any id will do.
    #[must_use]
    pub fn pad_id(&self) -> u32 {
        let pad = self
            .specials
            .pad
            .as_deref()
            .and_then(|token| self.token_id(token));
        pad.or_else(|| self.eos_id()).unwrap_or(0)
    }

    /// Number of token ids, added tokens included: one more than the largest.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        let largest = self.tokenizer.get_vocab(true).into_values().max();
        largest.map_or(0, |id| id as usize + 1)
    }

    /// What tells this tokenizer from others: SHA-256 over its tokens and their ids, sorted by id.
    #[must_use]
    pub fn identity(&self) -> TokenizerIdentity {
        let mut tokens: Vec<(u32, String)> = self
            .tokenizer
            .get_vocab(true)
            .into_iter()
            .map(|(token, id)| (id, token))
            .collect();
        tokens.sort_unstable();
        let mut hasher = Sha256::new();
        for (id, token) in &tokens {
            hasher.update(id.to_le_bytes());
            hasher.update((token.len() as u64).to_le_bytes());
            hasher.update(token);
        }
        TokenizerIdentity {
            size: tokens.last().map_or(0, |(id, _)| *id as usize + 1),
            fingerprint: format!("{:x}", hasher.finalize()),
        }
    }

    /// Checks that a model with `model_vocab_size` embeddings can read every token. More embeddings
    /// than tokens are fine: many models are padded.
    ///
    /// # Errors
    ///
    /// When the model has fewer; the message names both numbers.
    pub fn check_fits(&self, model_vocab_size: usize) -> Result<(), Error> {
        let tokenizer = self.vocab_size();
        if tokenizer > model_vocab_size {
            return Err(Error::TokenizerDoesNotFit {
                tokenizer,
                model: model_vocab_size,
            });
        }
        Ok(())
    }

    /// The definition as the text of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// When `tokenizers` cannot write it.
    pub fn to_json(&self) -> Result<String, Error> {
        self.tokenizer
            .to_string(false)
            .map_err(|source| Error::TokenizerDefinition {
                origin: "the tokenizer".into(),
                source,
            })
    }
}

impl fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextTokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("specials", &self.specials)
            .finish_non_exhaustive()
    }
}

fn encoding_error(source: tokenizers::Error) -> Error {
    Error::Tokenizing {
        action: "encode",
        source,
    }
}

#[cfg(test)]
mod tests;
