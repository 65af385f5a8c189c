//! Continuing prompts with a key-value cache.
//!
//! Prompts of different lengths share a batch by padding on the left. A batch is read in one pass;
//! then every step reads one token a row, and rows that have ended leave the batch.
//!
//! A step reads every weight once, whatever the number of rows, so that many rows cost little more
//! than one.

mod continuation;
mod guided;

use std::ops::Range;

use burn::prelude::*;
use potstill_core::{CausalLm, FinishReason, Generate, GenerateError, GenerateOptions, Generation};
use rayon::prelude::*;

use crate::sample::{self, Sampler, Streams};
use crate::{KvCache, LanguageModel, ModelConfig};

pub use continuation::Continuation;
use guided::Guide;
pub use guided::{Guidance, write_together};

/// Most columns of a batch, rows times length with the new tokens: what bounds its activations.
const BATCH_COLUMNS: usize = 1 << 16;

/// Most bytes of the keys and values of a batch.
const CACHE_BYTES: usize = 1 << 30;

/// Prompts are continued in batches without autodiff; a prompt's continuation depends on neither
/// the order nor the number of the others.
///
/// With temperature 0 the repetition penalty still applies, and the filters do not. Several copies
/// of one prompt get different random numbers.
impl Generate for LanguageModel {
    fn generate(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
    ) -> Result<Vec<Generation>, GenerateError> {
        let sequences = continued(self, None, prompts, options)?;
        Ok(sequences
            .into_iter()
            .map(Sequence::into_generation)
            .collect())
    }
}

/// Continues each prompt, with a teacher that has a say where one is given.
fn continued<'a>(
    model: &LanguageModel,
    guide: Option<Guide<'_>>,
    prompts: &'a [Vec<u32>],
    options: &GenerateOptions,
) -> Result<Vec<Sequence<'a>>, GenerateError> {
    options.sampling.validate()?;
    let models = || std::iter::once(model).chain(guide.map(|guide| guide.teacher));
    for (index, prompt) in prompts.iter().enumerate() {
        models().try_for_each(|model| check(model, index, prompt, options.max_new_tokens))?;
    }
    let mut streams = Streams::new(options.seed);
    let mut sequences: Vec<Sequence> = (0..)
        .zip(prompts)
        .map(|(index, prompt)| {
            let sampler = Sampler::new(options.sampling, prompt, streams.next(prompt));
            Sequence::new(index, prompt, sampler, options.max_new_tokens)
        })
        .collect();
    // Prompts of about the same length share a batch, so that little is padding.
    sequences.sort_by_key(|sequence| sequence.prompt.len());
    if options.max_new_tokens > 0 {
        let student = model.valid();
        let lengths: Vec<usize> = sequences
            .iter()
            .map(|sequence| sequence.prompt.len())
            .collect();
        let columns = most_columns(models().map(LanguageModel::config));
        let batches = batches(&lengths, options.max_new_tokens, columns);
        // On a thread of the pool: hundreds of short products a step are handed out from there
        // sooner than from outside.
        rayon::scope(|_| {
            batches.into_iter().try_for_each(|batch| {
                continue_batch(&student, guide, &mut sequences[batch], options)
            })
        })?;
    }
    sequences.sort_by_key(|sequence| sequence.index);
    Ok(sequences)
}

fn check(
    model: &LanguageModel,
    index: usize,
    prompt: &[u32],
    max_new_tokens: usize,
) -> Result<(), GenerateError> {
    let (vocab_size, max_positions) = (model.vocab_size(), model.max_positions());
    if prompt.is_empty() {
        return Err(GenerateError::EmptyPrompt { prompt: index });
    }
    if let Some(&token) = prompt.iter().find(|&&token| token as usize >= vocab_size) {
        return Err(GenerateError::UnknownToken {
            prompt: index,
            token,
            vocab_size,
        });
    }
    let length = prompt.len();
    if length.saturating_add(max_new_tokens) > max_positions {
        return Err(GenerateError::TooLong {
            prompt: index,
            length,
            max_new_tokens,
            max_positions,
        });
    }
    Ok(())
}

/// Most columns of a batch of these models.
fn most_columns<'a>(configs: impl Iterator<Item = &'a ModelConfig>) -> usize {
    let column = |config: &ModelConfig| {
        2 * config.n_layers * config.n_kv_heads * config.head_dim * size_of::<f32>()
    };
    BATCH_COLUMNS.min(CACHE_BYTES / configs.map(column).sum::<usize>())
}

/// Cuts prompts of ascending lengths into batches of at most `most_columns`, or of one prompt.
fn batches(lengths: &[usize], max_new_tokens: usize, most_columns: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut start = 0;
    for (end, length) in lengths.iter().enumerate() {
        let columns = (end + 1 - start).saturating_mul(length + max_new_tokens);
        if columns > most_columns && end > start {
            batches.push(start..end);
            start = end;
        }
    }
    if start < lengths.len() {
        batches.push(start..lengths.len());
    }
    batches
}

fn continue_batch(
    model: &LanguageModel,
    guide: Option<Guide<'_>>,
    sequences: &mut [Sequence],
    options: &GenerateOptions,
) -> Result<(), GenerateError> {
    let vocab_size = model.vocab_size();
    let longest = sequences
        .iter()
        .map(|sequence| sequence.prompt.len())
        .max()
        .unwrap_or(0);
    let padding: Vec<usize> = sequences
        .iter()
        .map(|sequence| longest - sequence.prompt.len())
        .collect();
    let padded = sequences
        .iter()
        .zip(&padding)
        .flat_map(|(sequence, &padding)| {
            // Any token will do: nobody attends to padding.
            std::iter::repeat_n(sequence.prompt[0], padding).chain(sequence.prompt.iter().copied())
        });
    let mut input: Vec<u32> = padded.collect();
    // The last token is never read.
    let capacity = longest + options.max_new_tokens - 1;
    let mut reader = Reader::new(model, padding.clone(), capacity);
    let mut teacher = guide.map(|guide| Reader::new(guide.teacher, padding, capacity));
    let mut live: Vec<&mut Sequence> = sequences.iter_mut().collect();
    loop {
        let logits = reader.next_logits(&input);
        let of_teacher = teacher.as_mut().map(|teacher| teacher.next_logits(&input));
        live.par_iter_mut()
            .enumerate()
            .map(|(row, sequence)| {
                let row = row * vocab_size..(row + 1) * vocab_size;
                let own = &logits[row.clone()];
                let blended = guide.zip(of_teacher.as_ref());
                let blended =
                    blended.map(|(guide, teacher)| guide.guidance.blend(own, &teacher[row]));
                sequence.push(own, blended.as_deref(), options)
            })
            .collect::<Result<Vec<()>, GenerateError>>()?;

        let unfinished: Vec<usize> = (0..live.len())
            .filter(|&row| live[row].finish.is_none())
            .collect();
        if unfinished.is_empty() {
            return Ok(());
        }
        for reader in std::iter::once(&mut reader).chain(&mut teacher) {
            reader.cache.retain_rows(&unfinished);
        }
        live.retain(|sequence| sequence.finish.is_none());
        input = live
            .iter()
            .filter_map(|sequence| sequence.tokens.last().copied())
            .collect();
    }
}

/// A model and what it has read.
struct Reader<'a> {
    model: &'a LanguageModel,
    device: Device,
    cache: KvCache,
}

impl<'a> Reader<'a> {
    fn new(model: &'a LanguageModel, padding: Vec<usize>, capacity: usize) -> Self {
        Self {
            model,
            device: model.head().weight.device(),
            cache: KvCache::new(padding, capacity),
        }
    }

    /// Reads as many tokens in each row, and returns the logits of what follows, row by row.
    fn next_logits(&mut self, tokens: &[u32]) -> Vec<f32> {
        let rows = self.cache.batch();
        let columns = tokens.len() / rows;
        let tokens: Vec<i32> = tokens.iter().map(|token| token.cast_signed()).collect();
        let tokens = Tensor::from_data(TensorData::new(tokens, [rows, columns]), &self.device);
        let logits = self.model.next_logits(tokens, &mut self.cache).into_data();
        logits.try_into_vec().expect("logits are in f32")
    }
}

#[derive(Debug)]
struct Sequence<'a> {
    /// Place among the prompts of the call.
    index: usize,
    prompt: &'a [u32],
    sampler: Sampler,
    tokens: Vec<u32>,
    /// Under the model itself.
    log_probs: Vec<f32>,
    /// Under what the teacher made of its distribution; empty without a teacher.
    blended: Vec<f32>,
    finish: Option<FinishReason>,
}

impl<'a> Sequence<'a> {
    fn new(index: usize, prompt: &'a [u32], sampler: Sampler, max_new_tokens: usize) -> Self {
        Self {
            index,
            prompt,
            sampler,
            tokens: Vec::new(),
            log_probs: Vec::new(),
            blended: Vec::new(),
            finish: (max_new_tokens == 0).then_some(FinishReason::Length),
        }
    }

    /// Chooses the next token, and notes whether it is the last.
    fn push(
        &mut self,
        logits: &[f32],
        blended: Option<&[f32]>,
        options: &GenerateOptions,
    ) -> Result<(), GenerateError> {
        let choice = self.sampler.choose(blended.unwrap_or(logits));
        let choice = choice.ok_or(GenerateError::NoFiniteLogit {
            prompt: self.index,
            generated: self.tokens.len(),
        })?;
        self.tokens.push(choice.token);
        if blended.is_some() {
            self.blended.push(choice.log_prob);
            self.log_probs.push(sample::log_prob(logits, choice.token));
        } else {
            self.log_probs.push(choice.log_prob);
        }
        self.finish = if options.stop_tokens.contains(&choice.token) {
            Some(FinishReason::StopToken(choice.token))
        } else if options
            .stop_rule
            .as_ref()
            .is_some_and(|rule| rule.stops(&self.tokens))
        {
            Some(FinishReason::StopRule)
        } else {
            (self.tokens.len() == options.max_new_tokens).then_some(FinishReason::Length)
        };
        Ok(())
    }

    fn into_generation(self) -> Generation {
        Generation {
            tokens: self.tokens,
            log_probs: self.log_probs,
            finish: self.finish.unwrap_or(FinishReason::Length),
        }
    }
}

#[cfg(test)]
mod tests;
