//! The sum of squares in one pass over memory.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{SquaredNormBackend, portable};
use crate::flex::{Values, is_fused, sum_of, tensor, vectorized};

/// Numbers that one task adds up. Fixed, so that the order of additions does not depend on the
/// number of threads.
const BLOCK: usize = 16 * 1024;

impl SquaredNormBackend for Flex {
    fn squared_norm(x: FlexTensor) -> FlexTensor {
        if !is_fused([&x]) {
            return portable::<Self>(x);
        }
        let x = Values::of(x);
        let partial: Vec<f64> = (x.as_slice().par_chunks(BLOCK))
            .map(|block| {
                vectorized(
                    #[inline(always)]
                    || {
                        f64::from(sum_of(
                            block,
                            block,
                            #[inline(always)]
                            |a, b| a * b,
                        ))
                    },
                )
            })
            .collect();
        tensor(vec![partial.iter().sum::<f64>() as f32], [1])
    }
}
