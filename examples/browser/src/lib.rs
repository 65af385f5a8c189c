//! A language model in one GGUF file: weights, tokenizer and chat template.
//!
//! `page` is what the web page calls. The program in `main.rs` writes the same without a browser.

#[cfg(target_arch = "wasm32")]
pub mod page;

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, FloatDType};
use potstill_core::{CausalLm, GenerateOptions, Message};
use potstill_data::{ChatTemplate, TextTokenizer};
use potstill_models::{Checkpoint, GgufFile, LanguageModel, Matrices, WeightBlocks};

/// How weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Four bytes each.
    F32,
    /// Two bytes each.
    Half,
    /// A byte and a bit more each; what is no matrix of a block, in half precision.
    Int8,
}

impl FromStr for Weights {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "f32" => Self::F32,
            "half" => Self::Half,
            "int8" => Self::Int8,
            _ => bail!("weights are f32, half or int8, not {name:?}"),
        })
    }
}

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
    /// When the file is damaged, of a kind that is not supported, or of a shape that integers do not fit.
    pub fn read(name: &str, bytes: Vec<u8>, weights: Weights, device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::from_gguf(GgufFile::from_bytes(name, bytes)?)?;
        let tokenizer = checkpoint.tokenizer_json()?;
        let tokenizer = tokenizer.context("the file holds no tokenizer")?;
        let specials = checkpoint.special_tokens()?;
        let template = checkpoint.chat_template()?;
        // Processors widen bf16 with a shift; graphics processors in a browser have f16 at most.
        let half = if device.supports_dtype(FloatDType::BF16) {
            FloatDType::BF16
        } else {
            FloatDType::F16
        };
        let (int8, all) = (WeightBlocks::Int8, &Matrices::All);
        let model = match weights {
            Weights::F32 => checkpoint.language_model(FloatDType::F32, device)?,
            Weights::Half => checkpoint.language_model(half, device)?,
            Weights::Int8 => checkpoint.quantized_language_model(int8, all, half, device)?,
        };
        Ok(Self {
            model,
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
