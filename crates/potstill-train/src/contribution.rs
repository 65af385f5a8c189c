//! What one micro-batch adds to a step: teacher, student, objective, backward pass.

use burn::optim::GradientsParams;
use burn::prelude::*;
use potstill_core::{
    CausalLm, LossTerm, Objective, ObjectiveInput, Prediction, StudentView, Support, Teacher,
    TeacherSignal, TokenBatch,
};

use crate::demands::check_token;
use crate::{Distiller, Error};

/// What a micro-batch has to know of the step that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepContext {
    pub(crate) step: usize,
    pub(crate) shared_vocabulary: usize,
    pub(crate) row_weight: f64,
}

/// What a micro-batch adds to a step.
pub(crate) struct Contribution {
    pub(crate) gradients: GradientsParams,
    /// Without autodiff.
    pub(crate) terms: Vec<LossTerm>,
}

impl Contribution {
    pub(crate) fn moved_to<M: Module>(self, device: &Device, model: &M) -> Self {
        let plain = device.clone().without_autodiff();
        let moved = |term: LossTerm| LossTerm {
            sum: term.sum.to_device(&plain),
            ..term
        };
        Self {
            gradients: self.gradients.to_device(&plain, model),
            terms: self.terms.into_iter().map(moved).collect(),
        }
    }
}

/// What the teacher says about `batch`, cut to the shared vocabulary.
pub(crate) fn teacher_signal<S: CausalLm, O: Objective>(
    model: &Distiller<S, O>,
    teacher: &mut dyn Teacher,
    batch: &TokenBatch,
    context: StepContext,
) -> Result<TeacherSignal, Error> {
    let step = context.step;
    let (length, max_positions) = (batch.longest_segment(), model.student.max_positions());
    if length > max_positions {
        return Err(Error::TooLong {
            step,
            length,
            max_positions,
        });
    }
    check_token(batch.largest_token(), &model.student)?;
    let (_, teacher_taps) = model.objective.taps();
    let signal = teacher
        .signal(batch, &teacher_taps)
        .map_err(|source| Error::Teacher { step, source })?;
    debug_assert!(
        !carries_autodiff(&signal),
        "a teacher's signal never carries autodiff"
    );
    Ok(TeacherSignal {
        prediction: signal.prediction.truncated(context.shared_vocabulary),
        ..signal
    })
}

/// Student, objective and backward pass of one micro-batch.
pub(crate) fn contribution<S: CausalLm, O: Objective>(
    model: &Distiller<S, O>,
    signal: TeacherSignal,
    batch: &TokenBatch,
    context: StepContext,
) -> Result<Contribution, Error> {
    let step = context.step;
    let mut terms = loss_terms(model, &signal, batch, context);
    // The backward pass does not need it, and it is large.
    drop(signal);
    let loss = terms
        .iter()
        .map(|term| term.sum.clone() * (term.weight / context.row_weight))
        .reduce(|total, term| total + term)
        .ok_or(Error::NoTerms { step })?;
    if !loss.is_tracked() {
        return Err(Error::NoGradient { step });
    }
    for term in &mut terms {
        term.sum = term.sum.clone().without_autodiff();
    }
    let gradients = GradientsParams::from_grads(loss.backward(), model);
    Ok(Contribution { gradients, terms })
}

/// Student and objective. Whatever the backward pass does not need is dropped on return.
fn loss_terms<S: CausalLm, O: Objective>(
    model: &Distiller<S, O>,
    signal: &TeacherSignal,
    batch: &TokenBatch,
    context: StepContext,
) -> Vec<LossTerm> {
    let (student_taps, _) = model.objective.taps();
    let encoded = model.student.encode(batch, &student_taps);
    let student = StudentView {
        hidden: batch.rows.select(encoded.hidden),
        head: model.student.head().truncated(context.shared_vocabulary),
        tapped: encoded.tapped,
    };
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &student,
        teacher: signal,
        batch,
    };
    model.objective.terms(input, &mut terms);
    terms
}

fn carries_autodiff(signal: &TeacherSignal) -> bool {
    let prediction = match &signal.prediction {
        Prediction::Deferred { hidden, head } => hidden.is_autodiff() || head.weight.is_autodiff(),
        Prediction::Dense(logits) => logits.is_autodiff(),
        Prediction::Sparse {
            log_probs, support, ..
        } => {
            log_probs.is_autodiff()
                || matches!(support, Support::TopK { tail } if tail.is_autodiff())
        }
        _ => false,
    };
    prediction
        || signal
            .tapped
            .hidden
            .iter()
            .any(|(_, state)| state.is_autodiff())
        || signal
            .tapped
            .attention
            .iter()
            .any(|(_, map)| map.is_autodiff())
}
