//! Every loss on logits: closed form, autodiff and differences; then an independent reference.

use burn::tensor::FloatDType;
use potstill_testkit::{
    Tolerance, assert_close, autodiff_gradient, finite_differences, normals, tensor_f64, values,
};

use super::*;
use crate::dist_intra;

const SHAPE: [usize; 2] = [3, 7];

fn all() -> Vec<LogitLoss> {
    vec![
        LogitLoss::Mse,
        LogitLoss::Standardized {
            divergence: Divergence::ReverseKl,
            temperature: 2.0,
        },
        LogitLoss::Decoupled {
            alpha: 1.0,
            beta: 8.0,
            temperature: 4.0,
        },
        LogitLoss::DistInter { temperature: 0.7 },
        LogitLoss::Interpolated { time: 0.4 },
    ]
}

fn rows(student: Tensor<2>, teacher: &[f64]) -> LogitRows {
    LogitRows {
        targets: Some(Tensor::from_ints([0, 6, 3], &student.device())),
        teacher: Some(tensor_f64(teacher, SHAPE)),
        student,
    }
}

fn check(loss: LogitLoss, student: &[f64], teacher: &[f64]) {
    let sum = |student: Tensor<2>| loss.per_row(rows(student, teacher)).sum();
    let (value, closed) = loss.value_and_gradient(rows(tensor_f64(student, SHAPE), teacher));
    let (expected, by_autodiff) = autodiff_gradient(sum, student, SHAPE, FloatDType::F64);
    assert_close(&values(&value.sum()), &[expected], Tolerance::F64);
    // The logit of a token that the student forbids cannot move, whatever is pulling at it.
    let mut movable = values(&closed);
    for (gradient, logit) in movable.iter_mut().zip(student) {
        assert!(gradient.is_finite());
        if logit.is_infinite() {
            *gradient = 0.0;
        }
    }
    assert_close(&movable, &by_autodiff, Tolerance::F64);
    // The student's part of an interpolated target is a constant for the gradient only.
    if !matches!(loss, LogitLoss::Interpolated { .. }) && student.iter().all(|z| z.is_finite()) {
        let tolerance = Tolerance {
            absolute: 1e-6,
            relative: 1e-6,
        };
        assert_close(
            &values(&closed),
            &finite_differences(sum, student, SHAPE),
            tolerance,
        );
    }
}

#[test]
fn closed_form_and_autodiff_and_finite_differences_agree() {
    for loss in all() {
        check(loss, &normals(21, 2.0, 1), &normals(21, 2.0, 2));
    }
}

#[test]
fn a_forbidden_token_is_never_nan() {
    let (mut student, mut teacher) = (normals(21, 2.0, 3), normals(21, 2.0, 4));
    for row in 0..3 {
        teacher[row * 7 + 2] = f64::NEG_INFINITY;
    }
    student[4] = f64::NEG_INFINITY;
    for loss in all() {
        check(loss, &student, &teacher);
    }
}

#[test]
fn equal_logits_cost_nothing() {
    let logits = normals(21, 3.0, 5);
    for loss in all() {
        let (value, gradient) = loss.value_and_gradient(rows(tensor_f64(&logits, SHAPE), &logits));
        assert_close(&values(&gradient), &[0.0; 21], Tolerance::absolute(1e-12));
        if !matches!(loss, LogitLoss::Interpolated { .. }) {
            assert_close(&values(&value), &[0.0; 3], Tolerance::absolute(1e-12));
        }
    }
}

#[test]
fn decoupled_distillation_holds_forward_kl() {
    let (student, teacher) = (normals(7, 2.0, 6), normals(7, 2.0, 7));
    let one_row = |alpha, beta| {
        let rows = LogitRows {
            student: tensor_f64(&student, [1, 7]),
            teacher: Some(tensor_f64(&teacher, [1, 7])),
            targets: Some(Tensor::from_ints([3], &Device::default())),
        };
        let temperature = 1.0;
        Decoupled {
            alpha,
            beta,
            temperature,
        }
        .per_row(rows)
        .into_scalar::<f64>()
    };
    let total: f64 = teacher.iter().map(|z| z.exp()).sum();
    let expected = Divergence::ForwardKl.per_row(
        tensor_f64(&student, [1, 7]),
        tensor_f64(&teacher, [1, 7]),
        1.0,
    );
    let label = teacher[3].exp() / total;
    assert_close(
        &[one_row(1.0, 1.0 - label)],
        &[expected.into_scalar::<f64>()],
        Tolerance::F64,
    );
}

#[test]
fn values_agree_with_an_independent_reference() {
    // Computed in f64 without tensors from the formulas of the papers, mean of the two rows.
    let teacher = [2.0, 1.0, 0.0, -1.0, 0.5, 0.0, 3.0, -2.0, 1.0, 0.0];
    let student = [1.0, 1.5, -0.5, 0.0, 0.2, 0.5, 1.0, -1.0, 2.0, -0.3];
    let rows = || LogitRows {
        student: tensor_f64(&student, [2, 5]),
        teacher: Some(tensor_f64(&teacher, [2, 5])),
        targets: Some(Tensor::from_ints([0, 1], &Device::default())),
    };
    for (loss, expected) in [
        (
            LogitLoss::Decoupled {
                alpha: 1.0,
                beta: 8.0,
                temperature: 4.0,
            },
            1.628078303,
        ),
        (LogitLoss::DistInter { temperature: 1.0 }, 0.683491339),
        (LogitLoss::Interpolated { time: 0.4 }, 1.379351177),
        (LogitLoss::Interpolated { time: 0.8 }, 1.462669762),
    ] {
        let mean = loss.per_row(rows()).mean().into_scalar::<f64>();
        // The reference adds 10⁻⁸ to the norms of the correlation.
        assert_close(&[mean], &[expected], Tolerance::absolute(1e-7));
    }
    let intra = dist_intra(
        tensor_f64(&student, [2, 5]),
        tensor_f64(&teacher, [2, 5]),
        1.0,
    );
    assert_close(
        &[intra.into_scalar::<f64>()],
        &[0.400002630],
        Tolerance::absolute(1e-5),
    );
}

#[test]
fn the_objective_is_the_weighted_sum_of_its_rows() {
    use potstill_core::{LmHead, Prediction, StudentView, Tapped, TeacherSignal};
    use potstill_core::{TokenBatch, TokenRow};
    let device = Device::default();
    let row = TokenRow::document(&[1, 2, 3, 0], &[1.0, 1.0, 0.5, 2.0]);
    let batch = TokenBatch::from_rows(&[row], 0, &device);
    let hidden = tensor_f64(&normals(12, 1.0, 8), [3, 4]);
    let head = LmHead::new(Tensor::<2>::eye(4, &device).cast(FloatDType::F64));
    let teacher = tensor_f64(&normals(12, 1.0, 9), [3, 4]);
    let view = StudentView {
        hidden: hidden.clone(),
        head,
        tapped: Tapped::default(),
    };
    let signal = TeacherSignal {
        prediction: Prediction::Dense(teacher.clone()),
        tapped: Tapped::default(),
    };
    let loss = LogitLoss::DistInter { temperature: 1.0 };
    let objective = LogitMatchConfig::new(loss).with_weight(3.0).init().unwrap();
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: &signal,
        batch: &batch,
    };
    objective.terms(input, &mut terms);
    let per_row = loss.per_row(LogitRows {
        student: hidden,
        teacher: Some(teacher),
        targets: None,
    });
    let expected: f64 = values(&per_row)
        .iter()
        .zip([1.0, 0.5, 2.0])
        .map(|(l, w)| l * w)
        .sum();
    assert_eq!(
        (terms[0].name.as_ref(), terms[0].weight),
        ("dist_inter", 3.0)
    );
    assert_close(&values(&terms[0].sum), &[expected], Tolerance::F64);
}

#[test]
fn nonsense_is_refused_by_name() {
    let refused = |loss| LogitMatchConfig::new(loss).init().unwrap_err().to_string();
    let error = refused(LogitLoss::DistInter { temperature: 0.0 });
    assert_eq!(
        error,
        "temperature is 0, it must be a finite number above 0"
    );
    let error = refused(LogitLoss::Interpolated { time: 1.5 });
    assert_eq!(error, "time is 1.5, it must be between 0 and 1");
}
