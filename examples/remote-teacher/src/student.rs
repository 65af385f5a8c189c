//! Who learns.

use potstill::models::{Architecture, ModelConfig};

/// Two blocks of width 56: a tenth of the teacher.
pub(crate) fn config(vocab_size: usize) -> ModelConfig {
    ModelConfig {
        d_ff: 152,
        max_positions: 32,
        tie_word_embeddings: true,
        ..ModelConfig::new(Architecture::Llama, vocab_size, 56, 2, 4)
    }
}
