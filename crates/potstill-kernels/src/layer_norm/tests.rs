//! Tests of layer norm.

use burn::prelude::*;
use proptest::prelude::*;

use super::layer_norm;
use crate::check::{assert_bodies_agree, assert_gradients, assert_threads_change_nothing, normal};

/// Large: the deviation of two values that are almost equal has few digits.
const EPSILON: f64 = 0.1;

fn operation([x, weight, bias]: [Tensor<2>; 3]) -> Tensor<2> {
    layer_norm(x, weight.flatten(0, 1), bias.flatten(0, 1), EPSILON)
}

#[test]
fn the_gradients_agree_with_finite_differences() {
    let inputs = [normal([3, 5], 1), normal([1, 5], 2), normal([1, 5], 3)];
    assert_gradients(&inputs, operation);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let inputs = [normal([301, 37], 7), normal([1, 37], 8), normal([1, 37], 9)];
    assert_threads_change_nothing(&inputs, operation);
}

#[test]
fn a_large_mean_costs_no_digits() {
    let (mut values, shape) = normal([2, 64], 4);
    values.iter_mut().for_each(|value| *value += 1000.0);
    let x = Tensor::<2>::from_data(
        TensorData::new(values, shape),
        &potstill_testkit::plain_device(),
    );
    let y = layer_norm(
        x.clone(),
        Tensor::ones([64], &x.device()),
        Tensor::zeros([64], &x.device()),
        0.0,
    );
    let power = y.square().mean_dim(1).into_data();
    let expected = TensorData::from([[1.0f32], [1.0]]);
    power.assert_approx_eq(&expected, burn::tensor::Tolerance::<f32>::absolute(1e-5));
}

proptest! {
    #[test]
    fn flex_agrees_with_the_portable_body(rows in 0usize..150, width in 1usize..130, seed: u16) {
        let seed = u64::from(seed);
        let [a, b, c] = [[rows, width], [1, width], [1, width]];
        let inputs = [normal(a, seed), normal(b, seed + 1), normal(c, seed + 2)];
        assert_bodies_agree(&inputs, seed + 3, operation);
    }
}
