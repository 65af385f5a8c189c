//! Tests of rms norm.

use burn::prelude::*;
use potstill_testkit::{autodiff_device, plain_device};
use proptest::prelude::*;

use super::rms_norm;
use crate::check::{assert_bodies_agree, assert_gradients, assert_threads_change_nothing, normal};

/// Large: in f32 the gradient of a row that is all but 0 has few digits.
const EPSILON: f64 = 0.1;

fn operation([x, weight]: [Tensor<2>; 2]) -> Tensor<2> {
    rms_norm(x, weight.flatten(0, 1), EPSILON)
}

#[test]
fn the_gradients_agree_with_finite_differences() {
    assert_gradients(&[normal([3, 5], 1), normal([1, 5], 2)], operation);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    assert_threads_change_nothing(&[normal([301, 37], 7), normal([1, 37], 8)], operation);
}

#[test]
fn a_frozen_weight_gets_no_gradient() {
    let x = Tensor::<2>::ones([2, 4], &autodiff_device()).require_grad();
    let weight = Tensor::<1>::ones([4], &plain_device());
    let gradients = rms_norm(x.clone(), weight, 0.0).sum().backward();
    let gradient = x.grad(&gradients).expect("it is part of the graph");
    assert_eq!(gradient.into_data(), TensorData::zeros::<f32, _>([2, 4]));
}

proptest! {
    #[test]
    fn flex_agrees_with_the_portable_body(rows in 0usize..150, width in 1usize..130, seed: u16) {
        let seed = u64::from(seed);
        let inputs = [normal([rows, width], seed), normal([1, width], seed + 1)];
        assert_bodies_agree(&inputs, seed + 2, operation);
    }
}
