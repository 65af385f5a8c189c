//! Rotary positions composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Slice;

use super::Direction;
use crate::portable::cast;

pub(super) fn rotate<B: Backend>(
    x: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    direction: Direction,
) -> FloatTensor<B> {
    let (dtype, [batch, seq, heads, head_dim]) = (x.dtype(), x.shape().dims());
    let half = head_dim / 2;
    let angles = |table| {
        let table = cast::<B>(table, dtype);
        B::float_reshape(table, [batch, seq, 1, half].into())
    };
    let (cos, sin) = (angles(cos), angles(sin));
    let channels = |from: usize| {
        let slices = [
            Slice::from(0..batch),
            Slice::from(0..seq),
            Slice::from(0..heads),
            Slice::from(from..from + half),
        ];
        B::float_slice(x.clone(), &slices)
    };
    let (first, second) = (channels(0), channels(half));
    let sin = match direction {
        Direction::Forth => sin,
        Direction::Back => B::float_neg(sin),
    };
    let turned_first = B::float_sub(
        B::float_mul(first.clone(), cos.clone()),
        B::float_mul(second.clone(), sin.clone()),
    );
    let turned_second = B::float_add(B::float_mul(second, cos), B::float_mul(first, sin));
    B::float_cat(vec![turned_first, turned_second], 3)
}
