//! What a token takes, by the shape of a model alone.

use potstill_models::{ModelConfig, StoredAs};
use serde::{Deserialize, Serialize};

/// Arithmetic and memory of one token.
///
/// ```text
/// attention(t) = 4 · t · n_layers · n_heads · head_dim        scores and mixing over t positions
/// decode       = 2 · parameters_read + attention(t)
/// prefill      = 2 · (parameters_read − head) + attention((t + 1) / 2) + 2 · head / t
/// cache        = 2 · n_layers · n_kv_heads · head_dim · 4     keys and values in f32
/// ```
///
/// A multiplication and an addition are two operations. `parameters_read` are all but the rows of
/// tables that are only looked up; a head with bias or factors counts whole. Of a prompt only the last
/// position reaches the head. Softmax, norms' statistics and rotary positions are left out: they are
/// small beside this, for all but the smallest models. With a sliding window, t is at most the window.
/// Kaplan et al., *Scaling Laws for Neural Language Models*, 2020, arXiv:2001.08361, section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenWork {
    /// Positions in sight, t: of the token that is decoded, and of the whole prompt that is read.
    pub context: usize,
    /// Operations to decode one token.
    pub decode_flops: f64,
    /// Operations for each token of a prompt of that length, on average.
    pub prefill_flops: f64,
    /// Parameters that are read for one token.
    pub parameters_read: u64,
    /// Parameters that there are because there is a vocabulary: embedding and head.
    pub vocabulary_parameters: u64,
    /// Bytes of keys and values that each token leaves behind.
    pub cache_bytes_per_token: u64,
}

impl TokenWork {
    /// The work of a model of this configuration.
    #[must_use]
    pub fn of(config: &ModelConfig, context: usize) -> Self {
        let without_vocabulary = ModelConfig {
            vocab_size: 0,
            ..config.clone()
        };
        let read = |config: &ModelConfig| StoredAs::F32.bytes_per_token(config) / 4;
        let parameters_read = read(config);
        let head = (parameters_read - read(&without_vocabulary)) as f64;
        let (layers, width) = (config.n_layers, config.n_heads * config.head_dim);
        let sight = |positions: f64| positions.min(config.sliding_window.unwrap_or(context) as f64);
        let attention = |positions: f64| 4.0 * sight(positions) * (layers * width) as f64;
        let t = context.max(1) as f64;
        Self {
            context,
            decode_flops: 2.0 * parameters_read as f64 + attention(t),
            prefill_flops: 2.0 * (parameters_read as f64 - head)
                + attention(f64::midpoint(t, 1.0))
                + 2.0 * head / t,
            parameters_read,
            vocabulary_parameters: (config.parameter_count() - without_vocabulary.parameter_count())
                as u64,
            cache_bytes_per_token: (2 * layers * config.n_kv_heads * config.head_dim * 4) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use potstill_models::Architecture;

    use super::*;

    /// SmolLM2-135M: 30 blocks of 3,538,944 weights in matrices and 1,152 in norms, 49152 tokens.
    fn smollm2() -> ModelConfig {
        let mut config = ModelConfig::new(Architecture::Llama, 49_152, 576, 30, 9);
        (
            config.n_kv_heads,
            config.d_ff,
            config.tie_word_embeddings,
            config.head_dim,
        ) = (3, 1536, true, 64);
        config
    }

    #[test]
    fn the_work_of_a_known_model_is_what_the_formulas_say() {
        let work = TokenWork::of(&smollm2(), 1000);
        let (blocks, head) = (30.0 * (3_538_944.0 + 1152.0) + 576.0, 49_152.0 * 576.0);
        let attention = 4.0 * 30.0 * 576.0;
        assert_eq!(work.parameters_read as f64, blocks + head);
        assert_eq!(work.vocabulary_parameters as f64, head);
        assert_eq!(
            work.decode_flops,
            2.0 * (blocks + head) + 1000.0 * attention
        );
        assert_eq!(
            work.prefill_flops,
            2.0 * blocks + 500.5 * attention + 2.0 * head / 1000.0
        );
        assert_eq!(work.cache_bytes_per_token, 2 * 30 * 3 * 64 * 4);
    }

    #[test]
    fn a_table_that_is_only_looked_up_is_not_read_and_a_window_bounds_attention() {
        let (mut untied, tied) = (smollm2(), TokenWork::of(&smollm2(), 1000));
        untied.tie_word_embeddings = false;
        untied.sliding_window = Some(100);
        let work = TokenWork::of(&untied, 1000);
        assert_eq!(work.parameters_read, tied.parameters_read);
        assert_eq!(work.vocabulary_parameters, 2 * tied.vocabulary_parameters);
        let attention = 4.0 * 30.0 * 576.0;
        assert_eq!(tied.decode_flops - work.decode_flops, 900.0 * attention);
    }
}
