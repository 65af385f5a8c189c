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

#[test]
fn rows_are_reweighted_and_the_total_stays() {
    let device = plain_device();
    let row = TokenRow::document(&[1, 2, 3], &[1.0, 1.0, 3.0]);
    let batch = TokenBatch::from_rows(&[row], 0, &device);
    let head = LmHead::new(Tensor::eye(4, &device));
    let student = StudentView {
        hidden: Tensor::zeros([2, 4], &device),
        head,
        tapped: Tapped::default(),
    };
    let teacher = TeacherSignal {
        prediction: Prediction::Dense(sure_and_unsure()),
        tapped: Tapped::default(),
    };
    let sum = |exponent: f64| {
        let inner = SoftTarget::new(Divergence::ForwardKl);
        let objective = Reweighted::new(inner, RowImportance::Confidence, exponent).unwrap();
        let mut terms = Vec::new();
        let input = ObjectiveInput {
            student: &student,
            teacher: &teacher,
            batch: &batch,
        };
        objective.terms(input, &mut terms);
        values(&terms[0].sum)
    };
    let (sure, unsure) = (4f64.ln(), 2f64.ln());
    assert_close(&sum(0.0), &[sure + 3.0 * unsure], Tolerance::F32);
    // Weights 1 and 3 become 1 and 1.5, then 1.6 and 2.4.
    assert_close(&sum(1.0), &[1.6 * sure + 2.4 * unsure], Tolerance::F32);
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
