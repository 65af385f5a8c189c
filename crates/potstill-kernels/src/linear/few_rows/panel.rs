//! Matrices that lie row after row, as floats or as integers with a scale for each block.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexQTensor;
use burn::tensor::DType;
use rayon::prelude::*;

use super::element::Element;
use crate::host::{prefetch, vectorized};

/// A matrix that lies row after row.
pub(super) trait RowAfterRow: Copy + Sync {
    /// Writes a row from `column` on as f32, and asks for the same of the row `ahead` rows later.
    fn widen(self, row: usize, column: usize, values: &mut [f32], ahead: usize);
}

/// Floats.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a, W> {
    pub(super) weights: &'a [W],
    pub(super) width: usize,
}

impl<W: Element> RowAfterRow for Plain<'_, W> {
    #[inline(always)]
    fn widen(self, row: usize, column: usize, values: &mut [f32], ahead: usize) {
        let weights = &self.weights[row * self.width + column..][..values.len()];
        for (value, weight) in values.iter_mut().zip(weights) {
            *value = weight.widen();
        }
        prefetch(weights, ahead * self.width);
    }
}

/// Integers of 8 bits; some consecutive rows share a scale in each column.
///
/// ```text
/// w[k, c] = scales[k / rows, c] · codes[k, c]
/// ```
#[derive(Clone, Copy)]
pub(in crate::linear) struct Blocks<'a> {
    /// `[d_in, d_out]`.
    codes: &'a [i8],
    /// `[d_in / rows, d_out]`.
    scales: &'a [f32],
    d_out: usize,
    rows: usize,
}

impl<'a> Blocks<'a> {
    /// The weight, if it is quantized in this way and lies in one block of memory.
    pub(in crate::linear) fn of(weight: &'a FlexQTensor) -> Option<Self> {
        let DType::QFloat(scheme) = weight.dtype() else {
            return None;
        };
        let [d_in, d_out] = weight.shape().dims();
        let rows = match *scheme.block_size()?.as_slice() {
            [rows, 1] => usize::from(rows),
            _ => return None,
        };
        let scales = weight.scales();
        let blocks = Self {
            codes: weight.tensor().as_slice()?,
            scales,
            d_out,
            rows,
        };
        // A scale for the whole matrix besides those of its blocks would be one more factor.
        let one_level = burn::tensor::quantization::global_scale_dtype(&scheme).is_none();
        (one_level && d_in.is_multiple_of(rows) && scales.len() == d_in / rows * d_out)
            .then_some(blocks)
    }

    pub(super) fn d_out(self) -> usize {
        self.d_out
    }

    /// All of it as f32, `[d_in, d_out]`.
    pub(in crate::linear) fn to_floats(self) -> Vec<f32> {
        let mut floats = vec![0.0; self.codes.len()];
        floats
            .par_chunks_mut((self.rows * self.d_out).max(1))
            .enumerate()
            .for_each(|(block, values)| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (row, values) in values.chunks_exact_mut(self.d_out).enumerate() {
                            self.widen(block * self.rows + row, 0, values, 0);
                        }
                    },
                );
            });
        floats
    }
}

impl RowAfterRow for Blocks<'_> {
    #[inline(always)]
    fn widen(self, row: usize, column: usize, values: &mut [f32], ahead: usize) {
        let codes = &self.codes[row * self.d_out + column..][..values.len()];
        let scales = &self.scales[row / self.rows * self.d_out + column..][..values.len()];
        for ((value, code), scale) in values.iter_mut().zip(codes).zip(scales) {
            *value = scale * f32::from(*code);
        }
        prefetch(codes, ahead * self.d_out);
    }
}
