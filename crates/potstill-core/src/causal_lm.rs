//! What every decoder-only language model offers, whether it teaches or learns.

use burn::module::ModuleDisplay;
use burn::prelude::*;

use crate::{LmHead, Tapped, Taps, TokenBatch};

/// Result of [`CausalLm::encode`].
#[derive(Clone, Debug)]
pub struct Encoded {
    /// What the head reads, final norm applied, `[batch, seq, d_model]`.
    pub hidden: Tensor<3>,
    /// The tapped values.
    pub tapped: Tapped,
}

/// A causal language model without a backend: `encode` runs everything but the head.
///
/// The head is separate so that only the rows that count ever reach the vocabulary, a chunk at a
/// time; `[batch, seq, vocab]` never has to exist.
pub trait CausalLm: Module + ModuleDisplay {
    /// Runs the model up to the head and keeps what `taps` asks for.
    ///
    /// # Panics
    ///
    /// Panics if a tap names a layer that does not exist, or a segment of `batch` is longer than
    /// [`max_positions`](Self::max_positions).
    fn encode(&self, batch: &TokenBatch, taps: &Taps) -> Encoded;

    /// The language-model head.
    fn head(&self) -> LmHead;

    /// Number of rows of the head.
    fn vocab_size(&self) -> usize;

    /// Number of transformer blocks.
    fn n_layers(&self) -> usize;

    /// Width of the residual stream.
    fn d_model(&self) -> usize;

    /// Longest segment the model supports.
    fn max_positions(&self) -> usize;

    /// Logits of the rows that count, `[rows, vocab]`, in f32.
    ///
    /// Convenient for tests and small vocabularies; losses read [`encode`](Self::encode) and
    /// [`head`](Self::head) instead.
    fn row_logits(&self, batch: &TokenBatch) -> Tensor<2> {
        let encoded = self.encode(batch, &Taps::default());
        self.head().logits(batch.rows.select(encoded.hidden))
    }
}
