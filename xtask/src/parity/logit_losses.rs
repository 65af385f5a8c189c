//! Losses on the logits of student and teacher: rows, mean and gradient, in f64 and f32.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::prelude::*;
use potstill_core::{
    LmHead, Objective, ObjectiveInput, Prediction, StudentView, Tapped, TeacherSignal, TokenBatch,
};
use potstill_losses::{
    Divergence, Hinton, HintonConfig, LogitLoss, LogitMatch, LogitMatchConfig, LogitRows, RowLoss,
    SoftTarget, SoftTargetConfig,
};
use potstill_testkit::{LogitCase, autodiff_device, plain_device, read_json, values};

use super::precision::Precision;
use super::report::{Measure, Report};

pub(super) fn check(folder: &Path, report: &mut Report) -> Result<()> {
    let path = folder.join("logit_losses.json");
    if path.is_file() {
        for case in read_json::<Vec<LogitCase>>(&path)? {
            match Loss::of(&case) {
                Some(loss) => report.case(name(&case), || loss?.measure(&case)),
                None => report.not_yet(name(&case)),
            }
        }
    }
    Ok(())
}

fn name(case: &LogitCase) -> String {
    let params = &case.params;
    let settings = [
        ("T", params.temperature),
        ("α", params.alpha),
        ("β", params.beta),
    ];
    let settings = settings
        .into_iter()
        .filter_map(|(name, value)| Some(format!(" {name}={}", value?)));
    let note = params
        .note
        .as_deref()
        .map_or(String::new(), |note| format!(", {note}"));
    format!("losses/{}{}{note}", case.loss, settings.collect::<String>())
}

/// The loss of a case, through the objective that offers it.
#[derive(Debug)]
enum Loss {
    SoftTarget(SoftTarget),
    Hinton(Hinton),
    LogitMatch(LogitLoss, LogitMatch),
}

impl Loss {
    /// `None` when there is no such loss here.
    fn of(case: &LogitCase) -> Option<Result<Self>> {
        let params = &case.params;
        let temperature = params.temperature.unwrap_or(1.0);
        let alpha = || params.alpha.context("the case lacks alpha");
        let beta = || params.beta.context("the case lacks beta");
        let soft = |divergence: Divergence| -> Result<Self> {
            let config = SoftTargetConfig::new(divergence).with_temperature(temperature);
            Ok(Self::SoftTarget(config.init()?))
        };
        let matched = |loss: LogitLoss| -> Result<Self> {
            Ok(Self::LogitMatch(loss, LogitMatchConfig::new(loss).init()?))
        };
        // A closure, so that a missing parameter is the result of the case.
        let loss = || -> Result<Option<Self>> {
            Ok(Some(match case.loss.as_str() {
                "forward_kl" => soft(Divergence::ForwardKl)?,
                "reverse_kl" => soft(Divergence::ReverseKl)?,
                "generalized_jsd" => soft(Divergence::generalized_jsd(beta()?)?)?,
                "skew_forward_kl" => soft(Divergence::skew_forward_kl(alpha()?)?)?,
                "skew_reverse_kl" => soft(Divergence::skew_reverse_kl(alpha()?)?)?,
                "total_variation" => soft(Divergence::TotalVariation)?,
                "alpha_beta" => soft(Divergence::alpha_beta(alpha()?, beta()?)?)?,
                "hinton" => {
                    let config = HintonConfig::new().with_temperature(temperature);
                    Self::Hinton(config.with_alpha(alpha()?).init()?)
                }
                "logit_mse" => matched(LogitLoss::Mse)?,
                "decoupled" => {
                    let (alpha, beta) = (alpha()?, beta()?);
                    matched(LogitLoss::Decoupled {
                        alpha,
                        beta,
                        temperature,
                    })?
                }
                "dist_inter" => matched(LogitLoss::DistInter { temperature })?,
                "standardized_forward_kl" => {
                    ensure!(params.epsilon == Some(1e-7), "the objective takes ε = 1e-7");
                    let divergence = Divergence::ForwardKl;
                    matched(LogitLoss::Standardized {
                        divergence,
                        temperature,
                    })?
                }
                _ => return Ok(None),
            }))
        };
        loss().transpose()
    }

    fn measure(&self, case: &LogitCase) -> Result<Vec<Measure>> {
        match self {
            Self::SoftTarget(objective) => measure(case, objective, objective),
            Self::Hinton(objective) => measure(case, objective, objective),
            Self::LogitMatch(loss, objective) => measure(case, loss, objective),
        }
    }
}

fn measure(
    case: &LogitCase,
    loss: &impl RowLoss,
    objective: &impl Objective,
) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for precision in Precision::ALL {
        measures.push(rows(case, loss, precision)?);
        measures.extend(mean_and_gradient(case, objective, precision)?);
    }
    Ok(measures)
}

fn targets(case: &LogitCase) -> Vec<u32> {
    case.params
        .targets
        .clone()
        .unwrap_or_else(|| vec![0; case.rows.len()])
}

/// The loss of every row, masked or not.
fn rows(case: &LogitCase, loss: &impl RowLoss, precision: Precision) -> Result<Measure> {
    let (device, dtype) = (plain_device(), precision.dtype());
    let targets: Vec<i64> = targets(case).into_iter().map(i64::from).collect();
    let rows = LogitRows {
        student: case.student_logits.tensor(dtype, &device),
        teacher: Some(case.teacher_logits.tensor(dtype, &device)),
        targets: Some(Tensor::from_ints(targets.as_slice(), &device)),
    };
    Ok(precision.measure("rows", &values(&loss.per_row(rows)), &case.rows))
}

/// Mean and gradient as training computes them: the logits are the hidden states of a head that
/// changes nothing, and only the rows that count reach it.
fn mean_and_gradient(
    case: &LogitCase,
    objective: &impl Objective,
    precision: Precision,
) -> Result<[Measure; 2]> {
    let (device, dtype) = (plain_device(), precision.dtype());
    let [rows, vocab] = case.student_logits.shape[..] else {
        anyhow::bail!(
            "logits of shape {:?} are not [rows, vocab]",
            case.student_logits.shape
        );
    };
    ensure!(
        case.mask.values.len() == rows,
        "{} mask entries for {rows} rows",
        case.mask.values.len()
    );
    let weights: Vec<f32> = case.mask.values.iter().map(|&mask| mask as f32).collect();
    let ones = vec![1; rows];
    let batch = TokenBatch::new([1, rows], &ones, &ones, &targets(case), &weights, &device);

    let student = case
        .student_logits
        .tensor::<2>(dtype, &autodiff_device())
        .require_grad();
    let view = StudentView {
        hidden: batch.rows.select(student.clone().unsqueeze()),
        head: LmHead::new(Tensor::<2>::eye(vocab, &device).cast(dtype)),
        tapped: Tapped::default(),
    };
    let teacher = case.teacher_logits.tensor::<2>(dtype, &device);
    let signal = TeacherSignal {
        prediction: Prediction::Dense(batch.rows.select(teacher.unsqueeze())),
        tapped: Tapped::default(),
    };
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: &signal,
        batch: &batch,
    };
    objective.terms(input, &mut terms);
    let mean = (terms.into_iter())
        .map(|term| term.sum * (term.weight / batch.rows.total_weight()))
        .reduce(|total, term| total + term)
        .context("the objective has no term")?;
    let gradients = mean.backward();
    let gradient = student
        .grad(&gradients)
        .context("no gradient reaches the student")?;
    Ok([
        precision.measure("mean", &values(&mean), &[case.mean]),
        precision.measure("gradient", &values(&gradient), &case.grad_student.values),
    ])
}
