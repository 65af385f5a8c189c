//! Sorted probabilities and spans.

use burn::tensor::FloatDType;
use potstill_testkit::{
    Tolerance, assert_close, assert_gradient, autodiff_gradient, finite_differences, normals,
    tensor_f64, values,
};

use super::*;

const PLAIN: UniversalLogit = UniversalLogit {
    student_temperature: 1.0,
    teacher_temperature: 1.0,
};

fn rows(student: Tensor<2>, teacher: Tensor<2>) -> LogitRows {
    LogitRows {
        student,
        teacher: Some(teacher),
        targets: None,
    }
}

#[test]
fn sorted_probabilities_agree_with_an_independent_reference() {
    let teacher = tensor_f64(
        &[2.0, 1.0, 0.0, -1.0, 0.5, 0.0, 3.0, -2.0, 1.0, 0.0],
        [2, 5],
    );
    let student = tensor_f64(
        &[1.0, 1.5, -0.5, 0.0, 0.2, 0.5, 1.0, -1.0, 2.0, -0.3],
        [2, 5],
    );
    let value = PLAIN.per_row(rows(student, teacher));
    let mean = value.mean().into_scalar::<f64>();
    assert_close(&[mean], &[0.350943468], Tolerance::absolute(1e-9));
}

#[test]
fn vocabularies_may_differ_and_the_gradient_is_exact() {
    let loss = UniversalLogit {
        student_temperature: 1.5,
        teacher_temperature: 0.8,
    };
    for (of_student, of_teacher) in [(5, 8), (8, 5), (6, 6)] {
        let student = normals(2 * of_student, 2.0, 1);
        let teacher = || tensor_f64(&normals(2 * of_teacher, 2.0, 2), [2, of_teacher]);
        let shape = [2, of_student];
        let sum = |s: Tensor<2>| loss.per_row(rows(s, teacher())).sum();
        let at = rows(tensor_f64(&student, shape), teacher());
        let (value, gradient) = loss.value_and_gradient(at);
        let (expected, by_autodiff) = autodiff_gradient(sum, &student, shape, FloatDType::F64);
        assert_close(&values(&value.sum()), &[expected], Tolerance::F64);
        assert_close(&values(&gradient), &by_autodiff, Tolerance::F64);
        let tolerance = Tolerance {
            absolute: 1e-7,
            relative: 1e-6,
        };
        assert_close(
            &values(&gradient),
            &finite_differences(sum, &student, shape),
            tolerance,
        );
    }
}

#[test]
fn the_order_of_either_vocabulary_does_not_matter() {
    let (student, teacher) = (normals(6, 2.0, 3), normals(6, 2.0, 4));
    let reversed: Vec<f64> = teacher.iter().rev().copied().collect();
    let value = |teacher: &[f64]| {
        let teacher = tensor_f64(teacher, [1, 6]);
        values(&PLAIN.per_row(rows(tensor_f64(&student, [1, 6]), teacher)))
    };
    assert_close(&value(&teacher), &value(&reversed), Tolerance::F64);
}

#[test]
fn spans_are_matched_by_binary_cross_entropy() {
    let student = [-3.0, -40.0, -0.001];
    let teacher = [-2.0, -60.0, -0.5];
    let expected: Vec<f64> = student
        .iter()
        .zip(teacher)
        .map(|(s, t): (&f64, f64)| {
            let (a, b) = (t / 10.0 - 1e-6, s / 10.0 - 1e-6);
            -(a.exp() * b + (1.0 - a.exp()) * (-b.exp_m1()).ln())
        })
        .collect();
    let loss = approximate_likelihood(tensor_f64(&student, [3]), tensor_f64(&teacher, [3]), 10.0);
    assert_close(&values(&loss), &expected, Tolerance::F64);
    let teacher = || tensor_f64(&teacher, [3]);
    assert_gradient(
        |s| approximate_likelihood(s, teacher(), 10.0).sum(),
        &[-3.0, -40.0, -1.0],
        [3],
    );
}

#[test]
fn a_span_is_learned_best_at_the_teachers_likelihood() {
    let loss = |student: f64| {
        let loss =
            approximate_likelihood(tensor_f64(&[student], [1]), tensor_f64(&[-5.0], [1]), 100.0);
        values(&loss)[0]
    };
    assert!(loss(-5.0) < loss(-4.0) && loss(-5.0) < loss(-6.0));
}

#[test]
fn extreme_spans_stay_finite() {
    let student = tensor_f64(&[0.0, -1e4, -1e-9], [3]);
    let teacher = tensor_f64(&[-1e4, 0.0, 0.0], [3]);
    for student in [student.clone(), student.cast(FloatDType::F32)] {
        let teacher = teacher.clone().cast(student.dtype());
        let loss = values(&approximate_likelihood(student, teacher, 100.0));
        assert!(loss.iter().all(|value| value.is_finite()), "{loss:?}");
    }
}

#[test]
fn tokens_add_up_to_their_span() {
    let spans = Tensor::from_ints([0, 0, 2, 1, 2], &Device::default());
    let sums = sum_by_span(
        tensor_f64(&[1.0, 2.0, 3.0, 4.0, 5.0], [5]),
        spans.clone(),
        3,
    );
    assert_eq!(values(&sums), [3.0, 4.0, 8.0]);
    assert_gradient(
        |v| sum_by_span(v, spans.clone(), 3).square().sum(),
        &[1.0, 2.0, 3.0, 4.0, 5.0],
        [5],
    );
}
