//! Losses on hidden states and attention maps: value and gradient, in f64 and f32.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::module::{Module, ModuleMapper, Param};
use burn::prelude::*;
use potstill_core::{
    LmHead, Objective, ObjectiveInput, Prediction, StudentView, Tapped, TeacherSignal, TokenBatch,
};
use potstill_losses::{
    HiddenDistance, HiddenMatch, HiddenMatchConfig, attention_mse, attention_transfer, linear_cka,
    rkd_angle, rkd_distance, self_relation_kl, similarity_preserving,
};
use potstill_testkit::{FeatureCase, autodiff_device, plain_device, read_json, values};

use super::precision::Precision;
use super::report::{Measure, Report};

pub(super) fn check(folder: &Path, report: &mut Report) -> Result<()> {
    let path = folder.join("feature_losses.json");
    if path.is_file() {
        for case in read_json::<Vec<FeatureCase>>(&path)? {
            let name = format!("losses/{}", case.loss);
            let distance = match case.loss.as_str() {
                "hidden_mse" | "hint_regressor_mse" => Some(HiddenDistance::Mse),
                "hidden_cosine" => Some(HiddenDistance::Cosine),
                "hidden_normalized_mse" => Some(HiddenDistance::NormalizedMse),
                _ => None,
            };
            if let Some(distance) = distance {
                report.case(name, || {
                    measure(&case, |precision| hidden_match(&case, distance, precision))
                });
                continue;
            }
            match whole(&case) {
                Some(run) => report.case(name, || measure(&case, run)),
                None => report.not_yet(name),
            }
        }
    }
    Ok(())
}

type Evaluated = Result<(f64, Vec<f64>)>;

fn measure(case: &FeatureCase, evaluate: impl Fn(Precision) -> Evaluated) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for precision in Precision::ALL {
        let (value, gradient) = evaluate(precision)?;
        measures.push(precision.measure("value", &[value], &[case.value]));
        measures.push(precision.measure("gradient", &gradient, &case.grad_student.values));
    }
    Ok(measures)
}

/// A loss on a tensor as a whole; `None` when there is no such loss here.
fn whole(case: &FeatureCase) -> Option<Box<dyn Fn(Precision) -> Evaluated + '_>> {
    fn by<const D: usize>(
        case: &FeatureCase,
        loss: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<1> + 'static,
    ) -> Option<Box<dyn Fn(Precision) -> Evaluated + '_>> {
        Some(Box::new(move |precision| {
            let dtype = precision.dtype();
            let student = case
                .student
                .tensor::<D>(dtype, &autodiff_device())
                .require_grad();
            let teacher = case.teacher.tensor::<D>(dtype, &plain_device());
            derivative(&student, loss(student.clone(), teacher))
        }))
    }
    match case.loss.as_str() {
        "attention_mse" => by(case, attention_mse),
        "attention_transfer" => by(case, attention_transfer),
        "minilm_relation" => {
            let heads = case.params.relation_heads.unwrap_or(1);
            by(case, move |student, teacher| {
                self_relation_kl(student, teacher, heads)
            })
        }
        "rkd_angle" => by(case, rkd_angle),
        "rkd_distance" => by(case, rkd_distance),
        "similarity_preserving" => by(case, similarity_preserving),
        "linear_cka" => by(case, linear_cka),
        _ => None,
    }
}

fn derivative<const D: usize>(student: &Tensor<D>, value: Tensor<1>) -> Evaluated {
    let gradients = value.backward();
    let gradient = student
        .grad(&gradients)
        .context("no gradient reaches the student")?;
    Ok((value.into_scalar::<f64>(), values(&gradient)))
}

/// A distance between hidden states, as the objective computes it on the rows that count.
fn hidden_match(case: &FeatureCase, distance: HiddenDistance, precision: Precision) -> Evaluated {
    let (device, dtype) = (plain_device(), precision.dtype());
    let [rows, seq, _] = case.student.shape[..] else {
        bail!(
            "hidden states of shape {:?} are not [batch, seq, d]",
            case.student.shape
        );
    };
    let weights: Vec<f32> = match &case.mask {
        Some(mask) => mask.values.iter().map(|&mask| mask as f32).collect(),
        None => vec![1.0; rows * seq],
    };
    let ones = vec![1; rows * seq];
    let batch = TokenBatch::new([rows, seq], &ones, &ones, &ones, &weights, &device);

    let student = case
        .student
        .tensor::<3>(dtype, &autodiff_device())
        .require_grad();
    let teacher = case.teacher.tensor::<3>(dtype, &device);
    let ([.., d_student], [.., d_teacher]) = (student.dims(), teacher.dims());
    let tapped = |state: Tensor<3>| Tapped {
        hidden: vec![(1, state)],
        ..Tapped::default()
    };
    let view = StudentView {
        hidden: batch.rows.select(student.clone()),
        head: LmHead::new(Tensor::zeros([1, d_student], &device)),
        tapped: tapped(student.clone()),
    };
    let signal = TeacherSignal {
        prediction: Prediction::None,
        tapped: tapped(teacher),
    };

    let config = HiddenMatchConfig::new(vec![(1, 1)], d_student, d_teacher).with_distance(distance);
    let objective: HiddenMatch = config
        .with_project(case.regressor.is_some())
        .init(&device)?;
    let objective = match &case.regressor {
        Some(regressor) => objective.map(&mut Projection(regressor.tensor(dtype, &device))),
        None => objective,
    };
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: &signal,
        batch: &batch,
    };
    objective.terms(input, &mut terms);
    let term = terms.pop().context("the objective has no term")?;
    derivative(
        &student,
        term.sum * (term.weight / batch.rows.total_weight()),
    )
}

/// Replaces every matrix of a module.
#[derive(Debug)]
struct Projection(Tensor<2>);

impl ModuleMapper for Projection {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let replacement = self.0.clone().reshape::<D, _>(parameter.dims());
        parameter.map(|_| replacement)
    }
}
