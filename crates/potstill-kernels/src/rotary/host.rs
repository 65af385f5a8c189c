//! Rotary positions of f32 heads in host memory, in place.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use rayon::prelude::*;

use super::{Direction, RotaryBackend, portable};
use crate::host::{HostBackend, Values, ValuesMut, is_fused, vectorized};

/// Positions of one task.
const BLOCK: usize = 32;

impl<B: HostBackend> RotaryBackend for B {
    fn rotate(
        x: FloatTensor<B>,
        cos: FloatTensor<B>,
        sin: FloatTensor<B>,
        direction: Direction,
    ) -> FloatTensor<B> {
        if !is_fused::<B, _>([&x, &cos, &sin]) {
            return portable::rotate::<B>(x, cos, sin, direction);
        }
        let [_, _, heads, head_dim] = x.shape().dims();
        let (width, half) = (heads * head_dim, head_dim / 2);
        if width == 0 {
            return x;
        }
        let (cos, sin, mut x) = (
            Values::<B>::of(cos),
            Values::<B>::of(sin),
            ValuesMut::<B>::of(x),
        );
        let (cos, sin) = (cos.as_slice(), sin.as_slice());
        let sign = match direction {
            Direction::Forth => 1.0,
            Direction::Back => -1.0,
        };
        let turn = |(x, cos, sin): (&mut [f32], &[f32], &[f32])| {
            vectorized(
                #[inline(always)]
                || {
                    let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
                    for (position, (cos, sin)) in x.chunks_exact_mut(width).zip(angles) {
                        for head in position.chunks_exact_mut(head_dim) {
                            turn_head(head, cos, sin, sign);
                        }
                    }
                },
            );
        };
        let values = x.as_mut_slice();
        if values.len() <= BLOCK * width {
            turn((values, cos, sin));
        } else {
            values
                .par_chunks_mut(BLOCK * width)
                .zip(cos.par_chunks(BLOCK * half))
                .zip(sin.par_chunks(BLOCK * half))
                .for_each(|((x, cos), sin)| turn((x, cos, sin)));
        }
        x.into_tensor()
    }
}

#[inline(always)]
fn turn_head(head: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let (first, second) = head.split_at_mut(cos.len());
    let pairs = first.iter_mut().zip(second);
    for (((first, second), cos), sin) in pairs.zip(cos).zip(sin) {
        let sin = sign * sin;
        let turned = *first * cos - *second * sin;
        *second = *second * cos + *first * sin;
        *first = turned;
    }
}
