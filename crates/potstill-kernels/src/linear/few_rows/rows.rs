//! Few rows times a matrix that lies column after column, such as the head of a model with tied
//! embeddings, `[d_out, d_in]` in memory.
//!
//! ```text
//! y[r, c] = Σ_k x[r, k] · w[c, k]
//! ```

use pulp::{Arch, Simd, WithSimd};

use super::element::Element;
use super::{block_of, for_each_block};
use crate::host::prefetch;

/// Columns of the output that are computed together.
const TOGETHER: usize = 4;

/// Blocks of columns of each thread: a thread that is held up then holds up the others less.
const BLOCKS: usize = 8;

/// Bytes between a weight and the one that is asked for when it is read.
const AHEAD: usize = 8192;

/// Weights that are widened and asked for together.
const RUN: usize = 64;

/// `x · weightᵀ`, with `x` of as many rows as `y`.
pub(super) fn product<W: Element>(x: &[f32], weight: &[W], y: &mut [f32], d_out: usize) {
    let d_in = weight.len() / d_out;
    let block = block_of(d_in, d_out, TOGETHER, BLOCKS);
    for_each_block(y, d_out, block, |first, y| {
        let weight = &weight[first * d_in..][..y[0].len() * d_in];
        Arch::new().dispatch(Block { x, d_in, weight, y });
    });
}

/// Some columns of a product.
struct Block<'a, 'y, W> {
    x: &'a [f32],
    d_in: usize,
    weight: &'a [W],
    y: &'a mut [&'y mut [f32]],
}

impl<W: Element> WithSimd for Block<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let d_in = self.d_in;
        let rows = self.y.len();
        let mut wide = vec![0.0; TOGETHER * d_in];
        for (index, weights) in self.weight.chunks(TOGETHER * d_in).enumerate() {
            for (wide, weights) in wide.chunks_mut(RUN).zip(weights.chunks(RUN)) {
                for (value, weight) in wide.iter_mut().zip(weights) {
                    *value = weight.widen();
                }
                prefetch(weights, AHEAD / size_of::<W>());
            }
            let columns = weights.len() / d_in;
            let mut row = 0;
            while row < rows {
                let (x, y) = (&self.x[row * d_in..], &mut self.y[row..]);
                row += if rows - row >= 4 {
                    write::<S, 4>(simd, x, &wide, d_in, y, index * TOGETHER, columns)
                } else {
                    write::<S, 1>(simd, x, &wide, d_in, y, index * TOGETHER, columns)
                };
            }
        }
    }
}

/// Writes `columns` values from `first` on to `R` rows of `y`; returns `R`.
#[inline(always)]
fn write<S: Simd, const R: usize>(
    simd: S,
    x: &[f32],
    weights: &[f32],
    d_in: usize,
    y: &mut [&mut [f32]],
    first: usize,
    columns: usize,
) -> usize {
    let (x_heads, x_tails) = split::<S, R>(x, d_in);
    let (weight_heads, weight_tails) = split::<S, TOGETHER>(weights, d_in);
    let zero = simd.splat_f32s(0.0);
    let mut sums = [[zero; TOGETHER]; R];
    for k in 0..d_in / S::F32_LANES {
        let mut values = [zero; R];
        for (value, x) in values.iter_mut().zip(&x_heads) {
            *value = x[k];
        }
        for (c, weights) in weight_heads.iter().enumerate() {
            let weight = weights[k];
            for (sums, x) in sums.iter_mut().zip(&values) {
                sums[c] = simd.mul_add_e_f32s(*x, weight, sums[c]);
            }
        }
    }
    for ((y, sums), x) in y.iter_mut().zip(&sums).zip(x_tails) {
        let y = &mut y[first..first + columns];
        for ((y, sum), weights) in y.iter_mut().zip(sums).zip(weight_tails) {
            let rest: f32 = x.iter().zip(weights).map(|(x, weight)| x * weight).sum();
            *y = simd.reduce_sum_f32s(*sum) + rest;
        }
    }
    R
}

/// The first `N` rows, each as vectors and what does not fill one.
#[inline(always)]
fn split<S: Simd, const N: usize>(rows: &[f32], width: usize) -> ([&[S::f32s]; N], [&[f32]; N]) {
    let mut heads: [&[S::f32s]; N] = [&[]; N];
    let mut tails: [&[f32]; N] = [&[]; N];
    for (row, (head, tail)) in heads.iter_mut().zip(&mut tails).enumerate() {
        (*head, *tail) = S::as_simd_f32s(&rows[row * width..][..width]);
    }
    (heads, tails)
}
