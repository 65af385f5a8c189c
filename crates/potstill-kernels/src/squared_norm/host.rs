//! The sum of squares in one pass over memory.

use burn::backend::tensor::FloatTensor;
use rayon::prelude::*;

use super::{SquaredNormBackend, portable};
use crate::host::{HostBackend, Values, is_fused, sum_of, vectorized};

/// Numbers that one task adds up. Fixed, so that the order of additions does not depend on the
/// number of threads.
const BLOCK: usize = 16 * 1024;

impl<B: HostBackend> SquaredNormBackend for B {
    fn squared_norm(x: FloatTensor<B>) -> FloatTensor<B> {
        if !is_fused::<B, _>([&x]) {
            return portable::<B>(x);
        }
        let x = Values::<B>::of(x);
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
        B::tensor(vec![partial.iter().sum::<f64>() as f32], [1].into())
    }
}
