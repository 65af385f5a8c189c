//! The sequences that are continued together.

use burn::prelude::*;
use potstill_core::CausalLm;
use potstill_models::{KvCache, LanguageModel};
use rayon::prelude::*;

use super::row::Row;

/// All running sequences, and what the model has read of them.
#[derive(Debug)]
pub(super) struct Batch {
    model: LanguageModel,
    /// Tokens that may be chosen; the model may have more embeddings.
    vocab_size: usize,
    running: Option<Group>,
}

/// Rows that take their steps together.
#[derive(Debug)]
struct Group {
    cache: KvCache,
    rows: Vec<Row>,
}

impl Batch {
    pub(super) fn new(model: LanguageModel, vocab_size: usize) -> Self {
        Self {
            model,
            vocab_size,
            running: None,
        }
    }

    pub(super) fn model(&self) -> &LanguageModel {
        &self.model
    }

    pub(super) fn rows(&self) -> &[Row] {
        self.running.as_ref().map_or(&[], |group| &group.rows)
    }

    /// Reads the prompts of `rows`, chooses their first tokens, and lets those that go on join.
    pub(super) fn join(&mut self, rows: Vec<Row>) {
        let longest = rows.iter().map(|row| row.prompt().len()).max().unwrap_or(0);
        let padding: Vec<usize> = rows
            .iter()
            .map(|row| longest - row.prompt().len())
            .collect();
        let padded = rows.iter().zip(&padding).flat_map(|(row, &padding)| {
            // Any token will do: nobody attends to padding.
            std::iter::repeat_n(row.prompt()[0], padding).chain(row.prompt().iter().copied())
        });
        let input = token_tensor(padded, rows.len(), &self.device());
        let group = Group {
            // No row grows longer than the model's positions, and the cache drops columns that are
            // padding in all of them.
            cache: KvCache::new(padding, self.model.max_positions()),
            rows,
        };
        let Some(new) = self.read(group, input) else {
            return;
        };
        match &mut self.running {
            Some(running) => {
                running.cache.extend_rows(new.cache);
                running.rows.extend(new.rows);
            }
            none => *none = Some(new),
        }
    }

    /// Continues every row by one token; rows that ended leave.
    pub(super) fn step(&mut self) {
        if let Some(group) = self.running.take() {
            let last = group.rows.iter().map(Row::last);
            let input = token_tensor(last, group.rows.len(), &self.device());
            self.running = self.read(group, input);
        }
    }

    /// Reads `input` and chooses what follows. What is left of the group, if anything.
    fn read(&self, mut group: Group, input: Tensor<2, Int>) -> Option<Group> {
        let logits = self.model.next_logits(input, &mut group.cache);
        let [_, columns] = logits.dims();
        let logits = logits.into_data();
        let logits = logits.as_slice::<f32>().expect("logits are f32");
        let goes_on: Vec<bool> = group
            .rows
            .par_iter_mut()
            .zip(logits.par_chunks_exact(columns))
            .map(|(row, logits)| row.push(&logits[..self.vocab_size]))
            .collect();
        let kept: Vec<usize> = (0..goes_on.len()).filter(|&row| goes_on[row]).collect();
        if kept.is_empty() {
            return None;
        }
        group.cache.retain_rows(&kept);
        let mut goes_on = goes_on.into_iter();
        group.rows.retain(|_| goes_on.next() == Some(true));
        Some(group)
    }

    fn device(&self) -> Device {
        self.model.head().weight.device()
    }
}

/// # Shapes
///
/// - output: `[rows, tokens / rows]`
fn token_tensor(tokens: impl Iterator<Item = u32>, rows: usize, device: &Device) -> Tensor<2, Int> {
    let tokens: Vec<i32> = tokens.map(u32::cast_signed).collect();
    let columns = tokens.len() / rows;
    Tensor::from_data(TensorData::new(tokens, [rows, columns]), device)
}
