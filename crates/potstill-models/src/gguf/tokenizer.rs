//! The tokenizer in a GGUF file, as the files that Hugging Face reads.

mod export;
mod post_processor;
mod pre_tokenizer;
mod vocabulary;

pub(super) use export::metadata;
use potstill_core::SpecialTokens;
use pre_tokenizer::PreTokenizer;
use serde_json::{Map, Value, json};
use vocabulary::{TOKENS, TokenType};

use super::{GgufFile, GgufProblem};
use crate::Error;

/// The kind of tokenizer of a file that has none.
const NO_VOCABULARY: &str = "no_vocab";

impl GgufFile {
    /// The text of a `tokenizer.json`; `None` where the file holds no tokenizer.
    ///
    /// Control tokens become special tokens, user-defined ones added tokens, and unused ones, which
    /// only pad the embedding table, are left out. A beginning-of-text token is added where the file
    /// asks for it, by the post-processor.
    ///
    /// # Errors
    ///
    /// When the tokenizer is not byte-level BPE, its pre-tokenizer is unknown, or its parts do not
    /// fit together.
    pub fn tokenizer_json(&self) -> Result<Option<String>, Error> {
        if !self.has_tokenizer() {
            return Ok(None);
        }
        let found = self.text("tokenizer.ggml.model")?;
        if found != "gpt2" {
            return Err(self.error(GgufProblem::TokenizerKind {
                found: found.to_owned(),
            }));
        }
        let pre_tokenizer = self.pre_tokenizer()?;
        let vocabulary = self.vocabulary()?;
        let merges = self.merges(&vocabulary)?;
        let added: Vec<Value> = vocabulary.added().map(added_token).collect();
        let vocab: Map<String, Value> = vocabulary
            .used()
            .map(|(id, text, _)| (text.to_owned(), id.into()))
            .collect();
        let json = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": pre_tokenizer.normalizer(),
            "pre_tokenizer": pre_tokenizer.to_json(),
            "post_processor": self.post_processor(pre_tokenizer)?,
            "decoder": pre_tokenizer::byte_level(false),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": pre_tokenizer.ignores_merges(),
                "vocab": vocab,
                "merges": merges,
            },
        });
        Ok(Some(json.to_string()))
    }

    /// The text of a `tokenizer_config.json` to go with [`tokenizer_json`](Self::tokenizer_json).
    ///
    /// # Errors
    ///
    /// As of `tokenizer_json`.
    pub fn tokenizer_config_json(&self) -> Result<Option<String>, Error> {
        if !self.has_tokenizer() {
            return Ok(None);
        }
        let vocabulary = self.vocabulary()?;
        let decoder: Map<String, Value> = vocabulary
            .added()
            .map(|added| {
                let mut entry = added_token(added);
                if let Some(entry) = entry.as_object_mut() {
                    entry.remove("id");
                }
                (added.0.to_string(), entry)
            })
            .collect();
        let special = self.special_tokens()?;
        let json = json!({
            "added_tokens_decoder": decoder,
            "bos_token": special.bos,
            "clean_up_tokenization_spaces": false,
            "eos_token": special.eos,
            "model_max_length": self.optional_size("context_length")?,
            "pad_token": special.pad,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": special.unk,
        });
        Ok(Some(format!("{json:#}\n")))
    }

    /// The chat template, if the file holds one.
    ///
    /// # Errors
    ///
    /// When it is not text.
    pub fn chat_template(&self) -> Result<Option<String>, Error> {
        const KEY: &str = "tokenizer.chat_template";
        self.metadata(KEY)
            .map(|_| self.text(KEY).map(str::to_owned))
            .transpose()
    }

    /// The tokens with a role.
    ///
    /// # Errors
    ///
    /// When an id is beyond the list of tokens.
    pub fn special_tokens(&self) -> Result<SpecialTokens, Error> {
        if !self.has_tokenizer() {
            return Ok(SpecialTokens::default());
        }
        let text = |role| Ok(self.token(role)?.map(|(_, text)| text.to_owned()));
        Ok(SpecialTokens {
            bos: text("bos")?,
            eos: text("eos")?,
            pad: text("padding")?,
            unk: text("unknown")?,
        })
    }

    fn has_tokenizer(&self) -> bool {
        self.metadata("tokenizer.ggml.model")
            .is_some_and(|kind| ![Some(NO_VOCABULARY), Some("none")].contains(&kind.as_str()))
    }

    /// Id and text of the token with a role, such as `"eos"`.
    fn token(&self, role: &str) -> Result<Option<(u32, &str)>, Error> {
        let Some(id) = self.token_id(role)? else {
            return Ok(None);
        };
        let tokens = self.required(TOKENS)?.as_array().unwrap_or_default();
        let text = tokens.get(id as usize).and_then(|token| token.as_str());
        text.map(|text| Some((id, text))).ok_or_else(|| {
            self.error(GgufProblem::Metadata {
                key: format!("tokenizer.ggml.{role}_token_id"),
                found: id.to_string(),
                expected: format!("less than the number of tokens, {}", tokens.len()),
            })
        })
    }

    fn pre_tokenizer(&self) -> Result<PreTokenizer, Error> {
        const KEY: &str = "tokenizer.ggml.pre";
        let found = match self.metadata(KEY) {
            Some(_) => self.text(KEY)?,
            // Files from before the key existed; every Qwen model has the same rule.
            None if self.architecture()?.starts_with("qwen") => "qwen2",
            None => "(not named)",
        };
        PreTokenizer::from_name(found).ok_or_else(|| {
            let known = PreTokenizer::NAMES.iter().map(|(name, _)| *name).collect();
            self.error(GgufProblem::PreTokenizer {
                found: found.to_owned(),
                known,
            })
        })
    }
}

fn added_token((id, text, token_type): (usize, &str, TokenType)) -> Value {
    json!({
        "id": id,
        "content": text,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": false,
        "special": token_type == TokenType::Control,
    })
}

#[cfg(test)]
mod tests;
