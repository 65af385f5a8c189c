//! A loss on logits that never exist all at once.
//!
//! ```text
//! z = head(h)      L = Σ_r w_r · ℓ(z_r)      G_r = w_r · ∂ℓ/∂z_r
//! ∂L/∂h = G W      ∂L/∂W = Gᵀ h      ∂L/∂b = Σ_r G_r
//! ```
//!
//! For a chunk of rows at a time: the logits of both heads, the loss and its closed-form gradient G,
//! and the two products that add to ∂L/∂h and ∂L/∂W. Nothing of size `rows × vocab` exists, and
//! autodiff stores nothing as wide as the vocabulary: the gradients are computed with the loss and
//! [attached](crate::attach_gradient) to it. A second derivative would be wrong: it is 0.
//!
//! The portable body takes any [`RowLoss`]. On wgpu and CUDA its pass over the logits of a chunk is
//! one kernel where the loss is forward KL, cross-entropy or a blend of both; on libtorch's CPU it is
//! that of flex. The body for flex takes a [`Blend`](crate::Blend) or a [`SparseDivergence`] in f32; it
//! multiplies into two buffers that all chunks share, overwrites the
//! student's logits with G in one pass over each row, sums ∂L/∂W inside the product, leaves out what
//! nobody wants, and does not project rows whose weight is 0.

use burn::prelude::*;
use potstill_core::{LmHead, Prediction};

use crate::log_space::at_least_f32;
use crate::{RowLoss, SparseDivergence};

mod accumulator;
mod chunk_loss;
mod composed;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
mod evaluation;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "tch")]
mod libtorch;

use chunk_loss::{Agreement, ChunkLoss, FromLogits, FromSparse};
use evaluation::{Evaluation, Wanted};

/// Logits of one model that exist at a time, unless [`LEAST_ROWS`] are more.
const CHUNK_LOGITS: usize = 12 << 20;

/// A chunk costs a pass over the gradient of the whole head, which fewer rows would not pay for.
const LEAST_ROWS: usize = 128;

/// Rows whose logits exist at a time where nothing else is said: as many as 48 MiB hold in f32, at
/// least 128. That is 256 rows of 49152 tokens.
#[must_use]
pub fn rows_per_chunk(vocab: usize) -> usize {
    (CHUNK_LOGITS / vocab.max(1)).max(LEAST_ROWS)
}

/// Rows of a student that are to be compared with a teacher or with targets.
#[derive(Clone, Copy, Debug)]
pub struct HeadRows<'a> {
    /// What the student's head reads, `[rows, d_student]`.
    pub hidden: &'a Tensor<2>,
    /// The student's head.
    pub head: &'a LmHead,
    /// What the teacher says about the same rows.
    pub teacher: &'a Prediction,
    /// The tokens that follow, `[rows]`.
    pub targets: Option<&'a Tensor<1, Int>>,
    /// Rows at a time; `None` takes [`rows_per_chunk`].
    pub chunk_rows: Option<usize>,
}

impl HeadRows<'_> {
    /// The loss of each row, outside the autodiff graph, `[rows]`.
    ///
    /// # Panics
    ///
    /// Panics if `loss` needs a teacher and the prediction has no logits, if the heads differ in
    /// vocabulary, or if `chunk_rows` is 0.
    #[must_use]
    pub fn per_row(&self, loss: &impl RowLoss) -> Tensor<1> {
        self.values(&FromLogits(loss))
    }

    /// 1 where student and teacher hold the same token for the likeliest, 0 elsewhere, `[rows]`.
    ///
    /// # Panics
    ///
    /// As [`per_row`](Self::per_row).
    #[must_use]
    pub fn agreement(&self) -> Tensor<1> {
        self.per_row(&Agreement)
    }

    /// `Σ weight · loss` over the rows, differentiable with respect to the hidden states and the
    /// head, `[1]`.
    ///
    /// Without anything to differentiate, no gradient is computed.
    ///
    /// # Shapes
    ///
    /// - `weights`: `[rows]`
    ///
    /// # Panics
    ///
    /// As [`per_row`](Self::per_row), and if `weights` has another length.
    #[must_use]
    pub fn weighted_sum(&self, loss: &impl RowLoss, weights: Option<&Tensor<1>>) -> Tensor<1> {
        self.sum(&FromLogits(loss), weights)
    }

    /// As [`per_row`](Self::per_row), against a sparse prediction.
    ///
    /// # Panics
    ///
    /// Panics if the prediction is not sparse, its support is not the one that `loss` is about, or
    /// `chunk_rows` is 0.
    #[must_use]
    pub fn sparse_per_row(&self, loss: &SparseDivergence) -> Tensor<1> {
        self.values(&FromSparse(loss))
    }

    /// As [`weighted_sum`](Self::weighted_sum), against a sparse prediction.
    ///
    /// # Shapes
    ///
    /// - `weights`: `[rows]`
    ///
    /// # Panics
    ///
    /// As [`sparse_per_row`](Self::sparse_per_row), and if `weights` has another length.
    #[must_use]
    pub fn sparse_weighted_sum(
        &self,
        loss: &SparseDivergence,
        weights: Option<&Tensor<1>>,
    ) -> Tensor<1> {
        self.sum(&FromSparse(loss), weights)
    }

    /// `reduce` of the losses of all rows, differentiable as [`weighted_sum`](Self::weighted_sum) is.
    ///
    /// For what is not a weighted sum over rows: a preference between the log-likelihoods of two
    /// answers, the likelihood of spans, a ranking. It passes over the logits twice, once for the
    /// losses and once with the slope of `reduce` as row weights.
    ///
    /// # Shapes
    ///
    /// - `reduce`: from `[rows]` to `[1]`
    ///
    /// # Panics
    ///
    /// As [`per_row`](Self::per_row), and if the result of `reduce` does not depend on its argument
    /// or is not one value.
    #[must_use]
    pub fn reduced(
        &self,
        loss: &impl RowLoss,
        reduce: impl FnOnce(Tensor<1>) -> Tensor<1>,
    ) -> Tensor<1> {
        let per_row = self.per_row(loss);
        if !Wanted::of(self.hidden, self.head).any() {
            return reduce(per_row);
        }
        let leaf = per_row.autodiff().require_grad();
        let value = reduce(leaf.clone());
        assert_eq!(
            value.dims(),
            [1],
            "the losses of the rows are reduced to one value"
        );
        let gradients = value.backward();
        let slope = leaf
            .grad(&gradients)
            .expect("the reduction depends on the losses");
        let sum = self.weighted_sum(loss, Some(&slope));
        value.without_autodiff() + (sum.clone() - sum.detach())
    }

    fn values(&self, loss: &impl ChunkLoss) -> Tensor<1> {
        let plain = self.without_autodiff();
        if plain.count() == 0 {
            return Tensor::zeros([0], &plain.hidden.device());
        }
        plain.evaluate(loss, None, Wanted::NOTHING).per_row
    }

    fn sum(&self, loss: &impl ChunkLoss, weights: Option<&Tensor<1>>) -> Tensor<1> {
        let plain = self.without_autodiff();
        if plain.count() == 0 {
            return self.hidden.clone().sum() * 0.0;
        }
        let weights = weights.map(|weights| at_least_f32(weights.clone()).without_autodiff());
        if let Some(weights) = &weights {
            assert_eq!(weights.dims(), [plain.count()], "each row needs one weight");
        }
        let wanted = Wanted::of(self.hidden, self.head);
        plain
            .evaluate(loss, weights.as_ref(), wanted)
            .attach(self.hidden, self.head)
    }

    fn without_autodiff(&self) -> Plain<'_> {
        let chunk_rows = self
            .chunk_rows
            .unwrap_or_else(|| rows_per_chunk(self.head.vocab_size()));
        assert!(chunk_rows > 0, "a chunk needs at least one row");
        Plain {
            hidden: self.hidden.clone().without_autodiff(),
            head: self.head.clone().without_autodiff(),
            teacher: self.teacher,
            targets: self.targets,
            chunk_rows,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    start: usize,
    rows: usize,
}

impl Chunk {
    fn of<const D: usize>(self, rows: Tensor<D>) -> Tensor<D> {
        rows.narrow(0, self.start, self.rows).without_autodiff()
    }
}

/// [`HeadRows`] whose student is cut from the graph.
#[derive(Debug)]
struct Plain<'a> {
    hidden: Tensor<2>,
    head: LmHead,
    teacher: &'a Prediction,
    targets: Option<&'a Tensor<1, Int>>,
    chunk_rows: usize,
}

impl Plain<'_> {
    fn count(&self) -> usize {
        self.hidden.dims()[0]
    }

    fn evaluate(
        &self,
        loss: &impl ChunkLoss,
        weights: Option<&Tensor<1>>,
        wanted: Wanted,
    ) -> Evaluation {
        #[cfg(feature = "flex")]
        if let Some(fused) = loss
            .fused()
            .and_then(|loss| flex::evaluate(self, loss, weights, wanted))
        {
            return fused;
        }
        composed::evaluate(self, loss, weights, wanted)
    }

    fn chunks(&self) -> impl Iterator<Item = Chunk> {
        let ([rows, _], size) = (self.hidden.dims(), self.chunk_rows);
        (0..rows).step_by(size).map(move |start| Chunk {
            start,
            rows: size.min(rows - start),
        })
    }

    /// The hidden states of a chunk and their logits.
    fn student_logits(&self, chunk: Chunk) -> (Tensor<2>, Tensor<2>) {
        let hidden = chunk.of(self.hidden.clone());
        (hidden.clone(), self.head.logits(hidden))
    }

    fn teacher_logits(&self, chunk: Chunk) -> Tensor<2> {
        match self.teacher {
            Prediction::Deferred { hidden, head } => {
                let head = head.clone().without_autodiff();
                head.logits(chunk.of(hidden.clone()))
            }
            Prediction::Dense(logits) => chunk.of(logits.clone()),
            other => panic!(
                "this loss needs the teacher's logits, and its prediction is {}",
                other.kind()
            ),
        }
    }
}

#[cfg(test)]
mod tests;
