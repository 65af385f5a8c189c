//! Tests of linear.

use burn::prelude::*;
use burn::tensor::quantization::{QuantScheme, QuantValue, ScaleDtype};
use burn::tensor::{DType, Tolerance};
use potstill_testkit::{autodiff_device, plain_device, values};
use proptest::prelude::*;

use super::linear;
use crate::check::{assert_bodies_agree, assert_gradients, assert_threads_change_nothing, normal};

fn with_bias([x, weight, bias]: [Tensor<2>; 3]) -> Tensor<2> {
    linear(x, weight, Some(bias.flatten(0, 1)))
}

#[test]
fn the_gradients_agree_with_finite_differences() {
    let inputs = [normal([3, 5], 1), normal([5, 4], 2), normal([1, 4], 3)];
    assert_gradients(&inputs, with_bias);
    let [x, weight, _] = inputs;
    assert_gradients(&[x, weight], |[x, weight]| linear(x, weight, None));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let inputs = [
        normal([301, 97], 1),
        normal([97, 211], 2),
        normal([1, 211], 3),
    ];
    assert_threads_change_nothing(&inputs, with_bias);
}

#[test]
fn a_transposed_weight_is_read_where_it_lies() {
    let device = plain_device();
    let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
    let weight = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &device);
    assert_eq!(
        values(&linear(x, weight.transpose(), None)),
        [5.0, 11.0, 17.0]
    );
}

#[test]
fn what_is_frozen_gets_no_gradient() {
    let (device, frozen) = (autodiff_device(), plain_device());
    let x = Tensor::<2>::ones([3, 2], &device).require_grad();
    let gradients = linear(x.clone(), Tensor::ones([2, 4], &frozen), None)
        .sum()
        .backward();
    let gradient = x.grad(&gradients).expect("it is part of the graph");
    assert_eq!(values(&gradient), [4.0; 6]);

    let weight = Tensor::<2>::ones([2, 4], &device).require_grad();
    let gradients = linear(Tensor::<2>::ones([3, 2], &frozen), weight.clone(), None)
        .sum()
        .backward();
    let gradient = weight.grad(&gradients).expect("it is part of the graph");
    assert_eq!(values(&gradient), [3.0; 8]);
}

proptest! {
    #[test]
    fn flex_agrees_with_the_portable_body(
        rows in 0usize..80,
        d_in in 1usize..60,
        d_out in 1usize..60,
        seed: u16,
    ) {
        let seed = u64::from(seed);
        let inputs = [normal([rows, d_in], seed), normal([d_in, d_out], seed + 1), normal([1, d_out], seed + 2)];
        assert_bodies_agree(&inputs, seed + 3, with_bias);
    }
}

#[test]
fn a_quantized_weight_answers_as_its_floats_do_whatever_the_number_of_rows() {
    let draw = |shape: [usize; 2], seed: u64, device: &Device| {
        let data = TensorData::new(normal(shape, seed).0, shape);
        Tensor::<2>::from_data(data, (device, DType::F32))
    };
    let scheme = QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .per_block([32, 1], ScaleDtype::F32);
    let weight = draw([64, 48], 1, &plain_device()).quantize_dynamic(&scheme);
    let floats = weight.clone().dequantize();
    for rows in [3, 100] {
        let x = draw([rows, 64], 2, &plain_device());
        let expected = linear(x.clone(), floats.clone(), None).into_data();
        let found = linear(x, weight.clone(), None).into_data();
        found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-4));

        let x = draw([rows, 64], 2, &autodiff_device()).require_grad();
        let y = linear(x.clone(), weight.clone(), None);
        y.to_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-4));
        let gradient = x.grad(&y.sum().backward());
        let gradient = gradient.expect("it is part of the graph").into_data();
        let expected = floats.clone().sum_dim(1).transpose().repeat_dim(0, rows);
        gradient.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));
    }
}
