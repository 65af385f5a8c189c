//! How much is computed at once.

use potstill_models::ModelConfig;

use crate::Error;

/// How many sequences share a batch.
///
/// Larger batches answer more requests a second, each of them later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most sequences that are continued together.
    pub max_rows: usize,
    /// Most prompt tokens, padding included, that are read between two steps of the batch; a longer
    /// prompt is read alone. Running sequences wait for it.
    pub max_prefill_tokens: usize,
    /// Most bytes of the keys and values of the batch; a sequence that needs more is continued
    /// alone.
    pub max_cache_bytes: usize,
}

impl Default for BatchLimits {
    /// 64 sequences, 2048 prompt tokens between two steps, 1 GiB.
    fn default() -> Self {
        Self {
            max_rows: 64,
            max_prefill_tokens: 2048,
            max_cache_bytes: 1 << 30,
        }
    }
}

impl BatchLimits {
    pub(super) fn validate(&self) -> Result<(), Error> {
        for (limit, value) in [
            ("max_rows", self.max_rows),
            ("max_prefill_tokens", self.max_prefill_tokens),
            ("max_cache_bytes", self.max_cache_bytes),
        ] {
            if value == 0 {
                return Err(Error::ZeroLimit { limit });
            }
        }
        Ok(())
    }

    /// Most columns of a cache, rows times length, for a model with `config`.
    pub(super) fn max_columns(&self, config: &ModelConfig) -> usize {
        let column = 2 * config.n_layers * config.n_kv_heads * config.head_dim * size_of::<f32>();
        self.max_cache_bytes / column
    }
}
