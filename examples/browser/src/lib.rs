//! A language model in one GGUF file: weights, tokenizer and chat template.
//!
//! `page` is what the web page calls. The program in `main.rs` writes the same without a browser.

#[cfg(target_arch = "wasm32")]
pub mod page;

use anyhow::{Context, Result};
use burn::tensor::{Device, FloatDType};
use potstill_core::{CausalLm, GenerateOptions, Message};
use potstill_data::{ChatTemplate, TextTokenizer};
use potstill_models::{Checkpoint, GgufFile, LanguageModel};

/// What a file holds.
#[derive(Debug)]
pub struct TextModel {
    /// The weights.
    pub model: LanguageModel,
    /// Turns text into tokens and back.
    pub tokenizer: TextTokenizer,
    /// Wraps a question; a model without a template continues text.
    pub template: Option<ChatTemplate>,
}

impl TextModel {
    /// Reads the bytes of a file, which messages call `name`.
    ///
    /// # Errors
    ///
    /// When the file is damaged, or of a kind that is not supported.
    pub fn read(name: &str, bytes: Vec<u8>, dtype: FloatDType, device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::from_gguf(GgufFile::from_bytes(name, bytes)?)?;
        let tokenizer = checkpoint.tokenizer_json()?;
        let tokenizer = tokenizer.context("the file holds no tokenizer")?;
        let specials = checkpoint.special_tokens()?;
        let template = checkpoint.chat_template()?;
        Ok(Self {
            model: checkpoint.language_model(dtype, device)?,
            tokenizer: TextTokenizer::from_json(&tokenizer)?
                .with_declared_special_tokens(specials.clone()),
            template: template
                .map(|template| ChatTemplate::new(template, specials))
                .transpose()?,
        })
    }

    /// The tokens of a question, or of a text to be continued.
    ///
    /// # Errors
    ///
    /// When the template or the tokenizer refuses the text.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        let Some(template) = &self.template else {
            return Ok(self.tokenizer.encode(text, true)?);
        };
        let text = template.render(&[Message::user(text)], true)?;
        Ok(self.tokenizer.encode(&text, false)?)
    }

    /// At most `limit` tokens behind `prompt`, and none behind the end of the answer.
    #[must_use]
    pub fn options(&self, prompt: &[u32], limit: usize) -> GenerateOptions {
        let room = self.model.max_positions().saturating_sub(prompt.len());
        GenerateOptions {
            stop_tokens: self.model.config().eos_token_ids.clone(),
            ..GenerateOptions::greedy(limit.min(room))
        }
    }

    /// The text of tokens, without a character of which bytes are still to come.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode them.
    pub fn text(&self, tokens: &[u32]) -> Result<String> {
        let text = self.tokenizer.decode(tokens, true)?;
        Ok(text
            .trim_end_matches(char::REPLACEMENT_CHARACTER)
            .to_owned())
    }
}
