//! The update composed of burn's operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

use super::Coefficients;

pub(super) fn adamw<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    mean: FloatTensor<B>,
    square: FloatTensor<B>,
    coefficients: &Coefficients,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let surprise = B::float_sub(gradient.clone(), mean.clone());
    let mean = B::float_add(
        mean,
        B::float_mul_scalar(surprise, coefficients.new_mean.into()),
    );
    let square = B::float_add(
        B::float_mul_scalar(square, coefficients.kept_square.into()),
        B::float_mul_scalar(
            B::float_mul(gradient.clone(), gradient),
            coefficients.new_square.into(),
        ),
    );
    let root = B::float_div_scalar(B::float_sqrt(square.clone()), coefficients.root.into());
    let direction = B::float_div(
        mean.clone(),
        B::float_add_scalar(root, coefficients.epsilon.into()),
    );
    let parameter = B::float_sub(
        B::float_mul_scalar(parameter, coefficients.kept.into()),
        B::float_mul_scalar(direction, coefficients.step.into()),
    );
    (parameter, mean, square)
}
