//! How much arithmetic a step is, and how much of what the machine can do that uses.
//!
//! ```text
//! forward  = tokens · (2 · matrices + 4 · layers · d_model · seq) + rows · 2 · vocab · d_model
//! training = 3 · forward
//! ```
//!
//! `matrices` counts the entries of all weight matrices but the embedding and the head: looking up a
//! row of the embedding is no arithmetic, and only the rows that count reach the head.
//! The model FLOPs utilization (MFU) is that number by the time and the peak rate; what gradient
//! checkpointing computes twice does not count. Chowdhery et al., *PaLM*, 2022, arXiv:2204.02311,
//! appendix B.

use std::time::Instant;

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::Distribution;
use potstill_core::{CausalLm, TokenBatch};

/// The floating-point operations of a model's matrix products.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFlops {
    matrices: f64,
    attention: f64,
    head: f64,
}

impl ModelFlops {
    /// Counts the matrices of `model`.
    #[must_use]
    pub fn of<M: CausalLm>(model: &M) -> Self {
        let (vocab, d_model) = (model.vocab_size(), model.d_model());
        let mut matrices = Matrices {
            vocab,
            d_model,
            entries: 0,
        };
        model.visit(&mut matrices);
        Self {
            matrices: 2.0 * matrices.entries as f64,
            attention: 4.0 * (model.n_layers() * d_model) as f64,
            head: 2.0 * (vocab * d_model) as f64,
        }
    }

    /// Operations of a forward pass over `batch`.
    #[must_use]
    pub fn forward(&self, batch: &TokenBatch) -> f64 {
        let [rows, seq] = batch.dims();
        let of_token = self.matrices + self.attention * seq as f64;
        (rows * seq) as f64 * of_token + batch.rows.count() as f64 * self.head
    }
}

struct Matrices {
    vocab: usize,
    d_model: usize,
    entries: usize,
}

impl ModuleVisitor for Matrices {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let shape = parameter.lazy_shape();
        let dims: Vec<usize> = (0..D).map(|axis| shape[axis]).collect();
        let of_vocabulary = dims.contains(&self.vocab) && dims.contains(&self.d_model);
        if D == 2 && !of_vocabulary {
            self.entries += dims.iter().product::<usize>();
        }
    }
}

/// What the arithmetic of a step is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Utilization {
    pub(crate) student: ModelFlops,
    pub(crate) teacher: Option<ModelFlops>,
    pub(crate) peak: f64,
}

impl Utilization {
    pub(crate) fn of_step(&self, batches: &[TokenBatch], seconds: f64) -> f64 {
        let of_batch = |batch: &TokenBatch| {
            let teacher = self.teacher.map_or(0.0, |teacher| teacher.forward(batch));
            3.0 * self.student.forward(batch) + teacher
        };
        batches.iter().map(of_batch).sum::<f64>() / (seconds * self.peak)
    }
}

/// Floating-point operations a second of the best of three products of 1024 × 1024 f32 matrices on
/// `device`: a stand-in for a peak rate that nobody knows.
///
/// Where other work keeps the machine busy meanwhile it is too low, and utilization then comes out
/// above 1.
///
/// # Panics
///
/// Panics if the device cannot compute.
#[must_use]
pub fn measured_peak(device: &Device) -> f64 {
    let size = 1024;
    let device = device.clone().without_autodiff();
    let matrix = || Tensor::<2>::random([size, size], Distribution::Default, &device);
    let (left, right) = (matrix(), matrix());
    let mut best = f64::INFINITY;
    // The first is to warm up.
    for round in 0..4 {
        let started = Instant::now();
        let sum = left.clone().matmul(right.clone()).slice([0..1, 0..1]);
        let _ = sum.into_scalar::<f32>();
        if round > 0 {
            best = best.min(started.elapsed().as_secs_f64());
        }
    }
    2.0 * (size as f64).powi(3) / best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{VOCAB, batch, row};
    use potstill_testkit::{TinyLm, plain_device};

    #[test]
    fn only_matrices_and_rows_that_count_cost_anything() {
        // Two blocks of three 8 × 8 matrices, and a head tied to the embedding.
        let flops = ModelFlops::of(&TinyLm::new(VOCAB, 8, 2, 0, &plain_device()));
        let batch = batch(&[row(1, 9)]);
        let (tokens, rows) = (8.0, batch.rows.count() as f64);
        let expected = tokens * (2.0 * 384.0 + 4.0 * 16.0 * 8.0) + rows * 2.0 * 8.0 * VOCAB as f64;
        assert_eq!(flops.forward(&batch), expected);
    }

    #[test]
    fn the_measured_peak_is_that_of_a_computer() {
        let peak = measured_peak(&plain_device());
        assert!((1e8..1e15).contains(&peak), "{peak}");
    }
}
