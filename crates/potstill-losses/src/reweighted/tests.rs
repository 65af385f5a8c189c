//! Weights from a teacher that is sure of one row and not of the other.

use potstill_core::{LmHead, StudentView, Tapped, TeacherSignal, TokenRow};
use potstill_testkit::{Tolerance, assert_close, plain_device, values};

use super::*;
use crate::{Divergence, SoftTarget};

fn sure_and_unsure() -> Tensor<2> {
    let half = 0.5f32.ln();
    let logits = [[0.0, -200.0, -200.0, -200.0], [half, half, -200.0, -200.0]];
    Tensor::from_floats(logits, &plain_device())
}

#[test]
fn importance_is_a_share_of_certainty() {
    let prediction = Prediction::Dense(sure_and_unsure());
    let of = |importance: RowImportance| values(&importance.of(&prediction));
    assert_close(&of(RowImportance::Confidence), &[1.0, 0.5], Tolerance::F32);
    assert_close(&of(RowImportance::Certainty), &[1.0, 0.5], Tolerance::F32);
    assert_close(&of(RowImportance::Uncertainty), &[0.0, 0.5], Tolerance::F32);
}

#[test]
fn a_deferred_prediction_weighs_as_its_logits_do() {
    let hidden = sure_and_unsure();
    let head = LmHead::new(Tensor::eye(4, &plain_device()));
    let deferred = Prediction::Deferred { hidden, head };
    let dense = Prediction::Dense(sure_and_unsure());
    for importance in [RowImportance::Confidence, RowImportance::Uncertainty] {
        let expected = values(&importance.of(&dense));
        assert_close(
            &values(&importance.of(&deferred)),
            &expected,
            Tolerance::F32,
        );
    }
}

/// `Σ w' · forward KL` of a student that knows nothing, on rows of these weights.
fn sum(teacher: Tensor<2>, weights: &[f32], importance: RowImportance, exponent: f64) -> f64 {
    let device = plain_device();
    let tokens = vec![1; weights.len() + 1];
    let of_tokens: Vec<f32> = std::iter::once(1.0)
        .chain(weights.iter().copied())
        .collect();
    let row = TokenRow::document(&tokens, &of_tokens);
    let batch = TokenBatch::from_rows(&[row], 0, &device);
    let student = StudentView {
        hidden: Tensor::zeros([weights.len(), 4], &device),
        head: LmHead::new(Tensor::eye(4, &device)),
        tapped: Tapped::default(),
    };
    let teacher = TeacherSignal {
        prediction: Prediction::Dense(teacher),
        tapped: Tapped::default(),
    };
    let inner = SoftTarget::new(Divergence::ForwardKl);
    let objective = Reweighted::new(inner, importance, exponent).unwrap();
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &student,
        teacher: &teacher,
        batch: &batch,
    };
    objective.terms(input, &mut terms);
    values(&terms[0].sum)[0]
}

#[test]
fn rows_are_multiplied_by_their_importance() {
    let sum = |exponent| {
        let confidence = RowImportance::Confidence;
        sum(sure_and_unsure(), &[1.0, 3.0], confidence, exponent)
    };
    let (sure, unsure) = (4f64.ln(), 2f64.ln());
    assert_close(&[sum(0.0)], &[sure + 3.0 * unsure], Tolerance::F32);
    assert_close(&[sum(1.0)], &[sure + 1.5 * unsure], Tolerance::F32);
    assert_close(&[sum(2.0)], &[sure + 0.75 * unsure], Tolerance::F32);
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    let confidence = RowImportance::Confidence;
    for weights in [[1.0, 1.0], [0.5, 3.0]] {
        let whole = sum(sure_and_unsure(), &weights, confidence, 1.0);
        let parts: f64 = (0..2)
            .map(|row| {
                let teacher = sure_and_unsure().narrow(0, row, 1);
                sum(teacher, &weights[row..=row], confidence, 1.0)
            })
            .sum();
        assert_close(&[parts], &[whole], Tolerance::F32);
    }
}

#[test]
fn where_no_row_matters_the_loss_is_zero() {
    let sure = sure_and_unsure().narrow(0, 0, 1).repeat_dim(0, 8);
    assert_eq!(sum(sure, &[1.0; 8], RowImportance::Uncertainty, 1.0), 0.0);
}

#[test]
fn nonsense_is_refused_by_name() {
    let inner = SoftTarget::new(Divergence::ForwardKl);
    let error = Reweighted::new(inner, RowImportance::Confidence, -1.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "exponent is -1, it must be a finite number, 0 or more"
    );
}
