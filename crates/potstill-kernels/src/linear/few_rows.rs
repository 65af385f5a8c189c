//! Products of few rows with a large matrix on flex: what decoding does with every weight of a model.
//!
//! Such a product reads each weight once and does little with it, so it takes as long as memory needs.
//! The weights are read in the order in which they lie, some of them ahead of time, and in the dtype
//! that they have: half-precision weights take half as long, integers of 8 bits little more than a
//! quarter. Arithmetic is in f32.
//!
//! A value of the output is one sum in a fixed order, whatever the number of rows and threads: a row
//! comes out the same alone and among others.

mod columns;
mod element;
mod panel;
mod rows;

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::DType;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::host::{keep_threads_awake, tensor};
use element::Element;
pub(super) use panel::Blocks;
use panel::Plain;

/// Rows from which on a general product of two matrices is faster.
const ENOUGH_ROWS: usize = 64;

/// Weights from which on more than one thread takes part.
const PARALLEL_WEIGHTS: usize = 1 << 14;

/// `x · weight`, if this is the product to do it: `None` for many rows, or if the weight is not one
/// block of memory, row after row or column after column.
///
/// # Shapes
///
/// - `x`: `[rows, d_in]`, f32
/// - `weight`: `[d_in, d_out]`, f32, bf16 or f16
/// - output: `[rows, d_out]`
pub(super) fn product(x: &FlexTensor, weight: &FlexTensor) -> Option<FlexTensor> {
    let rows = x.shape()[0];
    if rows >= ENOUGH_ROWS || x.dtype() != DType::F32 {
        return None;
    }
    let x = x.to_contiguous();
    let x = x.as_slice::<f32>()?;
    let [d_in, d_out] = weight.shape().dims();
    let turned = weight.transpose(0, 1);
    let y = match weight.dtype() {
        DType::F32 => product_of::<f32>(x, d_in, d_out, weight.as_slice(), turned.as_slice()),
        DType::BF16 => product_of::<bf16>(x, d_in, d_out, weight.as_slice(), turned.as_slice()),
        DType::F16 => product_of::<f16>(x, d_in, d_out, weight.as_slice(), turned.as_slice()),
        _ => None,
    }?;
    Some(tensor(y, [rows, d_out]))
}

/// `x · weight` for a weight of integers, under the same conditions on `x`.
pub(super) fn quantized_product(x: &FlexTensor, weight: Blocks<'_>) -> Option<FlexTensor> {
    let [rows, d_in] = x.shape().dims();
    if rows >= ENOUGH_ROWS || x.dtype() != DType::F32 {
        return None;
    }
    let x = x.to_contiguous();
    let shape = [d_in, weight.d_out()];
    let mut y = vec![0.0; rows * shape[1]];
    if !y.is_empty() {
        columns::product(x.as_slice()?, weight, shape, &mut y);
    }
    Some(tensor(y, [rows, shape[1]]))
}

fn product_of<W: Element>(
    x: &[f32],
    d_in: usize,
    d_out: usize,
    row_after_row: Option<&[W]>,
    column_after_column: Option<&[W]>,
) -> Option<Vec<f32>> {
    if d_in == 0 {
        return None;
    }
    let mut y = vec![0.0; x.len() / d_in * d_out];
    if y.is_empty() {
        return Some(y);
    }
    if let Some(weight) = row_after_row {
        let weight = Plain {
            weights: weight,
            width: d_out,
        };
        columns::product(x, weight, [d_in, d_out], &mut y);
    } else {
        rows::product(x, column_after_column?, &mut y, d_out);
    }
    Some(y)
}

/// Cuts the rows of `y`, `width` wide, into blocks of `block` columns, and hands each of them, row by
/// row, to `work`, along with its first column.
fn for_each_block(
    y: &mut [f32],
    width: usize,
    block: usize,
    work: impl Fn(usize, &mut [&mut [f32]]) + Sync,
) {
    let mut blocks: Vec<Vec<&mut [f32]>> = Vec::new();
    blocks.resize_with(width.div_ceil(block), Vec::new);
    for row in y.chunks_exact_mut(width) {
        for (block, part) in blocks.iter_mut().zip(row.chunks_mut(block)) {
            block.push(part);
        }
    }
    if let [only] = &mut blocks[..] {
        return work(0, only);
    }
    blocks
        .par_iter_mut()
        .enumerate()
        .for_each(|(index, rows)| work(index * block, rows));
    keep_threads_awake();
}

/// Columns of a block: a multiple of `unit`, so that each thread has `blocks` of them, or all columns
/// where there are so few weights that they are not worth a second thread.
fn block_of(d_in: usize, d_out: usize, unit: usize, blocks: usize) -> usize {
    if d_in * d_out < PARALLEL_WEIGHTS {
        d_out
    } else {
        let blocks = rayon::current_num_threads() * blocks;
        d_out.div_ceil(blocks).next_multiple_of(unit)
    }
}

#[cfg(test)]
mod tests;
