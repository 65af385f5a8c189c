//! What the student writes while it learns.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use potstill_core::{Generate, GenerateOptions};
use potstill_data::TextTokenizer;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ending::now;
use crate::{BoxError, Error};

const SCHEMA: &str = "potstill.samples/1";

/// A prompt and what the student makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What it was given.
    pub prompt: String,
    /// What it went on with.
    pub text: String,
}

/// Prompts that a student is to continue again and again, so that people see what the loss does not
/// say.
///
/// Give [`continue_with`](Self::continue_with) to
/// [`Trainer::samples`](crate::Trainer::samples).
#[derive(Clone, Debug)]
pub struct Prompts {
    prompts: Vec<(String, Vec<u32>)>,
    tokenizer: TextTokenizer,
    options: GenerateOptions,
}

impl Prompts {
    /// Prompts as they are, without a chat template.
    ///
    /// # Errors
    ///
    /// When a prompt cannot be encoded.
    pub fn new<T: Into<String>>(
        prompts: impl IntoIterator<Item = T>,
        tokenizer: &TextTokenizer,
        options: GenerateOptions,
    ) -> Result<Self, potstill_data::Error> {
        let prompts = prompts
            .into_iter()
            .map(|prompt| {
                let prompt = prompt.into();
                let tokens = tokenizer.encode(&prompt, true)?;
                Ok((prompt, tokens))
            })
            .collect::<Result<_, potstill_data::Error>>()?;
        Ok(Self {
            prompts,
            tokenizer: tokenizer.clone(),
            options,
        })
    }

    /// What `student` makes of each prompt.
    ///
    /// # Errors
    ///
    /// When a prompt does not fit the student, or an answer cannot be decoded.
    pub fn continue_with<S: Generate>(&self, student: &S) -> Result<Vec<Sample>, BoxError> {
        let tokens: Vec<Vec<u32>> = self
            .prompts
            .iter()
            .map(|(_, tokens)| tokens.clone())
            .collect();
        let generations = student.generate(&tokens, &self.options)?;
        let prompts = self.prompts.iter().zip(generations);
        prompts
            .map(|((prompt, _), generation)| {
                Ok(Sample {
                    prompt: prompt.clone(),
                    text: self.tokenizer.decode(&generation.tokens, true)?,
                })
            })
            .collect()
    }
}

type Draw<S> = dyn FnMut(&S) -> Result<Vec<Sample>, BoxError>;

/// How often samples are drawn, and how.
pub(crate) struct Sampler<S> {
    pub(crate) every: usize,
    draw: Box<Draw<S>>,
}

impl<S> Sampler<S> {
    pub(crate) fn new(
        every: usize,
        draw: impl FnMut(&S) -> Result<Vec<Sample>, BoxError> + 'static,
    ) -> Self {
        Self {
            every,
            draw: Box::new(draw),
        }
    }

    pub(crate) fn draw(&mut self, student: &S, step: usize) -> Result<Vec<Sample>, Error> {
        (self.draw)(student).map_err(|source| Error::Samples { step, source })
    }
}

impl<S> fmt::Debug for Sampler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// Appends to `samples.jsonl`.
pub(crate) fn append(path: &Path, step: usize, samples: &[Sample]) -> Result<(), Error> {
    let mut lines = String::new();
    for Sample { prompt, text } in samples {
        let line = json!({
            "schema": SCHEMA, "step": step, "at": now(), "prompt": prompt, "text": text,
        });
        lines.push_str(&format!("{line}\n"));
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(Error::io("write", path))
}
