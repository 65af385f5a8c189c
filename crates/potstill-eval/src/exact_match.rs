//! Exact match: the share of problems whose generated answer is the expected one.

use potstill_core::{FinishReason, Generate, GenerateOptions, Generation};
use serde::{Deserialize, Serialize};

use crate::scores::all_different;
use crate::{Error, ItemScore, Proportion, Scores};

/// What the right answer to an [`Item`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A text; white space around it does not count.
    Text(String),
    /// Token ids, without the stop token.
    Tokens(Vec<u32>),
}

/// A problem with one right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Tells which answers of different models belong together.
    pub id: String,
    /// The problem as a person reads it.
    pub problem: String,
    /// The problem as a model reads it.
    pub prompt: Vec<u32>,
    /// The right answer.
    pub expected: Expected,
}

/// Settings of [`exact_match`].
#[derive(Clone, Debug)]
pub struct ExactMatchOptions {
    /// Prompts that are continued together.
    pub batch: usize,
    /// How an answer is generated.
    pub generate: GenerateOptions,
}

/// What a model made of one [`Item`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// Id of the item.
    pub id: String,
    /// The problem.
    pub problem: String,
    /// The right answer.
    pub expected: String,
    /// The model's answer, without the stop token.
    pub answer: String,
    /// Whether it is right.
    pub correct: bool,
    /// Tokens that were generated, the stop token included.
    pub new_tokens: usize,
    /// Whether the answer was cut off by `max_new_tokens`.
    pub cut_off: bool,
}

/// What a model made of all items, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactMatch {
    /// One result for each item.
    pub results: Vec<ItemResult>,
}

impl ExactMatch {
    /// The share of right answers.
    ///
    /// # Panics
    ///
    /// Panics if there are no results; [`exact_match`] never returns none.
    #[must_use]
    pub fn accuracy(&self) -> Proportion {
        let correct = self.results.iter().filter(|result| result.correct).count();
        Proportion::new(correct, self.results.len())
    }

    /// 1 for each right answer and 0 for each wrong one.
    ///
    /// # Errors
    ///
    /// When there are no results, or two of one item.
    pub fn scores(&self) -> Result<Scores, Error> {
        let score = |result: &ItemResult| {
            ItemScore::new(&result.id, if result.correct { 1.0 } else { 0.0 })
        };
        Scores::new(self.results.iter().map(score).collect())
    }
}

/// Lets `model` answer each of `items` and compares the answers with the expected ones.
///
/// `decode` turns tokens into text. A stop token at the end is not part of an answer.
///
/// # Errors
///
/// When there are no items, two have the same id, the batch size is 0, a prompt cannot be continued,
/// the model does not give one continuation for each, or an answer cannot be decoded.
pub fn exact_match<G, F, E>(
    model: &G,
    items: &[Item],
    decode: F,
    options: &ExactMatchOptions,
) -> Result<ExactMatch, Error>
where
    G: Generate + ?Sized,
    F: Fn(&[u32]) -> Result<String, E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if items.is_empty() {
        return Err(Error::Empty { what: "item" });
    }
    if options.batch == 0 {
        return Err(Error::Setting {
            name: "batch",
            value: "0".into(),
            expected: "at least 1",
        });
    }
    all_different(items.iter().map(|item| item.id.as_str()))?;
    let mut results = Vec::with_capacity(items.len());
    for batch in items.chunks(options.batch) {
        let prompts: Vec<Vec<u32>> = batch.iter().map(|item| item.prompt.clone()).collect();
        let generations = model
            .generate(&prompts, &options.generate)
            .map_err(|source| Error::Generate {
                first: batch[0].id.clone(),
                source,
            })?;
        if generations.len() != batch.len() {
            return Err(Error::AnswerCount {
                asked: batch.len(),
                given: generations.len(),
            });
        }
        for (item, generation) in batch.iter().zip(&generations) {
            let result = judge(item, generation, &decode).map_err(|source| Error::Decode {
                id: item.id.clone(),
                source: source.into(),
            })?;
            results.push(result);
        }
    }
    Ok(ExactMatch { results })
}

fn judge<E>(
    item: &Item,
    generation: &Generation,
    decode: impl Fn(&[u32]) -> Result<String, E>,
) -> Result<ItemResult, E> {
    let stopped = matches!(generation.finish, FinishReason::StopToken(_));
    let tokens = match generation.tokens.split_last() {
        Some((_, answer)) if stopped => answer,
        _ => &generation.tokens,
    };
    let answer = decode(tokens)?;
    let (expected, correct) = match &item.expected {
        Expected::Text(text) => (text.clone(), text.trim() == answer.trim()),
        Expected::Tokens(expected) => (decode(expected)?, expected == tokens),
    };
    Ok(ItemResult {
        id: item.id.clone(),
        problem: item.problem.clone(),
        expected,
        answer,
        correct,
        new_tokens: generation.tokens.len(),
        cut_off: generation.finish == FinishReason::Length,
    })
}

#[cfg(test)]
mod tests;
