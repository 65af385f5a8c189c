//! Tests of attach.

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_testkit::{
    Tolerance, assert_close, autodiff_device, normals, plain_device, tensor, values,
};

use super::attach_gradient;

/// What arrives at two inputs of different rank when the result is multiplied by `slope`.
fn arriving(dtype: FloatDType, slope: f64) -> [Vec<f64>; 2] {
    let (device, plain) = (autodiff_device(), plain_device());
    let first = tensor::<2>(&normals(6, 1.0, 1), [2, 3], dtype, &device).require_grad();
    let second = tensor::<1>(&normals(4, 1.0, 2), [4], dtype, &device).require_grad();
    let value = tensor::<1>(&[3.0], [1], dtype, &plain);
    let value = attach_gradient(
        value,
        first.clone(),
        tensor(&normals(6, 1.0, 3), [2, 3], dtype, &plain),
    );
    let value = attach_gradient(
        value,
        second.clone(),
        tensor(&normals(4, 1.0, 4), [4], dtype, &plain),
    );
    assert_close(&values(&value), &[3.0], Tolerance::F32);
    let gradients = (value * slope).backward();
    [
        values(&first.grad(&gradients).expect("it is part of the graph")),
        values(&second.grad(&gradients).expect("it is part of the graph")),
    ]
}

#[test]
fn the_slope_reaches_every_input() {
    for dtype in [FloatDType::F32, FloatDType::F64] {
        for slope in [1.0, -0.25] {
            let times = |values: Vec<f64>| values.iter().map(|v| v * slope).collect::<Vec<f64>>();
            let [first, second] = arriving(dtype, slope);
            assert_close(&first, &times(normals(6, 1.0, 3)), Tolerance::F32);
            assert_close(&second, &times(normals(4, 1.0, 4)), Tolerance::F32);
        }
    }
}

#[test]
fn a_value_of_constants_stays_outside_the_graph() {
    let plain = plain_device();
    let input = Tensor::<1>::ones([2], &plain);
    let value = attach_gradient(Tensor::ones([1], &plain), input.clone(), input);
    assert!(!value.is_autodiff());
}
