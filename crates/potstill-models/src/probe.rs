//! What a calibration pass sees inside a model.

use std::cell::RefCell;

use burn::prelude::*;
use potstill_core::Rows;

use crate::blocks::widened;

/// Reduces activations to one number for each part of a model, where they occur.
#[derive(Debug)]
pub(crate) struct Probe {
    rows: Rows,
    seen: RefCell<Seen>,
    /// What the block that is running was given.
    block_input: RefCell<Option<Tensor<2>>>,
}

/// Norms in front of attention and MLP.
const NORMS_PER_BLOCK: usize = 2;

/// Means over the rows that count, in the order in which a pass comes by.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Of every norm of the residual stream.
    pub(crate) norms: Vec<SeenNorm>,
    /// Length of each head's output, `[n_heads]`, for every block.
    pub(crate) heads: Vec<Tensor<1>>,
    /// Magnitude of each neuron, `[d_ff]`, for every block.
    pub(crate) neurons: Vec<Tensor<1>>,
    /// Cosine of a block's input and output, `[1]`, for every block.
    pub(crate) cosines: Vec<Tensor<1>>,
}

/// What a norm of the residual stream gives and takes, channel by channel.
#[derive(Debug)]
pub(crate) struct SeenNorm {
    /// Magnitude of its output, `[d_model]`.
    pub(crate) output: Tensor<1>,
    /// Share of the squared length of its input, `[d_model]`; sums to 1.
    pub(crate) energy: Tensor<1>,
}

impl Probe {
    /// Watches the rows that count.
    pub(crate) fn new(rows: Rows) -> Self {
        Self {
            rows,
            seen: RefCell::default(),
            block_input: RefCell::default(),
        }
    }

    pub(crate) fn into_seen(self) -> Seen {
        self.seen.into_inner()
    }

    /// The rows that count, in at least f32.
    fn rows(&self, x: &Tensor<3>) -> Tensor<2> {
        widened(self.rows.select(x.clone().without_autodiff()))
    }

    /// A norm of the residual stream. What the first of a block, or the last of all, is given is
    /// what the block before gives.
    ///
    /// # Shapes
    ///
    /// - `x`, `normed`: `[batch, seq, d_model]`
    pub(crate) fn norm(&self, x: &Tensor<3>, normed: &Tensor<3>) {
        let x = self.rows(x);
        let mut seen = self.seen.borrow_mut();
        if seen.norms.len().is_multiple_of(NORMS_PER_BLOCK)
            && let Some(input) = self.block_input.replace(Some(x.clone()))
        {
            seen.cosines.push(mean(cosine(input, x.clone())));
        }
        let squares = x.square();
        let energy = squares.clone() / (squares.sum_dim(1) + f32::MIN_POSITIVE);
        seen.norms.push(SeenNorm {
            output: mean(self.rows(normed).abs()),
            energy: mean(energy),
        });
    }

    /// The output of attention's heads.
    ///
    /// # Shapes
    ///
    /// - `context`: `[batch, seq, n_heads, head_dim]`
    pub(crate) fn heads(&self, context: &Tensor<4>) {
        let [batch, seq, n_heads, head_dim] = context.dims();
        let context = context.clone().reshape([batch, seq, n_heads * head_dim]);
        let squares = self.rows(&context).square();
        let [rows, _] = squares.dims();
        let lengths = squares.reshape([rows, n_heads, head_dim]).sum_dim(2).sqrt();
        let lengths = mean(lengths.squeeze_dim(2));
        self.seen.borrow_mut().heads.push(lengths);
    }

    /// What the last map of an MLP reads.
    ///
    /// # Shapes
    ///
    /// - `activated`: `[batch, seq, d_ff]`
    pub(crate) fn neurons(&self, activated: &Tensor<3>) {
        let magnitudes = mean(self.rows(activated).abs());
        self.seen.borrow_mut().neurons.push(magnitudes);
    }
}

/// Of each row, `[rows, 1]`.
fn cosine(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let length = |x: &Tensor<2>| x.clone().square().sum_dim(1).sqrt();
    let lengths = length(&x) * length(&y) + f32::MIN_POSITIVE;
    (x * y).sum_dim(1) / lengths
}

/// The mean over rows.
fn mean(x: Tensor<2>) -> Tensor<1> {
    x.mean_dim(0).squeeze_dim(0)
}
