//! One step: normalisation, clipping, and what must not change the student.

use super::*;
use crate::AdamWConfig;
use crate::testing::{CrossEntropy, ForwardKl, Hint, VOCAB, batch, parameters, row};
use burn::module::{ModuleMapper, Param};
use potstill_core::TokenRow;
use potstill_teachers::ModelTeacher;
use potstill_testkit::{TinyLm, autodiff_device, plain_device};

fn teacher() -> ModelTeacher<TinyLm> {
    ModelTeacher::new(&TinyLm::new(VOCAB, 8, 2, 3, &plain_device()))
}

fn student() -> TinyLm {
    TinyLm::new(VOCAB, 6, 1, 5, &autodiff_device())
}

fn settings(step: usize) -> StepSettings {
    StepSettings {
        step,
        learning_rate: 0.01,
        max_grad_norm: Some(1.0),
        shared_vocabulary: VOCAB,
    }
}

/// Takes a step on each group of batches; reports and the final parameters.
fn train<O: Objective>(
    objective: O,
    steps: &[Vec<TokenBatch>],
) -> (Vec<StepReport>, Vec<(String, Vec<f32>)>) {
    let mut model = Distiller {
        student: student(),
        objective,
    };
    let mut optimizer = AdamWConfig::default().init(&model);
    let mut teacher = teacher();
    let mut reports = Vec::new();
    for (i, batches) in steps.iter().enumerate() {
        let (updated, report) = step(
            model,
            &mut teacher,
            &mut optimizer,
            batches,
            &settings(i + 1),
        );
        model = updated;
        reports.push(report.unwrap());
    }
    (reports, parameters(&model))
}

#[test]
fn four_micro_batches_equal_one_batch_even_with_unequal_row_counts() {
    let rows: Vec<TokenRow> = [(1, 4), (2, 17), (3, 6), (4, 11)]
        .map(|(s, n)| row(s, n))
        .into();
    let counts: Vec<usize> = rows
        .iter()
        .map(|r| batch(std::slice::from_ref(r)).rows.count())
        .collect();
    assert!(
        counts.iter().any(|&count| count != counts[0]),
        "the test needs unequal counts"
    );
    let split: Vec<TokenBatch> = rows
        .iter()
        .map(|r| batch(std::slice::from_ref(r)))
        .collect();

    let (whole_reports, whole) = train(ForwardKl::new(), &vec![vec![batch(&rows)]; 3]);
    let (split_reports, split) = train(ForwardKl::new(), &vec![split; 3]);
    for (whole, split) in whole_reports.iter().zip(&split_reports) {
        assert_eq!(whole.rows, split.rows);
        assert!(
            (whole.loss - split.loss).abs() < 1e-6 * whole.loss,
            "{whole:?} {split:?}"
        );
        assert!((whole.grad_norm - split.grad_norm).abs() < 1e-5 * whole.grad_norm);
    }
    for ((path, whole), (_, split)) in whole.iter().zip(&split) {
        // Adam divides by the root of the squared gradient, which magnifies the rounding of small ones.
        for (whole, split) in whole.iter().zip(split) {
            assert!((whole - split).abs() < 1e-4, "{path}: {whole} {split}");
        }
    }
}

#[test]
fn the_loss_is_the_weighted_mean_over_rows() {
    let document = TokenRow::document(&[1, 2, 3, 4], &[0.0, 1.0, 0.0, 3.0]);
    let (reports, _) = train(CrossEntropy::weighted(2.0), &[vec![batch(&[document])]]);
    let report = &reports[0];
    assert_eq!((report.rows, report.row_weight, report.tokens), (2, 4.0, 3));

    let losses = [(0, 2), (2, 4)].map(|(position, target)| {
        let whole = TokenRow::document(&[1, 2, 3, 4], &[1.0; 4]);
        let logits = student().valid().row_logits(&batch(&[whole]));
        let log_q = burn::tensor::activation::log_softmax(logits, 1).into_data();
        -f64::from(log_q.as_slice::<f32>().unwrap()[position * VOCAB + target])
    });
    let mean = (losses[0] + 3.0 * losses[1]) / 4.0;
    assert!(
        (report.terms[0].mean - mean).abs() < 1e-5,
        "{report:?} {mean}"
    );
    assert!((report.loss - 2.0 * mean).abs() < 1e-5);
}

#[test]
fn terms_of_a_tuple_add_up_and_the_parameters_of_the_objective_learn() {
    let objective = (ForwardKl::weighted(0.7), Hint::new(6, 8, 1).train());
    let before = parameters(&objective);
    let (reports, after) = train(objective, &vec![vec![batch(&[row(1, 9)])]; 30]);
    let names: Vec<&str> = reports[0]
        .terms
        .iter()
        .map(|term| term.name.as_str())
        .collect();
    assert_eq!(names, ["forward_kl", "hint"]);
    let total = 0.7 * reports[0].terms[0].mean + 0.5 * reports[0].terms[1].mean;
    assert!((reports[0].loss - total).abs() < 1e-12);
    assert!(reports[29].terms[1].mean < reports[0].terms[1].mean);
    let projection = after
        .iter()
        .find(|(path, _)| path.ends_with("projection"))
        .unwrap();
    assert_ne!(projection.1, before[0].1);
}

#[test]
fn a_step_learns_and_leaves_the_teacher_alone() {
    let model = Distiller {
        student: student(),
        objective: ForwardKl::new(),
    };
    let mut optimizer = AdamWConfig::default().init(&model);
    let mut teacher = teacher();
    let weights = parameters(teacher.model());
    let batches = [batch(&[row(1, 12), row(2, 9)])];
    let (mut model, mut losses) = (model, Vec::new());
    for i in 1..=150 {
        let (updated, report) = step(model, &mut teacher, &mut optimizer, &batches, &settings(i));
        model = updated;
        losses.push(report.unwrap().loss);
    }
    assert!(
        losses[149] < losses[0] / 10.0,
        "{} {}",
        losses[0],
        losses[149]
    );
    assert_eq!(parameters(teacher.model()), weights);
}

#[test]
fn clipping_bounds_the_norm_of_all_gradients_together() {
    let model = Distiller {
        student: student(),
        objective: ForwardKl::weighted(100.0),
    };
    let batches = [batch(&[row(1, 12)])];
    let gradients = |max_grad_norm| {
        let settings = StepSettings {
            max_grad_norm,
            ..settings(1)
        };
        let (gradients, report) =
            clipped_gradients(&[], &model, &mut teacher(), &batches, &settings).unwrap();
        let norm = gradients::squared_norm(&model, &gradients)
            .unwrap()
            .into_scalar::<f64>()
            .sqrt();
        (norm, report.grad_norm)
    };
    let (unclipped, reported) = gradients(None);
    assert!((unclipped - reported).abs() < 1e-5 * reported && reported > 1.0);
    let (clipped, reported) = gradients(Some(0.5));
    let torch = reported * (0.5 / (reported + 1e-6));
    assert!((clipped - torch).abs() < 1e-5, "{clipped} {torch}");
    let (kept, _) = gradients(Some(2.0 * unclipped));
    assert_eq!(kept, unclipped);
}

#[test]
fn a_step_without_a_row_that_counts_is_an_error() {
    let silent = batch(&[TokenRow::document(&[1, 2, 3], &[0.0; 3])]);
    let model = Distiller {
        student: student(),
        objective: ForwardKl::new(),
    };
    let mut optimizer = AdamWConfig::default().init(&model);
    let (model, report) = step(
        model,
        &mut teacher(),
        &mut optimizer,
        std::slice::from_ref(&silent),
        &settings(7),
    );
    assert!(
        matches!(
            report,
            Err(Error::NoRows {
                step: 7,
                positions: 2
            })
        ),
        "{report:?}"
    );
    let batches = [silent, batch(&[row(1, 6)])];
    let (_, report) = step(
        model,
        &mut teacher(),
        &mut optimizer,
        &batches,
        &settings(7),
    );
    assert!(report.is_ok(), "one micro-batch without a row is fine");
}

#[test]
fn a_loss_that_is_not_finite_names_step_and_term_and_changes_nothing() {
    let broken = student().map(&mut Poison);
    let model = Distiller {
        student: broken,
        objective: ForwardKl::new(),
    };
    let before = parameters(&model);
    let mut optimizer = AdamWConfig::default().init(&model);
    let batches = [batch(&[row(1, 6)])];
    let (model, report) = step(
        model,
        &mut teacher(),
        &mut optimizer,
        &batches,
        &settings(4),
    );
    let message = report.unwrap_err().to_string();
    assert!(
        message.contains("forward_kl") && message.contains("step 4"),
        "{message}"
    );
    let bits = |values: &[(String, Vec<f32>)]| -> Vec<u32> {
        values
            .iter()
            .flat_map(|(_, values)| values)
            .map(|value| value.to_bits())
            .collect()
    };
    assert_eq!(bits(&parameters(&model)), bits(&before));
    assert!(optimizer.to_record().is_empty());
}

struct Poison;

impl ModuleMapper for Poison {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D == 1 {
            parameter.map(|value| value.mul_scalar(f32::NAN))
        } else {
            parameter
        }
    }
}

#[test]
fn a_frozen_student_has_no_gradient() {
    let model = Distiller {
        student: student().freeze(),
        objective: ForwardKl::new(),
    };
    let mut optimizer = AdamWConfig::default().init(&model);
    let batches = [batch(&[row(1, 6)])];
    let (_, report) = step(
        model,
        &mut teacher(),
        &mut optimizer,
        &batches,
        &settings(1),
    );
    assert!(
        matches!(report, Err(Error::NoGradient { step: 1 })),
        "{report:?}"
    );
}

#[test]
fn a_sequence_beyond_the_context_names_both_lengths() {
    let student = student().with_max_positions(4);
    let model = Distiller {
        student,
        objective: ForwardKl::new(),
    };
    let mut optimizer = AdamWConfig::default().init(&model);
    let batches = [batch(&[row(1, 9)])];
    let (_, report) = step(
        model,
        &mut teacher(),
        &mut optimizer,
        &batches,
        &settings(2),
    );
    assert_eq!(
        report.unwrap_err().to_string(),
        "step 2 holds a sequence of 8 tokens, but the student has 4 positions"
    );
}

#[test]
fn a_token_that_the_student_lacks_is_an_error() {
    let model = Distiller {
        student: student(),
        objective: ForwardKl::new(),
    };
    let mut optimizer = AdamWConfig::default().init(&model);
    let document = TokenRow::document(&[1, VOCAB as u32, 2], &[1.0; 3]);
    let batches = [batch(&[document])];
    let (_, report) = step(
        model,
        &mut teacher(),
        &mut optimizer,
        &batches,
        &settings(2),
    );
    assert_eq!(
        report.unwrap_err().to_string(),
        "the data holds token 13, but the student has only the tokens below 13; was it made with \
         another tokenizer?"
    );
}
