//! Averages against their formulas, and what cannot be averaged.

use potstill_core::{CausalLm, TokenRow, TokenizerIdentity};
use potstill_testkit::{TinyLm, Tolerance, assert_close, plain_device};

use super::super::testing::{Fixed, dense};
use super::*;
use crate::{ModelTeacher, NoTeacher};

const NEAR: Tolerance = Tolerance {
    absolute: 1e-6,
    relative: 1e-5,
};

fn batch(tokens: &[u32]) -> TokenBatch {
    let row = TokenRow::document(tokens, &vec![1.0; tokens.len()]);
    TokenBatch::from_rows(&[row], 0, &plain_device())
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let exps: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
    let total: f64 = exps.iter().sum();
    exps.iter().map(|exp| exp / total).collect()
}

/// The averaged distribution of the only row of `[1, target]`.
fn average(
    teachers: &[&[f32]],
    space: AverageSpace,
    weights: TeacherWeights,
    target: u32,
) -> Vec<f64> {
    let teachers = teachers.iter().map(|logits| Fixed::boxed(logits)).collect();
    let mut ensemble = WeightedTeachers::new(teachers, space, weights).unwrap();
    let signal = ensemble
        .signal(&batch(&[1, target]), &Taps::default())
        .unwrap();
    softmax(&dense(&signal))
}

fn probabilities(probs: &[f32]) -> Vec<f32> {
    probs.iter().map(|prob| prob.ln()).collect()
}

#[test]
fn probabilities_are_averaged_by_weight() {
    let (a, b) = (
        probabilities(&[0.5, 0.3, 0.2]),
        probabilities(&[0.1, 0.1, 0.8]),
    );
    let weights = TeacherWeights::Fixed {
        weights: vec![3.0, 1.0],
    };
    let found = average(&[&a, &b], AverageSpace::Probability, weights, 0);
    assert_close(&found, &[0.4, 0.25, 0.35], NEAR);
}

#[test]
fn logits_are_averaged_to_a_geometric_mean() {
    let (a, b) = (
        probabilities(&[0.5, 0.3, 0.2]),
        probabilities(&[0.1, 0.1, 0.8]),
    );
    let found = average(&[&a, &b], AverageSpace::Logit, TeacherWeights::equal(2), 0);
    let means = [0.05f64, 0.03, 0.16].map(f64::sqrt);
    let total: f64 = means.iter().sum();
    assert_close(&found, &means.map(|mean| mean / total), NEAR);
}

#[test]
fn who_is_certain_is_heard() {
    let (a, b) = (
        probabilities(&[0.98, 0.01, 0.01]),
        probabilities(&[0.3, 0.3, 0.4]),
    );
    let entropy = |probs: &[f64]| -probs.iter().map(|p| p * p.ln()).sum::<f64>();
    let (h_a, h_b) = (entropy(&[0.98, 0.01, 0.01]), entropy(&[0.3, 0.3, 0.4]));
    let share = h_b / (h_a + h_b);
    let found = average(
        &[&a, &b],
        AverageSpace::Probability,
        TeacherWeights::Confidence,
        0,
    );
    let expected = share * 0.98 + (1.0 - share) * 0.3;
    assert_close(&found[..1], &[expected], NEAR);
}

#[test]
fn who_foresaw_the_target_is_heard() {
    let (a, b) = (
        probabilities(&[0.6, 0.3, 0.1]),
        probabilities(&[0.2, 0.2, 0.6]),
    );
    let found = average(
        &[&a, &b],
        AverageSpace::Probability,
        TeacherWeights::Target,
        0,
    );
    assert_close(&found[..1], &[0.75 * 0.6 + 0.25 * 0.2], NEAR);
}

#[test]
fn validation_losses_become_weights() {
    let weights = TeacherWeights::by_validation_loss(&[1.0, 1.0 + 3.0f64.ln()]);
    let TeacherWeights::Fixed { weights } = weights else {
        panic!("they are fixed")
    };
    assert_close(&weights, &[1.0, 1.0 / 3.0], NEAR);
}

#[test]
fn a_forbidden_token_never_gives_a_number_that_is_none() {
    let (a, b) = (
        [0.0, f32::NEG_INFINITY, 0.0],
        [f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0],
    );
    for weights in [
        TeacherWeights::equal(2),
        TeacherWeights::Fixed {
            weights: vec![0.0, 1.0],
        },
        TeacherWeights::Confidence,
        TeacherWeights::Target,
    ] {
        for space in [AverageSpace::Probability, AverageSpace::Logit] {
            let found = average(&[&a, &b], space, weights.clone(), 1);
            assert!(found.iter().all(|value| value.is_finite()), "{found:?}");
            assert!(found[1] < 1e-30, "{found:?}");
        }
    }
    let found = average(&[&a, &b], AverageSpace::Logit, TeacherWeights::equal(2), 0);
    assert_close(&found, &[0.0, 0.0, 1.0], NEAR);
}

#[test]
fn one_teacher_by_itself_is_its_own_average() {
    let model = TinyLm::new(11, 8, 2, 1, &plain_device());
    let batch = batch(&[1, 2, 3, 4]);
    let expected: Vec<f64> = potstill_testkit::values(&model.row_logits(&batch))
        .chunks(11)
        .flat_map(softmax)
        .collect();
    for space in [AverageSpace::Probability, AverageSpace::Logit] {
        for weights in [
            TeacherWeights::equal(1),
            TeacherWeights::Confidence,
            TeacherWeights::Target,
        ] {
            let teachers: Vec<BoxedTeacher> = vec![Box::new(ModelTeacher::new(&model))];
            let mut alone = WeightedTeachers::new(teachers, space, weights).unwrap();
            let found = dense(&alone.signal(&batch, &Taps::default()).unwrap());
            let found: Vec<f64> = found.chunks(11).flat_map(softmax).collect();
            assert_close(&found, &expected, NEAR);
        }
    }
}

fn error(teachers: Vec<BoxedTeacher>, weights: TeacherWeights) -> String {
    let ensemble = WeightedTeachers::new(teachers, AverageSpace::Probability, weights);
    ensemble.unwrap_err().to_string()
}

#[test]
fn vocabularies_that_differ_are_named() {
    let message = error(
        vec![
            Fixed::boxed(&[0.0; 3]),
            Fixed::boxed(&[0.0; 3]),
            Fixed::boxed(&[0.0; 4]),
        ],
        TeacherWeights::equal(3),
    );
    let expected = "teacher 1 has a head of 3 tokens with an unknown tokenizer, teacher 3 has a head of 4 tokens";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("cross-tokenizer objective"));

    let named = |fingerprint: &str| -> BoxedTeacher {
        let mut vocabulary = Vocabulary::of_size(4);
        vocabulary.tokenizer = Some(TokenizerIdentity {
            size: 4,
            fingerprint: fingerprint.into(),
        });
        Box::new(NoTeacher::new(vocabulary))
    };
    let message = error(vec![named("aa"), named("bb")], TeacherWeights::equal(2));
    assert!(
        message.contains("the tokenizer aa of 4 tokens, teacher 2 has"),
        "{message}"
    );
}

#[test]
fn weights_that_are_none_are_refused() {
    let two = || vec![Fixed::boxed(&[0.0; 3]), Fixed::boxed(&[0.0; 3])];
    for bad in [
        vec![],
        vec![1.0],
        vec![0.0, 0.0],
        vec![1.0, -1.0],
        vec![1.0, f64::NAN],
    ] {
        let message = error(two(), TeacherWeights::Fixed { weights: bad });
        assert!(
            message.contains("are no weights for 2 teachers"),
            "{message}"
        );
    }
    let message = error(Vec::new(), TeacherWeights::Confidence);
    assert_eq!(message, "an ensemble needs at least one teacher");
}

#[test]
fn what_cannot_be_averaged_names_its_teacher() {
    let teachers: Vec<BoxedTeacher> = vec![
        Fixed::boxed(&[0.0; 3]),
        Box::new(NoTeacher::new(Vocabulary::of_size(3))),
    ];
    let weights = TeacherWeights::Confidence;
    let mut ensemble = WeightedTeachers::new(teachers, AverageSpace::Logit, weights).unwrap();
    let mut message = |taps| match ensemble.signal(&batch(&[1, 2]), &taps).unwrap_err() {
        TeacherError::Source(error) => error.to_string(),
        other => other.to_string(),
    };
    assert!(message(Taps::default()).starts_with("the prediction of teacher 2 is none"));
    assert!(message(Taps::hidden([1])).starts_with("several teachers have no common hidden state"));
}
