//! Gradients by central differences, to hold autodiff and closed forms against.

use burn::prelude::*;
use burn::tensor::FloatDType;

use crate::{Tolerance, assert_close, plain_device, tensor, values};

/// `∂function/∂x` by central differences in f64, row-major.
///
/// # Panics
///
/// Panics if `at` does not fill `shape`.
pub fn finite_differences<const D: usize>(
    function: impl Fn(Tensor<D>) -> Tensor<1>,
    at: &[f64],
    shape: [usize; D],
) -> Vec<f64> {
    let evaluate = |point: &[f64]| -> f64 {
        function(tensor(point, shape, FloatDType::F64, &plain_device())).into_scalar::<f64>()
    };
    let mut point = at.to_vec();
    (0..at.len())
        .map(|i| {
            // The cube root of f64's precision balances truncation and rounding.
            let step = 6e-6 * (1.0 + at[i].abs());
            point[i] = at[i] + step;
            let above = evaluate(&point);
            point[i] = at[i] - step;
            let below = evaluate(&point);
            point[i] = at[i];
            (above - below) / (2.0 * step)
        })
        .collect()
}

/// Value and gradient of `function` by autodiff, in `dtype`, row-major.
///
/// # Panics
///
/// Panics if `at` does not fill `shape`, or `function` does not depend on its argument.
pub fn autodiff_gradient<const D: usize>(
    function: impl Fn(Tensor<D>) -> Tensor<1>,
    at: &[f64],
    shape: [usize; D],
    dtype: FloatDType,
) -> (f64, Vec<f64>) {
    let x = tensor(at, shape, dtype, &crate::autodiff_device()).require_grad();
    let value = function(x.clone());
    let gradients = value.backward();
    let gradient = x
        .grad(&gradients)
        .expect("the function depends on its argument");
    (value.into_scalar::<f64>(), values(&gradient))
}

/// Asserts that autodiff agrees with central differences, both in f64.
///
/// # Panics
///
/// Panics if they differ by more than 1e-6 (absolute and relative), or `at` does not fill `shape`.
#[track_caller]
pub fn assert_gradient<const D: usize>(
    function: impl Fn(Tensor<D>) -> Tensor<1>,
    at: &[f64],
    shape: [usize; D],
) {
    let (_, actual) = autodiff_gradient(&function, at, shape, FloatDType::F64);
    let expected = finite_differences(&function, at, shape);
    assert_close(
        &actual,
        &expected,
        Tolerance {
            absolute: 1e-6,
            relative: 1e-6,
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_of_a_cube_is_found() {
        let cube = |x: Tensor<2>| x.powi_scalar(3).sum();
        assert_close(
            &finite_differences(cube, &[1.0, 2.0], [1, 2]),
            &[3.0, 12.0],
            Tolerance {
                absolute: 1e-7,
                relative: 1e-7,
            },
        );
        assert_gradient(cube, &[1.0, -2.0, 3.0, 0.25], [2, 2]);
    }

    #[test]
    #[should_panic(expected = "times the allowed error")]
    fn a_gradient_that_autodiff_does_not_see_is_noticed() {
        assert_gradient(
            |x: Tensor<1>| (x.clone() * x.detach()).sum(),
            &[1.0, 2.0],
            [2],
        );
    }
}
