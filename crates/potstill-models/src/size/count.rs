//! How many parameters a model has.

use crate::{Architecture, ModelConfig};

/// Parameters by what becomes of them in storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Matrices of the blocks.
    pub(super) matrices: usize,
    /// Embeddings, positions, head.
    pub(super) tables: usize,
    /// Of these, what computes logits.
    pub(super) head: usize,
    /// Norms and biases.
    pub(super) rest: usize,
}

impl ModelConfig {
    /// Parameters of a causal model of this configuration; a tied head counts once.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        let Counts {
            matrices,
            tables,
            rest,
            ..
        } = parameters(self);
        matrices + tables + rest
    }
}

pub(super) fn parameters(config: &ModelConfig) -> Counts {
    let ModelConfig {
        d_model,
        d_ff,
        n_layers,
        vocab_size,
        ..
    } = *config;
    let gpt2 = config.architecture == Architecture::Gpt2;
    let (queries, keys) = (
        config.n_heads * config.head_dim,
        config.n_kv_heads * config.head_dim,
    );
    let mlp_inputs = if gpt2 { 1 } else { 2 };
    let if_set = |flag: bool, count: usize| if flag { count } else { 0 };
    let norm = if_set(gpt2, d_model) + d_model;
    let block = 2 * norm
        + if_set(config.qk_norm, 2 * config.head_dim)
        + if_set(config.qkv_bias, queries + 2 * keys)
        + if_set(config.output_bias, d_model)
        + if_set(config.mlp_bias, mlp_inputs * d_ff + d_model);
    let head = match config.head_rank {
        Some(rank) => rank * (vocab_size + d_model),
        None => vocab_size * d_model,
    };
    let tables = vocab_size * d_model
        + if_set(gpt2, config.max_positions * d_model)
        + if_set(!config.tie_word_embeddings, head);
    Counts {
        matrices: n_layers * d_model * (2 * queries + 2 * keys + (mlp_inputs + 1) * d_ff),
        tables,
        head,
        rest: n_layers * block + norm,
    }
}
