//! One optimizer step.
//!
//! ```text
//! W     = Σ row weights over all micro-batches            known before the first forward pass
//! loss  = Σ_micro-batches Σ_terms weight · sum / W        sum = Σ_rows row weight · loss(row)
//! g     = ∂loss/∂θ
//! g    ← g · min(1, max_grad_norm / (‖g‖₂ + 1e-6))        ‖·‖ over all parameters together
//! θ    ← optimizer(θ, g)
//! ```
//!
//! The divisor is that of the whole step. A mean of micro-batch means would give every token of a
//! short micro-batch more say than one of a long micro-batch.

use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::prelude::*;
use burn::tensor::Transaction;
use potstill_core::{CausalLm, LossTerm, Objective, Teacher, TokenBatch};
use serde::{Deserialize, Serialize};

use crate::contribution::{Contribution, StepContext, contribution, teacher_signal};
use crate::{Distiller, Error, gradients, memory, parallel};

/// What a [`step`] needs to know besides model and data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSettings {
    /// Number of the step, from 1, for messages.
    pub step: usize,
    /// Learning rate.
    pub learning_rate: f64,
    /// Bound on the norm of all gradients together; `None` leaves them as they are.
    pub max_grad_norm: Option<f64>,
    /// Tokens on which student and teacher are compared, from
    /// [`Objective::shared_vocabulary`].
    pub shared_vocabulary: usize,
}

/// What happened in a [`step`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// `Σ_terms weight · mean`, before the update.
    pub loss: f64,
    /// The terms, in the order of the objective.
    pub terms: Vec<TermReport>,
    /// Norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Rows that counted.
    pub rows: usize,
    /// Sum of their weights: the divisor.
    pub row_weight: f64,
    /// Positions that the models saw, padding included.
    pub tokens: usize,
}

/// One term of a [`StepReport`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TermReport {
    /// Its name.
    pub name: String,
    /// Its factor in the loss.
    pub weight: f64,
    /// Weighted mean over the rows, before `weight`.
    pub mean: f64,
}

/// Accumulates the gradients of `batches` and applies them once.
///
/// The model comes back either way; after an error it is what it was before. The batches must be
/// on the student's device.
///
/// # Errors
///
/// When no row counts, a segment is longer than the student's context, a token is not in its
/// vocabulary, the teacher fails, memory runs out, or a loss term or the gradient is not finite.
///
/// # Examples
///
/// ```
/// use potstill_core::{TokenBatch, TokenRow};
/// use potstill_losses::{Divergence, SoftTarget};
/// use potstill_teachers::ModelTeacher;
/// use potstill_testkit::{TinyLm, autodiff_device, plain_device};
/// use potstill_train::{AdamWConfig, Distiller, StepSettings, step};
///
/// let mut teacher = ModelTeacher::new(&TinyLm::new(11, 8, 2, 0, &plain_device()));
/// let mut model = Distiller {
///     student: TinyLm::new(11, 4, 1, 1, &autodiff_device()),
///     objective: SoftTarget::new(Divergence::ForwardKl),
/// };
/// let mut optimizer = AdamWConfig::default().init(&model);
///
/// let row = TokenRow::document(&[3, 1, 4, 1, 5], &[1.0; 5]);
/// let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
/// let mut losses = Vec::new();
/// for step_number in 1..=20 {
///     let settings = StepSettings {
///         step: step_number,
///         learning_rate: 1e-2,
///         max_grad_norm: Some(1.0),
///         shared_vocabulary: 11,
///     };
///     let (updated, report) =
///         step(model, &mut teacher, &mut optimizer, &[batch.clone()], &settings);
///     model = updated;
///     losses.push(report?.loss);
/// }
/// assert!(losses[19] < losses[0]);
/// # Ok::<(), potstill_train::Error>(())
/// ```
#[must_use = "the model comes back with the result"]
pub fn step<S: CausalLm, O: Objective>(
    model: Distiller<S, O>,
    teacher: &mut dyn Teacher,
    optimizer: &mut ModuleOptimizer,
    batches: &[TokenBatch],
    settings: &StepSettings,
) -> (Distiller<S, O>, Result<StepReport, Error>) {
    step_on(&[], model, teacher, optimizer, batches, settings)
}

/// The same [`step`] with its micro-batches on several devices at once, each in its turn.
///
/// Every device holds a copy of the model for the time of the step; the gradients are added up on
/// the student's own device. The result is that of one device but for the order of sums. A device
/// may be named twice; without any, it is [`step`]. Where a model draws random numbers while it
/// trains (dropout), devices that share a generator take from it in no fixed order.
///
/// # Errors
///
/// As [`step`].
#[must_use = "the model comes back with the result"]
pub fn step_on<S: CausalLm, O: Objective>(
    devices: &[Device],
    model: Distiller<S, O>,
    teacher: &mut dyn Teacher,
    optimizer: &mut ModuleOptimizer,
    batches: &[TokenBatch],
    settings: &StepSettings,
) -> (Distiller<S, O>, Result<StepReport, Error>) {
    let rows = batches.iter().map(|batch| batch.dims()[0]).max();
    let clipped = memory::watched(settings.step, rows.unwrap_or(0), || {
        clipped_gradients(devices, &model, teacher, batches, settings)
    });
    match clipped {
        Ok((gradients, report)) => (
            optimizer.step(settings.learning_rate, model, gradients),
            Ok(report),
        ),
        Err(error) => (model, Err(error)),
    }
}

/// What a step computes of its batches before it changes anything.
pub(crate) fn clipped_gradients<S: CausalLm, O: Objective>(
    devices: &[Device],
    model: &Distiller<S, O>,
    teacher: &mut dyn Teacher,
    batches: &[TokenBatch],
    settings: &StepSettings,
) -> Result<(GradientsParams, StepReport), Error> {
    let step = settings.step;
    let tokens = batches
        .iter()
        .map(|batch| batch.dims().iter().product::<usize>())
        .sum();
    let rows = batches.iter().map(|batch| batch.rows.count()).sum();
    let row_weight: f64 = batches.iter().map(|batch| batch.rows.total_weight()).sum();
    if row_weight == 0.0 {
        return Err(Error::NoRows {
            step,
            positions: tokens,
        });
    }

    let context = StepContext {
        step,
        shared_vocabulary: settings.shared_vocabulary,
        row_weight,
    };
    let counted: Vec<&TokenBatch> = batches
        .iter()
        .filter(|batch| batch.rows.count() > 0)
        .collect();
    let mut accumulator = GradientsAccumulator::new();
    let mut sums = TermSums::default();
    let mut add = |part: Contribution| {
        sums.add(&part.terms);
        accumulator.accumulate(model, part.gradients);
    };
    if devices.is_empty() {
        for batch in counted {
            let signal = teacher_signal(model, teacher, batch, context)?;
            add(contribution(model, signal, batch, context)?);
        }
    } else {
        parallel::spread(devices, model, teacher, &counted, context, add)?;
    }
    let mut gradients = accumulator.grads();
    let norm = gradients::squared_norm(model, &gradients).ok_or(Error::NoGradient { step })?;

    // The only read: everything that the host wants to know of this step, before any update.
    let (terms, squared_norm) = sums.read(norm, row_weight, step)?;
    let report = StepReport {
        loss: terms.iter().map(|term| term.weight * term.mean).sum(),
        grad_norm: squared_norm.sqrt(),
        terms,
        rows,
        row_weight,
        tokens,
    };
    if let Some(term) = report.terms.iter().find(|term| !term.mean.is_finite()) {
        let (term, value) = (term.name.clone(), term.mean);
        return Err(Error::NonFiniteLoss { step, term, value });
    }
    if !report.grad_norm.is_finite() {
        let parameter = gradients::first_non_finite(model, &gradients);
        let parameter = parameter.unwrap_or_else(|| "all parameters together".to_owned());
        return Err(Error::NonFiniteGradient { step, parameter });
    }
    let factor = settings
        .max_grad_norm
        .map_or(1.0, |max| max / (report.grad_norm + 1e-6));
    if factor < 1.0 {
        gradients::scale(model, &mut gradients, factor);
    }
    Ok((gradients, report))
}

/// The terms of all micro-batches, added up on the device.
#[derive(Default)]
struct TermSums(Vec<LossTerm>);

impl TermSums {
    fn add(&mut self, terms: &[LossTerm]) {
        for term in terms {
            let sum = term.sum.clone();
            let same =
                |known: &&mut LossTerm| known.name == term.name && known.weight == term.weight;
            match self.0.iter_mut().find(same) {
                Some(known) => known.sum = known.sum.clone() + sum,
                None => self.0.push(LossTerm {
                    sum,
                    ..term.clone()
                }),
            }
        }
    }

    fn read(
        self,
        squared_norm: Tensor<1>,
        row_weight: f64,
        step: usize,
    ) -> Result<(Vec<TermReport>, f64), Error> {
        let mut transaction = Transaction::default().register(squared_norm);
        for term in &self.0 {
            transaction = transaction.register(term.sum.clone());
        }
        let data = transaction.try_execute().map_err(|error| Error::Device {
            step,
            source: Box::new(error),
        })?;
        let mut values = data
            .iter()
            .map(|data| data.iter::<f64>().next().unwrap_or(f64::NAN));
        let squared_norm = values.next().unwrap_or(f64::NAN);
        let terms = self
            .0
            .into_iter()
            .zip(values)
            .map(|(term, sum)| TermReport {
                name: term.name.into_owned(),
                weight: term.weight,
                mean: sum / row_weight,
            });
        Ok((terms.collect(), squared_norm))
    }
}

#[cfg(test)]
mod tests;
