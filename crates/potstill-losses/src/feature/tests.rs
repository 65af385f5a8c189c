//! Gradients against finite differences, and what each loss does not see.

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_testkit::{
    Tolerance, assert_close, assert_gradient, autodiff_device, normals, plain_device, tensor,
    tensor_f64, values,
};

use super::*;

const EXAMPLES: usize = 5;

fn teacher() -> Tensor<2> {
    tensor_f64(&normals(EXAMPLES * 4, 1.0, 1), [EXAMPLES, 4])
}

fn student() -> Vec<f64> {
    normals(EXAMPLES * 4, 1.0, 2)
}

fn narrow() -> Vec<f64> {
    normals(EXAMPLES * 3, 1.0, 3)
}

/// A rotation by one radian in the plane of the first two axes.
fn rotated(features: Tensor<2>) -> Tensor<2> {
    let (sin, cos) = 1f64.sin_cos();
    #[rustfmt::skip]
    let rotation = [
        cos, -sin, 0.0, 0.0,
        sin, cos, 0.0, 0.0,
        0.0, 0.0, 1.0, 0.0,
        0.0, 0.0, 0.0, 1.0,
    ];
    features.matmul(tensor_f64(&rotation, [4, 4]))
}

fn scalar(value: Tensor<1>) -> f64 {
    value.into_scalar::<f64>()
}

#[test]
fn gradients_agree_with_finite_differences() {
    let shape = [EXAMPLES, 4];
    assert_gradient(|s| hidden_mse(s, teacher()).sum(), &student(), shape);
    assert_gradient(|s| hidden_cosine(s, teacher()).sum(), &student(), shape);
    assert_gradient(
        |s| hidden_normalized_mse(s, teacher()).sum(),
        &student(),
        shape,
    );
    assert_gradient(|s| contrastive(s, teacher(), 0.2).sum(), &student(), shape);
    let shape = [EXAMPLES, 3];
    assert_gradient(|s| rkd_distance(s, teacher()), &narrow(), shape);
    assert_gradient(|s| rkd_angle(s, teacher()), &narrow(), shape);
    assert_gradient(|s| similarity_preserving(s, teacher()), &narrow(), shape);
    assert_gradient(|s| linear_cka(s, teacher()), &narrow(), shape);
}

#[test]
fn gradients_of_attention_losses_agree_with_finite_differences() {
    let shape = [1, 2, 3, 3];
    let teacher = || tensor_f64::<4>(&normals(18, 1.0, 4), shape);
    let scores = normals(18, 1.0, 5);
    assert_gradient(|s| attention_mse(s, teacher()), &scores, shape);
    assert_gradient(|s| attention_transfer(s, teacher()), &scores, shape);
    let probabilities = |scores| burn::tensor::activation::softmax::<4>(scores, 3);
    assert_gradient(
        |s| attention_kl(probabilities(s), probabilities(teacher())),
        &scores,
        shape,
    );
    let teacher = || tensor_f64::<3>(&normals(24, 1.0, 6), [2, 3, 4]);
    let student = normals(12, 1.0, 7);
    assert_gradient(|s| self_relation_kl(s, teacher(), 2), &student, [2, 3, 2]);
}

#[test]
fn a_model_is_at_distance_zero_from_itself() {
    for value in [
        hidden_mse(teacher(), teacher()).sum(),
        hidden_cosine(teacher(), teacher()).sum(),
        hidden_normalized_mse(teacher(), teacher()).sum(),
        rkd_distance(teacher(), teacher()),
        rkd_angle(teacher(), teacher()),
        similarity_preserving(teacher(), teacher()),
        linear_cka(teacher(), teacher()),
    ] {
        assert_close(&[scalar(value)], &[0.0], Tolerance::absolute(1e-12));
    }
}

#[test]
fn relations_do_not_see_rotations() {
    let other = tensor_f64(&student(), [EXAMPLES, 4]);
    for loss in [rkd_distance, rkd_angle, similarity_preserving, linear_cka] {
        let plain = scalar(loss(other.clone(), teacher()));
        let turned = scalar(loss(rotated(other.clone()), teacher()));
        assert_close(&[turned], &[plain], Tolerance::F64);
        assert!(plain > 1e-3);
    }
}

#[test]
fn relations_do_not_see_scale_and_distances_see_no_shift() {
    let other = tensor_f64(&student(), [EXAMPLES, 4]);
    for loss in [rkd_distance, rkd_angle, similarity_preserving, linear_cka] {
        let plain = scalar(loss(other.clone(), teacher()));
        assert_close(
            &[scalar(loss(other.clone() * 3.0, teacher()))],
            &[plain],
            Tolerance::F64,
        );
    }
    for loss in [rkd_distance, rkd_angle, linear_cka] {
        let plain = scalar(loss(other.clone(), teacher()));
        assert_close(
            &[scalar(loss(other.clone() + 3.0, teacher()))],
            &[plain],
            Tolerance::F64,
        );
    }
}

#[test]
fn zeros_and_equal_examples_have_finite_gradients() {
    let device = autodiff_device();
    let zeros = || tensor::<2>(&[0.0; 20], [EXAMPLES, 4], FloatDType::F32, &device).require_grad();
    let losses: [fn(Tensor<2>, Tensor<2>) -> Tensor<1>; 6] = [
        |s, t| hidden_cosine(s, t).sum(),
        |s, t| hidden_normalized_mse(s, t).sum(),
        |s, t| contrastive(s, t, 0.1).sum(),
        rkd_angle,
        similarity_preserving,
        linear_cka,
    ];
    for (index, loss) in losses.into_iter().enumerate() {
        let student = zeros();
        let teacher = teacher().cast(FloatDType::F32);
        let gradients = loss(student.clone(), teacher).backward();
        let gradient = values(&student.grad(&gradients).unwrap());
        assert!(
            gradient.iter().all(|value| value.is_finite()),
            "loss {index}"
        );
    }
}

#[test]
fn cosine_is_half_of_the_normalized_distance() {
    let other = tensor_f64(&student(), [EXAMPLES, 4]);
    assert_close(
        &values(&(hidden_cosine(other.clone(), teacher()) * 2.0)),
        &values(&hidden_normalized_mse(other, teacher())),
        Tolerance::F64,
    );
}

#[test]
fn contrast_is_ln_n_when_nothing_can_be_told_apart() {
    let same = tensor_f64(&[1.0; EXAMPLES * 4], [EXAMPLES, 4]);
    let value = contrastive(same, teacher(), 0.1);
    // The student's direction is constant, so one direction of the loss is ln n exactly.
    assert!(values(&value).iter().sum::<f64>() / EXAMPLES as f64 >= (EXAMPLES as f64).ln() - 1e-9);
    let own = contrastive(teacher(), teacher(), 0.01);
    assert!(values(&own).iter().all(|loss| *loss < 1e-3));
}

#[test]
fn hidden_attention_is_compared_without_nan_where_nothing_is_attended() {
    let causal = tensor_f64::<4>(&[1.0, 0.0, 0.5, 0.5], [1, 1, 2, 2]);
    let other = tensor_f64::<4>(&[1.0, 0.0, 0.25, 0.75], [1, 1, 2, 2]);
    let expected = (0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln()) / 2.0;
    assert_close(
        &[scalar(attention_kl(other, causal))],
        &[expected],
        Tolerance::F64,
    );
}

#[test]
fn information_is_a_gaussian_likelihood_with_learned_variances() {
    let device = autodiff_device();
    let loss = VariationalInformationConfig::new(3, 4).init(&device);
    let student = tensor::<2>(&narrow(), [EXAMPLES, 3], FloatDType::F32, &device);
    let rows = loss.per_row(student, teacher().cast(FloatDType::F32));
    let gradients = rows.clone().sum().backward();
    assert!(loss.projection.grad(&gradients).is_some());
    assert!(loss.raw_variance.grad(&gradients).is_some());
    let expected: Vec<f64> = {
        let projection = values(&loss.projection.val());
        let (narrow, teacher) = (narrow(), values(&teacher()));
        (0..EXAMPLES)
            .map(|row| {
                let channel = |i: usize| {
                    let mean: f64 = (0..3)
                        .map(|j| narrow[row * 3 + j] * projection[j * 4 + i])
                        .sum();
                    (teacher[row * 4 + i] - mean).powi(2) / 5.0 + 5f64.ln()
                };
                (0..4).map(channel).sum::<f64>() / 8.0
            })
            .collect()
    };
    assert_close(&values(&rows), &expected, Tolerance::F32);
}

#[test]
#[should_panic(expected = "a width of 4 cannot be split into 3 relation heads")]
fn relation_heads_divide_the_width() {
    let x = Tensor::<3>::zeros([1, 2, 4], &plain_device());
    let _ = self_relation_kl(x.clone(), x, 3);
}
