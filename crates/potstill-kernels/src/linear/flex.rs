//! Linear maps of f32 rows on flex.

use burn::backend::flex::{FlexQTensor, FlexTensor};
use burn::backend::ops::{FloatTensorOps, QTensorOps};
use burn::backend::{Flex, TensorMetadata};
use rayon::prelude::*;

use super::few_rows::Blocks;
use super::{LinearBackend, few_rows};
use crate::bodies::portable_bodies;
use crate::host::{
    Matrix, Threads, Values, ValuesMut, is_fused, product_into, sum_of_rows, tensor, vectorized,
};
use crate::portable::cast;

/// Rows of one task. Fixed, so that the order in which rows are summed does not depend on the number
/// of threads.
const BLOCK: usize = 32;

/// Multiplications below which a product stays on the calling thread.
const PARALLEL_PRODUCT: usize = 1 << 20;

impl LinearBackend for Flex {
    fn multiply_rows(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        if !portable_bodies()
            && let Some(y) = few_rows::product(&x, &weight)
        {
            return y;
        }
        let weight = cast::<Self>(weight, x.dtype());
        if !is_fused::<Self, _>([&x, &weight]) {
            return Self::float_matmul(x, weight);
        }
        let ([rows, d_in], [_, d_out]) = (x.shape().dims(), weight.shape().dims());
        let threads = if rows * d_in * d_out < PARALLEL_PRODUCT {
            Threads::One
        } else {
            Threads::All
        };
        let (x, weight) = (readable(x), readable(weight));
        let mut y = Vec::new();
        product_into(&mut y, matrix(&x), matrix(&weight), 1.0, threads);
        tensor(y, [rows, d_out])
    }

    fn multiply_quantized(x: FlexTensor, weight: FlexQTensor) -> FlexTensor {
        if !portable_bodies()
            && let Some(blocks) = Blocks::of(&weight)
        {
            if let Some(y) = few_rows::quantized_product(&x, blocks) {
                return y;
            }
            let [d_in, d_out] = weight.shape().dims();
            return Self::multiply_rows(x, tensor(blocks.to_floats(), [d_in, d_out]));
        }
        let weight = Self::dequantize(weight, x.dtype().into());
        Self::multiply_rows(x, weight)
    }

    fn add_bias(x: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let width = bias.shape()[0];
        if !is_fused::<Self, _>([&x, &bias]) {
            return Self::float_add(x, Self::float_reshape(bias, [1, width].into()));
        }
        let (mut x, bias) = (ValuesMut::<Self>::of(x), Values::<Self>::of(bias));
        let bias = bias.as_slice();
        x.as_mut_slice()
            .par_chunks_mut((BLOCK * width).max(1))
            .for_each(|x| {
                vectorized(
                    #[inline(always)]
                    || {
                        for row in x.chunks_exact_mut(width) {
                            for (x, bias) in row.iter_mut().zip(bias) {
                                *x += bias;
                            }
                        }
                    },
                );
            });
        x.into_tensor()
    }

    fn sum_of_rows(x: FlexTensor) -> FlexTensor {
        let width = x.shape()[1];
        if !is_fused::<Self, _>([&x]) {
            return Self::float_reshape(Self::float_sum_dim(x, 0), [width].into());
        }
        let x = Values::<Self>::of(x);
        let block = (BLOCK * width).max(1);
        let mut partial = vec![0.0; x.as_slice().len().div_ceil(block) * width];
        partial
            .par_chunks_mut(width.max(1))
            .zip(x.as_slice().par_chunks(block))
            .for_each(|(sums, x)| {
                vectorized(
                    #[inline(always)]
                    || {
                        for row in x.chunks_exact(width) {
                            for (sum, x) in sums.iter_mut().zip(row) {
                                *sum += x;
                            }
                        }
                    },
                );
            });
        tensor(sum_of_rows(&partial, width), [width])
    }
}

/// The tensor, copied if its values lie backwards in memory.
fn readable(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().strides().iter().all(|&stride| stride >= 0) {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

fn matrix(tensor: &FlexTensor) -> Matrix<'_> {
    let layout = tensor.layout();
    let strides = layout.strides();
    Matrix::strided(
        &tensor.storage()[layout.start_offset()..],
        tensor.shape().dims(),
        [strides[0].unsigned_abs(), strides[1].unsigned_abs()],
    )
}
